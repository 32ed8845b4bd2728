// SPDX-License-Identifier: Apache-2.0
// Counters, keys and sets by command, over a real replica: the bytes that clients get.
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

static void adding_answers_the_new_value(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "incrby a 41", ":42\r\n");
    desk_assert(desk, "DECR a", ":41\r\n");
    desk_assert(desk, "DECRBY a -9", ":50\r\n");
    desk_assert(desk, "GET a", "$2\r\n50\r\n");
    desk_commit(desk);
    desk_assert(desk, "INCRBY a -60", ":-10\r\n");
    desk_assert(desk, "GET a", "$3\r\n-10\r\n");
}

static void a_missing_counter_is_nil_and_zero_is_not(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "GET a", "$-1\r\n");
    desk_assert(desk, "INCRBY a 0", ":0\r\n");
    desk_assert(desk, "GET a", "$1\r\n0\r\n");
    desk_assert(desk, "EXISTS a", ":1\r\n");
}

static void amounts_are_checked_as_redis_checks_them(void **state)
{
    struct desk *desk = *state;
    const char *not_integer = "-ERR value is not an integer or out of range\r\n";
    desk_assert(desk, "INCRBY a x", not_integer);
    desk_assert(desk, "INCRBY a 1.5", not_integer);
    desk_assert(desk, "INCRBY a 01", not_integer);
    desk_assert(desk, "INCRBY a \"\"", not_integer);
    desk_assert(desk, "INCRBY a 9223372036854775808", not_integer);
    desk_assert(desk, "DECRBY a -9223372036854775808", "-ERR decrement would overflow\r\n");
    desk_assert(desk, "INCR", "-ERR wrong number of arguments for 'incr' command\r\n");
    desk_assert(desk, "INCRBY a", "-ERR wrong number of arguments for 'incrby' command\r\n");
    desk_assert(desk, "EXISTS a", ":0\r\n");
}

static void overflow_is_an_error_that_changes_nothing(void **state)
{
    struct desk *desk = *state;
    const char *overflow = "-ERR increment or decrement would overflow\r\n";
    desk_assert(desk, "SET a 9223372036854775807", "+OK\r\n");
    desk_assert(desk, "INCR a", overflow);
    desk_assert(desk, "GET a", "$19\r\n9223372036854775807\r\n");
    desk_assert(desk, "INCRBY a -7", ":9223372036854775800\r\n");
    desk_assert(desk, "SET b -9223372036854775808", "+OK\r\n");
    desk_assert(desk, "DECR b", overflow);
    desk_assert(desk, "GET b", "$20\r\n-9223372036854775808\r\n");
}

static void large_amounts_are_exact(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "INCRBY a 9007199254740993", ":9007199254740993\r\n");
    desk_assert(desk, "INCR a", ":9007199254740994\r\n");
    desk_assert(desk, "DECRBY a 9007199254740994", ":0\r\n");
}

static void a_retry_with_its_token_is_counted_once(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "INCRBY a 5 ID t", "*2\r\n:5\r\n:1\r\n");
    desk_assert(desk, "INCRBY a 5 ID t", "*2\r\n:5\r\n:0\r\n");
    desk_assert(desk, "DECRBY a 2 id u", "*2\r\n:3\r\n:1\r\n");
    desk_assert(desk, "INCR a", ":4\r\n");
    desk_assert(desk, "DECRBY a 2 ID u", "*2\r\n:4\r\n:0\r\n");
    desk_assert(desk, "INCRBY b 1 ID t", "*2\r\n:1\r\n:1\r\n"); // a token is its key's
    desk_assert(desk, "DEL a", ":1\r\n");
    desk_assert(desk, "INCRBY a 5 ID t", "*2\r\n:0\r\n:0\r\n");
    desk_assert(desk, "EXISTS a", ":0\r\n");
    desk_assert(desk, "DBSIZE", ":1\r\n");
}

static void a_refused_add_does_not_use_up_its_token(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "QUIPU.CREATE g gcounter", "+OK\r\n");
    desk_assert_begins(desk, "DECRBY g 1 ID t", "-QUIPU a gcounter only grows");
    desk_assert(desk, "INCRBY g 1 ID t", "*2\r\n:1\r\n:1\r\n");
    desk_assert(desk, "GADD s m", ":1\r\n");
    desk_assert_begins(desk, "INCRBY s 1 ID t", "-WRONGTYPE");
}

static void a_token_with_a_time_is_refused_when_its_window_has_passed(void **state)
{
    struct desk *desk = *state; // whose clock begins at 018bcfe56800
    desk_assert(desk, "INCRBY a 1 ID 018bcfe5-6800-7000-8000-000000000001", "*2\r\n:1\r\n:1\r\n");
    desk_assert(desk, "INCRBY a 1 ID 018bcfe5-6800-7000-8000-000000000001", "*2\r\n:1\r\n:0\r\n");
    desk_assert_begins(desk, "INCRBY a 1 ID 0193a000-0000-7000-8000-000000000001",
                       "-ERR the token was made later than now");
    desk->now_ms += 2 * 86400000;
    desk_assert_begins(desk, "INCRBY a 1 ID 018bcfe5-6801-7000-8000-000000000002", "-OLDTOKEN ");
    desk_assert(desk, "GET a", "$1\r\n1\r\n");
}

static void what_follows_an_amount_must_be_a_token(void **state)
{
    struct desk *desk = *state;
    char line[LIMIT_TOKEN_BYTES + 32];
    desk_assert(desk, "INCRBY a 1 2", "-ERR syntax error\r\n");
    desk_assert(desk, "INCRBY a 1 ID", "-ERR syntax error\r\n");
    desk_assert(desk, "INCRBY a 1 ID t u", "-ERR syntax error\r\n");
    desk_assert(desk, "INCRBY a x ID t", "-ERR value is not an integer or out of range\r\n");
    snprintf(line, sizeof line, "INCRBY a 1 ID %0*d", LIMIT_TOKEN_BYTES, 7);
    desk_assert(desk, line, "*2\r\n:1\r\n:1\r\n");
    snprintf(line, sizeof line, "INCRBY a 1 ID %0*d", LIMIT_TOKEN_BYTES + 1, 7);
    desk_assert_begins(desk, line, "-ERR a token has 1 to ");
    desk_assert(desk, "GET a", "$1\r\n1\r\n");
}

static void set_gives_a_counter_a_value(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "INCRBY a 5", ":5\r\n");
    desk_assert(desk, "SET a 100", "+OK\r\n");
    desk_assert(desk, "INCR a", ":101\r\n");
    desk_assert_begins(desk, "SET a hello", "-ERR quipu holds counters");
    desk_assert(desk, "GET a", "$3\r\n101\r\n");
}

static void del_resets_and_the_key_begins_anew(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "INCRBY a 5", ":5\r\n");
    desk_assert(desk, "INCR b", ":1\r\n");
    desk_assert(desk, "DEL a b c a", ":2\r\n");
    desk_assert(desk, "GET a", "$-1\r\n");
    desk_assert(desk, "DBSIZE", ":0\r\n");
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "UNLINK a", ":1\r\n");
    desk_assert(desk, "DEL a", ":0\r\n");
}

static void a_deleted_set_may_become_a_counter(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "GADD k x", ":1\r\n");
    desk_assert(desk, "INCR k",
                "-WRONGTYPE Operation against a key holding the wrong kind of "
                "value\r\n");
    desk_assert(desk, "DEL k", ":1\r\n");
    desk_assert(desk, "INCR k", ":1\r\n");
    desk_assert(desk, "TYPE k", "+string\r\n");
    desk_commit(desk);
    desk_assert(desk, "INCR k", ":2\r\n");
    desk_assert(desk, "GET k", "$1\r\n2\r\n");
    desk_run(desk, "QUIPU.CREATE g gcounter");
    desk_run(desk, "INCR g");
    desk_run(desk, "DEL g");
    desk_assert(desk, "INCR g", ":1\r\n");
    desk_assert(desk, "DECR g", ":0\r\n");
}

static void a_gcounter_only_grows(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "QUIPU.CREATE g gcounter", "+OK\r\n");
    desk_assert(desk, "QUIPU.CREATE g gcounter", "+OK\r\n");
    desk_assert_begins(desk, "QUIPU.CREATE g counter", "-WRONGTYPE");
    desk_assert_begins(desk, "QUIPU.CREATE h tree", "-ERR unknown type 'tree'");
    desk_assert(desk, "INCRBY g 5", ":5\r\n");
    desk_assert(desk, "DECR g", "-QUIPU a gcounter only grows\r\n");
    desk_assert(desk, "INCRBY g -9007199254740993", "-QUIPU a gcounter only grows\r\n");
    desk_assert_begins(desk, "SET g 1", "-WRONGTYPE");
    desk_assert(desk, "GET g", "$1\r\n5\r\n");
}

static void mget_answers_in_order(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR a");
    desk_run(desk, "GADD s x");
    desk_run(desk, "INCRBY b 12");
    desk_assert(desk, "MGET b nothing a s a",
                "*5\r\n$2\r\n12\r\n$-1\r\n$1\r\n1\r\n$-1\r\n$1\r\n1\r\n");
    desk_assert_begins(desk, "GET s", "-WRONGTYPE");
}

static void mget_of_more_keys_than_are_prefetched_at_once(void **state)
{
    struct desk *desk = *state;
    struct span argv[101] = {span_text("MGET")};
    char names[100][8];
    for (unsigned i = 0; i < 100; i++) {
        char line[32];
        snprintf(names[i], sizeof names[i], "k%u", i);
        snprintf(line, sizeof line, "INCRBY k%u %u", i, i);
        desk_run(desk, line);
        argv[i + 1] = span_text(names[i]);
    }
    const char *answer = desk_run_argv(desk, argv, 101);
    assert_int_equal(strncmp(answer, "*100\r\n$1\r\n0\r\n", 13), 0);
    size_t len = strlen(answer);
    assert_string_equal(answer + len - 8, "$2\r\n99\r\n");
}

static void sets_grow(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "GADD s a b a", ":2\r\n");
    desk_assert(desk, "GADD s b c", ":1\r\n");
    desk_assert(desk, "SCARD s", ":3\r\n");
    desk_assert(desk, "SISMEMBER s a", ":1\r\n");
    desk_assert(desk, "SISMEMBER s z", ":0\r\n");
    desk_assert(desk, "SMISMEMBER s c z a", "*3\r\n:1\r\n:0\r\n:1\r\n");
    desk_assert_begins(desk, "SMEMBERS s", "*3\r\n");
    desk_assert(desk, "SMEMBERS none", "*0\r\n");
    desk_assert(desk, "SCARD none", ":0\r\n");
    desk_run(desk, "INCR a");
    desk_assert_begins(desk, "SCARD a", "-WRONGTYPE");
    desk_assert_begins(desk, "GADD a x", "-WRONGTYPE");
    desk_assert_begins(desk, "SMEMBERS a", "-WRONGTYPE");
    desk->session.protocol = 3;
    desk_assert_begins(desk, "SMEMBERS s", "~3\r\n");
}

static void types_have_the_names_that_tools_expect(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR a");
    desk_run(desk, "GADD s x");
    desk_run(desk, "PRESENCE.SET p o 1 1000");
    desk_assert(desk, "TYPE a", "+string\r\n");
    desk_assert(desk, "TYPE s", "+set\r\n");
    desk_assert(desk, "TYPE p", "+presence\r\n");
    desk_assert(desk, "TYPE x", "+none\r\n");
    desk_assert(desk, "TTL a", ":-1\r\n");
    desk_assert(desk, "PTTL x", ":-2\r\n");
    desk_assert(desk, "OBJECT ENCODING a", "$3\r\nint\r\n");
    desk_assert(desk, "MEMORY USAGE x", "$-1\r\n");
    desk_assert_begins(desk, "MEMORY USAGE a", ":");
}

static void scans_show_keys_and_nothing_else(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR a1");
    desk_run(desk, "INCR b1");
    desk_run(desk, "GADD s x y z");
    desk_run(desk, "PRESENCE.SET p o 1 1000");
    desk_run(desk, "INCR gone");
    desk_run(desk, "DEL gone");
    desk_assert(desk, "SCAN 0 COUNT 1000 MATCH a*", "*2\r\n$1\r\n0\r\n*1\r\n$2\r\na1\r\n");
    desk_assert(desk, "SCAN 0 COUNT 1000 TYPE set", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\ns\r\n");
    desk_assert(desk, "SCAN 0 COUNT 1000 TYPE presence", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\np\r\n");
    desk_assert_begins(desk, "SCAN 0 COUNT 1000", "*2\r\n$1\r\n0\r\n*4\r\n");
    desk_assert_begins(desk, "KEYS *", "*4\r\n");
    desk_assert(desk, "KEYS ?1x", "*0\r\n");
    desk_assert(desk, "SCAN x", "-ERR invalid cursor\r\n");
    desk_assert(desk, "SCAN 0 COUNT 0", "-ERR syntax error\r\n");
    desk_assert(desk, "SCAN 0 COUNT", "-ERR syntax error\r\n");
    desk_assert(desk, "DBSIZE", ":4\r\n");
}

static void flushall_resets_everything(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR a");
    desk_run(desk, "GADD s x y");
    desk_run(desk, "PRESENCE.SET p o 1 1000");
    desk_assert(desk, "FLUSHALL nonsense", "-ERR syntax error\r\n");
    desk_assert(desk, "FLUSHALL ASYNC", "+OK\r\n");
    desk_assert(desk, "DBSIZE", ":0\r\n");
    desk_assert(desk, "SCARD s", ":0\r\n");
    desk_assert(desk, "SISMEMBER s x", ":0\r\n");
    desk_assert(desk, "FLUSHDB", "+OK\r\n");
}

static void keys_at_the_limit_are_taken_and_beyond_refused(void **state)
{
    struct desk *desk = *state;
    char *key = calloc(1, LIMIT_KEY_BYTES + 1);
    struct span argv[3] = {span_text("INCR"), span_of(key, LIMIT_KEY_BYTES)};
    assert_string_equal(desk_run_argv(desk, argv, 2), ":1\r\n");
    argv[1].len++;
    const char *too_long = "-ERR key, member or owner is too long\r\n";
    assert_string_equal(desk_run_argv(desk, argv, 2), too_long);
    argv[0] = span_text("SET");
    argv[2] = span_text("1");
    assert_string_equal(desk_run_argv(desk, argv, 3), too_long);
    argv[0] = span_text("GADD");
    argv[2] = argv[1];
    argv[1] = span_text("s");
    assert_string_equal(desk_run_argv(desk, argv, 3), too_long);
    argv[0] = span_text("GET");
    argv[1] = argv[2];
    assert_string_equal(desk_run_argv(desk, argv, 2), "$-1\r\n");
    free(key);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(adding_answers_the_new_value),
        TEST(a_missing_counter_is_nil_and_zero_is_not),
        TEST(amounts_are_checked_as_redis_checks_them),
        TEST(overflow_is_an_error_that_changes_nothing),
        TEST(large_amounts_are_exact),
        TEST(a_retry_with_its_token_is_counted_once),
        TEST(a_refused_add_does_not_use_up_its_token),
        TEST(a_token_with_a_time_is_refused_when_its_window_has_passed),
        TEST(what_follows_an_amount_must_be_a_token),
        TEST(set_gives_a_counter_a_value),
        TEST(del_resets_and_the_key_begins_anew),
        TEST(a_deleted_set_may_become_a_counter),
        TEST(a_gcounter_only_grows),
        TEST(mget_answers_in_order),
        TEST(mget_of_more_keys_than_are_prefetched_at_once),
        TEST(sets_grow),
        TEST(types_have_the_names_that_tools_expect),
        TEST(scans_show_keys_and_nothing_else),
        TEST(flushall_resets_everything),
        TEST(keys_at_the_limit_are_taken_and_beyond_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
