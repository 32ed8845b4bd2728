// SPDX-License-Identifier: Apache-2.0
// Signed 64-bit integers as decimal text, both ways.
#pragma once
#include "base/buf.h"

#define DECIMAL_LEN_MAX 20

// Strict: optional '-', digits without a leading zero (but "0"), nothing else, in range.
// True when it is one; then out_value is set.
bool decimal_parse(struct span text, int64_t *out_value);
bool decimal_parse_unsigned(struct span text, uint64_t *out_value);
// Writes at most DECIMAL_LEN_MAX bytes, no NUL; returns past the last one.
uint8_t *decimal_write(uint8_t *to, int64_t value);
uint8_t *decimal_write_unsigned(uint8_t *to, uint64_t value);
void decimal_put(struct buf *buf, int64_t value);
void decimal_put_unsigned(struct buf *buf, uint64_t value);
