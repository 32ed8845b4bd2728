// SPDX-License-Identifier: Apache-2.0
// The database composed: opened in order, run on the calling thread (which becomes the replica
// thread), drained in the opposite order.
//
// Clients are served only once the node has settled who it is and the first commit is durable;
// connections made before wait in the listeners' queues. A drain: no new connections; what has
// arrived is answered; workers end; what they changed is committed and handed to the peers.
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include "base/hex.h"
#include "base/owner.h"
#include "db/watch.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/heap_system.h"
#include "os/log.h"

#define FAREWELL_MS 300 // for peers to read what the last commit had for them

void db_log(const struct db *db, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_line("db", db->options->replica, "%s", text);
}

// ---- serving

static void start_threads(struct db *db)
{
    int fault = events_start(db->events);
    for (unsigned i = 0; i < db->workers_count && !fault; i++)
        fault = worker_start(&db->workers[i]);
    if (!fault)
        return;
    db_log(db, "cannot start its threads: %s", strerror(-fault));
    db->status = 1;
    db_drain(db);
}

void db_serve(struct db *db)
{
    db->state = DB_SERVING;
    if (db->is_restored) // the new incarnation is on the disk
        db->disk->ops->remove(db->disk, DB_RESTORED);
    start_threads(db);
    if (db->state == DB_SERVING)
        fprintf(stderr, "quipu db %s: ready, RESP on %s, peers on %s, %llu keys%s%s\n",
                db->options->replica, db->resp_text, db->peer_text,
                (unsigned long long)keyspace_keys_count(db->keyspace),
                *db->tls_text ? ", TLS on "
                : db->tls     ? ", all by TLS"
                              : "",
                db->tls_text);
}

void db_refuse(struct db *db, const char *why, int why_len)
{
    db_log(db, "cannot serve: %.*s", why_len, why);
    db->status = 1;
    db_drain(db);
}

// ---- draining

static void stop_threads(struct db *db)
{
    for (unsigned i = 0; db->workers && i < db->workers_count; i++) {
        struct worker *worker = &db->workers[i];
        if (!worker->is_started)
            continue;
        loop_stop(worker->loop);
        pthread_join(worker->thread, NULL);
        worker->is_started = false;
    }
}

void db_worker_stopped(struct db *db)
{
    if (--db->workers_draining)
        return;
    events_stop(db->events); // first: what it has published is delivered, and freed, by the workers
    stop_threads(db);
    db->state = DB_ENDING;
}

void db_drain(struct db *db)
{
    if (db->state >= DB_DRAINING)
        return;
    bool was_serving = db->state == DB_SERVING;
    db->state = DB_DRAINING;
    db->committer.server.is_draining = true;
    for (unsigned i = 0; i < db->workers_count; i++) {
        if (db->workers[i].is_started) {
            db->workers_draining++;
            bell_ring(&db->workers[i].drain);
        }
    }
    if (db->workers_draining)
        return;
    db->state = DB_ENDING;
    if (!was_serving)
        loop_stop(db->loop);
}

static void on_farewell(struct loop_timer *timer)
{
    loop_stop(owner_of(timer, struct db, farewell)->loop);
}

// Workers are gone: the last commit, then the peers' streams end after what it had for them.
static void ending_turn(struct db *db)
{
    if (loop_timer_is_set(&db->farewell)) {
        if (peers_are_gone(&db->peers))
            loop_stop(db->loop);
    } else if (committer_is_quiet(&db->committer)) {
        peers_stop(&db->peers, true);
        loop_timer_set(db->loop, &db->farewell, loop_now_ms(db->loop) + FAREWELL_MS);
    } else {
        committer_hurry(&db->committer);
    }
}

static void on_turn_end(void *ctx)
{
    struct db *db = ctx;
    committer_turn(&db->committer);
    if (db->state == DB_ENDING)
        ending_turn(db);
    keyspace_quiesce();
}

static void on_wait(void *ctx)
{
    (void)ctx;
    keyspace_offline();
}

static void on_woken(void *ctx)
{
    (void)ctx;
    keyspace_online();
}

static void reload_tls(struct db *db)
{
    char error[TLS_TEXT_MAX];
    if (tls_reload(db->tls, error))
        db_log(db, "certificates not read again, the ones before stay: %s", error);
    else
        db_log(db, "certificates read again");
}

static void on_signal(struct signals *signals, int number)
{
    struct db *db = owner_of(signals, struct db, signals);
    if (number == SIGHUP && db->tls)
        reload_tls(db);
    else if (number != SIGCHLD)
        db_drain(db);
}

// ---- opening

static uint64_t chance(void)
{
    uint64_t number;
    random_bytes(&number, sizeof number);
    return number;
}

static void set_identity(struct db *db)
{
    uint8_t bytes[28];
    random_bytes(bytes, sizeof bytes);
    hex_write(db->identity.epoch, span_of(bytes, 8));
    hex_write(db->identity.run_id, span_of(bytes + 8, 20));
    db->identity.replica = db->options->replica;
    db->identity.cluster = db->options->cluster;
}

static int explain(const struct db *db, const char *what, const char *which, int fault)
{
    db_log(db, "%s %s: %s", what, which, strerror(-fault));
    return fault;
}

static int open_disk(struct db *db)
{
    const char *directory = db->options->directory;
    int fault = file_disk_open(&db->disk, db->heap, directory);
    return fault ? explain(db, "cannot use the data directory", directory, fault) : 0;
}

// A directory out of a backup: its identity may have written more since.
static bool is_restored(struct db *db)
{
    int file = db->disk->ops->open(db->disk, DB_RESTORED);
    if (file < 0)
        return false;
    db->disk->ops->close(db->disk, file);
    db_log(db, "%s was restored: going on as a new incarnation", db->options->directory);
    return true;
}

static int open_peers(struct db *db)
{
    struct endpoint endpoint = db->options->peer_listen;
    endpoint_write(&endpoint, db->peer_text);
    int fault = peers_start(&db->peers, db, &endpoint);
    if (!fault)
        fault = endpoint_of_socket(db->peers.listener.watch.fd, &endpoint);
    if (fault)
        return explain(db, "cannot listen for peers on", db->peer_text, fault);
    db->committer.server.peer_port = endpoint.port;
    endpoint_write(&endpoint, db->peer_text);
    return 0;
}

static int open_replica(struct db *db)
{
    const struct db_options *options = db->options;
    struct span peers[LIMIT_PEERS];
    struct buf error;
    db->is_restored = is_restored(db);
    for (unsigned i = 0; i < options->peers_count; i++)
        peers[i] = span_text(options->peers[i]);
    struct replica_options replica = {
        .disk = db->disk,
        .node = {.cluster = span_text(options->cluster),
                 .name = span_text(options->replica),
                 .address = span_text(options->advertise ? options->advertise : db->peer_text),
                 .secret = options->secret,
                 .peers = peers,
                 .peers_count = (uint16_t)options->peers_count,
                 .start_wait_ms =
                     options->start_wait_ms ? options->start_wait_ms : DB_START_WAIT_MS,
                 .silence_ms = options->silence_ms ? options->silence_ms : DB_SILENCE_MS,
                 .seed = chance(),
                 .boot = chance()},
        .is_new_incarnation = db->is_restored || options->is_new_incarnation,
        .token_window_ms = options->token_window_ms,
        .clock_skew_ms = options->clock_skew_ms,
        .hash_seed = db->seed};
    random_bytes(&replica.fresh, sizeof replica.fresh);
    random_bytes(&replica.spare, sizeof replica.spare);
    buf_init(&error, db->heap);
    int outcome = replica_open(&db->committer.replica, db->heap, &replica, &error);
    if (outcome)
        db_log(db, "cannot open %s: %.*s", options->directory, (int)error.len,
               (const char *)error.ptr);
    else
        db->keyspace = replica_keyspace(db->committer.replica);
    buf_deinit(&error);
    return outcome;
}

static int open_events(struct db *db)
{
    struct buf error;
    buf_init(&error, db->heap);
    int outcome = events_new(&db->events, db, &error);
    if (outcome)
        db_log(db, "the hook does not load: %.*s", (int)error.len, (const char *)error.ptr);
    buf_deinit(&error);
    return outcome;
}

static int open_tls(struct db *db)
{
    char error[TLS_TEXT_MAX];
    if (!db->options->tls.cert_file)
        return 0;
    int fault = tls_new(&db->tls, &db->options->tls, error);
    if (fault)
        db_log(db, "%s", error);
    return fault;
}

// Each worker has a listener of its own on the one port.
static int listen_on(struct db *db, struct endpoint *endpoint, bool is_tls,
                     char out_text[ENDPOINT_TEXT_MAX])
{
    endpoint_write(endpoint, out_text);
    for (unsigned i = 0; i < db->workers_count; i++) {
        struct worker *worker = &db->workers[i];
        struct listener *listener = is_tls ? &worker->tls_listener : &worker->listener;
        listener->is_again = i > 0;
        int fault = listener_start(listener, worker->loop, endpoint);
        if (!fault && i == 0)
            fault = endpoint_of_socket(listener->watch.fd, endpoint);
        if (fault)
            return explain(db, "cannot listen for clients on", out_text, fault);
        endpoint_write(endpoint, out_text);
    }
    return 0;
}

static int open_workers(struct db *db)
{
    struct endpoint endpoint = db->options->listen, tls_endpoint = db->options->tls_listen;
    db->workers = heap_alloc(db->heap, db->workers_count * sizeof *db->workers);
    if (!db->workers)
        return explain(db, "cannot start", "workers", -ENOMEM);
    memset(db->workers, 0, db->workers_count * sizeof *db->workers);
    for (unsigned i = 0; i < db->workers_count; i++) {
        struct worker *worker = &db->workers[i];
        int fault = worker_init(worker, db, i);
        if (fault)
            return explain(db, "cannot start", "a worker", fault);
    }
    int fault = listen_on(db, &endpoint, false, db->resp_text);
    if (!fault && *tls_endpoint.host)
        fault = listen_on(db, &tls_endpoint, true, db->tls_text);
    db->committer.server.port = endpoint.port;
    return fault;
}

static void set_server(struct db *db)
{
    const struct db_options *options = db->options;
    struct server *server = &db->committer.server;
    server->directory = options->directory;
    server->hook = options->hook_path ? options->hook_path : "default";
    server->listen_host = options->listen.host;
    server->threads = db->workers_count;
    server->is_strict = db->is_strict;
    server->is_cut_allowed = options->is_cut_allowed;
    server->commit_interval_ms =
        options->commit_interval_ms ? options->commit_interval_ms : DB_COMMIT_INTERVAL_MS;
    server->script_time_ms = options->script_time_ms;
    server->script_busy_ms = SCRIPT_BUSY_MS;
    server->process_id = (uint64_t)getpid();
    server->started_ms = loop_now_ms(db->loop);
}

static int open_watch(struct db *db)
{
    struct server *server = &db->committer.server;
    size_t size = command_count() * sizeof *server->commands.commands;
    slowlog_init(&server->slowlog, db->heap);
    watch_adopt(db);
    server->commands.commands = heap_alloc(db->heap, size);
    server->commands_base.commands = heap_alloc(db->heap, size);
    if (!server->commands.commands || !server->commands_base.commands)
        return -ENOMEM;
    memset(server->commands_base.commands, 0, size);
    return stats_init(&db->committer.stats, db->heap);
}

static void close_watch(struct db *db)
{
    struct server *server = &db->committer.server;
    size_t size = command_count() * sizeof *server->commands.commands;
    if (server->slowlog.heap)
        slowlog_deinit(&server->slowlog);
    if (server->commands.commands)
        heap_free(db->heap, server->commands.commands, size);
    if (server->commands_base.commands)
        heap_free(db->heap, server->commands_base.commands, size);
    stats_deinit(&db->committer.stats);
}

static int open_all(struct db *db)
{
    struct loop_hooks hooks = {
        .on_turn_end = on_turn_end, .on_wait = on_wait, .on_woken = on_woken, .ctx = db};
    int fault = loop_new(&db->loop, &hooks);
    if (!fault)
        fault = signals_start(&db->signals, db->loop);
    if (fault)
        return explain(db, "cannot start", "its loop", fault);
    committer_init(&db->committer, db);
    set_server(db);
    fault = open_watch(db);
    if (fault)
        return explain(db, "cannot start", "its counts", fault);
    set_identity(db);
    command_index_init(&db->index);
    db->pubsub = pubsub_new(db->heap, db->seed, db->workers_count);
    if (!db->pubsub)
        return explain(db, "cannot start", "publish and subscribe", -ENOMEM);
    int outcome = open_tls(db);
    if (!outcome)
        outcome = users_open(&db->users, db);
    if (!outcome)
        outcome = bounds_open(db);
    if (!outcome)
        outcome = open_disk(db);
    if (!outcome)
        outcome = open_peers(db);
    if (!outcome)
        outcome = open_replica(db);
    if (!outcome)
        outcome = scripts_open(db);
    if (!outcome)
        outcome = open_events(db);
    return outcome ? outcome : open_workers(db);
}

static void close_all(struct db *db)
{
    stop_threads(db);
    events_stop(db->events);
    if (db->loop)
        peers_stop(&db->peers, false);
    for (unsigned i = 0; db->workers && i < db->workers_count; i++)
        worker_deinit(&db->workers[i]);
    if (db->workers)
        heap_free(db->heap, db->workers, db->workers_count * sizeof *db->workers);
    events_free(db->events);
    engine_free(db->engine);
    keyspace_thread_stop();
    if (db->committer.replica)
        replica_close(db->committer.replica);
    if (db->disk)
        file_disk_close(db->disk);
    pubsub_free(db->pubsub);
    users_close(&db->users);
    close_watch(db);
    feeds_free(&db->committer);
    tls_free(db->tls);
    if (db->signals.loop)
        signals_stop(&db->signals);
    loop_free(db->loop);
    gate_deinit(&db->gate);
    heap_free(db->heap, db, sizeof *db);
}

int db_run(const struct db_options *options)
{
    struct heap *heap = heap_system();
    struct db *db = heap_alloc(heap, sizeof *db);
    if (!db)
        return 1;
    *db = (struct db){.options = options,
                      .heap = heap,
                      .seed = chance(),
                      .workers_count = options->threads ? options->threads : 1,
                      .is_strict = options->durability == DB_STRICT,
                      .signals = {.on_signal = on_signal},
                      .peers = {.listener = {.watch = {.fd = -1}}},
                      .farewell = {.on_due = on_farewell}};
    if (db->workers_count > DB_THREADS_MAX)
        db->workers_count = DB_THREADS_MAX;
    gate_init(&db->gate);
    db->status = open_all(db) ? 1 : 0;
    keyspace_thread_start(); // not before: recovery reclaims as it goes, and waits for nobody
    if (db->status == 0) {
        committer_start(&db->committer);
        int fault = loop_run(db->loop);
        if (fault)
            db->status = explain(db, "the loop of", "the replica thread", fault) ? 1 : 0;
    }
    int status = db->status;
    close_all(db);
    return status;
}
