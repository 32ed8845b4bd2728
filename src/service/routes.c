// SPDX-License-Identifier: Apache-2.0
// A path matches a row segment by segment; '*' is one segment, percent-encoded bytes of a key. The
// rows that match a path say which methods it has.
#include "os/heap_system.h"
#include "service/counters.h"
#include "service/links.h"
#include "service/openapi.h"
#include "service/private.h"
#include "service/region.h"
#include "service/routes.h"
#include "wire/url.h"

#define SEGMENTS_MAX 4

typedef void (*serve)(struct exchange *exchange, const struct http_request *request);

static void get_livez(struct exchange *exchange, const struct http_request *request);
static void get_readyz(struct exchange *exchange, const struct http_request *request);
static void get_metrics(struct exchange *exchange, const struct http_request *request);
static void get_openapi(struct exchange *exchange, const struct http_request *request);

struct route {
    const char *segment[SEGMENTS_MAX + 1];
    enum http_method method;
    serve serve;
};

static const struct route routes[] = {
    {{"v1", "counters", "*"}, HTTP_METHOD_GET, counters_get},
    {{"v1", "counters", "*"}, HTTP_METHOD_DELETE, counters_delete},
    {{"v1", "counters", "*", "increment"}, HTTP_METHOD_POST, counters_increment},
    {{"v1", "counters", "*", "parts"}, HTTP_METHOD_GET, region_get_parts},
    {{"v1", "counters"}, HTTP_METHOD_GET, counters_get_many},
    {{"v1", "keys"}, HTTP_METHOD_GET, region_get_keys},
    {{"v1", "region"}, HTTP_METHOD_GET, region_get},
    {{"v1", "links"}, HTTP_METHOD_GET, service_links_get},
    {{"v1", "links"}, HTTP_METHOD_POST, service_links_post},
    {{"*", "counter"}, HTTP_METHOD_GET, counters_get},
    {{"*", "counter"}, HTTP_METHOD_PUT, counters_set},
    {{"livez"}, HTTP_METHOD_GET, get_livez},
    {{"readyz"}, HTTP_METHOD_GET, get_readyz},
    {{"metrics"}, HTTP_METHOD_GET, get_metrics},
    {{"openapi.json"}, HTTP_METHOD_GET, get_openapi},
};
#define ROUTES (sizeof routes / sizeof *routes)

// ---- what needs no database

static void answer_text(struct exchange *exchange, const char *content_type, struct span body)
{
    struct exchange_answer answer = {.status = 200, .content_type = content_type, .body = body};
    exchange_answer(exchange, &answer);
}

static void get_livez(struct exchange *exchange, const struct http_request *request)
{
    (void)request;
    answer_text(exchange, "text/plain; charset=utf-8", span_text("ok\n"));
}

static void get_readyz(struct exchange *exchange, const struct http_request *request)
{
    (void)request;
    const struct service *service = exchange->service;
    if (service->is_draining)
        exchange_problem(exchange, 503, "The service is being stopped.");
    else if (!database_is_up(&service->database))
        exchange_problem(exchange, 503, "The counter database does not answer.");
    else
        answer_text(exchange, "text/plain; charset=utf-8", span_text("ok\n"));
}

static void get_metrics(struct exchange *exchange, const struct http_request *request)
{
    (void)request;
    struct service *service = exchange->service;
    struct buf *body = &service->door.answer;
    service->metrics.database_up = database_is_up(&service->database);
    buf_clear(body);
    metrics_write(&service->metrics, body);
    answer_text(exchange, "text/plain; version=0.0.4; charset=utf-8", buf_span(body));
}

static void get_openapi(struct exchange *exchange, const struct http_request *request)
{
    (void)request;
    struct buf *body = &exchange->service->door.answer;
    buf_clear(body);
    openapi_put(body);
    answer_text(exchange, "application/json", buf_span(body));
}

// ---- matching

struct path {
    struct span segment[SEGMENTS_MAX];
    unsigned count; // SEGMENTS_MAX + 1: too many
};

static struct path split(struct span text)
{
    struct path path = {.count = 0};
    struct span segment;
    while (url_next_segment(&text, &segment)) {
        if (path.count == SEGMENTS_MAX) {
            path.count++;
            break;
        }
        path.segment[path.count++] = segment;
    }
    return path;
}

static bool is_match(const struct route *route, const struct path *path, struct span *out_key)
{
    for (unsigned i = 0; i < path->count; i++) {
        const char *wanted = i < SEGMENTS_MAX ? route->segment[i] : NULL;
        if (!wanted)
            return false;
        if (strcmp(wanted, "*") == 0)
            *out_key = path->segment[i];
        else if (!span_is_equal(path->segment[i], span_text(wanted)))
            return false;
    }
    return path->count <= SEGMENTS_MAX && route->segment[path->count] == NULL;
}

struct match {
    const struct route *route; // NULL: none with this method
    struct span key;           // encoded; NULL ptr: the path has none
    uint32_t methods;          // bits of those that the path has
};

static struct match find(const struct http_request *request)
{
    struct match match = {0};
    struct path path = split(request->path);
    enum http_method method =
        request->method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : request->method;
    for (size_t i = 0; i < ROUTES; i++) {
        struct span key = {0};
        if (!is_match(&routes[i], &path, &key))
            continue;
        match.methods |= 1u << routes[i].method;
        match.key = key;
        if (routes[i].method == method)
            match.route = &routes[i];
    }
    return match;
}

static void put_methods(struct buf *out, const char *name, uint32_t methods)
{
    static const struct {
        enum http_method method;
        const char *text;
    } names[] = {{HTTP_METHOD_GET, "GET, HEAD, "},
                 {HTTP_METHOD_POST, "POST, "},
                 {HTTP_METHOD_PUT, "PUT, "},
                 {HTTP_METHOD_DELETE, "DELETE, "}};
    buf_put_text(out, name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (methods & 1u << names[i].method)
            buf_put_text(out, names[i].text);
    }
    buf_put_text(out, "OPTIONS\r\n");
}

static void answer_options(struct exchange *exchange, uint32_t methods)
{
    struct buf *headers = &exchange->text;
    put_methods(headers, "Allow: ", methods);
    put_methods(headers, "Access-Control-Allow-Methods: ", methods);
    buf_put_text(headers, "Access-Control-Allow-Headers: Content-Type, If-None-Match, "
                          "Idempotency-Key, Quipu-Token\r\nAccess-Control-Max-Age: 600\r\n");
    struct exchange_answer answer = {.status = 204, .headers = buf_span(headers)};
    exchange_answer(exchange, &answer);
}

static bool take_key(struct exchange *exchange, struct span encoded)
{
    if (!encoded.ptr)
        return true;
    if (!url_put_decoded(&exchange->text, encoded)) {
        exchange_problem(exchange, 400, "The key in the path is not percent-encoded.");
        return false;
    }
    exchange->key_len = exchange->text.len;
    if (exchange->key_len)
        return true;
    exchange_problem(exchange, 400, "The key in the path is empty.");
    return false;
}

void routes_serve(struct exchange *exchange, const struct http_request *request)
{
    struct match match = find(request);
    if (request->method == HTTP_METHOD_OPTIONS && span_is_equal(request->path, span_text("*"))) {
        answer_options(exchange, 1u << HTTP_METHOD_GET | 1u << HTTP_METHOD_POST |
                                     1u << HTTP_METHOD_PUT | 1u << HTTP_METHOD_DELETE);
    } else if (!match.methods) {
        exchange_problem(exchange, 404, "There is nothing at this path; see /openapi.json.");
    } else if (request->method == HTTP_METHOD_OPTIONS) {
        answer_options(exchange, match.methods);
    } else if (!match.route) {
        put_methods(&exchange->text, "Allow: ", match.methods);
        exchange_problem_with(exchange, 405, "This path does not have this method.",
                              buf_span(&exchange->text));
    } else if (take_key(exchange, match.key)) {
        match.route->serve(exchange, request);
    }
}
