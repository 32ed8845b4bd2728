// SPDX-License-Identifier: Apache-2.0
// Requests and answers of RESP: what is understood, what is refused, whatever the cuts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include "tests/lib/heap_libc.h"
#include "tests/lib/trace.h"
#include "wire/answer.h"
#include "wire/resp.h"

static void requests_are_understood(void **state)
{
    (void)state;
    static const struct trace_row rows[] = {
        {"*1\r\n$4\r\nPING\r\n", "[PING]\n"},
        {"*2\r\n$4\r\nINCR\r\n$16\r\nkey:000000000001\r\n", "[INCR] [key:000000000001]\n"},
        {"*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", "[GET] []\n[PING]\n"},
        {"*3\r\n$3\r\nSET\r\n$4\r\n\r\n*1\r\n$2\r\n\r\n\r\n", "[SET] [\\0d\\0a*1] [\\0d\\0a]\n"},
        {"*11\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n"
         "$1\r\nh\r\n$1\r\ni\r\n$1\r\nj\r\n$1\r\nk\r\n",
         "[a] [b] [c] [d] [e] [f] [g] [h] [i] [j] [k]\n"},
        {"*0\r\n*-1\r\n*-100\r\n*1\r\n$4\r\nPING\r\n", "nothing\nnothing\nnothing\n[PING]\n"},
        {"*1\r\n$4\r\nPI", ""},
    };
    assert_true(trace_are(&feed_resp, rows, sizeof rows / sizeof rows[0]));
}

static void inline_commands_are_understood(void **state)
{
    (void)state;
    static const struct trace_row rows[] = {
        {"PING\r\n", "[PING]\n"},
        {"PING\n  SET  a\tb \n\r\n\nGET a\r\n",
         "[PING]\n[SET] [a] [b]\nnothing\nnothing\n[GET] [a]\n"},
        {"SET \"a b\" 'c d'\r\n", "[SET] [a b] [c d]\n"},
        {"SET \"\\x00\\xfF\\n\\r\\t\\b\\a\\\\\\\"\\q\" ''\r\n",
         "[SET] [\\00\\ff\\0a\\0d\\09\\08\\07\\5c\"q] []\n"},
        {"SET 'it\\'s \\n' b\"c\"\n", "[SET] [it's \\5cn] [bc]\n"},
        {"GET \"a\\xzz\"\n", "[GET] [axzz]\n"},
        {"GET \"a", ""},
        {"GET \"a\nPING\n", "Protocol error: unbalanced quotes in request\n"},
        {"GET \"a\"b\n", "Protocol error: unbalanced quotes in request\n"},
        {"GET 'a\\\n", "Protocol error: unbalanced quotes in request\n"},
    };
    assert_true(trace_are(&feed_resp, rows, sizeof rows / sizeof rows[0]));
}

static void malformed_requests_are_refused(void **state)
{
    (void)state;
    static const struct trace_row rows[] = {
        {"*x\r\n", "Protocol error: invalid multibulk length\n"},
        {"*\r\n", "Protocol error: invalid multibulk length\n"},
        {"*+1\r\n", "Protocol error: invalid multibulk length\n"},
        {"*01\r\n", "Protocol error: invalid multibulk length\n"},
        {"*1\n$4\r\nPING\r\n", "Protocol error: invalid multibulk length\n"},
        {"*1\r$", "Protocol error: invalid multibulk length\n"},
        {"*3000000000\r\n", "Protocol error: invalid multibulk length\n"},
        {"*99999999999999999999999\r\n", "Protocol error: invalid multibulk length\n"},
        {"*1\r\nfoo\r\n", "Protocol error: expected '$', got 'f'\n"},
        {"*1\r\n\x01", "Protocol error: expected '$', got ' '\n"},
        {"*2\r\n$3\r\nGET\r\n*1\r\n", "Protocol error: expected '$', got '*'\n"},
        {"*2\r\n$3\r\nGET\r\n$x\r\n", "Protocol error: invalid bulk length\n"},
        {"*1\r\n$:\r\n0123456789\r\n", "Protocol error: invalid bulk length\n"},
        {"*:\r\n$4\r\nPING\r\n", "Protocol error: invalid multibulk length\n"},
        {"*2\r\n$3\r\nGET\r\n$-1\r\n", "Protocol error: invalid bulk length\n"},
        {"*2\r\n$3\r\nGET\r\n$2000000000\r\n", "Protocol error: invalid bulk length\n"},
        {"*2\r\n$3\r\nGET\r\n$01\r\na\r\n", "Protocol error: invalid bulk length\n"},
        {"*1\r\n$4\r\nPINGS\r\n",
         "Protocol error: an argument does not end where its length says\n"},
        {"*1\r\n$4\r\nPING\n\n",
         "Protocol error: an argument does not end where its length says\n"},
        {"*1111111111111111111111111111111111111111111111111111111111111111111111\r\n",
         "Protocol error: too big mbulk count string\n"},
        {"*1\r\n$1111111111111111111111111111111111111111111111111111111111111111111\r\n",
         "Protocol error: too big bulk count string\n"},
    };
    assert_true(trace_are(&feed_resp, rows, sizeof rows / sizeof rows[0]));
}

static void zero_bytes_are_text(void **state)
{
    (void)state;
    assert_true(trace_is(&feed_resp, span_of("*2\r\n$3\r\nGET\r\n$3\r\n\0\xff\0\r\n", 23),
                         "[GET] [\\00\\ff\\00]\n"));
    assert_true(trace_is(&feed_resp, span_of("a\0b\n", 4), "[a\\00b]\n"));
}

static void limits_hold(void **state)
{
    (void)state;
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf stream;
    buf_init(&stream, &heap.heap);
    struct span argv[4];
    struct resp_request request = {.argv = argv, .argv_max = 4};
    struct resp_parser parser = {0};
    size_t used;

    // as long as allowed, and one byte more
    char head[64];
    for (size_t extra = 0; extra < 2; extra++) {
        size_t len = LIMIT_REQUEST_BYTES + 1;
        int head_len = 0;
        do { // the length of the head depends on its number
            len--;
            head_len = snprintf(head, sizeof head, "*1\r\n$%zu\r\n", len);
        } while ((size_t)head_len + len + 2 > LIMIT_REQUEST_BYTES + extra);
        buf_clear(&stream);
        buf_put_text(&stream, head);
        uint8_t *to = buf_reserve(&stream, len);
        memset(to, 'x', len);
        buf_advance(&stream, len);
        buf_put_text(&stream, "\r\n");
        parser = (struct resp_parser){0};
        int outcome = resp_parse(&parser, buf_span(&stream), &request, &used);
        assert_int_equal(outcome, extra ? RESP_E_PROTOCOL : 0);
        assert_int_equal(parser.fault, extra ? RESP_FAULT_SIZE : RESP_FAULT_NONE);
    }

    // it is refused as soon as the length is announced
    snprintf(head, sizeof head, "*1\r\n$%d\r\n", LIMIT_REQUEST_BYTES);
    parser = (struct resp_parser){0};
    assert_int_equal(resp_parse(&parser, span_text(head), &request, &used), RESP_E_PROTOCOL);
    snprintf(head, sizeof head, "*%d\r\n", LIMIT_REQUEST_ARGS + 1);
    parser = (struct resp_parser){0};
    assert_int_equal(resp_parse(&parser, span_text(head), &request, &used), RESP_E_PROTOCOL);
    snprintf(head, sizeof head, "*%d\r\n", LIMIT_REQUEST_ARGS);
    parser = (struct resp_parser){0};
    assert_int_equal(resp_parse(&parser, span_text(head), &request, &used), RESP_E_MORE);

    // an inline command without an end
    buf_clear(&stream);
    uint8_t *to = buf_reserve(&stream, RESP_INLINE_BYTES_MAX);
    memset(to, 'x', RESP_INLINE_BYTES_MAX);
    buf_advance(&stream, RESP_INLINE_BYTES_MAX);
    parser = (struct resp_parser){0};
    struct span most = span_of(stream.ptr, stream.len - 1);
    assert_int_equal(resp_parse(&parser, most, &request, &used), RESP_E_MORE);
    assert_int_equal(resp_parse(&parser, buf_span(&stream), &request, &used), RESP_E_PROTOCOL);
    assert_int_equal(parser.fault, RESP_FAULT_INLINE);
    buf_deinit(&stream);
}

static void incomplete_requests_are_not_scanned_again(void **state)
{
    (void)state;
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf stream;
    buf_init(&stream, &heap.heap);
    enum { COUNT = LIMIT_REQUEST_ARGS < 60 ? LIMIT_REQUEST_ARGS : 60 };
    resp_put_head(&stream, '*', COUNT);
    for (int i = 0; i < COUNT; i++)
        buf_put_text(&stream, "$5\r\nmicro\r\n");
    struct span argv[COUNT];
    struct resp_request request = {.argv = argv, .argv_max = COUNT};
    struct resp_parser parser = {0};
    size_t used = 0, at = 0;
    for (size_t len = 1; len < stream.len; len++) {
        assert_int_equal(resp_parse(&parser, span_of(stream.ptr, len), &request, &used),
                         RESP_E_MORE);
        assert_true(parser.at >= at && parser.need > len); // never back, and further each time
        at = parser.at;
        if (len > 16)
            assert_true(at + 16 > len);
    }
    assert_int_equal(resp_parse(&parser, buf_span(&stream), &request, &used), 0);
    assert_int_equal(used, stream.len);
    assert_int_equal(request.argc, COUNT);
    assert_true(span_is_equal(argv[COUNT - 1], span_text("micro")));
    buf_deinit(&stream);
}

static void what_a_client_writes_a_server_reads(void **state)
{
    (void)state;
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf stream;
    buf_init(&stream, &heap.heap);
    struct span argv[] = {span_text("SET"), span_of("a\0\r\n", 4), {0}, span_text("\xff")};
    resp_put_command(&stream, argv, 4);
    assert_true(trace_is(&feed_resp, buf_span(&stream), "[SET] [a\\00\\0d\\0a] [] [\\ff]\n"));
    buf_deinit(&stream);
}

static void unescaping_fails_without_memory(void **state)
{
    (void)state;
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf unescaped;
    buf_init(&unescaped, &heap.heap);
    struct span argv[4];
    struct resp_request request = {.argv = argv, .argv_max = 4, .unescaped = &unescaped};
    struct resp_parser parser = {0};
    size_t used;
    heap.fail_after = 0;
    assert_int_equal(resp_parse(&parser, span_text("GET \"a\"\n"), &request, &used), -ENOMEM);
    assert_int_equal(resp_parse(&parser, span_text("GET \"a\"\n"), &request, &used), 0);
    assert_true(request.is_quoted);
    assert_true(span_is_equal(argv[1], span_text("a")));
    buf_deinit(&unescaped);
    assert_int_equal(heap.bytes, 0);
}

static void answers_are_understood(void **state)
{
    (void)state;
    static const struct trace_row rows[] = {
        {"+OK\r\n-ERR no\r\n:-12\r\n", "+[OK] \n-[ERR no] \n:[-12] \n"},
        {"$3\r\na\r\n\r\n$0\r\n\r\n", "$[a\\0d\\0a] \n$[] \n"},
        {"$-1\r\n*-1\r\n_\r\n", "nil[] \nnil[] \nnil[] \n"},
        {"*0\r\n*2\r\n$1\r\na\r\n:1\r\n", "*0/1 \n*2/3 $[a] :[1] \n"},
        {"*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n+x\r\n", "*2/6 *2/3 :[1] *0/1 *1/2 +[x] \n"},
        {"%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n#t\r\n", "%4/6 +[a] :[1] +[b] ~1/2 #[t] \n"},
        {">2\r\n+message\r\n,3.5\r\n#f\r\n", ">2/3 +[message] ,[3.5] \n#[f] \n"},
        {",inf\r\n,-inf\r\n,nan\r\n,1e3\r\n", ",[inf] \n,[-inf] \n,[nan] \n,[1e3] \n"},
        {"(123456789012345678901234567890\r\n=7\r\ntxt:abc\r\n!5\r\nERR x\r\n",
         "([123456789012345678901234567890] \n=[abc] \n-[ERR x] \n"},
    };
    assert_true(trace_are(&feed_answer, rows, sizeof rows / sizeof rows[0]));
}

static void malformed_answers_are_refused(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "x",
        "\r\n",
        ":1a\r\n",
        ":\r\n",
        ":+1\r\n",
        "+a\rb\r\n",
        "+a\n",
        "$-2\r\n",
        "$x\r\n",
        "$1\r\nab\r\n",
        "*-2\r\n",
        "%-1\r\n",
        "#x\r\n",
        "#tt\r\n",
        "_x\r\n",
        ",\r\n",
        ",0x10\r\n",
        ",1 \r\n",
        "(1x\r\n",
        "(-\r\n",
        "=3\r\ntxt\r\n",
        "*99999999999\r\n",
        "$99999999999\r\n",
        "|1\r\n+a\r\n+b\r\n",
        "*?\r\n",
        "$?\r\n",
        ",infinity\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
        assert_true(trace_is(&feed_answer, span_text(streams[i]), "refused\n"));
    assert_true(trace_is(&feed_answer,
                         span_text("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"),
                         "*1/9 *1/8 *1/7 *1/6 *1/5 *1/4 *1/3 *1/2 :[1] \n"));
}

static void fields_of_a_map_are_found(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "%3\r\n+list\r\n*2\r\n:1\r\n:2\r\n$5\r\nvalue\r\n$2\r\n42\r\n+n\r\n:7\r\n",
        "*6\r\n+list\r\n*2\r\n:1\r\n:2\r\n$5\r\nvalue\r\n$2\r\n42\r\n+n\r\n:7\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        struct answer_token tokens[16];
        struct answer answer = {.tokens = tokens, .tokens_max = 16};
        struct answer_parser parser = {0};
        size_t used;
        int64_t value;
        assert_int_equal(answer_parse(&parser, span_text(streams[i]), &answer, &used), 0);
        assert_true(answer_integer(answer_field(tokens, "VALUE"), &value));
        assert_int_equal(value, 42);
        assert_true(answer_integer(answer_field(tokens, "n"), &value));
        assert_int_equal(value, 7);
        assert_int_equal(answer_field(tokens, "list")->count, 2);
        assert_false(answer_integer(answer_field(tokens, "list"), &value));
        assert_null(answer_field(tokens, "1"));
        assert_null(answer_field(tokens + 1, "list"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_understood),
        cmocka_unit_test(inline_commands_are_understood),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(zero_bytes_are_text),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(incomplete_requests_are_not_scanned_again),
        cmocka_unit_test(what_a_client_writes_a_server_reads),
        cmocka_unit_test(unescaping_fails_without_memory),
        cmocka_unit_test(answers_are_understood),
        cmocka_unit_test(malformed_answers_are_refused),
        cmocka_unit_test(fields_of_a_map_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
