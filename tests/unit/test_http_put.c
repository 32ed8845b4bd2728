// SPDX-License-Identifier: Apache-2.0
// HTTP messages written, read back by our own parser; dates; URLs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <time.h>
#include "tests/lib/heap_libc.h"
#include "wire/http.h"
#include "wire/http_put.h"
#include "wire/url.h"

struct fixture {
    struct heap_libc heap;
    struct buf out;
};

static void set_up(struct fixture *fixture)
{
    heap_libc_init(&fixture->heap);
    buf_init(&fixture->out, &fixture->heap.heap);
}

static void tear_down(struct fixture *fixture)
{
    buf_deinit(&fixture->out);
    assert_int_equal(fixture->heap.bytes, 0);
}

static void assert_out(struct fixture *fixture, const char *expected)
{
    buf_put_byte(&fixture->out, 0);
    assert_string_equal((const char *)fixture->out.ptr, expected);
    buf_clear(&fixture->out);
}

static void answers_are_written(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct http_answer answer = {.status = 200,
                                 .content_type = "application/json",
                                 .headers = span_text("ETag: \"e-1\"\r\n"),
                                 .body = span_text("{}"),
                                 .time_s = 784111777};
    http_put_answer(&fixture.out, &answer);
    assert_out(&fixture, "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                         "Content-Type: application/json\r\nContent-Length: 2\r\n"
                         "ETag: \"e-1\"\r\n\r\n{}");
    answer.is_head = true;
    answer.time_s = 0;
    answer.tells_keep_alive = true;
    http_put_answer(&fixture.out, &answer);
    assert_out(&fixture, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: 2\r\nConnection: keep-alive\r\nETag: \"e-1\"\r\n\r\n");
    static const uint16_t bodyless[] = {204, 304};
    for (size_t i = 0; i < 2; i++) {
        http_put_answer(&fixture.out,
                        &(struct http_answer){.status = bodyless[i], .is_closing = true});
        char expected[128];
        snprintf(expected, sizeof expected, "HTTP/1.1 %u %s\r\nConnection: close\r\n\r\n",
                 (unsigned)bodyless[i], http_status_text(bodyless[i]));
        assert_out(&fixture, expected);
    }
    http_put_answer(&fixture.out, &(struct http_answer){.status = 200,
                                                        .content_type = "text/event-stream",
                                                        .is_stream = true});
    assert_out(&fixture, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                         "Connection: close\r\n\r\n");
    tear_down(&fixture);
}

static void problems_are_read_back(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    http_put_problem(&fixture.out, &(struct http_problem){.status = 404, .detail = "no \"k\""});
    struct http_parser parser = {0};
    struct http_response response;
    struct buf body;
    buf_init(&body, &fixture.heap.heap);
    size_t used;
    assert_int_equal(http_parse_response(&parser, buf_span(&fixture.out), &body, &response, &used),
                     0);
    assert_int_equal(response.status, 404);
    assert_int_equal(used, fixture.out.len);
    assert_true(span_is_equal(response.field[HTTP_FIELD_CONTENT_TYPE],
                              span_text("application/problem+json")));
    assert_true(
        span_is_equal(response.body, span_text("{\"type\":\"about:blank\",\"title\":\"Not Found\","
                                               "\"status\":404,\"detail\":\"no \\\"k\\\"\"}\n")));
    tear_down(&fixture);
}

static void calls_are_read_back(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct buf headers;
    buf_init(&headers, &fixture.heap.heap);
    http_put_header(&headers, "Quipu-Signature", span_text("ab\r\nX: injected"));
    struct http_call call = {.method = "PUT",
                             .target = span_text("/v1/topics"),
                             .host = span_text("127.0.0.1:7004"),
                             .content_type = "application/json",
                             .headers = buf_span(&headers),
                             .body = span_text("{}")};
    http_put_call(&fixture.out, &call);
    struct http_parser parser = {0};
    struct http_request request;
    struct buf body;
    buf_init(&body, &fixture.heap.heap);
    size_t used;
    assert_int_equal(http_parse_request(&parser, buf_span(&fixture.out), &body, &request, &used),
                     0);
    assert_int_equal(used, fixture.out.len);
    assert_int_equal(request.method, HTTP_METHOD_PUT);
    assert_true(span_is_equal(request.path, span_text("/v1/topics")));
    assert_true(span_is_equal(request.body, span_text("{}")));
    assert_true(
        span_is_equal(request.field[HTTP_FIELD_QUIPU_SIGNATURE], span_text("abX: injected")));
    buf_clear(&fixture.out);
    http_put_call(
        &fixture.out,
        &(struct http_call){.method = "GET", .target = span_text("/"), .host = span_text("h")});
    assert_out(&fixture, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    buf_deinit(&headers);
    tear_down(&fixture);
}

static void dates_agree_with_the_calendar(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    int64_t times[2000] = {1,          951782399,  951782400,   951868800,
                           4107542400, 1709164800, 253402300799};
    for (int64_t i = 7; i < 2000; i++)
        times[i] = i * 6543210 + i;
    for (size_t i = 0; i < 2000; i++) {
        http_put_answer(&fixture.out, &(struct http_answer){.status = 204, .time_s = times[i]});
        time_t time = (time_t)times[i];
        struct tm parts;
        gmtime_r(&time, &parts);
        char expected[128];
        strftime(expected, sizeof expected,
                 "HTTP/1.1 204 No Content\r\nDate: %a, %d %b %Y %H:%M:%S GMT\r\n\r\n", &parts);
        assert_out(&fixture, expected);
    }
    tear_down(&fixture);
}

static void every_refusal_has_a_status_text(void **state)
{
    (void)state;
    static const uint16_t statuses[] = {100, 101, 200, 304, 400, 413, 414, 417, 431, 501, 505};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        assert_true(*http_status_text(statuses[i]) != '\0');
    assert_string_equal(http_status_text(299), "");
}

static void percent_encoding_goes_both_ways(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    uint8_t bytes[256];
    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    url_put_encoded(&fixture.out, span_of(bytes, 256));
    struct buf decoded;
    buf_init(&decoded, &fixture.heap.heap);
    assert_true(url_put_decoded(&decoded, buf_span(&fixture.out)));
    assert_true(span_is_equal(buf_span(&decoded), span_of(bytes, 256)));
    buf_clear(&decoded);
    static const char *const malformed[] = {"%", "a%4", "%4g", "%%41", "%g0"};
    for (size_t i = 0; i < 5; i++)
        assert_false(url_put_decoded(&decoded, span_text(malformed[i])));
    assert_int_equal(decoded.len, 0);
    assert_true(url_put_decoded(&decoded, span_text("a+%2B%2fb")));
    assert_true(span_is_equal(buf_span(&decoded), span_text("a++/b")));
    buf_clear(&decoded);
    assert_true(url_put_decoded_query(&decoded, span_text("a+%2B")));
    assert_true(span_is_equal(buf_span(&decoded), span_text("a +")));
    buf_deinit(&decoded);
    tear_down(&fixture);
}

static void queries_and_paths_are_split(void **state)
{
    (void)state;
    struct span query = span_text("&a=1&&b&c=&=d&e=f=g"), name, value;
    static const char *const pairs[][2] = {
        {"a", "1"}, {"b", ""}, {"c", ""}, {"", "d"}, {"e", "f=g"}};
    for (size_t i = 0; i < 5; i++) {
        assert_true(url_next_pair(&query, &name, &value));
        assert_true(span_is_equal(name, span_text(pairs[i][0])));
        assert_true(span_is_equal(value, span_text(pairs[i][1])));
    }
    assert_false(url_next_pair(&query, &name, &value));
    struct span path = span_text("/v1//a%2Fb/");
    static const char *const segments[] = {"v1", "", "a%2Fb", ""};
    for (size_t i = 0; i < 4; i++) {
        assert_true(url_next_segment(&path, &name));
        assert_true(span_is_equal(name, span_text(segments[i])));
    }
    assert_false(url_next_segment(&path, &name));
    path = span_text("/");
    assert_true(url_next_segment(&path, &name) && name.len == 0);
    assert_false(url_next_segment(&path, &name));
}

static void urls_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
        const char *path;
    } rows[] = {
        {"http://h", "h", 80, "/"},
        {"HTTP://h:7002", "h", 7002, "/"},
        {"http://127.0.0.1:7002/v1/x", "127.0.0.1", 7002, "/v1/x"},
        {"http://[::1]:7002/", "::1", 7002, "/"},
        {"http://[::1]", "::1", 80, "/"},
    };
    struct url url;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(url_parse(span_text(rows[i].text), &url));
        assert_true(span_is_equal(url.host, span_text(rows[i].host)));
        assert_int_equal(url.port, rows[i].port);
        assert_true(span_is_equal(url.path, span_text(rows[i].path)));
    }
    static const char *const malformed[] = {"",
                                            "h:80",
                                            "httpx://h",
                                            "http://",
                                            "http://:80",
                                            "http://h:",
                                            "http://h:0",
                                            "http://h:x",
                                            "http://h:65536",
                                            "http://u@h",
                                            "http://h:1:2",
                                            "http://h?q",
                                            "http://[::1",
                                            "http://[::1]x",
                                            "http://[]:1",
                                            "http://h/a b",
                                            "http://h/#f"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        assert_false(url_parse(span_text(malformed[i]), &url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_written),
        cmocka_unit_test(problems_are_read_back),
        cmocka_unit_test(calls_are_read_back),
        cmocka_unit_test(dates_agree_with_the_calendar),
        cmocka_unit_test(every_refusal_has_a_status_text),
        cmocka_unit_test(percent_encoding_goes_both_ways),
        cmocka_unit_test(queries_and_paths_are_split),
        cmocka_unit_test(urls_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
