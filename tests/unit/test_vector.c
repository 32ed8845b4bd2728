// SPDX-License-Identifier: Apache-2.0
// Incarnations, their table, and version vectors with their codec.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/prng.h"
#include "crdt/vector.h"
#include "tests/lib/heap_libc.h"

static struct incarnation incarnation_of(uint32_t number)
{
    struct incarnation incarnation = {{0}};
    bytes_write_u32(incarnation.bytes, number);
    incarnation.bytes[15] = 1;
    return incarnation;
}

static void put_origins(struct origins *origins, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct incarnation incarnation = incarnation_of(first + i);
        uint16_t index;
        assert_int_equal(origins_obtain(origins, &incarnation, &index), 0);
    }
}

static void an_incarnation_gets_one_index_for_good(void **state)
{
    (void)state;
    struct origins origins = {.count = 0};
    struct incarnation one = incarnation_of(1), two = incarnation_of(2);
    uint16_t index;
    assert_int_equal(origins_find(&origins, &one), ORIGIN_NONE);
    assert_int_equal(origins_obtain(&origins, &one, &index), 0);
    assert_int_equal(index, 0);
    assert_int_equal(origins_obtain(&origins, &two, &index), 0);
    assert_int_equal(index, 1);
    assert_int_equal(origins_obtain(&origins, &one, &index), 0);
    assert_int_equal(index, 0);
    assert_int_equal(origins_find(&origins, &two), 1);
    assert_int_equal(origins.count, 2);
}

static void the_table_of_incarnations_has_a_limit(void **state)
{
    (void)state;
    struct origins origins = {.count = 0};
    put_origins(&origins, 0, LIMIT_ORIGINS);
    struct incarnation last = incarnation_of(LIMIT_ORIGINS - 1), more = incarnation_of(99999);
    uint16_t index = 42;
    assert_int_equal(origins_obtain(&origins, &more, &index), ORIGIN_E_FULL);
    assert_int_equal(index, 42);
    assert_int_equal(origins_obtain(&origins, &last, &index), 0);
    assert_int_equal(index, LIMIT_ORIGINS - 1);
}

static void incarnations_are_ordered_by_their_bytes(void **state)
{
    (void)state;
    struct incarnation low = {{0}}, high = {{0}};
    assert_true(incarnation_is_zero(&low));
    high.bytes[0] = 0x80;
    low.bytes[15] = 0xff;
    assert_false(incarnation_is_zero(&low));
    assert_int_equal(incarnation_compare(&low, &high), -1);
    assert_int_equal(incarnation_compare(&high, &low), 1);
    assert_int_equal(incarnation_compare(&low, &low), 0);
    assert_false(incarnation_is_equal(&low, &high));
    assert_true(incarnation_is_equal(&low, &low));
}

static void a_join_is_the_larger_of_each_entry(void **state)
{
    (void)state;
    struct vector a = {{3, 0, 7}}, b = {{2, 5, 7}};
    assert_false(vector_is_covering(&a, &b));
    assert_false(vector_is_covering(&b, &a));
    assert_true(vector_join(&a, &b));
    assert_int_equal(a.sequence[0], 3);
    assert_int_equal(a.sequence[1], 5);
    assert_int_equal(a.sequence[2], 7);
    assert_true(vector_is_covering(&a, &b));
    assert_false(vector_join(&a, &b));
    a = (struct vector){{0}};
    b = (struct vector){{0}};
    b.sequence[LIMIT_ORIGINS - 1] = 1;
    assert_false(vector_is_covering(&a, &b));
    assert_true(vector_join(&a, &b));
}

static void a_meet_is_the_smaller_of_each_entry(void **state)
{
    (void)state;
    struct vector a = {{3, 0, 7}}, b = {{2, 5, 7}};
    assert_true(vector_meet(&a, &b));
    assert_int_equal(a.sequence[0], 2);
    assert_int_equal(a.sequence[1], 0);
    assert_int_equal(a.sequence[2], 7);
    assert_true(vector_is_covering(&b, &a));
    assert_false(vector_meet(&a, &b));
}

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
    return fixture->heap.bytes != 0;
}

static void a_vector_is_read_by_a_process_that_counts_otherwise(void **state)
{
    struct buf *buf = &((struct fixture *)*state)->buf;
    struct origins here = {.count = 0}, there = {.count = 0};
    struct vector vector = {{9, 0, UINT64_MAX}}, read;
    put_origins(&here, 1, 3);  // 1 2 3
    put_origins(&there, 3, 2); // 3 4
    vector_write(&vector, &here, buf);
    struct reader reader = reader_of(buf_span(buf));
    memset(&read, 0xff, sizeof read);
    assert_int_equal(vector_read(&reader, &there, &read), 0);
    assert_int_equal(reader_left(&reader), 0);
    assert_int_equal(there.count, 3); // 1 became known, 2 was not named
    struct incarnation one = incarnation_of(1);
    assert_int_equal(read.sequence[origins_find(&there, &one)], 9);
    assert_true(read.sequence[0] == UINT64_MAX);
    for (size_t i = 3; i < LIMIT_ORIGINS; i++)
        assert_int_equal(read.sequence[i], 0);
}

static void a_vector_cut_short_changes_nothing(void **state)
{
    struct buf *buf = &((struct fixture *)*state)->buf;
    struct origins here = {.count = 0};
    struct vector vector = {{9, 300, 7}}, read = {{1, 2, 3}};
    put_origins(&here, 1, 3);
    vector_write(&vector, &here, buf);
    for (size_t len = 0; len < buf->len; len++) {
        struct origins there = {.count = 0};
        struct reader reader = reader_of(span_of(buf->ptr, len));
        assert_int_equal(vector_read(&reader, &there, &read), VECTOR_E_MALFORMED);
        assert_int_equal(there.count, 0);
        assert_int_equal(read.sequence[1], 2);
    }
}

static void put_entry(struct buf *buf, const struct incarnation *incarnation, uint64_t sequence)
{
    buf_put(buf, span_of(incarnation->bytes, sizeof incarnation->bytes));
    bytes_put_varint(buf, sequence);
}

static int read_bytes(struct buf *buf, struct origins *origins)
{
    struct vector read;
    struct reader reader = reader_of(buf_span(buf));
    int outcome = vector_read(&reader, origins, &read);
    buf_clear(buf);
    return outcome;
}

static void repeated_zero_and_uncounted_entries_are_malformed(void **state)
{
    struct buf *buf = &((struct fixture *)*state)->buf;
    struct origins origins = {.count = 0};
    struct incarnation one = incarnation_of(1), zero = {{0}};
    bytes_put_varint(buf, 2);
    put_entry(buf, &one, 5);
    put_entry(buf, &one, 6);
    assert_int_equal(read_bytes(buf, &origins), VECTOR_E_MALFORMED);
    bytes_put_varint(buf, 1);
    put_entry(buf, &one, 0);
    assert_int_equal(read_bytes(buf, &origins), VECTOR_E_MALFORMED);
    bytes_put_varint(buf, 1);
    put_entry(buf, &zero, 5);
    assert_int_equal(read_bytes(buf, &origins), VECTOR_E_MALFORMED);
    bytes_put_varint(buf, UINT64_MAX);
    put_entry(buf, &one, 5);
    assert_int_equal(read_bytes(buf, &origins), VECTOR_E_MALFORMED);
    assert_int_equal(origins.count, 0);
}

static void a_vector_of_too_many_origins_is_refused_whole(void **state)
{
    struct buf *buf = &((struct fixture *)*state)->buf;
    struct origins origins = {.count = 0};
    put_origins(&origins, 0, LIMIT_ORIGINS - 1);
    bytes_put_varint(buf, 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct incarnation fresh = incarnation_of(50000 + i);
        put_entry(buf, &fresh, 1);
    }
    assert_int_equal(read_bytes(buf, &origins), VECTOR_E_FULL);
    assert_int_equal(origins.count, LIMIT_ORIGINS - 1);
}

static void any_vector_comes_back_as_it_was(void **state)
{
    struct buf *buf = &((struct fixture *)*state)->buf;
    struct prng prng;
    prng_init(&prng, 4);
    for (int round = 0; round < 200; round++) {
        struct origins origins = {.count = 0}, there = {.count = 0};
        struct vector vector = {{0}}, read;
        uint32_t count = (uint32_t)prng_below(&prng, LIMIT_ORIGINS + 1);
        put_origins(&origins, 1, count);
        put_origins(&there, 1, count);
        for (uint32_t i = 0; i < count; i++)
            vector.sequence[i] = prng_next(&prng) >> prng_below(&prng, 65) % 64;
        buf_clear(buf);
        vector_write(&vector, &origins, buf);
        struct reader reader = reader_of(buf_span(buf));
        assert_int_equal(vector_read(&reader, &there, &read), 0);
        assert_memory_equal(&vector, &read, sizeof vector);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_incarnation_gets_one_index_for_good),
        cmocka_unit_test(the_table_of_incarnations_has_a_limit),
        cmocka_unit_test(incarnations_are_ordered_by_their_bytes),
        cmocka_unit_test(a_join_is_the_larger_of_each_entry),
        cmocka_unit_test(a_meet_is_the_smaller_of_each_entry),
        cmocka_unit_test_setup_teardown(a_vector_is_read_by_a_process_that_counts_otherwise, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_vector_cut_short_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(repeated_zero_and_uncounted_entries_are_malformed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_vector_of_too_many_origins_is_refused_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(any_vector_comes_back_as_it_was, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
