// SPDX-License-Identifier: Apache-2.0
// Requests, a block at a time: parse ahead, hash and prefetch the table's lines, then the records',
// then run in order. By the time a request runs, what it needs of memory has come.
//
// A block ends early where order demands it: a command that belongs to the replica thread goes
// there with those right behind it that do too, and the rest of the input waits for their answers.
#include <errno.h>
#include "base/owner.h"
#include "db/watch.h"
#include "os/clock.h"

#define HELD_PAUSE_BYTES (1u << 20) // held back of one client: it is not read from until they leave

struct block {
    struct client *client;
    struct worker *worker;
    struct span input;
    unsigned count, ahead; // requests, and how many at most
    size_t used;
    unsigned sent; // behind the last one that went to the replica thread
    bool is_any_write;
    bool is_queueing; // of the client: between MULTI and EXEC
    bool is_busy;     // a script takes long
    bool is_plain;    // neither
    bool is_mixed;    // not all of one command
    bool is_fault;    // the parser's, behind the last request
};

// ---- parsing

// Pipelines often say one word, and one key, again and again.
static const struct command *find_command(struct block *block, const struct request *before,
                                          struct span name)
{
    if (before && before->command && span_is_equal(before->argv[0], name))
        return before->command;
    block->is_mixed |= before != NULL;
    return command_find(&block->worker->db->index, name);
}

static void note(struct block *block, const struct resp_request *parsed)
{
    struct worker *worker = block->worker;
    struct request *request = &worker->request[block->count++];
    const struct request *before = block->count > 1 ? request - 1 : NULL;
    const struct command *command = find_command(block, before, parsed->argv[0]);
    *request = (struct request){
        .command = command, .argv = parsed->argv, .argc = parsed->argc, .start = block->used};
    if (!command)
        return;
    block->is_any_write |=
        (command->flags & COMMAND_WRITE) != 0 && !block->is_queueing && !block->is_busy;
    if (!(command->flags & COMMAND_KEY) || parsed->argc < 2)
        return;
    struct address address = {.kind = UNIT_KEY, .key = parsed->argv[1]};
    if (before && before->hash && span_is_equal(before->argv[1], address.key)) {
        request->hash = before->hash;
        request->is_same_key = true;
        return;
    }
    request->hash = keyspace_hash(worker->db->keyspace, &address);
    keyspace_prefetch(worker->db->keyspace, request->hash);
}

// The table's line of request `i` is here by now: it tells where the record is.
static void prefetch_record(const struct worker *worker, unsigned i)
{
    const struct request *request = &worker->request[i];
    if (request->hash && !request->is_same_key)
        keyspace_prefetch_record(worker->db->keyspace, request->hash);
}

// One request. False: the block ends here.
static bool parse_one(struct block *block, uint32_t *taken)
{
    struct worker *worker = block->worker;
    struct resp_parser *parser = &block->client->parser;
    struct span rest = span_of(block->input.ptr + block->used, block->input.len - block->used);
    struct resp_request parsed = {.argv = worker->argv + *taken,
                                  .argv_max = worker->argv_cap - *taken,
                                  .unescaped = &worker->unescaped};
    size_t used;
    int outcome = resp_parse(parser, rest, &parsed, &used);
    if (outcome == RESP_E_ROOM && block->count == 0 && worker_room(worker, parser->argc)) {
        parsed.argv = worker->argv;
        parsed.argv_max = worker->argv_cap;
        outcome = resp_parse(parser, rest, &parsed, &used);
    }
    if (outcome) {
        bool is_later = outcome == RESP_E_MORE || (outcome == RESP_E_ROOM && block->count);
        block->is_fault = !is_later;
        return false;
    }
    if (parsed.argc) {
        note(block, &parsed);
        *taken += parsed.argc;
    }
    block->used += used;
    return !parsed.is_quoted; // what it borrows from is overwritten by the next
}

static void parse_ahead(struct block *block)
{
    struct worker *worker = block->worker;
    uint32_t taken = 0;
    unsigned fetched = 0;
    while (block->count < block->ahead && block->used < block->input.len &&
           parse_one(block, &taken)) {
        if (block->count > DB_PREFETCH_LAG)
            prefetch_record(worker, fetched++);
    }
    while (block->count > 1 && fetched < block->count)
        prefetch_record(worker, fetched++);
}

// What was parsed behind request `i` is parsed again when it is its turn.
static void stop_at(struct block *block, unsigned i)
{
    block->used = block->worker->request[i].start;
    block->client->parser = (struct resp_parser){0};
    block->is_fault = false;
}

// ---- sending away

// Behind an answer that may be as long as the data, the client's output is looked at first.
static bool is_long(const struct request *request)
{
    return request->command && (request->command->flags & COMMAND_LONG);
}

// From request `i` on, as many as go the same way. The first goes whatever its row says. A session
// that may not do everything is asked about each when it is its turn.
static void send_away(struct block *block, unsigned i, bool is_failed)
{
    struct worker *worker = block->worker;
    unsigned end = i + 1;
    while (!block->client->session.is_guarded && end < block->count &&
           !is_long(&worker->request[end - 1]) && worker->request[end].command &&
           command_is_posted(worker->request[end].command) &&
           !(is_failed && (worker->request[end].command->flags & COMMAND_WRITE)) &&
           command_takes(worker->request[end].command, worker->request[end].argc))
        end++;
    block->sent = end;
    if (batch_send(block->client, &worker->request[i], end - i)) {
        client_fail(block->client, -ENOMEM);
        return;
    }
    if (end < block->count)
        stop_at(block, end);
}

// ---- running

struct run {
    struct call call;
    struct reply reply;
    size_t begun;     // bytes in its buffer before
    bool is_failed;   // the journal
    uint32_t watched; // WATCH_* bits
    uint32_t apart;   // flags of commands that go the rarer way
};

// The rare path: an error is counted by its code, and as its command's.
__attribute__((cold, noinline)) static void on_error(struct reply *reply, struct span code)
{
    struct run *run = owner_of(reply, struct run, reply);
    struct worker *worker = owner_of(run->call.host, struct worker, host);
    stats_error(&worker->stats, code);
    if (run->call.command)
        stats_add(&worker->stats, run->call.command, STAT_FAILED, 1);
}

static void begin_run(struct run *run, const struct block *block, struct buf *out)
{
    struct worker *worker = block->worker;
    struct client *client = block->client;
    *run = (struct run){.reply = reply_to(out, client->session.protocol), .begun = out->len};
    run->reply.on_error = on_error;
    run->watched = watch_wanted(worker->db);
    run->apart = run->watched ? UINT32_MAX : COMMAND_ALONE | COMMAND_TIMED;
    run->call = (struct call){.reply = &run->reply,
                              .keyspace = worker->db->keyspace,
                              .identity = &worker->db->identity,
                              .session = &client->session,
                              .host = &worker->host,
                              .query = &worker->query,
                              .is_full = gate_bound(&worker->db->gate, BOUND_FULL) != 0,
                              .now_ms = loop_now_ms(worker->loop)};
}

static void refuse_write(struct run *run, const struct worker *worker)
{
    reply_error_with(&run->reply, REPLY_ERROR_STOPPED,
                     span_text(worker->db->committer.server.failure));
}

// The rare outcomes, which end the block.
__attribute__((cold, noinline)) static void follow(struct block *block, const struct run *run,
                                                   unsigned i, int outcome)
{
    struct client *client = block->client;
    if (outcome == COMMAND_E_POST) {
        send_away(block, i, run->is_failed);
        return;
    }
    if (outcome == COMMAND_E_BREAK) {
        if (i + 1 < block->count)
            stop_at(block, i + 1);
        block->count = i + 1;
        return;
    }
    stats_add(&block->worker->stats, run->call.command, STAT_CALLS, 1);
    if (outcome != COMMAND_E_TOUR || tour_start(client, &block->worker->query))
        client_close(client);
    if (i + 1 < block->count)
        stop_at(block, i + 1);
}

static bool run_plain(struct block *block, struct run *run, unsigned i)
{
    const struct command *command = run->call.command;
    int outcome = command_is_posted(command) ? COMMAND_E_POST : command->run(&run->call);
    if (outcome)
        follow(block, run, i, outcome);
    return outcome == 0 || outcome == COMMAND_E_BREAK;
}

static bool run_timed(struct block *block, struct run *run, unsigned i)
{
    const struct call *call = &run->call;
    uint64_t begun_ns = clock_monotonic_ns();
    int outcome = call->command->run(&run->call);
    if (outcome != COMMAND_E_POST) {
        struct ran ran = {.command = call->command,
                          .argv = call->argv,
                          .argc = call->argc,
                          .took_us = (clock_monotonic_ns() - begun_ns) / 1000};
        watch_took(block->worker, block->client, &ran);
    }
    if (outcome)
        follow(block, run, i, outcome);
    return outcome == 0 || outcome == COMMAND_E_BREAK;
}

// A command that is not run like most: it is timed, monitored, or writes several replies.
__attribute__((cold, noinline)) static bool run_apart(struct block *block, struct run *run,
                                                      unsigned i)
{
    struct client *client = block->client;
    struct worker *worker = block->worker;
    const struct command *command = run->call.command;
    if ((command->flags & COMMAND_ALONE) && !held_is_empty(&client->held)) {
        stop_at(block, i); // client_release goes on from here
        stream_pause(&client->stream);
        return false;
    }
    bool is_monitored = (run->watched & WATCH_MONITOR) != 0;
    bool is_timed = (command->flags & COMMAND_TIMED) || (run->watched & WATCH_ALL);
    if (is_monitored)
        watch_tell(worker, &client->session, &worker->request[i]);
    bool is_going_on = is_timed && !command_is_posted(command) ? run_timed(block, run, i)
                                                               : run_plain(block, run, i);
    for (unsigned next = i + 1; is_monitored && next < block->sent; next++)
        watch_tell(worker, &client->session, &worker->request[next]);
    return is_going_on;
}

// It did not run: no call, and no failure of one.
__attribute__((cold, noinline)) static void reject(const struct run *run, struct worker *worker)
{
    const struct command *command = run->call.command;
    if (!command)
        return;
    stats_add(&worker->stats, command, STAT_CALLS, (uint64_t)-1);
    stats_add(&worker->stats, command, STAT_FAILED, (uint64_t)-1);
    stats_add(&worker->stats, command, STAT_REJECTED, 1);
}

// Runs request `i`. False: the block ends, and block->used says where.
__attribute__((always_inline)) static inline bool run_one(struct block *block, struct run *run,
                                                          unsigned i)
{
    struct client *client = block->client;
    const struct request *request = &block->worker->request[i];
    const struct command *command = request->command;
    run->call.command = command;
    run->call.argv = request->argv;
    run->call.argc = request->argc;
    run->call.hash = request->hash;
    if (!request->is_same_key)
        run->call.record = NULL;
    if (command_refuse(&run->call)) {
        reject(run, block->worker);
        return true;
    }
    client->session.last = command->name;
    if ((command->flags & COMMAND_WRITE) && run->is_failed) {
        refuse_write(run, block->worker);
        reject(run, block->worker);
        return true;
    }
    return command->flags & run->apart ? run_apart(block, run, i) : run_plain(block, run, i);
}

// Likewise, between MULTI and EXEC.
__attribute__((noinline)) static bool queue_one(struct block *block, struct run *run, unsigned i)
{
    const struct request *request = &block->worker->request[i];
    const struct command *command = request->command;
    run->call.command = command;
    run->call.argv = request->argv;
    run->call.argc = request->argc;
    if (command)
        block->client->session.last = command->name;
    if (command && (command->flags & COMMAND_WRITE) && run->is_failed) {
        refuse_write(run, block->worker);
        transaction_abandon(&block->client->session);
        return true;
    }
    if (!transaction_take(&run->call))
        return run_one(block, run, i);
    if (command && (run->watched & WATCH_MONITOR))
        watch_tell(block->worker, &block->client->session, request);
    return true;
}

// One addition for a block of one command. What was queued is counted when it runs.
static void count_calls(struct block *block, uint32_t answers)
{
    struct stats *stats = &block->worker->stats;
    const struct request *requests = block->worker->request;
    if (block->is_queueing)
        return;
    if (!block->is_mixed) {
        if (answers && requests[0].command)
            stats_add(stats, requests[0].command, STAT_CALLS, answers);
        return;
    }
    for (uint32_t i = 0; i < answers; i++) {
        if (requests[i].command)
            stats_add(stats, requests[i].command, STAT_CALLS, 1);
    }
}

static void end_run(struct block *block, const struct run *run, uint32_t answers, bool is_held)
{
    struct client *client = block->client;
    struct worker *worker = block->worker;
    struct db *db = worker->db;
    tally_add(&worker->tallies, TALLY_COMMANDS, answers);
    count_calls(block, answers);
    size_t end = run->reply.out->len; // before its beginning if the stream has given up meanwhile
    tally_add(&worker->tallies, TALLY_OUTPUT, end > run->begun ? end - run->begun : 0);
    if (run->reply.errors_count)
        tally_add(&worker->tallies, TALLY_ERRORS, run->reply.errors_count);
    client->session.commands_count += answers;
    worker->is_kick_wanted |= run->call.is_first;
    if (!is_held) {
        stream_written(&client->stream);
        return;
    }
    if (held_is_empty(&client->held) && client->held.bytes.len == 0)
        return;
    worker_hold(worker, client);
    held_add(&client->held, answers, block->is_any_write ? gate_needed(&db->gate) : 0);
    if (buf_has_failed(&client->held.bytes))
        client_fail(client, -ENOMEM);
    else if (client->held.bytes.len > HELD_PAUSE_BYTES)
        stream_pause(&client->stream);
}

static void answer_fault(struct block *block)
{
    struct client *client = block->client;
    bool is_held = !held_is_empty(&client->held);
    struct buf *out = is_held ? &client->held.bytes : stream_out(&client->stream);
    struct reply reply = reply_to(out, client->session.protocol);
    reply_protocol_error(&reply, &client->parser);
    if (is_held)
        held_add(&client->held, 1, 0);
    else
        stream_written(&client->stream);
    client_close(client);
}

static bool can_go_on(const struct client *client)
{
    return !client->is_away && !client->is_closing && !client->stream.is_paused;
}

// Whether answers wait: for the disk, in strict mode, or behind others that do. Once the
// journal has failed nothing is written that they could wait for.
static bool must_hold(const struct block *block, bool has_failed)
{
    return !held_is_empty(&block->client->held) ||
           (block->worker->db->is_strict && block->is_any_write && !has_failed);
}

// So is behind much output: the rest of the block is parsed again.
static bool is_full(struct block *block, const struct run *run, unsigned i)
{
    if (run->reply.out->len < run->begun + DB_BLOCK_BYTES)
        return false;
    stop_at(block, i);
    return true;
}

// Likewise, while a script takes long: few commands run, the others are told.
static bool refuse_busy(struct block *block, struct run *run, unsigned i)
{
    const struct request *request = &block->worker->request[i];
    run->call.command = request->command;
    run->call.argv = request->argv;
    run->call.argc = request->argc;
    if (command_is_for_busy(&run->call))
        return false;
    transaction_refuse_busy(&run->call, gate_is_function(&block->worker->db->gate));
    if (block->is_queueing && !block->client->session.is_queueing)
        follow(block, run, i, COMMAND_E_BREAK);
    return true;
}

__attribute__((always_inline)) static inline bool do_one(struct block *block, struct run *run,
                                                         unsigned i)
{
    if (block->is_plain)
        return run_one(block, run, i);
    if (block->is_busy && refuse_busy(block, run, i))
        return true;
    return block->is_queueing ? queue_one(block, run, i) : run_one(block, run, i);
}

// What a subscription says is no answer: it is heard in silence too, as in Redis.
static bool is_push(const struct request *request)
{
    const uint32_t push = COMMAND_PUBSUB | COMMAND_ALONE;
    return request->command && (request->command->flags & push) == push;
}

// CLIENT REPLY: one command at a time, its answer put aside. If it ended the silence, it is
// answered.
__attribute__((cold, noinline)) static void run_silent(struct block *block, bool has_failed)
{
    struct client *client = block->client;
    struct session *session = &client->session;
    struct buf *out = &block->worker->silenced;
    struct run run;
    bool is_for_good = session->silence == SILENCE_ALL;
    client->is_silent = true;
    if (!is_for_good)
        session->silence = SILENCE_NONE;
    buf_clear(out);
    begin_run(&run, block, is_push(&block->worker->request[0]) ? stream_out(&client->stream) : out);
    run.is_failed = has_failed;
    bool is_run = do_one(block, &run, 0);
    end_run(block, &run, is_run, false);
    if (client->is_away)
        return;
    client->is_silent = false;
    bool is_reply = session->last_sub && strcmp(session->last_sub, "REPLY") == 0 &&
                    strcmp(session->last, "CLIENT") == 0;
    if (session->silence == SILENCE_NONE && (is_for_good || is_reply))
        client_answer(client, buf_span(out), 1);
}

static size_t execute_block(struct client *client, struct span input)
{
    bool is_silent = client->session.silence != SILENCE_NONE;
    struct block block = {.client = client,
                          .worker = client->worker,
                          .input = input,
                          .ahead = is_silent ? 1 : DB_AHEAD,
                          .is_queueing = client->session.is_queueing};
    block.is_busy = gate_pass(&client->worker->db->gate) == GATE_BUSY; // no record is held here
    block.is_plain = !block.is_busy && !block.is_queueing;
    parse_ahead(&block);
    if (block.count && is_silent) {
        run_silent(&block, gate_has_failed(&client->worker->db->gate));
    } else if (block.count) {
        bool has_failed = gate_has_failed(&client->worker->db->gate);
        bool is_held = must_hold(&block, has_failed);
        struct run run;
        begin_run(&run, &block, is_held ? &client->held.bytes : stream_out(&client->stream));
        run.is_failed = has_failed;
        unsigned i = 0;
        while (i < block.count && !is_full(&block, &run, i) && do_one(&block, &run, i))
            i++;
        end_run(&block, &run, i, is_held);
    }
    if (block.is_fault && can_go_on(client))
        answer_fault(&block);
    return block.used;
}

size_t execute(struct client *client, struct span input)
{
    size_t used = 0;
    while (used < input.len && can_go_on(client)) {
        size_t more = execute_block(client, span_of(input.ptr + used, input.len - used));
        if (more == 0)
            break;
        used += more;
    }
    return used;
}
