// SPDX-License-Identifier: Apache-2.0
// The chunked transfer coding of HTTP/1.1 (RFC 9112 section 7.1), strict: sizes of at most eight
// hexadecimal digits, CR LF and nothing else, extensions and trailers bounded and ignored, no
// folded trailer lines. Checked once as it arrives, decoded once when it is whole.
#pragma once
#include "base/buf.h"

#define CHUNKED_LINE_BYTES_MAX    256  // a size line with its extensions
#define CHUNKED_TRAILER_BYTES_MAX 4096 // all trailer lines

struct chunked {       // a body under way; zeroed at the start
    uint32_t body_len; // payload announced so far
    uint32_t left;     // bytes of this chunk, or the value of the size under way
    uint16_t line_len;
    uint16_t trailer_len;
    uint8_t state;
};

enum { CHUNKED_E_MORE = 1, CHUNKED_E_MALFORMED, CHUNKED_E_TOO_LARGE };

// Checks the bytes after those it was shown before. 0: the body ends within them, out_used is how
// many belong to it. CHUNKED_E_TOO_LARGE: more than body_max bytes of payload.
int chunked_check(struct chunked *chunked, struct span piece, uint32_t body_max, size_t *out_used);
// Appends the payload of a coding that was checked whole.
void chunked_put_decoded(struct buf *out, struct span coded);
