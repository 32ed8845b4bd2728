// SPDX-License-Identifier: Apache-2.0
// Memory of records and of the shards' arrays, out of chunks that grow to the size of a huge page,
// so that a look-up misses no page table. Records are blocks of multiples of 8 bytes, a free list a
// size, cut off the front of a range; those whose size is a multiple of 64 begin on a cache line.
// Arrays are cut off chunks of their own; what a shard has outgrown, and the rest of a chunk, are
// ranges for records to come. Chunks go back to the heap all at once, at the end.
#include <errno.h>
#include "keyspace/private.h"

void slab_init(struct slab *slab, struct heap *heap)
{
    *slab = (struct slab){.heap = heap, .chunk_bytes = SLAB_FIRST_STEP};
    pthread_mutex_init(&slab->lock, NULL);
}

void slab_deinit(struct slab *slab)
{
    while (slab->chunks) {
        struct slab_chunk *chunk = slab->chunks;
        slab->chunks = chunk->next;
        heap_free(slab->heap, chunk, chunk->size);
    }
    pthread_mutex_destroy(&slab->lock);
}

static size_t rounded(size_t size)
{
    return (size + SLAB_STEP - 1) & ~(size_t)(SLAB_STEP - 1);
}

static void put_free(struct slab *slab, void *block, size_t size)
{
    memcpy(block, &slab->free[size / SLAB_STEP], sizeof(void *));
    slab->free[size / SLAB_STEP] = block;
}

static void *take_free(struct slab *slab, size_t size)
{
    void *block = slab->free[size / SLAB_STEP];
    if (block)
        memcpy(&slab->free[size / SLAB_STEP], block, sizeof(void *));
    return block;
}

// Cuts the front of the newest chunk off into the free lists.
static void skip(struct slab *slab, size_t bytes)
{
    size_t most = SLAB_CLASSES * SLAB_STEP;
    while (bytes) {
        size_t part = bytes < most ? bytes : most;
        put_free(slab, slab->at, part);
        slab->at += part;
        bytes -= part;
    }
}

// A range too small for an array, or none of which an array needs any more.
static void put_range(struct slab *slab, void *start, size_t size)
{
    if (size <= sizeof(struct slab_range))
        return;
    struct slab_range *range = start;
    *range = (struct slab_range){.next = slab->ranges, .size = size};
    slab->ranges = range;
}

// A new chunk with at least `size` bytes behind its head. NULL: no memory.
static struct slab_chunk *take_chunk(struct slab *slab, size_t size)
{
    while (slab->chunk_bytes < sizeof(struct slab_chunk) + size)
        slab->chunk_bytes *= 2;
    struct slab_chunk *chunk = heap_alloc(slab->heap, slab->chunk_bytes);
    if (!chunk)
        return NULL;
    *chunk = (struct slab_chunk){.next = slab->chunks, .size = slab->chunk_bytes};
    slab->chunks = chunk;
    atomic_fetch_add_explicit(&slab->bytes, chunk->size, memory_order_relaxed);
    if (slab->chunk_bytes < SLAB_CHUNK)
        slab->chunk_bytes *= 2;
    else
        slab->chunk_bytes = SLAB_CHUNK;
    return chunk;
}

static int refill(struct slab *slab)
{
    struct slab_range *range = slab->ranges;
    struct slab_chunk *chunk = range ? NULL : take_chunk(slab, SLAB_FIRST_STEP / 2);
    if (!range && !chunk)
        return -ENOMEM;
    skip(slab, (size_t)(slab->end - slab->at));
    if (range) {
        slab->ranges = range->next;
        slab->at = (uint8_t *)range;
        slab->end = slab->at + range->size;
    } else {
        slab->at = (uint8_t *)(chunk + 1);
        slab->end = (uint8_t *)chunk + chunk->size;
    }
    return 0;
}

static size_t to_line(const struct slab *slab, size_t size)
{
    return size % 64 == 0 ? -(size_t)(uintptr_t)slab->at & 63 : 0;
}

static void *carve(struct slab *slab, size_t size)
{
    while ((size_t)(slab->end - slab->at) < size + to_line(slab, size)) {
        if (refill(slab))
            return NULL;
    }
    skip(slab, to_line(slab, size));
    void *block = slab->at;
    slab->at += size;
    return block;
}

// Relaxed: a figure, it orders nothing.
static void count_use(struct slab *slab, size_t added, size_t taken)
{
    uint64_t in_use = atomic_load_explicit(&slab->in_use, memory_order_relaxed);
    atomic_store_explicit(&slab->in_use, in_use + added - taken, memory_order_relaxed);
}

void *slab_alloc(struct slab *slab, size_t size)
{
    size = rounded(size);
    bool is_large = size > SLAB_CLASSES * SLAB_STEP;
    pthread_mutex_lock(&slab->lock);
    void *block = is_large ? heap_alloc(slab->heap, size) : take_free(slab, size);
    if (is_large && block)
        atomic_fetch_add_explicit(&slab->bytes, size, memory_order_relaxed);
    if (!is_large && !block)
        block = carve(slab, size);
    count_use(slab, block ? size : 0, 0);
    pthread_mutex_unlock(&slab->lock);
    return block;
}

void slab_free(struct slab *slab, void *block, size_t size)
{
    size = rounded(size);
    pthread_mutex_lock(&slab->lock);
    if (size > SLAB_CLASSES * SLAB_STEP) {
        heap_free(slab->heap, block, size);
        atomic_fetch_sub_explicit(&slab->bytes, size, memory_order_relaxed);
    } else {
        put_free(slab, block, size);
    }
    count_use(slab, 0, size);
    pthread_mutex_unlock(&slab->lock);
}

static void *carve_array(struct slab *slab, size_t size)
{
    if ((size_t)(slab->array_end - slab->array_at) < size) {
        struct slab_chunk *chunk = take_chunk(slab, size);
        if (!chunk)
            return NULL;
        put_range(slab, slab->array_at, (size_t)(slab->array_end - slab->array_at));
        slab->array_at = (uint8_t *)(chunk + 1);
        slab->array_end = (uint8_t *)chunk + chunk->size;
    }
    void *block = slab->array_at;
    slab->array_at += size;
    return block;
}

void *slab_alloc_array(struct slab *slab, size_t size)
{
    if (size <= SLAB_CLASSES * SLAB_STEP)
        return slab_alloc(slab, size);
    pthread_mutex_lock(&slab->lock);
    void *block = carve_array(slab, rounded(size));
    pthread_mutex_unlock(&slab->lock);
    return block;
}

void slab_free_array(struct slab *slab, void *block, size_t size)
{
    if (size <= SLAB_CLASSES * SLAB_STEP) {
        slab_free(slab, block, size);
        return;
    }
    pthread_mutex_lock(&slab->lock);
    put_range(slab, block, rounded(size));
    pthread_mutex_unlock(&slab->lock);
}
