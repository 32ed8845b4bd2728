// SPDX-License-Identifier: Apache-2.0
// The keyspace as a whole, and the add: the one thing that every thread does all the time.
#include <errno.h>
#include "keyspace/private.h"

#ifdef QUIPU_TINY
#define SHARD_BITS_DEFAULT 2u
#else
#define SHARD_BITS_DEFAULT 8u // their heads fit a first-level cache
#endif

static size_t keyspace_size(unsigned shard_bits)
{
    return sizeof(struct keyspace) + (sizeof(struct shard) << shard_bits);
}

static unsigned bits_of(unsigned shards_count)
{
    unsigned bits = 0;
    while (shards_count >> (bits + 1))
        bits++;
    return shards_count ? bits : SHARD_BITS_DEFAULT;
}

struct keyspace *keyspace_new(struct heap *heap, const struct keyspace_options *options)
{
    unsigned bits = bits_of(options->shards_count);
    struct keyspace *keyspace = heap_alloc(heap, keyspace_size(bits));
    if (!keyspace)
        return NULL;
    memset(keyspace, 0, keyspace_size(bits));
    keyspace->heap = heap;
    keyspace->seed = options->hash_seed;
    keyspace->shard_bits = bits;
    table_sizes_init(keyspace);
    if (dirty_init(&keyspace->dirty, heap))
        goto free_keyspace;
    if (order_init(&keyspace->order, heap))
        goto free_dirty;
    slab_init(&keyspace->slab, heap);
    buf_init(&keyspace->packed, heap);
    pthread_mutex_init(&keyspace->grace.lock, NULL);
    for (size_t i = 0; i < (size_t)1 << bits; i++)
        pthread_mutex_init(&keyspace->shard[i].lock, NULL);
    return keyspace;
free_dirty:
    dirty_deinit(&keyspace->dirty);
free_keyspace:
    heap_free(heap, keyspace, keyspace_size(bits));
    return NULL;
}

static void free_shard(struct keyspace *keyspace, struct shard *shard)
{
    struct table *table = shard_table(shard);
    for (uint64_t i = 0; table && i < table->slots_count; i++) {
        uint64_t slot = atomic_load_explicit(&table->slot[i], memory_order_relaxed);
        struct record *record = (struct record *)(uintptr_t)(slot << 16 >> 16);
        if (slot > 1) {
            record_drop_cells(keyspace, record);
            record_free(keyspace, record);
        }
    }
    pthread_mutex_destroy(&shard->lock);
}

void keyspace_free(struct keyspace *keyspace)
{
    struct heap *heap = keyspace->heap;
    grace_free_all(keyspace);
    for (size_t i = 0; i < (size_t)1 << keyspace->shard_bits; i++)
        free_shard(keyspace, &keyspace->shard[i]);
    pthread_mutex_destroy(&keyspace->grace.lock);
    slab_deinit(&keyspace->slab);
    buf_deinit(&keyspace->packed);
    dirty_deinit(&keyspace->dirty);
    heap_free(heap, keyspace->order.ring, keyspace->order.cap * sizeof(struct record *));
    heap_free(heap, keyspace, keyspace_size(keyspace->shard_bits));
}

// Whether workers may add `amount` to a record in this state.
static inline int judge(uint32_t state, int64_t amount, uint32_t exact)
{
    enum cell_type type = state_type(state);
    if (state & RECORD_DEAD)
        return RECORD_E_DEAD;
    if (type != CELL_COUNTER && !(state & RECORD_LIVE))
        return RECORD_E_EXACT; // a deleted key's type is not the next one's
    if (type > CELL_GCOUNTER || (type == CELL_GCOUNTER && amount < 0))
        return RECORD_E_TYPE;
    return state & exact ? RECORD_E_EXACT : 0;
}

static bool is_far(int64_t number, int64_t max)
{
    return number > max || number < -max;
}

// The amount is in `value` already, the marks are not complete: complete them and queue the record.
// The key may have become something else since it was judged. A set or presence: the two were
// created at the same time, both are kept, and the drain gives the amount a counter's cell. A
// G-counter: a negative amount is taken back.
static int announce(struct keyspace *keyspace, struct record *record, int64_t amount,
                    bool *out_first)
{
    struct record *_Atomic *slot = dirty_reserve(keyspace);
    uint32_t before = atomic_fetch_or(&record->state, RECORD_DIRTY | RECORD_QUEUED | RECORD_LIVE);
    bool is_queued = before & (RECORD_QUEUED | RECORD_DEAD);
    bool is_refused = state_type(before) == CELL_GCOUNTER && amount < 0;
    if (is_refused && !(before & RECORD_DEAD))
        atomic_fetch_sub(&record->value, amount);
    if (!(before & (RECORD_LIVE | RECORD_DEAD)))
        atomic_fetch_add_explicit(&keyspace->keys_count, 1, memory_order_relaxed);
    *out_first = dirty_fill(keyspace, slot, is_queued ? NULL : record);
    if (before & RECORD_DEAD)
        return RECORD_E_DEAD; // the amount went into a record that nobody reads any more
    return is_refused ? RECORD_E_TYPE : 0;
}

static inline int add(struct keyspace *keyspace, struct record *record, int64_t amount,
                      int64_t *out_value, bool *out_first)
{
    int outcome;
    int64_t value = atomic_load_explicit(&record->value, memory_order_relaxed);
    if (is_far(value, RECORD_VALUE_MAX) || is_far(amount, RECORD_AMOUNT_MAX))
        return RECORD_E_EXACT;
    // Sequentially consistent, add before look: either we see DIRTY or DEAD as the replica thread
    // set them, or it sees our amount when it reads the value after clearing DIRTY or before DEAD.
    value = atomic_fetch_add(&record->value, amount) + amount;
    uint32_t state = atomic_load(&record->state);
    if ((state & (RECORD_DIRTY | RECORD_LIVE | RECORD_DEAD)) != (RECORD_DIRTY | RECORD_LIVE)) {
        outcome = announce(keyspace, record, amount, out_first);
        if (outcome)
            return outcome;
    }
    *out_value = value;
    return 0;
}

#define EXACT (RECORD_NEAR | RECORD_RANGE)

int keyspace_add(struct keyspace *keyspace, struct record *record, int64_t amount,
                 int64_t *out_value, bool *out_first)
{
    *out_first = false;
    int outcome = judge(atomic_load_explicit(&record->state, memory_order_acquire), amount,
                        EXACT | RECORD_MORTAL);
    return outcome ? outcome : add(keyspace, record, amount, out_value, out_first);
}

int keyspace_add_mortal(struct keyspace *keyspace, struct record *record, int64_t amount,
                        int64_t *out_value, bool *out_first)
{
    *out_first = false;
    int outcome = judge(atomic_load_explicit(&record->state, memory_order_acquire), amount, EXACT);
    return outcome ? outcome : add(keyspace, record, amount, out_value, out_first);
}

int64_t keyspace_deadline(const struct keyspace *keyspace, const struct record *record)
{
    struct address address = {.kind = UNIT_DEADLINE, .key = record_address(record).key};
    if (!(record_flags(record) & RECORD_MORTAL))
        return 0;
    const struct record *deadline =
        keyspace_find(keyspace, &address, keyspace_hash(keyspace, &address));
    return deadline ? record_value(deadline) : 0;
}

uint64_t keyspace_keys_count(const struct keyspace *keyspace)
{
    return atomic_load_explicit(&keyspace->keys_count, memory_order_relaxed);
}

struct keyspace_memory keyspace_memory(const struct keyspace *keyspace)
{
    uint64_t tables = atomic_load_explicit(&keyspace->tables_bytes, memory_order_relaxed);
    struct keyspace_memory memory = {
        .records_bytes = atomic_load_explicit(&keyspace->slab.bytes, memory_order_relaxed) - tables,
        .tables_bytes = tables + keyspace_size(keyspace->shard_bits),
        .order_bytes = keyspace->order.cap * sizeof(struct record *),
        .records_count = atomic_load_explicit(&keyspace->records_count, memory_order_relaxed),
    };
    memory.in_use_bytes = atomic_load_explicit(&keyspace->slab.in_use, memory_order_relaxed) +
                          memory.tables_bytes + memory.order_bytes;
    return memory;
}
