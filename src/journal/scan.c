// SPDX-License-Identifier: Apache-2.0
// Reading a file frame by frame through a window, and telling a torn tail from damage.
#include <errno.h>
#include "journal/scan.h"

#define WINDOW_BYTES (1u << 20)

// `len` bytes at `offset` of the file (the caller has checked that they are there), or NULL.
static const uint8_t *window(struct scan *scan, uint64_t offset, uint64_t len, int *out_fault)
{
    *out_fault = 0;
    if (offset >= scan->base && offset + len <= scan->base + scan->bytes.len)
        return scan->bytes.ptr + (offset - scan->base);
    uint64_t want = len > WINDOW_BYTES ? len : WINDOW_BYTES;
    if (want > scan->size - offset)
        want = scan->size - offset;
    buf_clear(&scan->bytes);
    scan->base = offset;
    *out_fault = scan->disk->ops->read(scan->disk, scan->file, offset, (size_t)want, &scan->bytes);
    if (!*out_fault && buf_has_failed(&scan->bytes))
        *out_fault = -ENOMEM;
    if (!*out_fault && scan->bytes.len < len)
        *out_fault = -EIO; // the file is shorter than it was a moment ago
    return *out_fault ? NULL : scan->bytes.ptr;
}

int scan_open(struct scan *scan, struct disk *disk, struct heap *heap, const char *name)
{
    *scan = (struct scan){.disk = disk, .file = -1};
    buf_init(&scan->bytes, heap);
    int file = disk->ops->open(disk, name);
    if (file < 0)
        return file;
    scan->file = file;
    int64_t size = disk->ops->size(disk, file);
    if (size < 0) {
        scan_close(scan);
        return (int)size;
    }
    scan->size = (uint64_t)size;
    return 0;
}

void scan_close(struct scan *scan)
{
    if (scan->file >= 0)
        scan->disk->ops->close(scan->disk, scan->file);
    scan->file = -1;
    buf_deinit(&scan->bytes);
}

int scan_head(struct scan *scan, enum file_kind kind, struct file_head *out_head)
{
    int fault;
    if (scan->size < FORMAT_HEAD_BYTES)
        return SCAN_E_BAD;
    const uint8_t *bytes = window(scan, 0, FORMAT_HEAD_BYTES, &fault);
    if (!bytes)
        return fault;
    int outcome = format_read_head(span_of(bytes, FORMAT_HEAD_BYTES), kind, out_head);
    if (outcome)
        return outcome == FORMAT_E_NEWER ? SCAN_E_NEWER : SCAN_E_BAD;
    scan->number = out_head->number;
    scan->generation = out_head->generation;
    scan->offset = FORMAT_HEAD_BYTES;
    return 0;
}

// Whether an intact frame of this file is at `offset`. 0 or SCAN_E_BAD.
static int frame_at(struct scan *scan, uint64_t offset, struct frame_head *out_head,
                    struct span *out_payload)
{
    int fault;
    if (scan->size - offset < FORMAT_FRAME_BYTES)
        return SCAN_E_BAD;
    const uint8_t *bytes = window(scan, offset, FORMAT_FRAME_BYTES, &fault);
    if (!bytes)
        return fault;
    struct frame_head head = format_read_frame(bytes);
    uint64_t whole = format_frame_bytes(head.length);
    if (head.number != scan->number || head.generation < scan->generation ||
        head.kind < FRAME_COMMIT || head.kind > FRAME_CLOSED ||
        head.length > JOURNAL_FRAME_BYTES_MAX || whole > scan->size - offset)
        return SCAN_E_BAD;
    bytes = window(scan, offset, whole, &fault);
    if (!bytes)
        return fault;
    if (!format_is_intact(span_of(bytes, (size_t)whole), offset))
        return SCAN_E_BAD;
    *out_head = head;
    *out_payload = span_of(bytes + FORMAT_FRAME_BYTES, head.length);
    return 0;
}

int scan_next(struct scan *scan, struct frame_head *out_head, struct span *out_payload)
{
    int outcome = frame_at(scan, scan->offset, out_head, out_payload);
    if (outcome)
        return outcome;
    scan->offset += format_frame_bytes(out_head->length);
    scan->generation = out_head->generation;
    if (out_head->synced > scan->synced)
        scan->synced = out_head->synced;
    return 0;
}

int scan_tail(struct scan *scan, bool *out_is_damage, uint64_t *out_cut_bytes)
{
    struct frame_head head;
    struct span payload;
    *out_is_damage = false;
    *out_cut_bytes = 0;
    for (uint64_t at = scan->offset + 8; at + FORMAT_FRAME_BYTES <= scan->size; at += 8) {
        int outcome = frame_at(scan, at, &head, &payload);
        if (outcome < 0)
            return outcome;
        if (outcome)
            continue;
        *out_cut_bytes = at + format_frame_bytes(head.length) - scan->offset;
        *out_is_damage |= head.synced > scan->offset;
    }
    return 0;
}
