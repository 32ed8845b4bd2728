// SPDX-License-Identifier: Apache-2.0
// Strict mode: answers that wait for the disk, in order, as two runs of bytes, each with the commit
// it waits for. Two are enough: at any moment one commit is under way and one is to come; what asks
// for a third joins the second, which only makes it wait longer.
#pragma once
#include "base/buf.h"

struct held {
    struct buf bytes;
    size_t first_len;                // bytes of the first run
    uint64_t first, second;          // commits; 0: no such run
    uint32_t first_answers, answers; // of the first run; of both
};

void held_init(struct held *held, struct heap *heap);
void held_deinit(struct held *held);
static inline bool held_is_empty(const struct held *held)
{
    return held->first == 0;
}
// What was appended to held->bytes since the last call is `answers` answers that wait for `commit`,
// or, with 0, for nothing of their own: they only follow what is there.
void held_add(struct held *held, uint32_t answers, uint64_t commit);
// The bytes that commit `done` lets go, to be sent and then dropped by held_drop. May be empty.
struct span held_due(const struct held *held, uint64_t done);
void held_drop(struct held *held, uint64_t done);
// Forgets everything; returns how many answers it was.
uint32_t held_discard(struct held *held);
