// SPDX-License-Identifier: Apache-2.0
// The service on a loop of the test's own, between ends that the test plays: a database that speaks
// RESP and can be slow, gone or another one; HTTP clients; a real-time node that takes PUTs.
// Everything is on one thread, and a guard timer fails a test that would hang.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/decimal.h"
#include "os/heap_system.h"
#include "service/private.h"
#include "wire/http_put.h"
#include "wire/reply.h"
#include "wire/resp.h"

#define GUARD_MS  20000
#define KEYS_MAX  32
#define CONNS_MAX 16

struct fake_key {
    char key[64];
    const char *type; // NULL: free
    int64_t value;
    uint64_t version;
};

struct fake_conn {
    struct stream stream;
    struct world *world;
    struct resp_parser parser;
    bool is_open, is_subscriber;
    uint8_t protocol;
};

struct world {
    struct loop *loop;
    struct loop_timer guard;
    struct service service;
    struct service_options options;
    // the database
    struct listener db;
    struct fake_conn conns[CONNS_MAX];
    struct fake_key keys[KEYS_MAX];
    uint64_t version;
    char epoch[17];
    const char *fault; // answers of everything but HELLO and INFO
    bool is_holding;   // commands are kept until is_holding is cleared and the world is poked
    unsigned value_commands, presence_commands, subscribes, unsubscribes;
    char token[64];
    char presence[8][160]; // the newest PRESENCE.SET commands
    // an HTTP client
    struct stream client;
    struct buf received;
    bool is_client_open;
    unsigned wanted, counted;
    size_t counted_at;
    // a node
    struct listener node;
    struct stream node_stream;
    struct http_parser node_parser;
    struct buf node_body, put; // put: the newest request's body
    bool is_node_open;
    uint16_t node_status;
    unsigned puts;
    char signature[80];
    bool (*is_done)(struct world *world);
};

static inline void world_look(struct world *world)
{
    if (world->is_done && world->is_done(world)) {
        world->is_done = NULL;
        loop_stop(world->loop);
    }
}

// ---- the database

static inline struct fake_key *fake_find(struct world *world, struct span key)
{
    for (unsigned i = 0; i < KEYS_MAX; i++) {
        if (world->keys[i].type && span_is_equal(span_text(world->keys[i].key), key))
            return &world->keys[i];
    }
    return NULL;
}

static inline struct fake_key *fake_set(struct world *world, struct span key, const char *type,
                                        int64_t value)
{
    struct fake_key *found = fake_find(world, key);
    for (unsigned i = 0; i < KEYS_MAX && !found; i++) {
        if (!world->keys[i].type)
            found = &world->keys[i];
    }
    if (!found || key.len >= sizeof found->key)
        abort();
    memcpy(found->key, key.ptr, key.len);
    found->key[key.len] = '\0';
    found->type = type;
    found->value = value;
    found->version = ++world->version;
    return found;
}

static inline void fake_values(struct world *world, struct reply *reply, const struct span *argv,
                               uint32_t argc)
{
    world->value_commands++;
    reply_array(reply, argc);
    reply_bulk_text(reply, world->epoch);
    for (uint32_t i = 1; i < argc; i++) {
        const struct fake_key *key = fake_find(world, argv[i]);
        if (!key) {
            reply_nil(reply);
            continue;
        }
        reply_array(reply, 3);
        reply_bulk_text(reply, key->type);
        reply_integer(reply, key->value);
        reply_integer(reply, (int64_t)key->version);
    }
}

// Knows one retry token, the last.
static inline bool fake_knows(struct world *world, struct span token)
{
    bool is_known = span_is_equal(token, span_text(world->token));
    snprintf(world->token, sizeof world->token, "%.*s", (int)token.len, (const char *)token.ptr);
    return is_known;
}

static inline void fake_add(struct world *world, struct reply *reply, const struct span *argv,
                            uint32_t argc)
{
    struct fake_key *key = fake_find(world, argv[1]);
    int64_t amount, sum;
    if (argc == 5) {
        assert_true(decimal_parse(argv[2], &amount));
        bool is_known = fake_knows(world, argv[4]);
        sum = (key ? key->value : 0) + (is_known ? 0 : amount);
        reply_array(reply, 2);
        reply_integer(reply, fake_set(world, argv[1], "counter", sum)->value);
        reply_integer(reply, !is_known);
        return;
    }
    assert_true(decimal_parse(argv[2], &amount));
    if (key && strcmp(key->type, "counter") != 0)
        reply_error(reply, REPLY_ERROR_WRONG_TYPE);
    else if (__builtin_add_overflow(key ? key->value : 0, amount, &sum))
        reply_error(reply, REPLY_ERROR_OVERFLOW);
    else
        reply_integer(reply, fake_set(world, argv[1], "counter", sum)->value);
}

static inline void fake_presence(struct world *world, struct reply *reply, const struct span *argv,
                                 uint32_t argc)
{
    char *text = world->presence[world->presence_commands++ % 8];
    size_t len = 0;
    for (uint32_t i = 1; i < argc; i++)
        len += (size_t)snprintf(text + len, 160 - len, "%s%.*s", i > 1 ? " " : "", (int)argv[i].len,
                                (const char *)argv[i].ptr);
    const struct fake_key *key = fake_find(world, argv[1]);
    if (key && strcmp(key->type, "presence") != 0)
        reply_error(reply, REPLY_ERROR_WRONG_TYPE);
    else
        reply_integer(reply, 0);
}

static inline void fake_subscribe(struct fake_conn *conn, struct reply *reply,
                                  const struct span *argv, uint32_t argc)
{
    bool is_on = span_is_word(argv[0], "SUBSCRIBE");
    conn->is_subscriber = conn->is_subscriber || is_on;
    for (uint32_t i = 1; i < argc; i++) {
        is_on ? conn->world->subscribes++ : conn->world->unsubscribes++;
        reply_push(reply, 3);
        reply_bulk_text(reply, is_on ? "subscribe" : "unsubscribe");
        reply_bulk(reply, argv[i]);
        reply_integer(reply, 1);
    }
}

static inline void fake_info(struct world *world, struct reply *reply)
{
    char text[100];
    snprintf(text, sizeof text, "# Server\r\nquipu_version:0.1.0\r\nepoch:%s\r\nreplica:r1\r\n",
             world->epoch);
    reply_verbatim(reply, "txt", span_text(text));
}

static inline void fake_run(struct fake_conn *conn, const struct span *argv, uint32_t argc)
{
    struct world *world = conn->world;
    struct reply reply = reply_to(stream_out(&conn->stream), conn->protocol);
    if (span_is_word(argv[0], "HELLO")) {
        conn->protocol = reply.protocol = 3;
        reply_map(&reply, 0);
    } else if (span_is_word(argv[0], "INFO")) {
        fake_info(world, &reply);
    } else if (world->fault) {
        reply_error_text(&reply, world->fault);
    } else if (span_is_word(argv[0], "QUIPU.VALUE")) {
        fake_values(world, &reply, argv, argc);
    } else if (span_is_word(argv[0], "INCRBY")) {
        fake_add(world, &reply, argv, argc);
    } else if (span_is_word(argv[0], "PRESENCE.SET")) {
        fake_presence(world, &reply, argv, argc);
    } else if (span_is_word(argv[0], "SUBSCRIBE") || span_is_word(argv[0], "UNSUBSCRIBE")) {
        fake_subscribe(conn, &reply, argv, argc);
    } else if (span_is_word(argv[0], "DEL")) {
        struct fake_key *key = fake_find(world, argv[1]);
        if (key)
            key->type = NULL;
        reply_integer(&reply, key != NULL);
    } else {
        reply_ok(&reply);
    }
    stream_written(&conn->stream);
    world_look(world);
}

static inline size_t fake_on_input(struct stream *stream, struct span input)
{
    struct fake_conn *conn = (struct fake_conn *)stream;
    struct span argv[600];
    size_t at = 0, used;
    while (at < input.len && !conn->world->is_holding) {
        struct resp_request request = {.argv = argv, .argv_max = 600};
        int outcome =
            resp_parse(&conn->parser, span_of(input.ptr + at, input.len - at), &request, &used);
        if (outcome == RESP_E_MORE)
            break;
        assert_int_equal(outcome, 0);
        at += used;
        fake_run(conn, argv, request.argc);
    }
    if (conn->world->is_holding)
        stream_pause(stream);
    return at;
}

static inline void fake_on_closed(struct stream *stream, int fault)
{
    (void)fault;
    ((struct fake_conn *)stream)->is_open = false;
}

static const struct stream_ops fake_ops = {.on_input = fake_on_input, .on_closed = fake_on_closed};
static const struct stream_limits world_limits = {.in_max = 16u << 20, .out_max = 64u << 20};

static inline void fake_on_accepted(struct listener *listener, int fd)
{
    struct world *world = (struct world *)((char *)listener - offsetof(struct world, db));
    unsigned i = 0;
    while (i < CONNS_MAX && world->conns[i].is_open)
        i++;
    assert_true(i < CONNS_MAX);
    world->conns[i] = (struct fake_conn){.world = world, .is_open = true, .protocol = 2};
    assert_int_equal(
        stream_accept(&world->conns[i].stream, world->loop, fd, &fake_ops, &world_limits), 0);
}

static inline void fake_release(struct world *world)
{
    world->is_holding = false;
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        if (world->conns[i].is_open)
            stream_resume(&world->conns[i].stream);
    }
}

static inline void fake_drop_all(struct world *world)
{
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        if (world->conns[i].is_open)
            stream_abort(&world->conns[i].stream, 0);
    }
}

// What the hook would publish.
static inline void fake_publish(struct world *world, const char *key, const char *payload)
{
    char channel[100];
    snprintf(channel, sizeof channel, "quipu:update:%s", key);
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        struct fake_conn *conn = &world->conns[i];
        if (!conn->is_open || !conn->is_subscriber)
            continue;
        struct reply reply = reply_to(stream_out(&conn->stream), 3);
        reply_message(&reply, span_text(channel), span_text(payload));
        stream_written(&conn->stream);
    }
}

// ---- the node

static inline size_t node_on_input(struct stream *stream, struct span input)
{
    struct world *world = (struct world *)((char *)stream - offsetof(struct world, node_stream));
    struct http_request request;
    size_t used;
    int outcome =
        http_parse_request(&world->node_parser, input, &world->node_body, &request, &used);
    if (outcome == HTTP_E_MORE)
        return 0;
    assert_int_equal(outcome, 0);
    assert_int_equal(request.method, HTTP_METHOD_PUT);
    assert_true(span_is_equal(request.path, span_text("/v1/topics")));
    buf_clear(&world->put);
    buf_put(&world->put, request.body);
    struct span signature = request.field[HTTP_FIELD_QUIPU_SIGNATURE];
    snprintf(world->signature, sizeof world->signature, "%.*s", (int)signature.len,
             signature.ptr ? (const char *)signature.ptr : "");
    world->puts++;
    struct http_answer answer = {.status = world->node_status};
    http_put_answer(stream_out(stream), &answer);
    stream_written(stream);
    world_look(world);
    return used;
}

static inline void node_on_closed(struct stream *stream, int fault)
{
    (void)fault;
    ((struct world *)((char *)stream - offsetof(struct world, node_stream)))->is_node_open = false;
}

static const struct stream_ops node_ops = {.on_input = node_on_input, .on_closed = node_on_closed};

static inline void node_on_accepted(struct listener *listener, int fd)
{
    struct world *world = (struct world *)((char *)listener - offsetof(struct world, node));
    if (world->is_node_open)
        stream_abort(&world->node_stream, 0);
    world->node_parser = (struct http_parser){0};
    world->is_node_open = true;
    assert_int_equal(stream_accept(&world->node_stream, world->loop, fd, &node_ops, &world_limits),
                     0);
}

static inline bool put_has(const struct world *world, const char *text)
{
    return world->put.len && memmem(world->put.ptr, world->put.len, text, strlen(text)) != NULL;
}

static inline struct span node_address(struct world *world, char text[ENDPOINT_TEXT_MAX])
{
    struct endpoint endpoint;
    endpoint_of_socket(world->node.watch.fd, &endpoint);
    endpoint_write(&endpoint, text);
    return span_text(text);
}

// ---- the HTTP client

// Counts the whole answers, each once: the scan goes on where it stopped.
static inline unsigned count_answers(struct world *world)
{
    const struct buf *text = &world->received;
    while (world->counted_at < text->len) {
        struct span rest = span_of(text->ptr + world->counted_at, text->len - world->counted_at);
        const uint8_t *end = memmem(rest.ptr, rest.len, "\r\n\r\n", 4);
        if (!end)
            break;
        size_t head = (size_t)(end - rest.ptr) + 4;
        const uint8_t *length = memmem(rest.ptr, head, "Content-Length: ", 16);
        size_t body = length ? strtoul((const char *)length + 16, NULL, 10) : 0;
        if (rest.len < head + body)
            break;
        world->counted++;
        world->counted_at += head + body;
    }
    return world->counted;
}

static inline size_t client_on_input(struct stream *stream, struct span input)
{
    struct world *world = (struct world *)((char *)stream - offsetof(struct world, client));
    buf_put(&world->received, input);
    buf_put_byte(&world->received, 0);
    world->received.len--;
    if (world->wanted && count_answers(world) >= world->wanted)
        loop_stop(world->loop);
    return input.len;
}

static inline void client_on_closed(struct stream *stream, int fault)
{
    struct world *world = (struct world *)((char *)stream - offsetof(struct world, client));
    (void)fault;
    world->is_client_open = false;
    if (world->wanted)
        loop_stop(world->loop);
}

static const struct stream_ops client_ops = {.on_input = client_on_input,
                                             .on_closed = client_on_closed};

static inline void client_send(struct world *world, const char *text)
{
    struct endpoint endpoint;
    if (!world->is_client_open) {
        endpoint_of_socket(world->service.door.listener.watch.fd, &endpoint);
        assert_int_equal(
            stream_dial(&world->client, world->loop, &endpoint, &client_ops, &world_limits), 0);
        world->is_client_open = true;
    }
    stream_send(&world->client, span_text(text));
}

static inline void world_run(struct world *world)
{
    assert_int_equal(loop_run(world->loop), 0);
}

// Sends requests and runs until so many answers are there, or the connection is closed.
static inline const char *ask(struct world *world, const char *requests, unsigned answers)
{
    buf_clear(&world->received);
    world->counted = 0;
    world->counted_at = 0;
    world->wanted = answers;
    client_send(world, requests);
    while (world->is_client_open && count_answers(world) < answers)
        world_run(world);
    world->wanted = 0;
    return world->received.len ? (const char *)world->received.ptr : "";
}

#define GET(path)                "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define WITH_BODY(what, body, n) what " HTTP/1.1\r\nHost: x\r\nContent-Length: " n "\r\n\r\n" body

static inline void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in '%s'", part, text);
}

// ---- life

static inline void world_on_guard(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("nothing happened for %d ms", GUARD_MS);
}

static inline void world_turn_end(void *ctx)
{
    struct world *world = ctx;
    service_turn_end(&world->service);
    world_look(world);
}

// Runs until it is so.
static inline void run_until(struct world *world, bool (*is_done)(struct world *world))
{
    if (is_done(world))
        return;
    world->is_done = is_done;
    while (world->is_done)
        world_run(world);
}

static inline bool is_up(struct world *world)
{
    return database_is_up(&world->service.database);
}

static inline struct world *world_begin(struct span secret)
{
    struct world *world = calloc(1, sizeof *world);
    struct loop_hooks hooks = {.on_turn_end = world_turn_end, .ctx = world};
    struct endpoint any = {.host = "127.0.0.1"};
    assert_int_equal(loop_new(&world->loop, &hooks), 0);
    world->guard.on_due = world_on_guard;
    loop_timer_set(world->loop, &world->guard, loop_now_ms(world->loop) + GUARD_MS);
    snprintf(world->epoch, sizeof world->epoch, "00000000000000aa");
    buf_init(&world->received, heap_system());
    buf_init(&world->node_body, heap_system());
    buf_init(&world->put, heap_system());
    world->node_status = 204;
    world->db.on_accepted = fake_on_accepted;
    world->node.on_accepted = node_on_accepted;
    assert_int_equal(listener_start(&world->db, world->loop, &any), 0);
    assert_int_equal(listener_start(&world->node, world->loop, &any), 0);
    world->options =
        (struct service_options){.listen = any, .heartbeat_listen = any, .secret = secret};
    endpoint_of_socket(world->db.watch.fd, &world->options.db);
    assert_int_equal(service_start(&world->service, &world->options, world->loop), 0);
    run_until(world, is_up);
    return world;
}

static inline void world_end(struct world *world)
{
    service_stop(&world->service);
    world->wanted = 0;
    if (world->is_client_open)
        stream_abort(&world->client, 0);
    if (world->is_node_open)
        stream_abort(&world->node_stream, 0);
    fake_drop_all(world);
    listener_stop(&world->db);
    listener_stop(&world->node);
    buf_deinit(&world->received);
    buf_deinit(&world->node_body);
    buf_deinit(&world->put);
    loop_free(world->loop);
    free(world);
}
