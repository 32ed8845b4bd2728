// SPDX-License-Identifier: Apache-2.0
// The cell: what one incarnation has written under one address, a join-semilattice value with one
// writer. Parts: the counter contribution (a life born at `birth`, its last change `write`, its
// signed total), its cut (what some reset has observed of that life), the reset record that this
// origin last issued, a base register (SET), a presence lease, and the content: bytes that belong
// to the life as it was last written (registers of a sketch, a client's slot), so a later write
// brings them whole. A life that is cut has none.
//
//   value = shown base + sum over cells of (total - cut_total)
//
// Sources: observed reset, Weidner and Almeida 2022; delta-state CRDTs, Almeida, Shoker, Baquero
// 2018.
// A single signed total is exact because one writer orders every change of it by `write`. Never
// subtract the cut in place and never restart at 0 without a new birth: the next join would undo
// it.
#pragma once
#include "base/heap.h"
#include "crdt/origin.h"

enum cell_type { // the order decides what a key shows when replicas created different types
    CELL_COUNTER,
    CELL_GCOUNTER,
    CELL_GSET,
    CELL_SET,
    CELL_HLL,
    CELL_BOUNDED,
    CELL_HANDOFF,
    CELL_PRESENCE,
    CELL_TYPES_COUNT
};
const char *cell_type_name(enum cell_type type); // "counter", "gcounter", "gset" ...

// What a reset saw of one origin's cell: the life, the last change in it, the total then, and the
// newest base entry. Of a key with members also how far their lives go that it takes away.
struct cut {
    uint64_t birth;
    uint64_t write;
    int64_t total;
    uint64_t base;
    uint64_t floor; // every life of this origin in a member of the key, up to this sequence
    uint16_t origin;
};

// The newest base entry of the owner, live or cut. Both sequences 0: none.
struct base {
    uint64_t sequence; // of a live entry
    uint64_t cut;      // of one that a reset has observed: then all else is 0
    uint64_t stamp;    // hybrid logical clock: milliseconds << 16 | counter
    int64_t value;
};

struct lease {
    uint64_t epoch;    // the owner's boot
    uint64_t sequence; // the owner's own order within its boot
    int64_t count;
    uint32_t ttl_ms;
    bool ended;
};

struct cell {
    uint64_t sequence; // of the owner's last write to any part of this cell
    uint64_t birth, write;
    int64_t total;
    uint64_t cut_write;
    int64_t cut_total;
    uint64_t reset;   // sequence of the reset record held below, 0 when none (or found stable)
    struct cut *cuts; // owned by the unit that holds the cell; `cuts_count` of them
    uint32_t cuts_count;
    uint16_t origin;
    uint8_t type;
    uint16_t content_len; // 0: none
    uint8_t *content;     // owned by the unit, as the cuts are
    struct base base;
    struct lease lease;
};

bool cell_has_life(const struct cell *cell);   // an uncut one
uint64_t base_newest(const struct base *base); // its sequence, live or cut
bool lease_is_set(const struct lease *lease);  // the cell has one, running or ended
bool lease_is_running(const struct lease *lease);
// -1, 0, 1 by (epoch, sequence), then whatever else differs, so that every replica chooses alike.
int lease_compare(const struct lease *a, const struct lease *b);

bool cell_is_live(const struct cell *cell); // an uncut life or an uncut base
// A cell that holds nothing that can be shown: no live part, no reset record, no running lease.
bool cell_is_dead(const struct cell *cell);

// The owner adds `amount` (0 too: it makes the cell live) at `sequence`; a dead cell begins a new
// life. The caller has checked LIMIT_TOTAL.
void cell_add(struct cell *cell, int64_t amount, uint64_t sequence);
// The owner adds a member, one that is there too: each add is a life of its own, so no reset that
// had not seen this very add takes it away.
void cell_renew(struct cell *cell, uint64_t sequence);
// A life up to `floor` is taken away with the whole set: leaves no trace, the set's record has it.
// True when there was one.
bool cell_sink(struct cell *cell, uint64_t floor);

// Applies one entry of somebody's reset record to the cell of entry->origin: same life, raise the
// cut; newer life, adopt it already cut; older, nothing. The cell's sequence rises to the writes
// that the entry names. True when something was cut.
bool cell_cut(struct cell *cell, const struct cut *entry);

enum { // what a join changed, for hooks and for the value
    CELL_CHANGED_COUNTER = 1,
    CELL_CHANGED_RESET = 2, // a reset record newer than the one held: its cuts are to be applied
    CELL_CHANGED_BASE = 4,
    CELL_CHANGED_LEASE = 8,
    CELL_CHANGED_SEQUENCE = 16,
};
// Joins `other` (same owner) into `self`; returns CELL_CHANGED_* bits. `seen` is the vector entry
// of the owner: parts not above it that are missing here were collected here and do not come back
// (the absent rule). The record's cuts array and the content are NOT taken: on CELL_CHANGED_RESET,
// and where the life is as `other` wrote it, the caller replaces them (unit_join does).
unsigned cell_join(struct cell *self, const struct cell *other, uint64_t seen);
