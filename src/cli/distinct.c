// SPDX-License-Identifier: Apache-2.0
// Open addressing with linear probing; the low word of the hash chooses the slot.
#include "base/hash.h"
#include "cli/distinct.h"

#define SLOTS_MIN 1024

void distinct_init(struct distinct *distinct, struct heap *heap, uint64_t seed)
{
    *distinct = (struct distinct){.heap = heap, .seed = seed};
}

void distinct_deinit(struct distinct *distinct)
{
    heap_free(distinct->heap, distinct->slots, distinct->cap * sizeof *distinct->slots);
    distinct->slots = NULL;
    distinct->cap = 0;
}

static struct distinct_slot *find(struct distinct_slot *slots, size_t cap,
                                  struct distinct_slot wanted)
{
    for (size_t at = wanted.low & (cap - 1);; at = (at + 1) & (cap - 1)) {
        struct distinct_slot *slot = &slots[at];
        bool is_empty = slot->low == 0 && slot->high == 0;
        if (is_empty || (slot->low == wanted.low && slot->high == wanted.high))
            return slot;
    }
}

static bool grow(struct distinct *distinct)
{
    size_t cap = distinct->cap ? distinct->cap * 2 : SLOTS_MIN;
    struct distinct_slot *slots = heap_alloc(distinct->heap, cap * sizeof *slots);
    if (!slots)
        return false;
    memset(slots, 0, cap * sizeof *slots);
    for (size_t i = 0; i < distinct->cap; i++) {
        struct distinct_slot slot = distinct->slots[i];
        if (slot.low || slot.high)
            *find(slots, cap, slot) = slot;
    }
    heap_free(distinct->heap, distinct->slots, distinct->cap * sizeof *slots);
    distinct->slots = slots;
    distinct->cap = cap;
    return true;
}

void distinct_add(struct distinct *distinct, struct span key)
{
    if (distinct->has_failed)
        return;
    if (distinct->count * 2 >= distinct->cap && !grow(distinct)) {
        distinct->has_failed = true;
        return;
    }
    struct distinct_slot wanted = {hash_bytes(key, distinct->seed),
                                   hash_bytes(key, ~distinct->seed) | 1};
    struct distinct_slot *slot = find(distinct->slots, distinct->cap, wanted);
    if (slot->high)
        return;
    *slot = wanted;
    distinct->count++;
}
