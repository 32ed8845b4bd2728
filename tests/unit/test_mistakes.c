// SPDX-License-Identifier: Apache-2.0
// One short trace for each mistake that replicated counters are known to make, with the numbers
// that the mistake would show. Sites are replicas: cells of a few keys and a vector; a round is
// cells above what the receiver has, and the vector rises when the round has ended.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "crdt/unit.h"
#include "tests/lib/heap_libc.h"

enum { A, B, C, SITES };
enum { X, Y, KEYS };

struct site {
    struct unit keys[KEYS];
    struct vector vector;
    uint16_t self;
};

static struct heap_libc heap;
static struct origins origins;
static struct site sites[SITES];

static int set_up(void **state)
{
    (void)state;
    heap_libc_init(&heap);
    origins.count = 0;
    for (uint16_t i = 0; i < SITES; i++) {
        struct incarnation incarnation = {{(uint8_t)(i + 1)}};
        origins_obtain(&origins, &incarnation, &sites[i].self);
        sites[i].vector = (struct vector){{0}};
        for (int key = 0; key < KEYS; key++)
            unit_init(&sites[i].keys[key], &heap.heap);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < SITES * KEYS; i++)
        unit_deinit(&sites[i / KEYS].keys[i % KEYS]);
    return heap.bytes != 0;
}

static uint64_t next(int site)
{
    return ++sites[site].vector.sequence[sites[site].self];
}

static void add(int site, int key, int64_t amount)
{
    cell_add(unit_obtain(&sites[site].keys[key], sites[site].self), amount, next(site));
}

static void reset(int site, int key)
{
    assert_int_equal(unit_reset(&sites[site].keys[key], sites[site].self, next(site)), 0);
}

static int64_t value(int site, int key)
{
    return unit_view(&sites[site].keys[key], &origins).value;
}

static bool is_live(int site, int key)
{
    return unit_view(&sites[site].keys[key], &origins).is_live;
}

// One key of a round, as it was at `from`.
static void deliver(const struct unit *unit, int to, int key)
{
    unsigned changed;
    assert_int_equal(
        unit_join(&sites[to].keys[key], unit->cells, unit->count, &sites[to].vector, &changed), 0);
}

// Through bytes, and only the cells above what the receiver has. Returns how many.
static unsigned send_key(int from, int to, int key)
{
    struct origin_map map = {.local = {0, 1, 2}, .count = SITES};
    struct address address = {.kind = UNIT_KEY, .key = span_text("k")}, read;
    struct unit arriving;
    struct buf bytes;
    buf_init(&bytes, &heap.heap);
    unit_init(&arriving, &heap.heap);
    unsigned count = unit_write(&sites[from].keys[key], &address, &sites[to].vector, &bytes);
    struct reader reader = reader_of(buf_span(&bytes));
    if (count)
        assert_int_equal(unit_read(&reader, &map, &read, &arriving), 0);
    deliver(&arriving, to, key);
    unit_deinit(&arriving);
    buf_deinit(&bytes);
    return count;
}

static void end_round(int to, const struct vector *upto)
{
    vector_join(&sites[to].vector, upto);
}

static void round_of(int from, int to)
{
    for (int key = 0; key < KEYS; key++)
        send_key(from, to, key);
    end_round(to, &sites[from].vector);
}

// What the site's key was, to arrive late.
static struct unit kept(int site, int key)
{
    struct unit copy;
    unit_init(&copy, &heap.heap);
    assert_int_equal(unit_copy(&copy, &sites[site].keys[key]), 0);
    return copy;
}

static void collect(int site, int key)
{
    struct vector stable = sites[A].vector;
    for (int i = 0; i < SITES; i++) {
        for (int origin = 0; origin < SITES; origin++) {
            if (sites[i].vector.sequence[origin] < stable.sequence[origin])
                stable.sequence[origin] = sites[i].vector.sequence[origin];
        }
    }
    unit_collect(&sites[site].keys[key], &stable, &sites[site].vector);
}

// ---- resets

// Dots replaced at each add are removed with what they stood for before: 6 and not 1.
static void an_add_concurrent_with_a_reset_leaves_only_itself(void **state)
{
    (void)state;
    add(A, X, 5);
    round_of(A, B);
    reset(B, X);
    add(A, X, 1);
    round_of(B, A);
    round_of(A, B);
    assert_int_equal(value(A, X), 1);
    assert_int_equal(value(B, X), 1);
}

// Adds kept under the dot that the reset removes go with it: 0 and not 1.
static void an_add_concurrent_with_a_reset_is_not_lost(void **state)
{
    (void)state;
    add(A, X, 5);
    round_of(A, B);
    add(A, X, 1);
    reset(B, X);
    round_of(A, B);
    assert_int_equal(value(B, X), 1);
    assert_true(is_live(B, X));
}

// Starting again from 0 under the old identity loses to the old maximum: 5 and not 2.
static void a_counter_made_again_does_not_lose_to_its_past(void **state)
{
    (void)state;
    add(A, X, 5);
    round_of(A, B);
    struct unit past = kept(B, X);
    reset(A, X);
    add(A, X, 2);
    round_of(A, B);
    deliver(&past, A, X);
    deliver(&past, B, X);
    assert_int_equal(value(A, X), 2);
    assert_int_equal(value(B, X), 2);
    unit_deinit(&past);
}

// Subtracting the cut in place is undone by the next join with the unsubtracted total: 10 and
// not 5.
static void a_cut_is_not_forgotten_by_adding_on(void **state)
{
    (void)state;
    add(A, X, 5);
    round_of(A, B);
    add(A, X, 2);
    struct unit uncut = kept(A, X);
    reset(B, X);
    round_of(B, A);
    add(A, X, 3);
    deliver(&uncut, A, X);
    assert_int_equal(value(A, X), 5);
    round_of(A, B);
    assert_int_equal(value(B, X), 5);
    unit_deinit(&uncut);
}

// A record that names only what is live forgets what its forerunner had cut: 4 and not 0.
static void the_latest_record_covers_the_earlier_ones(void **state)
{
    (void)state;
    add(C, X, 4);
    round_of(C, A);
    round_of(C, B);
    reset(B, X);
    add(B, X, 1);
    reset(B, X);
    assert_int_equal(send_key(B, A, X), 1); // the later record only; A has C's cell
    assert_false(is_live(A, X));
}

// A cut that travels without the record it came from leaves the other cells uncut: 6 and not 1.
static void a_key_travels_whole(void **state)
{
    (void)state;
    add(A, X, 5);
    add(B, X, 6);
    round_of(B, A);
    round_of(A, B);
    round_of(B, C);
    reset(A, X);
    round_of(A, B);
    add(B, X, 1);
    assert_int_equal(send_key(B, C, X), 2); // B's new cell, and A's, for the record in it
    assert_int_equal(value(C, X), 1);
}

// ---- vectors and rounds

// The highest sequence received is no vector: after half a round it would claim the add to X.
static void a_broken_round_claims_nothing(void **state)
{
    (void)state;
    add(A, X, 5); // 1
    add(A, Y, 6); // 2
    add(A, X, 1); // 3: X has moved behind Y
    send_key(A, B, Y);
    assert_int_equal(sites[B].vector.sequence[A], 0);
    assert_false(is_live(B, X));
    round_of(A, B);
    assert_int_equal(sites[B].vector.sequence[A], 3);
    assert_int_equal(value(B, X), 6);
}

// `upto` taken at the end of a round covers what arrived behind it: C would claim A's second add.
static void a_round_claims_what_its_sender_knew_when_it_began(void **state)
{
    (void)state;
    add(A, X, 5);
    round_of(A, B);
    struct vector upto = sites[B].vector;
    send_key(B, C, X); // C has passed X ...
    add(A, X, 1);
    round_of(A, B); // ... when B hears of it
    send_key(B, C, Y);
    end_round(C, &upto);
    assert_int_equal(sites[C].vector.sequence[A], 1);
    assert_int_equal(value(C, X), 5);
    round_of(B, C);
    assert_int_equal(sites[C].vector.sequence[A], 2);
    assert_int_equal(value(C, X), 6);
}

// A cursor into one sender's order means nothing to another: from V the older cell comes too.
static void a_new_sender_starts_from_the_vector(void **state)
{
    (void)state;
    add(A, X, 7); // 1
    add(A, Y, 4); // 2
    round_of(A, C);
    add(A, X, 1); // 3: at A the cell moves behind the cursor
    send_key(A, B, Y);
    assert_int_equal(sites[B].vector.sequence[A], 0);
    round_of(C, B); // A is gone
    assert_int_equal(value(B, X), 7);
    assert_int_equal(sites[B].vector.sequence[A], 2);
}

// ---- collection

// Without the absent rule a late copy brings back what was collected: 5 and not nothing.
static void what_was_collected_does_not_come_back(void **state)
{
    (void)state;
    add(A, X, 5);
    struct unit late = kept(A, X);
    round_of(A, B);
    round_of(A, C);
    reset(B, X);
    for (int round = 0; round < 2; round++) {
        round_of(B, A);
        round_of(B, C);
    }
    collect(C, X);
    assert_int_equal(sites[C].keys[X].count, 0);
    deliver(&late, C, X);
    assert_int_equal(sites[C].keys[X].count, 0);
    unit_deinit(&late);
}

// A stale state offers an older write of a cell across a hole in what was received.
static void an_older_write_does_not_pass_a_newer_one(void **state)
{
    (void)state;
    add(A, X, 5);
    struct unit stale = kept(A, X);
    add(A, X, -2);
    send_key(A, B, X); // of a round that breaks: the vector stays at 0
    deliver(&stale, B, X);
    assert_int_equal(value(B, X), 3);
    unit_deinit(&stale);
}

// A newer record that no longer names what was collected meets it again in a recovery.
static void an_older_record_cuts_what_a_recovery_brings_back(void **state)
{
    (void)state;
    add(A, X, 5);
    struct unit first = kept(A, X);
    round_of(A, B);
    reset(B, X);
    struct unit second = kept(B, X);
    unit_remove(&second, A); // a frame holds what is new, and that is the record
    for (int round = 0; round < 2; round++) {
        round_of(B, A);
        round_of(B, C);
        round_of(A, B);
        round_of(C, B);
    }
    collect(B, X);
    add(B, X, 3);
    reset(B, X);
    struct unit third = kept(B, X);
    assert_null(unit_find(&third, A));
    unit_clear(&sites[C].keys[X]);
    sites[C].vector = (struct vector){{0}};
    deliver(&third, C, X);
    deliver(&first, C, X);
    deliver(&second, C, X);
    assert_false(is_live(C, X));
    unit_deinit(&first);
    unit_deinit(&second);
    unit_deinit(&third);
}

// An owner counted at its old and its new region: 61 and not 31.
static void an_owner_that_moves_is_counted_once(void **state)
{
    (void)state;
    static const bool nobody[LIMIT_ORIGINS];
    int64_t count;
    for (int site = A; site <= B; site++) {
        struct cell *cell = unit_obtain(&sites[site].keys[X], sites[site].self);
        cell->type = CELL_PRESENCE;
        cell->sequence = next(site);
        cell->lease = (struct lease){
            .epoch = 1, .sequence = 4u + (unsigned)site, .count = 30 + site, .ttl_ms = 3000};
    }
    round_of(A, C);
    round_of(B, C);
    assert_true(unit_lease_view(&sites[C].keys[X], nobody, &count));
    assert_int_equal(count, 31);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(an_add_concurrent_with_a_reset_leaves_only_itself),
        ROW(an_add_concurrent_with_a_reset_is_not_lost),
        ROW(a_counter_made_again_does_not_lose_to_its_past),
        ROW(a_cut_is_not_forgotten_by_adding_on),
        ROW(the_latest_record_covers_the_earlier_ones),
        ROW(a_key_travels_whole),
        ROW(a_broken_round_claims_nothing),
        ROW(a_round_claims_what_its_sender_knew_when_it_began),
        ROW(a_new_sender_starts_from_the_vector),
        ROW(what_was_collected_does_not_come_back),
        ROW(an_older_write_does_not_pass_a_newer_one),
        ROW(an_older_record_cuts_what_a_recovery_brings_back),
        ROW(an_owner_that_moves_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
