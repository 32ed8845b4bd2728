// SPDX-License-Identifier: Apache-2.0
// Buffers: growth, and that a failed request at any point leaves what was there and says so once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/bytes.h"
#include "tests/lib/heap_libc.h"

struct fixture {
    struct heap_libc heap;
    struct buf buf;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    heap_libc_init(&fixture.heap);
    buf_init(&fixture.buf, &fixture.heap.heap);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    buf_deinit(&fixture->buf);
    return fixture->heap.bytes != 0; // a leak
}

static void what_is_put_is_there_in_order(void **state)
{
    struct buf *buf = &((struct fixture *)*state)->buf;
    for (int i = 0; i < 3000; i++)
        buf_put_byte(buf, (uint8_t)i);
    buf_put_text(buf, "end");
    buf_put(buf, (struct span){0});
    assert_int_equal(buf->len, 3003);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(buf->ptr[i], (uint8_t)i);
    assert_memory_equal(buf->ptr + 3000, "end", 3);
    assert_false(buf_has_failed(buf));
}

static void reserved_room_becomes_length_only_when_advanced(void **state)
{
    struct buf *buf = &((struct fixture *)*state)->buf;
    uint8_t *to = buf_reserve(buf, 10);
    memset(to, 'x', 10);
    assert_int_equal(buf->len, 0);
    buf_advance(buf, 4);
    assert_true(span_is_equal(buf_span(buf), span_text("xxxx")));
}

static void consumed_bytes_leave_from_the_front(void **state)
{
    struct buf *buf = &((struct fixture *)*state)->buf;
    buf_put_text(buf, "abcdef");
    buf_consume(buf, 0);
    buf_consume(buf, 4);
    assert_true(span_is_equal(buf_span(buf), span_text("ef")));
    buf_consume(buf, 2);
    assert_int_equal(buf->len, 0);
}

static void an_empty_buffer_gives_large_memory_back(void **state)
{
    struct fixture *fixture = *state;
    struct buf *buf = &fixture->buf;
    assert_non_null(buf_reserve(buf, 10000));
    buf_put_byte(buf, 1);
    buf_shrink(buf, 1000);
    assert_true(buf->cap >= 10000);
    buf_clear(buf);
    buf_shrink(buf, 1000000);
    assert_true(buf->cap >= 10000);
    buf_shrink(buf, 1000);
    assert_int_equal(fixture->heap.bytes, 0);
    buf_put_byte(buf, 1);
    assert_int_equal(buf->len, 1);
}

static void a_size_beyond_all_memory_is_a_failure(void **state)
{
    struct buf *buf = &((struct fixture *)*state)->buf;
    buf_put_byte(buf, 1);
    assert_null(buf_reserve(buf, SIZE_MAX));
    assert_true(buf_has_failed(buf));
    assert_int_equal(buf->len, 1);
    buf_clear(buf);
    assert_null(buf_reserve(buf, SIZE_MAX / 2 + 2));
}

static void put_everything(struct buf *buf)
{
    for (int i = 0; i < 200; i++) {
        buf_put_text(buf, "text");
        buf_put_byte(buf, 1);
        bytes_put_u32(buf, 1);
        bytes_put_u64(buf, 1);
        bytes_put_varint(buf, 1000);
        bytes_put_signed(buf, -1000);
        bytes_put_string(buf, span_text("string"));
    }
}

static void a_failed_request_is_sticky_and_keeps_what_was_there(void **state)
{
    struct fixture *fixture = *state;
    struct buf *buf = &fixture->buf;
    bool has_failed = true;
    long requests = 0;
    for (; has_failed; requests++) {
        buf_deinit(buf);
        fixture->heap.fail_after = requests;
        put_everything(buf);
        has_failed = buf_has_failed(buf);
        size_t len = buf->len;
        assert_true(len <= buf->cap);
        if (!has_failed)
            break;
        put_everything(buf); // memory is back, the buffer does not take a part after a hole
        assert_int_equal(buf->len, len);
        assert_null(buf_reserve(buf, 1));
        buf_clear(buf);
        put_everything(buf);
        assert_false(buf_has_failed(buf));
    }
    assert_true(requests > 3);
    fixture->heap.fail_after = -1;
}

static void words_are_compared_without_case(void **state)
{
    (void)state;
    assert_true(span_is_word(span_text("InCr"), "INCR"));
    assert_false(span_is_word(span_text("INC"), "INCR"));
    assert_false(span_is_word(span_text("INCRBY"), "INCR"));
    assert_true(span_is_word((struct span){0}, ""));
    assert_false(span_is_word(span_of("a\0", 2), "a"));
    assert_false(span_is_word(span_text("["), "{")); // differ by the case bit only
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_there_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reserved_room_becomes_length_only_when_advanced, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(consumed_bytes_leave_from_the_front, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_buffer_gives_large_memory_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_size_beyond_all_memory_is_a_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_request_is_sticky_and_keeps_what_was_there, set_up,
                                        tear_down),
        cmocka_unit_test(words_are_compared_without_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
