// SPDX-License-Identifier: Apache-2.0
// libc's allocator behind struct heap. Safe from every thread: it has no state of its own. What is
// asked for in whole huge pages is aligned to them, and the system told that they are wanted.
#include <stdlib.h>
#include <sys/mman.h>
#include "os/heap_system.h"

#define HUGE_PAGE ((size_t)1 << 21)

static void *alloc_huge(size_t size)
{
    void *ptr;
    if (posix_memalign(&ptr, HUGE_PAGE, size))
        return NULL;
    madvise(ptr, size, MADV_HUGEPAGE); // where there are none, small pages do
    return ptr;
}

static void *resize(struct heap *heap, void *ptr, size_t size_old, size_t size_new)
{
    (void)heap;
    (void)size_old;
    if (size_new == 0) {
        free(ptr);
        return NULL;
    }
    if (!ptr && size_new % HUGE_PAGE == 0)
        return alloc_huge(size_new);
    return realloc(ptr, size_new);
}

static const struct heap the_heap = {.resize = resize};

struct heap *heap_system(void)
{
    return (struct heap *)&the_heap; // never written: const so that it is no writable global
}
