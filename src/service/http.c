// SPDX-License-Identifier: Apache-2.0
// A connection is a queue of exchanges. An answer is written straight into the connection's output
// when it is the next in line, which it is whenever the database answers in order; else it waits in
// its exchange. Time limits are kept by one sweep a second over all connections instead of a timer
// each; but a client that takes no output is the kernel's to end.
#include <errno.h>
#include <unistd.h>
#include "base/owner.h"
#include "os/clock.h"
#include "os/heap_system.h"
#include "os/log.h"
#include "service/http.h"
#include "service/limits.h"
#include "service/routes.h"
#include "wire/http_put.h"

#define IDLE_MS         75000
#define REQUEST_MS      15000 // to send one request
#define STUCK_MS        30000 // without taking any output
#define SWEEP_MS        1000
#define SPARE_BYTES_MAX 512
#define SPARES_MAX      1024

struct http_client {
    struct stream stream;
    struct http_door *door;
    struct http_client *prev, *next;
    struct exchange *first, **last;
    unsigned count;
    struct http_parser parser;
    uint64_t active_ms;  // the last request or answer
    uint64_t partial_ms; // since when a request is incomplete; 0: none is
    bool is_last;        // no further request is taken
};

static struct http_client *client_of(struct stream *stream)
{
    return (struct http_client *)stream;
}

// ---- exchanges

static struct exchange *take_spare(struct http_door *door)
{
    struct exchange *exchange = door->spare;
    if (exchange) {
        door->spare = exchange->next;
        door->spares_count--;
        return exchange;
    }
    exchange = heap_alloc(heap_system(), sizeof *exchange);
    if (!exchange)
        return NULL;
    buf_init(&exchange->answer, heap_system());
    buf_init(&exchange->text, heap_system());
    buf_init(&exchange->token, heap_system());
    buf_init(&exchange->rows, heap_system());
    return exchange;
}

static struct exchange *exchange_new(struct http_client *client)
{
    struct http_door *door = client->door;
    struct exchange *exchange = take_spare(door);
    if (!exchange)
        return NULL;
    *exchange = (struct exchange){.client = client,
                                  .door = door,
                                  .service = door->service,
                                  .answer = exchange->answer,
                                  .text = exchange->text,
                                  .token = exchange->token,
                                  .rows = exchange->rows};
    *client->last = exchange;
    client->last = &exchange->next;
    client->count++;
    return exchange;
}

static void give_back(struct exchange *exchange)
{
    buf_deinit(&exchange->answer);
    buf_deinit(&exchange->text);
    buf_deinit(&exchange->rows);
    buf_deinit(&exchange->token);
    heap_free(heap_system(), exchange, sizeof *exchange);
}

static void empty(struct buf *buf)
{
    buf_clear(buf);
    buf_shrink(buf, SPARE_BYTES_MAX);
}

// Kept for the next request, with the memory that most of them need.
static void exchange_free(struct exchange *exchange)
{
    struct http_door *door = exchange->door;
    heap_free(heap_system(), exchange->reads, exchange->reads_count * sizeof *exchange->reads);
    if (door->spares_count == SPARES_MAX) {
        give_back(exchange);
        return;
    }
    empty(&exchange->answer);
    empty(&exchange->text);
    empty(&exchange->rows);
    empty(&exchange->token);
    exchange->next = door->spare;
    door->spare = exchange;
    door->spares_count++;
}

// Then no further request is read until answers have left.
static bool is_full(const struct http_client *client)
{
    return client->count >= SERVICE_PIPELINE_MAX ||
           stream_unsent(&client->stream) >= SERVICE_OUT_BYTES_PAUSE;
}

// Writes out what is answered, in order, and closes behind the last one.
static void advance(struct http_client *client)
{
    client->active_ms = loop_now_ms(client->door->loop);
    while (client->first && client->first->is_done) {
        struct exchange *exchange = client->first;
        if (exchange->answer.len)
            stream_send(&client->stream, buf_span(&exchange->answer));
        client->first = exchange->next;
        if (!client->first)
            client->last = &client->first;
        client->count--;
        exchange_free(exchange);
    }
    if (client->count == 0 && client->is_last)
        stream_close(&client->stream, 0);
    else if (!is_full(client))
        stream_resume(&client->stream);
}

static void count_answer(struct metrics *metrics, uint16_t status)
{
    if (status < 300)
        metrics->answers_2xx++;
    else if (status < 400)
        metrics->answers_3xx++;
    else if (status < 500)
        metrics->answers_4xx++;
    else
        metrics->answers_5xx++;
}

// Where the answer goes: NULL when nobody waits for it.
static struct buf *out_of(struct exchange *exchange)
{
    struct http_client *client = exchange->client;
    if (!client)
        return NULL;
    if (client->is_last && client->count == 1) // a drain or a half-closed connection
        exchange->is_last = true;
    return client->first == exchange ? stream_out(&client->stream) : &exchange->answer;
}

static void finish(struct exchange *exchange)
{
    struct http_client *client = exchange->client;
    if (!client) {
        exchange_free(exchange);
        return;
    }
    exchange->is_done = true;
    if (client->first == exchange) {
        stream_written(&client->stream);
        advance(client);
    } else if (buf_has_failed(&exchange->answer)) {
        stream_close(&client->stream, -ENOMEM);
    }
}

static struct span headers_of(struct exchange *exchange, struct span more)
{
    struct buf *headers = &exchange->door->headers;
    buf_clear(headers);
    buf_put_text(headers, "Access-Control-Allow-Origin: *\r\n"
                          "Access-Control-Expose-Headers: ETag, Quipu-Token, Retry-After\r\n"
                          "Cache-Control: no-cache\r\n");
    buf_put(headers, more);
    return buf_span(headers);
}

void exchange_answer(struct exchange *exchange, const struct exchange_answer *answer)
{
    struct buf *out = out_of(exchange);
    count_answer(exchange->door->metrics, answer->status);
    if (out) {
        struct http_answer whole = {.status = answer->status,
                                    .content_type = answer->content_type,
                                    .headers = headers_of(exchange, answer->headers),
                                    .body = answer->body,
                                    .time_s = exchange->door->time_s,
                                    .is_closing = exchange->is_last,
                                    .is_head = exchange->is_head};
        http_put_answer(out, &whole);
    }
    finish(exchange);
}

void exchange_problem_with(struct exchange *exchange, uint16_t status, const char *detail,
                           struct span headers)
{
    struct buf *out = out_of(exchange);
    count_answer(exchange->door->metrics, status);
    if (out) {
        struct http_problem problem = {.status = status,
                                       .detail = detail,
                                       .headers = headers_of(exchange, headers),
                                       .time_s = exchange->door->time_s,
                                       .is_closing = exchange->is_last,
                                       .is_head = exchange->is_head};
        http_put_problem(out, &problem);
    }
    finish(exchange);
}

void exchange_problem(struct exchange *exchange, uint16_t status, const char *detail)
{
    exchange_problem_with(exchange, status, detail,
                          span_text(status == 503 ? "Retry-After: 1\r\n" : ""));
}

// ---- connections

static void close_or_wait(struct http_client *client)
{
    client->is_last = true;
    if (client->count == 0)
        stream_close(&client->stream, 0);
}

// The request is not understood, or too long, or too slow: nothing after it can be either.
static void refuse(struct http_client *client, uint16_t status, const char *reason)
{
    struct exchange *exchange = exchange_new(client);
    client->is_last = true;
    if (!exchange) {
        stream_close(&client->stream, -ENOMEM);
        return;
    }
    exchange->is_last = true;
    exchange_problem(exchange, status, reason);
}

static void serve(struct http_client *client, const struct http_request *request)
{
    struct exchange *exchange = exchange_new(client);
    client->door->metrics->requests++;
    if (!exchange) {
        stream_close(&client->stream, -ENOMEM);
        return;
    }
    client->active_ms = loop_now_ms(client->door->loop);
    exchange->is_head = request->method == HTTP_METHOD_HEAD;
    exchange->is_last = client->is_last = !request->keeps_alive;
    routes_serve(exchange, request);
}

static bool is_too_long(const struct http_client *client, struct span rest)
{
    return client->parser.need > SERVICE_REQUEST_BYTES_MAX || rest.len > SERVICE_REQUEST_BYTES_MAX;
}

// False: nothing more to parse for now.
static bool take_request(struct http_client *client, struct span rest, size_t *out_used)
{
    struct http_request request;
    int outcome =
        http_parse_request(&client->parser, rest, &client->door->body, &request, out_used);
    if (outcome == 0) {
        serve(client, &request);
        return true;
    }
    *out_used = 0;
    if (outcome == HTTP_E_PROTOCOL) {
        refuse(client, client->parser.fault->status, client->parser.fault->reason);
    } else if (outcome < 0) {
        stream_close(&client->stream, outcome);
    } else if (is_too_long(client, rest)) {
        refuse(client, 413, "The request is longer than this service takes.");
    } else if (outcome == HTTP_E_CONTINUE && !client->first) {
        http_put_continue(stream_out(&client->stream));
        stream_written(&client->stream);
    }
    return false;
}

static size_t on_input(struct stream *stream, struct span input)
{
    struct http_client *client = client_of(stream);
    size_t at = 0;
    bool goes_on = true;
    while (at < input.len && goes_on && !client->is_last && !stream->is_closing &&
           !is_full(client)) {
        size_t used;
        goes_on = take_request(client, span_of(input.ptr + at, input.len - at), &used);
        at += used;
    }
    if (client->is_last)
        at = input.len;
    else if (is_full(client))
        stream_pause(stream);
    if (at == input.len || is_full(client))
        client->partial_ms = 0;
    else if (at > 0 || client->partial_ms == 0)
        client->partial_ms = loop_now_ms(client->door->loop);
    return at;
}

static void on_drained(struct stream *stream)
{
    if (!is_full(client_of(stream)))
        stream_resume(stream);
}

static void on_ended(struct stream *stream)
{
    close_or_wait(client_of(stream));
}

static void on_closed(struct stream *stream, int fault)
{
    struct http_client *client = client_of(stream);
    struct http_door *door = client->door;
    (void)fault; // a client's own business
    while (client->first) {
        struct exchange *exchange = client->first;
        client->first = exchange->next;
        exchange->client = NULL;
        if (exchange->is_done)
            exchange_free(exchange);
    }
    if (client->prev)
        client->prev->next = client->next;
    else
        door->first = client->next;
    if (client->next)
        client->next->prev = client->prev;
    door->count--;
    door->metrics->connections_now = door->count;
    heap_free(heap_system(), client, sizeof *client);
}

static const struct stream_ops stream_ops = {
    .on_input = on_input, .on_drained = on_drained, .on_ended = on_ended, .on_closed = on_closed};
static void on_accepted(struct listener *listener, int fd)
{
    struct http_door *door = owner_of(listener, struct http_door, listener);
    struct http_client *client = NULL;
    const struct stream_limits limits = {.in_max = 2 * SERVICE_REQUEST_BYTES_MAX,
                                         .out_max = SERVICE_OUT_BYTES_MAX,
                                         .tls = door->tls};
    if (door->count < SERVICE_CONNECTIONS_MAX)
        client = heap_alloc(heap_system(), sizeof *client);
    if (!client) {
        door->metrics->connections_refused++;
        close(fd);
        return;
    }
    *client = (struct http_client){
        .door = door, .active_ms = loop_now_ms(door->loop), .next = door->first};
    client->last = &client->first;
    if (stream_accept(&client->stream, door->loop, fd, &stream_ops, &limits)) {
        heap_free(heap_system(), client, sizeof *client);
        return;
    }
    if (door->first)
        door->first->prev = client;
    door->first = client;
    door->count++;
    door->metrics->connections++;
    door->metrics->connections_now = door->count;
}

// ---- time limits

static void sweep_one(struct http_client *client, uint64_t now_ms)
{
    if (client->count || stream_unsent(&client->stream))
        return;
    if (client->partial_ms && now_ms >= client->partial_ms + REQUEST_MS)
        refuse(client, 408, "The request took too long to arrive.");
    else if (!client->partial_ms && now_ms >= client->active_ms + IDLE_MS)
        close_or_wait(client);
}

static void on_due(struct loop_timer *timer)
{
    struct http_door *door = owner_of(timer, struct http_door, timer);
    uint64_t now_ms = loop_now_ms(door->loop);
    struct http_client *client = door->first;
    door->time_s = (int64_t)(clock_wall_ms() / 1000);
    while (client) {
        struct http_client *next = client->next;
        sweep_one(client, now_ms);
        client = next;
    }
    loop_timer_set(door->loop, timer, now_ms + SWEEP_MS);
}

// ---- life

int http_door_open(struct http_door *door, const struct endpoint *endpoint)
{
    door->time_s = (int64_t)(clock_wall_ms() / 1000);
    buf_init(&door->body, heap_system());
    buf_init(&door->headers, heap_system());
    buf_init(&door->answer, heap_system());
    door->listener.on_accepted = on_accepted;
    int fault = listener_start(&door->listener, door->loop, endpoint);
    if (fault)
        return fault;
    tcp_set_patience(door->listener.watch.fd, STUCK_MS);
    door->timer.on_due = on_due;
    loop_timer_set(door->loop, &door->timer, loop_now_ms(door->loop) + SWEEP_MS);
    return 0;
}

void http_door_drain(struct http_door *door)
{
    listener_stop(&door->listener);
    for (struct http_client *client = door->first; client; client = client->next)
        close_or_wait(client);
}

void http_door_close(struct http_door *door)
{
    listener_stop(&door->listener);
    loop_timer_clear(door->loop, &door->timer);
    while (door->first)
        stream_abort(&door->first->stream, 0);
}

void http_door_free(struct http_door *door)
{
    while (door->spare) {
        struct exchange *exchange = door->spare;
        door->spare = exchange->next;
        give_back(exchange);
    }
    buf_deinit(&door->body);
    buf_deinit(&door->headers);
    buf_deinit(&door->answer);
}
