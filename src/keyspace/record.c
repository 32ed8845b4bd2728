// SPDX-License-Identifier: Apache-2.0
// One record: its layout, what any thread may ask of it, its packed cells.
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include "base/hash.h"
#include "keyspace/private.h"

static inline size_t head_size(enum unit_kind kind)
{
    return kind == UNIT_KEY ? offsetof(struct record, bytes)
                            : sizeof(struct record) + sizeof(struct record *);
}

// What of the head is not in the block.
static inline size_t missing_size(enum unit_kind kind)
{
    return kind == UNIT_MEMBER ? offsetof(struct record, change) : 0;
}

static inline size_t with_room(enum unit_kind kind, size_t used)
{
    bool is_large = kind == UNIT_KEY || kind == UNIT_TOKEN;
    size_t room = is_large ? RECORD_ROOM_KEY : RECORD_ROOM_MIN;
    if (kind == UNIT_MEMBER)
        room = RECORD_ROOM_MEMBER;
    return (used + room + SLAB_STEP - 1) & ~(size_t)(SLAB_STEP - 1);
}

static size_t size_of(enum unit_kind kind, size_t len)
{
    return with_room(kind, head_size(kind) + len);
}

static uint8_t *own_start(const struct record *record)
{
    return (uint8_t *)(uintptr_t)record + head_size(record_kind(record));
}

static struct span own_bytes(const struct record *record)
{
    return span_of(own_start(record), record_len(record));
}

struct record *record_new(struct keyspace *keyspace, const struct address *address,
                          struct record *parent, enum cell_type type)
{
    struct span bytes = address->kind == UNIT_KEY ? address->key : address->sub;
    assert(bytes.len <= LIMIT_KEY_BYTES);
    size_t missing = missing_size(address->kind);
    size_t size = size_of(address->kind, bytes.len) - missing;
    uint8_t *block = slab_alloc(&keyspace->slab, size);
    if (!block)
        return NULL;
    memset(block, 0, size);
    struct record *record = (struct record *)(void *)(block - missing);
    atomic_init(&record->change, bytes.len);
    atomic_init(&record->state,
                (uint32_t)type << STATE_TYPE_SHIFT | (uint32_t)address->kind << STATE_KIND_SHIFT);
    if (parent)
        *record_parent_link(record) = parent;
    if (bytes.len)
        memcpy(own_start(record), bytes.ptr, bytes.len);
    atomic_fetch_add_explicit(&keyspace->records_count, 1, memory_order_relaxed);
    return record;
}

void record_free(struct keyspace *keyspace, struct record *record)
{
    atomic_fetch_sub_explicit(&keyspace->records_count, 1, memory_order_relaxed);
    enum unit_kind kind = record_kind(record);
    size_t missing = missing_size(kind);
    slab_free(&keyspace->slab, (uint8_t *)record + missing,
              size_of(kind, record_len(record)) - missing);
}

bool record_is_at(const struct record *record, const struct address *address)
{
    if (record_kind(record) != address->kind)
        return false;
    if (address->kind == UNIT_KEY)
        return span_is_equal(own_bytes(record), address->key);
    return span_is_equal(own_bytes(record), address->sub) &&
           span_is_equal(own_bytes(*record_parent_link(record)), address->key);
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
    uint32_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    if (state_kind(state) != UNIT_KEY && (state & RECORD_LIVE) &&
        state >> STATE_GENERATION_SHIFT != record_generation(*record_parent_link(record)))
        state &= ~(uint32_t)RECORD_LIVE; // its whole set was deleted
    return state & STATE_FLAGS;
}

enum cell_type record_type(const struct record *record)
{
    return state_type(atomic_load_explicit(&record->state, memory_order_acquire));
}

int64_t record_value(const struct record *record)
{
    if (record_kind(record) == UNIT_MEMBER)
        return record_flags(record) & RECORD_LIVE;
    return atomic_load_explicit(&record->value, memory_order_relaxed);
}

int64_t record_value_now(const struct record *record)
{
    return record_kind(record) == UNIT_MEMBER ? record_value(record) : atomic_load(&record->value);
}

struct address record_address(const struct record *record)
{
    struct address address = {.kind = record_kind(record)};
    if (address.kind == UNIT_KEY) {
        address.key = own_bytes(record);
    } else {
        address.key = own_bytes(*record_parent_link(record));
        address.sub = own_bytes(record);
    }
    return address;
}

// ---- the replica thread: cells

static inline struct span room_of(const struct record *record)
{
    size_t used = head_size(record_kind(record)) + record_len(record);
    return span_of((const uint8_t *)record + used, with_room(record_kind(record), used) - used);
}

// Relaxed: these bits are this thread's alone; the workers' bits are kept.
static inline bool has(const struct record *record, uint32_t bits)
{
    return (atomic_load_explicit(&record->state, memory_order_relaxed) & bits) != 0;
}

static void set_form(struct record *record, uint32_t form)
{
    uint32_t clear = (STATE_WIDE | STATE_PARENT) & ~form;
    if (form)
        atomic_fetch_or_explicit(&record->state, form, memory_order_relaxed);
    if (clear)
        atomic_fetch_and_explicit(&record->state, ~clear, memory_order_relaxed);
}

static void *room_pointer(const struct record *record)
{
    void *pointer;
    memcpy(&pointer, room_of(record).ptr, sizeof pointer);
    return pointer;
}

static void set_room_pointer(struct record *record, const void *pointer)
{
    memcpy((uint8_t *)(uintptr_t)room_of(record).ptr, &pointer, sizeof pointer);
}

struct record *record_dead_next(const struct record *record)
{
    return room_pointer(record);
}

void record_set_dead_next(struct record *record, struct record *next)
{
    set_room_pointer(record, next);
}

#define FAMILY_AT 8u // in a wide

static size_t cells_at(bool is_parent)
{
    return is_parent ? FAMILY_AT + sizeof(struct family) : sizeof(struct wide);
}

struct family *record_family(const struct record *record)
{
    return has(record, STATE_PARENT)
               ? (struct family *)(void *)((uint8_t *)room_pointer(record) + FAMILY_AT)
               : NULL;
}

static struct span packed_in_wide(const struct record *record)
{
    const struct wide *wide = room_pointer(record);
    size_t at = cells_at(has(record, STATE_PARENT));
    return span_of((const uint8_t *)wide + at, wide->bytes - at);
}

static inline struct span packed_of(const struct record *record)
{
    return has(record, STATE_WIDE) ? packed_in_wide(record) : room_of(record);
}

static void drop_wide(struct keyspace *keyspace, struct record *record)
{
    struct wide *wide = has(record, STATE_WIDE) ? room_pointer(record) : NULL;
    if (wide)
        slab_free(&keyspace->slab, wide, wide->bytes);
}

size_t record_memory(const struct record *record)
{
    enum unit_kind kind = record_kind(record);
    size_t bytes = size_of(kind, record_len(record)) - missing_size(kind);
    return has(record, STATE_WIDE) ? bytes + ((const struct wide *)room_pointer(record))->bytes
                                   : bytes;
}

void record_drop_cells(struct keyspace *keyspace, struct record *record)
{
    record_drop_children(keyspace, record);
    drop_wide(keyspace, record);
    set_form(record, 0);
    *(uint8_t *)(uintptr_t)room_of(record).ptr = 0;
}

// Into `space`, which has room for them; what lies behind them there is not theirs.
static void fill(struct span space, struct span packed)
{
    uint8_t *to = (uint8_t *)(uintptr_t)space.ptr;
    if (packed.len)
        memcpy(to, packed.ptr, packed.len);
    if (packed.len < space.len)
        to[packed.len] = 0;
}

static int put_wide(struct keyspace *keyspace, struct record *record, struct span packed,
                    uint32_t form)
{
    size_t at = cells_at(form & STATE_PARENT);
    size_t size = (at + packed.len + SLAB_STEP - 1) & ~(size_t)(SLAB_STEP - 1);
    struct wide *wide = slab_alloc(&keyspace->slab, size);
    if (!wide)
        return -ENOMEM;
    memset(wide, 0, at);
    wide->bytes = (uint32_t)size;
    if (form & STATE_PARENT && record_family(record))
        memcpy((uint8_t *)wide + FAMILY_AT, record_family(record), sizeof(struct family));
    fill(span_of((uint8_t *)wide + at, size - at), packed);
    drop_wide(keyspace, record);
    set_room_pointer(record, wide);
    set_form(record, form);
    return 0;
}

// In place when they fit and there is no child. A wide record keeps its memory as long as that is
// not much too large.
static int put_packed(struct keyspace *keyspace, struct record *record, struct span packed)
{
    struct span room = room_of(record);
    if (!has(record, STATE_WIDE) && packed.len <= room.len) {
        fill(room, packed);
        return 0;
    }
    bool is_wide = has(record, STATE_WIDE), is_parent = record_is_parent(record);
    struct span space = packed_of(record);
    if (!is_parent && packed.len <= room.len) {
        record_drop_cells(keyspace, record);
        fill(room, packed);
        return 0;
    }
    if (!is_wide || packed.len > space.len || packed.len + 64 < space.len / 2)
        return put_wide(keyspace, record, packed,
                        is_parent ? STATE_WIDE | STATE_PARENT : STATE_WIDE);
    fill(space, packed);
    return 0;
}

int record_load(const struct record *record, struct unit *unit)
{
    return packed_read(packed_of(record), unit);
}

int record_load_brief(const struct record *record, struct unit *unit)
{
    return packed_read_brief(packed_of(record), unit);
}

int record_store(struct keyspace *keyspace, struct record *record, struct unit *unit)
{
    packed_write(unit, &keyspace->packed);
    if (buf_has_failed(&keyspace->packed) ||
        put_packed(keyspace, record, buf_span(&keyspace->packed)))
        return -ENOMEM;
    unit_clear(unit);
    return 0;
}

bool record_is_bare(const struct record *record)
{
    return packed_is_empty(packed_of(record));
}

bool record_has_news(const struct record *record, const struct vector *known)
{
    return packed_has_news(packed_of(record), known);
}

bool record_plain(const struct record *record, struct plain_cell *out_cell)
{
    return packed_read_plain(packed_of(record), out_cell);
}

int record_put_plain(struct keyspace *keyspace, struct record *record,
                     const struct plain_cell *cell)
{
    uint8_t packed[PACKED_PLAIN_MAX];
    return put_packed(keyspace, record, span_of(packed, packed_write_plain(packed, cell)));
}

unsigned record_write(const struct record *record, const struct vector *known, struct buf *out)
{
    struct address address = record_address(record);
    if (record_is_stale(record))
        return 0; // what is left of it the set's record takes away
    return packed_put_unit(packed_of(record), &address, known, out);
}

int record_found_family(struct keyspace *keyspace, struct record *record)
{
    if (has(record, STATE_PARENT))
        return 0;
    return put_wide(keyspace, record, packed_of(record), STATE_WIDE | STATE_PARENT);
}

// ---- the replica thread: value and flags

int64_t record_shift(struct record *record, int64_t difference)
{
    if (record_kind(record) == UNIT_MEMBER)
        return record_value(record); // told by its mark
    return (int64_t)((uint64_t)atomic_fetch_add(&record->value, difference) + (uint64_t)difference);
}

uint32_t record_mark(struct keyspace *keyspace, struct record *record, uint32_t set, uint32_t clear,
                     enum cell_type type)
{
    uint32_t before = atomic_load(&record->state), after;
    const struct record *parent = record_parent(record);
    uint32_t generation = parent ? record_generation(parent) : before >> STATE_GENERATION_SHIFT;
    do {
        uint32_t kept = before & RECORD_DIRTY ? before & RECORD_LIVE : 0;
        after =
            (before & ~(clear | STATE_TYPE_MASK)) | kept | set | (uint32_t)type << STATE_TYPE_SHIFT;
        after = state_in_generation(after, generation);
    } while (!atomic_compare_exchange_weak(&record->state, &before, after));
    if (state_kind(before) == UNIT_KEY && (before ^ after) & RECORD_LIVE)
        atomic_fetch_add_explicit(&keyspace->keys_count, after & RECORD_LIVE ? 1 : (uint64_t)-1,
                                  memory_order_relaxed);
    if (parent)
        record_child_marked(keyspace, record, before, after);
    return before & STATE_FLAGS;
}
