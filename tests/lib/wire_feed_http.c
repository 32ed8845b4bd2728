// SPDX-License-Identifier: Apache-2.0
// HTTP requests and responses as text.
#include <assert.h>
#include "base/decimal.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/wire_feed.h"
#include "wire/http.h"

struct http_session {
    struct heap_libc heap;
    struct http_parser parser;
    struct buf body;
};

static void init_http(void *parser)
{
    struct http_session *self = parser;
    heap_libc_init(&self->heap);
    buf_init(&self->body, &self->heap.heap);
}

static void deinit_http(void *parser)
{
    struct http_session *self = parser;
    buf_deinit(&self->body);
    assert(self->heap.bytes == 0);
}

static void put_named(struct buf *trace, const char *name, struct span value)
{
    if (!value.ptr)
        return;
    buf_put_text(trace, name);
    feed_put_shown(trace, value);
}

static enum feed_outcome refused(const struct http_session *self, struct buf *trace)
{
    decimal_put_unsigned(trace, self->parser.fault->status);
    buf_put_byte(trace, ' ');
    buf_put_text(trace, self->parser.fault->reason);
    buf_put_byte(trace, '\n');
    return FEED_END;
}

static void put_headers(struct buf *trace, struct span headers)
{
    struct span name, value;
    while (http_next_header(&headers, &name, &value)) {
        buf_put_byte(trace, ' ');
        feed_put_shown(trace, name);
        put_named(trace, "=", value);
    }
}

static enum feed_outcome step_http(void *parser, struct span input, struct buf *trace,
                                   size_t *out_used)
{
    struct http_session *self = parser;
    struct http_request request;
    int outcome = http_parse_request(&self->parser, input, &self->body, &request, out_used);
    if (outcome == HTTP_E_MORE || outcome == HTTP_E_CONTINUE)
        return FEED_MORE;
    if (outcome == HTTP_E_PROTOCOL)
        return refused(self, trace);
    assert(outcome == 0);
    feed_put_shown(trace, request.method_text);
    put_named(trace, " ", request.path);
    put_named(trace, "?", request.query);
    buf_put_text(trace, request.version_minor ? " 1.1" : " 1.0");
    buf_put_text(trace, request.keeps_alive ? "" : " closes");
    buf_put_text(trace, request.is_upgrade ? " upgrades" : "");
    put_named(trace, " host:", request.field[HTTP_FIELD_HOST]);
    put_headers(trace, request.headers);
    if (request.body.len)
        put_named(trace, " body:", request.body);
    buf_put_byte(trace, '\n');
    return FEED_USED;
}

const struct feed feed_http = {step_http, init_http, deinit_http, sizeof(struct http_session)};

static enum feed_outcome step_response(void *parser, struct span input, struct buf *trace,
                                       size_t *out_used)
{
    struct http_session *self = parser;
    struct http_response response;
    int outcome = http_parse_response(&self->parser, input, &self->body, &response, out_used);
    if (outcome == HTTP_E_MORE)
        return FEED_MORE;
    if (outcome == HTTP_E_PROTOCOL)
        return refused(self, trace);
    assert(outcome == 0);
    decimal_put_unsigned(trace, response.status);
    put_named(trace, " ", response.reason);
    buf_put_text(trace, response.keeps_alive ? "" : " closes");
    put_headers(trace, response.headers);
    if (response.body.len)
        put_named(trace, " body:", response.body);
    buf_put_byte(trace, '\n');
    return FEED_USED;
}

const struct feed feed_http_response = {step_response, init_http, deinit_http,
                                        sizeof(struct http_session)};
