// SPDX-License-Identifier: Apache-2.0
// Memory of records: blocks of multiples of 8 bytes out of chunks, a free list a size. Blocks never
// go back to the heap one by one; a chunk holds any sizes. Anything above the largest size is an
// allocation of its own. Blocks whose size is a multiple of 64 begin on a cache line.
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

static int refill(struct slab *slab)
{
    struct slab_chunk *chunk = heap_alloc(slab->heap, slab->chunk_bytes);
    if (!chunk)
        return -ENOMEM;
    skip(slab, (size_t)(slab->end - slab->at));
    *chunk = (struct slab_chunk){.next = slab->chunks, .size = slab->chunk_bytes};
    slab->chunks = chunk;
    slab->at = (uint8_t *)(chunk + 1);
    slab->end = (uint8_t *)chunk + chunk->size;
    slab->bytes += chunk->size;
    if (slab->chunk_bytes < SLAB_CHUNK)
        slab->chunk_bytes *= 2;
    return 0;
}

static size_t to_line(const struct slab *slab, size_t size)
{
    return size % 64 == 0 ? -(size_t)(uintptr_t)slab->at & 63 : 0;
}

static void *carve(struct slab *slab, size_t size)
{
    if ((size_t)(slab->end - slab->at) < size + to_line(slab, size) && refill(slab))
        return NULL;
    skip(slab, to_line(slab, size));
    void *block = slab->at;
    slab->at += size;
    return block;
}

void *slab_alloc(struct slab *slab, size_t size)
{
    size = rounded(size);
    bool is_large = size > SLAB_CLASSES * SLAB_STEP;
    pthread_mutex_lock(&slab->lock);
    void *block = is_large ? heap_alloc(slab->heap, size) : take_free(slab, size);
    if (is_large && block)
        slab->bytes += size;
    if (!is_large && !block)
        block = carve(slab, size);
    pthread_mutex_unlock(&slab->lock);
    return block;
}

void slab_free(struct slab *slab, void *block, size_t size)
{
    size = rounded(size);
    pthread_mutex_lock(&slab->lock);
    if (size > SLAB_CLASSES * SLAB_STEP) {
        heap_free(slab->heap, block, size);
        slab->bytes -= size;
    } else {
        put_free(slab, block, size);
    }
    pthread_mutex_unlock(&slab->lock);
}
