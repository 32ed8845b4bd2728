// SPDX-License-Identifier: Apache-2.0
// Replies in both versions of RESP, as bytes, and read back by the client's parser.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "tests/lib/heap_libc.h"
#include "wire/answer.h"
#include "wire/reply.h"
#include "wire/resp.h"

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

static void every_kind(struct reply *reply)
{
    reply_ok(reply);
    reply_simple(reply, "PONG");
    reply_bulk(reply, span_text("a\r\nb"));
    reply_bulk(reply, (struct span){0});
    reply_bulk_text(reply, "x");
    reply_nil(reply);
    reply_nil_array(reply);
    reply_array(reply, 0);
    reply_map(reply, 2);
    reply_set(reply, 3);
    reply_push(reply, 12);
    reply_bool(reply, true);
    reply_bool(reply, false);
    reply_double(reply, 3.1);
    reply_double(reply, -INFINITY);
    reply_double(reply, (double)NAN);
    reply_verbatim(reply, "txt", span_text("# Server"));
}

static void kinds_by_version(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct reply reply = reply_to(&fixture.out, 2);
    every_kind(&reply);
    assert_out(&fixture, "+OK\r\n+PONG\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$1\r\nx\r\n$-1\r\n*-1\r\n"
                         "*0\r\n*4\r\n*3\r\n*12\r\n:1\r\n:0\r\n$3\r\n3.1\r\n$4\r\n-inf\r\n"
                         "$3\r\nnan\r\n$8\r\n# Server\r\n");
    reply = reply_to(&fixture.out, 3);
    every_kind(&reply);
    assert_out(&fixture, "+OK\r\n+PONG\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$1\r\nx\r\n_\r\n_\r\n"
                         "*0\r\n%2\r\n~3\r\n>12\r\n#t\r\n#f\r\n,3.1\r\n,-inf\r\n,nan\r\n"
                         "=12\r\ntxt:# Server\r\n");
    tear_down(&fixture);
}

static void integers_read_back(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    static const int64_t values[] = {0,   1,    9,         10,         -1,        -10,
                                     99,  100,  12345,     1000000000, INT64_MAX, INT64_MIN,
                                     -99, -100, 999999999, 9999999999};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct reply reply = reply_to(&fixture.out, 2);
        reply_integer(&reply, values[i]);
        reply_bulk_integer(&reply, values[i]);
        struct answer_parser parser = {0};
        struct answer_token token;
        struct answer answer = {.tokens = &token, .tokens_max = 1};
        size_t used, more;
        int64_t value;
        assert_int_equal(answer_parse(&parser, buf_span(&fixture.out), &answer, &used), 0);
        assert_int_equal(token.kind, ANSWER_INTEGER);
        assert_true(token.integer == values[i]);
        struct span rest = span_of(fixture.out.ptr + used, fixture.out.len - used);
        assert_int_equal(answer_parse(&parser, rest, &answer, &more), 0);
        assert_int_equal(token.kind, ANSWER_BULK);
        assert_true(answer_integer(&token, &value) && value == values[i]);
        assert_int_equal(used + more, fixture.out.len);
        buf_clear(&fixture.out);
    }
    tear_down(&fixture);
}

static void an_array_may_learn_its_length_late(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct reply reply = reply_to(&fixture.out, 2);
    reply_ok(&reply);
    size_t outer = reply_open_array(&reply);
    size_t inner = reply_open_array(&reply);
    reply_close_array(&reply, inner, 0);
    for (int i = 0; i < 12; i++)
        reply_integer(&reply, i % 10);
    reply_close_array(&reply, outer, 13);
    reply_ok(&reply);
    assert_out(&fixture, "+OK\r\n*13\r\n*0\r\n:0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n"
                         ":8\r\n:9\r\n:0\r\n:1\r\n+OK\r\n");
    tear_down(&fixture);
}

static void errors_are_one_line(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct reply reply = reply_to(&fixture.out, 3);
    reply_error(&reply, REPLY_ERROR_WRONG_TYPE);
    reply_error_with(&reply, REPLY_ERROR_ARITY, span_text("incr"));
    reply_error_with(&reply, REPLY_ERROR_ARITY, span_text("a\r\n+OK\x7f%s"));
    reply_error_text(&reply, "ERR a\r\nb");
    assert_int_equal(reply.errors_count, 4);
    assert_out(&fixture, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
                         "-ERR wrong number of arguments for 'incr' command\r\n"
                         "-ERR wrong number of arguments for 'a  +OK %s' command\r\n"
                         "-ERR a  b\r\n");
    for (unsigned code = 0; code < REPLY_ERROR_CODES; code++) {
        const char *format = reply_error_format((enum reply_error_code)code);
        assert_non_null(format);
        assert_true(format[0] >= 'A' && format[0] <= 'Z');
        reply_error_with(&reply, (enum reply_error_code)code, span_text("detail"));
        struct answer_token token;
        struct answer answer = {.tokens = &token, .tokens_max = 1};
        struct answer_parser parser = {0};
        size_t used;
        assert_int_equal(answer_parse(&parser, buf_span(&fixture.out), &answer, &used), 0);
        assert_int_equal(token.kind, ANSWER_ERROR);
        assert_int_equal(used, fixture.out.len);
        buf_clear(&fixture.out);
    }
    tear_down(&fixture);
}

static void unknown_commands_are_quoted_in_part(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct reply reply = reply_to(&fixture.out, 2);
    struct span argv[] = {span_text("FOO"), span_text("a\nb"), span_text("c")};
    reply_error_unknown(&reply, argv, 3);
    assert_out(&fixture, "-ERR unknown command 'FOO', with args beginning with: 'a b' 'c' \r\n");
    reply_error_unknown(&reply, argv, 1);
    assert_out(&fixture, "-ERR unknown command 'FOO', with args beginning with: \r\n");
    uint8_t text[1000];
    memset(text, 'x', sizeof text);
    struct span many[] = {span_of(text, 1000), span_of(text, 1000), span_of(text, 1000)};
    reply_error_unknown(&reply, many, 3);
    assert_true(fixture.out.len < 400);
    tear_down(&fixture);
}

static void faults_are_worded_as_clients_know_them(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct reply reply = reply_to(&fixture.out, 2);
    struct resp_parser parser = {.fault = RESP_FAULT_BULK};
    reply_protocol_error(&reply, &parser);
    parser = (struct resp_parser){.fault = RESP_FAULT_DOLLAR, .found = '*'};
    reply_protocol_error(&reply, &parser);
    assert_out(&fixture, "-ERR Protocol error: invalid bulk length\r\n"
                         "-ERR Protocol error: expected '$', got '*'\r\n");
    tear_down(&fixture);
}

static void messages_by_version(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct reply reply = reply_to(&fixture.out, 2);
    reply_message(&reply, span_text("c"), span_text("hi"));
    reply.protocol = 3;
    reply_pattern_message(&reply, span_text("*"), span_text("c"), span_text("hi"));
    assert_out(&fixture, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"
                         ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$2\r\nhi\r\n");
    tear_down(&fixture);
}

static void a_failed_allocation_is_told_once_at_the_end(void **state)
{
    (void)state;
    for (long fail_after = 0; fail_after < 4; fail_after++) {
        struct fixture fixture;
        set_up(&fixture);
        fixture.heap.fail_after = fail_after;
        struct reply reply = reply_to(&fixture.out, 2);
        size_t mark = reply_open_array(&reply);
        for (int i = 0; i < 200; i++)
            every_kind(&reply);
        reply_integer(&reply, 12);
        reply_bulk_integer(&reply, 12);
        reply_close_array(&reply, mark, 200);
        assert_true(buf_has_failed(&fixture.out));
        tear_down(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_by_version),
        cmocka_unit_test(integers_read_back),
        cmocka_unit_test(an_array_may_learn_its_length_late),
        cmocka_unit_test(errors_are_one_line),
        cmocka_unit_test(unknown_commands_are_quoted_in_part),
        cmocka_unit_test(faults_are_worded_as_clients_know_them),
        cmocka_unit_test(messages_by_version),
        cmocka_unit_test(a_failed_allocation_is_told_once_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
