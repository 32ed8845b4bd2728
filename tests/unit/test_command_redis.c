// SPDX-License-Identifier: Apache-2.0
// At home among Redis clients: what is refused says why, commands of two words, what COMMAND tells
// of the table, walks over the keys, shard channels.
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

static void what_is_refused_says_why(void **state)
{
    struct desk *desk = *state;
    desk_assert_begins(desk, "rename a b", "-ERR RENAME is refused: others may be writing");
    desk_assert_begins(desk, "LPUSH a b", "-ERR LPUSH is refused: there are no lists");
    desk_assert_begins(desk, "INCRBYFLOAT a 0.5", "-ERR INCRBYFLOAT is refused: the sum of floa");
    desk_assert_begins(desk, "SWAPDB 0 1", "-ERR SWAPDB is refused: there is one database");
    for (unsigned i = 0; i < refusal_count(); i++) {
        assert_null(command_named(span_text(refusal_at(i)->name)));
        assert_true(i == 0 || strcmp(refusal_at(i - 1)->name, refusal_at(i)->name) < 0);
        assert_true(strlen(refusal_at(i)->why) > 10);
    }
}

static void a_second_word_has_its_own_arity_and_help(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command\r\n");
    desk_assert(desk, "OBJECT", "-ERR wrong number of arguments for 'object' command\r\n");
    desk_assert(desk, "OBJECT NONSENSE a",
                "-ERR unknown subcommand 'NONSENSE'. Try OBJECT HELP.\r\n");
    desk_assert(desk, "CONFIG HELP ME",
                "-ERR wrong number of arguments for 'config|help' command\r\n");
    desk_assert_begins(desk, "OBJECT HELP",
                       "*11\r\n+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"
                       "+ENCODING key\r\n+    Returns how the key is held.\r\n");
    for (unsigned i = 0; i < subcommand_count(); i++) {
        const struct subcommand *sub = subcommand_at(i);
        const struct command *command = command_named(span_text(sub->command));
        assert_non_null(command);
        assert_true(sub->run || sub->apply);
        assert_true(!sub->apply || command->apply);
        if (i > 0 && strcmp(subcommand_at(i - 1)->command, sub->command) == 0)
            assert_true(strcmp(subcommand_at(i - 1)->name, sub->name) < 0);
    }
}

static void objects_are_told(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR a");
    desk_run(desk, "GADD s x");
    desk_assert(desk, "OBJECT ENCODING a", "$3\r\nint\r\n");
    desk_assert(desk, "OBJECT ENCODING s", "$9\r\nhashtable\r\n");
    desk_assert(desk, "OBJECT REFCOUNT a", ":1\r\n");
    desk_assert(desk, "OBJECT REFCOUNT none", "$-1\r\n");
    desk_assert_begins(desk, "OBJECT FREQ a", "-ERR An LFU maxmemory policy is not selected");
    desk_assert_begins(desk, "OBJECT IDLETIME a", "-ERR OBJECT IDLETIME is refused");
}

static int64_t integer(struct desk *desk, const char *line)
{
    const char *answer = desk_run(desk, line);
    assert_int_equal(answer[0], ':');
    return strtoll(answer + 1, NULL, 10);
}

static void memory_counts_members_too(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "INCR a");
    desk_run(desk, "GADD s x");
    int64_t one = integer(desk, "MEMORY USAGE s");
    desk_run(desk, "GADD s a-second-member");
    assert_true(integer(desk, "MEMORY USAGE s SAMPLES 0") > one + 40);
    assert_in_range(integer(desk, "MEMORY USAGE a"), 32, 200);
    desk_assert(desk, "MEMORY USAGE none", "$-1\r\n");
    desk_assert(desk, "MEMORY USAGE a NONSENSE 1", "-ERR syntax error\r\n");
    desk_assert_begins(desk, "MEMORY STATS", "*20\r\n$15\r\ntotal.allocated\r\n");
    desk_assert_begins(desk, "MEMORY DOCTOR", "$");
    desk_assert(desk, "MEMORY PURGE", "+OK\r\n");
}

static void the_table_is_told_as_redis_tells_its_own(void **state)
{
    struct desk *desk = *state;
    desk_assert_begins(desk, "COMMAND INFO get",
                       "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n"
                       ":1\r\n");
    desk_assert(desk, "COMMAND INFO nothing", "*1\r\n*-1\r\n");
    desk_assert(desk, "COMMAND GETKEYS MSET a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    desk_assert(desk, "COMMAND GETKEYS DEL a b", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    desk_assert(desk, "COMMAND GETKEYS OBJECT ENCODING a", "*1\r\n$1\r\na\r\n");
    desk_assert(desk, "COMMAND GETKEYS PING", "-ERR The command has no key arguments\r\n");
    desk_assert(desk, "COMMAND GETKEYS GET",
                "-ERR Invalid number of arguments specified for "
                "command\r\n");
    desk_assert(desk, "COMMAND GETKEYS MEMORY STATS",
                "-ERR Invalid arguments specified for "
                "command\r\n");
    desk_assert(desk, "COMMAND GETKEYS NONSENSE a", "-ERR Invalid command specified\r\n");
    desk_assert(desk, "COMMAND GETKEYSANDFLAGS GET a",
                "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+RO\r\n+access\r\n");
    desk_assert(desk, "COMMAND LIST FILTERBY PATTERN mg*", "*1\r\n$4\r\nmget\r\n");
    desk_assert(desk, "COMMAND LIST FILTERBY PATTERN memory|u*", "*1\r\n$12\r\nmemory|usage\r\n");
    desk_assert(desk, "COMMAND LIST FILTERBY MODULE none", "*0\r\n");
    desk_assert(desk, "COMMAND LIST FILTERBY NONSENSE none", "-ERR syntax error\r\n");
    assert_non_null(strstr(desk_run(desk, "COMMAND LIST FILTERBY ACLCAT string"), "incr\r\n"));
    assert_null(strstr(desk_run(desk, "COMMAND LIST FILTERBY ACLCAT string"), "ping\r\n"));
    assert_int_equal(integer(desk, "COMMAND COUNT"), command_count());
    assert_non_null(strstr(desk_run(desk, "COMMAND DOCS object"), "object|encoding"));
}

static void several_counters_are_set_at_once_or_none(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "GADD s x");
    desk_run(desk, "INCR a");
    desk_assert(desk, "MSET a 5 b -7", "+OK\r\n");
    desk_assert(desk, "MGET a b", "*2\r\n$1\r\n5\r\n$2\r\n-7\r\n");
    desk_assert(desk, "MSET a 6 b", "-ERR wrong number of arguments for 'mset' command\r\n");
    desk_assert_begins(desk, "MSET a 6 b text", "-ERR quipu holds counters");
    desk_assert_begins(desk, "MSET a 6 s 7", "-WRONGTYPE");
    desk_assert(desk, "GET a", "$1\r\n5\r\n");
}

static void a_random_key_is_one_that_is_there(void **state)
{
    struct desk *desk = *state;
    unsigned seen[4] = {0};
    desk_assert(desk, "RANDOMKEY", "$-1\r\n");
    desk_run(desk, "MSET k0 1 k1 1 k2 1 k3 1");
    desk_run(desk, "INCR gone");
    desk_run(desk, "DEL gone");
    for (unsigned i = 0; i < 400; i++) {
        const char *answer = desk_run(desk, "RANDOMKEY");
        assert_true(strncmp(answer, "$2\r\nk", 5) == 0 && answer[5] >= '0' && answer[5] < '4');
        seen[answer[5] - '0']++;
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(seen[i] > 0);
    desk_assert(desk, "TOUCH k0 k0 gone k3", ":3\r\n");
    desk_assert(desk, "UNLINK k0 gone k3", ":2\r\n");
}

static void patterns_have_a_limit(void **state)
{
    struct desk *desk = *state;
    char line[LIMIT_PATTERN_BYTES + 64];
    static const char *const lines[] = {"KEYS ", "SCAN 0 MATCH ", "PSUBSCRIBE ", "PUBSUB CHANNELS ",
                                        "COMMAND LIST FILTERBY PATTERN "};
    desk_run(desk, "INCR a");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int len = snprintf(line, sizeof line, "%s", lines[i]);
        memset(line + len, '*', LIMIT_PATTERN_BYTES + 1);
        line[len + LIMIT_PATTERN_BYTES + 1] = '\0';
        desk_assert(desk, line, "-ERR the pattern is too long\r\n");
        line[len + LIMIT_PATTERN_BYTES] = '\0';
        if (i < 2)
            assert_non_null(strstr(desk_run(desk, line), "$1\r\na\r\n"));
    }
}

static void shard_channels_are_apart_from_channels(void **state)
{
    struct desk *desk = *state;
    desk_run(desk, "HELLO 3");
    desk_assert(desk, "SSUBSCRIBE news", ">3\r\n$10\r\nssubscribe\r\n$4\r\nnews\r\n:1\r\n");
    desk_assert(desk, "SPUBLISH news one", ":1\r\n");
    desk_assert(desk, "PUBLISH news one", ":0\r\n");
    desk_assert(desk, "PUBSUB SHARDCHANNELS", "*1\r\n$4\r\nnews\r\n");
    desk_assert(desk, "PUBSUB SHARDNUMSUB news", "*2\r\n$4\r\nnews\r\n:1\r\n");
    desk_assert(desk, "PUBSUB CHANNELS", "*0\r\n");
    desk_assert(desk, "PUBSUB NUMPAT", ":0\r\n");
    desk_assert(desk, "SUNSUBSCRIBE", ">3\r\n$12\r\nsunsubscribe\r\n$4\r\nnews\r\n:0\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_refused_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_word_has_its_own_arity_and_help, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(objects_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_counts_members_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_table_is_told_as_redis_tells_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(several_counters_are_set_at_once_or_none, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_random_key_is_one_that_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(patterns_have_a_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shard_channels_are_apart_from_channels, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
