// SPDX-License-Identifier: Apache-2.0
// JSON written (RFC 8259). Keys of the database are bytes, JSON strings are Unicode: every byte
// that is not part of valid UTF-8 becomes U+FFFD, so what is read back from such a key is not the
// key.
#pragma once
#include "base/buf.h"

#define JSON_INTEGER_MAX ((int64_t)1 << 53) // exact in JavaScript up to here, both signs

// With its quotes.
void json_put_string(struct buf *out, struct span bytes);
void json_put_text(struct buf *out, const char *text);
// A number; beyond JSON_INTEGER_MAX a string of its digits.
void json_put_integer(struct buf *out, int64_t value);
