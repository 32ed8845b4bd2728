// SPDX-License-Identifier: Apache-2.0
// One record: its layout, what any thread may ask of it, its cells in the small and the wide form,
// and the list of members and leases that hang on a key.
#include <assert.h>
#include <errno.h>
#include "base/hash.h"
#include "keyspace/private.h"

static size_t head_size(enum unit_kind kind)
{
    return sizeof(struct record) + (kind == UNIT_KEY ? 0 : sizeof(struct child_links));
}

static size_t record_size(const struct record *record)
{
    return head_size(record_kind(record)) + record->len;
}

static struct span own_bytes(const struct record *record)
{
    return span_of((const uint8_t *)record + head_size(record_kind(record)), record->len);
}

struct record *record_new(struct keyspace *keyspace, const struct address *address,
                          struct record *parent, enum cell_type type)
{
    struct span bytes = address->kind == UNIT_KEY ? address->key : address->sub;
    assert(bytes.len <= LIMIT_KEY_BYTES);
    struct record *record = slab_alloc(&keyspace->slab, head_size(address->kind) + bytes.len);
    if (!record)
        return NULL;
    *record = (struct record){.len = (uint16_t)bytes.len, .origin = ORIGIN_NONE};
    uint32_t state = (uint32_t)type << STATE_TYPE_SHIFT | (uint32_t)address->kind
                                                              << STATE_KIND_SHIFT;
    atomic_init(&record->state, state);
    if (parent)
        *record_links(record) = (struct child_links){.parent = parent};
    if (bytes.len)
        memcpy((uint8_t *)record + head_size(address->kind), bytes.ptr, bytes.len);
    atomic_fetch_add_explicit(&keyspace->records_count, 1, memory_order_relaxed);
    return record;
}

void record_free(struct keyspace *keyspace, struct record *record)
{
    atomic_fetch_sub_explicit(&keyspace->records_count, 1, memory_order_relaxed);
    slab_free(&keyspace->slab, record, record_size(record));
}

bool record_is_at(const struct record *record, const struct address *address)
{
    if (record_kind(record) != address->kind)
        return false;
    if (address->kind == UNIT_KEY)
        return span_is_equal(own_bytes(record), address->key);
    return span_is_equal(own_bytes(record), address->sub) &&
           span_is_equal(own_bytes(record_links(record)->parent), address->key);
}

uint64_t keyspace_hash(const struct keyspace *keyspace, const struct address *address)
{
    uint64_t hash = hash_bytes(address->key, keyspace->seed);
    if (address->kind != UNIT_KEY)
        hash = hash_bytes(address->sub, hash + (uint64_t)address->kind);
    return hash;
}

uint64_t record_hash(const struct keyspace *keyspace, const struct record *record)
{
    struct address address = record_address(record);
    return keyspace_hash(keyspace, &address);
}

// ---- any thread

uint32_t record_flags(const struct record *record)
{
    // Acquire: pairs with record_mark, so that LIVE comes with the value that made it so.
    return atomic_load_explicit(&record->state, memory_order_acquire) &
           ((1u << STATE_TYPE_SHIFT) - 1);
}

enum cell_type record_type(const struct record *record)
{
    return state_type(atomic_load_explicit(&record->state, memory_order_acquire));
}

int64_t record_value(const struct record *record)
{
    return atomic_load_explicit(&record->value, memory_order_relaxed);
}

int64_t record_value_now(const struct record *record)
{
    return atomic_load(&record->value);
}

struct address record_address(const struct record *record)
{
    struct address address = {.kind = record_kind(record)};
    if (address.kind == UNIT_KEY) {
        address.key = own_bytes(record);
    } else {
        address.key = own_bytes(record_links(record)->parent);
        address.sub = own_bytes(record);
    }
    return address;
}

// ---- the replica thread: cells

static bool is_wide(const struct record *record)
{
    return (atomic_load_explicit(&record->state, memory_order_relaxed) & RECORD_WIDE) != 0;
}

struct unit *record_unit(struct record *record)
{
    return is_wide(record) ? &record->wide->unit : NULL;
}

struct record_cell *record_small(struct record *record, uint16_t *out_origin)
{
    *out_origin = record->origin;
    return is_wide(record) ? NULL : &record->small;
}

void record_small_put(struct record *record, uint16_t origin, struct record_cell cell)
{
    assert(!is_wide(record));
    record->origin = origin;
    record->small = cell;
}

static struct cell cell_of_small(const struct record *record)
{
    return (struct cell){.sequence = record->small.sequence,
                         .birth = record->small.birth,
                         .write = record->small.sequence,
                         .total = record->small.total,
                         .origin = record->origin,
                         .type = (uint8_t)record_type(record)};
}

struct unit record_cells(const struct record *record, struct cell *space)
{
    if (is_wide(record))
        return record->wide->unit;
    *space = cell_of_small(record);
    return (struct unit){.cells = space, .count = record->origin != ORIGIN_NONE, .cap = 1};
}

int record_load(const struct record *record, struct unit *unit)
{
    struct cell space;
    struct unit source = record_cells(record, &space);
    return unit_copy(unit, &source);
}

static unsigned write_small(const struct record *record, const struct vector *known,
                            struct buf *out)
{
    const struct record_cell *small = &record->small;
    if (record->origin == ORIGIN_NONE ||
        small->sequence <= (known ? known->sequence[record->origin] : 0))
        return 0;
    unit_write_plain(own_bytes(record),
                     &(struct plain_cell){.sequence = small->sequence,
                                          .birth = small->birth,
                                          .total = small->total,
                                          .origin = record->origin,
                                          .type = record_type(record)},
                     out);
    return 1;
}

unsigned record_write(const struct record *record, const struct vector *known, struct buf *out)
{
    if (!is_wide(record) && record_kind(record) == UNIT_KEY)
        return write_small(record, known, out);
    struct cell space;
    struct address address = record_address(record);
    struct unit unit = record_cells(record, &space);
    return unit_write(&unit, &address, known, out);
}

static bool is_small_enough(const struct record *record, const struct unit *unit)
{
    const struct cell *cell = unit->cells;
    if (unit->count == 0)
        return true;
    return unit->count == 1 && cell->birth && cell->write == cell->sequence && !cell->cut_write &&
           !cell->cut_total && !cell->reset && !cell->base.sequence && !cell->base.cut &&
           cell->type == record_type(record) && cell->type != CELL_PRESENCE;
}

static void set_wide(struct record *record, bool wide)
{
    // Relaxed: only this thread reads the bit; the others' bits are kept.
    if (wide)
        atomic_fetch_or_explicit(&record->state, RECORD_WIDE, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&record->state, ~(uint32_t)RECORD_WIDE, memory_order_relaxed);
}

static void wide_bytes_add(struct keyspace *keyspace, int64_t bytes)
{
    atomic_fetch_add_explicit(&keyspace->wide_bytes, (uint64_t)bytes, memory_order_relaxed);
}

void record_drop_cells(struct keyspace *keyspace, struct record *record)
{
    if (!is_wide(record))
        return;
    unit_deinit(&record->wide->unit);
    heap_free(keyspace->heap, record->wide, sizeof *record->wide);
    wide_bytes_add(keyspace, -(int64_t)sizeof(struct wide));
    record->wide = NULL;
    set_wide(record, false);
}

// To the wide form, with the cell that was in place.
int record_widen(struct keyspace *keyspace, struct record *record)
{
    if (is_wide(record))
        return 0;
    struct wide *wide = heap_alloc(keyspace->heap, sizeof *wide);
    if (!wide)
        return -ENOMEM;
    *wide = (struct wide){0};
    unit_init(&wide->unit, keyspace->heap);
    if (record_load(record, &wide->unit)) {
        heap_free(keyspace->heap, wide, sizeof *wide);
        return -ENOMEM;
    }
    record->wide = wide;
    record->origin = ORIGIN_NONE;
    set_wide(record, true);
    wide_bytes_add(keyspace, (int64_t)sizeof *wide);
    return 0;
}

int record_store(struct keyspace *keyspace, struct record *record, struct unit *unit)
{
    bool is_parent = record_first_child(record) != NULL;
    if (!is_parent && is_small_enough(record, unit)) {
        struct cell cell = unit->count ? unit->cells[0] : (struct cell){.origin = ORIGIN_NONE};
        record_drop_cells(keyspace, record);
        record->origin = cell.origin;
        record->small = (struct record_cell){cell.sequence, cell.birth, cell.total};
        unit_clear(unit);
        return 0;
    }
    if (!is_wide(record)) {
        struct wide *wide = heap_alloc(keyspace->heap, sizeof *wide);
        if (!wide)
            return -ENOMEM;
        *wide = (struct wide){0};
        record->wide = wide;
        record->origin = ORIGIN_NONE;
        set_wide(record, true);
        wide_bytes_add(keyspace, (int64_t)sizeof *wide);
    } else {
        unit_deinit(&record->wide->unit);
    }
    record->wide->unit = *unit;
    unit_init(unit, record->wide->unit.heap);
    return 0;
}

// ---- the replica thread: value and flags

int64_t record_shift(struct record *record, int64_t difference)
{
    return (int64_t)((uint64_t)atomic_fetch_add(&record->value, difference) + (uint64_t)difference);
}

uint32_t record_mark(struct keyspace *keyspace, struct record *record, uint32_t set, uint32_t clear,
                     enum cell_type type)
{
    uint32_t before = atomic_load(&record->state), after;
    do {
        uint32_t kept = before & RECORD_DIRTY ? before & RECORD_LIVE : 0;
        after =
            (before & ~(clear | STATE_TYPE_MASK)) | kept | set | (uint32_t)type << STATE_TYPE_SHIFT;
    } while (!atomic_compare_exchange_weak(&record->state, &before, after));
    if (state_kind(before) == UNIT_KEY && (before ^ after) & RECORD_LIVE)
        atomic_fetch_add_explicit(&keyspace->keys_count, after & RECORD_LIVE ? 1 : (uint64_t)-1,
                                  memory_order_relaxed);
    else if ((before ^ after) & RECORD_LIVE)
        record_links(record)->parent->wide->live_children += after & RECORD_LIVE ? 1 : (uint64_t)-1;
    return before & ((1u << STATE_TYPE_SHIFT) - 1);
}

// ---- children

struct record *record_parent(const struct record *record)
{
    return record_kind(record) == UNIT_KEY ? NULL : record_links(record)->parent;
}

struct record *record_first_child(const struct record *parent)
{
    return is_wide(parent) ? parent->wide->first_child : NULL;
}

bool record_has_live_child(const struct record *parent)
{
    return is_wide(parent) && parent->wide->live_children != 0;
}

struct record *record_next_child(const struct record *child)
{
    return record_links(child)->next;
}

// The parent is wide already.
void record_link(struct record *parent, struct record *child)
{
    struct child_links *links = record_links(child);
    links->next = parent->wide->first_child;
    links->previous = NULL;
    if (links->next)
        record_links(links->next)->previous = child;
    parent->wide->first_child = child;
}

void record_unlink(struct record *child)
{
    struct child_links *links = record_links(child);
    if (links->next)
        record_links(links->next)->previous = links->previous;
    if (links->previous)
        record_links(links->previous)->next = links->next;
    else
        links->parent->wide->first_child = links->next;
}
