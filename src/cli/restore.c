// SPDX-License-Identifier: Apache-2.0
// quipu restore: a data directory out of a backup. Whoever starts with it is a new incarnation: the
// one that was backed up may have written more since, here or elsewhere.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "cli/copy.h"
#include "cli/main.h"
#include "cli/options.h"
#include "db/db.h"
#include "os/file.h"
#include "os/heap_system.h"

#define PIECE_BYTES (1u << 20)

static const struct option rows[] = {
    {.name = "to",
     .type = OPTION_PATH,
     .value = "DIR",
     .is_required = true,
     .help = "the data directory to make; it is not there yet"},
    OPTION_ROW_CONFIG,
    {0},
};

static const struct command command = {
    .name = "restore",
    .summary = "Makes a data directory out of a backup, or out of the data directory of a database "
               "that is\nnot running. A database that starts with it does so as a new incarnation.",
    .arguments = "BACKUP",
    .options = rows,
};

struct restore {
    struct disk *source;
    struct copy copy;
    struct buf piece;
    int fault;
};

static int refuse(const char *what, const char *why)
{
    fprintf(stderr, "quipu restore: %s: %s\n", what, why);
    return -1;
}

static int copy_bytes(struct restore *restore, int file)
{
    for (;;) {
        buf_clear(&restore->piece);
        int fault = restore->source->ops->read(restore->source, file, restore->copy.offset,
                                               PIECE_BYTES, &restore->piece);
        if (!fault && buf_has_failed(&restore->piece))
            fault = -ENOMEM;
        if (fault)
            return refuse("reading", strerror(-fault));
        if (restore->piece.len == 0)
            return copy_file_end(&restore->copy);
        if (copy_put(&restore->copy, buf_span(&restore->piece)))
            return -1;
    }
}

static void copy_visit(void *ctx, const char *name)
{
    struct restore *restore = ctx;
    if (strcmp(name, DB_RESTORED) == 0)
        restore->copy.is_of_backup = true;
    if (restore->fault || strcmp(name, DB_RESTORED) == 0)
        return;
    int file = restore->source->ops->open(restore->source, name);
    if (file < 0) {
        restore->fault = refuse(name, strerror(-file));
        return;
    }
    restore->fault = copy_file_begin(&restore->copy, name) || copy_bytes(restore, file) ? -1 : 0;
    restore->source->ops->close(restore->source, file);
}

static int copy_all(struct restore *restore)
{
    int fault = restore->source->ops->lock(restore->source);
    if (fault)
        return refuse("the backup",
                      fault == -EBUSY ? "a database is running with it" : strerror(-fault));
    fault = restore->source->ops->list(restore->source, copy_visit, restore);
    if (fault)
        return refuse("the backup", strerror(-fault));
    return restore->fault ? -1 : copy_end(&restore->copy);
}

static int run(const struct options *options)
{
    struct stat about;
    struct restore restore = {0};
    const char *source = options->argument, *target = options_text(options, "to");
    if (stat(source, &about))
        return refuse(source, strerror(errno)), 1;
    int fault = file_disk_open(&restore.source, heap_system(), source);
    if (fault)
        return refuse(source, strerror(-fault)), 1;
    buf_init(&restore.piece, heap_system());
    fault = copy_begin(&restore.copy, "restore", target);
    if (!fault)
        fault = copy_all(&restore);
    if (!fault)
        fprintf(stderr, "quipu restore: %s: %llu files, %llu bytes, whole\n", target,
                (unsigned long long)restore.copy.files, (unsigned long long)restore.copy.bytes);
    copy_abort(&restore.copy);
    file_disk_close(restore.source);
    buf_deinit(&restore.piece);
    return fault ? 1 : 0;
}

int restore_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
