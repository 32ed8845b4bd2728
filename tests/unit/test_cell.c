// SPDX-License-Identifier: Apache-2.0
// One cell: lives, cuts, bases, leases, what is live and what is dead, and joins part by part.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "crdt/cell.h"

static struct cell added(struct cell cell, int64_t amount, uint64_t sequence)
{
    cell_add(&cell, amount, sequence);
    return cell;
}

static struct cut cut_at(const struct cell *cell)
{
    return (struct cut){.birth = cell->birth,
                        .write = cell->write,
                        .total = cell->total,
                        .base = base_newest(&cell->base)};
}

static struct cell cut(struct cell cell)
{
    struct cut entry = cut_at(&cell);
    cell_cut(&cell, &entry);
    return cell;
}

static int64_t shown(const struct cell *cell)
{
    return cell->total - cell->cut_total;
}

// ---- lives

static void the_first_add_begins_a_life(void **state)
{
    (void)state;
    struct cell cell = added((struct cell){0}, 5, 7);
    assert_int_equal(cell.birth, 7);
    assert_int_equal(cell.write, 7);
    assert_int_equal(cell.sequence, 7);
    assert_int_equal(cell.total, 5);
    assert_true(cell_is_live(&cell));
}

static void adds_of_one_life_keep_its_birth(void **state)
{
    (void)state;
    struct cell cell = added(added((struct cell){0}, 5, 7), -2, 9);
    assert_int_equal(cell.birth, 7);
    assert_int_equal(cell.write, 9);
    assert_int_equal(cell.total, 3);
}

static void an_add_of_nothing_makes_live(void **state)
{
    (void)state;
    struct cell cell = added((struct cell){0}, 0, 1);
    assert_true(cell_is_live(&cell));
    assert_int_equal(cell.total, 0);
}

static void an_add_after_a_cut_begins_a_new_life_from_zero(void **state)
{
    (void)state;
    struct cell cell = cut(added((struct cell){0}, 5, 7));
    assert_false(cell_is_live(&cell));
    cell = added(cell, 2, 8);
    assert_int_equal(cell.birth, 8);
    assert_int_equal(cell.total, 2);
    assert_int_equal(cell.cut_write, 0);
    assert_int_equal(cell.cut_total, 0);
}

static void an_add_that_the_reset_had_not_seen_survives(void **state)
{
    (void)state;
    struct cell cell = added((struct cell){0}, 5, 7);
    struct cut entry = cut_at(&cell);
    cell = added(cell, 1, 8);
    assert_true(cell_cut(&cell, &entry));
    assert_true(cell_is_live(&cell));
    assert_int_equal(shown(&cell), 1);
    assert_false(cell_cut(&cell, &entry));
}

// ---- cuts

static void a_cut_of_a_life_not_here_adopts_it_dead(void **state)
{
    (void)state;
    struct cell cell = {0};
    struct cut entry = {.birth = 3, .write = 6, .total = 10, .base = 5};
    assert_true(cell_cut(&cell, &entry));
    assert_false(cell_is_live(&cell));
    assert_int_equal(cell.sequence, 6);
    struct cell late = added(added((struct cell){0}, 4, 3), 6, 6);
    cell_join(&cell, &late, 0);
    assert_false(cell_is_live(&cell));
    struct cell newer = added(late, 1, 9);
    cell_join(&cell, &newer, 0);
    assert_int_equal(shown(&cell), 1);
}

static void a_cut_of_later_writes_of_a_life_takes_their_total(void **state)
{
    (void)state;
    struct cell cell = added((struct cell){0}, 4, 3);
    struct cell later = added(cell, 6, 6);
    struct cut entry = cut_at(&later);
    assert_true(cell_cut(&cell, &entry));
    assert_int_equal(shown(&cell), 0);
    assert_int_equal(cell.write, 6);
    assert_int_equal(cell.sequence, 6);
}

static void a_cut_of_an_older_life_does_nothing(void **state)
{
    (void)state;
    struct cell first = added((struct cell){0}, 5, 1);
    struct cut entry = cut_at(&first);
    struct cell cell = added(cut(first), 2, 4);
    assert_false(cell_cut(&cell, &entry));
    assert_int_equal(shown(&cell), 2);
}

static void an_empty_entry_cuts_nothing(void **state)
{
    (void)state;
    struct cell cell = {.sequence = 4, .type = CELL_GSET};
    struct cut entry = {0};
    assert_false(cell_cut(&cell, &entry));
    assert_int_equal(cell.sequence, 4);
    assert_int_equal(cell.type, CELL_GSET);
}

// ---- joins

static void the_newer_life_is_taken_whole(void **state)
{
    (void)state;
    struct cell old = cut(added((struct cell){0}, 50, 1));
    struct cell fresh = added(old, 2, 4);
    struct cell a = old, b = fresh;
    assert_true(cell_join(&a, &fresh, 0) & CELL_CHANGED_COUNTER);
    assert_int_equal(shown(&a), 2);
    assert_int_equal(cell_join(&b, &old, 0), 0);
    assert_int_equal(shown(&b), 2);
}

static void total_and_cut_of_one_life_join_apart(void **state)
{
    (void)state;
    struct cell seen = added((struct cell){0}, 5, 1);
    struct cell longer = added(seen, 3, 2), shorter = cut(seen);
    struct cell a = longer, b = shorter;
    cell_join(&a, &shorter, 0);
    cell_join(&b, &longer, 0);
    assert_int_equal(shown(&a), 3);
    assert_int_equal(shown(&b), 3);
}

static void a_join_says_what_changed(void **state)
{
    (void)state;
    struct cell self = added((struct cell){0}, 5, 1), other = self;
    assert_int_equal(cell_join(&self, &other, 0), 0);
    other.sequence = other.reset = 2;
    assert_int_equal(cell_join(&self, &other, 0), CELL_CHANGED_RESET | CELL_CHANGED_SEQUENCE);
    other.sequence = other.base.sequence = 3;
    assert_int_equal(cell_join(&self, &other, 0), CELL_CHANGED_BASE | CELL_CHANGED_SEQUENCE);
    other.sequence = 4;
    other.lease = (struct lease){.epoch = 1, .sequence = 1, .count = 9};
    assert_int_equal(cell_join(&self, &other, 0), CELL_CHANGED_LEASE | CELL_CHANGED_SEQUENCE);
    assert_int_equal(cell_join(&self, &other, 0), 0);
}

static void parts_that_were_collected_here_do_not_come_back(void **state)
{
    (void)state;
    struct cell self = {.sequence = 9, .reset = 9}; // all else of it was collected, V is at 9
    struct cell other = added((struct cell){.type = CELL_COUNTER}, 5, 3);
    other.reset = 4;
    other.base.cut = 5;
    other.sequence = 5;
    assert_int_equal(cell_join(&self, &other, 9), 0);
    assert_int_equal(self.birth, 0);
    assert_int_equal(self.reset, 9);
    assert_int_equal(base_newest(&self.base), 0);
}

static void the_type_follows_the_last_write(void **state)
{
    (void)state;
    struct cell counter = cut(added((struct cell){.type = CELL_COUNTER}, 5, 1));
    struct cell set = counter;
    set.type = CELL_GSET;
    set = added(set, 0, 3);
    struct cell a = counter, b = set;
    cell_join(&a, &set, 0);
    cell_join(&b, &counter, 0);
    assert_int_equal(a.type, CELL_GSET);
    assert_int_equal(b.type, CELL_GSET);
}

static void a_cell_known_from_a_record_takes_its_type_when_it_comes(void **state)
{
    (void)state;
    struct cell real = added((struct cell){.type = CELL_GCOUNTER}, 5, 3);
    struct cut entry = cut_at(&real);
    struct cell cell = {0};
    cell_cut(&cell, &entry);
    cell_join(&cell, &real, 0);
    assert_int_equal(cell.type, CELL_GCOUNTER);
    assert_false(cell_is_live(&cell));
}

// ---- bases

static struct cell based(struct cell cell, int64_t value, uint64_t sequence)
{
    cell.base = (struct base){.sequence = sequence, .stamp = sequence, .value = value};
    cell.sequence = sequence;
    return cell;
}

static void a_base_is_live_until_it_is_cut(void **state)
{
    (void)state;
    struct cell cell = based((struct cell){0}, 40, 2);
    assert_true(cell_is_live(&cell));
    struct cell dead = cut(cell);
    assert_false(cell_is_live(&dead));
    assert_int_equal(base_newest(&dead.base), 2);
    assert_true(cell_join(&cell, &dead, 0) & CELL_CHANGED_BASE);
    assert_false(cell_is_live(&cell));
    struct cell newer = based(dead, 50, 5);
    assert_true(cell_join(&cell, &newer, 0) & CELL_CHANGED_BASE);
    assert_true(cell_is_live(&cell));
    assert_int_equal(cell_join(&cell, &dead, 0), 0);
    assert_int_equal(cell.base.value, 50);
}

static void a_base_cut_before_it_came_is_dead_when_it_comes(void **state)
{
    (void)state;
    struct cell cell = {0}, late = based((struct cell){0}, 40, 4);
    struct cut entry = {.base = 4};
    assert_true(cell_cut(&cell, &entry));
    assert_int_equal(cell.sequence, 4);
    assert_int_equal(cell_join(&cell, &late, 0), 0);
    assert_false(cell_is_live(&cell));
}

static void an_older_cut_leaves_a_newer_base(void **state)
{
    (void)state;
    struct cell cell = based((struct cell){0}, 40, 6);
    struct cut entry = {.base = 4};
    assert_false(cell_cut(&cell, &entry));
    assert_true(cell_is_live(&cell));
}

// ---- leases

static void the_later_written_lease_wins_whatever_its_owner_numbers(void **state)
{
    (void)state;
    struct cell first = {.sequence = 5, .lease = {.epoch = 9, .sequence = 9, .count = 3}};
    struct cell second = {.sequence = 6, .lease = {.epoch = 0, .sequence = 1, .count = 4}};
    struct cell a = first, b = second;
    cell_join(&a, &second, 0);
    cell_join(&b, &first, 0);
    assert_int_equal(a.lease.count, 4);
    assert_int_equal(b.lease.count, 4);
}

static void an_ended_lease_is_dead_and_a_running_one_is_not(void **state)
{
    (void)state;
    struct cell cell = {.sequence = 5, .lease = {.epoch = 0, .sequence = 1, .count = 3}};
    assert_true(lease_is_set(&cell.lease));
    assert_false(cell_is_dead(&cell));
    assert_false(cell_is_live(&cell)); // it is no counter
    cell.lease.ended = true;
    assert_true(cell_is_dead(&cell));
    cell.lease = (struct lease){0};
    assert_false(lease_is_set(&cell.lease));
}

static void leases_are_ordered_by_epoch_then_sequence(void **state)
{
    (void)state;
    struct lease low = {.epoch = 1, .sequence = 9, .count = 5};
    struct lease high = {.epoch = 2, .sequence = 1, .count = 1};
    assert_int_equal(lease_compare(&low, &high), -1);
    assert_int_equal(lease_compare(&high, &low), 1);
    high = low;
    assert_int_equal(lease_compare(&low, &high), 0);
    high.sequence++;
    assert_int_equal(lease_compare(&low, &high), -1);
    high = low;
    high.ended = true;
    assert_int_equal(lease_compare(&low, &high), -1);
    high = low;
    high.count++;
    assert_int_equal(lease_compare(&low, &high), -1);
    high = low;
    high.ttl_ms++;
    assert_int_equal(lease_compare(&low, &high), -1);
}

static void a_reset_record_keeps_its_cell(void **state)
{
    (void)state;
    struct cell cell = cut(added((struct cell){0}, 5, 1));
    assert_true(cell_is_dead(&cell));
    cell.reset = 2;
    assert_false(cell_is_dead(&cell));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_add_begins_a_life),
        cmocka_unit_test(adds_of_one_life_keep_its_birth),
        cmocka_unit_test(an_add_of_nothing_makes_live),
        cmocka_unit_test(an_add_after_a_cut_begins_a_new_life_from_zero),
        cmocka_unit_test(an_add_that_the_reset_had_not_seen_survives),
        cmocka_unit_test(a_cut_of_a_life_not_here_adopts_it_dead),
        cmocka_unit_test(a_cut_of_later_writes_of_a_life_takes_their_total),
        cmocka_unit_test(a_cut_of_an_older_life_does_nothing),
        cmocka_unit_test(an_empty_entry_cuts_nothing),
        cmocka_unit_test(the_newer_life_is_taken_whole),
        cmocka_unit_test(total_and_cut_of_one_life_join_apart),
        cmocka_unit_test(a_join_says_what_changed),
        cmocka_unit_test(parts_that_were_collected_here_do_not_come_back),
        cmocka_unit_test(the_type_follows_the_last_write),
        cmocka_unit_test(a_cell_known_from_a_record_takes_its_type_when_it_comes),
        cmocka_unit_test(a_base_is_live_until_it_is_cut),
        cmocka_unit_test(a_base_cut_before_it_came_is_dead_when_it_comes),
        cmocka_unit_test(an_older_cut_leaves_a_newer_base),
        cmocka_unit_test(the_later_written_lease_wins_whatever_its_owner_numbers),
        cmocka_unit_test(an_ended_lease_is_dead_and_a_running_one_is_not),
        cmocka_unit_test(leases_are_ordered_by_epoch_then_sequence),
        cmocka_unit_test(a_reset_record_keeps_its_cell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
