// SPDX-License-Identifier: Apache-2.0
// The journal's bytes. A file: a head of 64 bytes, then frames, each at a multiple of 8.
//
//   head    magic(8) format(4) number(4) generation(4) log_number(4) log_offset(8) zeros crc(4)
//   frame   crc(4) length(4) number(4) generation(4) synced(4) kind(4) payload, zeros to 8
//
// A frame's crc covers its place in the file, its head and its payload, so bytes that a recycled
// segment still holds, or that were written to a wrong place, are never taken for a frame of it:
// `number` is the file's and no two segments ever had the same; `generation` rises with each open,
// so what was cut off at a recovery does not come back when shorter frames are written over its
// beginning; `synced` says up to where the file was durable when the frame was written, which tells
// damage (before it) from a torn tail (after it).
#pragma once
#include "base/bytes.h"

#define FORMAT_VERSION     1u
#define FORMAT_HEAD_BYTES  64u
#define FORMAT_FRAME_BYTES 24u
#define FORMAT_NAME_BYTES  24

// Under these names a file is being prepared; it is renamed when it is whole and durable.
#define JOURNAL_LOG_NEW      "log.new"
#define JOURNAL_SNAPSHOT_NEW "snap.new"

enum file_kind { FILE_LOG, FILE_SNAPSHOT, FILE_SPARE, FILE_KINDS_COUNT };

enum frame_kind {
    FRAME_COMMIT = 1, // payload is the caller's
    FRAME_OPENED,     // a process took over here; no payload
    FRAME_CLOSED,     // nothing follows in this file; no payload
};

struct file_head {
    enum file_kind kind; // FILE_LOG or FILE_SNAPSHOT
    uint32_t number, generation;
    uint32_t log_number; // a snapshot's: where in the log it began
    uint64_t log_offset;
};

struct frame_head {
    uint32_t crc, length, number, generation, synced;
    uint32_t kind;
};

void format_name(char out_name[FORMAT_NAME_BYTES], enum file_kind kind, uint32_t number);
// True when it is a name of ours, not an unfinished one.
bool format_parse_name(const char *name, enum file_kind *out_kind, uint32_t *out_number);

void format_put_head(struct buf *out, const struct file_head *head);
enum { FORMAT_E_DAMAGED = 1, FORMAT_E_NEWER };
int format_read_head(struct span bytes, enum file_kind kind, struct file_head *out_head);

// What a frame with that payload takes in the file.
uint64_t format_frame_bytes(uint64_t length);
// Appends one whole frame for the place `offset`; its crc is computed here.
void format_put_frame(struct buf *out, uint64_t offset, struct frame_head head,
                      struct span payload);
// The fields only; `bytes` holds at least FORMAT_FRAME_BYTES.
struct frame_head format_read_frame(const uint8_t *bytes);
// Whether the whole frame (head, payload, padding) belongs at `offset` and is intact.
bool format_is_intact(struct span frame, uint64_t offset);
