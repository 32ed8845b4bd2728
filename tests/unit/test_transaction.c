// SPDX-License-Identifier: Apache-2.0
// MULTI, EXEC, DISCARD, WATCH: what is queued, what runs, and what makes EXEC do nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "command/transaction.h"
#include "tests/lib/desk.h"

static int set_up(void **state)
{
    struct desk *desk = calloc(1, sizeof *desk);
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

static void what_is_queued_runs_in_order_in_one_commit(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    desk_assert(desk, "GET a", "+QUEUED\r\n");
    desk_assert(desk, "GADD s x y", "+QUEUED\r\n");
    desk_assert(desk, "PING", "+QUEUED\r\n");
    desk_assert(desk, "GET none", "+QUEUED\r\n");
    unsigned before = desk->commits;
    desk_assert(desk, "EXEC", "*5\r\n:1\r\n$1\r\n1\r\n:2\r\n+PONG\r\n$-1\r\n");
    assert_int_equal(desk->commits, before + 1);
    desk_assert(desk, "GET a", "$1\r\n1\r\n");
    desk_assert(desk, "EXEC", "-ERR EXEC without MULTI\r\n");
    desk_assert(desk, "DISCARD", "-ERR DISCARD without MULTI\r\n");
}

static void an_empty_transaction_is_an_empty_array(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "EXEC", "*0\r\n");
}

static void an_error_of_one_command_stops_no_other(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "GADD s x", ":1\r\n");
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    desk_assert(desk, "INCR s", "+QUEUED\r\n");
    desk_assert(desk, "INCRBY a x", "+QUEUED\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    desk_assert(desk, "EXEC",
                "*4\r\n:1\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
                "-ERR value is not an integer or out of range\r\n:2\r\n");
}

static void what_cannot_be_queued_makes_exec_refuse(void **state)
{
    struct desk *desk = *state;
    static const char *const bad[] = {"NOPE x", "GET", "INCR a b c", "QUIPU.TOKEN"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        desk_assert(desk, "MULTI", "+OK\r\n");
        desk_assert(desk, "INCR a", "+QUEUED\r\n");
        desk_assert_begins(desk, bad[i], "-ERR ");
        desk_assert(desk, "INCR a", "+QUEUED\r\n");
        desk_assert(desk, "EXEC",
                    "-EXECABORT Transaction discarded because of previous errors.\r\n");
        desk_assert(desk, "GET a", "$-1\r\n");
    }
}

static void errors_of_multi_and_watch_inside_do_not_abort(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "MULTI", "-ERR MULTI calls can not be nested\r\n");
    desk_assert(desk, "WATCH a", "-ERR WATCH inside MULTI is not allowed\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    desk_assert(desk, "EXEC", "*1\r\n:1\r\n");
}

static void discard_forgets(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "WATCH a", "+OK\r\n");
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    desk_assert(desk, "DISCARD", "+OK\r\n");
    desk_assert(desk, "GET a", "$1\r\n1\r\n");
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    desk_assert(desk, "EXEC", "*1\r\n:2\r\n"); // the watch is forgotten too
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "RESET", "+RESET\r\n");
    desk_assert(desk, "INCR a", ":3\r\n");
}

// Between WATCH and EXEC one command; whether EXEC runs.
static void watch_with(struct desk *desk, const char *between, bool is_run)
{
    desk_assert(desk, "WATCH k other", "+OK\r\n");
    if (*between)
        desk_run(desk, between);
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "PING", "+QUEUED\r\n");
    const char *answer = desk_run(desk, "EXEC");
    if (strcmp(answer, is_run ? "*1\r\n+PONG\r\n" : "*-1\r\n") != 0)
        print_message("between: %s\n", between);
    assert_string_equal(answer, is_run ? "*1\r\n+PONG\r\n" : "*-1\r\n");
}

static void exec_does_nothing_when_a_watched_key_changed(void **state)
{
    struct desk *desk = *state;
    watch_with(desk, "", true);
    watch_with(desk, "GET k", true);
    watch_with(desk, "DEL k", true); // there is none
    watch_with(desk, "INCR k", false);
    watch_with(desk, "INCR k", false);
    watch_with(desk, "INCR unrelated", true);
    watch_with(desk, "SET k 2", false);
    watch_with(desk, "INCRBY k 9223372036854775807", true); // refused
    watch_with(desk, "DEL k", false);
    watch_with(desk, "DEL k", true);
    watch_with(desk, "GADD k member", false);
    watch_with(desk, "GADD k member", true); // is there
    watch_with(desk, "GADD k second", false);
    watch_with(desk, "FLUSHALL", false);
    watch_with(desk, "FLUSHALL", true);
    watch_with(desk, "UNWATCH", true);
}

static void what_changed_before_watch_does_not_matter(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR k"); // not committed yet: the watch takes it in
    watch_with(desk, "", true);
    desk_assert(desk, "WATCH k", "+OK\r\n");
    desk_assert(desk, "INCR k", ":2\r\n");
    desk_assert(desk, "UNWATCH", "+OK\r\n");
    watch_with(desk, "", true);
}

static void a_key_created_and_deleted_meanwhile_has_changed(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "WATCH k", "+OK\r\n");
    desk_run(desk, "SET k 1");
    desk_run(desk, "DEL k");
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "EXEC", "*-1\r\n");
}

static void after_exec_nothing_is_watched(void **state)
{
    struct desk *desk = *state;
    watch_with(desk, "INCR k", false);
    desk_run(desk, "INCR k");
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "EXEC", "*0\r\n");
    assert_null(desk->session.transaction);
}

static void resp3_tells_nil_as_such(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "HELLO 3");
    desk_assert(desk, "WATCH k", "+OK\r\n");
    desk_run(desk, "INCR k");
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "EXEC", "_\r\n");
}

static void a_session_says_what_is_queued(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "CLIENT INFO", "+QUEUED\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    assert_non_null(strstr(desk_run(desk, "EXEC"), " multi=2 "));
    assert_non_null(strstr(desk_run(desk, "CLIENT INFO"), " multi=-1 "));
}

// What would wait for something answers at once, or is refused.
static void nothing_waits_inside(void **state)
{
    struct desk *desk = *state;
    char wait[600];
    const char *token = desk_run(desk, "QUIPU.TOKEN");
    const char *text = strstr(token, "\r\n") + 2;
    snprintf(wait, sizeof wait, "QUIPU.WAIT %.*s 1000", (int)strcspn(text, "\r"), text);
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, wait, "+QUEUED\r\n");
    desk_assert(desk, "CLIENT LIST", "+QUEUED\r\n");
    desk_assert(desk, "EXEC",
                "*2\r\n:1\r\n-ERR this command asks other threads: not inside a transaction or "
                "script\r\n");
}

static void a_transaction_is_bounded(void **state)
{
    struct desk *desk = *state;
    char line[1100];
    int len = snprintf(line, sizeof line, "ECHO ");
    memset(line + len, 'x', 1000);
    line[len + 1000] = '\0';
    desk_assert(desk, "MULTI", "+OK\r\n");
    unsigned queued = 0;
    while (strcmp(desk_run(desk, line), "+QUEUED\r\n") == 0)
        queued++;
    assert_true(queued <= LIMIT_QUEUED_BYTES / 1000);
    assert_true(queued >= LIMIT_QUEUED_BYTES / 1200);
    desk_assert_begins(desk, line, "-ERR transaction is too large");
    assert_true(desk->session.transaction->bytes <= LIMIT_QUEUED_BYTES);
    desk_assert(desk, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    desk_assert(desk, "PING", "+PONG\r\n");
}

static void a_failed_allocation_refuses_and_loses_nothing(void **state)
{
    struct desk *desk = *state;
    for (long n = 0; n < 12; n++) {
        desk->heap.fail_after = n;
        desk_run(desk, "WATCH a b");
        desk_run(desk, "MULTI");
        desk_run(desk, "INCR a");
        desk->heap.fail_after = -1;
        desk_run(desk, "DISCARD");
        desk_run(desk, "UNWATCH");
    }
    desk_assert(desk, "GET a", "$-1\r\n");
    desk_run(desk, "MULTI"); // left to the end of the session
    desk_run(desk, "INCR a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_queued_runs_in_order_in_one_commit),
        TEST(an_empty_transaction_is_an_empty_array),
        TEST(an_error_of_one_command_stops_no_other),
        TEST(what_cannot_be_queued_makes_exec_refuse),
        TEST(errors_of_multi_and_watch_inside_do_not_abort),
        TEST(discard_forgets),
        TEST(exec_does_nothing_when_a_watched_key_changed),
        TEST(what_changed_before_watch_does_not_matter),
        TEST(a_key_created_and_deleted_meanwhile_has_changed),
        TEST(after_exec_nothing_is_watched),
        TEST(resp3_tells_nil_as_such),
        TEST(a_session_says_what_is_queued),
        TEST(nothing_waits_inside),
        TEST(a_transaction_is_bounded),
        TEST(a_failed_allocation_refuses_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
