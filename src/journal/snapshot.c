// SPDX-License-Identifier: Apache-2.0
// A snapshot beside the log: the same frames in a file of its own, which has its name only when it
// is whole and durable; then what came before it is let go.
#include <assert.h>
#include <errno.h>
#include "journal/private.h"

// Synced in parts, so that the sync at the end does not hold up a commit for long.
#define SNAPSHOT_SYNC_BYTES ((uint64_t)4 << 20)

static void discard(struct journal *journal)
{
    journal->disk->ops->close(journal->disk, journal->snapshot.file);
    journal->snapshot.file = -1;
}

int journal_snapshot_begin(struct journal *journal)
{
    struct disk *disk = journal->disk;
    if (journal->fault)
        return journal->fault;
    if (journal->snapshot.file >= 0)
        journal_snapshot_abort(journal);
    struct file_head head = {.kind = FILE_SNAPSHOT,
                             .number = journal->snapshot_number + 1,
                             .generation = journal->generation,
                             .log_number = journal->log.number,
                             .log_offset = journal->log.end};
    buf_clear(&journal->frame);
    format_put_head(&journal->frame, &head);
    if (buf_has_failed(&journal->frame))
        return -ENOMEM;
    int file = disk->ops->create(disk, JOURNAL_SNAPSHOT_NEW, 0);
    if (file < 0)
        return journal_fail(journal, "making", JOURNAL_SNAPSHOT_NEW, file);
    journal->snapshot = (struct output){
        .file = file, .number = head.number, .end = FORMAT_HEAD_BYTES, .size = UINT64_MAX};
    journal->begin_number = journal->log.number;
    journal->begin_bytes = journal->logged_bytes;
    int fault = disk->ops->write(disk, file, 0, buf_span(&journal->frame));
    return fault ? journal_fail(journal, "writing", JOURNAL_SNAPSHOT_NEW, fault) : 0;
}

int journal_snapshot_put(struct journal *journal, struct span frame)
{
    assert(journal->fault || journal->snapshot.file >= 0);
    if (journal->fault)
        return journal->fault;
    if (frame.len > JOURNAL_FRAME_BYTES_MAX)
        return -EFBIG;
    struct output *snapshot = &journal->snapshot;
    int fault = journal_put(journal, snapshot, FILE_SNAPSHOT, FRAME_COMMIT, frame);
    if (!fault && snapshot->end - snapshot->synced >= SNAPSHOT_SYNC_BYTES)
        fault = journal_sync_output(journal, snapshot, FILE_SNAPSHOT);
    return fault;
}

int journal_snapshot_end(struct journal *journal)
{
    assert(journal->fault || journal->snapshot.file >= 0);
    struct disk *disk = journal->disk;
    struct output *snapshot = &journal->snapshot;
    char name[FORMAT_NAME_BYTES];
    if (journal->fault)
        return journal->fault;
    format_name(name, FILE_SNAPSHOT, snapshot->number);
    int fault = journal_put(journal, snapshot, FILE_SNAPSHOT, FRAME_CLOSED, (struct span){0});
    if (!fault)
        fault = journal_sync_output(journal, snapshot, FILE_SNAPSHOT);
    if (fault)
        return fault;
    discard(journal);
    fault = disk->ops->rename(disk, JOURNAL_SNAPSHOT_NEW, name);
    if (fault)
        return journal_fail(journal, "renaming", JOURNAL_SNAPSHOT_NEW, fault);
    journal->snapshot_number = snapshot->number;
    journal->needed = journal->begin_number;
    journal->complete_bytes = journal->begin_bytes;
    return segment_retire_all(journal);
}

void journal_snapshot_abort(struct journal *journal)
{
    if (journal->snapshot.file < 0)
        return;
    discard(journal);
    if (journal->fault)
        return; // whoever opens the directory next removes it
    int fault = journal->disk->ops->remove(journal->disk, JOURNAL_SNAPSHOT_NEW);
    if (fault)
        journal_fail(journal, "removing", JOURNAL_SNAPSHOT_NEW, fault);
}
