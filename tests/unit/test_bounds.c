// SPDX-License-Identifier: Apache-2.0
// What an operator bounds: settings are checked before they are set; at the memory's bound what is
// there goes on and nothing new is made.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/lib/desk.h"

#define OOM "-OOM command not allowed when used memory > 'maxmemory'.\r\n"

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

static void full_memory_takes_nothing_new(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "GADD s one", ":1\r\n");
    desk_assert(desk, "PRESENCE.SET p o 1 100000", ":1\r\n");
    desk->server.bounds.is_full = true;
    desk_assert(desk, "INCR b", OOM);
    desk_assert(desk, "SET b 1", OOM);
    desk_assert(desk, "GADD s two", OOM);
    desk_assert(desk, "GADD t one", OOM);
    desk_assert(desk, "PRESENCE.SET p other 1 100000", OOM);
    desk_assert(desk, "QUIPU.CREATE b counter", OOM);
    desk_assert(desk, "QUIPU.ADVANCE m 0 1 a 1", OOM);
    desk_assert(desk, "EXISTS b t m", ":0\r\n");
    desk_assert(desk, "SCARD s", ":1\r\n");
}

static void full_memory_lets_go_on_what_is_there(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "GADD s one", ":1\r\n");
    desk_assert(desk, "PRESENCE.SET p o 1 100000", ":1\r\n");
    desk->server.bounds.is_full = true;
    desk_assert(desk, "INCR a", ":2\r\n");
    desk_assert(desk, "SET a 5", "+OK\r\n");
    desk_assert(desk, "GET a", "$1\r\n5\r\n");
    desk_assert(desk, "GET b", "$-1\r\n");
    desk_assert(desk, "GADD s one", ":0\r\n");
    desk_assert(desk, "PRESENCE.SET p o 3 100000", ":3\r\n");
    desk_assert(desk, "DEL a", ":1\r\n");
    desk_assert(desk, "FLUSHALL", "+OK\r\n");
    desk->server.bounds.is_full = false;
    desk_assert(desk, "INCR b", ":1\r\n");
}

static void bounds_are_set_all_or_none(void **state)
{
    struct desk *desk = *state;
    static const struct {
        const char *set, *get, *value;
    } rows[] = {
        {"maxclients 50", "maxclients", "50"},
        {"maxmemory 100mb", "maxmemory", "104857600"},
        {"maxmemory 1k", "maxmemory", "1000"},
        {"timeout 7", "timeout", "7"},
        {"tcp-keepalive 0", "tcp-keepalive", "0"},
        {"protected-mode yes", "protected-mode", "yes"},
        {"client-output-buffer-limit \"pubsub 1mb 512kb 5\"", "client-output-buffer-limit",
         "normal 33554432 0 0 slave 0 0 0 pubsub 1048576 524288 5"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[200], answer[300];
        if (strstr(rows[i].set, "client-output") && LIMIT_OUTPUT_BYTES != 33554432)
            continue; // tiny
        snprintf(line, sizeof line, "CONFIG SET %s", rows[i].set);
        desk_assert(desk, line, "+OK\r\n");
        snprintf(line, sizeof line, "CONFIG GET %s", rows[i].get);
        snprintf(answer, sizeof answer, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(rows[i].get),
                 rows[i].get, strlen(rows[i].value), rows[i].value);
        desk_assert(desk, line, answer);
    }
    static const char *const wrong[] = {
        "maxclients 0",
        "maxclients x",
        "maxmemory 10tb",
        "maxmemory -1",
        "timeout -1",
        "protected-mode perhaps",
        "client-output-buffer-limit \"normal 1mb 2\"",
        "client-output-buffer-limit \"nobody 1 2 3\"",
        "client-output-buffer-limit \"normal x 2 3\"",
        "timeout 9 maxclients 0",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char line[200];
        snprintf(line, sizeof line, "CONFIG SET %s", wrong[i]);
        desk_assert_begins(desk, line, "-ERR CONFIG SET failed (possibly related to argument '");
    }
    desk_assert(desk, "CONFIG GET timeout", "*2\r\n$7\r\ntimeout\r\n$1\r\n7\r\n");
    desk->server.bounds.clients_possible = 40;
    desk_assert_begins(desk, "CONFIG SET maxclients 41",
                       "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The "
                       "operating system is not able");
    desk_assert(desk, "CONFIG SET maxclients 40", "+OK\r\n");
}

static void sessions_from_elsewhere_need_a_password_in_protected_mode(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "ACL SETUSER app on >pw ~* +@all", "+OK\r\n");
    desk_assert(desk, "CONFIG SET protected-mode yes", "+OK\r\n");
    desk_assert(desk, "PING", "+PONG\r\n");
    desk->session.is_remote = true;
    desk_assert(desk, "RESET", "+RESET\r\n");
    desk_assert_begins(desk, "PING", "-DENIED quipu runs in protected mode");
    desk_assert_begins(desk, "AUTH default x", "-DENIED quipu runs in protected mode");
    desk_assert(desk, "AUTH app pw", "+OK\r\n");
    desk_assert(desk, "PING", "+PONG\r\n");
    desk_assert(desk, "CONFIG SET requirepass secret", "+OK\r\n");
    desk_assert(desk, "RESET", "+RESET\r\n");
    desk_assert(desk, "PING", "-NOAUTH Authentication required.\r\n");
    desk_assert(desk, "AUTH secret", "+OK\r\n");
    desk_assert(desk, "CONFIG SET requirepass \"\" protected-mode no", "+OK\r\n");
    desk_assert(desk, "RESET", "+RESET\r\n");
    desk_assert(desk, "PING", "+PONG\r\n");
}

static void what_was_queued_is_checked_again(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "ACL SETUSER u on nopass ~a* +@all", "+OK\r\n");
    desk_assert(desk, "AUTH u x", "+OK\r\n");
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    desk_assert_begins(desk, "INCR b", "-NOPERM");
    desk_assert_begins(desk, "EXEC", "-EXECABORT");
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    // Another connection takes it away meanwhile.
    struct span rules[] = {span_text("-incr")};
    struct acl_change change = {span_text("u"), rules, 1};
    uint32_t at;
    assert_int_equal(acl_set(&desk->acl, &change, &at), 0);
    desk_assert_begins(desk, "EXEC", "*1\r\n-NOPERM ACLs rules changed between the moment");
    desk_assert_begins(desk, "GET a", "$-1\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full_memory_takes_nothing_new, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_memory_lets_go_on_what_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds_are_set_all_or_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sessions_from_elsewhere_need_a_password_in_protected_mode,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_queued_is_checked_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
