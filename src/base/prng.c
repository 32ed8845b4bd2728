// SPDX-License-Identifier: Apache-2.0
// xoshiro256** with Lemire's multiply-shift for a bounded draw; its bias (below 2^-64 of the bound)
// does not matter for anything chosen here.
#include "base/prng.h"
#include "base/wide.h"

uint64_t prng_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

void prng_init(struct prng *prng, uint64_t seed)
{
    for (uint64_t i = 0; i < 4; i++)
        prng->state[i] = prng_mix(seed + i * 0x9e3779b97f4a7c15u);
}

static uint64_t rotate(uint64_t value, int by)
{
    return (value << by) | (value >> (64 - by));
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    return (uint64_t)(((wide_unsigned)prng_next(prng) * bound) >> 64);
}
