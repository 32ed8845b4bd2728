// SPDX-License-Identifier: Apache-2.0
// The allocator of tests: libc's, with an optional countdown after which requests fail.
#include <stdlib.h>
#include "tests/lib/heap_libc.h"

static void *resize(struct heap *heap, void *ptr, size_t size_old, size_t size_new)
{
    struct heap_libc *self = (struct heap_libc *)heap;
    if (size_new == 0) {
        free(ptr);
        self->bytes -= size_old;
        return NULL;
    }
    if (self->fail_after >= 0 && self->fail_after-- == 0)
        return NULL;
    void *fresh = realloc(ptr, size_new);
    if (fresh)
        self->bytes += size_new - size_old;
    return fresh;
}

void heap_libc_init(struct heap_libc *self)
{
    *self = (struct heap_libc){.heap.resize = resize, .fail_after = -1};
}
