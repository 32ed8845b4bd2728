// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 framing (RFC 9112) as tables: what is understood, what is refused and with which status,
// however the bytes are cut.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include "tests/lib/heap_libc.h"
#include "tests/lib/trace.h"
#include "wire/http.h"

#define ROWS(rows) rows, sizeof rows / sizeof rows[0]
#define H          "Host: h\r\n"

static void requests_are_understood(void **state)
{
    (void)state;
    static const struct trace_row rows[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n", "GET / 1.1 host:h Host=h\n"},
        {"GET /a%2Fb?x=1&y HTTP/1.1\r\nhost:\t h:80 \t\r\n\r\n",
         "GET /a%2Fb?x=1&y 1.1 host:h:80 host=h:80\n"},
        {"GET / HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
         "GET / 1.1 host:h Host=h\nGET /2 1.1 host:h Host=h\n"},
        {"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET / 1.1 host:h Host=h\n"},
        {"OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS * 1.1 host:h Host=h\n"},
        {"GET http://other:81/p?q HTTP/1.1\r\n" H "\r\n", "GET /p?q 1.1 host:other:81 Host=h\n"},
        {"GET HTTPS://other HTTP/1.1\r\n" H "\r\n", "GET / 1.1 host:other Host=h\n"},
        {"GET http://other?q HTTP/1.1\r\n" H "\r\n", "GET /?q 1.1 host:other Host=h\n"},
        {"GET / HTTP/1.1\r\nHost: [::1]:7002\r\n\r\n",
         "GET / 1.1 host:[::1]:7002 Host=[::1]:7002\n"},
        {"GET / HTTP/1.1\r\n" H "X:\r\nY: a b\tc \xff\r\n\r\n",
         "GET / 1.1 host:h Host=h X= Y=a b\\09c \\ff\n"},
        {"PATCH /? HTTP/1.1\r\n" H "\r\n", "PATCH /? 1.1 host:h Host=h\n"},
        {"PROPFIND / HTTP/1.1\r\n" H "\r\n", "PROPFIND / 1.1 host:h Host=h\n"},
        {"GET / HTTP/1.1\r\n" H "\r", ""},
    };
    assert_true(trace_are(&feed_http, ROWS(rows)));
}

static void bodies_are_framed(void **state)
{
    (void)state;
    static const struct trace_row rows[] = {
        {"PUT /k HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n" H "\r\n",
         "PUT /k 1.1 host:h Host=h Content-Length=5 body:hello\nGET / 1.1 host:h Host=h\n"},
        {"PUT /k HTTP/1.1\r\n" H "Content-Length: 0005\r\n\r\nhello",
         "PUT /k 1.1 host:h Host=h Content-Length=0005 body:hello\n"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
         "POST / 1.1 host:h Host=h Content-Length=0\nGET /2 1.1 host:h Host=h\n"},
        {"POST / HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
         "POST / 1.1 host:h Host=h\nGET /2 1.1 host:h Host=h\n"},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx",
         "GET / 1.1 host:h Host=h Content-Length=1 body:x\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=\"b\"\r\n"
         " world\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
         "POST / 1.1 host:h Host=h Transfer-Encoding=chunked body:hello world\n"
         "GET /2 1.1 host:h Host=h\n"},
        {"POST / HTTP/1.1\r\n" H "transfer-encoding: Chunked\r\n\r\n00a\r\n0123456789\r\n000\r\n"
         "T: x\r\nU:\r\n\r\n",
         "POST / 1.1 host:h Host=h transfer-encoding=Chunked body:0123456789\n"},
        {"POST / HTTP/1.1\r\n" H
         "Transfer-Encoding: chunked\r\n\r\nA\r\n\r\n0\r\n\r\n012\r\n0\r\n\r\n",
         "POST / 1.1 host:h Host=h Transfer-Encoding=chunked body:\\0d\\0a0\\0d\\0a\\0d\\0a012\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "POST / 1.1 host:h Host=h Transfer-Encoding=chunked\n"},
        {"PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nok",
         "PUT / 1.1 host:h Host=h Expect=100-Continue Content-Length=2 body:ok\n"},
        {"PUT / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhell", ""},
    };
    assert_true(trace_are(&feed_http, ROWS(rows)));
}

static void connections_are_kept_or_closed(void **state)
{
    (void)state;
    static const struct trace_row rows[] = {
        {"GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
         "GET / 1.1 closes host:h Host=h Connection=close\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: foo, CLOSE\r\n\r\n",
         "GET / 1.1 closes host:h Host=h Connection=foo, CLOSE\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n",
         "GET / 1.1 closes host:h Host=h Connection=keep-alive Connection=close\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n",
         "GET / 1.1 host:h Host=h Connection=closed\n"},
        {"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 closes\n"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 1.0 Connection=Keep-Alive\n"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
         "GET / 1.0 closes Connection=keep-alive, close\n"},
        {"GET /s HTTP/1.1\r\n" H "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
         "GET /s 1.1 upgrades host:h Host=h Connection=keep-alive, Upgrade Upgrade=websocket\n"},
    };
    assert_true(trace_are(&feed_http, ROWS(rows)));
}

static void ambiguous_framing_is_refused(void **state)
{
    (void)state;
    static const char *const length[] = {"",     " +5",  " -5",   " 5x",    " 0x5",
                                         " 5 5", " 5,5", " 5, 5", " \"5\"", " 5."};
    static const struct trace_row rows[] = {
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "400 both Content-Length and Transfer-Encoding\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
         "400 both Content-Length and Transfer-Encoding\n"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
         "400 a header that must stand once is repeated\n"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello",
         "400 a header that must stand once is repeated\n"},
        {"POST / HTTP/1.1\r\n" H
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
         "400 a header that must stand once is repeated\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n",
         "400 the last transfer coding is not chunked\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n",
         "400 the last transfer coding is not chunked\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n",
         "400 the last transfer coding is not chunked\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n",
         "400 the last transfer coding is not chunked\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n",
         "400 the last transfer coding is not chunked\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n",
         "400 the last transfer coding is not chunked\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n",
         "400 the last transfer coding is not chunked\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
         "501 unknown transfer coding\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n",
         "400 the last transfer coding is not chunked\n"},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "400 Transfer-Encoding in HTTP/1.0\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
         "400 malformed header name\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
         "400 malformed header name\n"},
        {"POST / HTTP/1.1\r\n" H "\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "400 malformed header name\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b chunked\r\n\r\n0\r\n\r\n",
         "400 control byte in a header\n"},
    };
    assert_true(trace_are(&feed_http, ROWS(rows)));
    for (size_t i = 0; i < sizeof length / sizeof length[0]; i++) {
        char stream[128];
        snprintf(stream, sizeof stream, "POST / HTTP/1.1\r\n" H "Content-Length:%s\r\n\r\nhello",
                 length[i]);
        assert_true(trace_is(&feed_http, span_text(stream), "400 malformed Content-Length\n"));
    }
}

static void malformed_heads_are_refused(void **state)
{
    (void)state;
    static const struct trace_row rows[] = {
        {"GET / HTTP/1.1\nHost: h\n\n", "400 a line does not end in CR LF\n"},
        {"GET / HTTP/1.1\r\nHost: h\n\r\n", "400 a line does not end in CR LF\n"},
        {"GET / HTTP/1.1\r\nHost: h\r\n\n", "400 a line does not end in CR LF\n"},
        {"\nGET / HTTP/1.1\r\n" H "\r\n", "400 a line does not end in CR LF\n"},
        {"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", "400 control byte in a header\n"},
        {"GET / HTTP/1.1\r\r\n" H "\r\n", "400 malformed HTTP version\n"},
        {"GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", "400 malformed header name\n"},
        {"GET / HTTP/1.1\r\n " H "\r\n", "400 malformed header name\n"},
        {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400 malformed header name\n"},
        {"GET / HTTP/1.1\r\nHost\t: h\r\n\r\n", "400 malformed header name\n"},
        {"GET / HTTP/1.1\r\n" H "No colon\r\n\r\n", "400 malformed header name\n"},
        {"GET / HTTP/1.1\r\n" H "NoColon\r\n\r\n", "400 malformed header name\n"},
        {"GET / HTTP/1.1\r\n" H ": empty\r\n\r\n", "400 malformed header name\n"},
        {"GET / HTTP/1.1\r\n" H "B\xe9: x\r\n\r\n", "400 malformed header name\n"},
        {"GET / HTTP/1.1\r\n" H "A(b): x\r\n\r\n", "400 malformed header name\n"},
        {"GET / HTTP/1.1\r\n" H "A: \x01\r\n\r\n", "400 control byte in a header\n"},
        {"GET / HTTP/1.1\r\n" H "A: \x7f\r\n\r\n", "400 control byte in a header\n"},
        {"GET /\r\n\r\n", "400 malformed start line\n"},
        {"GET\r\n\r\n", "400 malformed start line\n"},
        {"GET  / HTTP/1.1\r\n" H "\r\n", "400 malformed start line\n"},
        {"GET /  HTTP/1.1\r\n" H "\r\n", "400 malformed HTTP version\n"},
        {"GET / HTTP/1.1 \r\n" H "\r\n", "400 malformed HTTP version\n"},
        {"GET\t/ HTTP/1.1\r\n" H "\r\n", "400 malformed start line\n"},
        {" GET / HTTP/1.1\r\n" H "\r\n", "400 malformed start line\n"},
        {"GET /a b HTTP/1.1\r\n" H "\r\n", "400 malformed HTTP version\n"},
        {"GET /\xff HTTP/1.1\r\n" H "\r\n", "400 malformed start line\n"},
        {"GET /\x7f HTTP/1.1\r\n" H "\r\n", "400 malformed start line\n"},
        {"G\x01T / HTTP/1.1\r\n" H "\r\n", "400 malformed start line\n"},
        {"\x16\x03\x01\x02\r\n", "400 malformed start line\n"},
        {"GET / http/1.1\r\n" H "\r\n", "400 malformed HTTP version\n"},
        {"GET / HTTP/11\r\n" H "\r\n", "400 malformed HTTP version\n"},
        {"GET / HTTP/1.1.1\r\n" H "\r\n", "400 malformed HTTP version\n"},
        {"GET / ICE/1.0\r\n" H "\r\n", "400 malformed HTTP version\n"},
        {"GET / HTTP/2.0\r\n" H "\r\n", "505 HTTP/1.0 and HTTP/1.1 are spoken here\n"},
        {"GET / HTTP/0.9\r\n" H "\r\n", "505 HTTP/1.0 and HTTP/1.1 are spoken here\n"},
        {"GET / HTTP/1.2\r\n" H "\r\n", "505 HTTP/1.0 and HTTP/1.1 are spoken here\n"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP/1.0 and HTTP/1.1 are spoken here\n"},
        {"FROB / HTTP/1.1\r\n" H "\r\n", "501 unknown method\n"},
        {"get / HTTP/1.1\r\n" H "\r\n", "501 unknown method\n"},
        {"CONNECT h:80 HTTP/1.1\r\n" H "\r\n", "501 unknown method\n"},
        {"GET * HTTP/1.1\r\n" H "\r\n", "400 malformed request target\n"},
        {"GET a HTTP/1.1\r\n" H "\r\n", "400 malformed request target\n"},
        {"GET /a#b HTTP/1.1\r\n" H "\r\n", "400 malformed request target\n"},
        {"GET ftp://h/ HTTP/1.1\r\n" H "\r\n", "400 malformed request target\n"},
        {"GET http:/// HTTP/1.1\r\n" H "\r\n", "400 malformed request target\n"},
        {"GET http://u@h/ HTTP/1.1\r\n" H "\r\n", "400 malformed request target\n"},
        {"GET / HTTP/1.1\r\n\r\n", "400 no Host header\n"},
        {"GET / HTTP/1.1\r\n" H H "\r\n", "400 a header that must stand once is repeated\n"},
        {"GET / HTTP/1.1\r\nHost: \r\n\r\n", "400 malformed Host\n"},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 malformed Host\n"},
        {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "400 malformed Host\n"},
        {"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "400 malformed Host\n"},
        {"GET / HTTP/1.1\r\nHost: h/p\r\n\r\n", "400 malformed Host\n"},
        {"GET / HTTP/1.1\r\n" H "Origin: a\r\nOrigin: b\r\n\r\n",
         "400 a header that must stand once is repeated\n"},
        {"GET / HTTP/1.1\r\n" H "Expect: cake\r\n\r\n", "417 unknown expectation\n"},
    };
    assert_true(trace_are(&feed_http, ROWS(rows)));
    assert_true(trace_is(&feed_http, span_of("GET /\0 HTTP/1.1\r\n\r\n", 19),
                         "400 malformed start line\n"));
    assert_true(trace_is(&feed_http, span_of("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 25),
                         "400 control byte in a header\n"));
    assert_true(trace_is(&feed_http, span_of("GET / HTTP/1.1\r\n\0: x\r\n\r\n", 25),
                         "400 malformed header name\n"));
}

static void malformed_chunks_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "\r\n",
        "x\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5;a\n\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;\x01\r\nhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\n \r\n\r\n",
        "0\r\n: x\r\n\r\n",
        "0\r\nA : x\r\n\r\n",
        "0\r\nA\r\n\r\n",
        "0\r\nA: x\n\r\n",
        "0\r\nA: x\r\n b\r\n\r\n",
        "0\r\nA: \x01\r\n\r\n",
        "0\r\n\rx",
        "000000005\r\nhello\r\n0\r\n\r\n",
        "100000000\r\n",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char stream[256];
        snprintf(stream, sizeof stream,
                 "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
        assert_true(trace_is(&feed_http, span_text(stream), "400 malformed chunk\n"));
    }
}

struct fixture {
    struct heap_libc heap;
    struct buf stream;
};

static void set_up(struct fixture *fixture)
{
    heap_libc_init(&fixture->heap);
    buf_init(&fixture->stream, &fixture->heap.heap);
}

static void put_many(struct buf *out, char byte, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_put_byte(out, (uint8_t)byte);
}

// The status of what is at the limit (0: taken) and one past it.
static unsigned status_of(struct buf *stream)
{
    struct buf body;
    buf_init(&body, stream->heap);
    struct http_parser parser = {0};
    struct http_request request;
    size_t used;
    int outcome = http_parse_request(&parser, buf_span(stream), &body, &request, &used);
    assert_true(outcome == 0 || outcome == HTTP_E_PROTOCOL || outcome == HTTP_E_MORE);
    if (outcome == 0)
        assert_int_equal(used, stream->len);
    buf_deinit(&body);
    return outcome == HTTP_E_PROTOCOL ? parser.fault->status : outcome == 0 ? 0 : 1;
}

static void limits_hold(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct buf *stream = &fixture.stream;
    for (size_t past = 0; past < 2; past++) {
        buf_put_text(stream, "GET /");
        put_many(stream, 'x', HTTP_TARGET_BYTES_MAX - 1 + past);
        buf_put_text(stream, " HTTP/1.1\r\n" H "\r\n");
        assert_int_equal(status_of(stream), past ? 414 : 0);
        buf_clear(stream);

        buf_put_text(stream, "GET / HTTP/1.1\r\n" H "X: ");
        put_many(stream, 'x', HTTP_HEAD_BYTES_MAX - stream->len - 4 + past);
        buf_put_text(stream, "\r\n\r\n");
        assert_int_equal(status_of(stream), past ? 431 : 0);
        buf_clear(stream);

        buf_put_text(stream, "GET / HTTP/1.1\r\n" H);
        for (size_t i = 1; i < HTTP_HEADERS_MAX + past; i++)
            buf_put_text(stream, "X: y\r\n");
        buf_put_text(stream, "\r\n");
        assert_int_equal(status_of(stream), past ? 431 : 0);
        buf_clear(stream);

        char head[128];
        snprintf(head, sizeof head, "PUT / HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n",
                 HTTP_BODY_BYTES_MAX + past);
        buf_put_text(stream, head);
        assert_int_equal(status_of(stream), past ? 413 : 1);
        put_many(stream, 'x', HTTP_BODY_BYTES_MAX + past);
        assert_int_equal(status_of(stream), past ? 413 : 0);
        buf_clear(stream);

        snprintf(head, sizeof head,
                 "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n%zx\r\n",
                 HTTP_BODY_BYTES_MAX - 1 + past);
        buf_put_text(stream, head);
        put_many(stream, 'x', HTTP_BODY_BYTES_MAX - 1 + past);
        buf_put_text(stream, "\r\n0\r\n\r\n");
        assert_int_equal(status_of(stream), past ? 413 : 0);
        buf_clear(stream);
    }
    static const char *const large[] = {"99999999999999999999", "18446744073709551617",
                                        "4294967296", "4294967295"};
    for (size_t i = 0; i < 4; i++) {
        buf_put_text(stream, "PUT / HTTP/1.1\r\n" H "Content-Length: ");
        buf_put_text(stream, large[i]);
        buf_put_text(stream, "\r\n\r\n");
        assert_int_equal(status_of(stream), 413);
        buf_clear(stream);
    }
    buf_deinit(stream);
}

static void endless_parts_are_refused_before_they_end(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct buf *stream = &fixture.stream;
    put_many(stream, 'G', HTTP_TARGET_BYTES_MAX + 100);
    assert_int_equal(status_of(stream), 414);
    buf_clear(stream);
    buf_put_text(stream, "GET / HTTP/1.1\r\nX: ");
    put_many(stream, 'x', HTTP_HEAD_BYTES_MAX);
    assert_int_equal(status_of(stream), 431);
    buf_clear(stream);
    for (size_t i = 0; i < HTTP_HEAD_BYTES_MAX; i++)
        buf_put_text(stream, "\r\n");
    assert_int_equal(status_of(stream), 431);
    buf_clear(stream);
    static const char chunked[] = "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n";
    buf_put_text(stream, chunked);
    buf_put_text(stream, "5;");
    put_many(stream, 'x', CHUNKED_LINE_BYTES_MAX);
    assert_int_equal(status_of(stream), 400);
    buf_clear(stream);
    buf_put_text(stream, chunked);
    buf_put_text(stream, "0\r\nX: ");
    put_many(stream, 'x', CHUNKED_TRAILER_BYTES_MAX);
    assert_int_equal(status_of(stream), 400);
    buf_clear(stream);
    buf_put_text(stream, chunked); // many small chunks: more coding than payload
    for (size_t i = 0; i < HTTP_BODY_BYTES_MAX / 2; i++)
        buf_put_text(stream, "1\r\nx\r\n");
    assert_int_equal(status_of(stream), 413);
    buf_deinit(stream);
}

static void a_waiting_client_is_told_to_continue_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    static const char text[] =
        "PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok";
    struct span all = span_text(text);
    struct http_parser parser = {0};
    struct http_request request;
    size_t used;
    unsigned told = 0;
    for (size_t len = 0; len < all.len; len++) {
        int outcome =
            http_parse_request(&parser, span_of(all.ptr, len), &fixture.stream, &request, &used);
        told += outcome == HTTP_E_CONTINUE;
        assert_true(outcome == HTTP_E_MORE || (outcome == HTTP_E_CONTINUE && len == all.len - 2));
    }
    assert_int_equal(told, 1);
    assert_int_equal(http_parse_request(&parser, all, &fixture.stream, &request, &used), 0);
    // who sends the body at once needs no telling, nor does HTTP/1.0
    assert_int_equal(http_parse_request(&parser, all, &fixture.stream, &request, &used), 0);
    struct span old =
        span_text("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(http_parse_request(&parser, old, &fixture.stream, &request, &used),
                     HTTP_E_MORE);
    buf_deinit(&fixture.stream);
}

static void fields_are_found_by_name(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct span text =
        span_text("PUT / HTTP/1.1\r\nHOST: h\r\nCONTENT-TYPE: application/json; "
                  "charset=utf-8\r\nOrigin: o\r\n"
                  "Authorization: Bearer x\r\nIdempotency-Key: k\r\nQuipu-Signature: ab\r\n"
                  "Sec-WebSocket-Key: s\r\nSec-WebSocket-Version: 13\r\nETag: \"1\"\r\n"
                  "Access-Control-Request-Method: PUT\r\nLocation: /l\r\nX-Host: no\r\n"
                  "Upgrade: a, WebSocket\r\nAccept: */*\r\naccept: text/html , x\r\n\r\n");
    struct http_parser parser = {0};
    struct http_request request;
    size_t used;
    assert_int_equal(http_parse_request(&parser, text, &fixture.stream, &request, &used), 0);
    static const struct {
        enum http_field field;
        const char *value;
    } rows[] = {
        {HTTP_FIELD_HOST, "h"},
        {HTTP_FIELD_CONTENT_TYPE, "application/json; charset=utf-8"},
        {HTTP_FIELD_ORIGIN, "o"},
        {HTTP_FIELD_AUTHORIZATION, "Bearer x"},
        {HTTP_FIELD_IDEMPOTENCY_KEY, "k"},
        {HTTP_FIELD_QUIPU_SIGNATURE, "ab"},
        {HTTP_FIELD_WEBSOCKET_KEY, "s"},
        {HTTP_FIELD_WEBSOCKET_VERSION, "13"},
        {HTTP_FIELD_ETAG, "\"1\""},
        {HTTP_FIELD_ACCESS_CONTROL_METHOD, "PUT"},
        {HTTP_FIELD_LOCATION, "/l"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(span_is_equal(request.field[rows[i].field], span_text(rows[i].value)));
    assert_null(request.field[HTTP_FIELD_WEBSOCKET_ACCEPT].ptr);
    assert_int_equal(request.method, HTTP_METHOD_PUT);
    assert_true(http_has_token(request.headers, "upgrade", "websocket"));
    assert_true(http_has_token(request.headers, "Accept", "x"));
    assert_false(http_has_token(request.headers, "Accept", "text"));
    buf_deinit(&fixture.stream);
}

static void etags_match_weakly(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *etag;
        bool matches;
    } rows[] = {
        {"If-None-Match: \"a-1\"\r\n", "\"a-1\"", true},
        {"if-none-match: W/\"a-1\"\r\n", "\"a-1\"", true},
        {"If-None-Match: \"a-1\"\r\n", "W/\"a-1\"", true},
        {"If-None-Match: \"x,\", \"a-1\"\r\n", "\"a-1\"", true},
        {"If-None-Match: \"x\"\r\nIf-None-Match: \"a-1\"\r\n", "\"a-1\"", true},
        {"If-None-Match: *\r\n", "\"a-1\"", true},
        {"If-None-Match: \"a-2\"\r\n", "\"a-1\"", false},
        {"If-None-Match: a-1\r\n", "\"a-1\"", false},
        {"If-None-Match: \"a-1\r\n", "\"a-1\"", false},
        {"If-None-Match:\r\n", "\"a-1\"", false},
        {"If-Match: \"a-1\"\r\n", "\"a-1\"", false},
        {"", "\"a-1\"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(http_is_none_match(span_text(rows[i].headers), span_text(rows[i].etag)) ==
                    rows[i].matches);
}

static void responses_are_understood(void **state)
{
    (void)state;
    static const struct trace_row rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n\r\n",
         "200 OK Content-Length=2 body:ok\n204 No Content\n"},
        {"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "404  Content-Length=0\n"},
        {"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", "404  Content-Length=0\n"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
         "200 OK Transfer-Encoding=chunked body:ok\n"},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"
         "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
         "304 Not Modified Content-Length=99\n200 OK closes Content-Length=0\n"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
         "200 OK closes Content-Length=2 Connection=close body:ok\n"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
         "101 Switching Protocols Upgrade=websocket Connection=Upgrade\n"},
        {"HTTP/1.1 200 OK\r\n\r\n", "502 a body without a length\n"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "400 both Content-Length and Transfer-Encoding\n"},
        {"HTTP/1.1 99 OK\r\n\r\n", "400 malformed start line\n"},
        {"HTTP/1.1 600 OK\r\n\r\n", "400 malformed start line\n"},
        {"HTTP/1.1  200 OK\r\n\r\n", "400 malformed start line\n"},
        {"HTTP/1.1 2000 OK\r\n\r\n", "400 malformed start line\n"},
        {"HTTP/2.0 200 OK\r\n\r\n", "505 HTTP/1.0 and HTTP/1.1 are spoken here\n"},
        {"+OK is not the answer\r\n", "400 malformed start line\n"},
        {"HTTP/1.1 200 OK\n\n", "400 a line does not end in CR LF\n"},
    };
    assert_true(trace_are(&feed_http_response, ROWS(rows)));
}

static void a_chunked_body_fails_without_memory(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct span text =
        span_text("PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    struct http_parser parser = {0};
    struct http_request request;
    size_t used;
    fixture.heap.fail_after = 0;
    assert_int_equal(http_parse_request(&parser, text, &fixture.stream, &request, &used), -ENOMEM);
    assert_int_equal(http_parse_request(&parser, text, &fixture.stream, &request, &used), 0);
    assert_true(span_is_equal(request.body, span_text("ok")));
    assert_int_equal(used, text.len);
    buf_deinit(&fixture.stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_understood),
        cmocka_unit_test(bodies_are_framed),
        cmocka_unit_test(connections_are_kept_or_closed),
        cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(malformed_heads_are_refused),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(endless_parts_are_refused_before_they_end),
        cmocka_unit_test(a_waiting_client_is_told_to_continue_once),
        cmocka_unit_test(fields_are_found_by_name),
        cmocka_unit_test(etags_match_weakly),
        cmocka_unit_test(responses_are_understood),
        cmocka_unit_test(a_chunked_body_fails_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
