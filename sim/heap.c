// SPDX-License-Identifier: Apache-2.0
// malloc behind a counter. A refusal is for one request only: the process is expected to die of it.
#include <stdlib.h>
#include "sim/heap.h"

static void *resize(struct heap *heap, void *ptr, size_t size_old, size_t size_new)
{
    struct sim_heap *self = (struct sim_heap *)heap;
    if (size_new == 0) {
        free(ptr);
        self->bytes -= size_old;
        return NULL;
    }
    if (self->fail_after >= 0 && self->fail_after-- == 0) {
        self->refused++;
        return NULL;
    }
    void *fresh = realloc(ptr, size_new);
    if (!fresh)
        abort();
    self->bytes += size_new - size_old;
    return fresh;
}

void sim_heap_init(struct sim_heap *self)
{
    *self = (struct sim_heap){.heap.resize = resize, .fail_after = -1};
}
