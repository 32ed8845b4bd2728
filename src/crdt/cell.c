// SPDX-License-Identifier: Apache-2.0
// Joins of one cell's parts. Invariants, which the codec checks on what it reads:
//   birth <= write <= sequence; cut_write <= write, with equal totals when they are equal;
//   reset, base.sequence and base.cut <= sequence; of the latter two one at most is set.
// Each part has its own order, so parts join one by one: the life by (birth, write), its cut by
// cut_write, the record by its sequence, the base by its newest entry. A lease is ordered by
// the cell's sequence: addresses of leases hold nothing else, and an owner's numbers may begin
// anew.
#include "crdt/cell.h"

const char *cell_type_name(enum cell_type type)
{
    static const char *const names[CELL_TYPES_COUNT] = {
        [CELL_COUNTER] = "counter", [CELL_GCOUNTER] = "gcounter", [CELL_GSET] = "gset",
        [CELL_SET] = "set",         [CELL_HLL] = "hll",           [CELL_BOUNDED] = "bounded",
        [CELL_HANDOFF] = "handoff", [CELL_PRESENCE] = "presence",
    };
    return names[type];
}

bool cell_has_life(const struct cell *cell)
{
    return cell->write > cell->cut_write;
}

// The owner wrote this cell at `sequence`, though the write has not come here yet: what it made the
// type is not known, and does not matter, since a reset has taken it away.
static void raise_sequence(struct cell *cell, uint64_t sequence)
{
    if (cell->sequence >= sequence)
        return;
    cell->sequence = sequence;
    cell->type = 0;
}

uint64_t base_newest(const struct base *base)
{
    return base->cut ? base->cut : base->sequence;
}

bool cell_is_live(const struct cell *cell)
{
    return cell_has_life(cell) || cell->base.sequence != 0;
}

bool lease_is_set(const struct lease *lease)
{
    return lease->epoch != 0 || lease->sequence != 0;
}

bool lease_is_running(const struct lease *lease)
{
    return lease_is_set(lease) && !lease->ended;
}

int lease_compare(const struct lease *a, const struct lease *b)
{
    if (a->epoch != b->epoch)
        return a->epoch > b->epoch ? 1 : -1;
    if (a->sequence != b->sequence)
        return a->sequence > b->sequence ? 1 : -1;
    if (a->ended != b->ended)
        return a->ended ? 1 : -1;
    if (a->count != b->count)
        return a->count > b->count ? 1 : -1;
    return (a->ttl_ms > b->ttl_ms) - (a->ttl_ms < b->ttl_ms);
}

bool cell_is_dead(const struct cell *cell)
{
    return !cell_is_live(cell) && cell->reset == 0 && !lease_is_running(&cell->lease);
}

void cell_add(struct cell *cell, int64_t amount, uint64_t sequence)
{
    if (!cell_has_life(cell)) {
        cell->birth = sequence;
        cell->total = cell->cut_total = 0;
        cell->cut_write = 0;
    }
    cell->write = cell->sequence = sequence;
    cell->total = (int64_t)((uint64_t)cell->total + (uint64_t)amount);
}

void cell_renew(struct cell *cell, uint64_t sequence)
{
    cell->birth = cell->write = cell->sequence = sequence;
    cell->total = 1;
    cell->cut_write = 0;
    cell->cut_total = 0;
}

bool cell_sink(struct cell *cell, uint64_t floor)
{
    if (cell->birth == 0 || cell->write > floor)
        return false;
    cell->birth = cell->write = cell->cut_write = 0;
    cell->total = cell->cut_total = 0;
    return true;
}

static bool cut_life(struct cell *cell, const struct cut *entry)
{
    if (entry->birth < cell->birth || entry->birth == 0)
        return false;
    bool is_newer_life = entry->birth > cell->birth;
    if (!is_newer_life && entry->write <= cell->cut_write)
        return false;
    if (is_newer_life || entry->write > cell->write) {
        cell->write = entry->write;
        cell->total = entry->total;
    }
    cell->birth = entry->birth;
    cell->cut_write = entry->write;
    cell->cut_total = entry->total;
    return true;
}

bool cell_cut(struct cell *cell, const struct cut *entry)
{
    bool is_changed = cut_life(cell, entry);
    if (entry->base >= cell->base.sequence && entry->base > cell->base.cut) {
        cell->base = (struct base){.cut = entry->base};
        is_changed = true;
    }
    raise_sequence(cell, entry->write);
    raise_sequence(cell, entry->base);
    return is_changed;
}

static unsigned join_life(struct cell *self, const struct cell *other, uint64_t seen)
{
    if (other->birth < self->birth || other->birth == 0)
        return 0;
    unsigned changed = 0;
    bool is_newer_life = other->birth > self->birth;
    if (is_newer_life && other->write <= seen)
        return 0; // collected here
    if (is_newer_life || other->write > self->write) {
        self->birth = other->birth;
        self->write = other->write;
        self->total = other->total;
        changed = CELL_CHANGED_COUNTER;
    }
    if (is_newer_life || other->cut_write > self->cut_write) {
        self->cut_write = other->cut_write;
        self->cut_total = other->cut_total;
        changed = CELL_CHANGED_COUNTER;
    }
    return changed;
}

// Entries of one owner are a chain: by sequence, and an entry that is cut is above itself live.
static unsigned join_base(struct base *self, const struct base *other, uint64_t seen)
{
    uint64_t own = base_newest(self), newest = base_newest(other);
    bool is_newer = newest > own || (newest == own && other->cut > self->cut);
    if (!is_newer || (own == 0 && newest <= seen)) // none here, though it was seen: collected
        return 0;
    *self = *other;
    return CELL_CHANGED_BASE;
}

static bool is_lease_newer(const struct cell *self, const struct cell *other)
{
    if (!lease_is_set(&other->lease) || other->sequence < self->sequence)
        return false;
    return other->sequence > self->sequence || lease_compare(&other->lease, &self->lease) > 0;
}

unsigned cell_join(struct cell *self, const struct cell *other, uint64_t seen)
{
    unsigned changed = join_life(self, other, seen) | join_base(&self->base, &other->base, seen);
    if (other->reset > self->reset && other->reset > seen) {
        self->reset = other->reset;
        changed |= CELL_CHANGED_RESET;
    }
    if (is_lease_newer(self, other)) {
        self->lease = other->lease;
        changed |= CELL_CHANGED_LEASE;
    }
    if (other->sequence > self->sequence) {
        self->sequence = other->sequence;
        self->type = other->type;
        changed |= CELL_CHANGED_SEQUENCE;
    } else if (other->sequence == self->sequence && other->type > self->type) {
        self->type = other->type; // ours came from a reset record, which does not tell the type
        changed |= CELL_CHANGED_SEQUENCE;
    }
    return changed;
}
