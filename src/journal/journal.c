// SPDX-License-Identifier: Apache-2.0
// Opening, appending, syncing. What is on the disk of a directory at any moment is in format.h, in
// which order it changes in segment.c and snapshot.c; a fault is kept and answered from then on.
#include <errno.h>
#include <stdio.h>
#include "journal/private.h"

int journal_fail(struct journal *journal, const char *what, const char *name, int fault)
{
    const char *why = strerrordesc_np(-fault);
    journal->fault = fault;
    snprintf(journal->error, sizeof journal->error, "%s %s failed: %s", what, name,
             why ? why : "unknown error");
    return fault;
}

static const char *output_name(const struct output *output, enum file_kind kind,
                               char out_name[FORMAT_NAME_BYTES])
{
    if (kind == FILE_SNAPSHOT)
        return JOURNAL_SNAPSHOT_NEW;
    format_name(out_name, kind, output->number);
    return out_name;
}

int journal_put(struct journal *journal, struct output *output, enum file_kind kind,
                enum frame_kind frame, struct span payload)
{
    struct disk *disk = journal->disk;
    char name[FORMAT_NAME_BYTES];
    struct frame_head head = {
        .number = output->number,
        .generation = journal->generation,
        .synced = (uint32_t)(output->synced < UINT32_MAX ? output->synced : UINT32_MAX),
        .kind = frame};
    buf_clear(&journal->frame);
    format_put_frame(&journal->frame, output->end, head, payload);
    if (buf_has_failed(&journal->frame))
        return -ENOMEM;
    int fault = disk->ops->write(disk, output->file, output->end, buf_span(&journal->frame));
    if (fault)
        return journal_fail(journal, "writing", output_name(output, kind, name), fault);
    output->end += journal->frame.len;
    buf_recycle(&journal->frame, (size_t)4 << 20);
    return 0;
}

int journal_sync_output(struct journal *journal, struct output *output, enum file_kind kind)
{
    char name[FORMAT_NAME_BYTES];
    int fault = journal->disk->ops->sync(journal->disk, output->file);
    if (fault)
        return journal_fail(journal, "syncing", output_name(output, kind, name), fault);
    output->synced = output->end;
    return 0;
}

int journal_append(struct journal *journal, struct span frame)
{
    if (journal->fault)
        return journal->fault;
    if (frame.len > JOURNAL_FRAME_BYTES_MAX)
        return -EFBIG;
    uint64_t bytes = format_frame_bytes(frame.len);
    int fault = segment_has_room(journal, bytes) ? 0 : segment_begin(journal, bytes);
    if (!fault)
        fault = journal_put(journal, &journal->log, FILE_LOG, FRAME_COMMIT, frame);
    if (!fault)
        journal->logged_bytes += bytes;
    return fault;
}

int journal_sync(struct journal *journal)
{
    if (journal->fault)
        return journal->fault;
    if (journal->log.synced == journal->log.end)
        return 0;
    return journal_sync_output(journal, &journal->log, FILE_LOG);
}

void journal_rest(struct journal *journal)
{
    buf_clear(&journal->frame);
    buf_shrink(&journal->frame, 0);
}

uint64_t journal_bytes_since_snapshot(const struct journal *journal)
{
    return journal->logged_bytes - journal->complete_bytes;
}

const char *journal_error(const struct journal *journal)
{
    return journal->error;
}

static int remove_file(struct journal *journal, const char *name)
{
    int fault = journal->disk->ops->remove(journal->disk, name);
    return fault ? journal_fail(journal, "removing", name, fault) : 0;
}

static int take_spare(struct journal *journal, uint32_t number)
{
    char name[FORMAT_NAME_BYTES];
    format_name(name, FILE_SPARE, number);
    int file = journal->disk->ops->open(journal->disk, name);
    if (file < 0)
        return journal_fail(journal, "opening", name, file);
    int64_t size = journal->disk->ops->size(journal->disk, file);
    journal->disk->ops->close(journal->disk, file);
    if (size != (int64_t)journal->options.segment_bytes ||
        journal->spares_count == JOURNAL_SPARES_MAX)
        return remove_file(journal, name);
    journal->spares[journal->spares_count++] = number;
    return 0;
}

// Finishes what an earlier process had begun: unfinished files, and what the newest snapshot made
// superfluous.
static int tidy(struct journal *journal, const struct recovery *recovery)
{
    int fault = recovery->is_log_unfinished ? remove_file(journal, JOURNAL_LOG_NEW) : 0;
    if (!fault && recovery->is_snapshot_unfinished)
        fault = remove_file(journal, JOURNAL_SNAPSHOT_NEW);
    for (size_t i = 0; !fault && i < recovery_count(recovery, FILE_SPARE); i++)
        fault = take_spare(journal, recovery_number(recovery, FILE_SPARE, i));
    for (size_t i = 0; !fault && i < recovery_count(recovery, FILE_SNAPSHOT); i++) {
        char name[FORMAT_NAME_BYTES];
        uint32_t number = recovery_number(recovery, FILE_SNAPSHOT, i);
        format_name(name, FILE_SNAPSHOT, number);
        fault = number < recovery->snapshot ? remove_file(journal, name) : 0;
    }
    for (size_t i = 0; !fault && i < recovery_count(recovery, FILE_LOG); i++) {
        uint32_t number = recovery_number(recovery, FILE_LOG, i);
        fault = number < recovery->oldest ? segment_retire(journal, number) : 0;
    }
    return fault;
}

static int take_over(struct journal *journal, const struct recovery *recovery)
{
    journal->generation = recovery->generation + 1;
    journal->oldest = recovery->oldest ? recovery->oldest : 1;
    journal->needed = journal->oldest;
    journal->snapshot_number = journal->oldest_snapshot = recovery->snapshot;
    journal->logged_bytes = recovery->log_bytes;
    int fault = tidy(journal, recovery);
    if (fault)
        return fault;
    return recovery->newest ? segment_resume(journal, recovery) : segment_begin(journal, 0);
}

static int recover(struct journal *journal)
{
    struct recovery recovery;
    struct journal_report report = {0};
    recovery_init(&recovery, journal->disk, journal->heap);
    recovery.options = &journal->options;
    recovery.report = &report;
    int outcome = recovery_run(&recovery);
    if (outcome)
        memcpy(journal->error, report.error, sizeof journal->error);
    else
        outcome = take_over(journal, &recovery);
    recovery_deinit(&recovery);
    return outcome;
}

int journal_open(struct journal **out_journal, struct disk *disk, struct heap *heap,
                 const struct journal_options *options)
{
    struct journal *journal = heap_alloc(heap, sizeof *journal);
    *out_journal = journal;
    if (!journal)
        return -ENOMEM;
    *journal = (struct journal){
        .heap = heap, .disk = disk, .options = *options, .log.file = -1, .snapshot.file = -1};
    if (journal->options.segment_bytes == 0)
        journal->options.segment_bytes = JOURNAL_SEGMENT_BYTES;
    buf_init(&journal->frame, heap);
    int outcome = disk->ops->lock(disk);
    if (outcome == -EBUSY) {
        snprintf(journal->error, sizeof journal->error, "another process has this directory open");
        outcome = JOURNAL_E_BUSY;
    } else if (outcome) {
        journal_fail(journal, "locking", "the directory", outcome);
    } else {
        outcome = recover(journal);
    }
    if (outcome && !journal->fault)
        journal->fault = outcome < 0 ? outcome : -EBADF; // appending to it would be our bug
    return outcome;
}

void journal_close(struct journal *journal)
{
    journal_snapshot_abort(journal);
    if (journal->log.file >= 0)
        journal->disk->ops->close(journal->disk, journal->log.file);
    buf_deinit(&journal->frame);
    heap_free(journal->heap, journal, sizeof *journal);
}

int journal_verify(struct disk *disk, struct heap *heap, const struct journal_options *options,
                   struct journal_report *out_report)
{
    struct recovery recovery;
    *out_report = (struct journal_report){0};
    if (disk->ops->lock(disk) == -EBUSY) {
        snprintf(out_report->error, sizeof out_report->error,
                 "another process has this directory open");
        return JOURNAL_E_BUSY;
    }
    recovery_init(&recovery, disk, heap);
    recovery.options = options;
    recovery.report = out_report;
    int outcome = recovery_run(&recovery);
    recovery_deinit(&recovery);
    return outcome;
}
