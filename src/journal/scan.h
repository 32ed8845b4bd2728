// SPDX-License-Identifier: Apache-2.0
// Reads one file of the journal frame by frame. Life: open -> head -> next ... -> close.
#pragma once
#include "journal/format.h"
#include "journal/journal.h"

struct scan {
    struct disk *disk;
    int file;
    uint64_t size, offset; // offset: of the next frame
    uint32_t number, generation;
    uint64_t synced; // durable up to here, by what the frames say
    struct buf bytes;
    uint64_t base; // where in the file `bytes` begins
};

enum { SCAN_E_BAD = 1, SCAN_E_NEWER };

int scan_open(struct scan *scan, struct disk *disk, struct heap *heap, const char *name);
void scan_close(struct scan *scan);
// 0, SCAN_E_BAD, SCAN_E_NEWER, -errno.
int scan_head(struct scan *scan, enum file_kind kind, struct file_head *out_head);
// The frame at scan->offset, which moves behind it; the payload is borrowed until the next call.
// SCAN_E_BAD: there is none; the offset stays.
int scan_next(struct scan *scan, struct frame_head *out_head, struct span *out_payload);
// After SCAN_E_BAD in the newest segment. Damage: an intact frame further on was written when the
// file was durable beyond this place, so what is missing here had been on the disk. Else whatever
// is intact further on was never synced, and is cut: out_cut_bytes, 0 when nothing is there.
int scan_tail(struct scan *scan, bool *out_is_damage, uint64_t *out_cut_bytes);
