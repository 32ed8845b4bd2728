// SPDX-License-Identifier: Apache-2.0
// Heartbeat datagrams: round trip, limits, secrets, and everything malformed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/prng.h"
#include "wire/heartbeat.h"

static const struct heartbeat_key key = {.id = 7, .secret = {(const uint8_t *)"secret", 6}};

static struct heartbeat head(void)
{
    return (struct heartbeat){.node = 0x0123456789abcdefu,
                              .boot = 1700000000000u,
                              .sequence = 42,
                              .interval_ms = 1000,
                              .is_rotation = true,
                              .address = span_text("127.0.0.1:7004")};
}

static struct span sample(struct heartbeat_writer *writer, const struct heartbeat_key *with)
{
    struct heartbeat of = head();
    assert_int_equal(heartbeat_begin(writer, &of, with), 0);
    struct heartbeat_entry first = {.page = span_text("/a"), .publishers = 3};
    struct heartbeat_entry second = {
        .page = span_of("\0\xff", 2), .publishers = UINT64_MAX, .has_subscribers = true};
    assert_int_equal(heartbeat_add(writer, &first), 0);
    assert_int_equal(heartbeat_add(writer, &second), 0);
    return heartbeat_end(writer);
}

static void assert_sample(struct heartbeat *heartbeat)
{
    struct heartbeat of = head();
    assert_true(heartbeat->node == of.node && heartbeat->boot == of.boot);
    assert_true(heartbeat->sequence == 42 && heartbeat->interval_ms == 1000);
    assert_true(heartbeat->is_rotation && !heartbeat->is_bye);
    assert_true(span_is_equal(heartbeat->address, of.address));
    assert_int_equal(heartbeat->count, 2);
    struct heartbeat_entry entry;
    assert_true(heartbeat_next(heartbeat, &entry));
    assert_true(span_is_equal(entry.page, span_text("/a")));
    assert_true(entry.publishers == 3 && !entry.has_subscribers);
    assert_true(heartbeat_next(heartbeat, &entry));
    assert_true(span_is_equal(entry.page, span_of("\0\xff", 2)));
    assert_true(entry.publishers == UINT64_MAX && entry.has_subscribers);
    assert_false(heartbeat_next(heartbeat, &entry));
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct heartbeat_writer writer;
    struct heartbeat heartbeat;
    struct span datagram = sample(&writer, NULL);
    assert_int_equal(heartbeat_parse(datagram, NULL, 0, &heartbeat), 0);
    assert_sample(&heartbeat);
    datagram = sample(&writer, &key);
    assert_int_equal(heartbeat_parse(datagram, &key, 1, &heartbeat), 0);
    assert_sample(&heartbeat);
}

static void a_bye_may_be_empty(void **state)
{
    (void)state;
    struct heartbeat_writer writer;
    struct heartbeat heartbeat, bye = {.node = 1, .is_bye = true};
    assert_int_equal(heartbeat_begin(&writer, &bye, NULL), 0);
    assert_int_equal(heartbeat_parse(heartbeat_end(&writer), NULL, 0, &heartbeat), 0);
    assert_true(heartbeat.is_bye && !heartbeat.is_rotation && heartbeat.count == 0);
    assert_int_equal(heartbeat.address.len, 0);
}

static void secrets_decide(void **state)
{
    (void)state;
    static const struct heartbeat_key other = {.id = 8, .secret = {(const uint8_t *)"other", 5}};
    static const struct heartbeat_key same_id = {.id = 7, .secret = {(const uint8_t *)"other", 5}};
    const struct heartbeat_key both[] = {other, key};
    struct heartbeat_writer writer;
    struct heartbeat heartbeat;
    struct span datagram = sample(&writer, &key);
    assert_int_equal(heartbeat_parse(datagram, NULL, 0, &heartbeat), HEARTBEAT_E_SECRET);
    assert_int_equal(heartbeat_parse(datagram, &other, 1, &heartbeat), HEARTBEAT_E_SECRET);
    assert_int_equal(heartbeat_parse(datagram, &same_id, 1, &heartbeat), HEARTBEAT_E_SECRET);
    assert_int_equal(heartbeat_parse(datagram, both, 2, &heartbeat), 0);
    datagram = sample(&writer, NULL);
    assert_int_equal(heartbeat_parse(datagram, &key, 1, &heartbeat), HEARTBEAT_E_SECRET);
    datagram = sample(&writer, &(struct heartbeat_key){.id = 7});
    assert_int_equal(heartbeat_parse(datagram, NULL, 0, &heartbeat), 0);
}

static void every_flipped_bit_of_a_signed_one_is_refused(void **state)
{
    (void)state;
    struct heartbeat_writer writer;
    struct heartbeat heartbeat;
    struct span datagram = sample(&writer, &key);
    for (size_t bit = 0; bit < 8 * datagram.len; bit++) {
        writer.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(heartbeat_parse(datagram, &key, 1, &heartbeat), 0);
        writer.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(heartbeat_parse(datagram, &key, 1, &heartbeat), 0);
}

static void every_other_length_is_refused(void **state)
{
    (void)state;
    const struct heartbeat_key *keys[] = {NULL, &key};
    for (size_t k = 0; k < 2; k++) {
        struct heartbeat_writer writer;
        struct heartbeat heartbeat;
        struct span datagram = sample(&writer, keys[k]);
        for (size_t len = 0; len <= HEARTBEAT_BYTES_MAX; len++) {
            uint8_t *copy = calloc(1, len ? len : 1); // so that reading past it is seen
            memcpy(copy, datagram.ptr, len < datagram.len ? len : datagram.len);
            int outcome = heartbeat_parse(span_of(copy, len), keys[k], k, &heartbeat);
            assert_true((outcome == 0) == (len == datagram.len));
            free(copy);
        }
    }
    static const uint8_t large[HEARTBEAT_BYTES_MAX + 1] = "QUHB";
    struct heartbeat heartbeat;
    assert_int_equal(heartbeat_parse(span_of(large, sizeof large), NULL, 0, &heartbeat),
                     HEARTBEAT_E_MALFORMED);
}

static void fields_are_checked(void **state)
{
    (void)state;
    struct heartbeat_writer writer;
    struct heartbeat heartbeat;
    struct span datagram = sample(&writer, NULL);
    size_t address_at = 35, count_at = 36 + 14, entry_at = count_at + 2;
    const struct {
        size_t at;
        uint8_t byte;
        int outcome;
    } rows[] = {
        {0, 'q', HEARTBEAT_E_MALFORMED},
        {4, 2, HEARTBEAT_E_VERSION},
        {5, 4, HEARTBEAT_E_MALFORMED},
        {6, 1, HEARTBEAT_E_SECRET},
        {address_at, 255, HEARTBEAT_E_MALFORMED},
        {address_at + 1, '\n', HEARTBEAT_E_MALFORMED},
        {address_at + 1, ' ', HEARTBEAT_E_MALFORMED},
        {count_at, 1, HEARTBEAT_E_MALFORMED},
        {count_at, 3, HEARTBEAT_E_MALFORMED},
        {count_at + 1, 1, HEARTBEAT_E_MALFORMED},
        {entry_at, 0, HEARTBEAT_E_MALFORMED},        // an empty page
        {entry_at, 200, HEARTBEAT_E_MALFORMED},      // a page past the end
        {entry_at + 4, 2, HEARTBEAT_E_MALFORMED},    // a flag nobody knows
        {entry_at + 3, 0x83, HEARTBEAT_E_MALFORMED}, // then the flags end a longer varint
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t before = writer.bytes[rows[i].at];
        writer.bytes[rows[i].at] = rows[i].byte;
        assert_int_equal(heartbeat_parse(datagram, NULL, 0, &heartbeat), rows[i].outcome);
        writer.bytes[rows[i].at] = before;
    }
    assert_int_equal(heartbeat_parse(datagram, NULL, 0, &heartbeat), 0);
}

static void a_full_datagram_says_so(void **state)
{
    (void)state;
    char long_address[HEARTBEAT_ADDRESS_BYTES_MAX + 1], long_page[HEARTBEAT_PAGE_BYTES_MAX + 1];
    memset(long_address, 'a', sizeof long_address);
    memset(long_page, 'p', sizeof long_page);
    struct heartbeat of = head();
    struct heartbeat_writer writer;
    of.address = span_of(long_address, sizeof long_address);
    assert_int_equal(heartbeat_begin(&writer, &of, &key), HEARTBEAT_E_LONG);
    of.address = span_text("a b");
    assert_int_equal(heartbeat_begin(&writer, &of, &key), HEARTBEAT_E_LONG);
    of.address = span_of(long_address, HEARTBEAT_ADDRESS_BYTES_MAX);
    assert_int_equal(heartbeat_begin(&writer, &of, &key), 0);
    struct heartbeat_entry entry = {.page = span_of(long_page, sizeof long_page)};
    assert_int_equal(heartbeat_add(&writer, &entry), HEARTBEAT_E_LONG);
    entry.page.len = 0;
    assert_int_equal(heartbeat_add(&writer, &entry), HEARTBEAT_E_LONG);
    entry.page.len = HEARTBEAT_PAGE_BYTES_MAX; // always fits an empty one
    entry.publishers = UINT64_MAX;
    assert_int_equal(heartbeat_add(&writer, &entry), 0);
    entry.page.len = 1;
    unsigned count = 1;
    while (heartbeat_add(&writer, &entry) == 0)
        count++;
    assert_int_equal(heartbeat_add(&writer, &entry), HEARTBEAT_E_FULL);
    struct span datagram = heartbeat_end(&writer);
    assert_true(datagram.len <= HEARTBEAT_BYTES_MAX && datagram.len > HEARTBEAT_BYTES_MAX - 40);
    struct heartbeat heartbeat;
    assert_int_equal(heartbeat_parse(datagram, &key, 1, &heartbeat), 0);
    assert_int_equal(heartbeat.count, count);
}

static void random_bytes_are_refused_or_read_to_the_end(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    struct heartbeat_writer writer;
    for (int round = 0; round < 20000; round++) {
        struct span datagram = sample(&writer, NULL);
        for (int flips = 0; flips < 3; flips++)
            writer.bytes[prng_below(&prng, datagram.len)] = (uint8_t)prng_next(&prng);
        struct heartbeat heartbeat;
        struct heartbeat_entry entry;
        if (heartbeat_parse(datagram, NULL, 0, &heartbeat))
            continue;
        unsigned count = 0;
        while (heartbeat_next(&heartbeat, &entry))
            count++;
        assert_int_equal(count, heartbeat.count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_bye_may_be_empty),
        cmocka_unit_test(secrets_decide),
        cmocka_unit_test(every_flipped_bit_of_a_signed_one_is_refused),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(fields_are_checked),
        cmocka_unit_test(a_full_datagram_says_so),
        cmocka_unit_test(random_bytes_are_refused_or_read_to_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
