// SPDX-License-Identifier: Apache-2.0
// quipu check: a data directory, offline. The directory must be there: opening one makes it.
#include <errno.h>
#include <sys/stat.h>
#include "cli/main.h"
#include "cli/options.h"
#include "db/db.h"
#include "journal/journal.h"
#include "os/file.h"
#include "os/heap_system.h"

static const struct option rows[] = {{0}};

static const struct command command = {
    .name = "check",
    .summary = "Reads a database's data directory and tells whether its journal is whole. Changes "
               "nothing.\nExit status 1: damaged, in use, or unreadable.",
    .arguments = "DIR",
    .options = rows,
};

static int refuse(const char *directory, const char *why)
{
    fprintf(stderr, "quipu check: %s: %s\n", directory, why);
    return 1;
}

static int accept_frame(void *ctx, struct span frame)
{
    (void)ctx;
    (void)frame; // its checksum was right; what it says is for the replica to read
    return 0;
}

static const char *outcome_text(int outcome)
{
    if (outcome == JOURNAL_E_BUSY)
        return "a database is running with it; stop that first";
    if (outcome == JOURNAL_E_VERSION)
        return "written by a newer quipu";
    return outcome < 0 ? strerror(-outcome) : "damaged";
}

static bool is_backup(struct disk *disk)
{
    int file = disk->ops->open(disk, DB_RESTORED);
    if (file >= 0)
        disk->ops->close(disk, file);
    return file >= 0;
}

static int verify(const char *directory, struct disk *disk)
{
    struct journal_options options = {.on_frame = accept_frame};
    struct journal_report report = {0};
    int outcome = journal_verify(disk, heap_system(), &options, &report);
    if (outcome)
        return refuse(directory, report.error[0] ? report.error : outcome_text(outcome));
    if (is_backup(disk) && !report.is_closed)
        return refuse(directory, "the newest segment of the log is damaged at its end");
    printf("%s: whole: %llu snapshots, %llu segments, %llu frames, %llu bytes\n", directory,
           (unsigned long long)report.snapshots_count, (unsigned long long)report.segments_count,
           (unsigned long long)report.frames_count, (unsigned long long)report.frames_bytes);
    if (report.cut_bytes)
        printf("%s: %llu bytes of an unfinished last write will be cut at the next start\n",
               directory, (unsigned long long)report.cut_bytes);
    return 0;
}

static int run(const struct options *options)
{
    const char *directory = options->argument;
    struct stat about;
    if (stat(directory, &about))
        return refuse(directory, strerror(errno));
    if (!S_ISDIR(about.st_mode))
        return refuse(directory, "not a directory");
    struct disk *disk;
    int fault = file_disk_open(&disk, heap_system(), directory);
    if (fault)
        return refuse(directory, strerror(-fault));
    int status = verify(directory, disk);
    file_disk_close(disk);
    return status;
}

int check_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
