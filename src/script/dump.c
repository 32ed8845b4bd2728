// SPDX-License-Identifier: Apache-2.0
// Libraries as Redis dumps them: for each the RDB opcode FUNCTION2 and its text as an RDB string,
// then two bytes of RDB version and a CRC-64 (Jones), both little-endian. Ours are never
// compressed; Redis's may be (LZF). It is also the form of the file in the data directory.
#include <errno.h>
#include "script/functions.h"

#define OPCODE_FUNCTION 245
#define RDB_VERSION     10
#define FOOTER_BYTES    10
#define CRC_POLYNOMIAL  0x95ac9329ac4bc9b5u // reflected

static uint64_t crc64(struct span bytes)
{
    uint64_t table[256], crc = 0;
    for (unsigned i = 0; i < 256; i++) {
        uint64_t value = i;
        for (unsigned bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ CRC_POLYNOMIAL : value >> 1;
        table[i] = value;
    }
    for (size_t i = 0; i < bytes.len; i++)
        crc = table[(uint8_t)crc ^ bytes.ptr[i]] ^ crc >> 8;
    return crc;
}

// ---- out

static void put_length(struct buf *out, size_t len)
{
    if (len < 1 << 6) {
        buf_put_byte(out, (uint8_t)len);
        return;
    }
    if (len < 1 << 14) {
        buf_put_byte(out, (uint8_t)(0x40 | len >> 8));
        buf_put_byte(out, (uint8_t)len);
        return;
    }
    buf_put_byte(out, 0x80);
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_put_byte(out, (uint8_t)(len >> shift));
}

void functions_dump(const struct library *first, struct buf *out)
{
    size_t begun = out->len;
    for (const struct library *library = first; library; library = library->next) {
        buf_put_byte(out, OPCODE_FUNCTION);
        put_length(out, library->code.len);
        buf_put(out, library->code);
    }
    buf_put_byte(out, RDB_VERSION);
    buf_put_byte(out, 0);
    if (buf_has_failed(out))
        return;
    uint64_t crc = crc64(span_of(out->ptr + begun, out->len - begun));
    for (int i = 0; i < 8; i++)
        buf_put_byte(out, (uint8_t)(crc >> 8 * i));
}

// ---- in

struct input {
    const uint8_t *at, *end;
    bool has_failed;
};

static uint64_t take(struct input *input, unsigned bytes)
{
    uint64_t value = 0;
    if ((size_t)(input->end - input->at) < bytes) {
        input->has_failed = true;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | *input->at++;
    return value;
}

// out_kind: -1 for a plain length, else which encoding.
static uint64_t take_length(struct input *input, int *out_kind)
{
    uint8_t first = (uint8_t)take(input, 1);
    *out_kind = -1;
    switch (first >> 6) {
    case 0:
        return first;
    case 1:
        return (uint64_t)(first & 0x3f) << 8 | take(input, 1);
    case 2:
        return take(input, first == 0x80 ? 4 : 8);
    default:
        *out_kind = first & 0x3f;
        return 0;
    }
}

static struct span take_bytes(struct input *input, uint64_t len)
{
    if ((uint64_t)(input->end - input->at) < len) {
        input->has_failed = true;
        return (struct span){0};
    }
    struct span bytes = span_of(input->at, (size_t)len);
    input->at += len;
    return bytes;
}

// LZF: a byte below 32 says how many bytes follow as they are; else three bits of length and
// thirteen of distance back. False: malformed.
static bool expand(struct span from, uint8_t *to, size_t len)
{
    struct input input = {from.ptr, from.ptr + from.len, false};
    size_t done = 0;
    while (input.at < input.end && !input.has_failed) {
        unsigned head = (unsigned)take(&input, 1);
        if (head < 32) {
            struct span plain = take_bytes(&input, head + 1);
            if (input.has_failed || plain.len > len - done)
                return false;
            memcpy(to + done, plain.ptr, plain.len);
            done += plain.len;
            continue;
        }
        size_t count = head >> 5;
        if (count == 7)
            count += (size_t)take(&input, 1);
        size_t back = ((size_t)(head & 31) << 8 | (size_t)take(&input, 1)) + 1;
        count += 2;
        if (input.has_failed || back > done || count > len - done)
            return false;
        for (; count > 0; count--, done++)
            to[done] = to[done - back];
    }
    return done == len && !input.has_failed;
}

static int visit_expanded(struct heap *heap, struct input *input, functions_visit visit, void *ctx)
{
    int kind;
    uint64_t packed = take_length(input, &kind), len = take_length(input, &kind);
    struct span bytes = take_bytes(input, packed);
    if (input->has_failed || len > FUNCTIONS_BYTES_MAX)
        return 1;
    uint8_t *text = heap_alloc(heap, (size_t)len + 1);
    if (!text)
        return -ENOMEM;
    int outcome = expand(bytes, text, (size_t)len) ? visit(ctx, span_of(text, (size_t)len)) : 1;
    heap_free(heap, text, (size_t)len + 1);
    return outcome;
}

bool functions_is_payload(struct span payload)
{
    if (payload.len < FOOTER_BYTES)
        return false;
    const uint8_t *footer = payload.ptr + payload.len - FOOTER_BYTES;
    uint64_t crc = 0;
    for (int i = 7; i >= 0; i--)
        crc = crc << 8 | footer[2 + i];
    return footer[0] <= RDB_VERSION && footer[1] == 0 &&
           crc == crc64(span_of(payload.ptr, payload.len - 8));
}

int functions_undump(struct heap *heap, struct span payload, functions_visit visit, void *ctx)
{
    if (!functions_is_payload(payload))
        return 1;
    struct input input = {payload.ptr, payload.ptr + payload.len - FOOTER_BYTES, false};
    while (input.at < input.end) {
        int kind, outcome;
        if (take(&input, 1) != OPCODE_FUNCTION)
            return 1;
        uint64_t len = take_length(&input, &kind);
        if (kind == 3) {
            outcome = visit_expanded(heap, &input, visit, ctx);
        } else {
            struct span code = take_bytes(&input, len);
            outcome = input.has_failed || kind >= 0 ? 1 : visit(ctx, code);
        }
        if (outcome)
            return outcome;
    }
    return 0;
}
