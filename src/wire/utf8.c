// SPDX-License-Identifier: Apache-2.0
// After a first byte the next one's bounds say everything: 80..BF, but narrower where an overlong
// form, a surrogate or a point above U+10FFFF would begin (RFC 3629 section 4).
#include "wire/utf8.h"

// Sets what must follow a first byte that is not ASCII; false: no text has it.
static bool begin(struct utf8 *check, uint8_t byte)
{
    *check = (struct utf8){.low = 0x80, .high = 0xbf};
    if (byte >= 0xc2 && byte <= 0xdf)
        check->left = 1;
    else if (byte >= 0xe0 && byte <= 0xef)
        check->left = 2;
    else if (byte >= 0xf0 && byte <= 0xf4)
        check->left = 3;
    if (byte == 0xe0)
        check->low = 0xa0;
    else if (byte == 0xed)
        check->high = 0x9f;
    else if (byte == 0xf0)
        check->low = 0x90;
    else if (byte == 0xf4)
        check->high = 0x8f;
    return check->left > 0;
}

static bool step(struct utf8 *check, uint8_t byte)
{
    if (check->left == 0)
        return byte < 0x80 || begin(check, byte);
    if (byte < check->low || byte > check->high)
        return false;
    *check = (struct utf8){.left = (uint8_t)(check->left - 1), .low = 0x80, .high = 0xbf};
    return true;
}

static size_t ascii_prefix(struct span text)
{
    size_t at = 0;
    uint64_t word;
    while (text.len - at >= sizeof word) {
        memcpy(&word, text.ptr + at, sizeof word);
        if (word & 0x8080808080808080u)
            break;
        at += sizeof word;
    }
    while (at < text.len && text.ptr[at] < 0x80)
        at++;
    return at;
}

bool utf8_extend(struct utf8 *check, struct span piece)
{
    size_t at = check->left == 0 ? ascii_prefix(piece) : 0;
    for (; at < piece.len; at++) {
        if (!step(check, piece.ptr[at]))
            return false;
    }
    return true;
}

size_t utf8_prefix(struct span text)
{
    struct utf8 check = {0};
    size_t whole = ascii_prefix(text);
    for (size_t at = whole; at < text.len && step(&check, text.ptr[at]); at++) {
        if (check.left == 0)
            whole = at + 1;
    }
    return whole;
}

bool utf8_is_valid(struct span text)
{
    return utf8_prefix(text) == text.len;
}

void utf8_put(struct buf *out, uint32_t code_point)
{
    uint8_t tail = (uint8_t)(0x80 | (code_point & 0x3f));
    if (code_point < 0x80) {
        buf_put_byte(out, (uint8_t)code_point);
        return;
    }
    if (code_point < 0x800) {
        buf_put_byte(out, (uint8_t)(0xc0 | code_point >> 6));
    } else if (code_point < 0x10000) {
        buf_put_byte(out, (uint8_t)(0xe0 | code_point >> 12));
        buf_put_byte(out, (uint8_t)(0x80 | (code_point >> 6 & 0x3f)));
    } else {
        buf_put_byte(out, (uint8_t)(0xf0 | code_point >> 18));
        buf_put_byte(out, (uint8_t)(0x80 | (code_point >> 12 & 0x3f)));
        buf_put_byte(out, (uint8_t)(0x80 | (code_point >> 6 & 0x3f)));
    }
    buf_put_byte(out, tail);
}
