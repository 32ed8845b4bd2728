// SPDX-License-Identifier: Apache-2.0
// Segments of the log: preallocated, so that an append changes no metadata and its sync is one
// write; recycled, so that a busy log makes no files. The order makes recovery simple: the old
// segment is closed and durable before the new one has its name, and the new one's head is durable
// before that too.
#include <errno.h>
#include "journal/private.h"

bool segment_has_room(const struct journal *journal, uint64_t frame_bytes)
{
    // Room for the closing frame is always left.
    return journal->log.file >= 0 &&
           journal->log.end + frame_bytes + FORMAT_FRAME_BYTES <= journal->log.size;
}

static int close_newest(struct journal *journal)
{
    if (journal->log.file < 0)
        return 0;
    int fault = journal_put(journal, &journal->log, FILE_LOG, FRAME_CLOSED, (struct span){0});
    if (!fault)
        fault = journal_sync_output(journal, &journal->log, FILE_LOG);
    if (fault)
        return fault;
    journal->disk->ops->close(journal->disk, journal->log.file);
    journal->log.file = -1;
    return 0;
}

// A spare segment, or a new file; out_name is what it is called until it is one of the log's.
static int prepare(struct journal *journal, uint64_t need, struct output *out,
                   char out_name[FORMAT_NAME_BYTES])
{
    struct disk *disk = journal->disk;
    out->size = journal->options.segment_bytes;
    if (need <= out->size && journal->spares_count) {
        format_name(out_name, FILE_SPARE, journal->spares[journal->spares_count - 1]);
        out->file = disk->ops->open(disk, out_name);
        if (out->file >= 0)
            journal->spares_count--;
    } else {
        if (out->size < need)
            out->size = need;
        memcpy(out_name, JOURNAL_LOG_NEW, sizeof JOURNAL_LOG_NEW);
        out->file = disk->ops->create(disk, out_name, out->size);
    }
    return out->file < 0 ? journal_fail(journal, "making", out_name, out->file) : 0;
}

static int write_head(struct journal *journal, struct output *output, const char *name)
{
    struct disk *disk = journal->disk;
    struct file_head head = {
        .kind = FILE_LOG, .number = output->number, .generation = journal->generation};
    buf_clear(&journal->frame);
    format_put_head(&journal->frame, &head);
    if (buf_has_failed(&journal->frame))
        return -ENOMEM;
    int fault = disk->ops->write(disk, output->file, 0, buf_span(&journal->frame));
    if (fault)
        return journal_fail(journal, "writing", name, fault);
    fault = disk->ops->sync(disk, output->file);
    if (fault)
        return journal_fail(journal, "syncing", name, fault);
    output->end = output->synced = FORMAT_HEAD_BYTES;
    return 0;
}

int segment_begin(struct journal *journal, uint64_t frame_bytes)
{
    struct disk *disk = journal->disk;
    struct output next = {.file = -1, .number = journal->log.number + 1};
    char name[FORMAT_NAME_BYTES], final_name[FORMAT_NAME_BYTES];
    format_name(final_name, FILE_LOG, next.number);
    if (!buf_reserve(&journal->frame, FORMAT_HEAD_BYTES)) {
        buf_clear(&journal->frame);
        return -ENOMEM; // found out before anything is touched
    }
    int fault = close_newest(journal);
    if (!fault)
        fault = prepare(journal, FORMAT_HEAD_BYTES + frame_bytes + FORMAT_FRAME_BYTES, &next, name);
    if (!fault)
        fault = write_head(journal, &next, name);
    if (!fault) {
        fault = disk->ops->rename(disk, name, final_name);
        if (fault)
            journal_fail(journal, "renaming", name, fault);
    }
    if (!fault)
        journal->log = next;
    else if (next.file >= 0)
        disk->ops->close(disk, next.file);
    return fault;
}

// What lies between the durable part and the end was read from the page cache of a process that may
// have died of a failed sync: the pages may be clean and still not on the disk. It is written
// again, so that the next sync really covers it.
static int rewrite_tail(struct journal *journal, const char *name)
{
    struct disk *disk = journal->disk;
    struct output *log = &journal->log;
    if (log->synced >= log->end)
        return 0;
    buf_clear(&journal->frame);
    int fault = disk->ops->read(disk, log->file, log->synced, (size_t)(log->end - log->synced),
                                &journal->frame);
    if (!fault && buf_has_failed(&journal->frame))
        fault = -ENOMEM;
    if (!fault && journal->frame.len < log->end - log->synced)
        fault = -EIO;
    if (fault)
        return journal_fail(journal, "reading", name, fault);
    fault = disk->ops->write(disk, log->file, log->synced, buf_span(&journal->frame));
    return fault ? journal_fail(journal, "writing", name, fault) : 0;
}

int segment_resume(struct journal *journal, const struct recovery *recovery)
{
    struct disk *disk = journal->disk;
    struct output *log = &journal->log;
    char name[FORMAT_NAME_BYTES];
    format_name(name, FILE_LOG, recovery->newest);
    *log = (struct output){.file = -1,
                           .number = recovery->newest,
                           .end = recovery->end,
                           .synced = recovery->synced,
                           .size = recovery->size};
    log->file = disk->ops->open(disk, name);
    if (log->file < 0)
        return journal_fail(journal, "opening", name, log->file);
    int fault = rewrite_tail(journal, name);
    if (fault)
        return fault;
    if (recovery->is_closed) {
        fault = journal_sync_output(journal, log, FILE_LOG);
        disk->ops->close(disk, log->file);
        log->file = -1;
        return fault ? fault : segment_begin(journal, 0);
    }
    if (!segment_has_room(journal, FORMAT_FRAME_BYTES))
        return segment_begin(journal, 0);
    // Its `synced` must tell what is durable now, not what will be.
    fault = journal_put(journal, log, FILE_LOG, FRAME_OPENED, (struct span){0});
    return fault ? fault : journal_sync_output(journal, log, FILE_LOG);
}

int segment_retire(struct journal *journal, uint32_t number)
{
    struct disk *disk = journal->disk;
    char name[FORMAT_NAME_BYTES], spare[FORMAT_NAME_BYTES];
    format_name(name, FILE_LOG, number);
    format_name(spare, FILE_SPARE, number);
    int file = disk->ops->open(disk, name);
    if (file < 0)
        return journal_fail(journal, "opening", name, file);
    int64_t size = disk->ops->size(disk, file);
    disk->ops->close(disk, file);
    bool is_kept = size == (int64_t)journal->options.segment_bytes &&
                   journal->spares_count < JOURNAL_SPARES_MAX;
    int fault = is_kept ? disk->ops->rename(disk, name, spare) : disk->ops->remove(disk, name);
    if (fault)
        return journal_fail(journal, is_kept ? "renaming" : "removing", name, fault);
    if (is_kept)
        journal->spares[journal->spares_count++] = number;
    return 0;
}

int segment_retire_all(struct journal *journal)
{
    char name[FORMAT_NAME_BYTES];
    int fault = 0;
    if (journal->is_held)
        return 0;
    for (; !fault && journal->oldest_snapshot < journal->snapshot_number;
         journal->oldest_snapshot += !fault) {
        if (journal->oldest_snapshot == 0)
            continue;
        format_name(name, FILE_SNAPSHOT, journal->oldest_snapshot);
        fault = journal->disk->ops->remove(journal->disk, name);
        if (fault)
            journal_fail(journal, "removing", name, fault);
    }
    for (; !fault && journal->oldest < journal->needed; journal->oldest += !fault)
        fault = segment_retire(journal, journal->oldest);
    return fault;
}
