// SPDX-License-Identifier: Apache-2.0
// JSON in and out: what is written is read back the same; what is not JSON is refused. UTF-8 is
// judged against a decoder that goes by code points.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/prng.h"
#include "tests/lib/heap_libc.h"
#include "wire/json.h"
#include "wire/json_in.h"
#include "wire/utf8.h"

struct fixture {
    struct heap_libc heap;
    struct buf out, scratch;
};

static void set_up(struct fixture *fixture)
{
    heap_libc_init(&fixture->heap);
    buf_init(&fixture->out, &fixture->heap.heap);
    buf_init(&fixture->scratch, &fixture->heap.heap);
}

static void tear_down(struct fixture *fixture)
{
    buf_deinit(&fixture->out);
    buf_deinit(&fixture->scratch);
    assert_int_equal(fixture->heap.bytes, 0);
}

static void strings_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *json;
    } rows[] = {
        {"plain", 5, "\"plain\""},
        {"", 0, "\"\""},
        {"\"\\/\n\r\t\b\f", 8, "\"\\\"\\\\/\\n\\r\\t\\b\\f\""},
        {"\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"a\xff\xc3", 3, "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80x", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\""},
        {"\xc3(", 2, "\"\xef\xbf\xbd(\""},
        {"\xf0\x9f\x98", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    struct fixture fixture;
    set_up(&fixture);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_put_string(&fixture.out, span_of(rows[i].bytes, rows[i].len));
        assert_true(span_is_equal(buf_span(&fixture.out), span_text(rows[i].json)));
        buf_clear(&fixture.out);
    }
    tear_down(&fixture);
}

static void integers_beyond_doubles_are_strings(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *json;
    } rows[] = {
        {0, "0"},
        {-5, "-5"},
        {JSON_INTEGER_MAX, "9007199254740992"},
        {-JSON_INTEGER_MAX, "-9007199254740992"},
        {JSON_INTEGER_MAX + 1, "\"9007199254740993\""},
        {-JSON_INTEGER_MAX - 1, "\"-9007199254740993\""},
        {INT64_MAX, "\"9223372036854775807\""},
        {INT64_MIN, "\"-9223372036854775808\""},
    };
    struct fixture fixture;
    set_up(&fixture);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_put_integer(&fixture.out, rows[i].value);
        assert_true(span_is_equal(buf_span(&fixture.out), span_text(rows[i].json)));
        struct json_reader reader = json_reader_of(buf_span(&fixture.out));
        assert_true(json_integer(&reader) == rows[i].value);
        assert_true(json_is_done(&reader));
        buf_clear(&fixture.out);
    }
    tear_down(&fixture);
}

static void random_bytes_become_strings_that_read_back(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct prng prng;
    prng_init(&prng, 7);
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[24];
        size_t len = (size_t)prng_below(&prng, sizeof bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)prng_next(&prng);
        buf_clear(&fixture.out);
        json_put_string(&fixture.out, span_of(bytes, len));
        struct json_reader reader = json_reader_of(buf_span(&fixture.out));
        struct span ours = json_string(&reader, &fixture.scratch);
        assert_true(json_is_done(&reader));
        assert_true(utf8_is_valid(ours));
        if (utf8_is_valid(span_of(bytes, len)))
            assert_true(span_is_equal(ours, span_of(bytes, len)));
    }
    tear_down(&fixture);
}

static void a_known_shape_is_pulled(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct json_reader reader = json_reader_of(span_text(
        " { \"service\" : \"s\\u0031\", \"x\":{\"a\":[1,{\"b\":[]}],\"c\":-1.5e+3},\n"
        "\"counts\":[[\"k\",12,3],[\"caf\\u00e9\\ud83d\\ude00\",null,\"9007199254740993\"]] } "));
    int64_t sum = 0;
    unsigned counts = 0, members = 0;
    json_open(&reader, JSON_OBJECT);
    while (json_next(&reader)) {
        struct span name = json_name(&reader, &fixture.scratch);
        members++;
        if (span_is_equal(name, span_text("service"))) {
            struct span text = json_string(&reader, &fixture.scratch);
            assert_true(span_is_equal(text, span_text("s1")));
        } else if (span_is_equal(name, span_text("counts"))) {
            json_open(&reader, JSON_ARRAY);
            while (json_next(&reader)) {
                json_open(&reader, JSON_ARRAY);
                assert_true(json_next(&reader));
                struct span key = json_string(&reader, &fixture.scratch);
                assert_true(key.len == (counts ? 9 : 1));
                assert_true(json_next(&reader));
                if (json_peek(&reader) == JSON_NULL)
                    json_null(&reader);
                else
                    sum += json_integer(&reader);
                assert_true(json_next(&reader));
                sum += json_integer(&reader);
                assert_false(json_next(&reader));
                counts++;
            }
        } else {
            json_skip(&reader);
        }
    }
    assert_true(json_is_done(&reader));
    assert_int_equal(counts, 2);
    assert_int_equal(members, 3);
    assert_true(sum == 12 + 3 + 9007199254740993);
    tear_down(&fixture);
}

static bool is_json(struct span text)
{
    struct json_reader reader = json_reader_of(text);
    json_skip(&reader);
    return json_is_done(&reader);
}

static const char *const right[] = {
    "0",
    "-0",
    "12",
    "-1.5",
    "1e9",
    "1E-9",
    "0.0",
    "true",
    "false",
    "null",
    "\"\"",
    "\"\\\"\"",
    "[]",
    "{}",
    "[1,2]",
    " [ 1 , [ ] , { } ] ",
    "{\"a\":1,\"a\":2}",
    "{\"a\":{\"b\":[true,false,null]},\"c\":\"d\"}",
    "\t\r\n 1 \n",
    "\"\\u0000\\uD83D\\uDE00\"",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
};
static const char *const wrong[] = {
    "",
    " ",
    "-",
    "+1",
    "01",
    "-01",
    "1.",
    ".5",
    "1e",
    "1e+",
    "0x1",
    "1 2",
    "tru",
    "truex",
    "True",
    "nul",
    "nan",
    "'a'",
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\ud800\"",
    "\"\\ud800\\u0041\"",
    "\"\\udc00\"",
    "\"\\ud800x\"",
    "\"\n\"",
    "\"\x01\"",
    "\"\xff\"",
    "\"\xc3\"",
    "\"\\\xc3\xa9\"",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1}",
    "{",
    "}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1",
    "{\"a\":1,}",
    "{,}",
    "{1:2}",
    "{a:1}",
    "{\"a\" 1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1]",
    "[]]",
    "{}}",
    "[],",
    "1,",
    "\xef\xbb\xbf[]",
    "[1]x",
    "/**/1",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
};

static void json_is_told_from_what_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_true(is_json(span_text(right[i])));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(is_json(span_text(wrong[i])));
    assert_false(is_json(span_of("\"\0\"", 3)));
    assert_false(is_json(span_of("1\0", 2)));
}

static void every_beginning_of_a_text_is_refused(void **state)
{
    (void)state;
    struct span all =
        span_text("{\"a\":[1,\"\\u00e9\\ud83d\\ude00\",true,null],\"b\":{\"c\":-1.5e3}}");
    for (size_t len = 0; len < all.len; len++)
        assert_false(is_json(span_of(all.ptr, len)));
    assert_true(is_json(all));
}

static void another_kind_fails_the_reader(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct json_reader reader = json_reader_of(span_text("[\"a\",1]"));
    json_open(&reader, JSON_OBJECT);
    assert_false(json_next(&reader));
    assert_true(reader.failed && !json_is_done(&reader));
    reader = json_reader_of(span_text("[\"a\",1]"));
    json_open(&reader, JSON_ARRAY);
    assert_true(json_next(&reader));
    assert_true(json_integer(&reader) == 0);
    assert_true(reader.failed);
    assert_false(json_next(&reader));
    assert_int_equal(json_peek(&reader), JSON_NONE);
    assert_int_equal(json_string(&reader, &fixture.scratch).len, 0);
    static const char *const numbers[] = {"1.0", "1e3", "9223372036854775808", "\"x\"", "\"1.0\""};
    for (size_t i = 0; i < 5; i++) {
        reader = json_reader_of(span_text(numbers[i]));
        json_integer(&reader);
        assert_true(reader.failed);
    }
    reader = json_reader_of(span_text("1 "));
    assert_false(json_is_done(&reader)); // the value was not taken
    tear_down(&fixture);
}

static void a_string_with_escapes_needs_memory(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    fixture.heap.fail_after = 0;
    struct json_reader reader = json_reader_of(span_text("\"\\n\""));
    json_string(&reader, &fixture.scratch);
    assert_true(reader.failed);
    tear_down(&fixture);
}

// By the value that the bits give: none that fits fewer bytes, no surrogate, nothing past the end.
static bool decodes(struct span text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t at = 0; at < text.len;) {
        uint8_t byte = text.ptr[at];
        size_t len = byte < 0x80       ? 1
                     : byte >> 5 == 6  ? 2
                     : byte >> 4 == 14 ? 3
                     : byte >> 3 == 30 ? 4
                                       : 0;
        if (len == 0 || len > text.len - at)
            return false;
        uint32_t point = len == 1 ? byte : byte & (0x7fu >> len);
        for (size_t i = 1; i < len; i++) {
            if (text.ptr[at + i] >> 6 != 2)
                return false;
            point = point << 6 | (text.ptr[at + i] & 0x3f);
        }
        if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
        at += len;
    }
    return true;
}

static void utf8_is_judged_in_pieces_as_whole(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 3);
    static const uint8_t bytes[] = {'a',  0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
                                    0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
    for (int round = 0; round < 200000; round++) {
        uint8_t text[12];
        size_t len = (size_t)prng_below(&prng, 13);
        for (size_t i = 0; i < len; i++)
            text[i] = bytes[prng_below(&prng, sizeof bytes)];
        size_t cut = (size_t)prng_below(&prng, len + 1);
        struct utf8 check = {0};
        bool in_pieces = utf8_extend(&check, span_of(text, cut)) &&
                         utf8_extend(&check, span_of(text + cut, len - cut)) &&
                         utf8_is_complete(&check);
        bool whole = utf8_is_valid(span_of(text, len));
        assert_true(whole == in_pieces);
        assert_true(whole == decodes(span_of(text, len)));
        assert_true(utf8_is_valid(span_of(text, utf8_prefix(span_of(text, len)))));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(integers_beyond_doubles_are_strings),
        cmocka_unit_test(random_bytes_become_strings_that_read_back),
        cmocka_unit_test(a_known_shape_is_pulled),
        cmocka_unit_test(json_is_told_from_what_is_not),
        cmocka_unit_test(every_beginning_of_a_text_is_refused),
        cmocka_unit_test(another_kind_fails_the_reader),
        cmocka_unit_test(a_string_with_escapes_needs_memory),
        cmocka_unit_test(utf8_is_judged_in_pieces_as_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
