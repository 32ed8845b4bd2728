// SPDX-License-Identifier: Apache-2.0
// A simulated process's memory: counts what is held, and can be told to refuse.
#pragma once
#include "base/heap.h"
#include <stdint.h>

struct sim_heap {
    struct heap heap;
    uint64_t bytes;     // held now
    int64_t fail_after; // requests until one is refused, once; negative: never
    uint64_t refused;
};

void sim_heap_init(struct sim_heap *self);
