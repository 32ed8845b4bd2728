// SPDX-License-Identifier: Apache-2.0
// HyperLogLog: what is estimated, within its stated error, and its bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "base/prng.h"
#include "crdt/sketch.h"

#define SIGMA 0.0081250 // 1.04 / sqrt(2^14)

static void add_number(struct sketch *sketch, uint64_t number)
{
    uint8_t bytes[8];
    bytes_write_u64(bytes, number);
    sketch_raise(sketch, sketch_hit(span_of(bytes, sizeof bytes)));
}

static double error_of(const struct sketch *sketch, uint64_t truth)
{
    return ((double)sketch_estimate(sketch) - (double)truth) / (double)truth;
}

static void nothing_is_estimated_as_nothing(void **state)
{
    static struct sketch sketch;
    (void)state;
    sketch_init(&sketch);
    assert_int_equal(sketch_estimate(&sketch), 0);
}

static void small_numbers_are_nearly_exact(void **state)
{
    static struct sketch sketch;
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sketch_init(&sketch);
        for (uint64_t n = 1; n <= 200; n++) {
            add_number(&sketch, seed << 40 | n);
            double off = fabs((double)sketch_estimate(&sketch) - (double)n);
            assert_true(off <= 1 + 0.02 * (double)n);
        }
    }
}

// Every estimate on the way to ten million is within four standard errors, most are within one.
static void the_error_is_within_its_bound_up_to_ten_million(void **state)
{
    static struct sketch sketch;
    unsigned looked = 0, within_one = 0;
    (void)state;
    sketch_init(&sketch);
    uint64_t next = 1000;
    for (uint64_t n = 1; n <= 10000000; n++) {
        add_number(&sketch, n * 2654435761u);
        if (n < next)
            continue;
        double error = fabs(error_of(&sketch, n));
        assert_true(error < 4 * SIGMA);
        looked++;
        within_one += error < SIGMA;
        next = n + n / 20;
    }
    assert_true(looked > 150 && within_one * 10 > looked * 5);
}

static void over_many_streams_the_error_is_as_stated(void **state)
{
    static const uint64_t lengths[] = {1000, 10000, 40000, 100000, 400000};
    static struct sketch sketch;
    (void)state;
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        double squares = 0, sum = 0;
        const unsigned streams = 60;
        for (uint64_t stream = 0; stream < streams; stream++) {
            struct prng prng;
            prng_init(&prng, stream * 1000 + i);
            sketch_init(&sketch);
            for (uint64_t n = 0; n < lengths[i]; n++)
                add_number(&sketch, prng_next(&prng));
            double error = error_of(&sketch, lengths[i]);
            squares += error * error;
            sum += error;
        }
        assert_true(sqrt(squares / streams) < 1.3 * SIGMA);
        assert_true(fabs(sum / streams) < 0.5 * SIGMA); // no bias
    }
}

static void union_is_the_sketch_of_both(void **state)
{
    static struct sketch one, other, both, again;
    static uint8_t bytes[3 * SKETCH_REGISTERS];
    (void)state;
    sketch_init(&one);
    sketch_init(&other);
    sketch_init(&both);
    for (uint64_t n = 0; n < 5000; n++) {
        add_number(&one, n);
        add_number(&other, n + 2500);
        add_number(&both, n);
        add_number(&both, n + 2500);
    }
    size_t len = sketch_write(&other, 0, SKETCH_REGISTERS, bytes);
    assert_true(sketch_join(&one, span_of(bytes, len), 0));
    assert_memory_equal(&one, &both, sizeof one);
    sketch_init(&again);
    for (unsigned block = 0; block < SKETCH_BLOCKS; block++) {
        uint8_t part[SKETCH_LIST_BYTES];
        len = sketch_write_block(&both, block * SKETCH_BLOCK, part);
        assert_true(len <= SKETCH_PACKED_BYTES);
        assert_true(sketch_join_block(&again, span_of(part, len), block * SKETCH_BLOCK));
        for (unsigned i = 0; i < SKETCH_BLOCK; i++)
            assert_int_equal(sketch_block_rank(span_of(part, len), i),
                             both.rank[block * SKETCH_BLOCK + i]);
    }
    assert_memory_equal(&again, &both, sizeof both);
}

static void blocks_of_any_filling_are_read_back_the_same(void **state)
{
    static struct sketch sketch, again;
    struct prng prng;
    (void)state;
    prng_init(&prng, 5);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t part[SKETCH_LIST_BYTES];
        unsigned filled = (unsigned)prng_below(&prng, SKETCH_BLOCK + 1);
        unsigned first = (unsigned)prng_below(&prng, SKETCH_BLOCKS) * SKETCH_BLOCK;
        sketch_init(&sketch);
        sketch_init(&again);
        for (unsigned i = 0; i < filled; i++) {
            struct sketch_hit hit = {(uint16_t)(first + prng_below(&prng, SKETCH_BLOCK)),
                                     (uint8_t)(1 + prng_below(&prng, SKETCH_RANK_MAX))};
            sketch_raise(&sketch, hit);
        }
        size_t len = sketch_write_block(&sketch, first, part);
        assert_true(sketch_join_block(&again, span_of(part, len), first));
        assert_memory_equal(&again, &sketch, sizeof sketch);
    }
}

static void a_list_of_twenty_is_short(void **state)
{
    static struct sketch sketch;
    uint8_t bytes[60];
    (void)state;
    sketch_init(&sketch);
    for (uint64_t n = 0; n < 20; n++)
        add_number(&sketch, n);
    assert_true(sketch_write(&sketch, 0, SKETCH_REGISTERS, bytes) <= 60);
    for (unsigned i = 0; i < SKETCH_REGISTERS; i++)
        assert_int_equal(sketch_rank(span_of(bytes, sizeof bytes), i), sketch.rank[i]);
}

static void malformed_bytes_are_refused(void **state)
{
    static struct sketch sketch;
    (void)state;
    static const uint8_t no_rank[] = {0x40}, high_rank[] = {52}, torn[] = {0x80};
    static const uint8_t beyond[] = {0xc1, 0xff, 0x7f};
    uint8_t packed[SKETCH_PACKED_BYTES];
    memset(packed, 0xff, sizeof packed);
    sketch_init(&sketch);
    assert_false(sketch_join(&sketch, span_of(no_rank, sizeof no_rank), 0));
    assert_false(sketch_join(&sketch, span_of(high_rank, sizeof high_rank), 0));
    assert_false(sketch_join(&sketch, span_of(torn, sizeof torn), 0));
    assert_false(sketch_join(&sketch, span_of(beyond, sizeof beyond), 0));
    assert_false(sketch_join_block(&sketch, span_of(packed, sizeof packed), 0));
    static const uint8_t low[] = {1, 1};
    assert_false(sketch_join(&sketch, span_of(low, sizeof low), SKETCH_REGISTERS - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_estimated_as_nothing),
        cmocka_unit_test(small_numbers_are_nearly_exact),
        cmocka_unit_test(the_error_is_within_its_bound_up_to_ten_million),
        cmocka_unit_test(over_many_streams_the_error_is_as_stated),
        cmocka_unit_test(union_is_the_sketch_of_both),
        cmocka_unit_test(blocks_of_any_filling_are_read_back_the_same),
        cmocka_unit_test(a_list_of_twenty_is_short),
        cmocka_unit_test(malformed_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
