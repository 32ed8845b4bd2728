// SPDX-License-Identifier: Apache-2.0
// Clients' scripts within the process: their clock, their log, the gate that they hold, and the
// file of functions in the data directory. All of it on the replica thread.
#include <errno.h>
#include <stdio.h>
#include "db/private.h"
#include "os/clock.h"
#include "os/file.h"

#define FILE_NAME     "functions"
#define FILE_NEW      "functions.new"
#define LOG_LINES_MAX 10 // a second

static uint64_t now_us(void *ctx)
{
    (void)ctx;
    return clock_monotonic_ns() / 1000;
}

static void on_log(void *ctx, int level, struct span message)
{
    static const char *const levels[] = {"debug", "verbose", "notice", "warning"};
    struct db *db = ctx;
    uint64_t now_s = clock_monotonic_ms() / 1000;
    if (level < 2) // as Redis at its usual level
        return;
    if (now_s != db->script_log.second) {
        db->script_log.second = now_s;
        db->script_log.lines = 0;
    }
    if (db->script_log.lines++ < LOG_LINES_MAX)
        db_log(db, "script, %s: %.*s", levels[level], (int)(message.len < 900 ? message.len : 900),
               message.len ? (const char *)message.ptr : "");
}

// What FUNCTION STATS tells of it meanwhile.
static void describe(struct db *db, const struct vm_run *run)
{
    struct engine_counts counts = engine_counts(db->engine);
    struct running running = {.is_function = run->is_function,
                              .started_ms = loop_now_ms(db->loop),
                              .libraries = counts.libraries,
                              .functions = counts.functions};
    snprintf(running.name, sizeof running.name, "%s", run->name);
    for (uint32_t i = 0; i < run->call->argc && i < 8; i++) {
        struct span word = run->call->argv[i];
        uint8_t len = (uint8_t)(word.len < sizeof running.word[0] ? word.len : 63);
        if (len)
            memcpy(running.word[i], word.ptr, len);
        running.word_len[i] = len;
        running.words_count++;
    }
    gate_describe(&db->gate, &running);
}

static bool on_slow(void *ctx, const struct vm_run *run)
{
    struct db *db = ctx;
    if (!gate_is_busy(&db->gate))
        describe(db, run);
    return gate_busy(&db->gate, run->is_function, run->has_written);
}

static void on_over(void *ctx)
{
    struct db *db = ctx;
    gate_halt(&db->gate); // until the commit's other commands have run
}

// ---- the file

static int write_new(struct disk *disk, struct span dump)
{
    disk->ops->remove(disk, FILE_NEW); // of a crash
    int file = disk->ops->create(disk, FILE_NEW, dump.len);
    if (file < 0)
        return file;
    int fault = disk->ops->write(disk, file, 0, dump);
    if (!fault)
        fault = disk->ops->sync(disk, file);
    disk->ops->close(disk, file);
    return fault;
}

static int on_store(void *ctx, struct span dump)
{
    struct disk *disk = ((struct db *)ctx)->disk;
    int fault = write_new(disk, dump);
    return fault ? fault : disk->ops->rename(disk, FILE_NEW, FILE_NAME);
}

static int read_file(struct db *db, struct buf *out)
{
    int file = db->disk->ops->open(db->disk, FILE_NAME);
    if (file < 0)
        return file == -ENOENT ? 0 : file;
    int64_t size = db->disk->ops->size(db->disk, file);
    int fault = size < 0 ? (int)size : 0;
    if (!fault && size > 2 * (int64_t)FUNCTIONS_BYTES_MAX)
        fault = -EFBIG;
    if (!fault)
        fault = db->disk->ops->read(db->disk, file, 0, (size_t)size, out);
    db->disk->ops->close(db->disk, file);
    return fault;
}

static int restore(struct db *db)
{
    struct buf dump, error;
    buf_init(&dump, db->heap);
    buf_init(&error, db->heap);
    int outcome = read_file(db, &dump);
    if (outcome < 0)
        buf_put_text(&error, strerror(-outcome));
    else if (dump.len)
        outcome = engine_restore(db->engine, buf_span(&dump), &error);
    if (outcome)
        db_log(db, "cannot load %s/" FILE_NAME ": %.*s; move it away to start without functions",
               db->options->directory, (int)error.len, (const char *)error.ptr);
    buf_deinit(&dump);
    buf_deinit(&error);
    return outcome;
}

int scripts_open(struct db *db)
{
    struct engine_options options = {.vm = {.heap = db->heap,
                                            .index = &db->index,
                                            .now_us = now_us,
                                            .on_log = on_log,
                                            .on_slow = on_slow,
                                            .on_over = on_over,
                                            .ctx = db},
                                     .on_store = on_store};
    int fault = engine_new(&db->engine, &options);
    if (fault) {
        db_log(db, "cannot start scripts: %s", strerror(-fault));
        return fault;
    }
    db->committer.server.scripts = engine_scripts(db->engine);
    return restore(db);
}

void scripts_describe(const struct db *db, struct server *server)
{
    struct engine_counts counts = engine_counts(db->engine);
    server->script_state.cached = counts.scripts;
    server->script_state.libraries = counts.libraries;
    server->script_state.functions = counts.functions;
    server->script_state.eval_bytes = counts.eval_bytes;
    server->script_state.function_bytes = counts.function_bytes;
}
