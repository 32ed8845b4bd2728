// SPDX-License-Identifier: Apache-2.0
// PFADD, PFCOUNT, PFMERGE at one replica; what several make of it is the simulator's business.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
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

static void add_range(struct desk *desk, const char *key, unsigned from, unsigned to)
{
    char line[1024];
    for (unsigned n = from; n < to;) {
        int len = snprintf(line, sizeof line, "PFADD %s", key);
        for (unsigned i = 0; i < 30 && n < to; i++, n++)
            len += snprintf(line + len, sizeof line - (size_t)len, " m%u", n);
        desk_run(desk, line);
    }
}

static long count_of(struct desk *desk, const char *line)
{
    const char *answer = desk_run(desk, line);
    assert_int_equal(answer[0], ':');
    return strtol(answer + 1, NULL, 10);
}

static void members_are_counted_once(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "PFADD h a b c", ":1\r\n");
    desk_assert(desk, "PFADD h a b c", ":0\r\n");
    desk_assert(desk, "PFCOUNT h", ":3\r\n");
    desk_assert(desk, "GET h", "$1\r\n3\r\n");
    desk_assert(desk, "TYPE h", "+string\r\n");
    desk_assert(desk, "PFCOUNT none", ":0\r\n");
}

static void an_empty_one_is_made_by_its_name(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "PFADD h", ":1\r\n");
    desk_assert(desk, "PFADD h", ":0\r\n");
    desk_assert(desk, "PFCOUNT h", ":0\r\n");
    desk_assert(desk, "EXISTS h", ":1\r\n");
    desk_assert(desk, "QUIPU.CREATE g hll", "+OK\r\n");
    desk_assert(desk, "PFADD g x", ":1\r\n");
    desk_assert(desk, "PFCOUNT g", ":1\r\n");
}

static void it_grows_from_a_list_into_blocks(void **state)
{
    struct desk *desk = *state;
    for (unsigned n = 10; n <= 20000; n *= 2) {
        add_range(desk, "h", n / 2, n);
        long count = count_of(desk, "PFCOUNT h");
        long truth = (long)n - 5;
        assert_in_range(count, truth - truth / 33 - 1, truth + truth / 33 + 1);
        assert_int_equal(count, strtol(strchr(desk_run(desk, "GET h"), '\n') + 1, NULL, 10));
    }
    desk_assert(desk, "PFADD h m10239", ":0\r\n");
}

static void union_of_several_counts_each_member_once(void **state)
{
    struct desk *desk = *state;
    add_range(desk, "one", 0, 3000);
    add_range(desk, "two", 2000, 5000);
    add_range(desk, "few", 4990, 5010);
    long both = count_of(desk, "PFCOUNT one two few none");
    assert_in_range(both, 4860, 5160);
    desk_assert(desk, "PFMERGE all one two few none", "+OK\r\n");
    assert_int_equal(count_of(desk, "PFCOUNT all"), both);
    desk_assert(desk, "PFMERGE few one two", "+OK\r\n");
    assert_int_equal(count_of(desk, "PFCOUNT few"), both);
    desk_assert(desk, "PFMERGE empty none", "+OK\r\n");
    desk_assert(desk, "PFCOUNT empty", ":0\r\n");
}

static void deleted_ones_begin_anew(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "PFADD h a b c");
    desk_assert(desk, "DEL h", ":1\r\n");
    desk_assert(desk, "PFCOUNT h", ":0\r\n");
    desk_assert(desk, "EXISTS h", ":0\r\n");
    desk_assert(desk, "PFADD h a", ":1\r\n");
    desk_assert(desk, "PFCOUNT h", ":1\r\n");
    add_range(desk, "h", 0, 3000);
    desk_assert(desk, "DEL h", ":1\r\n");
    desk_assert(desk, "PFCOUNT h", ":0\r\n");
    desk_assert(desk, "GET h", "$-1\r\n");
    desk_assert(desk, "PFADD h a b", ":1\r\n");
    desk_assert(desk, "PFCOUNT h", ":2\r\n");
    desk_assert(desk, "DEL h", ":1\r\n");
    desk_assert(desk, "INCR h", ":1\r\n");
    desk_assert(desk, "GET h", "$1\r\n1\r\n");
}

static void other_types_are_left_alone(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR c");
    desk_run(desk, "PFADD h a");
    desk_assert_begins(desk, "PFADD c a", "-WRONGTYPE");
    desk_assert_begins(desk, "PFCOUNT c", "-WRONGTYPE");
    desk_assert_begins(desk, "PFCOUNT h c", "-WRONGTYPE");
    desk_assert_begins(desk, "PFMERGE c h", "-WRONGTYPE");
    desk_assert_begins(desk, "PFMERGE h c", "-WRONGTYPE");
    desk_assert_begins(desk, "INCR h", "-WRONGTYPE");
    desk_assert_begins(desk, "GADD h a", "-WRONGTYPE");
    desk_assert_begins(desk, "SET h 1", "-WRONGTYPE");
    desk_assert(desk, "PFCOUNT h", ":1\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_are_counted_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_one_is_made_by_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_grows_from_a_list_into_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(union_of_several_counts_each_member_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(deleted_ones_begin_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_types_are_left_alone, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
