// SPDX-License-Identifier: Apache-2.0
// Times of life as clients see them: EXPIRE and its kin on every type, conditions, hiding, what a
// write to a hidden key does; SET with options, GETSET, GETDEL, GETEX.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/lib/desk.h"

static int set_up(void **state)
{
    static struct desk desk;
    desk_open(&desk);
    *state = &desk;
    return 0;
}

static int tear_down(void **state)
{
    desk_close(*state);
    return 0;
}

static void pass(struct desk *desk, uint64_t ms)
{
    desk->now_ms += ms;
    desk_commit(desk);
}

static void a_key_is_hidden_from_its_deadline_on(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "EXPIRE a 10", ":0\r\n");
    desk_assert(desk, "INCRBY a 5", ":5\r\n");
    desk_assert(desk, "TTL a", ":-1\r\n");
    desk_assert(desk, "EXPIRE a 10", ":1\r\n");
    desk_assert(desk, "TTL a", ":10\r\n");
    desk_assert(desk, "INCR a", ":6\r\n"); // and keeps its deadline
    pass(desk, 9999);
    desk_assert(desk, "GET a", "$1\r\n6\r\n");
    desk->now_ms += 1; // no commit since: the reader's clock hides it
    desk_assert(desk, "GET a", "$-1\r\n");
    desk_assert(desk, "EXISTS a", ":0\r\n");
    desk_assert(desk, "TTL a", ":-2\r\n");
    desk_assert(desk, "KEYS *", "*0\r\n");
    desk_assert(desk, "QUIPU.VALUE a", desk_run(desk, "QUIPU.VALUE nothing"));
    pass(desk, 1);
    desk_assert(desk, "DBSIZE", ":0\r\n");
}

static void a_write_to_a_hidden_key_begins_anew(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "INCRBY a 5", ":5\r\n");
    desk_assert(desk, "PEXPIRE a 100", ":1\r\n");
    desk->now_ms += 100;
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "TTL a", ":-1\r\n");
    desk_assert(desk, "PEXPIRE a 100", ":1\r\n");
    desk->now_ms += 100;
    desk_assert(desk, "DEL a", ":0\r\n");
    desk_assert(desk, "GADD a m", ":1\r\n");
    desk_assert(desk, "TYPE a", "+set\r\n");
}

static void every_type_ends(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "GADD g m n", ":2\r\n");
    desk_assert(desk, "SADD s m", ":1\r\n");
    desk_assert(desk, "PFADD h m", ":1\r\n");
    desk_assert(desk, "PRESENCE.SET p me 3 60000", ":3\r\n");
    desk_assert(desk, "EXPIRE g 1", ":1\r\n");
    desk_assert(desk, "EXPIRE s 1", ":1\r\n");
    desk_assert(desk, "EXPIRE h 1", ":1\r\n");
    desk_assert(desk, "EXPIRE p 1", ":1\r\n");
    desk->now_ms += 1000;
    desk_assert(desk, "SISMEMBER g m", ":0\r\n");
    desk_assert(desk, "SCARD s", ":0\r\n");
    desk_assert(desk, "GET p", "$-1\r\n");
    pass(desk, 1);
    desk_assert(desk, "PFCOUNT h", ":0\r\n");
    desk_assert(desk, "DBSIZE", ":0\r\n");
}

static void conditions_look_at_the_deadline_that_is_there(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "EXPIRE a 100 XX", ":0\r\n");
    desk_assert(desk, "EXPIRE a 100 GT", ":0\r\n");
    desk_assert(desk, "EXPIRE a 100 LT", ":1\r\n");
    desk_assert(desk, "EXPIRE a 50 NX", ":0\r\n");
    desk_assert(desk, "EXPIRE a 50 GT", ":0\r\n");
    desk_assert(desk, "EXPIRE a 200 GT", ":1\r\n");
    desk_assert(desk, "EXPIRE a 300 LT", ":0\r\n");
    desk_assert(desk, "EXPIRE a 150 XX LT", ":1\r\n");
    desk_assert(desk, "TTL a", ":150\r\n");
    desk_assert(desk, "PERSIST a", ":1\r\n");
    desk_assert(desk, "PERSIST a", ":0\r\n");
    desk_assert(desk, "TTL a", ":-1\r\n");
    desk_assert(desk, "EXPIRE a 50 NX", ":1\r\n");
    desk_assert_begins(desk, "EXPIRE a 1 NX XX", "-ERR NX and XX, GT or LT");
    desk_assert_begins(desk, "EXPIRE a 1 GT LT", "-ERR GT and LT");
    desk_assert(desk, "EXPIRE a 1 FOO", "-ERR Unsupported option FOO\r\n");
    desk_assert_begins(desk, "EXPIRE a x", "-ERR value is not an integer");
    desk_assert(desk, "EXPIRE a 9223372036854775807",
                "-ERR invalid expire time in 'expire' command\r\n");
    desk_assert(desk, "EXPIRE a -1", ":1\r\n"); // long ago
    desk_assert(desk, "EXISTS a", ":0\r\n");
}

static void times_are_absolute_too(void **state)
{
    struct desk *desk = *state; // whose wall clock is 1700000000000 and what has passed
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "EXPIREAT a 1800000000", ":1\r\n");
    desk_assert(desk, "EXPIRETIME a", ":1800000000\r\n");
    desk_assert(desk, "PEXPIREAT a 1800000000001", ":1\r\n");
    desk_assert(desk, "PEXPIRETIME a", ":1800000000001\r\n");
    desk_assert(desk, "PEXPIRETIME b", ":-2\r\n");
    desk_assert(desk, "EXPIREAT a 1", ":1\r\n");
    desk_assert(desk, "GET a", "$-1\r\n");
}

static void set_and_del_take_the_deadline_along(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "SET a 5 EX 100", "+OK\r\n");
    desk_assert(desk, "TTL a", ":100\r\n");
    desk_assert(desk, "SET a 6 KEEPTTL", "+OK\r\n");
    desk_assert(desk, "TTL a", ":100\r\n");
    desk_assert(desk, "SET a 7 GET", "$1\r\n6\r\n");
    desk_assert(desk, "TTL a", ":-1\r\n");
    desk_assert(desk, "SETEX a 50 8", "+OK\r\n");
    desk_assert(desk, "DEL a", ":1\r\n");
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "TTL a", ":-1\r\n");
    desk_assert(desk, "PSETEX a 1500 8", "+OK\r\n");
    desk_assert(desk, "PTTL a", ":1500\r\n");
    desk_assert(desk, "SET a 1 EX 0", "-ERR invalid expire time in 'set' command\r\n");
    desk_assert(desk, "SETEX a 0 1", "-ERR invalid expire time in 'setex' command\r\n");
    desk_assert(desk, "SET a 1 EX 5 PX 5", "-ERR syntax error\r\n");
    desk_assert(desk, "SET a 1 EX 5 KEEPTTL", "-ERR syntax error\r\n");
    desk_assert_begins(desk, "SET a 1 NX", "-ERR SET with NX or XX needs one leader");
}

static void what_was_is_answered_with_what_is_changed(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "GETSET a 5", "$-1\r\n");
    desk_assert(desk, "GETSET a 6", "$1\r\n5\r\n");
    desk_assert(desk, "GETEX a EX 100", "$1\r\n6\r\n");
    desk_assert(desk, "TTL a", ":100\r\n");
    desk_assert(desk, "GETEX a PERSIST", "$1\r\n6\r\n");
    desk_assert(desk, "TTL a", ":-1\r\n");
    desk_assert(desk, "GETEX a FOO", "-ERR syntax error\r\n");
    desk_assert(desk, "GETDEL a", "$1\r\n6\r\n");
    desk_assert(desk, "GETDEL a", "$-1\r\n");
    desk_assert(desk, "GADD s m", ":1\r\n");
    desk_assert_begins(desk, "GETDEL s", "-WRONGTYPE");
    desk_assert_begins(desk, "GETSET s 1", "-WRONGTYPE");
    desk_assert(desk, "SCARD s", ":1\r\n");
}

static void many_that_end_at_once_end_in_parts(void **state)
{
    struct desk *desk = *state;
    char line[64];
    for (int i = 0; i < 3000; i++) {
        snprintf(line, sizeof line, "SET k%d 1 PX 100", i);
        desk_assert(desk, line, "+OK\r\n");
    }
    pass(desk, 100);
    desk_assert(desk, "DBSIZE", ":1976\r\n"); // a commit takes 1024
    desk_assert(desk, "KEYS *", "*0\r\n");    // none is shown
    pass(desk, 1);
    pass(desk, 1);
    desk_assert(desk, "DBSIZE", ":0\r\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_hidden_from_its_deadline_on),
        TEST(a_write_to_a_hidden_key_begins_anew),
        TEST(every_type_ends),
        TEST(conditions_look_at_the_deadline_that_is_there),
        TEST(times_are_absolute_too),
        TEST(set_and_del_take_the_deadline_along),
        TEST(what_was_is_answered_with_what_is_changed),
        TEST(many_that_end_at_once_end_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
