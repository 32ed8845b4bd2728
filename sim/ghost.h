// SPDX-License-Identifier: Apache-2.0
// The oracle: it remembers every operation and, for every node, which of them that node must show.
// It knows nothing of lives, cuts or joins: for each unit and incarnation a node has `seen`
// operations up to one sequence, and resets it knows have `cut` them up to another; what it shows
// follows from those in between. What a node learns is copied from the sender's ghost beside the
// real message, for the cells that are in it.
#pragma once
#include "crdt/origin.h"

#define GHOST_COUNTERS     6 // counters, each a key
#define GHOST_MEMBERS      4
#define GHOST_GSET         6 // the key of a grow-only set; its members follow
#define GHOST_SET          (GHOST_GSET + 1 + GHOST_MEMBERS) // likewise of one that they leave again
#define GHOST_SKETCH       (GHOST_SET + 1 + GHOST_MEMBERS)  // the key of a sketch; blocks follow
#define GHOST_BLOCKS       3
#define GHOST_TOKEN        (GHOST_SKETCH + 1 + GHOST_BLOCKS)
#define GHOST_TOKENS       8                            // retry tokens, each of one counter
#define GHOST_DEADLINE     (GHOST_TOKEN + GHOST_TOKENS) // one of each counter
#define GHOST_UNITS        (GHOST_DEADLINE + GHOST_COUNTERS)
#define GHOST_INCARNATIONS 48

struct ghost_mark {
    uint64_t seen, cut;
    uint64_t known; // cuts up to there are known; less than `cut` where a node forgot its cells
};

struct ghost { // of one node
    struct ghost_mark mark[GHOST_UNITS][GHOST_INCARNATIONS];
    int64_t pending[GHOST_UNITS]; // added by workers since the last commit
    bool is_pending[GHOST_UNITS];
    uint64_t vector[GHOST_INCARNATIONS]; // the node's own, when it was durable
    bool is_partial[GHOST_UNITS]; // forgot a base under amounts it kept: more than a mark can say
};

struct ghost_entry {
    uint8_t incarnation;
    bool is_set;      // SET: `amount` is a base; else an amount added
    bool is_acked;    // was durable where it was made
    bool is_lost;     // never was, and its maker is gone: its sequence may be used again
    bool is_optional; // was durable, but an older disk took the only copy along
    uint64_t sequence;
    uint64_t stamp; // of a SET; of a token's add, when it was made, in seconds
    int64_t amount;
    uint64_t content; // of a sketch's part: its members, a bit each
};

// DEL of a whole set: what its maker had seen of each member then, up to the vector that the record
// tells of.
struct ghost_clearing {
    uint8_t incarnation;
    uint64_t sequence;
    unsigned set;
    uint64_t seen[GHOST_MEMBERS][GHOST_INCARNATIONS];
    struct ghost_clearing *next;
};

struct ghost_log {
    struct ghost_unit {
        struct ghost_entry *list;
        size_t count, cap;
    } unit[GHOST_UNITS];
    struct ghost_clearing *clearings;
    struct incarnation incarnations[GHOST_INCARNATIONS];
    uint8_t incarnations_count;
    uint64_t token_window_s;
};

void ghost_log_deinit(struct ghost_log *log);
uint8_t ghost_incarnation(struct ghost_log *log, const struct incarnation *incarnation);
void ghost_log_put(struct ghost_log *log, unsigned unit, struct ghost_entry entry);

static inline bool ghost_is_set(unsigned unit)
{
    return unit == GHOST_GSET || unit == GHOST_SET;
}

static inline bool ghost_is_member(unsigned unit)
{
    return unit > GHOST_GSET && unit < GHOST_SKETCH && unit != GHOST_SET;
}

struct ghost_view {
    bool is_live;
    int64_t value;
};
// What a node with this ghost must show under the unit's address.
struct ghost_view ghost_view(const struct ghost_log *log, const struct ghost *ghost, unsigned unit);
// What is in the unit's part of an incarnation; 0 when it is cut.
uint64_t ghost_part(const struct ghost_log *log, const struct ghost *ghost, unsigned unit,
                    uint8_t incarnation);
// The longest of the entries of a deadline's unit that are seen and not cut; 0: none is.
int64_t ghost_longest(const struct ghost_log *log, const struct ghost *ghost, unsigned unit);
// The counter that a token's unit belongs to.
static inline unsigned ghost_counter_of(unsigned token_unit)
{
    return (token_unit - GHOST_TOKEN) % GHOST_COUNTERS;
}
// An observed reset: everything seen is cut.
void ghost_reset(struct ghost *ghost, unsigned unit);
// The receiver gets one incarnation's cell from the sender, with all it says of that incarnation.
void ghost_learn(struct ghost *self, const struct ghost *sender, unsigned unit,
                 uint8_t incarnation);
// ... and one member's, of which the message says no more than this.
void ghost_hear(struct ghost *self, unsigned unit, uint8_t incarnation, struct ghost_mark told);
// ... and the record of a set's DEL, if it is one.
void ghost_clear(const struct ghost_log *log, struct ghost *self, unsigned set, uint8_t incarnation,
                 uint64_t sequence);
// ... and one entry of a reset record in it.
void ghost_cut(struct ghost *self, unsigned unit, uint8_t incarnation, uint64_t upto);
// The node forgot what was last written up to there, and what is cut stays cut.
void ghost_forget(const struct ghost_log *log, struct ghost *self, uint8_t incarnation,
                  uint64_t limit);
