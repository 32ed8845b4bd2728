// SPDX-License-Identifier: Apache-2.0
// Decimal text: what is a number, what is not, and the edges of 64 bits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include "base/decimal.h"
#include "base/prng.h"
#include "tests/lib/heap_libc.h"

static void numbers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        {"0", 0},
        {"7", 7},
        {"-1", -1},
        {"10", 10},
        {"1234567890", 1234567890},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t value = 42;
        assert_true(decimal_parse(span_text(rows[i].text), &value));
        assert_true(value == rows[i].value);
    }
}

static void anything_else_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "-",
                                       "--1",
                                       "+1",
                                       " 1",
                                       "1 ",
                                       "1.0",
                                       "1e3",
                                       "0x10",
                                       "00",
                                       "01",
                                       "-0",
                                       "-01",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "18446744073709551616",
                                       "99999999999999999999",
                                       "123456789012345678901"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t value = 42;
        assert_false(decimal_parse(span_text(rows[i]), &value));
        assert_int_equal(value, 42);
    }
    int64_t value = 42;
    assert_false(decimal_parse(span_of("1\0", 2), &value));
}

static void unsigned_numbers_have_their_own_range(void **state)
{
    (void)state;
    uint64_t value = 42;
    assert_true(decimal_parse_unsigned(span_text("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
    assert_false(decimal_parse_unsigned(span_text("18446744073709551616"), &value));
    assert_false(decimal_parse_unsigned(span_text("-1"), &value));
    assert_true(value == UINT64_MAX);
}

static void assert_written(int64_t value)
{
    char expected[32];
    uint8_t text[DECIMAL_LEN_MAX];
    int len = snprintf(expected, sizeof expected, "%" PRId64, value);
    uint8_t *end = decimal_write(text, value);
    assert_int_equal(end - text, len);
    assert_memory_equal(text, expected, (size_t)len);
    int64_t back = 0;
    assert_true(decimal_parse(span_of(text, (size_t)len), &back));
    assert_true(back == value);
}

static void what_is_written_is_what_printf_writes(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    assert_written(0);
    assert_written(INT64_MAX);
    assert_written(INT64_MIN);
    for (int64_t power = 1; power < INT64_MAX / 10; power *= 10) {
        assert_written(power);
        assert_written(power - 1);
        assert_written(-power);
    }
    for (int i = 0; i < 2000; i++)
        assert_written((int64_t)(prng_next(&prng) >> prng_below(&prng, 64)));
}

static void buffers_take_numbers(void **state)
{
    (void)state;
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf buf;
    buf_init(&buf, &heap.heap);
    decimal_put(&buf, -12);
    buf_put_byte(&buf, ' ');
    decimal_put_unsigned(&buf, UINT64_MAX);
    assert_true(span_is_equal(buf_span(&buf), span_text("-12 18446744073709551615")));
    buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(anything_else_is_refused_and_changes_nothing),
        cmocka_unit_test(unsigned_numbers_have_their_own_range),
        cmocka_unit_test(what_is_written_is_what_printf_writes),
        cmocka_unit_test(buffers_take_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
