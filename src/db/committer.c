// SPDX-License-Identifier: Apache-2.0
// The replica thread: when a commit begins, what runs in it, and who is told after it.
//
// strict   a commit begins as soon as anything waits for one; answers leave when it is durable.
// relaxed  it begins commit-interval after the first change, at once when a command waits for it;
//          answers of commands leave when they are applied.
//
// A commit whose drain did not reach the end of what workers had added (replica_is_drained) lets
// nobody go: the next one, which begins at once, does.
#include <errno.h>
#include <stdio.h>
#include "base/owner.h"
#include "command/expire.h"
#include "db/watch.h"
#include "os/clock.h"
#include "replica/change.h"

#define TICK_MS         50
#define PEER_SPACING_MS 2 // relaxed: between commits that only peers or housekeeping ask for

static uint64_t now_ms(const struct committer *committer)
{
    return loop_now_ms(committer->loop);
}

static void want(struct committer *committer, uint64_t due_ms)
{
    if (due_ms < committer->due_ms)
        committer->due_ms = due_ms;
}

// From the first change to the commit that takes it.
static uint64_t commit_delay(const struct committer *committer)
{
    return committer->db->is_strict ? 0 : committer->server.commit_interval_ms;
}

// ---- alone

#define ALONE_NS_MAX 20000000 // in one commit; then what is left waits for the next

static void be_alone(struct committer *committer)
{
    if (committer->is_alone)
        return;
    gate_halt(&committer->db->gate);
    committer->is_alone = true;
    committer->alone_ns = clock_monotonic_ns();
    replica_catch_up(committer->replica);
}

static void be_among_others(struct committer *committer)
{
    if (committer->is_alone)
        gate_open(&committer->db->gate);
    committer->is_alone = false;
}

static bool is_alone_for_long(const struct committer *committer)
{
    return committer->is_alone && clock_monotonic_ns() - committer->alone_ns > ALONE_NS_MAX;
}

// ---- running commands

static void collect(struct server *server)
{
    facts_collect(owner_of(server, struct committer, server)->db, server);
}

static void performed(struct server *server, const struct command *command)
{
    stats_add(&owner_of(server, struct committer, server)->stats, command, STAT_CALLS, 1);
}

// What its row says the command needs beside the replica.
static void lend(struct committer *committer, struct batch *batch, struct call *call)
{
    uint32_t flags = call->command->flags;
    bool is_atomic = (flags & COMMAND_ATOMIC) != 0;
    if (is_atomic)
        be_alone(committer);
    call->session = flags & COMMAND_SESSION ? &batch->client->session : NULL;
    call->host = is_atomic ? &batch->worker->host : NULL;
    call->query = is_atomic ? &batch->worker->query : NULL;
    if (flags & COMMAND_FACTS)
        collect(call->server);
}

// Counted and timed here, where they run.
struct posting {
    struct reply reply;
    struct committer *committer;
    const struct command *command;
};

static void on_error(struct reply *reply, struct span code)
{
    struct posting *posting = owner_of(reply, struct posting, reply);
    stats_error(&posting->committer->stats, code);
    stats_add(&posting->committer->stats, posting->command, STAT_FAILED, 1);
}

static int apply_posted(struct committer *committer, struct batch *batch, struct call *call)
{
    const struct command *command = call->command;
    bool is_timed = (command->flags & COMMAND_TIMED) || (watch_wanted(committer->db) & WATCH_ALL);
    uint64_t begun_ns = is_timed ? clock_monotonic_ns() : 0;
    if (committer->is_committing && command_touch(call)) {
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
        return 0;
    }
    int outcome = command->apply(call);
    bounds_publish(committer->db);
    if (outcome == COMMAND_E_LATER || outcome == COMMAND_E_MORE)
        return outcome;
    stats_add(&committer->stats, command, STAT_CALLS, 1);
    if (is_timed) {
        struct ran ran = {.command = command,
                          .argv = call->argv,
                          .argc = call->argc,
                          .took_us = (clock_monotonic_ns() - begun_ns) / 1000};
        watch_took_posted(committer, batch, &ran);
    }
    return outcome;
}

enum progress { BATCH_DONE, BATCH_COMMIT, BATCH_LATER, BATCH_MORE };

// Runs the batch's commands as long as they belong in this phase: inside a commit those that need
// one, outside the others.
static enum progress run_batch(struct committer *committer, struct batch *batch)
{
    struct db *db = committer->db;
    struct posting posting = {.reply = reply_to(&batch->reply, batch->protocol),
                              .committer = committer};
    posting.reply.on_error = on_error;
    struct call call = {.reply = &posting.reply,
                        .keyspace = db->keyspace,
                        .identity = &db->identity,
                        .replica = committer->replica,
                        .server = &committer->server,
                        .now_ms = now_ms(committer)};
    enum progress progress = BATCH_DONE;
    for (; batch->at < batch->count; batch->at++) {
        struct posted *posted = &batch->list[batch->at];
        bool is_for_commit = (posted->command->flags & COMMAND_COMMIT) && posted->later == 0;
        if (is_for_commit != committer->is_committing) {
            progress = BATCH_COMMIT;
            break;
        }
        call.command = posting.command = posted->command;
        call.argv = posted->argv;
        call.argc = posted->argc;
        call.later = posted->later;
        call.until_ms = posted->until_ms;
        committer->running = batch;
        lend(committer, batch, &call);
        int outcome = apply_posted(committer, batch, &call);
        posted->later = call.later;
        posted->until_ms = call.until_ms;
        batch->is_durable |= call.is_durable;
        if (posted->command->flags & COMMAND_FACTS)
            watch_adopt(db); // it may have been CONFIG SET
        if (outcome == COMMAND_E_MORE) {
            progress = BATCH_MORE;
            break;
        }
        if (outcome != COMMAND_E_LATER)
            continue;
        if (committer->parked_count < LIMIT_CLIENTS) {
            progress = BATCH_LATER;
            break;
        }
        reply_error(&posting.reply, REPLY_ERROR_BUSY);
    }
    batch->errors += posting.reply.errors_count;
    return progress;
}

static void park(struct committer *committer, struct batch *batch)
{
    batch_list_put(&committer->parked, batch);
    committer->parked_count++;
}

// Where a batch goes after it ran.
static void pass_on(struct committer *committer, struct batch *batch, enum progress progress)
{
    bool is_waiting_for_disk =
        committer->is_committing && (committer->db->is_strict || batch->is_durable);
    if (progress == BATCH_LATER)
        park(committer, batch);
    else if (progress == BATCH_MORE)
        batch_list_put(&committer->going, batch);
    else if (committer->is_committing && (progress == BATCH_COMMIT || is_waiting_for_disk))
        batch_list_put(&committer->applied, batch);
    else if (progress == BATCH_COMMIT)
        batch_list_put(&committer->due, batch);
    else
        batch_release(batch);
}

static void run_list(struct committer *committer, struct batch_list *list)
{
    struct batch_list mine = *list;
    if (!mine.first)
        return;
    batch_list_init(list);
    for (struct batch *batch = mine.first, *next; batch; batch = next) {
        next = batch->next;
        if (is_alone_for_long(committer))
            batch_list_put(list, batch);
        else
            pass_on(committer, batch, run_batch(committer, batch));
    }
    be_among_others(committer);
}

// Whatever is parked is looked at again.
static void run_parked(struct committer *committer)
{
    committer->parked_count = 0;
    run_list(committer, &committer->parked);
}

static void run_requests(void *ctx, struct replica *replica)
{
    struct committer *committer = ctx;
    (void)replica;
    run_list(committer, &committer->due);
}

static void fail_list(struct committer *committer, struct batch_list *list)
{
    struct batch *batch;
    while ((batch = batch_list_take(list)))
        batch_fail(batch, committer->server.failure);
}

// Once the journal has failed: questions are answered, what writes is not.
static void run_without_journal(struct committer *committer)
{
    run_list(committer, &committer->arrived);
    run_list(committer, &committer->going);
    fail_list(committer, &committer->due);
    fail_list(committer, &committer->applied);
    fail_list(committer, &committer->parked);
    committer->parked_count = 0;
}

// ---- the commit

static void ring_waiting(struct committer *committer, bool is_everybody)
{
    struct db *db = committer->db;
    for (unsigned i = 0; i < db->workers_count; i++) {
        struct worker *worker = &db->workers[i];
        if (worker->is_waiting || is_everybody)
            bell_ring(&worker->release);
        worker->is_waiting = false;
    }
}

void committer_fail(struct committer *committer, int fault)
{
    struct db *db = committer->db;
    struct server *server = &committer->server;
    const char *why = fault == -ENOMEM ? "out of memory" : replica_error(committer->replica);
    snprintf(server->failure, sizeof server->failure, "%s", *why ? why : strerror(-fault));
    server->has_failed = true;
    db->status = 1;
    gate_fail(&db->gate);
    db_log(db,
           "the journal failed: %s; no write is acknowledged any more, reads go on; repair the "
           "disk and restart",
           server->failure);
    committer->due_ms = UINT64_MAX;
    loop_timer_clear(committer->loop, &committer->tick_timer);
    peers_stop(&db->peers, false);
    run_without_journal(committer);
    ring_waiting(committer, true);
    if (db->state == DB_STARTING)
        db_refuse(db, server->failure, (int)strlen(server->failure));
}

static void measure(struct server *server, uint64_t begun_ns)
{
    server->commit_us_last = (clock_monotonic_ns() - begun_ns) / 1000;
    if (server->latency.threshold_ms)
        latency_note(&server->latency, LATENCY_COMMIT, clock_wall_ms() / 1000,
                     server->commit_us_last);
    if (server->commit_us_last > server->commit_us_max)
        server->commit_us_max = server->commit_us_last;
}

static void commit(struct committer *committer)
{
    struct db *db = committer->db;
    struct server *server = &committer->server;
    uint64_t begun_ns = clock_monotonic_ns();
    committer->due_ms = UINT64_MAX;
    uint64_t number = server->commits_started = gate_begin(&db->gate);
    struct commit_input input = {.now_ms = now_ms(committer),
                                 .wall_ms = clock_wall_ms(),
                                 .requests = run_requests,
                                 .ctx = committer};
    committer->is_committing = true;
    int fault = replica_commit_apply(committer->replica, &input);
    if (!fault)
        fault = replica_commit_sync(committer->replica);
    committer->is_committing = false;
    if (fault) {
        committer_fail(committer, fault);
        return;
    }
    measure(server, begun_ns);
    server->durable_wall_ms = input.wall_ms;
    committer->ended_ms = clock_monotonic_ms();
    bounds_look(db);
    if (replica_is_drained(committer->replica)) {
        server->commits_done = number;
        gate_finish(&db->gate, number);
        ring_waiting(committer, false);
    } else {
        want(committer, now_ms(committer) + (db->is_strict ? 0 : 1));
    }
    // A worker wakes this thread only for the first thing that waits. If that came during this
    // commit, the waking may be behind us while what followed it is not.
    if (!keyspace_is_clean(db->keyspace))
        want(committer, committer->ended_ms + commit_delay(committer));
    run_list(committer, &committer->applied);
    run_parked(committer);
    peers_carry(&db->peers);
    events_offer(db->events);
    if (db->state == DB_STARTING && replica_is_serving(committer->replica))
        db_serve(db);
}

// ---- turns

// Answers that are made in parts get a part a turn.
static void go_on_soon(struct committer *committer)
{
    if (committer->going.first)
        loop_timer_set(committer->loop, &committer->commit_timer, now_ms(committer));
}

void committer_turn(struct committer *committer)
{
    struct db *db = committer->db;
    if (committer->server.has_failed) {
        run_without_journal(committer);
        users_spread(&db->users);
        go_on_soon(committer);
        return;
    }
    run_list(committer, &committer->going);
    run_list(committer, &committer->arrived);
    users_spread(&db->users);
    peers_carry(&db->peers);
    if (committer->due.first)
        want(committer, now_ms(committer));
    if (committer->due_ms <= now_ms(committer))
        commit(committer);
    if (committer->server.has_failed)
        return;
    if (replica_wants_commit(committer->replica)) {
        uint64_t due_ms = committer->ended_ms + (db->is_strict ? 0 : PEER_SPACING_MS);
        want(committer, due_ms);
    }
    if (committer->due.first || committer->applied.first)
        want(committer, now_ms(committer));
    if (committer->feeds)
        feeds_turn(committer);
    if (committer->due_ms != UINT64_MAX)
        loop_timer_set(committer->loop, &committer->commit_timer, committer->due_ms);
    go_on_soon(committer);
}

void committer_take(struct batch *batch)
{
    struct committer *committer = &batch->worker->db->committer;
    batch_list_put(&committer->arrived, batch);
}

void committer_kicked(struct worker *worker)
{
    struct db *db = worker->db;
    struct committer *committer = &db->committer;
    if (committer->server.has_failed) {
        bell_ring(&worker->release);
        return;
    }
    worker->is_waiting = true;
    want(committer, now_ms(committer) + (db->is_strict ? 0 : committer->server.commit_interval_ms));
}

void committer_cancel(struct committer *committer, uint64_t client_id)
{
    struct batch_list mine = committer->parked;
    batch_list_init(&committer->parked);
    for (struct batch *batch = mine.first, *next; batch; batch = next) {
        next = batch->next;
        if (batch->client_id != client_id) {
            batch_list_put(&committer->parked, batch);
            continue;
        }
        committer->parked_count--;
        batch_release(batch);
    }
}

void committer_event(struct committer *committer, const struct event *event)
{
    if (committer->server.has_failed)
        return;
    committer->is_heard |= event->type == EVENT_MESSAGE;
    replica_event(committer->replica, event);
    peers_carry(&committer->db->peers);
}

static void on_commit_due(struct loop_timer *timer)
{
    (void)timer; // the turn's end looks at due_ms
}

static void on_tick(struct loop_timer *timer)
{
    struct committer *committer = owner_of(timer, struct committer, tick_timer);
    struct event tick = {.type = EVENT_TICK, .now_ms = now_ms(committer)};
    loop_timer_set(committer->loop, timer, now_ms(committer) + TICK_MS);
    committer_event(committer, &tick);
    bounds_look(committer->db);
    run_parked(committer);
    if (committer->ticks++ % (1000 / TICK_MS) == 0)
        facts_second(committer->db, &committer->server);
}

void committer_wake(struct committer *committer)
{
    run_parked(committer);
}

void committer_hurry(struct committer *committer)
{
    loop_timer_set(committer->loop, &committer->commit_timer, now_ms(committer));
    want(committer, now_ms(committer));
}

bool committer_is_quiet(const struct committer *committer)
{
    return committer->server.has_failed ||
           (!committer->arrived.first && !committer->going.first && !committer->due.first &&
            !committer->applied.first && keyspace_is_clean(committer->db->keyspace));
}

void committer_init(struct committer *committer, struct db *db)
{
    *committer = (struct committer){.db = db, .loop = db->loop, .due_ms = UINT64_MAX};
    committer->server.collect = collect;
    committer->server.performed = performed;
    committer->server.feed_on = feed_on;
    committer->commit_timer.on_due = on_commit_due;
    committer->tick_timer.on_due = on_tick;
    batch_list_init(&committer->arrived);
    batch_list_init(&committer->going);
    batch_list_init(&committer->due);
    batch_list_init(&committer->applied);
    batch_list_init(&committer->parked);
}

void committer_start(struct committer *committer)
{
    struct event start = {.type = EVENT_START, .now_ms = now_ms(committer)};
    committer_event(committer, &start);
    loop_timer_set(committer->loop, &committer->tick_timer, now_ms(committer) + TICK_MS);
    want(committer, now_ms(committer)); // identity and members, before anything is served
}
