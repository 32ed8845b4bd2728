// SPDX-License-Identifier: Apache-2.0
// The journal: frames of idempotent states in preallocated, recycled segments, and snapshots
// written beside them. A frame is one commit; what is in it is the caller's. Because frames join,
// recovery is: every frame of the newest complete snapshot, then every frame logged since that
// snapshot *began*, in any order.
//
// A torn tail (what was appended to the newest segment and never synced) is cut at the first bad
// checksum; damage anywhere else is refused with file and offset. A failed write or sync is final:
// every later call returns the same error (after a failed fsync the page cache cannot be trusted).
//
// Life: open (recovers) -> append / sync ... -> close. Snapshot: begin -> put ... -> end or abort,
// with appends in between.
//
// Files: log-<number> segments, snap-<number> snapshots, spare-<number> segments to be used again;
// names that end in .new are unfinished and go at the next open.
#pragma once
#include "journal/disk.h"

#define JOURNAL_FRAME_BYTES_MAX (1u << 30)

struct journal;

enum {
    JOURNAL_E_DAMAGED = 1, // see journal_error(): file, offset, what
    JOURNAL_E_BUSY,        // another process has the directory
    JOURNAL_E_VERSION,     // written by a newer format
};

struct journal_options {
    uint64_t segment_bytes; // default 16 MiB (tests: small)
    // Recovery calls it for each frame; non-zero stops recovery with that value.
    int (*on_frame)(void *ctx, struct span frame);
    void *ctx;
};

// Creates the files in an empty directory. On an outcome or fault *out_journal is still set when
// memory allows, only for journal_error() and journal_close().
int journal_open(struct journal **out_journal, struct disk *disk, struct heap *heap,
                 const struct journal_options *options);
void journal_close(struct journal *journal);

// Writes one frame (not yet durable); journal_sync makes all appended frames durable. 0, -EFBIG
// (nothing written, not final), -ENOMEM (the same), or the final -errno.
int journal_append(struct journal *journal, struct span frame);
int journal_sync(struct journal *journal);
void journal_rest(struct journal *journal); // nothing will be appended soon: gives its buffer back

// Snapshot beside the log. `begin` notes where the log is; what is put must reflect at least the
// state of that moment. `end` makes it durable, then segments before it are recycled.
int journal_snapshot_begin(struct journal *journal);
int journal_snapshot_put(struct journal *journal, struct span frame);
int journal_snapshot_end(struct journal *journal);
void journal_snapshot_abort(struct journal *journal);

// A backup while appends go on. `hold` closes the newest segment; the newest snapshot and the log
// since it began up to there then stay as they are until `release`, and are a whole directory of
// their own. One at a time: a second hold begins anew. 0 or the final -errno.
int journal_hold(struct journal *journal);
int journal_release(struct journal *journal);
unsigned journal_held_count(const struct journal *journal); // 0: not held
struct journal_held {
    char name[24];
    uint64_t bytes;
};
int journal_held_file(const struct journal *journal, unsigned index, struct journal_held *out_held);
// Appends up to `len` bytes of a held file to `out`; short at its end.
int journal_held_read(const struct journal *journal, unsigned index, uint64_t offset, size_t len,
                      struct buf *out);

// Bytes logged since the last complete snapshot began: when to take the next one.
uint64_t journal_bytes_since_snapshot(const struct journal *journal);
// One line for the operator: what failed, in which file at which offset. "" when nothing did.
const char *journal_error(const struct journal *journal);

// Reads everything that a recovery would read, and checks it, without changing anything. 0 or an
// outcome or -errno as journal_open, with `error` saying where.
struct journal_report {
    uint64_t snapshots_count, segments_count, frames_count, frames_bytes;
    uint64_t cut_bytes; // up to the end of the last intact frame behind a torn one: never synced
    bool is_closed;     // nothing can be missing at its end: so is every backup
    char error[200];    // "" when all is well
};
int journal_verify(struct disk *disk, struct heap *heap, const struct journal_options *options,
                   struct journal_report *out_report);
