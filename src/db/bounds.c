// SPDX-License-Identifier: Apache-2.0
// The bounds on their way to the workers, as numbers that each reads when it needs them; and a
// worker's look at its clients once a second: who is silent for too long, or has not read for too
// long what was written for it.
#include <errno.h>
#include <sys/resource.h>
#include "base/owner.h"
#include "db/private.h"
#include "os/process.h"

#define SWEEP_MS          1000
#define DESCRIPTORS_APART 64 // files, peers, listeners, loops
#define WARNED_MS         10000

// ---- the replica thread

static void put(struct db *db, enum bound which, uint64_t value)
{
    gate_set_bound(&db->gate, which, value);
}

void bounds_publish(struct db *db)
{
    struct bounds *bounds = &db->committer.server.bounds;
    if (bounds->version == db->bounds_version)
        return;
    db->bounds_version = bounds->version;
    put(db, BOUND_CLIENTS, bounds->clients_max);
    put(db, BOUND_IDLE_MS, 1000ull * bounds->idle_s);
    put(db, BOUND_KEEPALIVE_S, bounds->keepalive_s);
    for (unsigned i = 0; i < OUTPUT_CLASSES; i++) {
        const struct output_bound *output = &bounds->output[i];
        put(db, BOUND_HARD + i, output_hard(output));
        put(db, BOUND_SOFT + i, output->soft);
        put(db, BOUND_SOFT_MS + i, 1000ull * output->soft_s);
    }
}

// What INFO calls used_memory.
static uint64_t used_bytes(const struct db *db)
{
    return keyspace_memory(db->keyspace).in_use_bytes;
}

void bounds_look(struct db *db)
{
    struct bounds *bounds = &db->committer.server.bounds;
    bool is_full = bounds->memory_max && used_bytes(db) > bounds->memory_max;
    if (is_full == bounds->is_full)
        return;
    bounds->is_full = is_full;
    put(db, BOUND_FULL, is_full);
    uint64_t now_ms = loop_now_ms(db->loop);
    if (is_full && (!db->full_ms || now_ms > db->full_ms + WARNED_MS)) {
        db->full_ms = now_ms;
        db_log(db,
               "memory is at maxmemory, %llu bytes: no new key or member is taken until there "
               "is room; what is there is counted on",
               (unsigned long long)bounds->memory_max);
    }
}

static void limit_by_descriptors(struct db *db)
{
    struct bounds *bounds = &db->committer.server.bounds;
    struct rlimit limit;
    process_raise_files_limit();
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= DESCRIPTORS_APART)
        return;
    uint64_t possible = limit.rlim_cur - DESCRIPTORS_APART;
    bounds->clients_possible = possible < UINT32_MAX ? (uint32_t)possible : UINT32_MAX;
    if (bounds->clients_max <= bounds->clients_possible)
        return;
    db_log(db, "maxclients is %u: the system gives this process %llu descriptors (ulimit -n)",
           bounds->clients_possible, (unsigned long long)limit.rlim_cur);
    bounds->clients_max = bounds->clients_possible;
}

int bounds_open(struct db *db)
{
    struct server *server = &db->committer.server;
    bounds_init(&server->bounds);
    for (unsigned i = 0; i < db->options->settings_count; i++) {
        const struct db_setting *setting = &db->options->settings[i];
        const char *why = settings_start(server, db->heap, setting->name, setting->value);
        if (!why)
            continue;
        db_log(db, "--%s %s: %s", setting->name, setting->value, why);
        return -EINVAL;
    }
    limit_by_descriptors(db);
    acl_settled(server->acl, server->acl->view->generation); // nobody looks yet
    server->bounds.version++;
    bounds_publish(db);
    return 0;
}

// ---- a worker

void bounds_apply(struct client *client)
{
    const struct gate *gate = &client->worker->db->gate;
    const struct session *session = &client->session;
    unsigned class = session_is_subscribed(session) ? OUTPUT_PUBSUB : OUTPUT_NORMAL;
    client->stream.limits.in_max =
        session->is_authenticated ? LIMIT_REQUEST_BYTES : LIMIT_EARLY_BYTES;
    client->stream.limits.out_max = gate_bound(gate, BOUND_HARD + class);
}

static bool is_over_soft(struct client *client, uint64_t now_ms)
{
    const struct gate *gate = &client->worker->db->gate;
    unsigned class = session_is_subscribed(&client->session) ? OUTPUT_PUBSUB : OUTPUT_NORMAL;
    uint64_t soft = gate_bound(gate, BOUND_SOFT + class);
    if (!soft || stream_unsent(&client->stream) <= soft) {
        client->over_ms = 0;
        return false;
    }
    if (!client->over_ms)
        client->over_ms = now_ms;
    return now_ms - client->over_ms >= gate_bound(gate, BOUND_SOFT_MS + class);
}

static bool is_silent(const struct client *client, uint64_t now_ms)
{
    uint64_t idle_ms = gate_bound(&client->worker->db->gate, BOUND_IDLE_MS);
    return idle_ms && client_is_idle(client) && !session_is_subscribed(&client->session) &&
           now_ms - client->session.active_ms >= idle_ms;
}

static void on_sweep(struct loop_timer *timer)
{
    struct worker *worker = owner_of(timer, struct worker, sweep_timer);
    uint64_t now_ms = loop_now_ms(worker->loop);
    for (struct client *client = worker->clients, *next; client; client = next) {
        next = client->next;
        bounds_apply(client);
        if (is_over_soft(client, now_ms))
            stream_abort(&client->stream, -ENOBUFS);
        else if (is_silent(client, now_ms))
            client_close(client);
    }
    loop_timer_set(worker->loop, timer, now_ms + SWEEP_MS);
}

void bounds_sweep(struct worker *worker)
{
    worker->sweep_timer.on_due = on_sweep;
    loop_timer_set(worker->loop, &worker->sweep_timer, loop_now_ms(worker->loop) + SWEEP_MS);
}
