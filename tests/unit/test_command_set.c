// SPDX-License-Identifier: Apache-2.0
// Sets as a client sees them: SADD and its family, what a grow-only set refuses, answers in parts,
// scans while members come and go, DEL of a whole set.
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

static void members_come_and_go(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "SADD s a b a c", ":3\r\n");
    desk_assert(desk, "SADD s b d", ":1\r\n");
    desk_assert(desk, "SCARD s", ":4\r\n");
    desk_assert(desk, "TYPE s", "+set\r\n");
    desk_assert(desk, "SISMEMBER s a", ":1\r\n");
    desk_assert(desk, "SMISMEMBER s a x d", "*3\r\n:1\r\n:0\r\n:1\r\n");
    desk_assert(desk, "SREM s a x a", ":1\r\n");
    desk_assert(desk, "SISMEMBER s a", ":0\r\n");
    desk_assert(desk, "SREM s b c d", ":3\r\n");
    desk_assert(desk, "EXISTS s", ":0\r\n"); // an empty set is not there
    desk_assert(desk, "TYPE s", "+none\r\n");
    desk_assert(desk, "SREM s a", ":0\r\n");
    desk_assert(desk, "SADD s a", ":1\r\n");
    desk_assert(desk, "SMEMBERS s", "*1\r\n$1\r\na\r\n");
    desk_assert(desk, "SADD s", "-ERR wrong number of arguments for 'sadd' command\r\n");
}

static void a_created_set_is_there_while_it_is_empty(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "QUIPU.CREATE s set", "+OK\r\n");
    desk_assert(desk, "QUIPU.CREATE s set", "+OK\r\n");
    desk_assert_begins(desk, "QUIPU.CREATE s gset", "-WRONGTYPE");
    desk_assert(desk, "SCARD s", ":0\r\n");
    desk_assert(desk, "EXISTS s", ":1\r\n");
    desk_assert(desk, "SADD s a", ":1\r\n");
    desk_assert(desk, "SREM s a", ":1\r\n");
    desk_assert(desk, "EXISTS s", ":1\r\n");
    desk_assert(desk, "DEL s", ":1\r\n");
    desk_assert(desk, "EXISTS s", ":0\r\n");
}

static void what_only_grows_refuses_removals(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "GADD g a b", ":2\r\n");
    desk_assert(desk, "SADD g c", ":1\r\n"); // an add is an add
    desk_assert_begins(desk, "SREM g a", "-QUIPU a gset only grows");
    desk_assert_begins(desk, "SPOP g", "-QUIPU a gset only grows");
    desk_assert_begins(desk, "SMOVE g h a", "-QUIPU a gset only grows");
    desk_assert(desk, "SCARD g", ":3\r\n");
    desk_run(desk, "SADD s a");
    desk_assert_begins(desk, "GADD s b", "-WRONGTYPE");
    desk_assert(desk, "SMOVE s g a", ":1\r\n");
    desk_assert(desk, "SCARD g", ":3\r\n");
    desk_assert(desk, "EXISTS s", ":0\r\n");
}

static void other_types_are_refused(void **state)
{
    struct desk *desk = *state;
    static const char *const lines[] = {
        "SADD c a",         "SREM c a",        "SPOP c",        "SMOVE c s a",    "SMOVE s c a",
        "SCARD c",          "SMEMBERS c",      "SISMEMBER c a", "SMISMEMBER c a", "SRANDMEMBER c",
        "SSCAN c 0",        "SINTER c s",      "SINTER s c",    "SUNION c",       "SDIFF s c",
        "SINTERCARD 2 s c", "SRANDMEMBER c 3", "SPOP c 2"};
    desk_run(desk, "INCR c");
    desk_run(desk, "SADD s a");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        desk_assert_begins(desk, lines[i], "-WRONGTYPE");
    desk_assert_begins(desk, "INCR s", "-WRONGTYPE");
    desk_assert_begins(desk, "GET s", "-WRONGTYPE");
    desk_assert_begins(desk, "PFADD s a", "-WRONGTYPE");
}

static void a_move_is_an_add_and_a_removal(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "SADD a x y");
    desk_assert(desk, "SMOVE a b x", ":1\r\n");
    desk_assert(desk, "SMOVE a b x", ":0\r\n");
    desk_assert(desk, "SISMEMBER b x", ":1\r\n");
    desk_assert(desk, "SMOVE b b x", ":1\r\n");
    desk_assert(desk, "SISMEMBER b x", ":1\r\n");
    desk_assert(desk, "SMOVE none b x", ":0\r\n");
    desk_assert(desk, "SMOVE a b y", ":1\r\n");
    desk_assert(desk, "EXISTS a", ":0\r\n");
    desk_assert(desk, "SCARD b", ":2\r\n");
}

static void pops_take_each_member_once(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "SADD s a b c d e f");
    for (unsigned i = 6; i > 3; i--) {
        char name = desk_run(desk, "SPOP s")[4], line[32];
        snprintf(line, sizeof line, "SISMEMBER s %c", name);
        desk_assert(desk, line, ":0\r\n");
    }
    desk_assert(desk, "SPOP s 0", "*0\r\n");
    desk_assert_begins(desk, "SPOP s 8", "*3\r\n");
    desk_assert(desk, "EXISTS s", ":0\r\n");
    desk_assert(desk, "SPOP s", "$-1\r\n");
    desk_assert(desk, "SPOP s 2", "*0\r\n");
    desk_assert_begins(desk, "SPOP s -1", "-ERR value is out of range, must be from 0 to ");
    desk_assert_begins(desk, "SPOP s 99999999", "-ERR value is out of range");
    desk_assert(desk, "SPOP s 1 1", "-ERR syntax error\r\n");
}

static void random_members_are_members(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "SADD s a b c d");
    desk_assert(desk, "SRANDMEMBER none", "$-1\r\n");
    desk_assert(desk, "SRANDMEMBER none 3", "*0\r\n");
    desk_assert(desk, "SRANDMEMBER s 0", "*0\r\n");
    desk_assert_begins(desk, "SRANDMEMBER s 2", "*2\r\n$1\r\n");
    desk_assert_begins(desk, "SRANDMEMBER s 8", "*4\r\n$1\r\n");
    desk_assert_begins(desk, "SRANDMEMBER s -7", "*7\r\n$1\r\n");
    desk_assert_begins(desk, "SRANDMEMBER s 99999999", "-ERR value is out of range");
    unsigned met[4] = {0};
    for (unsigned i = 0; i < 400; i++)
        met[desk_run(desk, "SRANDMEMBER s")[4] - 'a']++;
    for (unsigned i = 0; i < 4; i++)
        assert_true(met[i] > 50); // 100 on average
    desk_assert(desk, "SCARD s", ":4\r\n");
}

static void distinct_choices_are_distinct(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "SADD s a b c d e f");
    for (unsigned turn = 0; turn < 100; turn++) {
        const char *answer = desk_run(desk, "SRANDMEMBER s 5");
        unsigned seen = 0;
        for (unsigned i = 0; i < 5; i++)
            seen |= 1u << (answer[4 + 4 + 7 * i] - 'a');
        assert_int_equal(__builtin_popcount(seen), 5);
    }
}

static void algebra(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "SADD a 1 2 3 4 5 6");
    desk_run(desk, "SADD b 4 5 6 7");
    desk_run(desk, "GADD c 6 8");
    desk_assert_begins(desk, "SINTER a b", "*3\r\n");
    desk_assert(desk, "SINTER a b c", "*1\r\n$1\r\n6\r\n");
    desk_assert(desk, "SINTER a none", "*0\r\n");
    desk_assert_begins(desk, "SUNION a b c", "*8\r\n");
    desk_assert_begins(desk, "SUNION none none", "*0\r\n");
    desk_assert_begins(desk, "SUNION a a", "*6\r\n");
    desk_assert_begins(desk, "SDIFF a b c", "*3\r\n");
    desk_assert(desk, "SDIFF b a", "*1\r\n$1\r\n7\r\n");
    desk_assert(desk, "SDIFF a a", "*0\r\n");
    desk_assert(desk, "SINTERCARD 2 a b", ":3\r\n");
    desk_assert(desk, "SINTERCARD 2 a b LIMIT 2", ":2\r\n");
    desk_assert(desk, "SINTERCARD 2 a b LIMIT 0", ":3\r\n");
    desk_assert(desk, "SINTERCARD 1 a", ":6\r\n");
    desk_assert_begins(desk, "SINTERCARD 0 a", "-ERR numkeys should be greater than 0");
    desk_assert_begins(desk, "SINTERCARD 3 a b", "-ERR Number of keys can't be greater");
    desk_assert(desk, "SINTERCARD 1 a b", "-ERR syntax error\r\n");
    desk_assert_begins(desk, "SUNIONSTORE x a b", "-ERR SUNIONSTORE is refused");
    desk_run(desk, "HELLO 3");
    desk_assert_begins(desk, "SINTER a b", "~3\r\n");
    desk_assert_begins(desk, "SMEMBERS a", "~6\r\n");
    desk_assert_begins(desk, "SPOP a 2", "~2\r\n");
    desk_assert_begins(desk, "SRANDMEMBER a 2", "*2\r\n");
}

// ---- scans

static unsigned scan_all(struct desk *desk, bool *is_met, const char *change)
{
    unsigned calls = 0;
    char line[64], cursor[24] = "0";
    do {
        snprintf(line, sizeof line, "SSCAN s %s COUNT 3", cursor);
        const char *answer = desk_run(desk, line);
        assert_int_equal(sscanf(answer, "*2\r\n$%*d\r\n%23[0-9]\r\n", cursor), 1);
        const char *at = strchr(answer + 4, '*');
        for (const char *name = at; (name = strstr(name, "\r\nm")); name += 3)
            is_met[strtoul(name + 3, NULL, 10)] = true;
        calls++;
        if (change)
            desk_run(desk, change);
    } while (strcmp(cursor, "0") != 0);
    return calls;
}

static void a_scan_meets_what_stays(void **state)
{
    struct desk *desk = *state;
    bool is_met[20] = {0};
    char line[32];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(line, sizeof line, "SADD s m%u", i);
        desk_run(desk, line);
    }
    assert_int_equal(scan_all(desk, is_met, NULL), 7);
    for (unsigned i = 0; i < 20; i++)
        assert_true(is_met[i]);
    memset(is_met, 0, sizeof is_met);
    desk_run(desk, "SADD s x1 x2 x3 x4 x5");
    scan_all(desk, is_met, "SREM s x1 x2 x3 x4 x5");
    for (unsigned i = 0; i < 20; i++)
        assert_true(is_met[i]);
    desk_assert(desk, "SSCAN none 0", "*2\r\n$1\r\n0\r\n*0\r\n");
    desk_assert_begins(desk, "SSCAN s 0 MATCH m1? COUNT 100", "*2\r\n$1\r\n0\r\n*10\r\n");
    desk_assert(desk, "SSCAN s x", "-ERR invalid cursor\r\n");
    desk_assert(desk, "SSCAN s 0 COUNT 0", "-ERR syntax error\r\n");
    desk_assert(desk, "SSCAN s 0 COUNT x", "-ERR value is not an integer or out of range\r\n");
    desk_assert(desk, "SSCAN s 0 TYPE set", "-ERR syntax error\r\n");
    desk_assert(desk, "SSCAN s 0 MATCH", "-ERR syntax error\r\n");
}

// ---- whole sets

static void count_record(void *ctx, struct record *record)
{
    (void)record;
    ++*(unsigned *)ctx;
}

static unsigned records(struct desk *desk)
{
    unsigned count = 0;
    uint64_t cursor = 0;
    do {
        cursor = keyspace_scan(replica_keyspace(desk->replica), cursor, 100, count_record, &count);
    } while (cursor);
    return count;
}

static void a_deleted_set_leaves_nothing(void **state)
{
    struct desk *desk = *state;
    char line[64];
    desk_run(desk, "INCR tick");
    unsigned before = records(desk);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(line, sizeof line, "SADD s %u a%u b%u", i, i, i);
        desk_run(desk, line);
    }
    desk_assert(desk, "SCARD s", ":900\r\n");
    desk_assert(desk, "DEL s", ":1\r\n");
    desk_assert(desk, "SCARD s", ":0\r\n");
    desk_assert(desk, "SISMEMBER s a7", ":0\r\n");
    desk_assert(desk, "EXISTS s", ":0\r\n");
    desk_assert(desk, "SADD s a7 new", ":2\r\n");
    desk_assert(desk, "SCARD s", ":2\r\n");
    desk_assert(desk, "SISMEMBER s a7", ":1\r\n");
    desk_assert(desk, "SISMEMBER s a8", ":0\r\n");
    desk_assert(desk, "DEL s", ":1\r\n");
    for (unsigned i = 0; i < 200 && records(desk) > before; i++) {
        desk_run(desk, "INCR tick");
        desk_commit(desk);
    }
    assert_int_equal(records(desk), before);
}

static void churned_members_leave_nothing(void **state)
{
    struct desk *desk = *state;
    char line[64];
    desk_run(desk, "SADD s stays");
    desk_run(desk, "INCR tick");
    unsigned before = records(desk);
    for (unsigned i = 0; i < 500; i++) {
        snprintf(line, sizeof line, "SADD s m%u", i);
        desk_run(desk, line);
        snprintf(line, sizeof line, "SREM s m%u", i);
        desk_run(desk, line);
    }
    for (unsigned i = 0; i < 200 && records(desk) > before; i++) {
        desk_run(desk, "INCR tick");
        desk_commit(desk);
    }
    assert_int_equal(records(desk), before);
    desk_assert(desk, "SCARD s", ":1\r\n");
}

static void a_set_may_be_deleted_again_and_again(void **state)
{
    struct desk *desk = *state;
    for (unsigned i = 0; i < 5000; i++) { // more often than generations are numbered
        desk_assert(desk, "SADD s a b", ":2\r\n");
        desk_assert(desk, "DEL s", ":1\r\n");
    }
    desk_assert(desk, "EXISTS s", ":0\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_created_set_is_there_while_it_is_empty, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_only_grows_refuses_removals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_types_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_move_is_an_add_and_a_removal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pops_take_each_member_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_members_are_members, set_up, tear_down),
        cmocka_unit_test_setup_teardown(distinct_choices_are_distinct, set_up, tear_down),
        cmocka_unit_test_setup_teardown(algebra, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_scan_meets_what_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deleted_set_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(churned_members_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_set_may_be_deleted_again_and_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
