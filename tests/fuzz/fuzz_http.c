// SPDX-License-Identifier: Apache-2.0
// Any bytes as HTTP requests and as responses: however they are cut the same is understood; a
// request that was understood is understood again, with the same body, when a client writes it; a
// path that decodes is encoded to one that decodes to the same bytes.
#include <stdlib.h>
#include "base/hash.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/wire_feed.h"
#include "wire/http.h"
#include "wire/http_put.h"
#include "wire/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct fixture {
    struct heap_libc heap;
    struct buf body, again, path, path_again;
};

static void demand(bool is_right)
{
    if (!is_right)
        abort();
}

static void decode_again(struct fixture *fixture, struct span path)
{
    buf_clear(&fixture->path);
    if (!url_put_decoded(&fixture->path, path))
        return;
    buf_clear(&fixture->again);
    url_put_encoded(&fixture->again, buf_span(&fixture->path));
    buf_clear(&fixture->path_again);
    demand(url_put_decoded(&fixture->path_again, buf_span(&fixture->again)));
    demand(span_is_equal(buf_span(&fixture->path), buf_span(&fixture->path_again)));
    struct span segment, rest = path;
    size_t total = 0;
    while (url_next_segment(&rest, &segment))
        total += segment.len + 1;
    demand(total >= path.len);
}

static void write_again(struct fixture *fixture, const struct http_request *request)
{
    char method[32] = {0};
    if (request->method_text.len >= sizeof method || request->version_minor == 0)
        return;
    memcpy(method, request->method_text.ptr, request->method_text.len);
    buf_clear(&fixture->again);
    struct http_call call = {.method = method,
                             .target = request->target,
                             .host = request->field[HTTP_FIELD_HOST],
                             .body = request->body};
    http_put_call(&fixture->again, &call);
    struct http_parser parser = {0};
    struct http_request read;
    size_t used;
    struct buf none;
    buf_init(&none, &fixture->heap.heap);
    demand(http_parse_request(&parser, buf_span(&fixture->again), &none, &read, &used) == 0);
    demand(used == fixture->again.len && read.method == request->method);
    demand(span_is_equal(read.path, request->path) && span_is_equal(read.query, request->query));
    demand(span_is_equal(read.body, request->body));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct span stream = span_of(bytes, len);
    uint64_t seed = hash_bytes(stream, 1);
    feed_agree(&feed_http, stream, seed, 2);
    feed_agree(&feed_http_response, stream, seed, 2);

    struct fixture fixture;
    heap_libc_init(&fixture.heap);
    buf_init(&fixture.body, &fixture.heap.heap);
    buf_init(&fixture.again, &fixture.heap.heap);
    buf_init(&fixture.path, &fixture.heap.heap);
    buf_init(&fixture.path_again, &fixture.heap.heap);
    struct http_parser parser = {0};
    struct http_request request;
    size_t used;
    while (stream.len > 0 &&
           http_parse_request(&parser, stream, &fixture.body, &request, &used) == 0) {
        demand(used > 0 && used <= stream.len);
        decode_again(&fixture, request.path);
        write_again(&fixture, &request);
        stream = span_of(stream.ptr + used, stream.len - used);
    }
    buf_deinit(&fixture.body);
    buf_deinit(&fixture.again);
    buf_deinit(&fixture.path);
    buf_deinit(&fixture.path_again);
    demand(fixture.heap.bytes == 0);
    return 0;
}
