// SPDX-License-Identifier: Apache-2.0
// A state machine over the bytes of lines; payload is skipped, not looked at. What a chunk's
// extensions and the trailers say is not used: they are checked so that nothing hides in them.
#include "base/hex.h"
#include "wire/chunked.h"

enum { // zero is the start of a coding
    SIZE_FIRST,
    SIZE,
    EXTENSION,
    SIZE_LF,
    PAYLOAD,
    PAYLOAD_CR,
    PAYLOAD_LF,
    TRAILER_FIRST,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    WHOLE,
    MALFORMED,
};

static bool is_text(uint8_t byte)
{
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

static uint8_t expect(uint8_t byte, uint8_t wanted, uint8_t next)
{
    return byte == wanted ? next : MALFORMED;
}

static uint8_t step_size(struct chunked *chunked, uint8_t byte)
{
    int digit = hex_value(byte);
    if (digit >= 0) {
        chunked->left = chunked->left << 4 | (uint32_t)digit;
        return chunked->line_len <= 8 ? SIZE : MALFORMED; // it counts this byte already
    }
    if (chunked->state == SIZE_FIRST)
        return MALFORMED;
    return byte == ';' ? EXTENSION : expect(byte, '\r', SIZE_LF);
}

static uint8_t step_trailer(struct chunked *chunked, uint8_t byte)
{
    if (++chunked->trailer_len > CHUNKED_TRAILER_BYTES_MAX)
        return MALFORMED;
    switch (chunked->state) {
    case TRAILER_FIRST:
        if (byte == '\r')
            return LAST_LF;
        return byte == ':' || byte <= ' ' || byte >= 0x7f ? MALFORMED : TRAILER_NAME;
    case TRAILER_NAME:
        if (byte == ':')
            return TRAILER_VALUE;
        return byte <= ' ' || byte >= 0x7f ? MALFORMED : TRAILER_NAME;
    case TRAILER_VALUE:
        return is_text(byte) ? TRAILER_VALUE : expect(byte, '\r', TRAILER_LF);
    default:
        return expect(byte, '\n', TRAILER_FIRST);
    }
}

static uint8_t step(struct chunked *chunked, uint8_t byte)
{
    switch (chunked->state) {
    case SIZE_FIRST:
    case SIZE:
        chunked->line_len++;
        return step_size(chunked, byte);
    case EXTENSION:
        if (++chunked->line_len > CHUNKED_LINE_BYTES_MAX)
            return MALFORMED;
        return is_text(byte) ? EXTENSION : expect(byte, '\r', SIZE_LF);
    case SIZE_LF:
        chunked->line_len = 0;
        return expect(byte, '\n', chunked->left ? PAYLOAD : TRAILER_FIRST);
    case PAYLOAD_CR:
        return expect(byte, '\r', PAYLOAD_LF);
    case PAYLOAD_LF:
        return expect(byte, '\n', SIZE_FIRST);
    case LAST_LF:
        return expect(byte, '\n', WHOLE);
    default:
        return step_trailer(chunked, byte);
    }
}

static size_t skip_payload(struct chunked *chunked, size_t there)
{
    size_t count = chunked->left < there ? chunked->left : there;
    chunked->left -= (uint32_t)count;
    if (chunked->left == 0)
        chunked->state = PAYLOAD_CR;
    return count;
}

int chunked_check(struct chunked *chunked, struct span piece, uint32_t body_max, size_t *out_used)
{
    size_t at = 0;
    while (at < piece.len) {
        if (chunked->state == PAYLOAD) {
            at += skip_payload(chunked, piece.len - at);
            continue;
        }
        chunked->state = step(chunked, piece.ptr[at++]);
        if (chunked->state == MALFORMED)
            return CHUNKED_E_MALFORMED;
        if (chunked->state == WHOLE) {
            *out_used = at;
            return 0;
        }
        if (chunked->state == SIZE_LF) {
            if (chunked->left > body_max - chunked->body_len)
                return CHUNKED_E_TOO_LARGE;
            chunked->body_len += chunked->left;
        }
    }
    return CHUNKED_E_MORE;
}

void chunked_put_decoded(struct buf *out, struct span coded)
{
    const uint8_t *at = coded.ptr, *end = at + coded.len;
    for (;;) {
        size_t len = 0;
        for (int digit; (digit = hex_value(*at)) >= 0; at++)
            len = len << 4 | (size_t)digit;
        const uint8_t *line_end = memchr(at, '\n', (size_t)(end - at));
        if (len == 0)
            return;
        buf_put(out, span_of(line_end + 1, len));
        at = line_end + 1 + len + 2;
    }
}
