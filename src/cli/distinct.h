// SPDX-License-Identifier: Apache-2.0
// How many different keys there were, without keeping them: a set of their 128-bit hashes, 16 bytes
// a key at a load of one half. Two keys are taken for one with a chance of about n² / 2^129.
#pragma once
#include "base/heap.h"
#include "base/span.h"

struct distinct {
    struct heap *heap;
    struct distinct_slot {
        uint64_t low, high; // both 0: empty
    } * slots;
    size_t cap; // a power of two, or 0
    uint64_t count;
    uint64_t seed;
    bool has_failed; // out of memory: the count is a lower bound from here on
};

void distinct_init(struct distinct *distinct, struct heap *heap, uint64_t seed);
void distinct_deinit(struct distinct *distinct);
void distinct_add(struct distinct *distinct, struct span key);
