// SPDX-License-Identifier: Apache-2.0
// The client of the counter service. Topics move from `wanted` to `asked` when their request is
// written and leave when it is answered; a fault moves them back to the front, so nothing wanted is
// forgotten and nothing is asked for twice at once. One failure is logged when a row of them
// begins, and its end.
#include <errno.h>
#include "base/backoff.h"
#include "base/owner.h"
#include "os/clock.h"
#include "os/heap_system.h"
#include "os/log.h"
#include "realtime/upstream.h"
#include "wire/http_put.h"
#include "wire/json_in.h"
#include "wire/url.h"

static void list_append(struct upstream_list *list, struct topic *topic)
{
    topic->wanted_next = NULL;
    if (list->last)
        list->last->wanted_next = topic;
    else
        list->first = topic;
    list->last = topic;
}

static struct topic *list_take(struct upstream_list *list)
{
    struct topic *topic = list->first;
    if (!topic)
        return NULL;
    list->first = topic->wanted_next;
    if (!list->first)
        list->last = NULL;
    return topic;
}

void upstream_want(struct upstream *upstream, struct topic *topic)
{
    if (topic->is_wanted)
        return;
    topic->is_wanted = true;
    list_append(&upstream->wanted, topic);
}

// ---- failure

static void ask_again(struct upstream *upstream)
{
    if (!upstream->asked.first)
        return;
    upstream->asked.last->wanted_next = upstream->wanted.first;
    if (!upstream->wanted.first)
        upstream->wanted.last = upstream->asked.last;
    upstream->wanted.first = upstream->asked.first;
    upstream->asked = (struct upstream_list){NULL, NULL};
}

static void back_off(struct upstream *upstream, const char *why)
{
    if (upstream->failures == 0)
        log_line("realtime", NULL, "no answer from the service at %s:%u: %s; asking again",
                 upstream->service.host, (unsigned)upstream->service.port, why);
    struct backoff retry = {UPSTREAM_RETRY_MIN_MS, UPSTREAM_RETRY_MAX_MS};
    uint64_t wait_ms = backoff_ms(retry, upstream->failures++, &upstream->prng);
    upstream->requests_failed++;
    upstream->is_waiting = true;
    ask_again(upstream);
    loop_timer_set(upstream->loop, &upstream->timer, loop_now_ms(upstream->loop) + wait_ms);
}

static void on_due(struct loop_timer *timer)
{
    struct upstream *upstream = owner_of(timer, struct upstream, timer);
    if (upstream->is_waiting)
        upstream->is_waiting = false; // the end of this turn asks
    else if (upstream->is_open)
        stream_abort(&upstream->stream, -ETIMEDOUT);
}

static void on_closed(struct stream *stream, int fault)
{
    char why[STREAM_WHY_MAX];
    struct upstream *upstream = owner_of(stream, struct upstream, stream);
    upstream->is_open = false;
    if (upstream->asked.first && upstream->is_proven && fault != -ETIMEDOUT) {
        ask_again(upstream); // it was kept too long: the end of this turn dials anew
        loop_timer_clear(upstream->loop, &upstream->timer);
    } else if (upstream->asked.first) {
        back_off(upstream, fault ? stream_why(stream, fault, why) : "the connection ended");
    }
}

// ---- answers

struct told { // of one counter in an answer
    bool has_key;
    struct topic_update update;
    uint8_t epoch[TOPIC_EPOCH_BYTES_MAX];
};

static void read_epoch(struct json_reader *reader, struct buf *scratch, struct told *told)
{
    if (json_peek(reader) == JSON_NULL) {
        json_null(reader);
        return;
    }
    struct span text = json_string(reader, scratch);
    if (text.len > sizeof(told->epoch))
        return;
    memcpy(told->epoch, text.ptr, text.len);
    told->update.epoch = span_of(told->epoch, text.len);
}

static int64_t integer_or_null(struct json_reader *reader, bool *out_is_null)
{
    *out_is_null = json_peek(reader) == JSON_NULL;
    if (!*out_is_null)
        return json_integer(reader);
    json_null(reader);
    return 0;
}

// Reads one counter object; its key stays in upstream->key.
static void read_counter(struct upstream *upstream, struct json_reader *reader,
                         struct told *out_told)
{
    bool is_null;
    *out_told = (struct told){.update.is_missing = true};
    json_open(reader, JSON_OBJECT);
    while (json_next(reader)) {
        struct span name = json_name(reader, &upstream->target);
        if (span_is_equal(name, span_text("key"))) {
            struct span key = json_string(reader, &upstream->target);
            buf_clear(&upstream->key);
            buf_put(&upstream->key, key);
            out_told->has_key = !reader->failed;
        } else if (span_is_equal(name, span_text("value"))) {
            out_told->update.value = integer_or_null(reader, &out_told->update.is_missing);
        } else if (span_is_equal(name, span_text("version"))) {
            out_told->update.version = (uint64_t)integer_or_null(reader, &is_null);
        } else if (span_is_equal(name, span_text("epoch"))) {
            read_epoch(reader, &upstream->target, out_told);
        } else {
            json_skip(reader);
        }
    }
}

static void read_counters(struct upstream *upstream, struct json_reader *reader)
{
    json_open(reader, JSON_ARRAY);
    while (json_next(reader)) {
        struct told told;
        read_counter(upstream, reader, &told);
        struct topic *topic = board_find(upstream->board, buf_span(&upstream->key));
        if (told.has_key && !reader->failed && topic && topic->is_wanted)
            upstream->on_value(upstream, topic, &told.update);
    }
}

static bool read_answer(struct upstream *upstream, struct span body)
{
    struct json_reader reader = json_reader_of(body);
    json_open(&reader, JSON_OBJECT);
    while (json_next(&reader)) {
        struct span name = json_name(&reader, &upstream->target);
        if (span_is_equal(name, span_text("counters")))
            read_counters(upstream, &reader);
        else
            json_skip(&reader);
    }
    return json_is_done(&reader);
}

static void take_answer(struct upstream *upstream, const struct http_response *response)
{
    loop_timer_clear(upstream->loop, &upstream->timer);
    if (response->status != 200 || !read_answer(upstream, response->body)) {
        back_off(upstream, response->status == 200 ? "an answer that is none" : "refused");
        return;
    }
    if (upstream->failures)
        log_line("realtime", NULL, "the service at %s:%u answers again", upstream->service.host,
                 (unsigned)upstream->service.port);
    upstream->failures = 0;
    upstream->is_proven = true;
    for (struct topic *topic = list_take(&upstream->asked); topic;
         topic = list_take(&upstream->asked))
        topic->is_wanted = false;
}

static size_t on_input(struct stream *stream, struct span input)
{
    struct upstream *upstream = owner_of(stream, struct upstream, stream);
    struct http_response response;
    size_t used = 0;
    int outcome = http_parse_response(&upstream->parser, input, &upstream->body, &response, &used);
    if (outcome == HTTP_E_MORE)
        return 0;
    if (outcome || !upstream->asked.first) {
        stream_close(stream, outcome < 0 ? outcome : -EPROTO);
        return input.len;
    }
    take_answer(upstream, &response);
    if (!response.keeps_alive)
        stream_close(stream, 0);
    return used;
}

// ---- requests

static const struct stream_ops ops = {.on_input = on_input, .on_closed = on_closed};
static bool connect_service(struct upstream *upstream)
{
    if (upstream->is_open)
        return !upstream->stream.is_closing;
    const struct stream_limits limits = {.in_max = HTTP_MESSAGE_BYTES_MAX,
                                         .out_max = 4 * UPSTREAM_TARGET_BYTES_MAX,
                                         .tls = upstream->tls};
    int fault = stream_dial(&upstream->stream, upstream->loop, &upstream->service, &ops, &limits);
    if (fault) {
        back_off(upstream, strerror(-fault));
        return false;
    }
    upstream->is_open = true;
    upstream->is_proven = false;
    upstream->parser = (struct http_parser){0};
    return true;
}

// Moves what fits from wanted to asked and writes the target; what is not needed any more leaves.
static void collect(struct upstream *upstream)
{
    struct buf *target = &upstream->target;
    buf_clear(target);
    buf_put(target, upstream->prefix);
    buf_put_text(target, "/v1/counters?");
    for (unsigned keys = 0; keys < UPSTREAM_KEYS_MAX && target->len < UPSTREAM_TARGET_BYTES_MAX;) {
        struct topic *topic = list_take(&upstream->wanted);
        if (!topic)
            break;
        if (topic->is_known || topic->subscribers_count == 0) {
            topic->is_wanted = false;
            continue;
        }
        buf_put_text(target, keys++ ? "&key=" : "key=");
        url_put_encoded(target, topic_key(topic));
        list_append(&upstream->asked, topic);
    }
}

void upstream_flush(struct upstream *upstream)
{
    if (!upstream->wanted.first || upstream->asked.first || upstream->is_waiting)
        return;
    if (!connect_service(upstream))
        return;
    collect(upstream);
    if (!upstream->asked.first)
        return;
    struct http_call call = {
        .method = "GET", .target = buf_span(&upstream->target), .host = upstream->host};
    http_put_call(stream_out(&upstream->stream), &call);
    stream_written(&upstream->stream);
    upstream->requests_sent++;
    loop_timer_set(upstream->loop, &upstream->timer,
                   loop_now_ms(upstream->loop) + UPSTREAM_TIMEOUT_MS);
}

void upstream_start(struct upstream *upstream, struct loop *loop, struct board *board)
{
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    prng_init(&upstream->prng, seed);
    upstream->loop = loop;
    upstream->board = board;
    upstream->timer.on_due = on_due;
    buf_init(&upstream->body, heap_system());
    buf_init(&upstream->key, heap_system());
    buf_init(&upstream->target, heap_system());
}

void upstream_stop(struct upstream *upstream)
{
    if (upstream->is_open)
        stream_abort(&upstream->stream, 0);
    loop_timer_clear(upstream->loop, &upstream->timer);
    ask_again(upstream);
    for (struct topic *topic = list_take(&upstream->wanted); topic;
         topic = list_take(&upstream->wanted))
        topic->is_wanted = false;
    buf_deinit(&upstream->body);
    buf_deinit(&upstream->key);
    buf_deinit(&upstream->target);
}
