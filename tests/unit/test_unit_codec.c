// SPDX-License-Identifier: Apache-2.0
// The unit codec: sizes that are promised, every part there and back, and bytes that lie. Random
// units of real histories go through it in test_laws.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/prng.h"
#include "crdt/packed.h"
#include "tests/lib/cells.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/seed.h"

static struct heap_libc heap;
static struct buf bytes;
static struct unit unit, read_unit;
static struct address address, read_address;

static int set_up(void **state)
{
    (void)state;
    heap_libc_init(&heap);
    buf_init(&bytes, &heap.heap);
    unit_init(&unit, &heap.heap);
    unit_init(&read_unit, &heap.heap);
    address = (struct address){.kind = UNIT_KEY, .key = span_text("likes:page")};
    read_address = (struct address){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_deinit(&bytes);
    unit_deinit(&unit);
    unit_deinit(&read_unit);
    return heap.bytes != 0;
}

static void add(uint16_t origin, int64_t amount, uint64_t sequence)
{
    cell_add(unit_obtain(&unit, origin), amount, sequence);
}

// Every part that there is, in one unit.
static void fill(void)
{
    add(0, 5, 1);
    add(1, -6, 1000);
    assert_int_equal(unit_set(&unit, 2, 1, UINT64_MAX, INT64_MIN), 0);
    add(0, 7, 2);
    add(1, INT64_MAX, 1001);
    struct cut part = {.birth = 1001, .write = 1001, .total = INT64_MAX};
    add(1, -9, 70000);
    cell_cut(unit_find(&unit, 1), &part);
    assert_int_equal(unit_reset(&unit, 3, 1), 0);
    assert_int_equal(unit_set(&unit, 3, 2, 77, 40), 0);
    add(4, 1, UINT64_MAX);
    unit_find(&unit, 4)->type = CELL_GSET;
    struct cell *cell = unit_obtain(&unit, 5);
    cell->type = CELL_PRESENCE;
    cell->sequence = 8;
    cell->lease = (struct lease){
        .epoch = UINT64_MAX, .sequence = 1, .count = -1, .ttl_ms = UINT32_MAX, .ended = true};
    unit_obtain(&unit, 6)->sequence = 3; // nothing in it any more
}

static int read_span(struct span span)
{
    struct origin_map map = cells_identity_map(8);
    struct reader reader = reader_of(span);
    int outcome = unit_read(&reader, &map, &read_address, &read_unit);
    return outcome ? outcome : reader_left(&reader) ? 1000 : 0;
}

static void assert_comes_back(unsigned cells)
{
    buf_clear(&bytes);
    assert_int_equal(unit_write(&unit, &address, NULL, &bytes), cells);
    assert_int_equal(read_span(buf_span(&bytes)), 0);
    assert_true(cells_is_equal(&unit, &read_unit));
    assert_int_equal(read_address.kind, address.kind);
    assert_true(span_is_equal(read_address.key, address.key));
    assert_true(span_is_equal(read_address.sub, address.sub));
}

// ---- there and back

static void a_plain_counter_cell_costs_its_numbers_and_two_bytes(void **state)
{
    (void)state;
    add(0, 5, 100);
    add(0, 7, 120);
    assert_comes_back(1);
    size_t key = 1 + 1 + address.key.len;                 // head, length, key
    assert_int_equal(bytes.len, key + 1 + 1 + 1 + 1 + 1); // flags, origin, sequence, age, total
}

static void the_short_way_writes_the_same_bytes(void **state)
{
    (void)state;
    struct heap_libc apart;
    heap_libc_init(&apart);
    static const int64_t totals[] = {0, 1, -1, 123456, INT64_MAX, INT64_MIN};
    struct address place = {.kind = UNIT_KEY, .key = span_text("counter:00000001")};
    for (unsigned i = 0; i < 2 * sizeof totals / sizeof *totals; i++) {
        struct plain_cell plain = {.sequence = (uint64_t)300 << 2 * i,
                                   .birth = (uint64_t)7 << 2 * i,
                                   .total = totals[i / 2],
                                   .origin = (uint16_t)(i % 2),
                                   .type = i % 2 ? CELL_GCOUNTER : CELL_COUNTER};
        struct cell cell = {.sequence = plain.sequence,
                            .birth = plain.birth,
                            .write = plain.sequence,
                            .total = plain.total,
                            .origin = plain.origin,
                            .type = (uint8_t)plain.type};
        struct unit one = {.cells = &cell, .count = 1, .cap = 1};
        struct buf whole, brief;
        buf_init(&whole, &apart.heap);
        buf_init(&brief, &apart.heap);
        assert_int_equal(unit_write(&one, &place, NULL, &whole), 1);
        uint8_t packed[PACKED_PLAIN_MAX];
        struct span cells = span_of(packed, packed_write_plain(packed, &plain));
        assert_int_equal(packed_put_unit(cells, &place, NULL, &brief), 1);
        assert_true(span_is_equal(buf_span(&whole), buf_span(&brief)));
        buf_deinit(&whole);
        buf_deinit(&brief);
    }
    assert_int_equal(apart.bytes, 0);
}

static void every_part_comes_back(void **state)
{
    (void)state;
    fill();
    assert_comes_back(7);
}

static void a_cell_known_from_a_record_only_comes_back(void **state)
{
    (void)state;
    struct cut life = {.birth = 3, .write = 9, .total = 4, .base = 12};
    struct cut base = {.base = 7};
    cell_cut(unit_obtain(&unit, 0), &life);
    cell_cut(unit_obtain(&unit, 1), &base);
    assert_comes_back(2);
}

static void every_kind_of_address_comes_back(void **state)
{
    (void)state;
    add(0, 1, 1);
    assert_comes_back(1);
    address = (struct address){.kind = UNIT_MEMBER, .key = span_text("k"), .sub = span_text("m")};
    assert_comes_back(1);
    address = (struct address){.kind = UNIT_LEASE, .key = span_text("k"), .sub = span_text("o\n")};
    assert_comes_back(1);
    address = (struct address){.kind = UNIT_MEMBER}; // empty key, empty member
    assert_comes_back(1);
}

static void a_cell_of_every_origin_comes_back(void **state)
{
    (void)state;
    struct origin_map map = cells_identity_map(LIMIT_ORIGINS);
    for (uint16_t i = 0; i < LIMIT_ORIGINS; i++)
        add(i, i, i + 1u);
    assert_int_equal(unit_write(&unit, &address, NULL, &bytes), LIMIT_ORIGINS);
    struct reader reader = reader_of(buf_span(&bytes));
    assert_int_equal(unit_read(&reader, &map, &read_address, &read_unit), 0);
    assert_true(cells_is_equal(&unit, &read_unit));
}

static void only_cells_above_what_is_known_are_written(void **state)
{
    (void)state;
    struct vector known = {{5, 9}};
    add(0, 1, 5);
    add(1, 1, 9);
    assert_int_equal(unit_write(&unit, &address, &known, &bytes), 0);
    assert_int_equal(bytes.len, 0);
    add(1, 1, 10);
    add(2, 1, 1);
    assert_int_equal(unit_write(&unit, &address, &known, &bytes), 2);
    assert_int_equal(read_span(buf_span(&bytes)), 0);
    assert_null(unit_find(&read_unit, 0));
    assert_int_equal(unit_find(&read_unit, 1)->total, 2);
}

static void a_cell_never_written_does_not_travel(void **state)
{
    (void)state;
    unit_obtain(&unit, 0);
    assert_int_equal(unit_write(&unit, &address, NULL, &bytes), 0);
    assert_int_equal(bytes.len, 0);
}

static void origins_are_translated(void **state)
{
    (void)state;
    struct origin_map map = {.local = {3, 1, 0, 2}, .count = 4};
    add(0, 5, 1);
    assert_int_equal(unit_reset(&unit, 2, 1), 0);
    unit_write(&unit, &address, NULL, &bytes);
    struct reader reader = reader_of(buf_span(&bytes));
    assert_int_equal(unit_read(&reader, &map, &read_address, &read_unit), 0);
    assert_int_equal(unit_find(&read_unit, 3)->total, 5);
    assert_int_equal(unit_find(&read_unit, 0)->cuts[0].origin, 3);
}

static void units_are_read_one_after_another(void **state)
{
    (void)state;
    add(0, 5, 1);
    unit_write(&unit, &address, NULL, &bytes);
    address.key = span_text("views");
    unit_write(&unit, &address, NULL, &bytes);
    struct origin_map map = cells_identity_map(1);
    struct reader reader = reader_of(buf_span(&bytes));
    assert_int_equal(unit_read(&reader, &map, &read_address, &read_unit), 0);
    assert_int_equal(unit_read(&reader, &map, &read_address, &read_unit), 0);
    assert_true(span_is_equal(read_address.key, address.key));
    assert_int_equal(reader_left(&reader), 0);
}

// ---- bytes that lie

// Followed by zeros, so that it is refused for what it says and not for where it ends.
static void assert_refused(const char *text, size_t len)
{
    uint8_t padded[128] = {0};
    assert_true(len + 32 <= sizeof padded);
    memcpy(padded, text, len);
    read_address.key = span_text("before");
    add(7, 1, 1);
    assert_int_equal(unit_copy(&read_unit, &unit), 0);
    assert_int_equal(read_span(span_of(padded, len + 32)), UNIT_E_MALFORMED);
    assert_int_equal(read_unit.count, 0);
    assert_true(span_is_equal(read_address.key, span_text("before")));
}

static void assert_read(const char *text, size_t len)
{
    assert_int_equal(read_span(span_of(text, len)), 0);
    assert_int_equal(read_unit.count, 1);
}

#define READ(literal)    assert_read(literal, sizeof(literal) - 1)
#define REFUSED(literal) assert_refused(literal, sizeof(literal) - 1)

static void the_layout_is_what_it_says(void **state)
{
    (void)state;
    READ("\x00\x01k\x01\x00\x05\x00\x02");                         // a life
    READ("\x00\x01k\x02\x00\x05");                                 // a fresh one
    READ("\x00\x01k\x03\x00\x05\x04\x00\x02");                     // with a later write
    READ("\x00\x01k\x05\x00\x05\x01\x02\x01\x02");                 // cut in part
    READ("\x00\x01k\x05\x00\x05\x01\x02\x00");                     // cut whole
    READ("\x00\x01k\x40\x03\x00\x05");                             // a presence
    READ("\x00\x01k\x10\x00\x05\x04\0\0\0\0\0\0\0\0\x02");         // a base
    READ("\x00\x01k\x20\x00\x05\x04");                             // a base that is cut
    READ("\x00\x01k\x80\x01\x00\x05\x01\x00\x02\x02");             // a lease
    READ("\x00\x01k\x08\x00\x05\x04\x01\x00\x01\x00\x02\x00\x00"); // a record of a life
    READ("\x00\x01k\x08\x00\x05\x00\x01\x00\x00\x01\x00");         // of a base
    READ("\x00\x01k\x08\x00\x05\x00\x01\x00\x00\x00\x07");         // of a whole set
    READ("\x01\x01k\x01m\x01\x00\x05\x00\x02");                    // a member
}

static void what_a_cell_cannot_be_is_refused(void **state)
{
    (void)state;
    REFUSED("\x07\x01k\x00\x00\x05");                             // kind 7
    REFUSED("\x00\x01k\x01\x09\x05\x00\x02");                     // an origin not in the dictionary
    REFUSED("\x00\x01k\x01\x00\x00\x00\x02");                     // sequence 0
    REFUSED("\x00\x01k\x01\x00\x05\x05\x02");                     // born at 0
    REFUSED("\x00\x01k\x01\x00\x05\x06\x02");                     // born before 0
    REFUSED("\x00\x01k\x03\x00\x05\x05\x00\x02");                 // written at 0
    REFUSED("\x00\x01k\x05\x00\x05\x01\x02\x02\x02");             // cut before the birth
    REFUSED("\x00\x01k\x04\x00\x05\x00");                         // a cut of no life
    REFUSED("\x00\x01k\x40\x09\x00\x05");                         // an unknown type
    REFUSED("\x00\x01k\x30\x00\x05\x00\0\0\0\0\0\0\0\0\x02\x00"); // a base both live and cut
    REFUSED("\x00\x01k\x20\x00\x05\x05");                         // a base cut at 0
    REFUSED("\x00\x01k\x80\x01\x00\x05\x00\x00\x02\x02");         // a lease without numbers
    REFUSED("\x00\x01k\x80\x01\x00\x05\x01\x01\x02\x80\x80\x80\x80\x20"); // ttl past 32 bits
    REFUSED("\x00\x01k\x81\x00\x00\x05\x00\x02");                 // more flags, and none there
    REFUSED("\x00\x01k\x81\x80\x00\x05\x00\x02");                 // an unknown flag
    REFUSED("\x08\x01k\x01\x00\x05\x00\x02\x01\x00\x06\x00\x02"); // two cells of one origin
}

static void what_a_record_cannot_be_is_refused(void **state)
{
    (void)state;
    REFUSED("\x00\x01k\x08\x00\x05\x00\x00");                                 // of nothing
    REFUSED("\x00\x01k\x08\x00\x05\x05\x01\x00\x01\x00\x02\x00\x00");         // at 0
    REFUSED("\x00\x01k\x08\x00\x05\x00\x01\x00\x00\x00\x00");                 // an empty entry
    REFUSED("\x00\x01k\x08\x00\x05\x00\x01\x09\x01\x00\x02\x00\x00");         // an unknown origin
    REFUSED("\x00\x01k\x08\x00\x05\x00\x01\x00\x01\x01\x02\x00\x00");         // born at 0
    REFUSED("\x00\x01k\x08\x00\x05\x00\x02\x00\x00\x01\x00\x00\x00\x01\x00"); // one origin twice
    REFUSED("\x00\x01k\x08\x00\x05\x00\xff\xff\xff\xff\x0f\x00\x00\x01\x00"); // more than there is
}

static void counts_beyond_the_bytes_allocate_nothing(void **state)
{
    (void)state;
    size_t before = heap.bytes;
    assert_int_equal(read_span(span_of("\xfc\xff\xff\x03\x01k\x00\x00\x05", 9)), UNIT_E_MALFORMED);
    assert_int_equal(read_span(span_of("\x10\x01k\x00\x00\x05", 6)), UNIT_E_MALFORMED);
    assert_int_equal(heap.bytes, before);
}

static void a_key_at_the_limit_is_read_and_one_beyond_is_not(void **state)
{
    (void)state;
    static uint8_t key[LIMIT_KEY_BYTES + 1];
    add(0, 1, 1);
    address = (struct address){
        .kind = UNIT_MEMBER, .key = span_of(key, LIMIT_KEY_BYTES), .sub = address.key};
    assert_comes_back(1);
    address.sub = span_of(key, LIMIT_KEY_BYTES);
    assert_comes_back(1);
    address.sub = span_of(key, sizeof key);
    buf_clear(&bytes);
    unit_write(&unit, &address, NULL, &bytes);
    assert_int_equal(read_span(buf_span(&bytes)), UNIT_E_MALFORMED);
    address = (struct address){.kind = UNIT_KEY, .key = span_of(key, sizeof key)};
    buf_clear(&bytes);
    unit_write(&unit, &address, NULL, &bytes);
    assert_int_equal(read_span(buf_span(&bytes)), UNIT_E_MALFORMED);
}

static void a_unit_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    fill();
    unit_write(&unit, &address, NULL, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *exact = heap_alloc(&heap.heap, len + 1); // so that a read beyond is seen
        memcpy(exact + 1, bytes.ptr, len);
        assert_int_equal(read_span(span_of(exact + 1, len)), UNIT_E_MALFORMED);
        assert_int_equal(read_unit.count, 0);
        heap_free(&heap.heap, exact, len + 1);
    }
}

// What is read of mangled bytes, if anything, is a unit like any other.
static void mangled_bytes_are_refused_or_read_as_a_unit(void **state)
{
    (void)state;
    fill();
    unit_write(&unit, &address, NULL, &bytes);
    struct seeds seeds = seeds_of(20000);
    struct unit again;
    struct buf rewritten;
    unit_init(&again, &heap.heap);
    buf_init(&rewritten, &heap.heap);
    unsigned read = 0;
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        struct prng prng;
        uint8_t mangled[512];
        assert_true(bytes.len <= sizeof mangled);
        memcpy(mangled, bytes.ptr, bytes.len);
        prng_init(&prng, seed);
        for (uint64_t n = 1 + prng_below(&prng, 3); n; n--)
            mangled[prng_below(&prng, bytes.len)] = (uint8_t)prng_next(&prng);
        int outcome = read_span(span_of(mangled, bytes.len));
        if (outcome != 0)
            continue;
        read++;
        buf_clear(&rewritten);
        unit_write(&read_unit, &read_address, NULL, &rewritten);
        assert_int_equal(unit_copy(&again, &read_unit), 0);
        if (read_span(buf_span(&rewritten)) != 0 || !cells_is_equal(&again, &read_unit)) {
            seed_print(seed);
            fail();
        }
    }
    assert_true(read > 0 || seeds.end - seeds.first < 20000);
    unit_deinit(&again);
    buf_deinit(&rewritten);
}

// ---- allocations that fail

static void a_read_that_ran_out_of_memory_leaves_nothing(void **state)
{
    (void)state;
    fill();
    unit_write(&unit, &address, NULL, &bytes);
    int outcome = -ENOMEM;
    for (long n = 0; outcome; n++) {
        unit_deinit(&read_unit);
        unit_init(&read_unit, &heap.heap);
        heap.fail_after = n;
        outcome = read_span(buf_span(&bytes));
        heap.fail_after = -1;
        assert_true(n < 50 && (outcome == 0 || outcome == -ENOMEM));
        if (outcome)
            assert_int_equal(read_unit.count, 0);
    }
    assert_true(cells_is_equal(&unit, &read_unit));
}

static void a_write_that_ran_out_of_memory_is_told_by_the_buffer(void **state)
{
    (void)state;
    fill();
    heap.fail_after = 0;
    assert_int_equal(unit_write(&unit, &address, NULL, &bytes), 7);
    assert_true(buf_has_failed(&bytes));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_plain_counter_cell_costs_its_numbers_and_two_bytes),
        ROW(the_short_way_writes_the_same_bytes),
        ROW(every_part_comes_back),
        ROW(a_cell_known_from_a_record_only_comes_back),
        ROW(every_kind_of_address_comes_back),
        ROW(a_cell_of_every_origin_comes_back),
        ROW(only_cells_above_what_is_known_are_written),
        ROW(a_cell_never_written_does_not_travel),
        ROW(origins_are_translated),
        ROW(units_are_read_one_after_another),
        ROW(the_layout_is_what_it_says),
        ROW(what_a_cell_cannot_be_is_refused),
        ROW(what_a_record_cannot_be_is_refused),
        ROW(counts_beyond_the_bytes_allocate_nothing),
        ROW(a_key_at_the_limit_is_read_and_one_beyond_is_not),
        ROW(a_unit_cut_short_anywhere_is_refused),
        ROW(mangled_bytes_are_refused_or_read_as_a_unit),
        ROW(a_read_that_ran_out_of_memory_leaves_nothing),
        ROW(a_write_that_ran_out_of_memory_is_told_by_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
