// SPDX-License-Identifier: Apache-2.0
// The datagram that a platform node sends to its counter service: which pages have how many
// publishers there now, and whether the page has subscribers there. Absolute numbers, so that loss,
// duplication and reordering cost nothing.
//
// Layout, little-endian: "QUHB", version u8, flags u8, key id u8 (0: unsigned), node u64, boot u64,
// sequence u64, interval ms u32, address (u8 length, text), count u16, then count entries (varint
// length, page, varint publishers, flags u8), then, when signed, the first 16 bytes of HMAC-SHA-256
// over all that precedes. Nothing may follow.
#pragma once
#include "base/bytes.h"

#define HEARTBEAT_VERSION           1
#define HEARTBEAT_BYTES_MAX         1200
#define HEARTBEAT_MAC_BYTES         16
#define HEARTBEAT_ADDRESS_BYTES_MAX 255
#define HEARTBEAT_PAGE_BYTES_MAX    512 // always fits into an empty datagram

struct heartbeat_key {
    uint8_t id;         // not 0
    struct span secret; // borrows; empty: no key
};

struct heartbeat {
    uint64_t node;
    uint64_t boot;     // rises with each start of the node
    uint64_t sequence; // rises with each datagram of a boot
    uint32_t interval_ms;
    bool is_bye;         // the node leaves: its part is to be dropped at once
    bool is_rotation;    // part of the full rotation, not only of what changed
    struct span address; // host:port of the node's HTTP, for PUTs; empty: none wanted
    uint16_t count;
    struct reader entries; // for heartbeat_next
};

struct heartbeat_entry {
    struct span page; // not empty
    uint64_t publishers;
    bool has_subscribers;
};

struct heartbeat_writer {
    uint8_t bytes[HEARTBEAT_BYTES_MAX];
    size_t len;
    size_t count_at;
    uint16_t count;
    struct heartbeat_key key;
};

enum {
    HEARTBEAT_E_MALFORMED = 1,
    HEARTBEAT_E_VERSION,
    HEARTBEAT_E_SECRET, // unsigned where a secret is set, signed where none is, or a wrong mac
    HEARTBEAT_E_FULL,   // the next entry goes into the next datagram
    HEARTBEAT_E_LONG,   // a page or address longer than its limit, or an empty page
};

// head's count and entries are not looked at. 0 or HEARTBEAT_E_LONG.
int heartbeat_begin(struct heartbeat_writer *writer, const struct heartbeat *head,
                    const struct heartbeat_key *key);
// 0, HEARTBEAT_E_FULL or HEARTBEAT_E_LONG (then nothing was added).
int heartbeat_add(struct heartbeat_writer *writer, const struct heartbeat_entry *entry);
// The datagram; borrows from the writer.
struct span heartbeat_end(struct heartbeat_writer *writer);

// The mac is verified before anything but the key id is believed; then every entry is checked.
// `keys` are those accepted (several while secrets rotate); none: only unsigned ones are. Outputs
// borrow from the datagram.
int heartbeat_parse(struct span datagram, const struct heartbeat_key *keys, size_t keys_count,
                    struct heartbeat *out_heartbeat);
bool heartbeat_next(struct heartbeat *heartbeat, struct heartbeat_entry *out_entry);
