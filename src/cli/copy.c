// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/copy.h"
#include "journal/journal.h"
#include "os/clock.h"
#include "db/db.h"
#include "os/file.h"
#include "os/heap_system.h"

#define PROGRESS_MS 500

static int refuse(const struct copy *copy, const char *what, const char *why)
{
    fprintf(stderr, "quipu %s: %s: %s\n", copy->command, what, why);
    return -1;
}

static void remove_visit(void *ctx, const char *name)
{
    struct copy *copy = ctx;
    copy->disk->ops->remove(copy->disk, name);
}

int copy_begin(struct copy *copy, const char *command, const char *directory)
{
    struct stat about;
    *copy = (struct copy){.command = command, .directory = directory, .file = -1};
    if (stat(directory, &about) == 0)
        return refuse(copy, directory, "is there already; name a directory that is not");
    if (snprintf(copy->partial, sizeof copy->partial, "%s.partial", directory) >=
        (int)sizeof copy->partial)
        return refuse(copy, directory, strerror(ENAMETOOLONG));
    int fault = file_disk_open(&copy->disk, heap_system(), copy->partial);
    if (!fault)
        fault = copy->disk->ops->lock(copy->disk);
    if (!fault) // what an attempt before has left
        fault = copy->disk->ops->list(copy->disk, remove_visit, copy);
    return fault ? refuse(copy, copy->partial, strerror(-fault)) : 0;
}

int copy_file_begin(struct copy *copy, const char *name)
{
    copy->file = copy->disk->ops->create(copy->disk, name, 0);
    copy->offset = 0;
    return copy->file < 0 ? refuse(copy, name, strerror(-copy->file)) : 0;
}

static void show_progress(struct copy *copy)
{
    uint64_t now = clock_monotonic_ms();
    if (!isatty(2) || now < copy->shown_ms + PROGRESS_MS)
        return;
    copy->shown_ms = now;
    fprintf(stderr, "\r%llu files, %.1f MiB ", (unsigned long long)copy->files,
            (double)copy->bytes / 1048576);
}

int copy_put(struct copy *copy, struct span bytes)
{
    int fault = copy->disk->ops->write(copy->disk, copy->file, copy->offset, bytes);
    copy->offset += bytes.len;
    copy->bytes += bytes.len;
    show_progress(copy);
    return fault ? refuse(copy, copy->partial, strerror(-fault)) : 0;
}

static void close_file(struct copy *copy)
{
    if (copy->file >= 0)
        copy->disk->ops->close(copy->disk, copy->file);
    copy->file = -1;
}

int copy_file_end(struct copy *copy)
{
    int fault = copy->disk->ops->sync(copy->disk, copy->file);
    close_file(copy);
    copy->files++;
    return fault ? refuse(copy, copy->partial, strerror(-fault)) : 0;
}

void copy_abort(struct copy *copy)
{
    if (!copy->disk)
        return;
    close_file(copy);
    file_disk_close(copy->disk);
    copy->disk = NULL;
}

static int verify(const struct copy *copy)
{
    struct disk *disk;
    struct journal_report report = {0};
    int outcome = file_disk_open(&disk, heap_system(), copy->partial);
    if (outcome)
        return refuse(copy, copy->partial, strerror(-outcome));
    outcome = journal_verify(disk, heap_system(), &(struct journal_options){0}, &report);
    file_disk_close(disk);
    if (outcome)
        return refuse(copy, copy->partial, report.error);
    if (copy->is_of_backup && !report.is_closed)
        return refuse(copy, copy->partial, "the newest segment of the log is damaged at its end");
    return 0;
}

int copy_end(struct copy *copy)
{
    if (copy_file_begin(copy, DB_RESTORED) || copy_file_end(copy))
        return -1;
    copy->files--; // it is none of those that were asked for
    copy_abort(copy);
    if (verify(copy))
        return -1;
    if (rename(copy->partial, copy->directory))
        return refuse(copy, copy->directory, strerror(errno));
    int fault = file_sync_parent(copy->directory);
    return fault ? refuse(copy, copy->directory, strerror(-fault)) : 0;
}
