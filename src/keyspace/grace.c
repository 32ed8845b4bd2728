// SPDX-License-Identifier: Apache-2.0
// Reclamation: what was taken out of the keyspace is freed when every thread has been quiescent
// since (liburcu, QSBR). One batch is under way at a time: call_rcu tells when its period is over,
// and the replica thread then frees it, so that memory is given back on one thread only.
#include <stdlib.h>
#include <urcu-qsbr.h>
#include "keyspace/private.h"

// Thread sanitizer does not see into liburcu: what a quiescent state orders is told here, on the
// address of a function.
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static void tell_release(void)
{
    __tsan_release((void *)(uintptr_t)keyspace_quiesce);
}
static void tell_acquire(void)
{
    __tsan_acquire((void *)(uintptr_t)keyspace_quiesce);
}
#else
static void tell_release(void)
{
}
static void tell_acquire(void)
{
}
#endif

#define RECORDS_A_STEP 4096u // that are given back at once

enum { BATCH_WAITING, BATCH_OVER, BATCH_ABANDONED };

struct grace_batch { // outlives the keyspace if that goes first
    struct rcu_head head;
    _Atomic int state;
};

void keyspace_thread_start(void)
{
    rcu_register_thread();
}

void keyspace_thread_stop(void)
{
    rcu_unregister_thread();
}

void keyspace_quiesce(void)
{
    tell_release();
    rcu_quiescent_state();
}

void keyspace_offline(void)
{
    tell_release();
    rcu_thread_offline();
}

void keyspace_online(void)
{
    rcu_thread_online();
}

void keyspace_await(void)
{
    tell_release();
    synchronize_rcu();
    tell_acquire();
}

void grace_retire_table(struct keyspace *keyspace, struct table *table)
{
    struct grace *grace = &keyspace->grace;
    pthread_mutex_lock(&grace->lock);
    table->retired_next = grace->tables;
    grace->tables = table;
    pthread_mutex_unlock(&grace->lock);
}

void grace_retire_record(struct keyspace *keyspace, struct record *record)
{
    struct grace *grace = &keyspace->grace;
    pthread_mutex_lock(&grace->lock);
    record_set_dead_next(record, grace->records);
    grace->records = record;
    pthread_mutex_unlock(&grace->lock);
}

// Replica thread only, as all that concerns chunks: no lock. Its own `next` must stay as it is for
// a slow producer, so retired chunks are linked through their first slot.
void grace_retire_chunk(struct keyspace *keyspace, struct dirty_chunk *chunk)
{
    struct grace *grace = &keyspace->grace;
    atomic_store_explicit(&chunk->slot[0], (struct record *)(void *)grace->chunks,
                          memory_order_relaxed);
    grace->chunks = chunk;
}

static struct dirty_chunk *next_chunk(const struct dirty_chunk *chunk)
{
    return (struct dirty_chunk *)(void *)atomic_load_explicit(&chunk->slot[0],
                                                              memory_order_relaxed);
}

static void free_tables(struct keyspace *keyspace, struct table *table)
{
    while (table) {
        struct table *next = table->retired_next;
        size_t size = table_size(table->slots_count);
        atomic_fetch_sub_explicit(&keyspace->tables_bytes, size, memory_order_relaxed);
        slab_free_array(&keyspace->slab, table, size);
        table = next;
    }
}

// `count` of them at most; the rest.
static struct record *free_records(struct keyspace *keyspace, struct record *record, size_t count)
{
    while (record && count-- > 0) {
        struct record *next = record_dead_next(record);
        __builtin_prefetch(next);
        record_free(keyspace, record);
        record = next;
    }
    return record;
}

// One drained chunk is kept for the next producer that needs one.
static void free_chunks(struct keyspace *keyspace, struct dirty_chunk *chunk)
{
    while (chunk) {
        struct dirty_chunk *next = next_chunk(chunk);
        struct dirty_chunk *none = NULL;
        // Release: pairs with chunk_new's exchange.
        if (!atomic_compare_exchange_strong_explicit(&keyspace->dirty.spare, &none, chunk,
                                                     memory_order_acq_rel, memory_order_relaxed))
            heap_free(keyspace->heap, chunk, sizeof *chunk);
        chunk = next;
    }
}

// All but the records, of which there may be many.
static void free_batch(struct keyspace *keyspace)
{
    struct grace *grace = &keyspace->grace;
    tell_acquire();
    free_tables(keyspace, grace->batch_tables);
    free_chunks(keyspace, grace->batch_chunks);
    grace->batch_tables = NULL;
    grace->batch_chunks = NULL;
}

static void take_batch(struct grace *grace)
{
    pthread_mutex_lock(&grace->lock);
    grace->batch_tables = grace->tables;
    grace->batch_records = grace->records;
    grace->tables = NULL;
    grace->records = NULL;
    pthread_mutex_unlock(&grace->lock);
    grace->batch_chunks = grace->chunks;
    grace->chunks = NULL;
}

static void period_over(struct rcu_head *head)
{
    struct grace_batch *batch = (struct grace_batch *)head;
    tell_acquire();
    // Acquire-release: whoever comes second frees the batch, after the first has let go of it.
    if (atomic_exchange(&batch->state, BATCH_OVER) == BATCH_ABANDONED)
        free(batch);
}

static bool is_anything_retired(struct grace *grace)
{
    pthread_mutex_lock(&grace->lock);
    bool is_any = grace->tables || grace->records || grace->chunks;
    pthread_mutex_unlock(&grace->lock);
    return is_any;
}

bool keyspace_reclaim(struct keyspace *keyspace)
{
    struct grace *grace = &keyspace->grace;
    if (grace->batch) {
        if (atomic_load(&grace->batch->state) != BATCH_OVER)
            return false;
        free(grace->batch);
        grace->batch = NULL;
        free_batch(keyspace);
    }
    grace->batch_records = free_records(keyspace, grace->batch_records, RECORDS_A_STEP);
    if (grace->batch_records)
        return true;
    if (!is_anything_retired(grace))
        return false;
    grace->batch = malloc(sizeof *grace->batch);
    if (!grace->batch)
        return false; // what is retired waits for a better time
    atomic_init(&grace->batch->state, BATCH_WAITING);
    take_batch(grace);
    tell_release();
    call_rcu(&grace->batch->head, period_over);
    return false;
}

void grace_free_all(struct keyspace *keyspace)
{
    struct grace *grace = &keyspace->grace;
    if (grace->batch && atomic_exchange(&grace->batch->state, BATCH_ABANDONED) == BATCH_OVER)
        free(grace->batch);
    grace->batch = NULL;
    for (unsigned i = 0; i < 2; i++) {
        free_batch(keyspace);
        free_records(keyspace, grace->batch_records, SIZE_MAX);
        grace->batch_records = NULL;
        if (i == 0)
            take_batch(grace);
    }
}
