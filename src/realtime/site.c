// SPDX-License-Identifier: Apache-2.0
// Paths and methods. Wrong paths, methods and bodies are answered as problem+json (RFC 9457). The
// dashboard's page says what it may load and connect to: its own files, and the regions it shows.
#include "realtime/site.h"
#include <stdio.h>
#include "base/crc32c.h"
#include "base/decimal.h"
#include "os/clock.h"
#include "realtime/assets.h"
#include "realtime/echo.h"
#include "realtime/events.h"
#include "realtime/grant.h"
#include "realtime/intake.h"
#include "realtime/origins.h"
#include "realtime/part.h"
#include "realtime/talk.h"
#include "wire/hmac.h"
#include "wire/json.h"
#include "wire/url.h"

#define SUBPROTOCOL "quipu.v1.json"

// ---- answers

// A drain ends no connection here: the service's must go on bringing counts until the last client
// has gone.
static void end_if_last(struct visitor *visitor, const struct http_request *request)
{
    stream_written(&visitor->stream);
    if (!request->keeps_alive)
        stream_close(&visitor->stream, 0);
}

void site_put(struct visitor *visitor, const struct http_request *request,
              const struct http_answer *answer)
{
    struct http_answer whole = *answer;
    whole.time_s = (int64_t)(clock_wall_ms() / 1000);
    whole.is_closing = !request->keeps_alive;
    whole.is_head = request->method == HTTP_METHOD_HEAD;
    http_put_answer(stream_out(&visitor->stream), &whole);
    end_if_last(visitor, request);
}

struct refusal {
    uint16_t status;
    const char *detail, *headers;
};

static void put_refusal(struct visitor *visitor, const struct http_request *request,
                        const struct refusal *refusal)
{
    struct http_problem problem = {.status = refusal->status,
                                   .detail = refusal->detail,
                                   .headers = span_text(refusal->headers ? refusal->headers : ""),
                                   .time_s = (int64_t)(clock_wall_ms() / 1000),
                                   .is_closing = !request->keeps_alive,
                                   .is_head = request->method == HTTP_METHOD_HEAD};
    http_put_problem(stream_out(&visitor->stream), &problem);
    end_if_last(visitor, request);
}

static void put_body(struct visitor *visitor, const struct http_request *request, const char *type,
                     struct span body)
{
    struct http_answer answer = {.status = 200,
                                 .content_type = type,
                                 .headers = span_text("Cache-Control: no-store\r\n"),
                                 .body = body};
    site_put(visitor, request, &answer);
}

// ---- paths

static void answer_asset(struct visitor *visitor, const struct http_request *request,
                         const struct asset *asset)
{
    struct realtime *realtime = visitor->realtime;
    struct buf *headers = &realtime->answer;
    struct span body = asset_bytes(asset);
    const struct buf *gzipped = &realtime->gzipped[asset_index(asset)];
    bool is_gzipped = gzipped->len && http_has_token(request->headers, "accept-encoding", "gzip");
    char etag[20];
    snprintf(etag, sizeof(etag), "\"%08x%s\"", crc32c_extend(0, body), is_gzipped ? "-gz" : "");
    if (is_gzipped)
        body = buf_span(gzipped);
    buf_clear(headers);
    if (is_gzipped)
        buf_put_text(headers, "Content-Encoding: gzip\r\n");
    http_put_header(headers, "ETag", span_text(etag));
    buf_put_text(headers, "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\n"
                          "X-Content-Type-Options: nosniff\r\n"
                          "Access-Control-Allow-Origin: *\r\n");
    if (asset->is_page)
        buf_put(headers, buf_span(&realtime->policy));
    bool is_held = http_is_none_match(request->headers, span_text(etag));
    struct http_answer answer = {.status = is_held ? 304 : 200,
                                 .content_type = is_held ? NULL : asset->type,
                                 .headers = buf_span(headers),
                                 .body = is_held ? span_of(NULL, 0) : body};
    site_put(visitor, request, &answer);
}

static void answer_regions(struct visitor *visitor, const struct http_request *request)
{
    put_body(visitor, request, "application/json", buf_span(&visitor->realtime->regions));
}

static void answer_live(struct visitor *visitor, const struct http_request *request)
{
    put_body(visitor, request, "text/plain; charset=utf-8", span_text("alive\n"));
}

static void answer_ready(struct visitor *visitor, const struct http_request *request)
{
    const struct realtime *realtime = visitor->realtime;
    if (realtime->is_draining)
        put_refusal(visitor, request, &(struct refusal){503, "draining", "Retry-After: 1\r\n"});
    else if (realtime->upstream.failures)
        put_refusal(
            visitor, request,
            &(struct refusal){503, "the counter service does not answer", "Retry-After: 1\r\n"});
    else
        put_body(visitor, request, "text/plain; charset=utf-8", span_text("ready\n"));
}

static void answer_metrics(struct visitor *visitor, const struct http_request *request)
{
    struct buf *body = &visitor->realtime->answer;
    buf_clear(body);
    gauges_put(body, visitor->realtime);
    put_body(visitor, request, "text/plain; version=0.0.4; charset=utf-8", buf_span(body));
}

// Whether the request may have a stream or poll at all; else it has been answered.
static bool is_admitted(struct visitor *visitor, const struct http_request *request)
{
    static const char any[] = "Access-Control-Allow-Origin: *\r\n";
    struct realtime *realtime = visitor->realtime;
    struct origins origins = {.allowed = realtime->options->origins,
                              .count = realtime->options->origins_count,
                              .allows_loopback = realtime->is_loopback};
    struct refusal refusal = {0};
    const char *wrong = NULL;
    if (realtime->is_draining)
        refusal = (struct refusal){503, "draining",
                                   "Retry-After: 1\r\nAccess-Control-Allow-Origin: *\r\n"};
    else if (!origins_has(&origins, request->field[HTTP_FIELD_ORIGIN],
                          request->field[HTTP_FIELD_HOST]))
        refusal = (struct refusal){403, "pages of this origin are not allowed (--origin)", NULL};
    else if ((wrong = grant_request(visitor, request)))
        refusal = (struct refusal){401, wrong, any};
    if (!refusal.status)
        return true;
    realtime->gauges.upgrades_refused++;
    put_refusal(visitor, request, &refusal);
    return false;
}

static void begin_events(struct visitor *visitor, const struct http_request *request,
                         enum visitor_mode mode)
{
    if (request->method == HTTP_METHOD_HEAD) {
        put_body(visitor, request, mode == VISITOR_POLL ? "application/json" : "text/event-stream",
                 span_text(""));
        return;
    }
    if (!is_admitted(visitor, request))
        return;
    const struct wrong *wrong = events_begin(visitor, request, mode);
    if (!wrong)
        return;
    grant_end(visitor);
    visitor->realtime->gauges.upgrades_refused++;
    put_refusal(
        visitor, request,
        &(struct refusal){wrong->status, wrong->message, "Access-Control-Allow-Origin: *\r\n"});
}

static void answer_poll(struct visitor *visitor, const struct http_request *request)
{
    begin_events(visitor, request, VISITOR_POLL);
}

// Whether a query names a key.
static bool has_keys(struct span query)
{
    struct span name, value;
    while (url_next_pair(&query, &name, &value)) {
        if (span_is_equal(name, span_text("track")) || span_is_equal(name, span_text("publish")))
            return true;
    }
    return false;
}

static void answer_stream(struct visitor *visitor, const struct http_request *request)
{
    struct realtime *realtime = visitor->realtime;
    if (!request->is_upgrade && has_keys(request->query)) {
        begin_events(visitor, request, VISITOR_EVENTS);
        return;
    }
    uint16_t status = websocket_check_upgrade(request);
    if (status) {
        struct refusal refusal = {
            status, "this path takes WebSocket handshakes, and track=KEY for server-sent events",
            status == 426 ? "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n" : NULL};
        realtime->gauges.upgrades_refused++;
        put_refusal(visitor, request, &refusal);
        return;
    }
    if (is_admitted(visitor, request))
        visitor_upgrade(visitor, request,
                        websocket_offers(request, SUBPROTOCOL) ? SUBPROTOCOL : NULL);
}

// Whether the body is signed as the secret asks; else it has been answered.
static bool is_authentic(struct visitor *visitor, const struct http_request *request)
{
    struct realtime *realtime = visitor->realtime;
    struct span secret = realtime->options->secret;
    if (secret.len == 0 ||
        hmac_is_hex_of(request->field[HTTP_FIELD_QUIPU_SIGNATURE], secret, request->body))
        return true;
    realtime->gauges.updates_refused++;
    put_refusal(visitor, request,
                &(struct refusal){401, "Quipu-Signature is missing or not of this body",
                                  "WWW-Authenticate: Quipu-Signature\r\n"});
    return false;
}

static void answer_intake(struct visitor *visitor, const struct http_request *request,
                          const struct intake *intake)
{
    struct buf *body = &visitor->realtime->answer;
    buf_clear(body);
    buf_put_text(body, "{\"applied\":");
    decimal_put_unsigned(body, intake->applied);
    buf_put_text(body, ",\"stale\":");
    decimal_put_unsigned(body, intake->stale);
    buf_put_text(body, ",\"untracked\":");
    decimal_put_unsigned(body, intake->untracked);
    buf_put_text(body, "}");
    put_body(visitor, request, "application/json", buf_span(body));
}

static void refuse_intake(struct visitor *visitor, const struct http_request *request,
                          const char *wrong)
{
    visitor->realtime->gauges.updates_refused++;
    put_refusal(visitor, request, &(struct refusal){400, wrong, NULL});
}

static void put_topics(struct visitor *visitor, const struct http_request *request)
{
    struct intake intake;
    const char *wrong;
    if (!is_authentic(visitor, request))
        return;
    if (intake_batch(visitor->realtime, request->body, &intake, &wrong))
        answer_intake(visitor, request, &intake);
    else
        refuse_intake(visitor, request, wrong);
}

static void put_topic(struct visitor *visitor, const struct http_request *request, struct span key)
{
    struct intake intake;
    const char *wrong;
    if (!is_authentic(visitor, request))
        return;
    if (intake_one(visitor->realtime, key, request->body, &intake, &wrong))
        answer_intake(visitor, request, &intake);
    else
        refuse_intake(visitor, request, wrong);
}

// Occupancy is shown to any page that may have a stream.
static void put_occupancy(struct visitor *visitor, const struct http_request *request,
                          struct span body)
{
    struct http_answer answer = {.status = 200,
                                 .content_type = "application/json",
                                 .headers = span_text("Cache-Control: no-store\r\n"
                                                      "Access-Control-Allow-Origin: *\r\n"),
                                 .body = body};
    site_put(visitor, request, &answer);
}

static void get_topics(struct visitor *visitor, const struct http_request *request)
{
    struct buf body;
    if (!is_admitted(visitor, request))
        return;
    buf_init(&body, visitor->realtime->heap);
    occupancy_put_node(&body, visitor);
    put_occupancy(visitor, request, buf_span(&body));
    buf_deinit(&body);
    grant_end(visitor);
}

static void get_topic(struct visitor *visitor, const struct http_request *request, struct span key)
{
    struct buf body;
    if (!is_admitted(visitor, request))
        return;
    if (!grant_allows(visitor, "track", key)) {
        put_refusal(visitor, request,
                    &(struct refusal){403, "the token does not allow this key",
                                      "Access-Control-Allow-Origin: *\r\n"});
    } else {
        buf_init(&body, visitor->realtime->heap);
        occupancy_put_topic(&body, &visitor->realtime->board, key);
        put_occupancy(visitor, request, buf_span(&body));
        buf_deinit(&body);
    }
    grant_end(visitor);
}

static void answer_topics(struct visitor *visitor, const struct http_request *request)
{
    (request->method == HTTP_METHOD_PUT ? put_topics : get_topics)(visitor, request);
}

static void answer_topic(struct visitor *visitor, const struct http_request *request,
                         struct span segment)
{
    struct buf key;
    buf_init(&key, visitor->realtime->heap);
    if (!url_put_decoded(&key, segment))
        put_refusal(visitor, request,
                    &(struct refusal){400, "the key is not percent-encoded", NULL});
    else
        (request->method == HTTP_METHOD_PUT ? put_topic : get_topic)(visitor, request,
                                                                     buf_span(&key));
    buf_deinit(&key);
}

// ---- routing

enum allowed { ALLOWS_GET, ALLOWS_GET_PUT }; // GET has HEAD too

static const struct path {
    const char *path;
    enum allowed allowed;
    void (*answer)(struct visitor *visitor, const struct http_request *request);
} paths[] = {
    {"/v1/stream", ALLOWS_GET, answer_stream},     {"/v1/poll", ALLOWS_GET, answer_poll},
    {"/v1/topics", ALLOWS_GET_PUT, answer_topics}, {"/regions.json", ALLOWS_GET, answer_regions},
    {"/livez", ALLOWS_GET, answer_live},           {"/readyz", ALLOWS_GET, answer_ready},
    {"/metrics", ALLOWS_GET, answer_metrics},
};

// Whether the method is the path's; else it has been answered.
static bool is_method(struct visitor *visitor, const struct http_request *request,
                      enum allowed allowed)
{
    if (request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD ||
        (allowed == ALLOWS_GET_PUT && request->method == HTTP_METHOD_PUT))
        return true;
    put_refusal(visitor, request,
                &(struct refusal){405, NULL,
                                  allowed == ALLOWS_GET ? "Allow: GET, HEAD\r\n"
                                                        : "Allow: GET, HEAD, PUT\r\n"});
    return false;
}

static bool answer_named(struct visitor *visitor, const struct http_request *request)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (!span_is_equal(request->path, span_text(paths[i].path)))
            continue;
        if (is_method(visitor, request, paths[i].allowed))
            paths[i].answer(visitor, request);
        return true;
    }
    return false;
}

static bool is_topic_path(struct span path, struct span *out_segment)
{
    struct span segment;
    return url_next_segment(&path, &segment) && span_is_equal(segment, span_text("v1")) &&
           url_next_segment(&path, &segment) && span_is_equal(segment, span_text("topics")) &&
           url_next_segment(&path, out_segment) && out_segment->len > 0 && path.len == 0;
}

void site_answer(struct visitor *visitor, const struct http_request *request)
{
    struct span segment;
    const struct asset *asset = asset_find(request->path);
    if (echo_answer(visitor, request)) {
        return;
    } else if (asset) {
        if (is_method(visitor, request, ALLOWS_GET))
            answer_asset(visitor, request, asset);
    } else if (is_topic_path(request->path, &segment)) {
        if (is_method(visitor, request, ALLOWS_GET_PUT))
            answer_topic(visitor, request, segment);
    } else if (!answer_named(visitor, request)) {
        put_refusal(visitor, request, &(struct refusal){404, NULL, NULL});
    }
}

// ---- what never changes

static void put_region(struct buf *out, const struct realtime_region *region)
{
    buf_put_text(out, "{\"name\":");
    json_put_text(out, region->name);
    buf_put_text(out, ",\"service\":");
    json_put_text(out, region->service);
    buf_put_text(out, ",\"realtime\":");
    json_put_text(out, region->realtime);
    buf_put_text(out, "}");
}

static void make_regions(struct realtime *realtime)
{
    const struct realtime_options *options = realtime->options;
    struct buf *out = &realtime->regions;
    const char *here = options->here;
    if (!here && options->regions_count)
        here = options->regions[0].name;
    buf_put_text(out, "{\"here\":");
    json_put_text(out, here ? here : "");
    buf_put_text(out, ",\"regions\":[");
    for (size_t i = 0; i < options->regions_count; i++) {
        if (i)
            buf_put_byte(out, ',');
        put_region(out, &options->regions[i]);
    }
    buf_put_text(out, "]}");
}

// An origin of a policy cannot hold what would end it; such a URL is left out.
static void put_source(struct buf *out, const char *scheme, const char *url)
{
    const char *rest = strstr(url, "://");
    if (!rest || strpbrk(url, " ;,\r\n\t'\""))
        return;
    rest += 3;
    buf_put_byte(out, ' ');
    buf_put_text(out, scheme);
    buf_put_text(out, strncmp(url, "https", 5) == 0 ? "s://" : "://");
    buf_put(out, span_of(rest, strcspn(rest, "/")));
}

static void make_policy(struct realtime *realtime)
{
    const struct realtime_options *options = realtime->options;
    struct buf *out = &realtime->policy;
    buf_put_text(out, "Content-Security-Policy: default-src 'self'; base-uri 'none'; "
                      "form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
                      "connect-src 'self'");
    for (size_t i = 0; i < options->regions_count; i++) {
        put_source(out, "http", options->regions[i].service);
        put_source(out, "http", options->regions[i].realtime);
        put_source(out, "ws", options->regions[i].realtime);
    }
    buf_put_text(out, "\r\nReferrer-Policy: no-referrer\r\n");
}

void site_start(struct realtime *realtime)
{
    buf_init(&realtime->regions, realtime->heap);
    buf_init(&realtime->policy, realtime->heap);
    make_regions(realtime);
    make_policy(realtime);
    for (size_t i = 0; asset_at(i); i++) {
        buf_init(&realtime->gzipped[i], realtime->heap);
        deflate_gzip(&realtime->gzipped[i], asset_bytes(asset_at(i)));
    }
}

void site_stop(struct realtime *realtime)
{
    buf_deinit(&realtime->regions);
    buf_deinit(&realtime->policy);
    for (size_t i = 0; asset_at(i); i++)
        buf_deinit(&realtime->gzipped[i]);
}
