// SPDX-License-Identifier: Apache-2.0
// The allocator that pure rooms are handed: they call no malloc themselves, so that a test can fail
// the n-th request and a simulated node can be measured and discarded whole.
#pragma once
#include <errno.h> // what a failed request becomes: -ENOMEM
#include <stddef.h>

struct heap {
    // realloc's contract with the old size told: NULL and 0 to allocate, size_new 0 to release
    // (returns NULL). On failure returns NULL and the old block stays valid.
    void *(*resize)(struct heap *heap, void *ptr, size_t size_old, size_t size_new);
};

static inline void *heap_alloc(struct heap *heap, size_t size)
{
    return heap->resize(heap, NULL, 0, size);
}

static inline void *heap_resize(struct heap *heap, void *ptr, size_t size_old, size_t size_new)
{
    return heap->resize(heap, ptr, size_old, size_new);
}

static inline void heap_free(struct heap *heap, void *ptr, size_t size)
{
    if (ptr)
        heap->resize(heap, ptr, size, 0);
}
