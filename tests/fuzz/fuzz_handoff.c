// SPDX-License-Identifier: Apache-2.0
// A handoff client's message from a stranger: what is read is written the same again, and may be
// taken in and answered.
#include <assert.h>
#include "crdt/handoff.h"
#include "tests/lib/heap_libc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heap_libc heap;
    struct handoff_node message, again, server, answer;
    struct handoff_id id = {{7}};
    struct buf bytes;
    heap_libc_init(&heap);
    if (handoff_read(span_of(data, size), &heap.heap, &message))
        return 0;
    buf_init(&bytes, &heap.heap);
    handoff_write(&message, &bytes);
    assert(handoff_read(buf_span(&bytes), &heap.heap, &again) == 0);
    handoff_deinit(&again);
    buf_deinit(&bytes);
    handoff_init(&server, &heap.heap, &id, 0);
    assert(handoff_merge(&server, &message, HANDOFF_SAFE) == 0);
    assert(handoff_tell(&server, &message.id, message.tier, &answer) == 0);
    handoff_deinit(&answer);
    handoff_deinit(&server);
    handoff_deinit(&message);
    assert(heap.bytes == 0);
    return 0;
}
