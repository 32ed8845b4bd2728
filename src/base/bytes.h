// SPDX-License-Identifier: Apache-2.0
// Integers on the wire and on disk: fixed little-endian, and LEB128 varints (zig-zag for signed).
// A reader is sticky: past the end, or on a varint over 64 bits, it fails and yields zeros.
#pragma once
#include "base/buf.h"

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(struct span span)
{
    return (struct reader){.at = span.ptr, .end = span.ptr + span.len};
}

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

uint8_t reader_u8(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
uint64_t reader_varint(struct reader *reader);
int64_t reader_signed(struct reader *reader);
// `len` bytes, borrowed from what is read.
struct span reader_bytes(struct reader *reader, size_t len);
// A varint length, then that many bytes; fails when the length is above len_max.
struct span reader_string(struct reader *reader, size_t len_max);

void bytes_put_u32(struct buf *buf, uint32_t value);
void bytes_put_u64(struct buf *buf, uint64_t value);
void bytes_put_varint(struct buf *buf, uint64_t value);
void bytes_put_signed(struct buf *buf, int64_t value);
void bytes_put_string(struct buf *buf, struct span span);

#define VARINT_BYTES_MAX 10
// Into memory that the caller sized: at most VARINT_BYTES_MAX; returns past the last one written.
uint8_t *bytes_write_varint(uint8_t *to, uint64_t value);
uint8_t *bytes_write_signed(uint8_t *to, int64_t value);
void bytes_write_u32(uint8_t *to, uint32_t value);
void bytes_write_u64(uint8_t *to, uint64_t value);
uint32_t bytes_read_u32(const uint8_t *from);
uint64_t bytes_read_u64(const uint8_t *from);
