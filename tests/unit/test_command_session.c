// SPDX-License-Identifier: Apache-2.0
// What a connection says and asks about itself and the server: greetings, protocol versions, names,
// publish and subscribe, the table, settings, INFO.
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

static void names_are_found_in_any_case(void **state)
{
    struct desk *desk = *state;
    for (unsigned i = 0; i < command_count(); i++) {
        const char *name = command_at(i)->name;
        char lower[COMMAND_NAME_MAX + 1] = {0};
        for (size_t at = 0; name[at]; at++)
            lower[at] = (char)(name[at] >= 'A' && name[at] <= 'Z' ? name[at] + 32 : name[at]);
        assert_ptr_equal(command_find(&desk->index, span_text(name)), command_at(i));
        assert_ptr_equal(command_find(&desk->index, span_text(lower)), command_at(i));
        assert_ptr_equal(command_named(span_text(lower)), command_at(i));
        if (i > 0)
            assert_true(strcmp(command_at(i - 1)->name, name) < 0);
    }
    assert_null(command_find(&desk->index, span_of("INCR\0", 5)));
    assert_null(command_find(&desk->index, span_text("")));
    assert_null(command_find(&desk->index, span_text("INC")));
    assert_null(command_find(&desk->index, span_text("quipu\x0elinks")));
    assert_null(command_find(&desk->index, span_text("aaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
}

static void unknown_commands_are_named_with_their_arguments(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "FOO bar \"b z\"",
                "-ERR unknown command 'FOO', with args beginning with: 'bar' 'b z' \r\n");
    desk_assert(desk, "GET", "-ERR wrong number of arguments for 'get' command\r\n");
    desk_assert(desk, "GET a b", "-ERR wrong number of arguments for 'get' command\r\n");
}

static void greetings(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "PING", "+PONG\r\n");
    desk_assert(desk, "PING \"h i\"", "$3\r\nh i\r\n");
    desk_assert(desk, "ECHO x", "$1\r\nx\r\n");
    desk_assert(desk, "SELECT 0", "+OK\r\n");
    desk_assert(desk, "SELECT 1", "-ERR DB index is out of range\r\n");
    desk_assert(desk, "SELECT x", "-ERR invalid DB index\r\n");
    desk_assert_begins(desk, "AUTH secret", "-ERR AUTH <password> called without any password");
    desk_assert(desk, "AUTH default secret", "+OK\r\n");
    desk_assert_begins(desk, "AUTH somebody secret", "-WRONGPASS");
    desk_assert(desk, "TIME", "*2\r\n$10\r\n1700000000\r\n$2\r\n42\r\n");
    desk_assert(desk, "QUIT", "+OK\r\n");
    assert_true(desk->is_closed);
}

static void hello_chooses_the_protocol(void **state)
{
    struct desk *desk = *state;
    desk_assert_begins(desk, "HELLO", "*16\r\n$6\r\nserver\r\n$5\r\nredis\r\n");
    desk_assert(desk, "HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    desk_assert_begins(desk, "HELLO x", "-ERR Protocol version is not an integer");
    desk_assert(desk, "HELLO 3 NONSENSE", "-ERR Syntax error in HELLO option 'NONSENSE'\r\n");
    desk_assert_begins(desk, "HELLO 3 AUTH default x SETNAME me", "%8\r\n$6\r\nserver\r\n");
    assert_int_equal(desk->session.protocol, 3);
    desk_assert(desk, "CLIENT GETNAME", "$2\r\nme\r\n");
    desk_assert(desk, "GET nothing", "_\r\n");
    desk_assert_begins(desk, "HELLO 2", "*16\r\n");
    assert_int_equal(desk->session.protocol, 2);
    desk_assert_begins(desk, "HELLO 3 AUTH other x", "-WRONGPASS");
    assert_int_equal(desk->session.protocol, 2);
}

static void reset_makes_a_session_new(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "HELLO 3 SETNAME me");
    desk_run(desk, "SUBSCRIBE a b");
    desk_run(desk, "PSUBSCRIBE c*");
    desk_assert(desk, "RESET", "+RESET\r\n");
    assert_int_equal(desk->session.protocol, 2);
    assert_false(session_is_subscribed(&desk->session));
    desk_assert(desk, "CLIENT GETNAME", "$-1\r\n");
    desk_assert(desk, "PUBSUB CHANNELS", "*0\r\n");
}

static void client_tells_and_takes_names(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "CLIENT ID", ":7\r\n");
    desk_assert(desk, "CLIENT SETNAME a-name", "+OK\r\n");
    desk_assert_begins(desk, "CLIENT SETNAME \"a name\"", "-ERR Client names cannot contain");
    desk_assert(desk, "CLIENT SETINFO LIB-NAME lib", "+OK\r\n");
    desk_assert(desk, "CLIENT SETINFO LIB-VER 1.2", "+OK\r\n");
    desk_assert_begins(desk, "CLIENT SETINFO OTHER x", "-ERR Unrecognized option");
    const char *info = desk_run(desk, "CLIENT INFO");
    assert_non_null(strstr(info, "id=7 addr="));
    assert_non_null(strstr(info, " name=a-name "));
    assert_non_null(strstr(info, " lib-name=lib lib-ver=1.2 "));
    desk_assert(desk, "CLIENT NO-EVICT on", "+OK\r\n");
    desk_assert(desk, "CLIENT NO-TOUCH off", "+OK\r\n");
    desk_assert(desk, "CLIENT TRACKING off", "+OK\r\n");
    desk_assert_begins(desk, "CLIENT TRACKING on", "-ERR client-side caching");
    desk_assert_begins(desk, "CLIENT MAINT_NOTIFICATIONS ON", "-ERR unknown subcommand");
    desk_assert(desk, "CLIENT KILL",
                "-ERR wrong number of arguments for 'client|kill' command\r\n");
}

static void client_queries_match_what_was_asked(void **state)
{
    struct desk *desk = *state;
    struct session other;
    session_init(&other, 9, 0);
    snprintf(other.address, sizeof other.address, "127.0.0.1:5");
    assert_string_equal(desk_run(desk, "CLIENT KILL ID 9 ID 8"), "");
    assert_true(desk->query.is_kill);
    assert_true(client_query_is_match(&desk->query, &other));
    assert_false(client_query_is_match(&desk->query, &desk->session));
    desk_run(desk, "CLIENT KILL 127.0.0.1:5");
    assert_true(client_query_is_match(&desk->query, &other));
    desk_run(desk, "CLIENT KILL 127.0.0.1:55");
    assert_false(client_query_is_match(&desk->query, &other));
    desk_run(desk, "CLIENT KILL TYPE pubsub");
    assert_false(client_query_is_match(&desk->query, &other));
    session_count_topic(&other, TOPIC_CHANNEL, 1);
    assert_true(client_query_is_match(&desk->query, &other));
    desk_run(desk, "CLIENT KILL ID 7");
    assert_false(client_query_is_match(&desk->query, &desk->session)); // SKIPME is the default
    desk_run(desk, "CLIENT KILL ID 7 SKIPME no");
    assert_true(client_query_is_match(&desk->query, &desk->session));
    desk_run(desk, "CLIENT LIST TYPE normal");
    assert_false(desk->query.is_kill);
    assert_true(client_query_is_match(&desk->query, &desk->session));
    assert_false(client_query_is_match(&desk->query, &other));
    desk_assert(desk, "CLIENT LIST NONSENSE", "-ERR syntax error\r\n");
}

static void subscriptions_are_counted(void **state)
{
    struct desk *desk = *state;
    desk_assert(
        desk, "SUBSCRIBE a b",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    desk_assert(desk, "SUBSCRIBE a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n");
    desk_assert(desk, "PSUBSCRIBE p*", "*3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:3\r\n");
    desk_assert(desk, "PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    desk_assert(desk, "GET a",
                "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                "RESET are allowed in this context\r\n");
    desk_assert(desk, "UNSUBSCRIBE a", "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n");
    desk_assert(desk, "UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n");
    desk_assert(desk, "PUNSUBSCRIBE", "*3\r\n$12\r\npunsubscribe\r\n$2\r\np*\r\n:0\r\n");
    desk_assert(desk, "UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
    desk_assert(desk, "GET a", "$-1\r\n");
}

static void resp3_subscribers_may_do_everything(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "HELLO 3");
    desk_assert(desk, "SUBSCRIBE a", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    desk_assert(desk, "INCR k", ":1\r\n");
    desk_assert(desk, "PING", "+PONG\r\n");
    desk_assert(desk, "PUBLISH a hello", ":1\r\n");
    assert_string_equal(desk->published, "a hello");
    desk_assert(desk, "PUBSUB NUMSUB a z", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nz\r\n:0\r\n");
    desk_assert(desk, "PUBSUB CHANNELS a*", "*1\r\n$1\r\na\r\n");
    desk_assert(desk, "PUBSUB CHANNELS b*", "*0\r\n");
    desk_assert(desk, "PUBSUB NUMPAT", ":0\r\n");
}

static void the_table_is_told(void **state)
{
    struct desk *desk = *state;
    char count[16];
    snprintf(count, sizeof count, ":%u\r\n", command_count());
    desk_assert(desk, "COMMAND COUNT", count);
    snprintf(count, sizeof count, "*%u\r\n", command_count());
    desk_assert_begins(desk, "COMMAND", count);
    snprintf(count, sizeof count, "*%u\r\n", command_count() + subcommand_count());
    desk_assert_begins(desk, "COMMAND LIST", count);
    desk_assert_begins(desk, "COMMAND DOCS incr", "*2\r\n$4\r\nincr\r\n*6\r\n$7\r\nsummary\r\n");
    desk_assert(desk, "COMMAND GETKEYS MGET a b", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    desk_assert(desk, "COMMAND LIST FILTERBY PATTERN EXIS*", "*1\r\n$6\r\nexists\r\n");
    desk_assert(desk, "COMMAND NONSENSE",
                "-ERR unknown subcommand 'NONSENSE'. Try COMMAND HELP.\r\n");
}

static void settings_are_read_and_one_is_changed(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    desk_assert(desk, "CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n");
    desk_assert(desk, "CONFIG GET COMMIT-*", "*2\r\n$15\r\ncommit-interval\r\n$2\r\n10\r\n");
    desk_assert(desk, "CONFIG GET nothing", "*0\r\n");
    desk_assert(desk, "CONFIG SET commit-interval 25", "+OK\r\n");
    assert_int_equal(desk->server.commit_interval_ms, 25);
    desk_assert_begins(desk, "CONFIG SET commit-interval 0", "-ERR CONFIG SET failed");
    desk_assert_begins(
        desk, "CONFIG SET durability strict",
        "-ERR CONFIG SET failed (possibly related to argument 'durability') - can't");
    desk_assert_begins(desk, "CONFIG SET nothing 1", "-ERR Unknown option");
    desk_assert_begins(desk, "CONFIG SET commit-interval 5 durability strict", "-ERR");
    assert_int_equal(desk->server.commit_interval_ms, 25);
    desk_assert(desk, "CONFIG RESETSTAT", "+OK\r\n");
}

static void info_has_what_clients_look_for(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR a");
    const char *info = desk_run(desk, "INFO");
    assert_non_null(strstr(info, "redis_version:7.0.15\r\n"));
    assert_non_null(strstr(info, "quipu_version:0.1.0\r\n"));
    assert_non_null(strstr(info, "loading:0\r\n"));
    assert_non_null(strstr(info, "epoch:0123456789abcdef\r\n"));
    assert_non_null(strstr(info, "db0:keys=1,"));
    assert_non_null(strstr(info, "incarnation:01020300"));
    assert_non_null(strstr(info, "journal:ok\r\n"));
    const char *part = desk_run(desk, "INFO keyspace");
    assert_non_null(strstr(part, "# Keyspace"));
    assert_null(strstr(part, "# Server"));
    desk->session.protocol = 3;
    desk_assert_begins(desk, "INFO server", "=");
}

static void what_redis_has_and_quipu_has_not(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "CLUSTER INFO", "-ERR This instance has cluster support disabled\r\n");
    desk_assert(desk, "READONLY", "-ERR This instance has cluster support disabled\r\n");
    desk_assert(desk, "ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    desk_assert(desk, "SLOWLOG LEN", ":0\r\n");
    desk_assert_begins(desk, "EXPIRED a 1", "-ERR unknown command 'EXPIRED'");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(names_are_found_in_any_case),
        TEST(unknown_commands_are_named_with_their_arguments),
        TEST(greetings),
        TEST(hello_chooses_the_protocol),
        TEST(reset_makes_a_session_new),
        TEST(client_tells_and_takes_names),
        TEST(client_queries_match_what_was_asked),
        TEST(subscriptions_are_counted),
        TEST(resp3_subscribers_may_do_everything),
        TEST(the_table_is_told),
        TEST(settings_are_read_and_one_is_changed),
        TEST(info_has_what_clients_look_for),
        TEST(what_redis_has_and_quipu_has_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
