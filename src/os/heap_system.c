// SPDX-License-Identifier: Apache-2.0
// libc's allocator behind struct heap. Safe from every thread: it has no state of its own.
#include <stdlib.h>
#include "os/heap_system.h"

static void *resize(struct heap *heap, void *ptr, size_t size_old, size_t size_new)
{
    (void)heap;
    (void)size_old;
    if (size_new == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size_new);
}

static const struct heap the_heap = {.resize = resize};

struct heap *heap_system(void)
{
    return (struct heap *)&the_heap; // never written: const so that it is no writable global
}
