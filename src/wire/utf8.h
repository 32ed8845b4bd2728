// SPDX-License-Identifier: Apache-2.0
// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Whole texts,
// and texts that arrive in pieces.
#pragma once
#include "base/buf.h"

// A check under way; zeroed at the start of a text.
struct utf8 {
    uint8_t left;      // continuation bytes that must follow
    uint8_t low, high; // bounds of the next one
};

// False when the text cannot be UTF-8 whatever follows; then the check is over.
bool utf8_extend(struct utf8 *check, struct span piece);
// Whether the text may end here.
static inline bool utf8_is_complete(const struct utf8 *check)
{
    return check->left == 0;
}

bool utf8_is_valid(struct span text);
// Bytes of the longest valid beginning.
size_t utf8_prefix(struct span text);
// Appends the encoding of a code point; the caller made sure that it is one.
void utf8_put(struct buf *out, uint32_t code_point);
