// SPDX-License-Identifier: Apache-2.0
// Bounded counters at one replica; what several do with their rights is the simulator's business.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "tests/lib/desk.h"

static int set_up(void **state)
{
    struct desk *desk = malloc(sizeof *desk);
    desk_open(desk);
    *state = desk;
    return 0;
}

static int tear_down(void **state)
{
    desk_close(*state);
    free(*state);
    return 0;
}

static void it_stands_at_its_bound_and_never_falls_below(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "QUIPU.CREATE stock bounded 0", "+OK\r\n");
    desk_assert(desk, "GET stock", "$1\r\n0\r\n");
    desk_assert(desk, "TYPE stock", "+string\r\n");
    desk_assert_begins(desk, "DECR stock", "-NORIGHTS 0 left here");
    desk_assert(desk, "INCRBY stock 10", ":10\r\n");
    desk_assert(desk, "DECRBY stock 4", ":6\r\n");
    desk_assert_begins(desk, "DECRBY stock 7", "-NORIGHTS 6 left here");
    desk_assert(desk, "GET stock", "$1\r\n6\r\n");
    desk_assert(desk, "DECRBY stock 6", ":0\r\n");
    desk_assert_begins(desk, "DECR stock", "-NORIGHTS 0 left here");
    desk_assert(desk, "INCR stock", ":1\r\n");
    desk_assert(desk, "DECR stock", ":0\r\n");
}

static void the_bound_may_be_any_number(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "QUIPU.CREATE low bounded -5", "+OK\r\n");
    desk_assert(desk, "GET low", "$2\r\n-5\r\n");
    desk_assert_begins(desk, "DECR low", "-NORIGHTS 0");
    desk_assert(desk, "INCRBY low 3", ":-2\r\n");
    desk_assert(desk, "DECRBY low 3", ":-5\r\n");
    desk_assert(desk, "QUIPU.CREATE low bounded -5", "+OK\r\n");
    desk_assert_begins(desk, "QUIPU.CREATE low bounded 0", "-ERR the key is there with another");
    desk_assert_begins(desk, "QUIPU.CREATE low counter", "-WRONGTYPE");
    desk_assert_begins(desk, "QUIPU.CREATE x bounded", "-ERR syntax");
    desk_assert_begins(desk, "QUIPU.CREATE x bounded y", "-ERR value is not an integer");
    desk_assert_begins(desk, "QUIPU.CREATE x bounded 999999999999999999", "-ERR value is not");
}

static void del_ends_it_with_all_that_was_in_it(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "QUIPU.CREATE stock bounded 0");
    desk_run(desk, "INCRBY stock 10");
    desk_run(desk, "DECRBY stock 3");
    desk_assert(desk, "DEL stock", ":1\r\n");
    desk_assert(desk, "GET stock", "$-1\r\n");
    desk_assert(desk, "EXISTS stock", ":0\r\n");
    desk_assert(desk, "QUIPU.CREATE stock bounded 2", "+OK\r\n");
    desk_assert(desk, "GET stock", "$1\r\n2\r\n");
    desk_assert_begins(desk, "DECR stock", "-NORIGHTS 0");
    desk_assert(desk, "INCRBY stock 5", ":7\r\n");
    desk_assert(desk, "DEL stock", ":1\r\n");
    desk_assert(desk, "INCR stock", ":1\r\n"); // a plain counter now
    desk_assert(desk, "DECRBY stock 5", ":-4\r\n");
}

static void rights_go_only_to_replicas_that_are_known(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "QUIPU.CREATE stock bounded 0");
    desk_run(desk, "INCRBY stock 10");
    desk_assert(desk, "QUIPU.TRANSFER stock 4 r1", ":10\r\n"); // to itself
    desk_assert_begins(desk, "QUIPU.TRANSFER stock 4 r9", "-QUIPU no replica named 'r9'");
    desk_assert_begins(desk, "QUIPU.TRANSFER stock 11 r1", "-NORIGHTS 10");
    desk_assert_begins(desk, "QUIPU.TRANSFER stock -1 r1", "-ERR value is not an integer");
    desk_assert_begins(desk, "QUIPU.TRANSFER none 1 r1", "-WRONGTYPE");
    desk_assert(desk, "DECRBY stock 10", ":0\r\n");
}

static void sums_that_would_leave_the_range_change_nothing(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "QUIPU.CREATE stock bounded 0");
    desk_assert(desk, "INCRBY stock 576460752303423488", ":576460752303423488\r\n");
    desk_assert_begins(desk, "INCR stock", "-ERR increment or decrement would overflow");
    desk_assert_begins(desk, "DECRBY stock 9223372036854775807", "-ERR increment or decrement");
    desk_assert(desk, "GET stock", "$18\r\n576460752303423488\r\n");
}

static void other_commands_keep_off(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "QUIPU.CREATE stock bounded 0");
    desk_assert_begins(desk, "SET stock 5", "-WRONGTYPE");
    desk_assert_begins(desk, "GADD stock 5", "-WRONGTYPE");
    desk_assert_begins(desk, "PFADD stock 5", "-WRONGTYPE");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_stands_at_its_bound_and_never_falls_below),
        TEST(the_bound_may_be_any_number),
        TEST(del_ends_it_with_all_that_was_in_it),
        TEST(rights_go_only_to_replicas_that_are_known),
        TEST(sums_that_would_leave_the_range_change_nothing),
        TEST(other_commands_keep_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
