// SPDX-License-Identifier: Apache-2.0
// The simulator judged: one seed is one run, and its oracle does object.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "sim/world.h"

static struct world *new_world(uint64_t seed, uint64_t steps)
{
    struct world *world = malloc(sizeof *world);
    struct world_options options = {.seed = seed, .steps = steps};
    assert_non_null(world);
    keyspace_thread_start();
    world_init(world, &options);
    return world;
}

static void free_world(struct world *world)
{
    world_deinit(world);
    assert_string_equal(world->violation, ""); // no leak either
    keyspace_thread_stop();
    free(world);
}

static uint64_t trace_of(uint64_t seed)
{
    struct world *world = new_world(seed, 1500);
    assert_true(world_run(world));
    uint64_t trace = world->trace;
    free_world(world);
    return trace;
}

static void a_seed_is_one_run_exactly(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        assert_int_equal(trace_of(seed), trace_of(seed));
    assert_int_not_equal(trace_of(1), trace_of(2));
}

// Whatever is taken from what a node must show or know, the oracle misses it.
static void the_oracle_objects_to_a_wrong_value(void **state)
{
    (void)state;
    struct world *world = new_world(1, 1000);
    assert_true(world_run(world));
    checker_node(world, 0);
    assert_string_equal(world->violation, "");
    world->node[0].ghost.pending[0]++;
    checker_node(world, 0);
    assert_string_not_equal(world->violation, "");
    world->violation[0] = '\0';
    free_world(world);
}

static void the_oracle_objects_to_a_vector_that_claims_too_much(void **state)
{
    (void)state;
    struct world *world = new_world(3, 1000);
    assert_true(world_run(world));
    memset(world->node[0].ghost.mark, 0, sizeof world->node[0].ghost.mark);
    checker_node(world, 0);
    assert_string_not_equal(world->violation, "");
    world->violation[0] = '\0';
    free_world(world);
}

static void the_fault_plan_covers_every_fault(void **state)
{
    (void)state;
    bool is_drawn[FAULTS_COUNT] = {false};
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct prng prng;
        struct plan plan;
        prng_init(&prng, seed);
        plan_draw(&plan, &prng);
        unsigned sum = 0;
        for (unsigned fault = 0; fault < FAULTS_COUNT; fault++) {
            is_drawn[fault] |= plan.weight[fault] > 0;
            sum += plan.weight[fault];
        }
        assert_int_equal(sum, plan.weights_sum);
    }
    for (unsigned fault = 0; fault < FAULTS_COUNT; fault++)
        assert_true(is_drawn[fault]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_is_one_run_exactly),
        cmocka_unit_test(the_oracle_objects_to_a_wrong_value),
        cmocka_unit_test(the_oracle_objects_to_a_vector_that_claims_too_much),
        cmocka_unit_test(the_fault_plan_covers_every_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
