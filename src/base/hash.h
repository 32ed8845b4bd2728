// SPDX-License-Identifier: Apache-2.0
// A keyed 64-bit hash for tables that users fill: 8 bytes a round of a 64x64->128 multiply, mixed
// with a per-process random seed so that collisions cannot be prepared. Not a MAC.
#pragma once
#include "base/span.h"
#include "base/wide.h"

static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
    wide_unsigned product = (wide_unsigned)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_bytes(struct span span, uint64_t seed)
{
    uint64_t state = seed ^ 0x9e3779b97f4a7c15u ^ (uint64_t)span.len;
    const uint8_t *at = span.ptr;
    size_t left = span.len;
    while (left >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        state = hash_fold(state ^ word, 0xa0761d6478bd642fu ^ (seed << 1 | 1));
        at += 8;
        left -= 8;
    }
    uint64_t tail = 0;
    if (left)
        memcpy(&tail, at, left);
    state = hash_fold(state ^ tail, 0xe7037ed1a0b428dbu);
    return hash_fold(state ^ seed, 0x8ebc6af09c88c6e3u);
}
