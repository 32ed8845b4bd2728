// SPDX-License-Identifier: Apache-2.0
// Lines of a descriptor, however the bytes come; and the number of different ones.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/crc32c.h"
#include "cli/distinct.h"
#include "cli/lines.h"
#include "tests/lib/heap_libc.h"

struct fixture {
    struct heap_libc heap;
    struct lines lines;
    int ends[2];
};

static void begin(struct fixture *fixture)
{
    heap_libc_init(&fixture->heap);
    assert_int_equal(pipe(fixture->ends), 0);
    lines_init(&fixture->lines, &fixture->heap.heap, fixture->ends[0]);
}

static void end(struct fixture *fixture)
{
    lines_deinit(&fixture->lines);
    close(fixture->ends[0]);
    if (fixture->ends[1] >= 0)
        close(fixture->ends[1]);
    assert_int_equal(fixture->heap.bytes, 0);
}

static void feed(struct fixture *fixture, struct span bytes)
{
    assert_int_equal(write(fixture->ends[1], bytes.ptr, bytes.len), bytes.len);
    assert_int_equal(lines_read(&fixture->lines), 0);
}

static void feed_end(struct fixture *fixture)
{
    close(fixture->ends[1]);
    fixture->ends[1] = -1;
    assert_int_equal(lines_read(&fixture->lines), 0);
}

static void assert_line(struct fixture *fixture, const char *expected)
{
    struct span line;
    assert_int_equal(lines_next(&fixture->lines, &line), 0);
    assert_int_equal(line.len, strlen(expected));
    assert_memory_equal(line.ptr, expected, line.len);
}

static void assert_outcome(struct fixture *fixture, int expected)
{
    struct span line;
    assert_int_equal(lines_next(&fixture->lines, &line), expected);
}

static void lines_come_whole_however_they_are_cut(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    assert_outcome(&fixture, LINES_E_MORE);
    feed(&fixture, span_text("one\ntw"));
    assert_line(&fixture, "one");
    assert_outcome(&fixture, LINES_E_MORE);
    feed(&fixture, span_text("o\n\nthree"));
    assert_line(&fixture, "two");
    assert_line(&fixture, "");
    assert_outcome(&fixture, LINES_E_MORE);
    feed_end(&fixture);
    assert_line(&fixture, "three");
    assert_outcome(&fixture, LINES_E_END);
    assert_outcome(&fixture, LINES_E_END);
    assert_int_equal(fixture.lines.check, crc32c_extend(0, span_text("one\ntwo\n\nthree")));
    end(&fixture);
}

static void an_end_after_the_last_line_adds_none(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    feed(&fixture, span_text("one\n"));
    feed_end(&fixture);
    assert_line(&fixture, "one");
    assert_outcome(&fixture, LINES_E_END);
    end(&fixture);
}

static void feed_many(struct fixture *fixture, size_t count)
{
    uint8_t bytes[4096];
    memset(bytes, 'x', sizeof bytes);
    while (count) {
        size_t len = count < sizeof bytes ? count : sizeof bytes;
        feed(fixture, span_of(bytes, len));
        struct span line;
        if (count > len)
            assert_int_equal(lines_next(&fixture->lines, &line), LINES_E_MORE);
        count -= len;
    }
}

static void a_line_at_the_limit_is_taken_and_one_beyond_is_passed_over(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    feed_many(&fixture, LINES_MAX);
    feed(&fixture, span_text("\n"));
    struct span line;
    assert_int_equal(lines_next(&fixture.lines, &line), 0);
    assert_int_equal(line.len, LINES_MAX);
    feed_many(&fixture, LINES_MAX + 1);
    feed(&fixture, span_text("\nnext\n"));
    assert_outcome(&fixture, LINES_E_LONG);
    assert_line(&fixture, "next");
    feed_many(&fixture, 3 * LINES_MAX + 70000);
    assert_true(fixture.lines.bytes.cap < 4 * LINES_MAX + 4 * LINES_READ_BYTES);
    feed_end(&fixture);
    assert_outcome(&fixture, LINES_E_LONG);
    assert_outcome(&fixture, LINES_E_END);
    end(&fixture);
}

static void different_keys_are_counted_once_each(void **state)
{
    (void)state;
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct distinct distinct;
    distinct_init(&distinct, &heap.heap, 7);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 20000; i++) {
            char key[16];
            int len = snprintf(key, sizeof key, "key %u", i);
            distinct_add(&distinct, span_of(key, (size_t)len));
        }
    }
    assert_int_equal(distinct.count, 20000);
    assert_false(distinct.has_failed);
    distinct_deinit(&distinct);
    assert_int_equal(heap.bytes, 0);
}

static void without_memory_the_count_is_a_lower_bound(void **state)
{
    (void)state;
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct distinct distinct;
    distinct_init(&distinct, &heap.heap, 7);
    distinct_add(&distinct, span_text("first"));
    heap.fail_after = 0;
    for (unsigned i = 0; i < 2000; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "key %u", i);
        distinct_add(&distinct, span_of(key, (size_t)len));
    }
    assert_true(distinct.has_failed);
    assert_in_range(distinct.count, 500, 2001);
    distinct_deinit(&distinct);
    assert_int_equal(heap.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole_however_they_are_cut),
        cmocka_unit_test(an_end_after_the_last_line_adds_none),
        cmocka_unit_test(a_line_at_the_limit_is_taken_and_one_beyond_is_passed_over),
        cmocka_unit_test(different_keys_are_counted_once_each),
        cmocka_unit_test(without_memory_the_count_is_a_lower_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
