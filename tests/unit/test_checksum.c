// SPDX-License-Identifier: Apache-2.0
// CRC-32C against published answers, the table hash and the generator against what they must be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/prng.h"

static void crc32c_gives_the_known_answers(void **state)
{
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(crc32c_extend(0, (struct span){0}), 0);
    assert_int_equal(crc32c_extend(0, span_text("123456789")), 0xe3069283u);
    memset(bytes, 0, sizeof bytes); // RFC 3720, B.4
    assert_int_equal(crc32c_extend(0, span_of(bytes, 32)), 0x8a9136aau);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c_extend(0, span_of(bytes, 32)), 0x62a8ab43u);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c_extend(0, span_of(bytes, 32)), 0x46dd794eu);
}

static uint32_t crc_bit_by_bit(struct span span)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < span.len; i++) {
        crc ^= span.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

static void crc32c_is_the_same_in_one_piece_or_many_at_any_alignment(void **state)
{
    (void)state;
    uint8_t bytes[100];
    struct prng prng;
    prng_init(&prng, 3);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)prng_next(&prng);
    for (size_t from = 0; from < 9; from++) {
        for (size_t len = 0; len + from <= sizeof bytes; len++) {
            struct span whole = span_of(bytes + from, len);
            uint32_t crc = crc32c_extend(0, whole);
            assert_int_equal(crc, crc_bit_by_bit(whole));
            size_t cut = prng_below(&prng, len + 1);
            uint32_t first = crc32c_extend(0, span_of(bytes + from, cut));
            assert_int_equal(crc32c_extend(first, span_of(bytes + from + cut, len - cut)), crc);
        }
    }
}

static void the_hash_depends_on_every_byte_the_length_and_the_seed(void **state)
{
    (void)state;
    uint8_t bytes[40] = {0};
    for (size_t len = 0; len <= sizeof bytes; len++) {
        uint64_t hash = hash_bytes(span_of(bytes, len), 7);
        assert_int_equal(hash, hash_bytes(span_of(bytes, len), 7));
        assert_int_not_equal(hash, hash_bytes(span_of(bytes, len), 8));
        if (len < sizeof bytes)
            assert_int_not_equal(hash, hash_bytes(span_of(bytes, len + 1), 7));
        for (size_t i = 0; i < len; i++) {
            bytes[i] ^= 0x10;
            assert_int_not_equal(hash, hash_bytes(span_of(bytes, len), 7));
            bytes[i] ^= 0x10;
        }
    }
}

static void the_hash_spreads_keys_that_differ_little(void **state)
{
    (void)state;
    unsigned low[256] = {0}, high[256] = {0};
    for (uint32_t i = 0; i < 65536; i++) {
        uint8_t key[12] = "counter:";
        memcpy(key + 8, &i, 4);
        uint64_t hash = hash_bytes(span_of(key, sizeof key), 0x1234567);
        low[hash & 255]++;
        high[hash >> 56]++;
    }
    for (int i = 0; i < 256; i++) { // 256 expected, standard deviation 16
        assert_in_range(low[i], 150, 370);
        assert_in_range(high[i], 150, 370);
    }
}

static void the_generator_gives_the_reference_sequence(void **state)
{
    (void)state;
    // xoshiro256** seeded by splitmix64 from 0, as its authors' code gives.
    static const uint64_t expected[] = {0x99ec5f36cb75f2b4u, 0xbf6e1f784956452au,
                                        0x1a5f849d4933e6e0u, 0x6aa594f1262d2d2cu,
                                        0xbba5ad4a1f842e59u};
    struct prng prng;
    prng_init(&prng, 0);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(prng_next(&prng), expected[i]);
    assert_int_equal(prng_mix(0), 0xe220a8397b1dcdafu);
}

static void bounded_draws_stay_below_and_reach_all(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 9);
    unsigned met[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t draw = prng_below(&prng, 7);
        assert_true(draw < 7);
        met[draw]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(met[i], 800, 1200);
    assert_int_equal(prng_below(&prng, 0), 0);
    assert_int_equal(prng_below(&prng, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_known_answers),
        cmocka_unit_test(crc32c_is_the_same_in_one_piece_or_many_at_any_alignment),
        cmocka_unit_test(the_hash_depends_on_every_byte_the_length_and_the_seed),
        cmocka_unit_test(the_hash_spreads_keys_that_differ_little),
        cmocka_unit_test(the_generator_gives_the_reference_sequence),
        cmocka_unit_test(bounded_draws_stay_below_and_reach_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
