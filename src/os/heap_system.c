// SPDX-License-Identifier: Apache-2.0
// libc's allocator behind struct heap. Safe from every thread: it has no state of its own. Whole
// huge pages are mapped one by one, aligned, with the wish that they be huge, and go back to the
// system when they are freed: what the keyspace lies in misses no page table, and a buffer that was
// large for once leaves nothing behind.
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "os/heap_system.h"

#define HUGE_PAGE ((size_t)1 << 21)

static bool is_huge(size_t size)
{
    return size && size % HUGE_PAGE == 0;
}

static void *map_huge(size_t size)
{
    uint8_t *start =
        mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    size_t before = -(size_t)(uintptr_t)start & (HUGE_PAGE - 1);
    if (before)
        munmap(start, before);
    munmap(start + before + size, HUGE_PAGE - before);
    madvise(start + before, size, MADV_HUGEPAGE); // where there are none, small pages do
    return start + before;
}

static void release(void *ptr, size_t size)
{
    if (is_huge(size))
        munmap(ptr, size);
    else
        free(ptr);
}

static void *resize(struct heap *heap, void *ptr, size_t size_old, size_t size_new)
{
    (void)heap;
    if (size_new && !is_huge(size_new) && !(ptr && is_huge(size_old)))
        return realloc(ptr, size_new);
    void *fresh = NULL;
    if (size_new) {
        fresh = is_huge(size_new) ? map_huge(size_new) : malloc(size_new);
        if (!fresh)
            return NULL;
    }
    if (ptr) {
        size_t kept = size_old < size_new ? size_old : size_new;
        if (kept)
            memcpy(fresh, ptr, kept);
        release(ptr, size_old);
    }
    return fresh;
}

static const struct heap the_heap = {.resize = resize};

struct heap *heap_system(void)
{
    return (struct heap *)&the_heap; // never written: const so that it is no writable global
}
