// SPDX-License-Identifier: Apache-2.0
// Units: what the cells of one address show together, resets and SETs over them, leases,
// collection, and that a failed allocation anywhere leaves what the header promises.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "crdt/unit.h"
#include "tests/lib/cells.h"
#include "tests/lib/heap_libc.h"

static struct heap_libc heap;
static struct origins origins; // 0, 1, 2 ... in rising order
static const struct vector nothing;

static int set_up(void **state)
{
    (void)state;
    heap_libc_init(&heap);
    origins.count = 0;
    for (uint8_t i = 0; i < 6; i++) {
        struct incarnation incarnation = {{(uint8_t)(i + 1)}};
        uint16_t index;
        origins_obtain(&origins, &incarnation, &index);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return heap.bytes != 0;
}

static struct unit empty(void)
{
    struct unit unit;
    unit_init(&unit, &heap.heap);
    return unit;
}

static void add(struct unit *unit, uint16_t origin, int64_t amount, uint64_t sequence)
{
    cell_add(unit_obtain(unit, origin), amount, sequence);
}

static void add_as(struct unit *unit, uint16_t origin, enum cell_type type, int64_t amount,
                   uint64_t sequence)
{
    unit_obtain(unit, origin)->type = (uint8_t)type;
    add(unit, origin, amount, sequence);
}

static void learn(struct unit *self, const struct unit *other, const struct vector *seen)
{
    unsigned changed;
    assert_int_equal(unit_join(self, other->cells, other->count, seen, &changed), 0);
}

static int64_t value_of(const struct unit *unit)
{
    struct unit_view view = unit_view(unit, &origins);
    assert_true(view.is_live);
    assert_false(view.is_out_of_range);
    return view.value;
}

static bool is_live(const struct unit *unit)
{
    return unit_view(unit, &origins).is_live;
}

// ---- cells

static void cells_are_obtained_once_and_removed(void **state)
{
    (void)state;
    struct unit unit = empty();
    assert_null(unit_find(&unit, 3));
    struct cell *cell = unit_obtain(&unit, 3);
    assert_int_equal(cell->origin, 3);
    assert_int_equal(cell->sequence, 0);
    unit_obtain(&unit, 1)->sequence = 7;
    assert_ptr_equal(unit_obtain(&unit, 3), unit_find(&unit, 3));
    assert_int_equal(unit.count, 2);
    unit_remove(&unit, 3);
    unit_remove(&unit, 3);
    assert_int_equal(unit.count, 1);
    assert_int_equal(unit_find(&unit, 1)->sequence, 7);
    unit_deinit(&unit);
}

static void a_unit_holds_a_cell_of_every_origin(void **state)
{
    (void)state;
    struct unit unit = empty();
    for (uint16_t i = 0; i < LIMIT_ORIGINS; i++)
        add(&unit, i, 1, i + 1u);
    assert_int_equal(unit.count, LIMIT_ORIGINS);
    assert_int_equal(unit_find(&unit, LIMIT_ORIGINS - 1)->total, 1);
    unit_deinit(&unit);
}

static void a_copy_is_equal_and_apart(void **state)
{
    (void)state;
    struct unit unit = empty(), copy = empty();
    add(&unit, 0, 5, 1);
    assert_int_equal(unit_reset(&unit, 1, 1), 0);
    add(&copy, 2, 9, 9);
    assert_int_equal(unit_copy(&copy, &unit), 0);
    assert_true(cells_is_equal(&unit, &copy));
    add(&unit, 0, 5, 2);
    assert_false(cells_is_equal(&unit, &copy));
    unit_deinit(&unit);
    assert_int_equal(unit_find(&copy, 1)->cuts_count, 1);
    unit_clear(&copy);
    assert_int_equal(copy.count, 0);
    unit_deinit(&copy);
}

// ---- what is shown

static void the_value_is_the_sum_of_all_origins(void **state)
{
    (void)state;
    struct unit unit = empty();
    assert_false(is_live(&unit));
    add(&unit, 0, 5, 1);
    add(&unit, 1, -7, 1);
    add(&unit, 2, 1, 1);
    assert_int_equal(value_of(&unit), -1);
    unit_deinit(&unit);
}

static void sums_beyond_64_bits_are_told_and_recover(void **state)
{
    (void)state;
    struct unit unit = empty();
    add(&unit, 0, INT64_MAX, 1);
    add(&unit, 1, INT64_MAX, 1);
    struct unit_view view = unit_view(&unit, &origins);
    assert_true(view.is_out_of_range);
    assert_int_equal(view.value, -2);
    add(&unit, 2, -INT64_MAX, 1);
    assert_true(value_of(&unit) == INT64_MAX);
    add(&unit, 3, INT64_MIN, 1);
    assert_int_equal(value_of(&unit), -1);
    unit_deinit(&unit);
}

static void the_lowest_type_is_shown_and_no_amount_is_hidden(void **state)
{
    (void)state;
    struct unit unit = empty();
    add_as(&unit, 0, CELL_GSET, 0, 1);
    assert_int_equal(unit_view(&unit, &origins).type, CELL_GSET);
    add_as(&unit, 1, CELL_GCOUNTER, 5, 1);
    assert_int_equal(unit_view(&unit, &origins).type, CELL_GCOUNTER);
    add_as(&unit, 2, CELL_COUNTER, 3, 1);
    assert_int_equal(unit_view(&unit, &origins).type, CELL_COUNTER);
    assert_int_equal(value_of(&unit), 8);
    unit_deinit(&unit);
}

static void a_dead_cell_decides_no_type(void **state)
{
    (void)state;
    struct unit unit = empty();
    add_as(&unit, 0, CELL_COUNTER, 5, 1);
    assert_int_equal(unit_reset(&unit, 0, 2), 0);
    add_as(&unit, 1, CELL_GSET, 0, 1);
    assert_int_equal(unit_view(&unit, &origins).type, CELL_GSET);
    unit_deinit(&unit);
}

// ---- resets

static void a_reset_names_every_cell_and_leaves_nothing_live(void **state)
{
    (void)state;
    struct unit unit = empty();
    add(&unit, 0, 5, 1);
    add(&unit, 1, 6, 4);
    assert_int_equal(unit_reset(&unit, 2, 9), 0);
    assert_false(is_live(&unit));
    const struct cell *own = unit_find(&unit, 2);
    assert_int_equal(own->reset, 9);
    assert_int_equal(own->sequence, 9);
    assert_int_equal(own->cuts_count, 2);
    unit_deinit(&unit);
}

static void nothing_live_is_nothing_to_reset(void **state)
{
    (void)state;
    struct unit unit = empty();
    assert_int_equal(unit_reset(&unit, 0, 1), UNIT_E_NOTHING);
    assert_int_equal(unit.count, 0);
    add(&unit, 0, 5, 1);
    assert_int_equal(unit_reset(&unit, 0, 2), 0);
    assert_int_equal(unit_reset(&unit, 0, 3), UNIT_E_NOTHING);
    assert_int_equal(unit_find(&unit, 0)->reset, 2);
    unit_deinit(&unit);
}

static void a_later_record_of_an_author_still_names_what_is_dead(void **state)
{
    (void)state;
    struct unit unit = empty();
    add(&unit, 0, 5, 1);
    assert_int_equal(unit_reset(&unit, 1, 1), 0);
    add(&unit, 2, 7, 1);
    assert_int_equal(unit_reset(&unit, 1, 2), 0);
    assert_int_equal(unit_find(&unit, 1)->cuts_count, 2);
    struct unit late = empty();
    add(&late, 0, 5, 1); // heard of origin 0 only, then of the later record only
    learn(&late, &unit, &nothing);
    assert_false(is_live(&late));
    unit_deinit(&unit);
    unit_deinit(&late);
}

static void concurrent_resets_are_the_same_as_one(void **state)
{
    (void)state;
    struct unit a = empty(), b = empty();
    add(&a, 0, 5, 1);
    assert_int_equal(unit_copy(&b, &a), 0);
    assert_int_equal(unit_reset(&a, 1, 1), 0);
    assert_int_equal(unit_reset(&b, 2, 1), 0);
    add(&b, 0, 2, 2); // a new life at origin 0, which has seen the second
    learn(&a, &b, &nothing);
    learn(&b, &a, &nothing);
    assert_int_equal(value_of(&a), 2);
    assert_int_equal(value_of(&b), 2);
    unit_deinit(&a);
    unit_deinit(&b);
}

// ---- SET

static void a_set_replaces_what_it_saw(void **state)
{
    (void)state;
    struct unit unit = empty();
    add(&unit, 0, 5, 1);
    assert_int_equal(unit_set(&unit, 0, 2, 100, 40), 0);
    assert_int_equal(value_of(&unit), 40);
    add(&unit, 0, 2, 3);
    assert_int_equal(value_of(&unit), 42);
    assert_int_equal(unit_set(&unit, 0, 4, 101, 7), 0);
    assert_int_equal(value_of(&unit), 7);
    assert_int_equal(unit_reset(&unit, 0, 5), 0);
    assert_false(is_live(&unit));
    unit_deinit(&unit);
}

static void a_set_on_nothing_needs_no_record(void **state)
{
    (void)state;
    struct unit unit = empty();
    assert_int_equal(unit_set(&unit, 0, 1, 100, 0), 0);
    assert_int_equal(value_of(&unit), 0);
    assert_int_equal(unit_find(&unit, 0)->reset, 0);
    unit_deinit(&unit);
}

static void of_two_concurrent_sets_one_wins_and_adds_count_on(void **state)
{
    (void)state;
    struct unit a = empty(), b = empty();
    assert_int_equal(unit_set(&a, 0, 1, 100, 10), 0);
    assert_int_equal(unit_set(&b, 1, 1, 99, 20), 0);
    add(&b, 2, 3, 1);
    learn(&a, &b, &nothing);
    learn(&b, &a, &nothing);
    assert_int_equal(value_of(&a), 13);
    assert_int_equal(value_of(&b), 13);
    unit_deinit(&a);
    unit_deinit(&b);
}

static void equal_stamps_are_decided_by_the_incarnation(void **state)
{
    (void)state;
    struct unit a = empty(), b = empty();
    assert_int_equal(unit_set(&a, 0, 1, 100, 10), 0);
    assert_int_equal(unit_set(&b, 1, 1, 100, 20), 0);
    learn(&a, &b, &nothing);
    learn(&b, &a, &nothing);
    assert_int_equal(value_of(&a), 20);
    assert_int_equal(value_of(&b), 20);
    unit_deinit(&a);
    unit_deinit(&b);
}

static void a_set_that_lost_stays_dead_when_the_winner_is_reset(void **state)
{
    (void)state;
    struct unit unit = empty(), other = empty();
    assert_int_equal(unit_set(&unit, 0, 1, 100, 10), 0);
    assert_int_equal(unit_set(&other, 1, 1, 99, 20), 0);
    learn(&unit, &other, &nothing);
    assert_int_equal(unit_reset(&unit, 2, 1), 0);
    learn(&other, &unit, &nothing);
    assert_false(is_live(&unit));
    assert_false(is_live(&other));
    unit_deinit(&unit);
    unit_deinit(&other);
}

// ---- members

static void an_add_of_a_member_survives_a_concurrent_remove(void **state)
{
    (void)state;
    struct unit a = empty(), b = empty();
    add_as(&a, 0, CELL_GSET, 1, 1);
    learn(&b, &a, &nothing);
    assert_int_equal(unit_reset(&b, 1, 1), 0);
    add_as(&a, 2, CELL_GSET, 1, 1);
    learn(&a, &b, &nothing);
    learn(&b, &a, &nothing);
    assert_true(is_live(&a));
    assert_true(is_live(&b));
    unit_deinit(&a);
    unit_deinit(&b);
}

// ---- leases

static void write_lease(struct unit *unit, uint16_t origin, uint64_t sequence, struct lease lease)
{
    struct cell *cell = unit_obtain(unit, origin);
    cell->type = CELL_PRESENCE;
    cell->sequence = sequence;
    cell->lease = lease;
}

static void the_newest_lease_that_runs_and_is_not_hidden_counts(void **state)
{
    (void)state;
    struct unit unit = empty();
    bool is_hidden[LIMIT_ORIGINS] = {false};
    int64_t count = 42;
    assert_false(unit_lease_view(&unit, is_hidden, &count));
    assert_int_equal(count, 0);
    write_lease(&unit, 0, 1, (struct lease){.epoch = 1, .sequence = 5, .count = 30});
    write_lease(&unit, 1, 1, (struct lease){.epoch = 1, .sequence = 6, .count = 31});
    assert_true(unit_lease_view(&unit, is_hidden, &count));
    assert_int_equal(count, 31); // the owner moved: not 61
    is_hidden[1] = true;
    assert_true(unit_lease_view(&unit, is_hidden, &count));
    assert_int_equal(count, 30);
    is_hidden[1] = false;
    write_lease(&unit, 1, 2, (struct lease){.epoch = 1, .sequence = 7, .ended = true});
    assert_int_equal(unit_lease_shown(&unit, is_hidden)->origin, 0);
    is_hidden[0] = true;
    assert_null(unit_lease_shown(&unit, is_hidden));
    unit_deinit(&unit);
}

static void a_new_boot_of_an_owner_counts_before_any_sequence(void **state)
{
    (void)state;
    struct unit unit = empty();
    bool is_hidden[LIMIT_ORIGINS] = {false};
    write_lease(&unit, 0, 1, (struct lease){.epoch = 1, .sequence = 900, .count = 30});
    write_lease(&unit, 1, 1, (struct lease){.epoch = 2, .sequence = 1, .count = 0});
    assert_int_equal(unit_lease_shown(&unit, is_hidden)->origin, 1);
    unit_deinit(&unit);
}

// ---- collection

static void a_record_is_dropped_when_it_is_stable_and_then_what_is_dead(void **state)
{
    (void)state;
    struct unit unit = empty();
    struct vector seen = {{5, 9, 0}}, stable = {{5, 8, 0}};
    add(&unit, 0, 5, 5);
    assert_int_equal(unit_reset(&unit, 1, 9), 0);
    assert_false(unit_collect(&unit, &stable, &seen)); // nothing while a record is unstable
    assert_int_equal(unit.count, 2);
    stable.sequence[1] = 9;
    assert_true(unit_collect(&unit, &stable, &seen));
    assert_int_equal(unit.count, 0);
    unit_deinit(&unit);
}

static void what_lives_stays(void **state)
{
    (void)state;
    struct unit unit = empty();
    struct vector all = {{99, 99, 99, 99}};
    add(&unit, 0, 0, 1);
    assert_int_equal(unit_set(&unit, 1, 2, 5, 0), 0);
    write_lease(&unit, 2, 3, (struct lease){.epoch = 1, .sequence = 1});
    write_lease(&unit, 3, 3, (struct lease){.epoch = 1, .sequence = 1, .ended = true});
    assert_true(unit_collect(&unit, &all, &all)); // origin 0 was cut by the set; 3 ended
    assert_int_equal(unit.count, 2);
    assert_non_null(unit_find(&unit, 1));
    assert_non_null(unit_find(&unit, 2));
    assert_false(unit_collect(&unit, &all, &all));
    unit_deinit(&unit);
}

static void dead_parts_of_a_live_cell_are_dropped(void **state)
{
    (void)state;
    struct unit unit = empty();
    struct vector all = {{99}};
    add(&unit, 0, 5, 1);
    assert_int_equal(unit_set(&unit, 0, 2, 5, 40), 0);
    assert_true(unit_collect(&unit, &all, &all));
    const struct cell *cell = unit_find(&unit, 0);
    assert_int_equal(cell->birth, 0);
    assert_int_equal(cell->reset, 0);
    assert_int_equal(value_of(&unit), 40);
    add(&unit, 0, 2, 3);
    assert_int_equal(unit_reset(&unit, 0, 4), 0);
    add(&unit, 0, 1, 5);
    assert_true(unit_collect(&unit, &all, &all));
    assert_int_equal(base_newest(&unit_find(&unit, 0)->base), 0);
    assert_int_equal(value_of(&unit), 1);
    unit_deinit(&unit);
}

static void writes_that_may_still_come_keep_the_cell_that_waits_for_them(void **state)
{
    (void)state;
    struct unit unit = empty(), author = empty();
    struct vector seen = {{4, 9}}, stable = {{4, 9}};
    add(&author, 0, 5, 6);
    assert_int_equal(unit_reset(&author, 1, 9), 0);
    unit_remove(&author, 0); // the record comes before the write that it names
    learn(&unit, &author, &(struct vector){{4, 8}});
    assert_true(unit_collect(&unit, &stable, &seen)); // the record, not what waits for the write
    assert_int_equal(unit.count, 1);
    assert_non_null(unit_find(&unit, 0));
    struct unit late = empty();
    add(&late, 0, 5, 6);
    learn(&unit, &late, &seen);
    assert_false(is_live(&unit));
    unit_deinit(&unit);
    unit_deinit(&author);
    unit_deinit(&late);
}

// ---- forgetting

static void what_others_have_is_forgotten_dead_or_alive(void **state)
{
    (void)state;
    struct unit unit = empty();
    struct vector limits = {{5, 9, 3, 2, 4}};
    add(&unit, 0, 5, 5);
    add(&unit, 3, 40, 2);
    add(&unit, 3, 2, 3); // the same life, written on since
    write_lease(&unit, 4, 4, (struct lease){.epoch = 1, .sequence = 1});
    assert_int_equal(unit_set(&unit, 1, 9, 5, 100), 0);
    add(&unit, 2, 7, 4);
    unit_forget(&unit, &limits);
    assert_null(unit_find(&unit, 0));
    assert_null(unit_find(&unit, 1));
    assert_null(unit_find(&unit, 4));
    assert_int_equal(unit.count, 2);
    assert_int_equal(value_of(&unit), 7); // what was cut in the life that stays stays cut
    unit_deinit(&unit);
}

static void a_base_is_forgotten_under_amounts_that_stay(void **state)
{
    (void)state;
    struct unit unit = empty();
    struct vector limits = {{1}};
    assert_int_equal(unit_set(&unit, 0, 1, 5, 100), 0);
    add(&unit, 0, 7, 2);
    unit_forget(&unit, &limits);
    assert_int_equal(value_of(&unit), 7);
    assert_int_equal(base_newest(&unit_find(&unit, 0)->base), 0);
    unit_deinit(&unit);
}

// The others do not know of the reset yet: what it names comes again, and must be dead.
static void what_a_record_that_stays_has_cut_stays_cut(void **state)
{
    (void)state;
    struct unit unit = empty(), other = empty();
    struct vector limits = {{6, 0, 3}};
    add(&unit, 0, 5, 5);
    assert_int_equal(unit_set(&unit, 2, 3, 5, 100), 0); // cuts 0
    add(&unit, 0, 3, 6);                                // a life of its own
    assert_int_equal(unit_copy(&other, &unit), 0);
    assert_int_equal(unit_reset(&unit, 1, 1), 0);
    unit_forget(&unit, &limits);
    assert_false(is_live(&unit));
    learn(&unit, &other, &nothing);
    assert_false(is_live(&unit));
    unit_deinit(&unit);
    unit_deinit(&other);
}

// ---- allocations that fail

static void fill(struct unit *unit)
{
    add(unit, 0, 5, 1);
    add(unit, 1, 6, 1);
    assert_int_equal(unit_set(unit, 2, 1, 9, 40), 0);
    add(unit, 0, 7, 2);
    assert_int_equal(unit_reset(unit, 3, 1), 0);
    add(unit, 1, 8, 2);
}

static void a_join_that_ran_out_of_memory_is_completed_by_joining_again(void **state)
{
    (void)state;
    struct unit source = empty(), whole = empty();
    fill(&source);
    learn(&whole, &source, &nothing);
    int fault = -ENOMEM;
    unsigned changed;
    for (long n = 0; fault; n++) {
        struct unit unit = empty();
        heap.fail_after = n;
        fault = unit_join(&unit, source.cells, source.count, &nothing, &changed);
        heap.fail_after = -1;
        assert_true(fault == 0 || fault == -ENOMEM);
        learn(&unit, &source, &nothing);
        assert_true(cells_is_equal(&unit, &whole));
        unit_deinit(&unit);
        assert_true(n < 50);
    }
    unit_deinit(&source);
    unit_deinit(&whole);
}

typedef int (*change)(struct unit *unit);

static int reset_by_new_author(struct unit *unit)
{
    return unit_reset(unit, 5, 1);
}

static int reset_by_old_author(struct unit *unit)
{
    return unit_reset(unit, 3, 2);
}

static int set_by_new_author(struct unit *unit)
{
    return unit_set(unit, 5, 1, 10, 50);
}

static int obtain_new(struct unit *unit)
{
    return unit_obtain(unit, 5) ? 0 : -ENOMEM;
}

static void a_change_that_ran_out_of_memory_changed_nothing(void **state)
{
    (void)state;
    static const change changes[] = {reset_by_new_author, reset_by_old_author, set_by_new_author,
                                     obtain_new};
    struct unit source = empty();
    fill(&source);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        int fault = -ENOMEM;
        for (long n = 0; fault; n++) {
            struct unit unit = empty();
            assert_int_equal(unit_copy(&unit, &source), 0);
            heap.fail_after = n;
            fault = changes[i](&unit);
            heap.fail_after = -1;
            if (fault)
                assert_true(cells_is_equal(&unit, &source));
            assert_true(n < 10 && (fault == 0 || fault == -ENOMEM));
            unit_deinit(&unit);
        }
    }
    unit_deinit(&source);
}

static void a_copy_that_ran_out_of_memory_is_empty(void **state)
{
    (void)state;
    struct unit source = empty();
    fill(&source);
    int fault = -ENOMEM;
    for (long n = 0; fault; n++) {
        struct unit unit = empty();
        add(&unit, 4, 1, 1);
        heap.fail_after = n;
        fault = unit_copy(&unit, &source);
        heap.fail_after = -1;
        if (fault)
            assert_int_equal(unit.count, 0);
        unit_deinit(&unit);
    }
    unit_deinit(&source);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(cells_are_obtained_once_and_removed),
        ROW(a_unit_holds_a_cell_of_every_origin),
        ROW(a_copy_is_equal_and_apart),
        ROW(the_value_is_the_sum_of_all_origins),
        ROW(sums_beyond_64_bits_are_told_and_recover),
        ROW(the_lowest_type_is_shown_and_no_amount_is_hidden),
        ROW(a_dead_cell_decides_no_type),
        ROW(a_reset_names_every_cell_and_leaves_nothing_live),
        ROW(nothing_live_is_nothing_to_reset),
        ROW(a_later_record_of_an_author_still_names_what_is_dead),
        ROW(concurrent_resets_are_the_same_as_one),
        ROW(a_set_replaces_what_it_saw),
        ROW(a_set_on_nothing_needs_no_record),
        ROW(of_two_concurrent_sets_one_wins_and_adds_count_on),
        ROW(equal_stamps_are_decided_by_the_incarnation),
        ROW(a_set_that_lost_stays_dead_when_the_winner_is_reset),
        ROW(an_add_of_a_member_survives_a_concurrent_remove),
        ROW(the_newest_lease_that_runs_and_is_not_hidden_counts),
        ROW(a_new_boot_of_an_owner_counts_before_any_sequence),
        ROW(a_record_is_dropped_when_it_is_stable_and_then_what_is_dead),
        ROW(what_lives_stays),
        ROW(dead_parts_of_a_live_cell_are_dropped),
        ROW(writes_that_may_still_come_keep_the_cell_that_waits_for_them),
        ROW(what_others_have_is_forgotten_dead_or_alive),
        ROW(a_base_is_forgotten_under_amounts_that_stay),
        ROW(what_a_record_that_stays_has_cut_stays_cut),
        ROW(a_join_that_ran_out_of_memory_is_completed_by_joining_again),
        ROW(a_change_that_ran_out_of_memory_changed_nothing),
        ROW(a_copy_that_ran_out_of_memory_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
