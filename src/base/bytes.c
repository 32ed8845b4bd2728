// SPDX-License-Identifier: Apache-2.0
// Little-endian whatever the machine is; varints as in LEB128, at most ten bytes.
#include "base/bytes.h"

void bytes_write_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

void bytes_write_u64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

uint32_t bytes_read_u32(const uint8_t *from)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)from[i] << (8 * i);
    return value;
}

uint64_t bytes_read_u64(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

uint8_t *bytes_write_varint(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

uint8_t *bytes_write_signed(uint8_t *to, int64_t value)
{
    return bytes_write_varint(to, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

void bytes_put_u32(struct buf *buf, uint32_t value)
{
    uint8_t *to = buf_reserve(buf, 4);
    if (!to)
        return;
    bytes_write_u32(to, value);
    buf_advance(buf, 4);
}

void bytes_put_u64(struct buf *buf, uint64_t value)
{
    uint8_t *to = buf_reserve(buf, 8);
    if (!to)
        return;
    bytes_write_u64(to, value);
    buf_advance(buf, 8);
}

void bytes_put_varint(struct buf *buf, uint64_t value)
{
    uint8_t *to = buf_reserve(buf, 10);
    if (to)
        buf_advance(buf, (size_t)(bytes_write_varint(to, value) - to));
}

void bytes_put_signed(struct buf *buf, int64_t value)
{
    uint8_t *to = buf_reserve(buf, 10);
    if (to)
        buf_advance(buf, (size_t)(bytes_write_signed(to, value) - to));
}

void bytes_put_string(struct buf *buf, struct span span)
{
    bytes_put_varint(buf, span.len);
    buf_put(buf, span);
}

struct span reader_bytes(struct reader *reader, size_t len)
{
    if (reader->failed || len > reader_left(reader)) {
        reader->failed = true;
        return (struct span){0};
    }
    struct span span = span_of(reader->at, len);
    reader->at += len;
    return span;
}

uint8_t reader_u8(struct reader *reader)
{
    struct span span = reader_bytes(reader, 1);
    return span.len ? span.ptr[0] : 0;
}

uint32_t reader_u32(struct reader *reader)
{
    struct span span = reader_bytes(reader, 4);
    return span.len ? bytes_read_u32(span.ptr) : 0;
}

uint64_t reader_u64(struct reader *reader)
{
    struct span span = reader_bytes(reader, 8);
    return span.len ? bytes_read_u64(span.ptr) : 0;
}

uint64_t reader_varint(struct reader *reader)
{
    uint64_t value = 0;
    const uint8_t *at = reader->at;
    for (unsigned shift = 0; shift < 70 && at < reader->end && !reader->failed; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        reader->at = at;
        return value;
    }
    reader->failed = true;
    return 0;
}

int64_t reader_signed(struct reader *reader)
{
    uint64_t raw = reader_varint(reader);
    return (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
}

struct span reader_string(struct reader *reader, size_t len_max)
{
    uint64_t len = reader_varint(reader);
    if (len > len_max) {
        reader->failed = true;
        return (struct span){0};
    }
    return reader_bytes(reader, (size_t)len);
}
