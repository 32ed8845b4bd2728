// SPDX-License-Identifier: Apache-2.0
// A share is in `pending`, in `flying`, or in neither. A request that fails puts what flew back
// behind what is pending (the order does not matter: values are read when written). One failure is
// logged when a row of them begins, the second at the earliest: the first may be a kept connection
// that the node closed.
#include <errno.h>
#include "base/backoff.h"
#include "base/decimal.h"
#include "base/owner.h"
#include "os/clock.h"
#include "os/heap_system.h"
#include "os/log.h"
#include "service/audience.h"
#include "service/outlet.h"
#include "wire/hmac.h"
#include "wire/http_put.h"
#include "wire/json.h"

#define PUT_TIMEOUT_MS 5000
#define BODY_BYTES_MAX (512u << 10)

static const struct backoff retry = {.min_ms = 100, .max_ms = 5000};

// ---- lists

static void list_append(struct share_list *list, struct share *share)
{
    share->outlet_list = list;
    share->outlet_prev = list->last;
    share->outlet_next = NULL;
    if (list->last)
        list->last->outlet_next = share;
    else
        list->first = share;
    list->last = share;
}

static void list_remove(struct share *share)
{
    struct share_list *list = share->outlet_list;
    if (share->outlet_prev)
        share->outlet_prev->outlet_next = share->outlet_next;
    else
        list->first = share->outlet_next;
    if (share->outlet_next)
        share->outlet_next->outlet_prev = share->outlet_prev;
    else
        list->last = share->outlet_prev;
    share->outlet_list = NULL;
}

static void set_due(struct outlet *outlet)
{
    if (outlet->is_due)
        return;
    outlet->is_due = true;
    outlet->due_next = outlet->outlets->due;
    outlet->due_back = &outlet->outlets->due;
    if (outlet->due_next)
        outlet->due_next->due_back = &outlet->due_next;
    outlet->outlets->due = outlet;
}

static void clear_due(struct outlet *outlet)
{
    if (!outlet->is_due)
        return;
    outlet->is_due = false;
    *outlet->due_back = outlet->due_next;
    if (outlet->due_next)
        outlet->due_next->due_back = outlet->due_back;
}

void outlet_mark(struct share *share)
{
    struct outlet *outlet = &share->platform->outlet;
    if (!outlet->has_address || share->outlet_list == &outlet->pending)
        return;
    outlet_forget(share); // one in flight changed again: the next request tells it
    list_append(&outlet->pending, share);
    set_due(outlet);
}

void outlet_forget(struct share *share)
{
    if (share->outlet_list)
        list_remove(share);
}

// ---- failure and success

static void fail(struct outlet *outlet, const char *why)
{
    struct outlets *outlets = outlet->outlets;
    while (outlet->flying.first) {
        struct share *share = outlet->flying.first;
        list_remove(share);
        list_append(&outlet->pending, share);
    }
    outlet->is_asked = false;
    outlets->metrics->puts_failed++;
    if (outlet->failures == 1)
        log_line("service", NULL, "the real-time node at %s:%u takes no counts: %s; trying again",
                 outlet->address.host, (unsigned)outlet->address.port, why);
    uint64_t wait_ms = backoff_ms(retry, outlet->failures++, &outlets->prng);
    outlet->is_waiting = true;
    loop_timer_set(outlets->loop, &outlet->timer, loop_now_ms(outlets->loop) + wait_ms);
}

static void succeed(struct outlet *outlet)
{
    struct metrics *metrics = outlet->outlets->metrics;
    while (outlet->flying.first) {
        list_remove(outlet->flying.first);
        metrics->put_counts++;
    }
    outlet->is_asked = false;
    metrics->puts++;
    if (outlet->failures > 1)
        log_line("service", NULL, "the real-time node at %s:%u takes counts again",
                 outlet->address.host, (unsigned)outlet->address.port);
    outlet->failures = 0;
    if (outlet->pending.first)
        set_due(outlet);
}

// ---- the connection

static struct outlet *outlet_of(struct stream *stream)
{
    return owner_of(stream, struct outlet, stream);
}

static size_t on_input(struct stream *stream, struct span input)
{
    struct outlet *outlet = outlet_of(stream);
    struct http_response response;
    size_t used = 0;
    int outcome =
        http_parse_response(&outlet->parser, input, &outlet->outlets->answer, &response, &used);
    if (outcome == HTTP_E_MORE)
        return 0;
    if (outcome || !outlet->is_asked) {
        stream_close(stream, outcome < 0 ? outcome : -EPROTO);
        return input.len;
    }
    loop_timer_clear(outlet->outlets->loop, &outlet->timer);
    char why[32] = "it answers ";
    *decimal_write((uint8_t *)why + strlen(why), response.status) = '\0';
    if (response.status / 100 == 2)
        succeed(outlet);
    else
        fail(outlet, why);
    if (!response.keeps_alive)
        stream_close(stream, 0);
    return used;
}

static void on_closed(struct stream *stream, int fault)
{
    struct outlet *outlet = outlet_of(stream);
    char why[STREAM_WHY_MAX];
    outlet->is_open = false;
    if (outlet->is_asked)
        fail(outlet, stream_why(stream, fault, why));
    else if (outlet->pending.first)
        set_due(outlet);
}

static void on_due(struct loop_timer *timer)
{
    struct outlet *outlet = owner_of(timer, struct outlet, timer);
    if (outlet->is_asked) {
        stream_abort(&outlet->stream, -ETIMEDOUT);
        return;
    }
    outlet->is_waiting = false;
    set_due(outlet);
}

static const struct stream_ops ops = {.on_input = on_input, .on_closed = on_closed};

static bool connect_node(struct outlet *outlet)
{
    if (outlet->is_open)
        return !outlet->stream.is_closing;
    const struct stream_limits limits = {.in_max = HTTP_MESSAGE_BYTES_MAX,
                                         .out_max = 4u << 20,
                                         .tls = outlet->is_tls ? outlet->outlets->tls : NULL};
    int fault =
        stream_dial(&outlet->stream, outlet->outlets->loop, &outlet->address, &ops, &limits);
    if (fault) {
        fail(outlet, strerror(-fault));
        return false;
    }
    outlet->is_open = true;
    outlet->parser = (struct http_parser){0};
    return true;
}

// ---- requests

static void put_count(struct buf *body, const struct tally *tally)
{
    buf_put_byte(body, '[');
    json_put_string(body, tally_key(tally));
    buf_put_byte(body, ',');
    if (tally->is_missing)
        buf_put_text(body, "null");
    else
        json_put_integer(body, tally->value);
    buf_put_byte(body, ',');
    json_put_integer(body, (int64_t)tally->version);
    buf_put_byte(body, ']');
}

// Moves what is told from pending to flying. What is not known any more comes again when it is.
static void write_body(struct outlet *outlet, struct buf *body)
{
    unsigned count = 0;
    buf_clear(body);
    buf_put_text(body, "{\"service\":");
    json_put_text(body, outlet->outlets->service);
    buf_put_text(body, ",\"epoch\":");
    json_put_text(body, database_epoch(outlet->outlets->database));
    buf_put_text(body, ",\"counts\":[");
    while (outlet->pending.first && count < SERVICE_PUT_COUNTS_MAX && body->len < BODY_BYTES_MAX) {
        struct share *share = outlet->pending.first;
        list_remove(share);
        if (!share->tally->is_known)
            continue;
        if (count++)
            buf_put_byte(body, ',');
        put_count(body, share->tally);
        list_append(&outlet->flying, share);
    }
    buf_put_text(body, "]}");
}

static void write_request(struct outlet *outlet)
{
    struct outlets *outlets = outlet->outlets;
    struct span body = buf_span(&outlets->body);
    char host[ENDPOINT_TEXT_MAX];
    endpoint_write(&outlet->address, host);
    buf_clear(&outlets->headers);
    if (outlets->secret.len) {
        buf_put_text(&outlets->headers, "Quipu-Signature: ");
        hmac_put_hex(&outlets->headers, outlets->secret, body);
        buf_put_text(&outlets->headers, "\r\n");
    }
    struct http_call call = {.method = "PUT",
                             .target = span_text("/v1/topics"),
                             .host = span_text(host),
                             .content_type = "application/json",
                             .headers = buf_span(&outlets->headers),
                             .body = body};
    http_put_call(stream_out(&outlet->stream), &call);
    stream_written(&outlet->stream);
    outlet->is_asked = true;
    loop_timer_set(outlets->loop, &outlet->timer, loop_now_ms(outlets->loop) + PUT_TIMEOUT_MS);
}

static void flush(struct outlet *outlet)
{
    if (outlet->is_waiting || outlet->is_asked || !outlet->pending.first)
        return;
    if (!connect_node(outlet)) // a closing connection makes the outlet due again when it is closed
        return;
    write_body(outlet, &outlet->outlets->body);
    if (outlet->flying.first)
        write_request(outlet);
}

void outlets_flush(struct outlets *outlets)
{
    while (outlets->due) {
        struct outlet *outlet = outlets->due;
        clear_due(outlet);
        flush(outlet);
    }
}

// ---- life

void outlets_init(struct outlets *outlets)
{
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    prng_init(&outlets->prng, seed);
    buf_init(&outlets->body, heap_system());
    buf_init(&outlets->headers, heap_system());
    buf_init(&outlets->answer, heap_system());
}

void outlets_deinit(struct outlets *outlets)
{
    buf_deinit(&outlets->body);
    buf_deinit(&outlets->headers);
    buf_deinit(&outlets->answer);
}

void outlet_init(struct outlet *outlet, struct outlets *outlets)
{
    *outlet = (struct outlet){.outlets = outlets, .timer.on_due = on_due};
}

static bool is_same_place(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

// Without a secret anybody who reaches the UDP port could make the service send requests anywhere:
// then only this machine's own ports are believed.
static bool is_allowed(const struct outlet *outlet, const struct endpoint *endpoint)
{
    return outlet->outlets->secret.len > 0 || endpoint_is_loopback(endpoint);
}

void outlet_aim(struct outlet *outlet, struct span address)
{
    static const char scheme[] = "https://";
    char text[ENDPOINT_TEXT_MAX] = {0};
    struct endpoint endpoint;
    bool is_tls = address.len > strlen(scheme) && memcmp(address.ptr, scheme, strlen(scheme)) == 0;
    if (is_tls)
        address = span_of(address.ptr + strlen(scheme), address.len - strlen(scheme));
    if (address.len < sizeof text)
        memcpy(text, address.ptr, address.len);
    bool is_place = endpoint_parse(text, &endpoint) && endpoint.port;
    if (is_place && !is_allowed(outlet, &endpoint)) {
        if (!outlet->is_refused)
            log_line("service", NULL,
                     "no counts for the real-time node at %s: without a secret only nodes on this "
                     "machine are told; give both a --secret-file",
                     text);
        outlet->is_refused = true;
        is_place = false;
    }
    if (outlet->has_address && is_place && is_tls == outlet->is_tls &&
        is_same_place(&endpoint, &outlet->address))
        return;
    outlet_stop(outlet);
    outlet->has_address = is_place;
    outlet->is_tls = is_tls;
    if (is_place)
        outlet->address = endpoint;
    while (!is_place && outlet->pending.first)
        list_remove(outlet->pending.first);
    if (outlet->pending.first)
        set_due(outlet);
}

void outlet_stop(struct outlet *outlet)
{
    if (outlet->is_open)
        stream_abort(&outlet->stream, 0); // what flew is pending again
    loop_timer_clear(outlet->outlets->loop, &outlet->timer);
    clear_due(outlet);
    outlet->is_waiting = false;
    outlet->failures = 0;
}
