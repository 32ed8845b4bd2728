// SPDX-License-Identifier: Apache-2.0
// The peer protocol, bytes <-> structs. A link is directed: the dialer pushes its state, the
// listener acknowledges. Frames: length (u32, of what follows), type (u8), body.
//
//   listener -> GREETING(version, nonce)
//   dialer   -> HELLO(version, nonce, cluster, name, address, incarnation, boot, asking) + mac
//   listener -> WELCOME(status, text, name, address, incarnation, boot, held, vector) + mac
//   both     -> MEMBERS, then       dialer   -> FEED ...         listener -> ACK ...
//   both     -> MEMBERS, PING, PONG at any time
//
// macs are HMAC-SHA-256 over both nonces and the body, present when a shared secret is set; both
// ends prove it. `held` answers the dialer's question at its start: the highest sequence of its
// incarnation that the listener has seen.
#pragma once
#include "base/bytes.h"
#include "crdt/unit.h"

#define PEER_VERSION         3u
#define PEER_NONCE_BYTES     16
#define PEER_MAC_BYTES       32
#define PEER_HEAD_BYTES      5
#define PEER_TEXT_BYTES_MAX  255
#define PEER_FRAME_BYTES_MAX (64u << 20)
#define PEER_EARLY_BYTES_MAX 16384u // before the handshake is through
#define PEER_MEMBERS_MAX     LIMIT_ORIGINS

enum peer_type {
    PEER_GREETING = 1,
    PEER_HELLO,
    PEER_WELCOME,
    PEER_MEMBERS,
    PEER_FEED,
    PEER_ACK,
    PEER_PING,
    PEER_PONG,
};

enum peer_status { // in WELCOME; anything but OK ends the link, both ends say why
    PEER_OK,
    PEER_REFUSED_VERSION,
    PEER_REFUSED_CLUSTER,
    PEER_REFUSED_SECRET,
    PEER_REFUSED_DUPLICATE, // the incarnation is alive elsewhere; text: its address
    PEER_REFUSED_NAME,      // another live incarnation has the name; text: its address
    PEER_REFUSED_SELF,      // the dialer reached itself
    PEER_REFUSED_FULL,      // no room for another member or origin
    PEER_REFUSED_FORMER,    // a newer incarnation has taken over its name: it must renew itself
    PEER_STATUS_COUNT,
};

// Why, for a log line.
const char *peer_status_text(enum peer_status status);

struct peer_greeting {
    uint64_t version;
    struct span nonce; // PEER_NONCE_BYTES
};

struct peer_hello {
    uint64_t version;
    struct span nonce;
    struct span cluster, name, address;
    struct incarnation incarnation;
    uint64_t boot;
    bool is_asking;
    struct span mac;     // empty: none
    struct span signed_; // what the mac covers, of this body
};

struct peer_welcome {
    enum peer_status status;
    struct span text;
    struct span cluster, name, address;
    struct incarnation incarnation;
    uint64_t boot;
    uint64_t held;
    struct vector vector;
    struct span mac;
    struct span signed_;
};

struct peer_member {
    struct incarnation incarnation;
    struct span name, address;
    bool is_former;    // superseded by a newer incarnation of its name; the sender refuses it
    bool knows_sender; // has acknowledged durably that the sender is a member
    bool is_delivered; // former: the receiver durably has all that the sender holds of it
    bool is_sealed;    // former, and its history is complete at the sender: it ends at `seal`
    uint64_t seal;
};

struct peer_members {
    struct peer_member *list; // PEER_MEMBERS_MAX of them, to be filled by the reader
    uint16_t count;
    bool is_filled;        // the sender is past `dropped`
    struct vector dropped; // up to here what was dead may have no trace left at the sender
};

// A round: units under `dictionary`, from a sender whose vector was `from` for this receiver. On
// `is_final` the receiver, if its vector covers `from`, raises it to `upto`.
struct peer_feed {
    bool is_final;
    bool is_walk;
    uint64_t number; // 1, 2, 3 ... on its link: a part of a walk that is missing must be noticed
    struct vector from, upto;
    struct origin_map dictionary; // written number -> local origin
    struct span units;
};

struct peer_ack {
    uint64_t rounds; // processed durably on this link
    struct vector vector;
};

enum { PEER_E_MORE = 1, PEER_E_PROTOCOL, PEER_E_FULL };

// One frame of a stream. out_body borrows from input; PEER_E_MORE until it is whole.
int peer_parse(struct span input, enum peer_type *out_type, struct span *out_body,
               size_t *out_used);

int peer_parse_greeting(struct span body, struct peer_greeting *out);
int peer_parse_hello(struct span body, struct peer_hello *out);
int peer_parse_welcome(struct span body, struct origins *origins, struct peer_welcome *out);
int peer_parse_members(struct span body, struct origins *origins, struct peer_members *out);
int peer_parse_feed(struct span body, struct origins *origins, struct peer_feed *out);
int peer_parse_ack(struct span body, struct origins *origins, struct peer_ack *out);
int peer_parse_number(struct span body, uint64_t *out); // PING, PONG

void peer_put_greeting(struct buf *out, struct span nonce);
// The body to sign, then the whole frame with its mac (empty: none).
void peer_put_hello_body(struct buf *body, const struct peer_hello *hello);
void peer_put_welcome_body(struct buf *body, const struct peer_welcome *welcome,
                           const struct origins *origins);
void peer_put_signed(struct buf *out, enum peer_type type, struct span body, struct span mac);
void peer_put_members(struct buf *out, const struct peer_members *members,
                      const struct origins *origins);
void peer_put_ack(struct buf *out, const struct peer_ack *ack, const struct origins *origins);
void peer_put_number(struct buf *out, enum peer_type type, uint64_t number);

// A FEED frame is opened, its units appended by the caller, then closed. Every local origin index
// is its own written number: the dictionary lists them all.
size_t peer_open_feed(struct buf *out, const struct peer_feed *feed, const struct origins *origins);
void peer_close_feed(struct buf *out, size_t mark);
