// SPDX-License-Identifier: Apache-2.0
// Bytes of the journal's heads and frames, and the names of its files.
#include <stdio.h>
#include "base/crc32c.h"
#include "journal/format.h"

static const char *const prefixes[FILE_KINDS_COUNT] = {"log-", "snap-", "spare-"};
static const char *const magics[FILE_SPARE] = {"quipulog", "quipusnp"};

#define MAGIC_BYTES 8u
#define CRC_AT      (FORMAT_HEAD_BYTES - 4u)

void format_name(char out_name[FORMAT_NAME_BYTES], enum file_kind kind, uint32_t number)
{
    snprintf(out_name, FORMAT_NAME_BYTES, "%s%010u", prefixes[kind], number);
}

bool format_parse_name(const char *name, enum file_kind *out_kind, uint32_t *out_number)
{
    for (unsigned kind = 0; kind < FILE_KINDS_COUNT; kind++) {
        size_t len = strlen(prefixes[kind]);
        if (strncmp(name, prefixes[kind], len) != 0)
            continue;
        const char *digits = name + len;
        uint64_t number = 0;
        for (; *digits >= '0' && *digits <= '9' && number <= UINT32_MAX; digits++)
            number = number * 10 + (uint64_t)(*digits - '0');
        if (*digits || digits == name + len || number > UINT32_MAX)
            return false;
        *out_kind = (enum file_kind)kind;
        *out_number = (uint32_t)number;
        return true;
    }
    return false;
}

void format_put_head(struct buf *out, const struct file_head *head)
{
    uint8_t *at = buf_reserve(out, FORMAT_HEAD_BYTES);
    if (!at)
        return;
    memset(at, 0, FORMAT_HEAD_BYTES);
    memcpy(at, magics[head->kind], MAGIC_BYTES);
    bytes_write_u32(at + 8, FORMAT_VERSION);
    bytes_write_u32(at + 12, head->number);
    bytes_write_u32(at + 16, head->generation);
    bytes_write_u32(at + 20, head->log_number);
    bytes_write_u64(at + 24, head->log_offset);
    bytes_write_u32(at + CRC_AT, crc32c_extend(0, span_of(at, CRC_AT)));
    buf_advance(out, FORMAT_HEAD_BYTES);
}

// Magic, version and checksum keep their places in every version, so that a newer one is told from
// a damaged one.
int format_read_head(struct span bytes, enum file_kind kind, struct file_head *out_head)
{
    if (bytes.len < FORMAT_HEAD_BYTES || memcmp(bytes.ptr, magics[kind], MAGIC_BYTES) != 0 ||
        crc32c_extend(0, span_of(bytes.ptr, CRC_AT)) != bytes_read_u32(bytes.ptr + CRC_AT))
        return FORMAT_E_DAMAGED;
    if (bytes_read_u32(bytes.ptr + 8) > FORMAT_VERSION)
        return FORMAT_E_NEWER;
    *out_head = (struct file_head){.kind = kind,
                                   .number = bytes_read_u32(bytes.ptr + 12),
                                   .generation = bytes_read_u32(bytes.ptr + 16),
                                   .log_number = bytes_read_u32(bytes.ptr + 20),
                                   .log_offset = bytes_read_u64(bytes.ptr + 24)};
    return 0;
}

uint64_t format_frame_bytes(uint64_t length)
{
    return FORMAT_FRAME_BYTES + ((length + 7) & ~(uint64_t)7);
}

static uint32_t frame_crc(struct span frame, uint64_t offset)
{
    uint8_t place[8];
    bytes_write_u64(place, offset);
    uint32_t crc = crc32c_extend(0, span_of(place, sizeof place));
    return crc32c_extend(crc, span_of(frame.ptr + 4, frame.len - 4));
}

void format_put_frame(struct buf *out, uint64_t offset, struct frame_head head, struct span payload)
{
    size_t whole = (size_t)format_frame_bytes(payload.len);
    uint8_t *at = buf_reserve(out, whole);
    if (!at)
        return;
    memset(at + whole - 8, 0, 8);
    bytes_write_u32(at + 4, (uint32_t)payload.len);
    bytes_write_u32(at + 8, head.number);
    bytes_write_u32(at + 12, head.generation);
    bytes_write_u32(at + 16, head.synced);
    bytes_write_u32(at + 20, head.kind);
    if (payload.len)
        memcpy(at + FORMAT_FRAME_BYTES, payload.ptr, payload.len);
    bytes_write_u32(at, frame_crc(span_of(at, whole), offset));
    buf_advance(out, whole);
}

struct frame_head format_read_frame(const uint8_t *bytes)
{
    return (struct frame_head){.crc = bytes_read_u32(bytes),
                               .length = bytes_read_u32(bytes + 4),
                               .number = bytes_read_u32(bytes + 8),
                               .generation = bytes_read_u32(bytes + 12),
                               .synced = bytes_read_u32(bytes + 16),
                               .kind = bytes_read_u32(bytes + 20)};
}

bool format_is_intact(struct span frame, uint64_t offset)
{
    return frame_crc(frame, offset) == bytes_read_u32(frame.ptr);
}
