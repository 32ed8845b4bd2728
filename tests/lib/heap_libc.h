// SPDX-License-Identifier: Apache-2.0
// Single-threaded test allocator. `bytes` is what is allocated now: 0 at the end, or a leak.
#pragma once
#include "base/heap.h"

struct heap_libc {
    struct heap heap;
    long fail_after; // requests until one fails, once; negative: never
    size_t bytes;
};

void heap_libc_init(struct heap_libc *self);
