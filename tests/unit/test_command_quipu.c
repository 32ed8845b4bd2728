// SPDX-License-Identifier: Apache-2.0
// What only quipu has: presence, values with versions, cells, digests, tokens, the cluster's view.
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

static void presence_is_the_sum_over_owners(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "PRESENCE.SET p a 3 1000", ":3\r\n");
    desk_assert(desk, "PRESENCE.SET p b 4 1000", ":7\r\n");
    desk_assert(desk, "PRESENCE.SET p a 1 1000", ":5\r\n");
    desk_assert(desk, "GET p", "$1\r\n5\r\n");
    desk_assert(desk, "PRESENCE.SET p b 0 1000", ":1\r\n");
    desk_assert(desk, "PRESENCE.LIST p", "*1\r\n*4\r\n$1\r\na\r\n:1\r\n$2\r\nr1\r\n:1000\r\n");
    desk_assert(desk, "PRESENCE.LIST none", "*0\r\n");
}

static void presence_ends_by_itself(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "PRESENCE.SET p a 3 1000");
    desk_run(desk, "PRESENCE.SET p b 4 5000");
    desk->now_ms += 999;
    desk_commit(desk);
    desk_assert(desk, "GET p", "$1\r\n7\r\n");
    desk->now_ms += 1;
    desk_commit(desk);
    desk_assert(desk, "GET p", "$1\r\n4\r\n");
    desk->now_ms += 5000;
    desk_commit(desk);
    desk_assert(desk, "GET p", "$-1\r\n");
    desk_assert(desk, "EXISTS p", ":0\r\n");
}

static void late_and_doubled_heartbeats_change_nothing(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "PRESENCE.SET p a 3 1000 EPOCH 5 SEQ 2", ":3\r\n");
    desk_assert(desk, "PRESENCE.SET p a 9 1000 EPOCH 5 SEQ 1", ":3\r\n");
    desk_assert(desk, "PRESENCE.SET p a 9 1000 EPOCH 4 SEQ 9", ":3\r\n");
    desk_assert(desk, "PRESENCE.SET p a 9 1000 EPOCH 6 SEQ 1", ":9\r\n");
}

static void presence_requests_are_checked(void **state)
{
    struct desk *desk = *state;
    desk_assert_begins(desk, "PRESENCE.SET p a -1 1000", "-ERR value is out of range");
    desk_assert_begins(desk, "PRESENCE.SET p a 1 0", "-ERR value is out of range");
    desk_assert_begins(desk, "PRESENCE.SET p a x 1000", "-ERR value is not an integer");
    desk_assert(desk, "PRESENCE.SET p a 1 1000 EPOCH", "-ERR syntax error\r\n");
    desk_assert(desk, "PRESENCE.SET p a 1 1000 OTHER 1", "-ERR syntax error\r\n");
    desk_run(desk, "INCR c");
    desk_assert_begins(desk, "PRESENCE.SET c a 1 1000", "-WRONGTYPE");
    desk_assert_begins(desk, "PRESENCE.LIST c", "-WRONGTYPE");
}

static void values_come_with_type_and_version(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCRBY a 5");
    desk_run(desk, "GADD s x y");
    desk_run(desk, "QUIPU.CREATE g gcounter");
    desk_commit(desk);
    const char *answer = desk_run(desk, "QUIPU.VALUE a nothing s g");
    const char *expected = "*5\r\n$16\r\n0123456789abcdef\r\n*3\r\n$7\r\ncounter\r\n:5\r\n:";
    assert_int_equal(strncmp(answer, expected, strlen(expected)), 0);
    assert_non_null(strstr(answer, "$-1\r\n*3\r\n$4\r\ngset\r\n:2\r\n:"));
    assert_non_null(strstr(answer, "*3\r\n$8\r\ngcounter\r\n:0\r\n:"));
}

static int64_t version_of(struct desk *desk, const char *key)
{
    char line[64];
    snprintf(line, sizeof line, "QUIPU.VALUE %s", key);
    const char *answer = desk_run(desk, line);
    return atoll(strrchr(answer, ':') + 1);
}

static void versions_rise_with_every_committed_change(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR a");
    desk_commit(desk);
    int64_t first = version_of(desk, "a");
    desk_run(desk, "INCR b");
    desk_commit(desk);
    assert_int_equal(version_of(desk, "a"), first);
    desk_run(desk, "INCR a");
    desk_commit(desk);
    assert_true(version_of(desk, "a") > version_of(desk, "b"));
}

static void cells_are_shown(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCRBY a 5");
    const char *answer = desk_run(desk, "QUIPU.INSPECT a");
    assert_non_null(strstr(answer, "$4\r\ntype\r\n$7\r\ncounter\r\n$5\r\nvalue\r\n:5\r\n"));
    assert_non_null(strstr(answer, "$7\r\nreplica\r\n$2\r\nr1\r\n"));
    assert_non_null(strstr(answer, "$1\r\nT\r\n:5\r\n"));
    desk_run(desk, "SET a 9");
    assert_non_null(strstr(desk_run(desk, "QUIPU.INSPECT a"), "$4\r\nbase\r\n:9\r\n"));
    desk_run(desk, "SET a 8");
    const char *reset = desk_run(desk, "QUIPU.INSPECT a"); // each SET cut what it had seen
    assert_non_null(strstr(reset, "$4\r\ncuts\r\n*1\r\n*7\r\n$2\r\nr1\r\n"));
    assert_non_null(strstr(reset, "$4\r\nlive\r\n:1\r\n"));
    desk_run(desk, "GADD s m");
    desk_run(desk, "PRESENCE.SET p node 3 60000");
    desk_assert_begins(desk, "QUIPU.INSPECT s m",
                       "*6\r\n$4\r\nkind\r\n$6\r\nmember\r\n$4\r\nlive\r\n:1\r\n");
    assert_non_null(
        strstr(desk_run(desk, "QUIPU.INSPECT p node"), "$5\r\nlease\r\n*5\r\n:3\r\n:60000\r\n"));
    desk_assert(desk, "QUIPU.INSPECT s n", "$-1\r\n");
    desk_assert(desk, "QUIPU.INSPECT s m n", "-ERR syntax error\r\n");
    desk_assert(desk, "QUIPU.INSPECT nothing", "$-1\r\n");
    desk->session.protocol = 3;
    desk_assert_begins(desk, "QUIPU.INSPECT a", "%5\r\n");
}

static void the_digest_is_of_values_only(void **state)
{
    struct desk *desk = *state;
    char one[64], two[64];
    desk_run(desk, "INCRBY a 2");
    desk_run(desk, "INCR b");
    snprintf(one, sizeof one, "%s", desk_run(desk, "QUIPU.DIGEST"));
    desk_run(desk, "FLUSHALL");
    desk_run(desk, "SET b 1");
    desk_run(desk, "INCR a");
    desk_run(desk, "INCR a");
    snprintf(two, sizeof two, "%s", desk_run(desk, "QUIPU.DIGEST"));
    assert_string_equal(one, two);
    desk_run(desk, "INCR a");
    assert_string_not_equal(one, desk_run(desk, "QUIPU.DIGEST"));
    assert_int_equal(strlen(one), 5 + 16 + 2);
}

static void a_token_is_covered_where_it_was_made(void **state)
{
    struct desk *desk = *state;
    char line[256], token[200];
    desk_run(desk, "INCR a");
    unsigned before = desk->commits;
    assert_int_equal(sscanf(desk_run(desk, "QUIPU.TOKEN"), "$%*d\r\n%199s", token), 1);
    assert_true(desk->commits > before);
    assert_int_equal(strncmp(token, "q1-", 3), 0);
    snprintf(line, sizeof line, "QUIPU.WAIT %s 0", token);
    desk_assert(desk, line, ":1\r\n");
    snprintf(line, sizeof line, "QUIPU.WAIT %s x", token);
    desk_assert(desk, line, "-ERR timeout is not an integer or out of range\r\n");
    token[5] = token[5] == '0' ? '1' : '0';
    snprintf(line, sizeof line, "QUIPU.WAIT %s 0", token);
    desk_assert(desk, line, "-QUIPU not a token\r\n");
    desk_assert(desk, "QUIPU.WAIT q1- 0", "-QUIPU not a token\r\n");
}

static void a_token_from_elsewhere_is_waited_for(void **state)
{
    struct desk *desk = *state;
    struct desk other;
    char line[256], token[200];
    keyspace_thread_stop();
    desk_open_as(&other, 9);
    desk_run(&other, "INCR a");
    desk_run(&other, "INCR b");
    assert_int_equal(sscanf(desk_run(&other, "QUIPU.TOKEN"), "$%*d\r\n%199s", token), 1);
    desk_close(&other);
    keyspace_thread_start();
    uint16_t known = replica_origins(desk->replica)->count;
    snprintf(line, sizeof line, "QUIPU.WAIT %s 0", token);
    desk_assert(desk, line, ":0\r\n");
    snprintf(line, sizeof line, "QUIPU.WAIT %s 100", token);
    desk_assert(desk, line, "(waits)");
    assert_int_equal(replica_origins(desk->replica)->count, known);
    desk->server.is_draining = true;
    desk_assert(desk, line, ":0\r\n");
}

// A test for strict dominance takes this replica for fresh enough: its clock is not below the
// token's, it has just seen other things.
static void a_replica_whose_clock_is_only_concurrent_does_not_answer(void **state)
{
    struct desk *desk = *state;
    struct desk other;
    char line[256], token[200];
    for (int i = 0; i < 50; i++)
        desk_run(desk, "SET a 1"); // far ahead in what it wrote itself
    keyspace_thread_stop();
    desk_open_as(&other, 9);
    desk_run(&other, "INCR b");
    assert_int_equal(sscanf(desk_run(&other, "QUIPU.TOKEN"), "$%*d\r\n%199s", token), 1);
    desk_close(&other);
    keyspace_thread_start();
    snprintf(line, sizeof line, "QUIPU.WAIT %s 0", token);
    desk_assert(desk, line, ":0\r\n");
}

static void the_cluster_is_told(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "QUIPU.LINKS", "*0\r\n");
    desk_assert_begins(desk, "QUIPU.MEMBERS",
                       "*1\r\n*4\r\n$2\r\nr1\r\n$14\r\n127.0.0.1:7001\r\n$32\r\n010203");
    desk_assert(desk, "QUIPU.FRESH", "*1\r\n*3\r\n$2\r\nr1\r\n:0\r\n:0\r\n");
    desk_assert(desk, "QUIPU.FRESH nothing", "*0\r\n");
    desk_run(desk, "INCR a");
    desk_commit(desk);
    desk_assert(desk, "QUIPU.FRESH a", "*1\r\n*3\r\n$2\r\nr1\r\n:0\r\n:0\r\n");
}

static void links_are_cut_only_where_that_is_allowed(void **state)
{
    struct desk *desk = *state;
    desk_assert_begins(desk, "QUIPU.LINK CUT ALL", "-QUIPU cutting links is off here");
    desk->server.is_cut_allowed = true;
    desk_assert(desk, "QUIPU.LINK CUT ALL", "+OK\r\n");
    desk_assert(desk, "QUIPU.LINK HEAL ALL", "+OK\r\n");
    desk_assert(desk, "QUIPU.LINK CUT r9", "-QUIPU no replica named 'r9' is known\r\n");
    desk_assert(desk, "QUIPU.LINK FOO r9", "-ERR syntax error\r\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(presence_is_the_sum_over_owners),
        TEST(presence_ends_by_itself),
        TEST(late_and_doubled_heartbeats_change_nothing),
        TEST(presence_requests_are_checked),
        TEST(values_come_with_type_and_version),
        TEST(versions_rise_with_every_committed_change),
        TEST(cells_are_shown),
        TEST(the_digest_is_of_values_only),
        TEST(a_token_is_covered_where_it_was_made),
        TEST(a_token_from_elsewhere_is_waited_for),
        TEST(a_replica_whose_clock_is_only_concurrent_does_not_answer),
        TEST(the_cluster_is_told),
        TEST(links_are_cut_only_where_that_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
