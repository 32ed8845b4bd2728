// SPDX-License-Identifier: Apache-2.0
// A stream of events holds nothing beyond a WebSocket's memory: what it was told of each key is in
// its subscriptions, and an id is written from them. The JSON is the shared frame's; only the id,
// and of a poll the answer's head, are each client's own.
#include "realtime/events.h"
#include "base/decimal.h"
#include "os/clock.h"
#include "realtime/part.h"
#include "realtime/talk.h"
#include "wire/http_put.h"
#include "wire/json.h"
#include "wire/url.h"

// ---- ids

// An epoch stands in a line of its own protocol: what is no plain word is not told.
static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t letter = text.ptr[i] | 0x20;
        bool is_letter = letter >= 'a' && letter <= 'z';
        if (!is_letter && !(text.ptr[i] >= '0' && text.ptr[i] <= '9') && text.ptr[i] != '-')
            return false;
    }
    return text.len > 0;
}

// "EPOCH:v.v.v" in the order in which the keys were asked for; empty when nothing is known.
static void put_id(struct buf *out, const struct visitor *visitor)
{
    const struct subscriber *subscriber = &visitor->subscriber;
    const struct subscription *first = NULL;
    struct span epoch = span_text("");
    for (const struct subscription *at = subscriber->first; at; at = at->next) {
        first = at; // the chain is newest first
        if (at->told && at->topic->epoch_mark == subscriber->epoch_mark)
            epoch = board_epoch(&visitor->realtime->board, at->topic);
    }
    if (!is_plain(epoch))
        return;
    buf_put(out, epoch);
    for (const struct subscription *at = first; at; at = at->prev) {
        buf_put_byte(out, at == first ? ':' : '.');
        if (at->told)
            decimal_put_unsigned(out, at->told - 1);
    }
}

struct resume {
    struct span epoch;
    struct span versions; // what is left of them
};

static struct resume read_id(struct span id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] == ':')
            return (struct resume){span_of(id.ptr, i), span_of(id.ptr + i + 1, id.len - i - 1)};
    }
    return (struct resume){0};
}

// The next key's, as struct subscription has it; what is no version was not told.
static uint64_t next_told(struct resume *resume)
{
    uint64_t version;
    size_t len = 0;
    while (len < resume->versions.len && resume->versions.ptr[len] != '.')
        len++;
    struct span text = span_of(resume->versions.ptr, len);
    size_t used = len < resume->versions.len ? len + 1 : len;
    resume->versions = span_of(resume->versions.ptr + used, resume->versions.len - used);
    return decimal_parse_unsigned(text, &version) && version < UINT64_MAX ? version + 1 : 0;
}

// ---- beginning

static bool is_name(struct span name, const char *word)
{
    return span_is_equal(name, span_text(word));
}

// The id into `out`: the header wins, because a browser that reconnects keeps its URL.
static void find_id(const struct http_request *request, struct buf *out)
{
    struct span query = request->query, headers = request->headers, name, value;
    buf_clear(out);
    while (http_next_header(&headers, &name, &value)) {
        if (span_is_word(name, "last-event-id")) {
            buf_put(out, value);
            return;
        }
    }
    while (url_next_pair(&query, &name, &value)) {
        if (is_name(name, "after")) {
            buf_clear(out);
            url_put_decoded_query(out, value);
        }
    }
}

static const struct wrong *take_pair(struct visitor *visitor, struct span name, struct span value,
                                     struct resume *resume)
{
    static const struct wrong form = {"bad_key", "a key is not percent-encoded", 400};
    static const struct wrong keys_full = {
        "too_many_keys", "a stream of events or a poll tracks at most 100 keys", 400};
    struct buf *key = &visitor->realtime->scratch;
    bool is_track = is_name(name, "track");
    if (!is_track && !is_name(name, "publish"))
        return NULL;
    buf_clear(key);
    if (!url_put_decoded_query(key, value))
        return &form;
    if (!is_track)
        return talk_publish(visitor, buf_span(key));
    struct topic *topic = board_find(&visitor->realtime->board, buf_span(key));
    if (topic && board_subscription(&visitor->subscriber, topic))
        return NULL; // named twice
    if (visitor->subscriber.keys_count == EVENTS_KEYS_MAX)
        return &keys_full;
    return talk_track(visitor, buf_span(key), next_told(resume));
}

// Names whom the answer may be shown to; the origin has been checked.
static void put_origin(struct buf *out, const struct http_request *request)
{
    if (!request->field[HTTP_FIELD_ORIGIN].ptr)
        return;
    http_put_header(out, "Access-Control-Allow-Origin", request->field[HTTP_FIELD_ORIGIN]);
    buf_put_text(out, "Vary: Origin\r\n");
}

// A poll's head is written with its answer, which other requests do not precede.
static void begin_stream(struct visitor *visitor, const struct http_request *request)
{
    struct buf *out = stream_out(&visitor->stream), *headers = &visitor->realtime->answer;
    buf_clear(headers);
    buf_put_text(headers, "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n");
    put_origin(headers, request);
    struct http_answer answer = {.status = 200,
                                 .content_type = "text/event-stream",
                                 .headers = buf_span(headers),
                                 .time_s = (int64_t)(clock_wall_ms() / 1000),
                                 .is_closing = true,
                                 .is_stream = true};
    http_put_answer(out, &answer);
    events_spread(visitor, EVENTS_RETRY_MS);
    stream_written(&visitor->stream);
}

const struct wrong *events_begin(struct visitor *visitor, const struct http_request *request,
                                 int mode)
{
    static const struct wrong no_memory = {"busy", "out of memory, try again later", 503};
    struct realtime *realtime = visitor->realtime;
    const struct wrong *wrong = NULL;
    struct span query = request->query, name, value;
    struct buf id;
    buf_init(&id, realtime->heap);
    find_id(request, &id);
    struct resume resume = read_id(buf_span(&id));
    if (resume.epoch.len)
        visitor->subscriber.epoch_mark = board_epoch_mark(&realtime->board, resume.epoch);
    while (!wrong && url_next_pair(&query, &name, &value))
        wrong = take_pair(visitor, name, value, &resume);
    if (!wrong && (buf_has_failed(&id) || buf_has_failed(&realtime->scratch)))
        wrong = &no_memory;
    buf_deinit(&id);
    if (wrong) {
        talk_end(visitor);
        fanout_forget(&realtime->fanout, &visitor->subscriber);
        visitor->subscriber = (struct subscriber){0};
        return wrong;
    }
    visitor->is_last = !request->keeps_alive;
    realtime->gauges.events += mode == VISITOR_EVENTS;
    realtime->gauges.polls += mode == VISITOR_POLL;
    if (mode == VISITOR_EVENTS)
        begin_stream(visitor, request);
    visitor_go_live(visitor, (enum visitor_mode)mode);
    return NULL;
}

// ---- telling

// `entries`: what stands between the brackets of "c".
static void answer_poll(struct visitor *visitor, struct span entries)
{
    struct buf *body = &visitor->realtime->answer, *id = &visitor->realtime->scratch;
    buf_clear(id);
    put_id(id, visitor);
    buf_clear(body);
    buf_put_text(body, "{\"c\":[");
    buf_put(body, entries);
    buf_put_text(body, "],\"id\":");
    json_put_string(body, buf_span(id));
    buf_put_byte(body, '}');
    struct http_answer answer = {.status = 200,
                                 .content_type = "application/json",
                                 .headers = span_text("Cache-Control: no-store\r\n"
                                                      "Access-Control-Allow-Origin: *\r\n"),
                                 .body = buf_span(body),
                                 .time_s = (int64_t)(clock_wall_ms() / 1000),
                                 .is_closing = visitor->is_last};
    http_put_answer(stream_out(&visitor->stream), &answer);
    stream_written(&visitor->stream);
    visitor_answered(visitor);
}

void events_tell(struct visitor *visitor, const struct fanout_frame *frame)
{
    struct span json = fanout_json(frame);
    if (visitor->mode == VISITOR_POLL) {
        size_t head = strlen("{\"c\":["), tail = strlen("]}");
        answer_poll(visitor, span_of(json.ptr + head, json.len - head - tail));
        return;
    }
    struct buf *out = stream_out(&visitor->stream);
    buf_put_text(out, "data: ");
    buf_put(out, json);
    buf_put_text(out, "\nid: ");
    put_id(out, visitor);
    buf_put_text(out, "\n\n");
    stream_written(&visitor->stream);
}

void events_ping(struct visitor *visitor)
{
    if (visitor->mode == VISITOR_POLL)
        answer_poll(visitor, span_text(""));
    else if (stream_unsent(&visitor->stream) == 0)
        stream_send(&visitor->stream, span_text(":\n\n"));
}

void events_spread(struct visitor *visitor, uint64_t wait_ms)
{
    struct buf *out = stream_out(&visitor->stream);
    buf_put_text(out, "retry: ");
    decimal_put_unsigned(out, wait_ms);
    buf_put_text(out, "\n\n");
    stream_written(&visitor->stream);
}

void events_end(struct visitor *visitor, const char *reason)
{
    struct buf *out = stream_out(&visitor->stream);
    if (visitor->mode == VISITOR_EVENTS) {
        buf_put_text(out, "event: end\ndata: ");
        buf_put_text(out, reason);
        buf_put_text(out, "\n\n");
    } else if (visitor->sweep != SWEEP_ANSWERED) {
        struct http_problem problem = {.status = 503,
                                       .detail = reason,
                                       .headers = span_text("Retry-After: 1\r\n"
                                                            "Access-Control-Allow-Origin: *\r\n"),
                                       .time_s = (int64_t)(clock_wall_ms() / 1000),
                                       .is_closing = true};
        http_put_problem(out, &problem);
    }
}
