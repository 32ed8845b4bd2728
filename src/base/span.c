// SPDX-License-Identifier: Apache-2.0
// Comparisons of borrowed bytes. ASCII only: protocol words are ASCII, keys are compared raw.
#include "base/span.h"

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

bool span_is_word(struct span span, const char *word)
{
    for (size_t i = 0; i < span.len; i++) {
        if (word[i] == '\0' || lower(span.ptr[i]) != lower((uint8_t)word[i]))
            return false;
    }
    return word[span.len] == '\0';
}
