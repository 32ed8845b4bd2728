// SPDX-License-Identifier: Apache-2.0
// Numbers only; the bytes are moved once, when the first of two runs leaves.
#include <assert.h>
#include "db/held.h"

#define KEEP_BYTES 16384 // of an empty buffer

void held_init(struct held *held, struct heap *heap)
{
    *held = (struct held){0};
    buf_init(&held->bytes, heap);
}

void held_deinit(struct held *held)
{
    buf_deinit(&held->bytes);
}

void held_add(struct held *held, uint32_t answers, uint64_t commit)
{
    assert(commit || held->first);
    held->answers += answers;
    if (!held->first)
        held->first = commit;
    else if (commit > held->first && commit > held->second)
        held->second = commit;
    if (!held->second) {
        held->first_len = held->bytes.len;
        held->first_answers = held->answers;
    }
}

struct span held_due(const struct held *held, uint64_t done)
{
    if (!held->first || done < held->first)
        return (struct span){0};
    bool is_all = !held->second || done >= held->second;
    return span_of(held->bytes.ptr, is_all ? held->bytes.len : held->first_len);
}

void held_drop(struct held *held, uint64_t done)
{
    if (!held->first || done < held->first)
        return;
    if (!held->second || done >= held->second) {
        held_discard(held);
        return;
    }
    buf_consume(&held->bytes, held->first_len);
    held->answers -= held->first_answers;
    held->first = held->second;
    held->second = 0;
    held->first_len = held->bytes.len;
    held->first_answers = held->answers;
}

uint32_t held_discard(struct held *held)
{
    uint32_t answers = held->answers;
    buf_clear(&held->bytes);
    buf_shrink(&held->bytes, KEEP_BYTES);
    held->first = held->second = 0;
    held->first_len = 0;
    held->answers = held->first_answers = 0;
    return answers;
}
