// SPDX-License-Identifier: Apache-2.0
// Users: rules and what they make, who may run what, what is denied and noted, the file. What Redis
// 7.0 answers to the same words is compared in tests/e2e/test/acl.test.js.
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

#define DENIED(what, name) "This user has no permissions to " what " the '" name "' "

// The bulk string that is the answer.
static void assert_text(struct desk *desk, const char *line, const char *expected)
{
    char answer[1024];
    snprintf(answer, sizeof answer, "$%zu\r\n%s\r\n", strlen(expected), expected);
    desk_assert(desk, line, answer);
}

static void users_begin_with_nothing(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "ACL WHOAMI", "$7\r\ndefault\r\n");
    desk_assert(desk, "ACL SETUSER u", "+OK\r\n");
    desk_assert(desk, "ACL LIST",
                "*2\r\n$34\r\nuser default on nopass ~* &* +@all\r\n"
                "$30\r\nuser u off resetchannels -@all\r\n");
}

static void rules_make_what_they_say(void **state)
{
    struct desk *desk = *state;
    static const struct {
        const char *rules, *made;
    } rows[] = {
        {"on >pw ~a:* &c +get",
         "on #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 ~a:* resetchannels "
         "&c "
         "-@all +get"},
        {"on nopass allkeys allchannels allcommands", "on nopass ~* &* +@all"},
        {"+@all -@admin -client|kill", "off resetchannels +@all -@admin"},
        {"+@all -@fast -client|kill", "off resetchannels +@all -@fast -client|kill"},
        {"+client|id +client|info -client", "off resetchannels -@all"},
        {"+@all -debug +hset", "off resetchannels +@all -debug"},
        {"+xinfo|stream", "off resetchannels -@all +xinfo|stream"},
        {"+get +get -get +get", "off resetchannels -@all +get"},
        {"+@read -@read +@READ", "off resetchannels -@all +@read"},
        {"%R~a %W~a %R~b %rw~c", "off ~a %R~b ~c resetchannels -@all"},
        {"+select|0 +select|1", "off resetchannels -@all +select|0 +select|1"},
        {"+get +@all", "off resetchannels +@all"},
        {"+@all -@all", "off resetchannels -@all"},
        {">a <a nopass resetpass", "off resetchannels -@all"},
        {"on nopass ~a +get reset", "off sanitize-payload resetchannels -@all"},
        {"(+get ~a) (+set ~b)",
         "off resetchannels -@all (~a resetchannels -@all +get) (~b resetchannels -@all +set)"},
        {"(+get ~a) clearselectors", "off resetchannels -@all"},
        {"( +get ~a )", "off resetchannels -@all (~a resetchannels -@all +get)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[512], listed[1024];
        desk_run(desk, "ACL DELUSER u");
        snprintf(line, sizeof line, "ACL SETUSER u %s", rows[i].rules);
        desk_assert(desk, line, "+OK\r\n");
        snprintf(listed, sizeof listed, "\r\nuser u %s\r\n", rows[i].made);
        const char *answer = desk_run(desk, "ACL LIST");
        if (!strstr(answer, listed))
            print_message("%s: %s\n", rows[i].rules, answer);
        assert_non_null(strstr(answer, listed));
        // Told again, the rules make the same.
        desk_run(desk, "ACL DELUSER u");
        snprintf(line, sizeof line, "ACL SETUSER u %s", rows[i].made);
        desk_assert(desk, line, "+OK\r\n");
        assert_non_null(strstr(desk_run(desk, "ACL LIST"), listed));
    }
}

static void wrong_rules_are_named_and_change_nothing(void **state)
{
    struct desk *desk = *state;
    static const struct {
        const char *rules, *error;
    } rows[] = {
        {"nonsense", "-ERR Error in ACL SETUSER modifier 'nonsense': Syntax error\r\n"},
        {"+nonsense", "-ERR Error in ACL SETUSER modifier '+nonsense': Unknown command or category "
                      "name in ACL\r\n"},
        {"-get +@nonsense", "-ERR Error in ACL SETUSER modifier '+@nonsense': Unknown command or "
                            "category name in ACL\r\n"},
        {"+client|nonsense", "-ERR Error in ACL SETUSER modifier '+client|nonsense': Unknown "
                             "command or category name in ACL\r\n"},
        {"+client|id|x", "-ERR Error in ACL SETUSER modifier '+client|id|x': Allowing first-arg of "
                         "a subcommand is not supported\r\n"},
        {"-select|1", "-ERR Error in ACL SETUSER modifier '-select|1': Unknown command or category "
                      "name in ACL\r\n"},
        {"+select|", "-ERR Error in ACL SETUSER modifier '+select|': Syntax error\r\n"},
        {"%X~a", "-ERR Error in ACL SETUSER modifier '%X~a': Syntax error\r\n"},
        {"%RR~a", "-ERR Error in ACL SETUSER modifier '%RR~a': Syntax error\r\n"},
        {"%R", "-ERR Error in ACL SETUSER modifier '%R': Syntax error\r\n"},
        {"#12", "-ERR Error in ACL SETUSER modifier '#12': The password hash must be exactly 64 "
                "characters and contain only lowercase hexadecimal characters\r\n"},
        {"<x", "-ERR Error in ACL SETUSER modifier '<x': The password you are trying to remove "
               "from the user does not exist\r\n"},
        {"(+get", "-ERR Unmatched parenthesis in acl selector starting at '(+get'.\r\n"},
        {"(on)", "-ERR Error in ACL SETUSER modifier '(on)': Syntax error\r\n"},
    };
    desk_assert(desk, "ACL SETUSER u +get", "+OK\r\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[200];
        snprintf(line, sizeof line, "ACL SETUSER u on %s", rows[i].rules);
        desk_assert(desk, line, rows[i].error);
        assert_non_null(strstr(desk_run(desk, "ACL LIST"), "user u off resetchannels -@all +get"));
    }
    desk_assert_begins(desk, "ACL SETUSER u ~* ~a",
                       "-ERR Error in ACL SETUSER modifier '~a': Adding a pattern after the *");
    desk_assert_begins(desk, "ACL SETUSER u &* &a",
                       "-ERR Error in ACL SETUSER modifier '&a': Adding a pattern after the *");
    desk_assert(desk, "ACL SETUSER \"a b\"",
                "-ERR Usernames can't contain spaces or null characters\r\n");
    desk_assert(desk, "ACL DELUSER default", "-ERR The 'default' user cannot be removed\r\n");
    desk_assert(desk, "ACL DELUSER u u x", ":1\r\n");
}

static const struct {
    const char *rules, *command, *denied; // NULL: allowed
} checks[] = {
    {"+get ~a", "GET a", NULL},
    {"+get ~a", "GET b", DENIED("access", "b") "key"},
    {"+get ~a", "SET a 1", DENIED("run", "set") "command"},
    {"-@all", "GET a", DENIED("run", "get") "command"},
    {"-@all", "AUTH x", NULL},
    {"-@all", "QUIT", NULL},
    {"-@all", "HELLO", NULL},
    {"-@all", "RESET", NULL},
    {"+@all %R~r %W~w %RW~x", "GET r", NULL},
    {"+@all %R~r %W~w %RW~x", "GET w", DENIED("access", "w") "key"},
    {"+@all %R~r %W~w %RW~x", "SET w 1", NULL},
    {"+@all %R~r %W~w %RW~x", "SET r 1", DENIED("access", "r") "key"},
    {"+@all %R~r %W~w %RW~x", "SET w 1 GET", DENIED("access", "w") "key"},
    {"+@all %R~r %W~w %RW~x", "INCR w", DENIED("access", "w") "key"},
    {"+@all %R~r %W~w %RW~x", "INCR x", NULL},
    {"+@all %R~r %W~w %RW~x", "DEL w x", NULL},
    {"+@all %R~r %W~w %RW~x", "DEL w r", DENIED("access", "r") "key"},
    {"+@all %R~r %W~w %RW~x", "EXISTS r w x", NULL},
    {"+@all %R~r %W~w %RW~x", "EXISTS r q", DENIED("access", "q") "key"},
    {"+@all %R~r %W~w", "MGET r r w", DENIED("access", "w") "key"},
    {"+@all ~k*", "QUIPU.ADVANCE k 0 1 k1 1 k2 1", NULL},
    {"+@all ~k*", "QUIPU.ADVANCE k 0 1 k1 1 b 1", DENIED("access", "b") "key"},
    {"+@all ~k*", "QUIPU.ADVANCE b 0 1 k1 1", DENIED("access", "b") "key"},
    {"+@all ~k", "MEMORY USAGE k", NULL},
    {"+@all ~k", "MEMORY USAGE b", DENIED("access", "b") "key"},
    {"+@all ~k", "OBJECT ENCODING b", DENIED("access", "b") "key"},
    {"+@all ~k*", "PRESENCE.SET p o 1 1000", DENIED("access", "p") "key"},
    {"+@all ~k* ~?", "QUIPU.FEED", DENIED("access", "QUIPU.FEED") "key"},
    {"+@all %W~*", "QUIPU.FEED", DENIED("access", "QUIPU.FEED") "key"},
    {"+@all %R~*", "QUIPU.FEED", NULL},
    {"+@all &c*", "PUBLISH c1 x", NULL},
    {"+@all &c*", "PUBLISH d x", DENIED("access", "d") "channel"},
    {"+@all &c*", "SUBSCRIBE c1 c2", NULL},
    {"+@all &c*", "SUBSCRIBE c1 d", DENIED("access", "d") "channel"},
    {"+@all &c*", "PSUBSCRIBE c*", NULL},
    {"+@all &c*", "PSUBSCRIBE c1*", DENIED("access", "c1*") "channel"},
    {"+@all &c*", "UNSUBSCRIBE d", NULL},
    {"+client|id", "CLIENT ID", NULL},
    {"+client|id", "CLIENT LIST", DENIED("run", "client|list") "command"},
    {"+client -client|kill", "CLIENT LIST", NULL},
    {"+client -client|kill", "CLIENT KILL x", DENIED("run", "client|kill") "command"},
    {"+select|0", "SELECT 0", NULL},
    {"+select|0", "SELECT 1", DENIED("run", "select") "command"},
    {"+select|0 -select", "SELECT 0", DENIED("run", "select") "command"},
    {"+@read", "GET a", DENIED("access", "a") "key"},
    {"+@all -@dangerous", "KEYS *", DENIED("run", "keys") "command"},
    {"+@all -@dangerous", "FLUSHALL", DENIED("run", "flushall") "command"},
    {"+@all -@dangerous", "CONFIG GET x", DENIED("run", "config|get") "command"},
    {"+@all -@admin", "INFO", NULL},
    {"(+get ~a) (+set ~b)", "GET a", NULL},
    {"(+get ~a) (+set ~b)", "SET b 1", NULL},
    {"(+get ~a) (+set ~b)", "SET a 1", DENIED("access", "a") "key"},
    {"(+get ~a) (+set ~b)", "INCR a", DENIED("run", "incr") "command"},
    {"+mget ~key (+mget ~key ~other)", "MGET other more", DENIED("access", "more") "key"},
    {"+mget ~key (+mget ~key ~other)", "MGET key other", NULL},
};

static void commands_keys_and_channels_are_checked(void **state)
{
    struct desk *desk = *state;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        char line[300];
        desk_run(desk, "ACL DELUSER u");
        snprintf(line, sizeof line, "ACL SETUSER u %s", checks[i].rules);
        desk_assert(desk, line, "+OK\r\n");
        snprintf(line, sizeof line, "ACL DRYRUN u %s", checks[i].command);
        if (checks[i].denied)
            assert_text(desk, line, checks[i].denied);
        else
            desk_assert(desk, line, "+OK\r\n");
    }
    desk_assert(desk, "ACL DRYRUN q GET a", "-ERR User 'q' not found\r\n");
    desk_assert(desk, "ACL DRYRUN u NOPE", "-ERR Command 'NOPE' not found\r\n");
    desk_assert(desk, "ACL DRYRUN u GET", "-ERR wrong number of arguments for 'get' command\r\n");
}

static void sessions_are_held_to_their_user(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "ACL SETUSER u on >pw ~a +get +incr", "+OK\r\n");
    desk_assert(desk, "AUTH u wrong",
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    desk_assert(desk, "AUTH u pw", "+OK\r\n");
    desk_assert(desk, "INCR a", ":1\r\n");
    desk_assert(desk, "INCR b",
                "-NOPERM this user has no permissions to access one of the keys used as "
                "arguments\r\n");
    desk_assert(desk, "SET a 1",
                "-NOPERM this user has no permissions to run the 'set' command\r\n");
    desk_assert(desk, "ACL WHOAMI",
                "-NOPERM this user has no permissions to run the 'acl|whoami' command\r\n");
    desk_assert(desk, "RESET", "+RESET\r\n");
    desk_assert(desk, "ACL WHOAMI", "$7\r\ndefault\r\n");
    desk_assert(desk, "ACL SETUSER u off", "+OK\r\n");
    desk_assert_begins(desk, "AUTH u pw", "-WRONGPASS");
}

static void rules_that_change_are_followed(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "ACL SETUSER u on nopass ~* +@all", "+OK\r\n");
    desk_assert(desk, "AUTH u x", "+OK\r\n");
    desk_assert(desk, "ACL SETUSER u -get", "+OK\r\n");
    desk_assert_begins(desk, "GET a", "-NOPERM");
    desk_assert(desk, "ACL SETUSER u +get", "+OK\r\n");
    desk_assert(desk, "GET a", "$-1\r\n");
    assert_false(desk->is_closed);
    desk_assert(desk, "ACL DELUSER u", ":1\r\n");
    assert_true(desk->is_closed);
}

static void a_password_closes_the_door(void **state)
{
    struct desk *desk = *state;
    desk_assert_begins(desk, "AUTH x", "-ERR AUTH <password> called without any password");
    desk_assert(desk, "CONFIG SET requirepass secret", "+OK\r\n");
    desk_assert(desk, "PING", "+PONG\r\n"); // who was in stays in
    desk_assert(desk, "RESET", "+RESET\r\n");
    desk_assert(desk, "PING", "-NOAUTH Authentication required.\r\n");
    desk_assert(desk, "SUBSCRIBE a", "-NOAUTH Authentication required.\r\n");
    desk_assert(desk, "NOPE", "-ERR unknown command 'NOPE', with args beginning with: \r\n");
    desk_assert_begins(desk, "HELLO 3", "-NOAUTH HELLO must be called");
    desk_assert_begins(desk, "HELLO 3 AUTH default nope", "-WRONGPASS");
    desk_assert(desk, "AUTH secret", "+OK\r\n");
    desk_assert(desk, "CONFIG GET requirepass", "*2\r\n$11\r\nrequirepass\r\n$6\r\nsecret\r\n");
    desk_assert(desk, "CONFIG SET requirepass \"\"", "+OK\r\n");
    desk_assert(desk, "RESET", "+RESET\r\n");
    desk_assert(desk, "PING", "+PONG\r\n");
}

static void what_is_denied_is_noted(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "ACL SETUSER u on nopass ~a +get +publish", "+OK\r\n");
    desk_assert(desk, "AUTH u x", "+OK\r\n");
    for (unsigned i = 0; i < 3; i++)
        desk_assert_begins(desk, "GET b", "-NOPERM");
    desk_assert_begins(desk, "SET a 1", "-NOPERM");
    desk_assert_begins(desk, "PUBLISH c x", "-NOPERM");
    desk_assert_begins(desk, "AUTH w x", "-WRONGPASS");
    desk_run(desk, "RESET");
    desk_run(desk, "HELLO 3");
    const char *log = desk_run(desk, "ACL LOG");
    assert_int_equal(
        strncmp(log, "*4\r\n%7\r\n$5\r\ncount\r\n:1\r\n$6\r\nreason\r\n$4\r\nauth", 40), 0);
    assert_non_null(strstr(log, "$6\r\nobject\r\n$4\r\nAUTH\r\n$8\r\nusername\r\n$1\r\nw\r\n"));
    assert_non_null(strstr(log, "$7\r\nchannel\r\n"));
    assert_non_null(strstr(log, "$6\r\nobject\r\n$3\r\nset\r\n"));
    assert_non_null(strstr(log, ":3\r\n$6\r\nreason\r\n$3\r\nkey\r\n"));
    desk_assert_begins(desk, "ACL LOG 1", "*1\r\n");
    desk_assert(desk, "CONFIG SET acllog-max-len 2", "+OK\r\n");
    desk_assert_begins(desk, "ACL LOG", "*2\r\n");
    desk_assert(desk, "ACL LOG RESET", "+OK\r\n");
    desk_assert(desk, "ACL LOG", "*0\r\n");
}

static void users_are_kept_in_a_file(void **state)
{
    struct desk *desk = *state;
    char path[32];
    desk_assert_begins(desk, "ACL SAVE", "-ERR This Redis instance is not configured to use");
    snprintf(path, sizeof path, "%llx", (unsigned long long)(uintptr_t)desk);
    desk->server.acl_path = path;
    desk_assert(desk, "ACL SETUSER u on >pw ~a:* %R~b (+get ~c) +@read -get +client|id", "+OK\r\n");
    desk_assert(desk, "ACL SAVE", "+OK\r\n");
    char saved[sizeof desk->file];
    memcpy(saved, desk->file, sizeof saved);
    desk_assert(desk, "ACL SETUSER other on", "+OK\r\n");
    desk_assert(desk, "ACL LOAD", "+OK\r\n");
    desk_assert(desk, "ACL USERS", "*2\r\n$7\r\ndefault\r\n$1\r\nu\r\n");
    desk_assert(desk, "ACL SAVE", "+OK\r\n");
    assert_string_equal(desk->file, saved);
    assert_false(desk->is_closed); // "default" stays who it is
}

static void a_wrong_file_changes_nothing(void **state)
{
    struct desk *desk = *state;
    char path[32];
    snprintf(path, sizeof path, "%llx", (unsigned long long)(uintptr_t)desk);
    desk->server.acl_path = path;
    desk_assert(desk, "ACL SETUSER kept on", "+OK\r\n");
    snprintf(desk->file, sizeof desk->file, "%s",
             "user a on\n# a remark\n\nuser b +nope\nnonsense\nuser a off\r\nuser default off\n"
             "user default on\nuser c nonsense\n");
    const char *answer = desk_run(desk, "ACL LOAD");
    static const char *const parts[] = {
        ":4: Error in applying operation '+nope': Unknown command or category name in ACL. ",
        ":5 should start with user keyword followed by the username. ",
        "WARNING: Duplicate user 'a' found on line 6. ",
        "WARNING: Duplicate user 'default' found on line 8. ",
        ":9: Syntax error. ",
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_non_null(strstr(answer, parts[i]));
    desk_assert(desk, "ACL USERS", "*2\r\n$7\r\ndefault\r\n$4\r\nkept\r\n");
}

static void users_have_limits(void **state)
{
    struct desk *desk = *state;
    char line[400];
    unsigned made = 1;
    for (unsigned i = 0; i < LIMIT_USERS && made < 20; i++, made++) {
        snprintf(line, sizeof line, "ACL SETUSER user%u", i);
        if (strcmp(desk_run(desk, line), "+OK\r\n") != 0)
            break;
    }
    if (made == LIMIT_USERS)
        desk_assert_begins(desk, "ACL SETUSER more",
                           "-ERR Error in ACL SETUSER modifier 'more': "
                           "Too many");
    for (unsigned i = 0; i < LIMIT_USER_RULES; i++) {
        snprintf(line, sizeof line, "ACL SETUSER user0 ~pattern%u", i);
        desk_assert(desk, line, "+OK\r\n");
    }
    desk_assert_begins(desk, "ACL SETUSER user0 ~more",
                       "-ERR Error in ACL SETUSER modifier '~more': Too many rules");
    memset(line, 'n', LIMIT_USER_NAME + 13);
    memcpy(line, "ACL SETUSER ", 12);
    line[LIMIT_USER_NAME + 13] = '\0';
    desk_assert_begins(desk, line, "-ERR Usernames");
}

static void categories_are_told(void **state)
{
    struct desk *desk = *state;
    desk_assert_begins(desk, "ACL CAT", "*22\r\n$8\r\nkeyspace\r\n");
    assert_non_null(strstr(desk_run(desk, "ACL CAT dangerous"), "$11\r\nclient|kill\r\n"));
    assert_non_null(strstr(desk_run(desk, "ACL CAT pubsub"), "$7\r\npublish\r\n"));
    desk_assert(desk, "ACL CAT nope", "-ERR Unknown category 'nope'\r\n");
    desk_assert_begins(desk, "ACL GENPASS", "$64\r\n");
    desk_assert_begins(desk, "ACL GENPASS 5", "$2\r\n");
    desk_assert_begins(desk, "ACL GENPASS 0", "-ERR ACL GENPASS argument must be");
    desk_assert_begins(desk, "ACL GENPASS 4097", "-ERR ACL GENPASS argument must be");
    desk_assert_begins(desk, "ACL GETUSER nobody", "$-1\r\n");
    desk_assert(desk, "ACL WHOAMI x",
                "-ERR wrong number of arguments for 'acl|whoami' command\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(users_begin_with_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rules_make_what_they_say, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_rules_are_named_and_change_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(commands_keys_and_channels_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sessions_are_held_to_their_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rules_that_change_are_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_password_closes_the_door, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_denied_is_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(users_are_kept_in_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_file_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(users_have_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(categories_are_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
