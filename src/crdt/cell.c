// SPDX-License-Identifier: Apache-2.0
// Joins of one cell's parts. Invariants, which the codec checks on what it reads:
//   birth <= write <= sequence; cut_write <= write, with equal totals when they are equal;
//   reset, base.sequence and base.cut <= sequence.
// Each part has its own order, so parts join one by one: the life by (birth, write), its cut by
// cut_write, the record by its sequence, the base by its sequence and cut. A lease is ordered by
// the cell's sequence: addresses of leases hold nothing else, and an owner's numbers may begin
// anew.
#include "crdt/cell.h"

static bool has_life(const struct cell *cell)
{
    return cell->write > cell->cut_write;
}

static bool has_base(const struct cell *cell)
{
    return cell->base.sequence > cell->base.cut;
}

static void raise(uint64_t *value, uint64_t floor)
{
    if (*value < floor)
        *value = floor;
}

bool cell_is_live(const struct cell *cell)
{
    return has_life(cell) || has_base(cell);
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
    if (!has_life(cell)) {
        cell->birth = sequence;
        cell->total = cell->cut_total = 0;
        cell->cut_write = 0;
    }
    cell->write = cell->sequence = sequence;
    cell->total = (int64_t)((uint64_t)cell->total + (uint64_t)amount);
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
    if (entry->base > cell->base.cut) {
        cell->base.cut = entry->base;
        is_changed = true;
    }
    // The owner wrote this cell at those sequences, though the writes have not come here yet.
    raise(&cell->sequence, entry->write);
    raise(&cell->sequence, entry->base);
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

static unsigned join_base(struct base *self, const struct base *other, uint64_t seen)
{
    unsigned changed = 0;
    if (other->sequence > self->sequence && other->sequence > seen) {
        self->sequence = other->sequence;
        self->stamp = other->stamp;
        self->value = other->value;
        changed = CELL_CHANGED_BASE;
    }
    // A cut of nothing that is here or may still come is one collected here.
    if (other->cut > self->cut && (self->sequence != 0 || other->cut > seen)) {
        self->cut = other->cut;
        changed = CELL_CHANGED_BASE;
    }
    return changed;
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
