// SPDX-License-Identifier: Apache-2.0
// Who tells what, as heartbeats say it: real-time nodes (platforms), the keys they told of
// (tallies), and for each pair of them a share: how many publishers of the key are there, and
// whether it has subscribers there. Plain state; what follows from a change is heartbeats' (into
// presence) and updates' (out to the nodes).
//
// A share is heard of again each interval, or it ends after three. A platform ends when it has no
// share and was not heard for as long, or shortly after it said bye: until then it is kept, so that
// a late datagram is known to be late.
#pragma once
#include "base/heap.h"
#include "service/hashmap.h"
#include "service/limits.h"
#include "service/metrics.h"
#include "service/outlet.h"
#include "service/values.h"

struct share {
    struct hashmap_entry entry; // by platform and tally
    struct platform *platform;  // NULL once it has ended
    struct tally *tally;
    struct share *heard_prev, *heard_next; // the platform's, the least recently heard first
    struct share *tally_prev, *tally_next;
    struct share *outlet_prev, *outlet_next; // the outlet's
    struct share_list *outlet_list;          // which of its two; NULL: none
    uint64_t heard_ms;
    uint64_t owner;          // the platform's id
    uint64_t boot, sequence; // of the datagram that told it
    int64_t publishers;
    bool has_subscribers;
    bool is_ended; // only in the tally's list any more; freed when no lease is under way
    // heartbeats': the lease in the database
    struct resp_call lease;
    struct heartbeats *heartbeats;
    int64_t leased;      // publishers in the command that was sent last; 0: none is held
    bool is_lease_asked; // a command is under way
    bool is_lease_due;   // to be sent again once that is answered
};

struct platform {
    struct hashmap_entry entry; // by id
    struct platform *prev, *next;
    uint64_t id, boot;
    uint64_t sequence; // the highest heard of this boot
    uint64_t floor;    // shares that ended were told by this or earlier
    uint64_t heard_ms;
    uint32_t interval_ms;
    bool is_gone; // it said bye
    struct share *first, *last;
    uint32_t shares_count;
    struct outlet outlet;
};

struct tally {
    struct hashmap_entry entry; // by key
    struct share *shares;
    uint32_t listeners_count; // shares with subscribers
    bool is_refused;          // its presence was refused, and that was logged
    // updates': what the database says of it
    bool is_known, is_missing;
    bool is_watched, is_queued, is_reading, is_read_due;
    int64_t value;
    uint64_t version;
    uint64_t read_version; // what was known when it was asked for
    uint64_t checked_ms;
    struct tally *queue_next;
    struct tally *watch_prev, *watch_next;
    struct value_call read;
    struct updates *updates;
    uint32_t key_len;
    uint8_t key[];
};

struct audience {
    struct heap *heap;
    struct metrics *metrics;
    struct outlets *outlets;
    struct hashmap platforms, tallies, shares;
    struct platform *first; // all platforms
};

// metrics and outlets are borrowed.
void audience_init(struct audience *audience, struct metrics *metrics, struct outlets *outlets,
                   uint64_t seed);
// Stops every outlet and frees everything; no answer for a share or tally may come any more.
void audience_deinit(struct audience *audience);

static inline struct span tally_key(const struct tally *tally)
{
    return span_of(tally->key, tally->key_len);
}

// Found or made, without its clock and address set. NULL: at the limit, or no memory.
struct platform *audience_platform(struct audience *audience, uint64_t id);
struct platform *audience_find_platform(const struct audience *audience, uint64_t id);
// It must have no share.
void audience_remove_platform(struct audience *audience, struct platform *platform);

struct tally *audience_find_tally(const struct audience *audience, struct span key);
struct share *audience_find_share(const struct audience *audience, const struct platform *platform,
                                  const struct tally *tally);
// Found or made (sequence 0). NULL: at a limit, or no memory.
struct share *audience_share(struct audience *audience, struct platform *platform, struct span key);
// It becomes the most recently heard of its platform.
void audience_heard(struct share *share, uint64_t now_ms);
// A share without subscribers and in no outlet's list. Its memory stays until audience_release.
void audience_end(struct audience *audience, struct share *share);
// Frees an ended share without a lease under way, then perhaps its tally.
void audience_release(struct audience *audience, struct share *share);
// Frees a tally that has no share and that updates do not need.
void audience_release_tally(struct audience *audience, struct tally *tally);

// How long after it was heard something ends.
static inline uint64_t platform_patience_ms(const struct platform *platform)
{
    return 3 * (uint64_t)platform->interval_ms;
}
