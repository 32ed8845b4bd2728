// SPDX-License-Identifier: Apache-2.0
// Commands run to their end on one thread: what the workers and the replica thread do between them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "command/scripting.h"
#include "command/transaction.h"
#include "sim/disk.h"
#include <errno.h>
#include "tests/lib/desk.h"
#include "command/expire.h"
#include "wire/resp.h"

#define ARGS_MAX  64
#define TRIES_MAX 3 // commits that a command may wait for, before it is called waiting

// ---- the host

static struct desk *desk_of(struct host *host)
{
    return (struct desk *)host;
}

static char *find_name(struct desk *desk, enum topic_kind kind, struct span name)
{
    for (unsigned i = 0; i < DESK_NAMES; i++) {
        if (span_is_equal(span_text(desk->names[kind][i]), name))
            return desk->names[kind][i];
    }
    return NULL;
}

static int64_t host_publish(struct host *host, enum topic_kind kind, struct span channel,
                            struct span message)
{
    struct desk *desk = desk_of(host);
    snprintf(desk->published, sizeof desk->published, "%.*s %.*s", (int)channel.len,
             (const char *)channel.ptr, (int)message.len, (const char *)message.ptr);
    return find_name(desk, kind, channel) ? 1 : 0;
}

static int host_subscribe(struct host *host, struct session *session, enum topic_kind kind,
                          struct span name)
{
    struct desk *desk = desk_of(host);
    if (find_name(desk, kind, name))
        return HOST_E_ALREADY;
    char *slot = find_name(desk, kind, span_text(""));
    if (!slot || name.len >= sizeof desk->names[0][0])
        return HOST_E_FULL;
    memcpy(slot, name.ptr, name.len);
    slot[name.len] = '\0';
    session_count_topic(session, kind, 1);
    return 0;
}

static bool host_unsubscribe(struct host *host, struct session *session, enum topic_kind kind,
                             struct span name)
{
    char *slot = find_name(desk_of(host), kind, name);
    if (!slot)
        return false;
    *slot = '\0';
    session_count_topic(session, kind, -1);
    return true;
}

static bool host_unsubscribe_any(struct host *host, struct session *session, enum topic_kind kind,
                                 struct buf *out_name)
{
    struct desk *desk = desk_of(host);
    for (unsigned i = 0; i < DESK_NAMES; i++) {
        struct span name = span_text(desk->names[kind][i]);
        if (name.len == 0)
            continue;
        buf_clear(out_name);
        buf_put(out_name, name);
        return host_unsubscribe(host, session, kind, name);
    }
    return false;
}

static void host_channels(struct host *host, enum topic_kind kind, topic_visit visit, void *ctx)
{
    struct desk *desk = desk_of(host);
    for (unsigned i = 0; i < DESK_NAMES; i++) {
        if (*desk->names[kind][i])
            visit(ctx, span_text(desk->names[kind][i]));
    }
}

static uint64_t host_receivers(struct host *host, enum topic_kind kind, struct span channel)
{
    return find_name(desk_of(host), kind, channel) ? 1 : 0;
}

static uint64_t host_patterns(struct host *host)
{
    return desk_of(host)->session.topics[TOPIC_PATTERN];
}

static void host_load(struct host *host, const struct session *session,
                      struct session_load *out_load)
{
    (void)host;
    (void)session;
    *out_load = (struct session_load){.fd = 8};
}

// 1700000000000 when the desk is opened.
static uint64_t wall_ms(const struct desk *desk)
{
    return 1700000000000u - 1000 + desk->now_ms;
}

static void host_feed_off(struct host *host, struct session *session)
{
    (void)host;
    session->is_feeding = false;
}

static uint64_t host_wall_us(struct host *host)
{
    return wall_ms(desk_of(host)) * 1000 + 42;
}

static uint64_t host_random(struct host *host)
{
    return desk_of(host)->random += 0x9e3779b97f4a7c15u;
}

static void host_deny(struct host *host, const struct acl_denial *denial)
{
    struct desk *desk = desk_of(host);
    acl_log_add(desk->acl.log, denial, desk->now_ms);
}

static struct desk *owner_of_file(const char *path)
{
    return (struct desk *)(uintptr_t)strtoull(path, NULL, 16);
}

// The path says whose desk it is.
static int read_users(const char *path, struct buf *out)
{
    buf_put_text(out, owner_of_file(path)->file);
    return 0;
}

static int replace_users(const char *path, struct span text)
{
    struct desk *desk = owner_of_file(path);
    if (text.len >= sizeof desk->file)
        return -ENOSPC;
    memcpy(desk->file, text.ptr, text.len);
    desk->file[text.len] = '\0';
    return 0;
}

static const struct server_files files = {read_users, replace_users};

// What the tour of the workers does.
static void settle_users(struct desk *desk)
{
    desk->host.acl = desk->acl.view;
    if (!acl_follow(&desk->session, desk->acl.view)) {
        acl_enter(&desk->session, acl_default(desk->acl.view), false);
        desk->is_closed = true;
    }
    acl_settled(&desk->acl, desk->acl.view->generation);
}

static int host_kill_script(struct host *host, bool is_function)
{
    (void)host;
    (void)is_function;
    return KILL_NOT_BUSY;
}

static bool host_tell_script(struct host *host, struct running *out_running)
{
    (void)host;
    (void)out_running;
    return false;
}

static const struct host_ops ops = {
    .publish = host_publish,
    .subscribe = host_subscribe,
    .unsubscribe = host_unsubscribe,
    .unsubscribe_any = host_unsubscribe_any,
    .channels = host_channels,
    .receivers = host_receivers,
    .patterns = host_patterns,
    .load = host_load,
    .feed_off = host_feed_off,
    .wall_us = host_wall_us,
    .kill_script = host_kill_script,
    .tell_script = host_tell_script,
    .deny = host_deny,
    .random = host_random,
};

// ---- life

void desk_open_as(struct desk *desk, uint8_t incarnation)
{
    struct buf error;
    memset(desk, 0, sizeof *desk);
    desk->host.ops = &ops;
    heap_libc_init(&desk->heap);
    desk->disk = sim_disk_new(1);
    desk->now_ms = 1000;
    struct replica_options options = {.disk = desk->disk,
                                      .node = {.cluster = span_text("test"),
                                               .name = span_text("r1"),
                                               .address = span_text("127.0.0.1:7001"),
                                               .start_wait_ms = 1000,
                                               .silence_ms = 30000,
                                               .seed = 1,
                                               .boot = 1},
                                      .fresh = {{1, 2, 3, incarnation}},
                                      .spare = {{4, 5, 6}},
                                      .hash_seed = 7};
    keyspace_thread_start();
    buf_init(&error, &desk->heap.heap);
    assert_int_equal(replica_open(&desk->replica, &desk->heap.heap, &options, &error), 0);
    buf_deinit(&error);
    struct event start = {.type = EVENT_START, .now_ms = desk->now_ms};
    replica_event(desk->replica, &start);
    command_index_init(&desk->index);
    access_catalog_init(&desk->catalog);
    assert_int_equal(acl_init(&desk->acl, &desk->heap.heap, &desk->catalog), 0);
    desk->host.acl = desk->acl.view;
    session_init(&desk->session, 7, desk->now_ms);
    acl_enter_default(&desk->session, desk->acl.view);
    desk->server.acl = &desk->acl;
    bounds_init(&desk->server.bounds);
    desk->server.files = &files;
    buf_init(&desk->out, &desk->heap.heap);
    buf_init(&desk->unescaped, &desk->heap.heap);
    snprintf(desk->identity.epoch, sizeof desk->identity.epoch, "0123456789abcdef");
    snprintf(desk->identity.run_id, sizeof desk->identity.run_id, "%040d", 7);
    desk->identity.replica = "r1";
    desk->identity.cluster = "test";
    desk->server.directory = "/data";
    desk->server.hook = "default";
    desk->server.listen_host = "127.0.0.1";
    desk->server.commit_interval_ms = 10;
    desk_commit(desk);
}

void desk_close(struct desk *desk)
{
    transaction_end(&desk->session);
    buf_deinit(&desk->out);
    buf_deinit(&desk->unescaped);
    keyspace_thread_stop();
    replica_close(desk->replica);
    acl_deinit(&desk->acl);
    sim_disk_free(desk->disk);
    assert_int_equal(desk->heap.bytes, 0);
}

void desk_open(struct desk *desk)
{
    desk_open_as(desk, 0);
}

// ---- running

struct pending {
    struct desk *desk;
    struct call *call;
    int outcome;
};

static void run_request(void *ctx, struct replica *replica)
{
    struct pending *pending = ctx;
    (void)replica;
    if (pending->call)
        pending->outcome =
            command_touch(pending->call) ? -ENOMEM : pending->call->command->apply(pending->call);
}

static void commit_with(struct desk *desk, struct pending *pending)
{
    struct commit_input input = {
        .now_ms = desk->now_ms, .wall_ms = wall_ms(desk), .requests = run_request, .ctx = pending};
    desk->server.commits_started++;
    assert_int_equal(replica_commit_apply(desk->replica, &input), 0);
    assert_int_equal(replica_commit_sync(desk->replica), 0);
    assert_true(replica_is_drained(desk->replica));
    desk->server.commits_done = desk->server.commits_started;
    desk->commits++;
    effects_clear(replica_effects(desk->replica));
    keyspace_quiesce();
}

void desk_commit(struct desk *desk)
{
    struct pending nothing = {.desk = desk};
    commit_with(desk, &nothing);
}

static void apply(struct desk *desk, struct call *call)
{
    struct pending pending = {.desk = desk, .call = call, .outcome = COMMAND_E_LATER};
    call->replica = desk->replica;
    call->server = &desk->server;
    for (unsigned i = 0; i < TRIES_MAX && pending.outcome >= COMMAND_E_LATER; i++) {
        if (pending.outcome == COMMAND_E_MORE)
            i = 0;
        if ((call->command->flags & COMMAND_COMMIT) && call->later == 0) {
            commit_with(desk, &pending);
        } else {
            pending.outcome = call->command->apply(call);
            settle_users(desk);
            if (pending.outcome == COMMAND_E_LATER)
                desk_commit(desk);
        }
    }
    if (pending.outcome == COMMAND_E_LATER)
        buf_put_text(&desk->out, "(waits)");
}

const char *desk_run_argv(struct desk *desk, const struct span *argv, uint32_t argc)
{
    struct reply reply = reply_to(&desk->out, desk->session.protocol);
    struct call call = {.command = command_find(&desk->index, argv[0]),
                        .argv = argv,
                        .argc = argc,
                        .now_ms = desk->now_ms,
                        .reply = &reply,
                        .keyspace = replica_keyspace(desk->replica),
                        .identity = &desk->identity,
                        .session = &desk->session,
                        .host = &desk->host,
                        .is_full = desk->server.bounds.is_full,
                        .query = &desk->query};
    buf_clear(&desk->out);
    if (argc > 1) {
        struct address address = {.kind = UNIT_KEY, .key = argv[1]};
        call.hash = keyspace_hash(call.keyspace, &address);
    }
    bool is_taken = desk->session.is_queueing && transaction_take(&call);
    if (!is_taken && !command_refuse(&call)) {
        int outcome = command_is_posted(call.command) ? COMMAND_E_POST : call.command->run(&call);
        desk->is_closed |= outcome == COMMAND_E_CLOSE;
        if (outcome == COMMAND_E_POST)
            apply(desk, &call);
        if (outcome == COMMAND_E_POST && desk->session.is_queueing)
            transaction_end(&desk->session);
    }
    buf_put_byte(&desk->out, 0);
    return (const char *)desk->out.ptr;
}

const char *desk_run(struct desk *desk, const char *line)
{
    char text[2048];
    struct span argv[ARGS_MAX];
    struct resp_parser parser = {0};
    struct resp_request request = {
        .argv = argv, .argv_max = ARGS_MAX, .unescaped = &desk->unescaped};
    size_t used;
    int len = snprintf(text, sizeof text, "%s\r\n", line);
    assert_int_equal(resp_parse(&parser, span_of(text, (size_t)len), &request, &used), 0);
    return desk_run_argv(desk, argv, request.argc);
}

void desk_assert(struct desk *desk, const char *line, const char *expected)
{
    const char *answer = desk_run(desk, line);
    if (strcmp(answer, expected) != 0)
        print_message("> %s\n", line);
    assert_string_equal(answer, expected);
}

void desk_assert_begins(struct desk *desk, const char *line, const char *beginning)
{
    const char *answer = desk_run(desk, line);
    if (strncmp(answer, beginning, strlen(beginning)) == 0)
        return;
    print_message("> %s\n", line);
    assert_string_equal(answer, beginning);
}
