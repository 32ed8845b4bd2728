// SPDX-License-Identifier: Apache-2.0
// How long to wait before trying again: doubled with each failure in a row, and from half of that
// on by chance, so that many who failed together do not come back together.
#pragma once
#include "base/prng.h"

struct backoff {
    uint64_t min_ms, max_ms;
};

// `failures`: in a row before this one.
static inline uint64_t backoff_ms(struct backoff backoff, unsigned failures, struct prng *prng)
{
    uint64_t wait_ms = backoff.min_ms << (failures < 16 ? failures : 16);
    if (wait_ms > backoff.max_ms)
        wait_ms = backoff.max_ms;
    return wait_ms / 2 + prng_below(prng, wait_ms / 2 + 1);
}
