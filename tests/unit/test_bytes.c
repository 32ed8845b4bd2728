// SPDX-License-Identifier: Apache-2.0
// Integers to bytes and back: every width at its edges, and readers that meet the end or nonsense.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/bytes.h"
#include "base/hex.h"
#include "tests/lib/heap_libc.h"

static const uint64_t edges[] = {0,          1,
                                 0x7f,       0x80,
                                 0x3fff,     0x4000,
                                 UINT32_MAX, (uint64_t)UINT32_MAX + 1,
                                 INT64_MAX,  (uint64_t)INT64_MAX + 1,
                                 UINT64_MAX};
#define EDGES_COUNT (sizeof edges / sizeof *edges)

static void varints_come_back_as_they_were(void **state)
{
    (void)state;
    for (size_t i = 0; i < EDGES_COUNT; i++) {
        uint8_t bytes[10];
        size_t len = (size_t)(bytes_write_varint(bytes, edges[i]) - bytes);
        assert_in_range(len, 1, 10);
        struct reader reader = reader_of(span_of(bytes, len));
        assert_int_equal(reader_varint(&reader), edges[i]);
        assert_false(reader.failed);
        assert_int_equal(reader_left(&reader), 0);
    }
}

static void varints_of_seven_bits_take_one_byte(void **state)
{
    (void)state;
    uint8_t bytes[10];
    assert_ptr_equal(bytes_write_varint(bytes, 127), bytes + 1);
    assert_ptr_equal(bytes_write_varint(bytes, 128), bytes + 2);
    assert_ptr_equal(bytes_write_signed(bytes, -64), bytes + 1);
    assert_ptr_equal(bytes_write_signed(bytes, 64), bytes + 2);
    assert_ptr_equal(bytes_write_varint(bytes, UINT64_MAX), bytes + 10);
}

static void signed_varints_come_back_as_they_were(void **state)
{
    (void)state;
    static const int64_t values[] = {0, -1, 1, 63, -64, 64, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        uint8_t bytes[10];
        size_t len = (size_t)(bytes_write_signed(bytes, values[i]) - bytes);
        struct reader reader = reader_of(span_of(bytes, len));
        assert_true(reader_signed(&reader) == values[i]);
        assert_false(reader.failed);
    }
}

static void a_varint_above_64_bits_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[11];
    memset(bytes, 0x80, sizeof bytes);
    struct reader endless = reader_of(span_of(bytes, sizeof bytes));
    assert_int_equal(reader_varint(&endless), 0);
    assert_true(endless.failed);
    memset(bytes, 0xff, 9);
    bytes[9] = 2; // bit 64
    struct reader wide = reader_of(span_of(bytes, 10));
    assert_int_equal(reader_varint(&wide), 0);
    assert_true(wide.failed);
    bytes[9] = 1;
    struct reader widest = reader_of(span_of(bytes, 10));
    assert_true(reader_varint(&widest) == UINT64_MAX);
    assert_false(widest.failed);
}

static void a_varint_cut_short_fails_and_stays_failed(void **state)
{
    (void)state;
    uint8_t bytes[10];
    size_t len = (size_t)(bytes_write_varint(bytes, UINT64_MAX) - bytes);
    for (size_t cut = 0; cut < len; cut++) {
        struct reader reader = reader_of(span_of(bytes, cut));
        assert_int_equal(reader_varint(&reader), 0);
        assert_true(reader.failed);
        assert_int_equal(reader_u8(&reader), 0);
        assert_int_equal(reader_varint(&reader), 0);
        assert_int_equal(reader_bytes(&reader, 0).len, 0);
    }
}

static void fixed_widths_are_little_endian(void **state)
{
    (void)state;
    uint8_t bytes[8];
    bytes_write_u32(bytes, 0x04030201u);
    static const uint8_t four[] = {1, 2, 3, 4};
    assert_memory_equal(bytes, four, 4);
    assert_int_equal(bytes_read_u32(bytes), 0x04030201u);
    bytes_write_u64(bytes, 0x0807060504030201u);
    static const uint8_t eight[] = {1, 2, 3, 4, 5, 6, 7, 8};
    assert_memory_equal(bytes, eight, 8);
    assert_int_equal(bytes_read_u64(bytes), 0x0807060504030201u);
}

static void hexadecimal_is_read_as_it_was_written(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0x9a, 0xff};
    uint8_t text[6];
    assert_ptr_equal(hex_write(text, span_of(bytes, sizeof bytes)), text + 6);
    assert_memory_equal(text, "009aff", 6);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]), bytes[i]);
    assert_int_equal(hex_value('F'), 15);
    for (const char *at = "/:@Gg`"; *at; at++)
        assert_int_equal(hex_value((uint8_t)*at), -1);
}

static void what_a_buffer_was_given_a_reader_returns(void **state)
{
    (void)state;
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf buf;
    buf_init(&buf, &heap.heap);
    bytes_put_u32(&buf, 7);
    bytes_put_u64(&buf, UINT64_MAX - 1);
    bytes_put_varint(&buf, 300);
    bytes_put_signed(&buf, -300);
    bytes_put_string(&buf, span_text("quipu"));
    struct reader reader = reader_of(buf_span(&buf));
    assert_int_equal(reader_u32(&reader), 7);
    assert_true(reader_u64(&reader) == UINT64_MAX - 1);
    assert_int_equal(reader_varint(&reader), 300);
    assert_int_equal(reader_signed(&reader), -300);
    assert_true(span_is_equal(reader_string(&reader, 5), span_text("quipu")));
    assert_false(reader.failed);
    assert_int_equal(reader_left(&reader), 0);
    buf_deinit(&buf);
    assert_int_equal(heap.bytes, 0);
}

static void a_string_longer_than_allowed_or_than_its_bytes_is_refused(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {5, 'q', 'u', 'i', 'p', 'u'};
    struct reader longer = reader_of(span_of(bytes, sizeof bytes));
    assert_int_equal(reader_string(&longer, 4).len, 0);
    assert_true(longer.failed);
    struct reader shorter = reader_of(span_of(bytes, sizeof bytes - 1));
    assert_int_equal(reader_string(&shorter, 100).len, 0);
    assert_true(shorter.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_come_back_as_they_were),
        cmocka_unit_test(varints_of_seven_bits_take_one_byte),
        cmocka_unit_test(signed_varints_come_back_as_they_were),
        cmocka_unit_test(a_varint_above_64_bits_is_refused),
        cmocka_unit_test(a_varint_cut_short_fails_and_stays_failed),
        cmocka_unit_test(fixed_widths_are_little_endian),
        cmocka_unit_test(hexadecimal_is_read_as_it_was_written),
        cmocka_unit_test(what_a_buffer_was_given_a_reader_returns),
        cmocka_unit_test(a_string_longer_than_allowed_or_than_its_bytes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
