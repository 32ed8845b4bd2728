// SPDX-License-Identifier: Apache-2.0
// A worker thread: its loop, its listener, its clients; its turn's end, at which it tells the
// replica thread that something waits; and its drain.
#include <errno.h>
#include "base/owner.h"
#include "db/private.h"

#define DRAIN_MS_MAX  2000  // for clients that do not read, or whose commits do not come
#define ARGV_KEPT_MAX 65536 // of a worker that rests

// ---- its clients

uint64_t worker_next_id(struct worker *worker)
{
    return ++worker->next_id * worker->db->workers_count + worker->index;
}

void worker_adopt(struct worker *worker, struct client *client)
{
    client->next = worker->clients;
    client->back = &worker->clients;
    if (client->next)
        client->next->back = &client->next;
    worker->clients = client;
    worker->clients_count++;
    client->is_counted =
        gate_enter(&worker->db->gate, (uint32_t)gate_bound(&worker->db->gate, BOUND_CLIENTS));
    tally_add(&worker->tallies, client->is_counted ? TALLY_CONNECTIONS : TALLY_REJECTED, 1);
}

void worker_forget(struct worker *worker, struct client *client)
{
    *client->back = client->next;
    if (client->next)
        client->next->back = client->back;
    worker->clients_count--;
    worker_unhold(client);
    deliver_leave_all(client);
    if (client->is_counted)
        gate_leave(&worker->db->gate);
}

void worker_hold(struct worker *worker, struct client *client)
{
    if (client->held_back)
        return;
    client->held_next = worker->held;
    client->held_back = &worker->held;
    if (client->held_next)
        client->held_next->held_back = &client->held_next;
    worker->held = client;
}

void worker_unhold(struct client *client)
{
    if (!client->held_back)
        return;
    *client->held_back = client->held_next;
    if (client->held_next)
        client->held_next->held_back = client->held_back;
    client->held_next = NULL;
    client->held_back = NULL;
}

static void on_release(struct bell *bell)
{
    struct worker *worker = owner_of(bell, struct worker, release);
    bool has_failed = gate_has_failed(&worker->db->gate);
    uint64_t done = gate_done(&worker->db->gate);
    for (struct client *client = worker->held, *next; client; client = next) {
        next = client->held_next;
        client_release(client, done);
        if (has_failed && !held_is_empty(&client->held))
            client_fail_held(client);
    }
}

static void on_accepted(struct listener *listener, int fd)
{
    struct worker *worker = owner_of(listener, struct worker, listener);
    client_open(worker, fd, *worker->db->tls_text ? NULL : worker->db->tls);
}

static void on_accepted_tls(struct listener *listener, int fd)
{
    struct worker *worker = owner_of(listener, struct worker, tls_listener);
    client_open(worker, fd, worker->db->tls);
}

// ---- the drain: what has arrived is answered, then clients are closed as they fall idle

static void on_drain(struct bell *bell)
{
    struct worker *worker = owner_of(bell, struct worker, drain);
    listener_stop(&worker->listener);
    listener_stop(&worker->tls_listener);
    worker->is_draining = true;
    worker->drain_turns = 0;
    loop_timer_set(worker->loop, &worker->drain_timer, loop_now_ms(worker->loop));
}

static void on_drain_timer(struct loop_timer *timer)
{
    struct worker *worker = owner_of(timer, struct worker, drain_timer);
    loop_timer_set(worker->loop, timer, loop_now_ms(worker->loop) + 1);
}

static void drain_turn(struct worker *worker)
{
    if (worker->drain_turns++ < 2) // a whole turn for what was in the sockets already
        return;
    bool is_late = worker->drain_turns > DRAIN_MS_MAX; // a turn a millisecond
    for (struct client *client = worker->clients, *next; client; client = next) {
        next = client->next;
        if (is_late)
            stream_abort(&client->stream, 0);
        else
            client_close(client);
    }
    if (worker->clients || worker->away_count)
        return;
    worker->is_draining = false;
    loop_timer_clear(worker->loop, &worker->drain_timer);
    bell_ring(&worker->stopped);
}

// ---- turns

bool worker_room(struct worker *worker, uint32_t cap)
{
    struct heap *heap = worker->db->heap;
    struct span *argv =
        heap_resize(heap, worker->argv, worker->argv_cap * sizeof *argv, cap * sizeof *argv);
    if (!argv)
        return false;
    worker->argv = argv;
    worker->argv_cap = cap;
    return true;
}

static void on_turn_end(void *ctx)
{
    struct worker *worker = ctx;
    if (worker->is_kick_wanted || worker->held) {
        worker->is_kick_wanted = false;
        bell_ring(&worker->kick);
    }
    if (worker->is_draining)
        drain_turn(worker);
    keyspace_quiesce();
    gate_pass(&worker->db->gate);
}

static void on_wait(void *ctx)
{
    struct worker *worker = ctx;
    if (worker->argv_cap > ARGV_KEPT_MAX)
        worker_room(worker, DB_ARGUMENTS);
    keyspace_offline();
}

static void on_woken(void *ctx)
{
    struct worker *worker = ctx;
    keyspace_online();
    gate_pass(&worker->db->gate);
}

static void *run(void *ctx)
{
    struct worker *worker = ctx;
    pthread_setname_np(pthread_self(), "quipu-worker");
    keyspace_thread_start();
    bounds_sweep(worker);
    int fault = loop_run(worker->loop);
    if (fault)
        db_log(worker->db, "worker %u: its loop failed: %s", worker->index, strerror(-fault));
    keyspace_thread_stop();
    return NULL;
}

static void on_kick(struct bell *bell)
{
    committer_kicked(owner_of(bell, struct worker, kick));
}

static void on_stopped(struct bell *bell)
{
    db_worker_stopped(owner_of(bell, struct worker, stopped)->db);
}

int worker_init(struct worker *worker, struct db *db, unsigned index)
{
    struct loop_hooks hooks = {
        .on_turn_end = on_turn_end, .on_wait = on_wait, .on_woken = on_woken, .ctx = worker};
    *worker =
        (struct worker){.host = {&worker_host_ops, db->users.acl.view}, .db = db, .index = index};
    int fault = loop_new(&worker->loop, &hooks);
    if (fault)
        return fault;
    if (!worker_room(worker, DB_ARGUMENTS) || stats_init(&worker->stats, db->heap))
        return -ENOMEM;
    worker->listener.on_accepted = on_accepted;
    worker->listener.watch.fd = -1;
    worker->tls_listener.on_accepted = on_accepted_tls;
    worker->tls_listener.watch.fd = -1;
    worker->drain_timer.on_due = on_drain_timer;
    buf_init(&worker->unescaped, db->heap);
    buf_init(&worker->silenced, db->heap);
    buf_init(&worker->encoded[0], db->heap);
    buf_init(&worker->encoded[1], db->heap);
    for (unsigned kind = 0; kind < TOPIC_KINDS; kind++)
        topics_init(&worker->topics[kind], db->heap, db->seed);
    bell_init(&worker->kick, db->loop, on_kick);
    bell_init(&worker->stopped, db->loop, on_stopped);
    bell_init(&worker->release, worker->loop, on_release);
    bell_init(&worker->drain, worker->loop, on_drain);
    return 0;
}

// After its thread has ended, with no client left.
void worker_deinit(struct worker *worker)
{
    if (!worker->loop)
        return;
    listener_stop(&worker->listener);
    stats_deinit(&worker->stats);
    listener_stop(&worker->tls_listener);
    for (unsigned kind = 0; kind < TOPIC_KINDS; kind++)
        topics_deinit(&worker->topics[kind]);
    buf_deinit(&worker->encoded[0]);
    buf_deinit(&worker->encoded[1]);
    buf_deinit(&worker->unescaped);
    buf_deinit(&worker->silenced);
    heap_free(worker->db->heap, worker->argv, worker->argv_cap * sizeof *worker->argv);
    loop_free(worker->loop);
}

int worker_start(struct worker *worker)
{
    int fault = pthread_create(&worker->thread, NULL, run, worker);
    worker->is_started = fault == 0;
    return -fault;
}
