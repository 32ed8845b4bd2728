// SPDX-License-Identifier: Apache-2.0
// Connections. A frame for many is offered to each socket from the shared memory it was encoded in;
// only what a socket does not take is copied. RFC 6455: a Close is answered with its code, then the
// stream ends; a violation is told by the codec with the code to close with.
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/decimal.h"
#include "base/owner.h"
#include "os/clock.h"
#include "realtime/echo.h"
#include "realtime/events.h"
#include "realtime/grant.h"
#include "realtime/part.h"
#include "realtime/site.h"
#include "realtime/talk.h"
#include "wire/http_put.h"
#include "wire/json.h"

_Static_assert(sizeof(struct visitor) + sizeof(struct subscription) <= 512,
               "an idle subscriber of one key costs at most half a KiB");

static const uint32_t sweep_ms[SWEEPS] = {
    [SWEEP_ARRIVING] = VISITOR_ARRIVING_MS,
    [SWEEP_IDLE] = VISITOR_IDLE_MS,
    [SWEEP_LIVE] = VISITOR_PING_MS,
    [SWEEP_CHOKED] = VISITOR_CHOKED_MS,
    [SWEEP_ANSWERED] = 0,
    [SWEEP_CLOSING] = VISITOR_CLOSING_MS,
};

// ---- sweeps

static void sweep_leave(struct visitor *visitor)
{
    struct visitors *visitors = &visitor->realtime->visitors;
    if (visitor->sweep == SWEEPS)
        return;
    if (visitor->sweep_prev)
        visitor->sweep_prev->sweep_next = visitor->sweep_next;
    else
        visitors->sweeps[visitor->sweep].first = visitor->sweep_next;
    if (visitor->sweep_next)
        visitor->sweep_next->sweep_prev = visitor->sweep_prev;
    else
        visitors->sweeps[visitor->sweep].last = visitor->sweep_prev;
    visitor->sweep = SWEEPS;
}

static void sweep_join(struct visitor *visitor, enum visitor_sweep sweep)
{
    struct realtime *realtime = visitor->realtime;
    struct visitors *visitors = &realtime->visitors;
    sweep_leave(visitor);
    visitor->sweep = (uint8_t)sweep;
    visitor->due_ms = loop_now_ms(realtime->loop) + sweep_ms[sweep];
    visitor->sweep_next = NULL;
    visitor->sweep_prev = visitors->sweeps[sweep].last;
    if (visitor->sweep_prev)
        visitor->sweep_prev->sweep_next = visitor;
    else
        visitors->sweeps[sweep].first = visitor;
    visitors->sweeps[sweep].last = visitor;
    if (!loop_timer_is_set(&visitors->timer) || visitor->due_ms < visitors->timer.due_ms)
        loop_timer_set(realtime->loop, &visitors->timer, visitor->due_ms);
}

// The browser answers a ping by itself, and its page cannot see it: the empty message is for the
// page, which by it can tell a quiet server from a connection that is dead.
static void ping(struct visitor *visitor)
{
    static const uint8_t frames[] = {0x89, 0x00, 0x81, 0x02, '{', '}'};
    if (!visitor_is_socket(visitor)) {
        events_ping(visitor);
        if (visitor->sweep == SWEEP_LIVE)
            sweep_join(visitor, SWEEP_LIVE);
        return;
    }
    if (visitor->pings_unanswered == VISITOR_PINGS_MAX) {
        visitor->realtime->gauges.closed_silent++;
        visitor_end(visitor, WEBSOCKET_CODE_GOING_AWAY, "no answer to pings: reconnect");
        return;
    }
    visitor->pings_unanswered++;
    if (stream_unsent(&visitor->stream) == 0)
        stream_send(&visitor->stream,
                    span_of(frames, visitor->mode == VISITOR_ECHO ? 2 : sizeof(frames)));
    sweep_join(visitor, SWEEP_LIVE);
}

// What came behind the request meanwhile is looked at now.
static void end_poll(struct visitor *visitor)
{
    talk_end(visitor);
    grant_end(visitor);
    fanout_forget(&visitor->realtime->fanout, &visitor->subscriber);
    visitor->subscriber = (struct subscriber){0};
    visitor->realtime->visitors.live_count--;
    visitor->mode = VISITOR_HTTP;
    visitor->http = (struct http_parser){0};
    sweep_join(visitor, SWEEP_IDLE);
    if (visitor->is_last) {
        stream_close(&visitor->stream, 0);
        return;
    }
    stream_pause(&visitor->stream);
    stream_resume(&visitor->stream);
}

static void fall_due(struct visitor *visitor)
{
    switch ((enum visitor_sweep)visitor->sweep) {
    case SWEEP_LIVE:
        ping(visitor);
        return;
    case SWEEP_CHOKED:
        visitor->realtime->gauges.closed_slow++;
        visitor_end(visitor, WEBSOCKET_CODE_SLOW, "too slow: reconnect");
        return;
    case SWEEP_ARRIVING:
    case SWEEP_IDLE:
        sweep_join(visitor, SWEEP_CLOSING);
        stream_close(&visitor->stream, 0);
        return;
    case SWEEP_ANSWERED:
        end_poll(visitor);
        return;
    case SWEEP_CLOSING:
        stream_abort(&visitor->stream, -ETIMEDOUT);
        return;
    case SWEEPS:
        return;
    }
}

static void on_due(struct loop_timer *timer)
{
    struct visitors *visitors = owner_of(timer, struct visitors, timer);
    struct realtime *realtime = owner_of(visitors, struct realtime, visitors);
    uint64_t now_ms = loop_now_ms(realtime->loop);
    uint64_t next_ms = UINT64_MAX;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        while (visitors->sweeps[sweep].first && visitors->sweeps[sweep].first->due_ms <= now_ms)
            fall_due(visitors->sweeps[sweep].first);
        if (visitors->sweeps[sweep].first && visitors->sweeps[sweep].first->due_ms < next_ms)
            next_ms = visitors->sweeps[sweep].first->due_ms;
    }
    if (next_ms != UINT64_MAX)
        loop_timer_set(realtime->loop, timer, next_ms);
}

// ---- out

void visitor_say(struct visitor *visitor, enum websocket_opcode opcode, struct span payload)
{
    struct buf *out = stream_out(&visitor->stream);
    bool is_packed = visitor->mode == VISITOR_ECHO && visitor->websocket.deflate &&
                     (opcode == WEBSOCKET_TEXT || opcode == WEBSOCKET_BINARY);
    if (!is_packed || !websocket_put_packed(out, visitor->websocket.deflate, opcode, payload))
        websocket_put_frame(out, opcode, payload);
    stream_written(&visitor->stream);
}

void visitor_end(struct visitor *visitor, uint16_t code, const char *reason)
{
    struct stream *stream = &visitor->stream;
    if (!stream->is_closing) {
        if (visitor_is_socket(visitor))
            websocket_put_close(stream_out(stream), code, reason);
        else
            events_end(visitor, reason);
        stream_written(stream);
        stream_close(stream, 0);
    }
    if (visitor->sweep != SWEEP_CLOSING)
        sweep_join(visitor, SWEEP_CLOSING);
}

// A client that remembers versions must know of which epoch they are.
static void tell_epoch(struct visitor *visitor, const struct topic *topic)
{
    struct buf *out = &visitor->realtime->answer;
    buf_clear(out);
    buf_put_text(out, "{\"epoch\":");
    json_put_string(out, board_epoch(&visitor->realtime->board, topic));
    buf_put_byte(out, '}');
    visitor_say(visitor, WEBSOCKET_TEXT, buf_span(out));
}

static void offer(struct stream *stream, struct span frame)
{
    size_t sent = stream_send_now(stream, frame);
    if (sent < frame.len)
        stream_send(stream, span_of(frame.ptr + sent, frame.len - sent));
}

bool visitor_tell(struct subscriber *subscriber, const struct fanout_frame *frame)
{
    struct visitor *visitor = owner_of(subscriber, struct visitor, subscriber);
    struct stream *stream = &visitor->stream;
    if (stream->is_blocked || stream->is_closing || visitor->sweep == SWEEP_ANSWERED) {
        if (visitor->sweep == SWEEP_LIVE)
            sweep_join(visitor, SWEEP_CHOKED);
        return false;
    }
    if (!visitor_is_socket(visitor)) {
        events_tell(visitor, frame);
        return true;
    }
    if (frame->is_new_epoch)
        tell_epoch(visitor, frame->topic);
    struct span bytes = visitor->websocket.deflate
                            ? fanout_packed(&visitor->realtime->fanout, frame)
                            : frame->whole;
    offer(stream, bytes);
    return true;
}

// ---- in: WebSocket

bool visitor_spend(struct visitor *visitor, uint16_t words)
{
    uint32_t now_ms = (uint32_t)loop_now_ms(visitor->realtime->loop);
    uint64_t earned = (uint64_t)(now_ms - visitor->earned_ms) * VISITOR_WORDS_PER_S / 1000;
    if (earned) {
        uint64_t left = visitor->words_left + earned;
        visitor->words_left = (uint16_t)(left < VISITOR_WORDS_MAX ? left : VISITOR_WORDS_MAX);
        visitor->earned_ms = now_ms;
    }
    if (visitor->words_left < words) {
        visitor->realtime->gauges.closed_rate += !visitor->stream.is_closing;
        visitor_end(visitor, WEBSOCKET_CODE_POLICY, "too many messages");
        return false;
    }
    visitor->words_left = (uint16_t)(visitor->words_left - words);
    return true;
}

static void take_message(struct visitor *visitor, const struct websocket_message *message)
{
    if (visitor->mode == VISITOR_ECHO) {
        visitor_say(visitor, message->opcode, message->payload);
        return;
    }
    visitor->realtime->gauges.messages_received++;
    if (message->opcode == WEBSOCKET_BINARY)
        visitor_end(visitor, 1003, "messages are text");
    else if (visitor_spend(visitor, VISITOR_MESSAGE_WORDS))
        talk_take(visitor, message->payload);
}

static void take_frame(struct visitor *visitor, const struct websocket_message *message)
{
    switch (message->opcode) {
    case WEBSOCKET_TEXT:
    case WEBSOCKET_BINARY:
        take_message(visitor, message);
        return;
    case WEBSOCKET_PING:
        if (visitor->mode == VISITOR_ECHO || visitor_spend(visitor, VISITOR_MESSAGE_WORDS))
            visitor_say(visitor, WEBSOCKET_PONG, message->payload);
        return;
    case WEBSOCKET_CLOSE:
        visitor_end(visitor, message->code, "");
        return;
    case WEBSOCKET_PONG:
    case WEBSOCKET_CONTINUATION:
        return;
    }
}

// One frame; bytes used, 0: more are needed.
static size_t read_frame(struct visitor *visitor, struct span input)
{
    struct websocket_message message;
    size_t used = 0;
    int outcome = websocket_parse(&visitor->websocket, input, &visitor->realtime->visitors.payload,
                                  &message, &used);
    switch (outcome) {
    case 0:
        visitor->pings_unanswered = 0;
        take_frame(visitor, &message);
        return used;
    case WEBSOCKET_E_FRAGMENT:
        visitor->pings_unanswered = 0;
        return used;
    case WEBSOCKET_E_MORE:
        return 0;
    case WEBSOCKET_E_PROTOCOL:
        visitor->realtime->gauges.closed_protocol++;
        visitor_end(visitor, visitor->websocket.code, "");
        return input.len;
    default: // no memory
        visitor_end(visitor, 1011, "out of memory");
        return input.len;
    }
}

void visitor_go_live(struct visitor *visitor, enum visitor_mode mode)
{
    visitor->mode = (uint8_t)mode;
    visitor->realtime->visitors.live_count++;
    sweep_join(visitor, SWEEP_LIVE);
}

void visitor_answered(struct visitor *visitor)
{
    sweep_join(visitor, SWEEP_ANSWERED);
}

// The one pair of zlib streams is made when somebody first wants it; without memory for it the
// extension is declined.
static struct deflate *obtain_deflate(struct realtime *realtime)
{
    if (!realtime->deflate && deflate_new(&realtime->deflate, realtime->heap) != 0)
        return NULL;
    realtime->fanout.deflate = realtime->deflate;
    return realtime->deflate;
}

void visitor_upgrade(struct visitor *visitor, const struct http_request *request,
                     const char *protocol)
{
    struct realtime *realtime = visitor->realtime;
    struct buf *headers = &realtime->answer;
    struct deflate_offer offered = deflate_read_offer(request);
    struct deflate *deflate = offered.is_met ? obtain_deflate(realtime) : NULL;
    buf_clear(headers);
    if (deflate)
        deflate_put_answer(headers, &offered);
    websocket_put_upgrade(stream_out(&visitor->stream), request, protocol, buf_span(headers));
    stream_written(&visitor->stream);
    websocket_init(&visitor->websocket, WEBSOCKET_SERVER, realtime->heap);
    visitor->websocket.deflate = deflate;
    visitor->words_left = VISITOR_WORDS_MAX;
    visitor->earned_ms = (uint32_t)loop_now_ms(realtime->loop);
    realtime->gauges.upgrades++;
    visitor_go_live(visitor, VISITOR_SOCKET);
}

// ---- in: HTTP

static void refuse(struct visitor *visitor, const struct http_fault *fault)
{
    struct http_problem problem = {.status = fault->status,
                                   .detail = fault->reason,
                                   .time_s = (int64_t)(clock_wall_ms() / 1000),
                                   .is_closing = true};
    http_put_problem(stream_out(&visitor->stream), &problem);
    stream_written(&visitor->stream);
    stream_close(&visitor->stream, 0);
    sweep_join(visitor, SWEEP_CLOSING);
}

// One request; bytes used, 0: more are needed.
static size_t read_request(struct visitor *visitor, struct span input)
{
    struct realtime *realtime = visitor->realtime;
    struct http_request request;
    size_t used = 0;
    int outcome =
        http_parse_request(&visitor->http, input, &realtime->visitors.body, &request, &used);
    switch (outcome) {
    case 0:
        realtime->gauges.requests++;
        sweep_join(visitor, SWEEP_IDLE);
        site_answer(visitor, &request);
        return used;
    case HTTP_E_MORE:
        return 0;
    case HTTP_E_CONTINUE:
        http_put_continue(stream_out(&visitor->stream));
        stream_written(&visitor->stream);
        return 0;
    case HTTP_E_PROTOCOL:
        refuse(visitor, visitor->http.fault);
        return input.len;
    default: // no memory
        stream_close(&visitor->stream, outcome);
        return input.len;
    }
}

// Many who each send half a message must not take all memory.
static void hold(struct visitor *visitor, size_t left)
{
    struct visitors *visitors = &visitor->realtime->visitors;
    size_t held = left + (visitor_is_socket(visitor) ? visitor->websocket.partial.len : 0);
    visitors->held_bytes += held - visitor->held_bytes;
    visitor->held_bytes = (uint32_t)held;
    if (visitors->held_bytes <= VISITORS_HELD_BYTES_MAX || visitor->stream.is_closing)
        return;
    if (visitor->mode != VISITOR_HTTP)
        visitor_end(visitor, 1013, "too much at once: try again later");
    else
        refuse(visitor, &(struct http_fault){503, "too much at once: try again later"});
}

static size_t read_some(struct visitor *visitor, struct span input)
{
    switch ((enum visitor_mode)visitor->mode) {
    case VISITOR_HTTP:
        return read_request(visitor, input);
    case VISITOR_POLL:
        return 0; // a further request waits
    case VISITOR_EVENTS:
        return input.len; // nothing more is expected
    case VISITOR_SOCKET:
    case VISITOR_ECHO:
        return read_frame(visitor, input);
    }
    return input.len;
}

static size_t on_input(struct stream *stream, struct span input)
{
    struct visitor *visitor = (struct visitor *)stream;
    size_t used = 0;
    while (used < input.len && !stream->is_closing) {
        struct span rest = span_of(input.ptr + used, input.len - used);
        size_t step = read_some(visitor, rest);
        if (step == 0)
            break;
        used += step;
    }
    hold(visitor, input.len - used);
    return used;
}

// ---- life

static void on_drained(struct stream *stream)
{
    struct visitor *visitor = (struct visitor *)stream;
    if (visitor->sweep == SWEEP_CHOKED)
        sweep_join(visitor, SWEEP_LIVE);
    fanout_resume(&visitor->realtime->fanout, &visitor->subscriber);
}

static void on_closed(struct stream *stream, int fault)
{
    struct visitor *visitor = (struct visitor *)stream;
    struct realtime *realtime = visitor->realtime;
    (void)fault;
    sweep_leave(visitor);
    talk_end(visitor);
    grant_end(visitor);
    fanout_forget(&realtime->fanout, &visitor->subscriber);
    if (visitor_is_socket(visitor))
        websocket_deinit(&visitor->websocket);
    if (visitor->mode != VISITOR_HTTP)
        realtime->visitors.live_count--;
    realtime->visitors.count--;
    realtime->visitors.held_bytes -= visitor->held_bytes;
    heap_free(realtime->heap, visitor, sizeof(*visitor));
}

static const struct stream_ops ops = {
    .on_input = on_input, .on_drained = on_drained, .on_closed = on_closed};

static void turn_away(int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
                                 "Content-Length: 0\r\nConnection: close\r\n\r\n";
    (void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

void visitor_accept(struct realtime *realtime, int fd)
{
    struct visitor *visitor = NULL;
    if (realtime->visitors.count < VISITORS_MAX)
        visitor = heap_alloc(realtime->heap, sizeof(*visitor));
    if (!visitor) {
        realtime->gauges.connections_refused++;
        turn_away(fd);
        return;
    }
    size_t in_max = echo_bytes_max() ? echo_bytes_max() : HTTP_MESSAGE_BYTES_MAX;
    size_t out_max = echo_bytes_max() ? echo_bytes_max() : VISITOR_OUT_BYTES_MAX;
    const struct stream_limits limits = {.in_max = in_max,
                                         .out_max = out_max,
                                         .tls = realtime->options->tls.cert_file ? realtime->tls
                                                                                 : NULL};
    *visitor = (struct visitor){.realtime = realtime, .sweep = SWEEPS};
    if (stream_accept(&visitor->stream, realtime->loop, fd, &ops, &limits) != 0) {
        heap_free(realtime->heap, visitor, sizeof(*visitor));
        return;
    }
    realtime->visitors.count++;
    realtime->gauges.connections_accepted++;
    sweep_join(visitor, SWEEP_ARRIVING);
}

void visitors_start(struct realtime *realtime)
{
    struct visitors *visitors = &realtime->visitors;
    visitors->timer.on_due = on_due;
    buf_init(&visitors->body, realtime->heap);
    buf_init(&visitors->payload, realtime->heap);
}

// Says how long the client is to wait before it comes back: a crowd that is let go together comes
// back one by one.
static void spread(struct visitor *visitor)
{
    struct realtime *realtime = visitor->realtime;
    uint64_t wait_ms = prng_below(&realtime->upstream.prng, realtime->options->spread_ms);
    if (visitor->mode == VISITOR_EVENTS)
        events_spread(visitor, wait_ms);
    if (visitor->mode != VISITOR_SOCKET || visitor->stream.is_closing)
        return;
    struct buf *text = &realtime->answer;
    buf_clear(text);
    buf_put_text(text, "{\"retry\":");
    decimal_put_unsigned(text, wait_ms);
    buf_put_byte(text, '}');
    visitor_say(visitor, WEBSOCKET_TEXT, buf_span(text));
}

void visitors_end_one(struct realtime *realtime, uint16_t code, const char *reason)
{
    struct visitors *visitors = &realtime->visitors;
    struct visitor *visitor = visitors->sweeps[SWEEP_CHOKED].first;
    if (!visitor)
        visitor = visitors->sweeps[SWEEP_LIVE].first;
    if (!visitor)
        return;
    spread(visitor);
    visitor_end(visitor, code, reason);
}

void visitors_stop(struct realtime *realtime)
{
    struct visitors *visitors = &realtime->visitors;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        while (visitors->sweeps[sweep].first)
            stream_abort(&visitors->sweeps[sweep].first->stream, 0);
    }
    loop_timer_clear(realtime->loop, &visitors->timer);
    buf_deinit(&visitors->body);
    buf_deinit(&visitors->payload);
}
