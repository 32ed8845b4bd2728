// SPDX-License-Identifier: Apache-2.0
// Hexadecimal digits: read in either case, written in lower case, two a byte.
#pragma once
#include "base/buf.h"

// 0 to 15, or -1.
static inline int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    uint8_t letter = byte | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// Twice as many bytes, no NUL; returns past the last one.
static inline uint8_t *hex_write(void *to, struct span bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *at = to;
    for (size_t i = 0; i < bytes.len; i++) {
        *at++ = (uint8_t)digits[bytes.ptr[i] >> 4];
        *at++ = (uint8_t)digits[bytes.ptr[i] & 15];
    }
    return at;
}

static inline void hex_put(struct buf *out, struct span bytes)
{
    uint8_t *to = buf_reserve(out, 2 * bytes.len);
    if (to)
        buf_advance(out, (size_t)(hex_write(to, bytes) - to));
}
