// SPDX-License-Identifier: Apache-2.0
// Seeded chance (xoshiro256**, Blackman and Vigna 2018, seeded by splitmix64). Not for secrets.
#pragma once
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_init(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);
// Uniform in [0, bound); bound 0 gives 0.
uint64_t prng_below(struct prng *prng, uint64_t bound);
// One splitmix64 step: a cheap bijective mixer.
uint64_t prng_mix(uint64_t value);
