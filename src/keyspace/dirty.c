// SPDX-License-Identifier: Apache-2.0
// The dirty queue: records whose value workers changed, each once (the QUEUED flag sees to it),
// from many producers to the replica thread. Chunks of slots; a producer takes a slot by one
// fetch-add and fills it. No pointer in the record, so a counter that rests costs nothing here.
//
// When no chunk can be had the queue overflows: the record is marked LOST and the consumer finds it
// by a walk over the keyspace. Nothing is lost, it is only slower. A QUEUED record is on the queue
// exactly once, or it is LOST, so a record that is neither can be removed. DIRTY is apart from
// that, because the replica thread may look at a record before its turn comes.
#include <errno.h>
#include "keyspace/private.h"

static struct dirty_chunk *chunk_new(struct dirty *dirty)
{
    // Acquire-release: the chunk's zeros come with it.
    struct dirty_chunk *chunk = atomic_exchange_explicit(&dirty->spare, NULL, memory_order_acq_rel);
    if (!chunk)
        chunk = heap_alloc(dirty->heap, sizeof *chunk);
    if (chunk)
        memset(chunk, 0, sizeof *chunk);
    return chunk;
}

int dirty_init(struct dirty *dirty, struct heap *heap)
{
    *dirty = (struct dirty){.heap = heap};
    dirty->head = chunk_new(dirty);
    if (!dirty->head)
        return -ENOMEM;
    atomic_store_explicit(&dirty->tail, dirty->head, memory_order_relaxed);
    return 0;
}

void dirty_deinit(struct dirty *dirty)
{
    struct dirty_chunk *spare = atomic_load_explicit(&dirty->spare, memory_order_relaxed);
    heap_free(dirty->heap, spare, sizeof *spare);
    while (dirty->head) {
        struct dirty_chunk *chunk = dirty->head;
        dirty->head = atomic_load_explicit(&chunk->next, memory_order_relaxed);
        heap_free(dirty->heap, chunk, sizeof *chunk);
    }
}

// A full chunk is followed by a new one, ours or that of whoever was faster. NULL: no memory.
static struct dirty_chunk *advance(struct dirty *dirty, struct dirty_chunk *full)
{
    // Acquire: pairs with the release below, the chunk is seen zeroed.
    struct dirty_chunk *next = atomic_load_explicit(&full->next, memory_order_acquire);
    if (!next) {
        struct dirty_chunk *fresh = chunk_new(dirty);
        if (!fresh)
            return NULL;
        if (atomic_compare_exchange_strong_explicit(&full->next, &next, fresh, memory_order_acq_rel,
                                                    memory_order_acquire))
            next = fresh;
        else
            heap_free(dirty->heap, fresh, sizeof *fresh); // never published
    }
    struct dirty_chunk *expected = full;
    atomic_compare_exchange_strong_explicit(&dirty->tail, &expected, next, memory_order_acq_rel,
                                            memory_order_relaxed);
    return next;
}

struct record *_Atomic *dirty_reserve(struct keyspace *keyspace)
{
    struct dirty *dirty = &keyspace->dirty;
    // Acquire: pairs with the release that published the chunk as tail.
    struct dirty_chunk *chunk = atomic_load_explicit(&dirty->tail, memory_order_acquire);
    while (chunk) {
        uint32_t at = atomic_fetch_add_explicit(&chunk->reserved, 1, memory_order_relaxed);
        if (at < DIRTY_CHUNK)
            return &chunk->slot[at];
        chunk = advance(dirty, chunk);
    }
    atomic_fetch_add(&dirty->losing, 1);
    return NULL;
}

// What a slot holds that was reserved for nothing.
static struct record *nobody(struct dirty *dirty)
{
    return (struct record *)(void *)dirty;
}

bool dirty_fill(struct keyspace *keyspace, struct record *_Atomic *slot, struct record *record)
{
    struct dirty *dirty = &keyspace->dirty;
    if (slot) {
        // Release: pairs with the consumer's acquire of the slot.
        atomic_store_explicit(slot, record ? record : nobody(dirty), memory_order_release);
    } else {
        if (record) {
            atomic_fetch_or(&record->state, RECORD_LOST);
            atomic_store(&dirty->is_overflow, true);
        }
        atomic_fetch_sub(&dirty->losing, 1);
    }
    // Sequentially consistent, against the consumer's clearing of is_pending before it looks:
    // either it sees our slot or we see it cleared.
    return record && !atomic_load(&dirty->is_pending) && !atomic_exchange(&dirty->is_pending, true);
}

// ---- the consumer

static struct record *take_slot(struct keyspace *keyspace)
{
    struct dirty *dirty = &keyspace->dirty;
    if (dirty->head_at == DIRTY_CHUNK) {
        struct dirty_chunk *done = dirty->head;
        // Acquire: pairs with advance().
        struct dirty_chunk *next = atomic_load_explicit(&done->next, memory_order_acquire);
        if (!next)
            return NULL;
        // A producer that was slow may still hold `tail` as it was: it must not find it gone.
        struct dirty_chunk *expected = done;
        atomic_compare_exchange_strong_explicit(&dirty->tail, &expected, next, memory_order_acq_rel,
                                                memory_order_relaxed);
        dirty->head = next;
        dirty->head_at = 0;
        grace_retire_chunk(keyspace, done);
    }
    struct dirty_chunk *chunk = dirty->head;
    uint32_t ahead = dirty->head_at + 8;
    if (ahead < DIRTY_CHUNK)
        record_prefetch(atomic_load_explicit(&chunk->slot[ahead], memory_order_relaxed));
    // Sequentially consistent: after the clearing of is_pending (see dirty_fill).
    struct record *record = atomic_load(&chunk->slot[dirty->head_at]);
    if (record)
        dirty->head_at++;
    return record;
}

static struct record *next_record(struct keyspace *keyspace)
{
    struct record *record;
    do {
        record = take_slot(keyspace);
    } while (record == nobody(&keyspace->dirty));
    return record;
}

// Whether the queue's end is its end: no slot is reserved behind it, nothing is about to be lost.
// Slots are reserved before records are marked, so what a worker found marked, and therefore did
// not queue itself, is reserved here. In this order: is_overflow is set before `losing` sinks.
static bool is_at_end(struct dirty *dirty)
{
    uint32_t reserved = atomic_load(&dirty->head->reserved);
    if (reserved > DIRTY_CHUNK)
        reserved = DIRTY_CHUNK;
    return dirty->head_at == reserved && !atomic_load(&dirty->head->next) &&
           !atomic_load(&dirty->losing) && !atomic_load(&dirty->is_overflow);
}

static void requeue_visit(void *ctx, struct record *record)
{
    struct keyspace *keyspace = ctx;
    if (!(record_flags(record) & RECORD_LOST))
        return;
    struct record *_Atomic *slot = dirty_reserve(keyspace);
    if (slot)
        atomic_fetch_and(&record->state, ~(uint32_t)RECORD_LOST);
    dirty_fill(keyspace, slot, record);
}

static void requeue(struct keyspace *keyspace)
{
    atomic_store(&keyspace->dirty.is_overflow, false);
    uint64_t cursor = 0;
    do {
        cursor = keyspace_scan(keyspace, cursor, 1024, requeue_visit, keyspace);
    } while (cursor);
}

struct record *keyspace_drain(struct keyspace *keyspace)
{
    struct dirty *dirty = &keyspace->dirty;
    if (!dirty->is_draining) {
        dirty->is_draining = true;
        atomic_store(&dirty->is_pending, false);
        if (atomic_load(&dirty->is_overflow))
            requeue(keyspace);
    }
    struct record *record;
    while ((record = next_record(keyspace))) {
        // Sequentially consistent: cleared before the caller reads the value (see keyspace_add).
        uint32_t before =
            atomic_fetch_and(&record->state, ~(uint32_t)(RECORD_DIRTY | RECORD_QUEUED));
        if (before & RECORD_DIRTY)
            return record;
    }
    dirty->is_draining = false;
    dirty->is_drained = is_at_end(dirty);
    return NULL;
}

bool keyspace_is_drained(const struct keyspace *keyspace)
{
    return keyspace->dirty.is_drained;
}

bool record_take_mark(struct record *record)
{
    // Sequentially consistent, as in keyspace_drain.
    return (atomic_fetch_and(&record->state, ~(uint32_t)RECORD_DIRTY) & RECORD_DIRTY) != 0;
}

bool keyspace_is_clean(const struct keyspace *keyspace)
{
    return !keyspace->dirty.is_draining && !atomic_load(&keyspace->dirty.is_pending);
}
