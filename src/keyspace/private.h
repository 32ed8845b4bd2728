// SPDX-License-Identifier: Apache-2.0
// Between the files of the keyspace room: layouts. A counter with a 16-byte key and one small cell
// is a record of 56 bytes; with its slot in the table it costs about 70.
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "keyspace/keyspace.h"

struct family {                // of a key that has or had children
    struct children *children; // NULL: none now
};

struct wide {        // cells that do not fit in their record, in memory of their own
    uint32_t bytes;  // of all of it
    uint8_t cells[]; // behind the family, which begins aligned, in a parent
};

static inline bool kind_is_attached(enum unit_kind kind)
{
    return kind == UNIT_TOKEN || kind == UNIT_DEADLINE;
}

// Behind the head of a key: the key, then room for the packed cells. Of a child: its place in the
// key's array (children.c; attached ones have none), which fills the head up, the parent's address,
// then member or owner, then the room. A member's block begins behind `value`: it is 1 while the
// member is live, so it is not kept.
// The room of a wide record has the address of its cells, that of one removed the next such record.
struct record {
    _Atomic int64_t value;
    _Atomic uint64_t change; // its number << 16 | length of key, member or owner, which stays
    _Atomic uint32_t state;  // RECORD_* flags, type << 8, kind << 12 (kind never changes)
    uint8_t bytes[];
};

#define RECORD_ROOM_MIN    12u // at least; a block's size is a multiple of 8
#define RECORD_ROOM_MEMBER 8u  // one add, while sequences and origins are small
#define RECORD_ROOM_KEY    20u // of a key and a retry token: numbers are large there

#define STATE_TYPE_SHIFT 8
#define STATE_KIND_SHIFT 12
#define STATE_TYPE_MASK  (0xfu << STATE_TYPE_SHIFT)
#define STATE_FLAGS      ((1u << STATE_TYPE_SHIFT) - 1)
#define STATE_WIDE       (1u << 16) // replica thread only, as the next
#define STATE_PARENT     (1u << 17) // wide, with a family
// A child is live in its key's generation only (children.c).
#define STATE_GENERATION_SHIFT 20
#define STATE_GENERATION_MASK  0xfffu

static inline enum cell_type state_type(uint32_t state)
{
    return (enum cell_type)(state >> STATE_TYPE_SHIFT & 0xf);
}

static inline enum unit_kind state_kind(uint32_t state)
{
    return (enum unit_kind)(state >> STATE_KIND_SHIFT & 0xf);
}

static inline uint32_t state_in_generation(uint32_t state, uint32_t generation)
{
    return (state & ((1u << STATE_GENERATION_SHIFT) - 1)) | generation << STATE_GENERATION_SHIFT;
}

// Relaxed: the kind is written before the record is published and never again.
static inline enum unit_kind record_kind(const struct record *record)
{
    return state_kind(atomic_load_explicit(&record->state, memory_order_relaxed));
}

static inline uint32_t *record_place(const struct record *child)
{
    return (uint32_t *)(uintptr_t)child->bytes;
}

static inline struct record **record_parent_link(const struct record *child)
{
    return (struct record **)(uintptr_t)(child + 1); // its size is a multiple of 8
}

static inline size_t record_len(const struct record *record)
{
    return atomic_load_explicit(&record->change, memory_order_relaxed) & 0xffff;
}

// The common record lies on one line or two.
static inline void record_prefetch(const struct record *record)
{
    __builtin_prefetch(record, 1);
    __builtin_prefetch((const uint8_t *)record + 55, 1);
}

// ---- table.c

struct table {
    uint64_t slots_count;
    struct table *retired_next;
    _Atomic uint64_t slot[]; // 0 empty, 1 removed, else tag << 48 | address of a record
};

struct shard { // one cache line; fields but `table` under the lock
    pthread_mutex_t lock;
    _Atomic uint64_t table; // its address, and above it the step of its size; 0: none yet
    uint64_t used_count;    // slots not empty, removed ones too
    uint64_t live_count;
};

// A shard's array is of one of these sizes, so that a reader finds a hash's home in it without
// touching its head, which would be one more miss. Shards begin with four different sizes: they do
// not all grow at the same time, and what one outgrew is used up by the records of others.
#define TABLE_FIRST      8u // and 9, 10, 11
#define TABLE_STEPS      64u
#define TABLE_STEP_SHIFT 48

static inline struct table *shard_table(const struct shard *shard)
{
    // Acquire: pairs with the release in grow().
    uint64_t table = atomic_load_explicit(&shard->table, memory_order_acquire);
    return (struct table *)(uintptr_t)(table & (((uint64_t)1 << TABLE_STEP_SHIFT) - 1));
}

// ---- slab.c: records by size, and arrays, in chunks; large records alone

#define SLAB_STEP       8u
#define SLAB_CLASSES    64u        // up to 512 bytes
#define SLAB_CHUNK      (1u << 21) // a huge page, where the system has them
#define SLAB_FIRST_STEP 2048u      // the first chunks are small, so that an empty keyspace is

struct slab_chunk {
    struct slab_chunk *next;
    size_t size;
};

struct slab_range { // in a chunk, free for records
    struct slab_range *next;
    size_t size;
};

struct slab {
    pthread_mutex_t lock;
    struct heap *heap;
    struct slab_chunk *chunks;
    struct slab_range *ranges;
    uint8_t *at, *end;             // what is left of the range that records are cut off
    uint8_t *array_at, *array_end; // of the chunk that arrays are
    void *free[SLAB_CLASSES + 1];
    size_t chunk_bytes;      // of the next chunk
    _Atomic uint64_t bytes;  // taken from the heap
    _Atomic uint64_t in_use; // of them, by records; written under the lock, read by anybody
};

void slab_init(struct slab *slab, struct heap *heap);
void slab_deinit(struct slab *slab); // frees the chunks, not the large blocks
void *slab_alloc(struct slab *slab, size_t size);
void slab_free(struct slab *slab, void *block, size_t size);
void *slab_alloc_array(struct slab *slab, size_t size);
void slab_free_array(struct slab *slab, void *block, size_t size);

// ---- dirty.c: many producers, one consumer

#define DIRTY_CHUNK 1022u

struct dirty_chunk {
    struct dirty_chunk *_Atomic next;
    _Atomic uint32_t reserved; // may run past DIRTY_CHUNK
    struct record *_Atomic slot[DIRTY_CHUNK];
};

struct dirty {
    struct heap *heap;
    struct dirty_chunk *_Atomic tail;
    atomic_bool is_pending;  // somebody queued since the last drain began
    _Atomic uint32_t losing; // producers without a slot that have not said so yet
    atomic_bool is_overflow; // a chunk could not be allocated: drain by a walk
    struct dirty_chunk *_Atomic spare;
    // the consumer's
    struct dirty_chunk *head;
    uint32_t head_at;
    bool is_draining;
    bool is_drained; // the last drain came to the end
};

int dirty_init(struct dirty *dirty, struct heap *heap);
void dirty_deinit(struct dirty *dirty);
// In two steps, with the record's mark between them: who then sees the mark knows of the slot.
// NULL: no memory; dirty_fill is due all the same.
struct record *_Atomic *dirty_reserve(struct keyspace *keyspace);
// NULL: it was on the queue already. True: wake the consumer.
bool dirty_fill(struct keyspace *keyspace, struct record *_Atomic *slot, struct record *record);

// ---- order.c

struct order {
    struct record **ring;
    uint64_t cap; // power of two
    uint64_t newest;
    uint64_t oldest; // below it a record that changed may have fallen out
};

int order_init(struct order *order, struct heap *heap);
void order_forget(struct order *order, struct record *record);

// ---- grace.c: what waits for a grace period

struct grace_batch;

struct grace {
    pthread_mutex_t lock; // of the two lists: growth retires tables on any thread
    struct table *tables;
    struct record *records;
    struct dirty_chunk *chunks; // linked by their own next pointers
    struct grace_batch *batch;  // the period under way, with what it holds
    struct table *batch_tables;
    struct record *batch_records;
    struct dirty_chunk *batch_chunks;
};

void grace_retire_table(struct keyspace *keyspace, struct table *table);
void grace_retire_record(struct keyspace *keyspace, struct record *record);
void grace_retire_chunk(struct keyspace *keyspace, struct dirty_chunk *chunk);
void grace_free_all(struct keyspace *keyspace); // no other thread is left

// ---- keyspace.c

struct keyspace {
    struct heap *heap;
    uint64_t seed;
    unsigned shard_bits;
    uint64_t table_sizes[TABLE_FIRST / 2][TABLE_STEPS];
    _Atomic uint64_t keys_count;
    _Atomic uint64_t tables_bytes, records_count;
    struct buf packed; // cells on their way into a record; replica thread only
    struct dirty dirty;
    struct order order;
    struct slab slab;
    struct grace grace;
    struct shard shard[];
};

// record.c
struct record *record_new(struct keyspace *keyspace, const struct address *address,
                          struct record *parent, enum cell_type type);
void record_free(struct keyspace *keyspace, struct record *record); // its cells are dropped already
bool record_is_at(const struct record *record, const struct address *address);
uint64_t record_hash(const struct keyspace *keyspace, const struct record *record);
void record_drop_cells(struct keyspace *keyspace, struct record *record);
int record_found_family(struct keyspace *keyspace, struct record *record); // of a parent to be
struct family *record_family(const struct record *record);                 // NULL: no parent
struct record *record_dead_next(const struct record *record);
void record_set_dead_next(struct record *record, struct record *next);

// children.c
int record_found_children(struct keyspace *keyspace, struct record *parent); // before the first
void record_drop_children(struct keyspace *keyspace, struct record *parent);
void record_link(struct record *parent, struct record *child);
void record_unlink(struct keyspace *keyspace, struct record *child);
uint32_t record_generation(const struct record *record);
// After its state changed.
void record_child_marked(struct keyspace *keyspace, struct record *child, uint32_t before,
                         uint32_t after);
size_t table_size(uint64_t slots_count);
void table_sizes_init(struct keyspace *keyspace);
