// SPDX-License-Identifier: Apache-2.0
// The laws of a state-based CRDT, over states that replicas really reach: random histories of adds,
// resets, SETs, members and leases at three replicas. A failing seed is printed as the command that
// replays it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/lib/actors.h"
#include "tests/lib/cells.h"
#include "tests/lib/seed.h"

#define STEPS 400

static struct actors actors;

static void require(uint64_t seed, bool is_held, const char *law)
{
    if (is_held)
        return;
    print_error("seed %llu: %s\n", (unsigned long long)seed, law);
    seed_print(seed);
    fail();
}

static void require_no_fault(uint64_t seed)
{
    require(seed, actors.fault[0] == '\0', actors.fault);
}

static void live(uint64_t seed, bool has_collection, unsigned steps)
{
    actors_init(&actors, seed, has_collection);
    for (unsigned i = 0; i < steps && !actors.fault[0]; i++)
        actors_step(&actors);
    require_no_fault(seed);
}

// ---- convergence

static bool is_all_equal(unsigned unit)
{
    struct unit first, other;
    unit_init(&first, &actors.heap.heap);
    unit_init(&other, &actors.heap.heap);
    actors_read(&actors, 0, unit, NULL, &first);
    bool is_equal = true;
    for (unsigned i = 1; i < ACTORS_COUNT && is_equal; i++) {
        actors_read(&actors, i, unit, NULL, &other);
        is_equal = cells_is_equal(&first, &other);
    }
    if (!is_equal) {
        cells_print("first", &first);
        cells_print("other", &other);
    }
    unit_deinit(&first);
    unit_deinit(&other);
    return is_equal;
}

static void any_order_loss_and_duplication_converges_to_the_ghost(void **state)
{
    (void)state;
    struct seeds seeds = seeds_of(400);
    unsigned collected = 0, replayed = 0;
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        live(seed, true, STEPS);
        actors_heal(&actors);
        require_no_fault(seed);
        for (unsigned unit = 0; unit < ACTORS_UNITS; unit++)
            require(seed, is_all_equal(unit), "replicas hold different cells after healing");
        collected += actors.collected;
        replayed += actors.replayed;
        actors_deinit(&actors);
    }
    assert_true(collected > 0 && replayed > 0);
}

static void dead_things_are_all_collected_after_healing(void **state)
{
    (void)state;
    struct seeds seeds = seeds_of(100);
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        live(seed, true, STEPS);
        actors_heal(&actors);
        require_no_fault(seed);
        for (unsigned i = 0; i < ACTORS_COUNT * ACTORS_UNITS; i++) {
            const struct unit *unit = &actors.actor[i / ACTORS_UNITS].units[i % ACTORS_UNITS];
            for (uint16_t at = 0; at < unit->count; at++)
                require(seed, !unit->cells[at].reset && !cell_is_dead(&unit->cells[at]),
                        "a reset record or a dead cell stayed");
        }
        actors_deinit(&actors);
    }
}

static void nothing_changes_when_only_old_messages_arrive(void **state)
{
    (void)state;
    struct seeds seeds = seeds_of(100);
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        live(seed, seed % 2, STEPS);
        actors_heal(&actors);
        actors_replay(&actors);
        require_no_fault(seed);
        actors_deinit(&actors);
    }
}

// ---- joins as a semilattice: no vector hides anything, as in recovery

struct three {
    struct unit a, b, c;
};

static void join_into(struct unit *self, const struct unit *other, unsigned *out_changed)
{
    static const struct vector nothing;
    assert_int_equal(unit_join(self, other->cells, other->count, &nothing, out_changed), 0);
}

static void joined(const struct unit *a, const struct unit *b, struct unit *out)
{
    unsigned changed;
    assert_int_equal(unit_copy(out, a), 0);
    join_into(out, b, &changed);
}

static void check_semilattice(uint64_t seed, const struct three *three)
{
    struct unit left, right, inner;
    unsigned changed;
    unit_init(&left, &actors.heap.heap);
    unit_init(&right, &actors.heap.heap);
    unit_init(&inner, &actors.heap.heap);
    joined(&three->a, &three->b, &left);
    joined(&three->b, &three->a, &right);
    require(seed, cells_is_equal(&left, &right), "join is not commutative");
    join_into(&right, &three->a, &changed);
    require(seed, !changed && cells_is_equal(&left, &right), "join is not monotone");
    join_into(&left, &three->c, &changed);
    joined(&three->b, &three->c, &inner);
    joined(&three->a, &inner, &right);
    require(seed, cells_is_equal(&left, &right), "join is not associative");
    joined(&three->a, &three->a, &left);
    require(seed, cells_is_equal(&left, &three->a), "join is not idempotent");
    assert_int_equal(unit_copy(&left, &three->a), 0);
    join_into(&left, &three->a, &changed);
    require(seed, !changed, "a join with itself claims a change");
    unit_deinit(&left);
    unit_deinit(&right);
    unit_deinit(&inner);
}

static void join_is_commutative_associative_idempotent_and_monotone(void **state)
{
    (void)state;
    struct seeds seeds = seeds_of(150);
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        struct unit archive[3][ACTORS_UNITS];
        live(seed, false, 100); // collection forgets: then only what is shown is the same
        for (unsigned i = 0; i < 3 * ACTORS_UNITS; i++)
            unit_init(&archive[i / ACTORS_UNITS][i % ACTORS_UNITS], &actors.heap.heap);
        for (unsigned round = 0; round < 12; round++) {
            for (unsigned i = 0; i < ACTORS_UNITS; i++)
                actors_read(&actors, (unsigned)prng_below(&actors.prng, ACTORS_COUNT), i, NULL,
                            &archive[round % 3][i]);
            for (unsigned i = 0; i < ACTORS_UNITS; i++)
                check_semilattice(seed,
                                  &(struct three){archive[0][i], archive[1][i], archive[2][i]});
            for (unsigned i = 0; i < 25; i++)
                actors_step(&actors);
            require_no_fault(seed);
        }
        for (unsigned i = 0; i < 3 * ACTORS_UNITS; i++)
            unit_deinit(&archive[i / ACTORS_UNITS][i % ACTORS_UNITS]);
        actors_deinit(&actors);
    }
}

// ---- with vectors

static struct vector vector_of(unsigned number)
{
    const struct actor *actor = &actors.actor[number];
    struct vector vector = {{0}};
    for (unsigned i = 0; i < ACTORS_COUNT; i++)
        vector.sequence[i] = actor->vector.sequence[actor->origin[i]];
    return vector;
}

struct pair {
    unsigned self, other, unit;
};

// The state of self after it heard other's cells above `known`, in the numbering of the actors.
static void heard(struct pair pair, const struct vector *known, struct unit *out)
{
    struct unit arriving;
    struct vector seen = vector_of(pair.self);
    unsigned changed;
    unit_init(&arriving, &actors.heap.heap);
    actors_read(&actors, pair.self, pair.unit, NULL, out);
    actors_read(&actors, pair.other, pair.unit, known, &arriving);
    assert_int_equal(unit_join(out, arriving.cells, arriving.count, &seen, &changed), 0);
    unit_deinit(&arriving);
}

static void check_delta(uint64_t seed, struct pair pair)
{
    struct unit by_delta, by_state;
    const struct actor *self = &actors.actor[pair.self], *other = &actors.actor[pair.other];
    struct vector known = {{0}};
    for (unsigned i = 0; i < ACTORS_COUNT; i++)
        known.sequence[other->origin[i]] = self->vector.sequence[self->origin[i]];
    unit_init(&by_delta, &actors.heap.heap);
    unit_init(&by_state, &actors.heap.heap);
    heard(pair, &known, &by_delta);
    heard(pair, NULL, &by_state);
    bool is_equal = cells_is_equal(&by_delta, &by_state);
    if (!is_equal) {
        cells_print("by delta", &by_delta);
        cells_print("by state", &by_state);
    }
    require(seed, is_equal, "joining what is above the vector is not joining the whole state");
    unit_deinit(&by_delta);
    unit_deinit(&by_state);
}

static void check_order(uint64_t seed, struct pair pair)
{
    static const bool nobody[LIMIT_ORIGINS];
    struct unit left, right;
    unit_init(&left, &actors.heap.heap);
    unit_init(&right, &actors.heap.heap);
    heard(pair, NULL, &left);
    heard((struct pair){pair.other, pair.self, pair.unit}, NULL, &right);
    struct unit_view x = unit_view(&left, &actors.origins), y = unit_view(&right, &actors.origins);
    int64_t count_x, count_y;
    require(seed, x.is_live == y.is_live && x.value == y.value && x.type == y.type,
            "two replicas that hear each other show different values");
    require(seed,
            unit_lease_view(&left, nobody, &count_x) == unit_lease_view(&right, nobody, &count_y) &&
                count_x == count_y,
            "two replicas that hear each other show different leases");
    unit_deinit(&left);
    unit_deinit(&right);
}

static void a_delta_joined_is_the_state_joined_and_order_does_not_matter(void **state)
{
    (void)state;
    struct seeds seeds = seeds_of(150);
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        live(seed, seed % 2, 60);
        for (unsigned round = 0; round < 12; round++) {
            for (unsigned i = 0; i < 20; i++)
                actors_step(&actors);
            require_no_fault(seed);
            for (unsigned i = 0; i < ACTORS_UNITS * ACTORS_COUNT; i++) {
                unsigned self = i % ACTORS_COUNT;
                struct pair pair = {self, (self + 1) % ACTORS_COUNT, i / ACTORS_COUNT};
                check_delta(seed, pair);
                check_order(seed, pair);
            }
        }
        actors_deinit(&actors);
    }
}

static void what_is_written_is_read_back_the_same(void **state)
{
    (void)state;
    struct seeds seeds = seeds_of(100);
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        live(seed, seed % 2, 200);
        struct origin_map map = cells_identity_map(ACTORS_COUNT);
        struct unit unit, again;
        struct buf bytes;
        unit_init(&unit, &actors.heap.heap);
        unit_init(&again, &actors.heap.heap);
        buf_init(&bytes, &actors.heap.heap);
        for (unsigned i = 0; i < ACTORS_UNITS * ACTORS_COUNT; i++) {
            struct address address = actors_address(i / ACTORS_COUNT), read;
            actors_read(&actors, i % ACTORS_COUNT, i / ACTORS_COUNT, NULL, &unit);
            buf_clear(&bytes);
            if (!unit_write(&unit, &address, NULL, &bytes))
                continue;
            struct reader reader = reader_of(buf_span(&bytes));
            require(seed, unit_read(&reader, &map, &read, &again) == 0 && !reader_left(&reader),
                    "what was written cannot be read");
            require(seed, cells_is_equal(&unit, &again), "decode after encode is not identity");
        }
        buf_deinit(&bytes);
        unit_deinit(&unit);
        unit_deinit(&again);
        actors_deinit(&actors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_loss_and_duplication_converges_to_the_ghost),
        cmocka_unit_test(dead_things_are_all_collected_after_healing),
        cmocka_unit_test(nothing_changes_when_only_old_messages_arrive),
        cmocka_unit_test(join_is_commutative_associative_idempotent_and_monotone),
        cmocka_unit_test(a_delta_joined_is_the_state_joined_and_order_does_not_matter),
        cmocka_unit_test(what_is_written_is_read_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
