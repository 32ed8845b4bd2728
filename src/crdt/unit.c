// SPDX-License-Identifier: Apache-2.0
// The cells under one address: what they show together, resets over all of them, their joins and
// their collection. Cells are few (one for each origin that wrote here), so every search is linear.
//
// A reset record is applied when it is made or arrives. What it names and is not here yet becomes a
// cell that is cut already, so that the writes are dead when they come; such a cell lives until the
// vector says that they will not come any more.
#include <assert.h>
#include "base/wide.h"
#include "crdt/unit.h"

void unit_init(struct unit *unit, struct heap *heap)
{
    *unit = (struct unit){.heap = heap};
}

static void free_cuts(struct unit *unit, struct cell *cell)
{
    heap_free(unit->heap, cell->cuts, cell->cuts_count * sizeof *cell->cuts);
    cell->cuts = NULL;
    cell->cuts_count = 0;
}

static void free_content(struct unit *unit, struct cell *cell)
{
    if (!unit->is_borrowing)
        heap_free(unit->heap, cell->content, cell->content_len);
    cell->content = NULL;
    cell->content_len = 0;
}

static void free_parts(struct unit *unit, struct cell *cell)
{
    free_cuts(unit, cell);
    free_content(unit, cell);
}

void unit_clear(struct unit *unit)
{
    for (uint16_t i = 0; i < unit->count; i++)
        free_parts(unit, &unit->cells[i]);
    unit->count = 0;
}

void unit_deinit(struct unit *unit)
{
    unit_clear(unit);
    heap_free(unit->heap, unit->cells, unit->cap * sizeof *unit->cells);
    unit_init(unit, unit->heap);
}

struct cell *unit_find(const struct unit *unit, uint16_t origin)
{
    for (uint16_t i = 0; i < unit->count; i++) {
        if (unit->cells[i].origin == origin)
            return &unit->cells[i];
    }
    return NULL;
}

int unit_reserve(struct unit *unit, size_t count)
{
    if (count <= unit->cap)
        return 0;
    assert(count <= LIMIT_ORIGINS);
    size_t cap = unit->cap ? unit->cap : 1;
    while (cap < count)
        cap *= 2;
    struct cell *cells =
        heap_resize(unit->heap, unit->cells, unit->cap * sizeof *cells, cap * sizeof *cells);
    if (!cells)
        return -ENOMEM;
    unit->cells = cells;
    unit->cap = (uint16_t)cap;
    return 0;
}

struct cell *unit_obtain(struct unit *unit, uint16_t origin)
{
    struct cell *cell = unit_find(unit, origin);
    if (cell)
        return cell;
    assert(origin < LIMIT_ORIGINS);
    if (unit_reserve(unit, (size_t)unit->count + 1))
        return NULL;
    cell = &unit->cells[unit->count++];
    *cell = (struct cell){.origin = origin};
    return cell;
}

void unit_remove(struct unit *unit, uint16_t origin)
{
    struct cell *cell = unit_find(unit, origin);
    if (!cell)
        return;
    free_parts(unit, cell);
    *cell = unit->cells[--unit->count];
}

// A copy of `count` entries in *out_copy, or -ENOMEM.
static int copy_cuts(struct heap *heap, const struct cut *cuts, uint32_t count,
                     struct cut **out_copy)
{
    struct cut *copy = NULL;
    if (count) {
        copy = heap_alloc(heap, count * sizeof *copy);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, cuts, count * sizeof *copy);
    }
    *out_copy = copy;
    return 0;
}

// The same for a cell's content.
static int copy_content(struct heap *heap, struct span content, uint8_t **out_copy)
{
    uint8_t *copy = NULL;
    if (content.len) {
        copy = heap_alloc(heap, content.len);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, content.ptr, content.len);
    }
    *out_copy = copy;
    return 0;
}

// Takes `copy`.
static void put_content(struct unit *unit, struct cell *cell, uint8_t *copy, uint16_t len)
{
    free_content(unit, cell);
    cell->content = copy;
    cell->content_len = copy ? len : 0;
}

int unit_put_content(struct unit *unit, struct cell *cell, struct span content)
{
    uint8_t *copy;
    assert(content.len <= LIMIT_CONTENT_BYTES && (cell_has_life(cell) || content.len == 0));
    int fault = copy_content(unit->heap, content, &copy);
    if (!fault)
        put_content(unit, cell, copy, (uint16_t)content.len);
    return fault;
}

int unit_write_content(struct unit *unit, struct cell *cell, uint64_t sequence, struct span content)
{
    uint8_t *copy;
    assert(content.len <= LIMIT_CONTENT_BYTES);
    int fault = copy_content(unit->heap, content, &copy);
    if (fault)
        return fault;
    cell_add(cell, 0, sequence);
    put_content(unit, cell, copy, (uint16_t)content.len);
    return 0;
}

static int copy_cell(struct unit *target, const struct cell *source)
{
    struct cell cell = *source;
    int fault = copy_cuts(target->heap, source->cuts, source->cuts_count, &cell.cuts);
    if (fault)
        return fault;
    fault = copy_content(target->heap, cell_content(source), &cell.content);
    if (fault)
        heap_free(target->heap, cell.cuts, cell.cuts_count * sizeof *cell.cuts);
    else
        target->cells[target->count++] = cell;
    return fault;
}

int unit_copy(struct unit *target, const struct unit *source)
{
    unit_clear(target);
    int fault = unit_reserve(target, source->count);
    for (uint16_t i = 0; i < source->count && !fault; i++)
        fault = copy_cell(target, &source->cells[i]);
    if (fault)
        unit_clear(target);
    return fault;
}

static bool is_base_newer(const struct cell *a, const struct cell *b, const struct origins *origins)
{
    if (a->base.stamp != b->base.stamp)
        return a->base.stamp > b->base.stamp;
    return incarnation_compare(&origins->list[a->origin], &origins->list[b->origin]) > 0;
}

const struct cell *unit_shown_base(const struct unit *unit, const struct origins *origins)
{
    const struct cell *shown = NULL;
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (cell->base.sequence && (!shown || is_base_newer(cell, shown, origins)))
            shown = cell;
    }
    return shown;
}

struct unit_view unit_view(const struct unit *unit, const struct origins *origins)
{
    const struct cell *base = NULL;
    uint8_t type = CELL_TYPES_COUNT;
    wide_signed sum = 0;
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (!cell_is_live(cell))
            continue;
        if (cell->type < type)
            type = cell->type;
        if (cell->write > cell->cut_write)
            sum += (wide_signed)cell->total - cell->cut_total;
        if (cell->base.sequence && (!base || is_base_newer(cell, base, origins)))
            base = cell;
    }
    if (type == CELL_TYPES_COUNT)
        return (struct unit_view){0};
    if (base)
        sum += base->base.value;
    int64_t value = (int64_t)(uint64_t)(wide_unsigned)sum;
    return (struct unit_view){.is_live = true,
                              .is_out_of_range = sum != value,
                              .type = (enum cell_type)type,
                              .value = value};
}

const struct cell *unit_lease_shown(const struct unit *unit, const bool *is_hidden)
{
    const struct cell *shown = NULL;
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (!lease_is_running(&cell->lease) || is_hidden[cell->origin])
            continue;
        if (!shown || lease_compare(&cell->lease, &shown->lease) > 0)
            shown = cell;
    }
    return shown;
}

bool unit_lease_view(const struct unit *unit, const bool *is_hidden, int64_t *out_count)
{
    const struct cell *shown = unit_lease_shown(unit, is_hidden);
    *out_count = shown ? shown->lease.count : 0;
    return shown != NULL;
}

// ---- resets

static bool cut_of(const struct cell *cell, struct cut *out_entry)
{
    *out_entry = (struct cut){.birth = cell->birth,
                              .write = cell->write,
                              .total = cell->total,
                              .base = base_newest(&cell->base),
                              .origin = cell->origin};
    return cell->birth != 0 || out_entry->base != 0;
}

static bool cut_cell(struct unit *unit, struct cell *cell, const struct cut *entry)
{
    bool is_changed = cell_cut(cell, entry);
    if (cell->content && !cell_has_life(cell))
        free_content(unit, cell);
    return is_changed;
}

// Replaces the record of `cell` by `cuts` (taken).
static void put_record(struct unit *unit, struct cell *cell, struct cut *cuts, uint32_t count)
{
    free_cuts(unit, cell);
    cell->cuts = cuts;
    cell->cuts_count = count;
}

// Origins that the record names by a cell or by a floor.
static uint32_t count_entries(const struct unit *unit, const struct floors *floors)
{
    struct cut entry;
    uint32_t count = floors->count;
    for (uint16_t i = 0; i < unit->count; i++) {
        bool is_counted = !cut_of(&unit->cells[i], &entry);
        for (uint16_t at = 0; at < floors->count && !is_counted; at++)
            is_counted = floors->list[at].origin == entry.origin;
        count += !is_counted;
    }
    return count;
}

static uint32_t fill_entries(struct unit *unit, const struct floors *floors, struct cut *cuts)
{
    uint32_t filled = 0;
    for (uint16_t at = 0; at < floors->count; at++) {
        const struct floor *floor = &floors->list[at];
        struct cell *cell = unit_find(unit, floor->origin);
        struct cut entry = {.origin = floor->origin};
        if (cell && cut_of(cell, &entry))
            cut_cell(unit, cell, &entry);
        entry.floor = floor->upto;
        cuts[filled++] = entry;
    }
    for (uint16_t i = 0; i < unit->count; i++) {
        struct cut entry;
        bool is_in = !cut_of(&unit->cells[i], &entry);
        for (uint16_t at = 0; at < floors->count && !is_in; at++)
            is_in = floors->list[at].origin == entry.origin;
        if (is_in)
            continue;
        cut_cell(unit, &unit->cells[i], &entry);
        cuts[filled++] = entry;
    }
    return filled;
}

int unit_reset_members(struct unit *unit, uint16_t author, uint64_t sequence,
                       const struct floors *floors)
{
    bool is_live = floors->count != 0;
    for (uint16_t i = 0; i < unit->count && !is_live; i++)
        is_live = cell_is_live(&unit->cells[i]);
    if (!is_live)
        return UNIT_E_NOTHING;
    uint32_t count = count_entries(unit, floors);
    struct cut *cuts = heap_alloc(unit->heap, count * sizeof *cuts);
    struct cell *own = cuts ? unit_obtain(unit, author) : NULL;
    if (!own) {
        heap_free(unit->heap, cuts, count * sizeof *cuts);
        return -ENOMEM;
    }
    uint32_t filled = fill_entries(unit, floors, cuts);
    assert(filled == count);
    put_record(unit, own, cuts, count);
    own->reset = own->sequence = sequence;
    return 0;
}

int unit_reset(struct unit *unit, uint16_t author, uint64_t sequence)
{
    static const struct floors none;
    return unit_reset_members(unit, author, sequence, &none);
}

int unit_set(struct unit *unit, uint16_t author, uint64_t sequence, uint64_t stamp, int64_t value)
{
    int outcome = unit_reset(unit, author, sequence);
    if (outcome < 0)
        return outcome;
    struct cell *own = unit_obtain(unit, author); // there already unless nothing was reset
    if (!own)
        return -ENOMEM;
    own->sequence = sequence;
    own->base = (struct base){.sequence = sequence, .stamp = stamp, .value = value};
    own->type = CELL_COUNTER;
    return 0;
}

// ---- joins

// The absent rule: what is missing here although the vector covers it was collected here.
static bool is_collected(const struct cut *entry, const struct vector *seen)
{
    uint64_t limit = seen->sequence[entry->origin];
    return entry->write <= limit && entry->base <= limit;
}

static size_t count_missing(const struct unit *unit, const struct cell *record,
                            const struct vector *seen)
{
    size_t count = 0;
    for (uint32_t i = 0; i < record->cuts_count; i++) {
        const struct cut *entry = &record->cuts[i];
        count += !unit_find(unit, entry->origin) && !is_collected(entry, seen);
    }
    return count;
}

static bool apply_record(struct unit *unit, const struct cell *record, const struct vector *seen)
{
    bool is_changed = false;
    for (uint32_t i = 0; i < record->cuts_count; i++) {
        const struct cut *entry = &record->cuts[i];
        struct cell *cell = unit_find(unit, entry->origin);
        if (!cell && is_collected(entry, seen))
            continue;
        if (!cell)
            cell = unit_obtain(unit, entry->origin);
        assert(cell); // reserved before
        is_changed |= cut_cell(unit, cell, entry);
    }
    return is_changed;
}

// The content goes with the write that the life has after a join. `copy` of other's is taken.
static void join_content(struct unit *unit, struct cell *cell, const struct cell *other,
                         uint8_t *copy)
{
    bool is_theirs = cell->write == other->write && cell->birth == other->birth;
    if (!cell_has_life(cell)) {
        free_content(unit, cell);
        heap_free(unit->heap, copy, other->content_len);
    } else if (is_theirs && (copy || !other->content)) {
        put_content(unit, cell, copy, other->content_len);
    } else {
        heap_free(unit->heap, copy, other->content_len);
    }
}

// An older record of the author than the one held is applied too, and not kept. It says nothing new
// as long as all that it named is here; but a recovery meets cells again that had been collected
// when the newer record was made, and only the older one names them.
//
// Everything is allocated before anything changes: a record half applied would look applied.
static int join_one(struct unit *self, const struct cell *other, const struct vector *seen,
                    unsigned *changed)
{
    uint64_t limit = seen->sequence[other->origin];
    struct cell *cell = unit_find(self, other->origin);
    if (!cell && other->sequence <= limit)
        return 0;
    struct cut *cuts = NULL;
    uint8_t *content = NULL;
    uint64_t held = cell ? cell->reset : 0, write = cell ? cell->write : 0;
    bool has_record = other->reset > limit && other->reset != held;
    bool is_newest = has_record && other->reset > held;
    size_t need = self->count + (has_record ? count_missing(self, other, seen) : 0) + 1;
    int fault = unit_reserve(self, need < LIMIT_ORIGINS ? need : LIMIT_ORIGINS);
    if (!fault && is_newest)
        fault = copy_cuts(self->heap, other->cuts, other->cuts_count, &cuts);
    if (!fault && other->write > write)
        fault = copy_content(self->heap, cell_content(other), &content);
    if (fault) {
        heap_free(self->heap, cuts, other->cuts_count * sizeof *cuts);
        return fault;
    }
    cell = unit_obtain(self, other->origin);
    *changed |= cell_join(cell, other, limit);
    if (cell->content || other->content)
        join_content(self, cell, other, content);
    if (is_newest)
        put_record(self, cell, cuts, other->cuts_count);
    if (has_record && apply_record(self, other, seen))
        *changed |= CELL_CHANGED_RESET;
    return 0;
}

int unit_join(struct unit *self, const struct cell *cells, uint16_t count,
              const struct vector *seen, unsigned *out_changed)
{
    unsigned changed = 0;
    int fault = 0;
    for (uint16_t i = 0; i < count && !fault; i++)
        fault = join_one(self, &cells[i], seen, &changed);
    *out_changed = changed;
    return fault;
}

// ---- collection

static bool is_sunk(const struct cell *cell, const struct vector *seen)
{
    for (uint32_t i = 0; i < cell->cuts_count; i++) {
        if (cell->cuts[i].floor > seen->sequence[cell->cuts[i].origin])
            return false;
    }
    return true;
}

static bool drop_records(struct unit *unit, const struct vector *stable, const struct vector *seen,
                         bool *out_is_any_left)
{
    bool is_dropped = false;
    *out_is_any_left = false;
    for (uint16_t i = 0; i < unit->count; i++) {
        struct cell *cell = &unit->cells[i];
        if (cell->reset == 0)
            continue;
        if (cell->reset > stable->sequence[cell->origin] || !is_sunk(cell, seen)) {
            *out_is_any_left = true;
            continue;
        }
        free_cuts(unit, cell);
        cell->reset = 0;
        is_dropped = true;
    }
    return is_dropped;
}

// What is dead in a cell that lives on: it costs bytes, and keeps the cell from its smallest form.
static bool drop_parts(struct cell *cell, uint64_t limit)
{
    bool is_life_dropped = cell->birth && cell->write <= cell->cut_write && cell->write <= limit;
    if (is_life_dropped) {
        cell->birth = cell->write = cell->cut_write = 0;
        cell->total = cell->cut_total = 0;
    }
    bool is_base_dropped = cell->base.cut && cell->base.cut <= limit;
    if (is_base_dropped)
        cell->base.cut = 0;
    return is_life_dropped || is_base_dropped;
}

bool unit_collect(struct unit *unit, const struct vector *stable, const struct vector *seen)
{
    bool is_any_left;
    bool is_dropped = drop_records(unit, stable, seen, &is_any_left);
    if (is_any_left)
        return is_dropped;
    for (uint16_t i = unit->count; i-- > 0;) {
        struct cell *cell = &unit->cells[i];
        uint64_t limit = stable->sequence[cell->origin];
        if (limit > seen->sequence[cell->origin])
            limit = seen->sequence[cell->origin];
        bool is_whole = cell_is_dead(cell) && cell->sequence <= limit;
        is_dropped |= is_whole || drop_parts(cell, limit);
        if (is_whole)
            unit_remove(unit, cell->origin);
    }
    return is_dropped;
}

// ---- forgetting

// What is left of a life is its dead part, if that is to stay.
static void forget_life(struct unit *unit, struct cell *cell, bool is_cut_kept)
{
    bool is_dead_kept = is_cut_kept && cell->cut_write;
    free_content(unit, cell);
    cell->birth = is_dead_kept ? cell->birth : 0;
    cell->write = cell->cut_write = is_dead_kept ? cell->cut_write : 0;
    cell->total = cell->cut_total = is_dead_kept ? cell->cut_total : 0;
}

void unit_forget(struct unit *unit, const struct vector *limits)
{
    bool is_any_left;
    drop_records(unit, limits, limits, &is_any_left);
    for (uint16_t i = unit->count; i-- > 0;) {
        struct cell *cell = &unit->cells[i];
        uint64_t limit = limits->sequence[cell->origin];
        if (cell->write <= limit)
            forget_life(unit, cell, is_any_left);
        if (base_newest(&cell->base) <= limit)
            cell->base = (struct base){.cut = is_any_left ? cell->base.cut : 0};
        if (cell->sequence <= limit && !cell->birth && !cell->base.cut && !cell->reset)
            unit_remove(unit, cell->origin);
    }
}
