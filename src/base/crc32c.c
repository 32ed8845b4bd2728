// SPDX-License-Identifier: Apache-2.0
// SSE4.2's crc32 where the compiler may use it, else bit by bit: same polynomial, same result.
#include "base/crc32c.h"

#if defined(__SSE4_2__)
#include <nmmintrin.h>

uint32_t crc32c_extend(uint32_t crc, struct span span)
{
    uint64_t state = ~crc;
    const uint8_t *at = span.ptr;
    size_t left = span.len;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        state = _mm_crc32_u64(state, word);
    }
    for (; left; left--, at++)
        state = _mm_crc32_u8((uint32_t)state, *at);
    return ~(uint32_t)state;
}

#else

static uint32_t step(uint32_t state, uint8_t byte)
{
    state ^= byte;
    for (int bit = 0; bit < 8; bit++)
        state = (state >> 1) ^ (0x82f63b78u & -(state & 1));
    return state;
}

uint32_t crc32c_extend(uint32_t crc, struct span span)
{
    uint32_t state = ~crc;
    for (size_t i = 0; i < span.len; i++)
        state = step(state, span.ptr[i]);
    return ~state;
}

#endif
