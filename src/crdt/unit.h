// SPDX-License-Identifier: Apache-2.0
// The unit: every cell under one address, the smallest thing that travels (key-atomic: a cut never
// goes without the reset record it came from). Addresses: a key itself, and under it a member of a
// set, an owner's lease, a retry token, rights given away, a client's slot, a block of a sketch.
#pragma once
#include "base/bytes.h"
#include "crdt/cell.h"
#include "crdt/vector.h"

enum unit_kind {
    UNIT_KEY,
    UNIT_MEMBER,
    UNIT_LEASE,
    UNIT_TOKEN,
    UNIT_RIGHT,
    UNIT_SLOT,
    UNIT_BLOCK,
    UNIT_DEADLINE, // of a key; its sub-key is empty
    UNIT_KINDS_COUNT
};

struct address {
    enum unit_kind kind;
    struct span key; // borrows
    struct span sub; // member, owner, token ...; empty for UNIT_KEY
};

struct unit {
    struct cell *cells; // no order
    uint16_t count;
    uint16_t cap;
    bool is_borrowing; // contents lie elsewhere
    struct heap *heap; // borrows
};

void unit_init(struct unit *unit, struct heap *heap);
void unit_deinit(struct unit *unit);
struct cell *unit_find(const struct unit *unit, uint16_t origin); // NULL when absent
// The cell of `origin`, appended zeroed if absent; NULL on -ENOMEM. Invalidates cell pointers.
struct cell *unit_obtain(struct unit *unit, uint16_t origin);
void unit_remove(struct unit *unit, uint16_t origin);
int unit_reserve(struct unit *unit, size_t count); // room for so many cells in all; 0 or -ENOMEM
// The content of a living cell; empty: none. 0 or -ENOMEM (unchanged).
int unit_put_content(struct unit *unit, struct cell *cell, struct span content);
// The owner writes at `sequence`, which makes the cell live, and this is its content from then on.
// The same.
int unit_write_content(struct unit *unit, struct cell *cell, uint64_t sequence,
                       struct span content);
static inline struct span cell_content(const struct cell *cell)
{
    return span_of(cell->content, cell->content_len);
}

// Replaces the cells of target by copies. 0, or -ENOMEM (target is empty then).
int unit_copy(struct unit *target, const struct unit *source);
// Drops all cells, keeps the memory.
void unit_clear(struct unit *unit);

// What is shown. The type is the lowest cell_type among live cells. The value is the exact sum, in
// 128 bits, of all live amounts, whatever type their writers took the key for (cells of sets and
// presences hold none): no acknowledged increment is hidden by a type conflict. Of live bases one
// counts, by (stamp, incarnation).
struct unit_view {
    bool is_live;
    bool is_out_of_range; // the exact value does not fit 64 bits; `value` holds it modulo 2^64
    enum cell_type type;
    int64_t value;
};
const struct cell *unit_shown_base(const struct unit *unit, const struct origins *origins);
struct unit_view unit_view(const struct unit *unit, const struct origins *origins);

// Of several origins' leases for one owner the one with the largest (epoch, sequence) counts, of
// those neither ended nor hidden (`is_hidden` by origin, LIMIT_ORIGINS of them). NULL: none counts.
const struct cell *unit_lease_shown(const struct unit *unit, const bool *is_hidden);
// True when one counts; out_count: what it says, 0 when none does.
bool unit_lease_view(const struct unit *unit, const bool *is_hidden, int64_t *out_count);

// Observed reset by `author` at `sequence`: a record naming every cell of the unit, dead ones too,
// replaces the author's earlier one and is applied here. Does nothing when nothing is live (returns
// UNIT_E_NOTHING). 0 or -ENOMEM (unchanged).
enum { UNIT_E_NOTHING = 1 };
int unit_reset(struct unit *unit, uint16_t author, uint64_t sequence);
// The same for a key with members: the record names for each owner of members how far their lives
// are taken away, whatever is live in the key's own cells.
struct floor {
    uint64_t upto;
    uint16_t origin;
};
struct floors {
    const struct floor *list; // borrows; an origin once
    uint16_t count;
};
int unit_reset_members(struct unit *unit, uint16_t author, uint64_t sequence,
                       const struct floors *floors);
// SET of a counter: an observed reset (if something is live) and a base entry of the author, both
// at `sequence`. 0 or -ENOMEM (unchanged).
int unit_set(struct unit *unit, uint16_t author, uint64_t sequence, uint64_t stamp, int64_t value);

// Joins arriving cells; `seen` is this replica's vector. out_changed: union of CELL_CHANGED_*.
// 0 or -ENOMEM (then the unit may have joined a part; joining again completes it).
int unit_join(struct unit *self, const struct cell *cells, uint16_t count,
              const struct vector *seen, unsigned *out_changed);

// Collection. `stable` is the vector up to which everything is causally stable; `seen` mine. Drops
// stable reset records; then, if the unit has no other record, cells with nothing live and dead
// parts of others, as far as both vectors cover them. A record with floors stays until `seen`
// covers those too: what they take away may still be on its way here. True when something was
// dropped.
bool unit_collect(struct unit *unit, const struct vector *stable, const struct vector *seen);

// Drops what was last written up to there, dead or alive, and records: others have it. What a
// record that is left has cut stays cut, for those cells come again.
void unit_forget(struct unit *unit, const struct vector *limits);

// Codec of an address with the cells whose sequence is above `known` (NULL: all); origins are
// written as their indexes, which the dictionary that travels beside explains. Layout:
// unit_codec.c. Returns the number of cells written; 0 writes nothing.
unsigned unit_write(const struct unit *unit, const struct address *address,
                    const struct vector *known, struct buf *out);
struct origin_map { // a dictionary as read: written origin number -> local index
    uint16_t local[LIMIT_ORIGINS];
    uint16_t count;
};
enum { UNIT_E_MALFORMED = 1 };
// Reads one: the address borrows from the reader's bytes; cells go to out_unit (cleared first, its
// memory reused). 0; UNIT_E_MALFORMED or -ENOMEM (the address is untouched, the unit empty).
int unit_read(struct reader *reader, const struct origin_map *map, struct address *out_address,
              struct unit *out_unit);
