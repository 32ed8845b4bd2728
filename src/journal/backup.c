// SPDX-License-Identifier: Apache-2.0
// Holding for a backup. A closed segment and a complete snapshot never change again; so all that a
// backup needs is that they are not retired while it reads them.
#include <assert.h>
#include <errno.h>
#include "journal/private.h"

int journal_hold(struct journal *journal)
{
    int fault = journal_release(journal);
    if (!fault)
        fault = segment_begin(journal, 0);
    if (fault)
        return fault;
    journal->is_held = true;
    journal->held_snapshot = journal->snapshot_number;
    journal->held_first = journal->oldest;
    journal->held_last = journal->log.number - 1;
    return 0;
}

int journal_release(struct journal *journal)
{
    if (journal->fault)
        return journal->fault;
    journal->is_held = false;
    return segment_retire_all(journal);
}

unsigned journal_held_count(const struct journal *journal)
{
    if (!journal->is_held)
        return 0;
    return (journal->held_snapshot != 0) + journal->held_last - journal->held_first + 1;
}

static void name_of(const struct journal *journal, unsigned index, char out[FORMAT_NAME_BYTES])
{
    assert(index < journal_held_count(journal));
    bool is_snapshot = journal->held_snapshot && index == 0;
    uint32_t segment = journal->held_first + index - (journal->held_snapshot != 0);
    format_name(out, is_snapshot ? FILE_SNAPSHOT : FILE_LOG,
                is_snapshot ? journal->held_snapshot : segment);
}

int journal_held_file(const struct journal *journal, unsigned index, struct journal_held *out_held)
{
    struct disk *disk = journal->disk;
    struct journal_held held;
    name_of(journal, index, held.name);
    int file = disk->ops->open(disk, held.name);
    if (file < 0)
        return file;
    int64_t size = disk->ops->size(disk, file);
    disk->ops->close(disk, file);
    if (size < 0)
        return (int)size;
    held.bytes = (uint64_t)size;
    *out_held = held;
    return 0;
}

int journal_held_read(const struct journal *journal, unsigned index, uint64_t offset, size_t len,
                      struct buf *out)
{
    struct disk *disk = journal->disk;
    char name[FORMAT_NAME_BYTES];
    name_of(journal, index, name);
    int file = disk->ops->open(disk, name);
    if (file < 0)
        return file;
    int fault = disk->ops->read(disk, file, offset, len, out);
    disk->ops->close(disk, file);
    return fault;
}
