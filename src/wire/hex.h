// SPDX-License-Identifier: Apache-2.0
// Hexadecimal digits, one at a time, for the codecs of this room.
#pragma once
#include <stdint.h>

// 0 to 15 in either case, or -1.
static inline int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    uint8_t letter = byte | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// Of the low four bits, in lower case.
static inline uint8_t hex_digit(unsigned value)
{
    return (uint8_t) "0123456789abcdef"[value & 15];
}
