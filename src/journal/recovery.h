// SPDX-License-Identifier: Apache-2.0
// What a directory holds and what follows from it: the newest snapshot, the segments since it
// began, where the log ends. Changes nothing on the disk.
#pragma once
#include "journal/scan.h"

struct recovery {
    struct disk *disk;
    struct heap *heap;
    const struct journal_options *options;
    struct journal_report *report;
    struct buf names[FILE_KINDS_COUNT]; // numbers (u32 each) by kind
    bool is_log_unfinished, is_snapshot_unfinished;
    uint32_t snapshot;   // the newest; 0: none
    uint32_t oldest;     // segments below it are not needed
    uint64_t oldest_at;  // offset in it where the snapshot began
    uint32_t newest;     // 0: no log yet
    uint32_t generation; // the highest seen
    uint64_t end;        // of the newest segment: where the next frame goes
    uint64_t synced;     // of it: provably durable up to here
    uint64_t size;
    bool is_closed;     // the newest segment takes no more frames
    uint64_t log_bytes; // logged since the snapshot began
};

void recovery_init(struct recovery *recovery, struct disk *disk, struct heap *heap);
void recovery_deinit(struct recovery *recovery);
// Lists and replays. 0, JOURNAL_E_DAMAGED, JOURNAL_E_VERSION, what on_frame said, -errno; then
// report->error says where.
int recovery_run(struct recovery *recovery);
size_t recovery_count(const struct recovery *recovery, enum file_kind kind);
uint32_t recovery_number(const struct recovery *recovery, enum file_kind kind, size_t at);
