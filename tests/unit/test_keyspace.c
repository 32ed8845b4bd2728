// SPDX-License-Identifier: Apache-2.0
// The keyspace on one thread: finding, growth, scans, cells in both forms, children, the change
// order, removal, memory that runs out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "keyspace/private.h"
#include "tests/lib/heap_libc.h"

struct fixture {
    struct heap_libc heap;
    struct keyspace *keyspace;
};

static struct keyspace *open_keyspace(struct fixture *fixture, unsigned shards)
{
    struct keyspace_options options = {.hash_seed = 7, .shards_count = shards};
    heap_libc_init(&fixture->heap);
    fixture->keyspace = keyspace_new(&fixture->heap.heap, &options);
    assert_non_null(fixture->keyspace);
    return fixture->keyspace;
}

static void close_all(struct fixture *fixture)
{
    keyspace_free(fixture->keyspace);
    assert_int_equal(fixture->heap.bytes, 0);
}

static struct address key_of(char text[32], unsigned number)
{
    int len = snprintf(text, 32, "counter:%08u", number);
    return (struct address){.kind = UNIT_KEY, .key = span_of(text, (size_t)len)};
}

static struct record *obtain(struct keyspace *keyspace, const struct address *address,
                             enum cell_type type)
{
    return keyspace_obtain(keyspace, address, keyspace_hash(keyspace, address), type);
}

static struct record *find(struct keyspace *keyspace, const struct address *address)
{
    return keyspace_find(keyspace, address, keyspace_hash(keyspace, address));
}

static int64_t add(struct keyspace *keyspace, struct record *record, int64_t amount)
{
    int64_t value = -1;
    bool is_first;
    assert_int_equal(keyspace_add(keyspace, record, amount, &value, &is_first), 0);
    return value;
}

static void records_are_found_while_shards_grow(void **state)
{
    (void)state;
    char text[32];
    for (unsigned shards = 1; shards <= 16; shards *= 4) {
        struct fixture fixture;
        struct keyspace *keyspace = open_keyspace(&fixture, shards);
        for (unsigned i = 0; i < 5000; i++) {
            struct address address = key_of(text, i);
            assert_null(find(keyspace, &address));
            struct record *record = obtain(keyspace, &address, CELL_COUNTER);
            assert_int_equal(add(keyspace, record, (int64_t)i), (int64_t)i);
            keyspace_reclaim(keyspace);
        }
        for (unsigned i = 0; i < 5000; i++) {
            struct address address = key_of(text, i);
            struct record *record = find(keyspace, &address);
            assert_non_null(record);
            assert_true(span_is_equal(record_address(record).key, address.key));
            assert_int_equal(record_value(record), i);
        }
        assert_int_equal(keyspace_keys_count(keyspace), 5000);
        close_all(&fixture);
    }
}

static void a_dirty_record_is_drained_once_and_again_after_another_add(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    struct address address = {.kind = UNIT_KEY, .key = span_text("likes")};
    struct record *record = obtain(keyspace, &address, CELL_COUNTER);
    assert_true(keyspace_is_clean(keyspace));
    for (int round = 0; round < 3000; round++) {
        int64_t value;
        bool is_first;
        assert_int_equal(keyspace_add(keyspace, record, 1, &value, &is_first), 0);
        assert_true(is_first);
        assert_int_equal(keyspace_add(keyspace, record, 1, &value, &is_first), 0);
        assert_false(is_first);
        assert_false(keyspace_is_clean(keyspace));
        assert_ptr_equal(keyspace_drain(keyspace), record);
        assert_null(keyspace_drain(keyspace));
        assert_true(keyspace_is_clean(keyspace));
        keyspace_reclaim(keyspace);
    }
    assert_int_equal(record_value(record), 6000);
    close_all(&fixture);
}

static void adds_are_refused_by_type_and_near_limits(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    struct address address = {.kind = UNIT_KEY, .key = span_text("k")};
    struct record *record = obtain(keyspace, &address, CELL_GCOUNTER);
    int64_t value;
    bool is_first;
    assert_int_equal(keyspace_add(keyspace, record, 1, &value, &is_first), RECORD_E_EXACT);
    record_mark(keyspace, record, RECORD_LIVE, 0, CELL_GCOUNTER);
    assert_int_equal(keyspace_add(keyspace, record, -1, &value, &is_first), RECORD_E_TYPE);
    assert_int_equal(add(keyspace, record, 2), 2);
    record_mark(keyspace, record, 0, 0, CELL_GSET);
    assert_int_equal(keyspace_add(keyspace, record, 1, &value, &is_first), RECORD_E_TYPE);
    record_mark(keyspace, record, 0, 0, CELL_COUNTER);
    assert_int_equal(keyspace_add(keyspace, record, RECORD_AMOUNT_MAX + 1, &value, &is_first),
                     RECORD_E_EXACT);
    record_shift(record, RECORD_VALUE_MAX);
    assert_int_equal(keyspace_add(keyspace, record, 1, &value, &is_first), RECORD_E_EXACT);
    record_shift(record, -RECORD_VALUE_MAX);
    record_mark(keyspace, record, RECORD_NEAR, 0, CELL_COUNTER);
    assert_int_equal(keyspace_add(keyspace, record, 1, &value, &is_first), RECORD_E_EXACT);
    assert_int_equal(record_value(record), 2);
    close_all(&fixture);
}

// The replica thread is woken once until it has looked; a drain in parts looks only at its start.
static void an_add_during_a_drain_in_parts_leaves_it_unclean(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    struct address one = {.kind = UNIT_KEY, .key = span_text("1")};
    struct address two = {.kind = UNIT_KEY, .key = span_text("2")};
    struct record *first = obtain(keyspace, &one, CELL_COUNTER);
    struct record *second = obtain(keyspace, &two, CELL_COUNTER);
    int64_t value;
    bool is_first;
    add(keyspace, first, 1);
    assert_ptr_equal(keyspace_drain(keyspace), first); // and no further in this commit
    assert_int_equal(keyspace_add(keyspace, second, 1, &value, &is_first), 0);
    assert_true(is_first); // this waking may be spent on the rest of the drain
    assert_ptr_equal(keyspace_drain(keyspace), second);
    assert_null(keyspace_drain(keyspace));
    assert_int_equal(keyspace_add(keyspace, first, 1, &value, &is_first), 0);
    assert_false(is_first);
    assert_false(keyspace_is_clean(keyspace)); // so the committer asks
    assert_ptr_equal(keyspace_drain(keyspace), first);
    assert_null(keyspace_drain(keyspace));
    assert_true(keyspace_is_clean(keyspace));
    close_all(&fixture);
}

// A producer between its two steps: what is queued behind it, and what others added to its record
// and did not queue, waits; the drain says so.
static void a_drain_that_is_not_at_the_end_says_so(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    struct address address = {.kind = UNIT_KEY, .key = span_text("k")};
    struct record *record = obtain(keyspace, &address, CELL_COUNTER);
    assert_null(keyspace_drain(keyspace));
    assert_true(keyspace_is_drained(keyspace));
    struct record *_Atomic *slot = dirty_reserve(keyspace);
    assert_int_equal(add(keyspace, record, 1), 1);
    assert_null(keyspace_drain(keyspace));
    assert_false(keyspace_is_drained(keyspace));
    dirty_fill(keyspace, slot, NULL);
    assert_ptr_equal(keyspace_drain(keyspace), record);
    assert_null(keyspace_drain(keyspace));
    assert_true(keyspace_is_drained(keyspace));
    close_all(&fixture);
}

struct seen {
    unsigned times[4096];
    unsigned count;
};

static void see(void *ctx, struct record *record)
{
    struct seen *seen = ctx;
    char text[9] = {0};
    struct span key = record_address(record).key;
    memcpy(text, key.ptr + 8, 8);
    unsigned long number = strtoul(text, NULL, 10);
    if (number < 4096)
        seen->times[number]++;
    seen->count++;
}

static void a_scan_sees_each_record_once_whatever_grows(void **state)
{
    (void)state;
    char text[32];
    for (unsigned step = 1; step <= 1000; step *= 10) {
        struct fixture fixture;
        struct keyspace *keyspace = open_keyspace(&fixture, 4);
        for (unsigned i = 0; i < 4096; i++) {
            struct address address = key_of(text, i);
            obtain(keyspace, &address, CELL_COUNTER);
        }
        struct seen seen = {0};
        uint64_t cursor = 0;
        unsigned more = 100000;
        do {
            unsigned before = seen.count;
            cursor = keyspace_scan(keyspace, cursor, step, see, &seen);
            assert_true(cursor == 0 || seen.count - before >= step);
            for (unsigned i = 0; i < step; i++) {
                struct address address = key_of(text, more++);
                obtain(keyspace, &address, CELL_COUNTER);
            }
        } while (cursor);
        for (unsigned i = 0; i < 4096; i++)
            assert_int_equal(seen.times[i], 1);
        close_all(&fixture);
    }
}

static void removal_needs_a_clean_dead_record_with_the_expected_value(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 1);
    char text[32];
    struct record *record[64];
    for (unsigned i = 0; i < 64; i++) {
        struct address address = key_of(text, i);
        record[i] = obtain(keyspace, &address, CELL_COUNTER);
    }
    add(keyspace, record[3], 5);
    assert_false(keyspace_remove(keyspace, record[3], 5)); // dirty
    assert_ptr_equal(keyspace_drain(keyspace), record[3]);
    assert_false(keyspace_remove(keyspace, record[3], 5)); // live
    record_mark(keyspace, record[3], 0, RECORD_LIVE, CELL_COUNTER);
    assert_false(keyspace_remove(keyspace, record[3], 4));
    assert_true(keyspace_remove(keyspace, record[3], 5));
    int64_t value;
    bool is_first;
    assert_int_equal(keyspace_add(keyspace, record[3], 1, &value, &is_first), RECORD_E_DEAD);
    struct address address = key_of(text, 3);
    assert_null(find(keyspace, &address));
    assert_ptr_not_equal(obtain(keyspace, &address, CELL_COUNTER), record[3]);
    for (unsigned round = 0; round < 1000; round++) {
        struct address churned = key_of(text, 1000 + round);
        struct record *made = obtain(keyspace, &churned, CELL_COUNTER);
        assert_true(keyspace_remove(keyspace, made, 0));
        keyspace_reclaim(keyspace);
    }
    for (unsigned i = 0; i < 64; i++) {
        struct address kept = key_of(text, i);
        assert_non_null(find(keyspace, &kept));
    }
    close_all(&fixture);
}

static void cells_are_kept_in_place_while_they_fit(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    struct address address = {.kind = UNIT_KEY, .key = span_text("k")};
    struct record *record = obtain(keyspace, &address, CELL_COUNTER);
    uint64_t bytes = keyspace_memory(keyspace).records_bytes;
    struct plain_cell plain;
    struct unit unit;
    unit_init(&unit, &fixture.heap.heap);
    assert_true(record_is_bare(record));
    assert_false(record_plain(record, &plain));
    cell_add(unit_obtain(&unit, 3), 7, 11);
    assert_int_equal(record_store(keyspace, record, &unit), 0);
    assert_int_equal(unit.count, 0);
    assert_true(record_plain(record, &plain));
    assert_int_equal(plain.origin, 3);
    assert_int_equal(plain.total, 7);
    assert_int_equal(plain.birth, 11);

    assert_int_equal(record_load(record, &unit), 0);
    cell_add(unit_obtain(&unit, 4), 1, 2);
    assert_int_equal(record_store(keyspace, record, &unit), 0);
    assert_false(record_plain(record, &plain));

    assert_int_equal(record_load(record, &unit), 0);
    assert_int_equal(unit.count, 2);
    unit_reset(&unit, 4, 9);
    assert_int_equal(record_store(keyspace, record, &unit), 0);
    assert_int_equal(record_load_brief(record, &unit), 0);
    assert_int_equal(unit_find(&unit, 4)->reset, 9);
    assert_int_equal(unit_find(&unit, 4)->cuts_count, 0);
    assert_int_equal(record_load(record, &unit), 0);
    assert_int_equal(unit_find(&unit, 4)->cuts_count, 2);
    unit_remove(&unit, 4);
    unit_remove(&unit, 3);
    assert_int_equal(record_store(keyspace, record, &unit), 0);
    assert_true(record_is_bare(record));
    assert_int_equal(keyspace_memory(keyspace).records_bytes, bytes);
    unit_deinit(&unit);
    close_all(&fixture);
}

// Every length of key, so that the room for cells has every size, and numbers that need more bytes
// each time.
static void cells_of_any_size_come_back(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    char text[32];
    for (unsigned len = 0; len < 24; len++) {
        memset(text, 'k', sizeof text);
        struct address address = {.kind = UNIT_KEY, .key = span_of(text, len)};
        struct record *record = obtain(keyspace, &address, CELL_COUNTER);
        for (unsigned bits = 0; bits < 56; bits++) {
            uint64_t large = (uint64_t)1 << bits;
            struct plain_cell cell = {.sequence = large * 4,
                                      .birth = large,
                                      .total = bits % 2 ? (int64_t)large : -(int64_t)large,
                                      .origin = (uint16_t)(bits % LIMIT_ORIGINS),
                                      .type = bits % 3 ? CELL_COUNTER : CELL_GCOUNTER};
            struct plain_cell back;
            assert_int_equal(record_put_plain(keyspace, record, &cell), 0);
            assert_true(record_plain(record, &back));
            assert_int_equal(back.sequence, cell.sequence);
            assert_int_equal(back.birth, cell.birth);
            assert_int_equal(back.total, cell.total);
            assert_int_equal(back.origin, cell.origin);
            assert_int_equal(back.type, cell.type);
            assert_true(span_is_equal(record_address(record).key, address.key));
        }
    }
    close_all(&fixture);
}

static void members_hang_on_their_key(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    struct record *member[100];
    char text[32];
    for (unsigned i = 0; i < 100; i++) {
        struct address name = key_of(text, i);
        struct address address = {.kind = UNIT_MEMBER, .key = span_text("fans"), .sub = name.key};
        member[i] = obtain(keyspace, &address, CELL_GSET);
        assert_ptr_equal(find(keyspace, &address), member[i]);
        assert_true(span_is_equal(record_address(member[i]).key, span_text("fans")));
    }
    struct address key = {.kind = UNIT_KEY, .key = span_text("fans")};
    struct record *parent = find(keyspace, &key);
    assert_non_null(parent);
    assert_false(keyspace_remove(keyspace, parent, 0));
    assert_int_equal(record_children_count(parent), 0); // none is live
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(record_has_live_child(parent), i != 0);
        assert_int_equal(record_children_reserve(keyspace, parent), 0);
        record_mark(keyspace, member[i], RECORD_LIVE, 0, CELL_GSET);
        assert_ptr_equal(record_child_at(parent, i), member[i]);
    }
    assert_int_equal(record_members_count(parent), 100);
    assert_int_equal(record_members_type(parent), CELL_GSET);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(record_has_live_child(parent));
        record_mark(keyspace, member[i * 37 % 100], 0, RECORD_LIVE, CELL_GSET);
        assert_true(keyspace_remove(keyspace, member[i * 37 % 100], 0));
        assert_int_equal(record_members_count(parent), 99 - i);
    }
    assert_false(record_has_live_child(parent));
    assert_null(record_first_child(parent));
    assert_true(keyspace_remove(keyspace, parent, 0));
    close_all(&fixture);
}

// A walk from the end to the beginning, with members coming and going in between.
static void a_walk_down_the_members_meets_all_that_stay(void **state)
{
    (void)state;
    enum { STAY = 600, COME_AND_GO = 1500 };
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    static struct record *member[STAY + COME_AND_GO];
    static bool is_met[STAY];
    char text[32];
    for (unsigned i = 0; i < STAY + COME_AND_GO; i++) {
        struct address name = key_of(text, i);
        struct address address = {.kind = UNIT_MEMBER, .key = span_text("fans"), .sub = name.key};
        member[i] = obtain(keyspace, &address, CELL_SET);
    }
    struct record *parent = record_parent(member[0]);
    for (unsigned i = 0; i < STAY + COME_AND_GO; i++) {
        assert_int_equal(record_children_reserve(keyspace, parent), 0);
        record_mark(keyspace, member[i * 211 % (STAY + COME_AND_GO)], RECORD_LIVE, 0, CELL_SET);
    }
    unsigned moved = STAY;
    for (uint32_t at = record_children_count(parent); at-- > 0;) {
        if (at >= record_children_count(parent))
            continue;
        struct record *child = record_child_at(parent, at);
        for (unsigned i = 0; i < STAY; i++)
            is_met[i] |= member[i] == child;
        struct record *other = member[moved];
        moved = moved + 1 < STAY + COME_AND_GO ? moved + 1 : STAY;
        bool is_live = record_flags(other) & RECORD_LIVE;
        assert_int_equal(record_children_reserve(keyspace, parent), 0);
        record_mark(keyspace, other, is_live ? 0 : RECORD_LIVE, is_live ? RECORD_LIVE : 0,
                    CELL_SET);
    }
    for (unsigned i = 0; i < STAY; i++)
        assert_true(is_met[i]);
    close_all(&fixture);
}

static void a_released_set_is_gone_at_once_and_swept_later(void **state)
{
    (void)state;
    enum { MEMBERS = 2000 };
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    static struct record *member[MEMBERS];
    char text[32];
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct address name = key_of(text, i);
        struct address address = {.kind = UNIT_MEMBER, .key = span_text("fans"), .sub = name.key};
        member[i] = obtain(keyspace, &address, CELL_SET);
        assert_int_equal(record_children_reserve(keyspace, record_parent(member[0])), 0);
        record_mark(keyspace, member[i], RECORD_LIVE, 0, CELL_SET);
    }
    struct record *parent = record_parent(member[0]);
    struct address lease = {
        .kind = UNIT_LEASE, .key = span_text("fans"), .sub = span_text("somebody")};
    struct record *other = obtain(keyspace, &lease, CELL_PRESENCE);
    record_mark(keyspace, other, RECORD_LIVE, 0, CELL_PRESENCE);
    assert_int_equal(record_release(keyspace, parent), 0);
    assert_int_equal(record_members_count(parent), 0);
    assert_int_equal(record_children_count(parent), 1);
    assert_ptr_equal(record_first_child(parent), other);
    assert_true(record_flags(other) & RECORD_LIVE);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_true(record_is_stale(member[i]) && !(record_flags(member[i]) & RECORD_LIVE));
    record_unstale(member[7]); // added again before the sweep came
    assert_int_equal(record_children_reserve(keyspace, parent), 0);
    record_mark(keyspace, member[7], RECORD_LIVE, 0, CELL_SET);
    assert_true(record_flags(member[7]) & RECORD_LIVE);
    unsigned taken = 0;
    for (struct record *child; (child = record_take_stale(keyspace, parent)); taken++)
        assert_true(child != member[7] && keyspace_remove(keyspace, child, 0));
    assert_int_equal(taken, MEMBERS - 1);
    assert_false(record_has_stale(parent));
    assert_ptr_equal(record_child_at(parent, 1), member[7]);
    close_all(&fixture);
}

static void the_change_order_keeps_each_record_at_its_newest_place(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 16);
    char text[32];
    struct address address = key_of(text, 0);
    struct record *hot = obtain(keyspace, &address, CELL_COUNTER);
    address = key_of(text, 1);
    struct record *cold = obtain(keyspace, &address, CELL_COUNTER);
    assert_int_equal(keyspace_change_put(keyspace, cold), 1);
    for (unsigned i = 0; i < 30; i++)
        keyspace_change_put(keyspace, hot);
    assert_ptr_equal(keyspace_change_at(keyspace, 1), cold);
    assert_null(keyspace_change_at(keyspace, 30));
    assert_ptr_equal(keyspace_change_at(keyspace, 31), hot);
    assert_int_equal(record_change(hot), 31);
    assert_int_equal(keyspace_change_oldest(keyspace), 1);
    for (unsigned i = 2; i < 2 + LIMIT_CHANGE_ORDER; i++) {
        address = key_of(text, i);
        keyspace_change_put(keyspace, obtain(keyspace, &address, CELL_COUNTER));
    }
    uint64_t newest = keyspace_change_newest(keyspace);
    assert_int_equal(keyspace_change_oldest(keyspace), newest - LIMIT_CHANGE_ORDER + 1);
    assert_null(keyspace_change_at(keyspace, 31));
    struct record *last = keyspace_change_at(keyspace, newest);
    assert_true(keyspace_remove(keyspace, last, 0));
    assert_null(keyspace_change_at(keyspace, newest));
    close_all(&fixture);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long fail = 0; fail < 60; fail++) {
        struct fixture fixture;
        struct keyspace *keyspace = open_keyspace(&fixture, 4);
        fixture.heap.fail_after = fail;
        char text[32];
        unsigned made = 0;
        for (unsigned i = 0; i < 200; i++) {
            struct address address = key_of(text, i);
            struct record *record = obtain(keyspace, &address, CELL_COUNTER);
            if (!record)
                continue;
            made++;
            add(keyspace, record, 1);
            struct address child = {.kind = UNIT_MEMBER, .key = span_text("s"), .sub = address.key};
            obtain(keyspace, &child, CELL_GSET);
        }
        assert_true(made >= 199);
        fixture.heap.fail_after = -1;
        unsigned drained = 0;
        while (keyspace_drain(keyspace))
            drained++;
        assert_int_equal(drained, made);
        close_all(&fixture);
    }
}

static void what_the_dirty_queue_had_no_memory_for_is_drained_too(void **state)
{
    (void)state;
    struct fixture fixture;
    struct keyspace *keyspace = open_keyspace(&fixture, 4);
    char text[32];
    enum { COUNT = 5000 };
    static struct record *record[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        struct address address = key_of(text, i);
        record[i] = obtain(keyspace, &address, CELL_COUNTER);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        if (i % 1000 == 10)
            fixture.heap.fail_after = 0; // the next chunk that is wanted
        add(keyspace, record[i], 1);
    }
    fixture.heap.fail_after = -1;
    unsigned drained = 0;
    for (unsigned round = 0; round < 2; round++) {
        while (keyspace_drain(keyspace))
            drained++;
    }
    assert_int_equal(drained, COUNT);
    close_all(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_found_while_shards_grow),
        cmocka_unit_test(a_dirty_record_is_drained_once_and_again_after_another_add),
        cmocka_unit_test(adds_are_refused_by_type_and_near_limits),
        cmocka_unit_test(an_add_during_a_drain_in_parts_leaves_it_unclean),
        cmocka_unit_test(a_drain_that_is_not_at_the_end_says_so),
        cmocka_unit_test(a_scan_sees_each_record_once_whatever_grows),
        cmocka_unit_test(removal_needs_a_clean_dead_record_with_the_expected_value),
        cmocka_unit_test(cells_are_kept_in_place_while_they_fit),
        cmocka_unit_test(cells_of_any_size_come_back),
        cmocka_unit_test(members_hang_on_their_key),
        cmocka_unit_test(a_walk_down_the_members_meets_all_that_stay),
        cmocka_unit_test(a_released_set_is_gone_at_once_and_swept_later),
        cmocka_unit_test(the_change_order_keeps_each_record_at_its_newest_place),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(what_the_dirty_queue_had_no_memory_for_is_drained_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
