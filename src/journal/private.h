// SPDX-License-Identifier: Apache-2.0
// Between the files of the journal room.
#pragma once
#include "journal/recovery.h"

#define JOURNAL_SEGMENT_BYTES ((uint64_t)16 << 20)
#define JOURNAL_SPARES_MAX    4u

struct output { // a file that frames are appended to
    int file;   // -1: none
    uint32_t number;
    uint64_t end;    // where the next frame goes
    uint64_t synced; // durable up to here
    uint64_t size;   // of a segment: preallocated
};

struct journal {
    struct heap *heap;
    struct disk *disk;
    struct journal_options options;
    struct output log, snapshot;
    uint32_t generation;
    uint32_t oldest, oldest_snapshot; // that are there, beside the newest snapshot
    uint32_t needed;                  // segments from here on
    uint32_t snapshot_number;         // the newest complete one, 0: none
    bool is_held;                     // for a backup: nothing is retired
    uint32_t held_snapshot, held_first, held_last;
    uint32_t begin_number; // where in the log the snapshot under way began
    uint64_t logged_bytes; // since this process opened it, and what recovery replayed
    uint64_t begin_bytes, complete_bytes; // logged_bytes when a snapshot began: under way, complete
    uint32_t spares[JOURNAL_SPARES_MAX];
    unsigned spares_count;
    int fault; // final
    struct buf frame;
    char error[sizeof((struct journal_report *)0)->error];
};

// Makes a fault final and says what it was about. Returns the fault.
int journal_fail(struct journal *journal, const char *what, const char *name, int fault);
// Encodes a frame for the place at output->end and writes it there. 0, -ENOMEM (nothing written) or
// a final fault.
int journal_put(struct journal *journal, struct output *output, enum file_kind kind,
                enum frame_kind frame, struct span payload);
int journal_sync_output(struct journal *journal, struct output *output, enum file_kind kind);

// segment.c
// Closes the newest segment (if one is open) and begins the next, with room for a frame of
// `frame_bytes`.
int segment_begin(struct journal *journal, uint64_t frame_bytes);
// Goes on in the newest segment that recovery found.
int segment_resume(struct journal *journal, const struct recovery *recovery);
// A segment that nothing needs: kept for use again, or removed.
int segment_retire(struct journal *journal, uint32_t number);
// The snapshots before the newest and the segments that only they needed, unless they are held.
int segment_retire_all(struct journal *journal);
bool segment_has_room(const struct journal *journal, uint64_t frame_bytes);
