// SPDX-License-Identifier: Apache-2.0
// Memory of records: blocks of multiples of 8 bytes out of chunks, a free list a size. Blocks never
// go back to the heap one by one; a chunk holds any sizes, and arrays that a shard outgrew become
// chunks. Anything above the largest size is an
// allocation of its own. Blocks whose size is a multiple of 64 begin on a cache line.
#include <errno.h>
#include "keyspace/private.h"

void slab_init(struct slab *slab, struct heap *heap)
{
    *slab = (struct slab){.heap = heap, .chunk_bytes = SLAB_FIRST_STEP};
    pthread_mutex_init(&slab->lock, NULL);
}

static void free_chunks(struct slab *slab, struct slab_chunk *chunk)
{
    while (chunk) {
        struct slab_chunk *next = chunk->next;
        heap_free(slab->heap, chunk, chunk->size);
        chunk = next;
    }
}

void slab_deinit(struct slab *slab)
{
    free_chunks(slab, slab->chunks);
    free_chunks(slab, slab->donated);
    pthread_mutex_destroy(&slab->lock);
}

void slab_donate(struct slab *slab, void *block, size_t size)
{
    struct slab_chunk *chunk = block;
    pthread_mutex_lock(&slab->lock);
    *chunk = (struct slab_chunk){.next = slab->donated, .size = size};
    slab->donated = chunk;
    slab->bytes += size;
    pthread_mutex_unlock(&slab->lock);
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

static struct slab_chunk *take_chunk(struct slab *slab)
{
    struct slab_chunk *chunk = slab->donated;
    if (chunk) {
        slab->donated = chunk->next;
        return chunk;
    }
    chunk = heap_alloc(slab->heap, slab->chunk_bytes);
    if (!chunk)
        return NULL;
    chunk->size = slab->chunk_bytes;
    slab->bytes += chunk->size;
    if (slab->chunk_bytes < SLAB_CHUNK)
        slab->chunk_bytes *= 2;
    return chunk;
}

static int refill(struct slab *slab)
{
    struct slab_chunk *chunk = take_chunk(slab);
    if (!chunk)
        return -ENOMEM;
    skip(slab, (size_t)(slab->end - slab->at));
    chunk->next = slab->chunks;
    slab->chunks = chunk;
    slab->at = (uint8_t *)(chunk + 1);
    slab->end = (uint8_t *)chunk + chunk->size;
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
