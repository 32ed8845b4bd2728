// SPDX-License-Identifier: Apache-2.0
// What watches commands: the slow log, latency moments, counts with their percentiles, and the
// letters of keyspace notifications.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "command/notify.h"
#include "db/stats.h"
#include "tests/lib/desk.h"

static int set_up(void **state)
{
    struct desk *desk = malloc(sizeof *desk);
    desk_open(desk);
    slowlog_init(&desk->server.slowlog, &desk->heap.heap);
    *state = desk;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *desk = *state;
    slowlog_deinit(&desk->server.slowlog);
    desk_close(desk);
    free(desk);
    return 0;
}

static void put(struct desk *desk, const struct span *argv, uint32_t argc, uint64_t took_us)
{
    struct slow_command command = {.argv = argv,
                                   .argc = argc,
                                   .address = "127.0.0.1:5",
                                   .name = span_text("me"),
                                   .took_us = took_us};
    struct slow_entry *entry = slow_entry_new(&desk->heap.heap, &command);
    assert_non_null(entry);
    slowlog_put(&desk->server.slowlog, entry, 99);
}

static void the_slow_log_has_the_newest_first(void **state)
{
    struct desk *desk = *state;
    struct span keys[] = {span_text("KEYS"), span_text("*")};
    put(desk, keys, 2, 20000);
    put(desk, keys, 1, 30000);
    desk_assert(desk, "SLOWLOG LEN", ":2\r\n");
    desk_assert(desk, "SLOWLOG GET 1",
                "*1\r\n*6\r\n:1\r\n:99\r\n:30000\r\n*1\r\n$4\r\nKEYS\r\n$11\r\n127.0.0.1:5\r\n"
                "$2\r\nme\r\n");
    desk_assert_begins(desk, "SLOWLOG GET -1", "*2\r\n");
    desk_assert_begins(desk, "SLOWLOG GET -2", "-ERR count should be greater");
    desk_assert_begins(desk, "SLOWLOG GET x", "-ERR count should be greater");
    desk_assert(desk, "SLOWLOG RESET", "+OK\r\n");
    desk_assert(desk, "SLOWLOG GET", "*0\r\n");
    put(desk, keys, 1, 1);
    desk_assert_begins(desk, "SLOWLOG GET", "*1\r\n*6\r\n:2\r\n"); // numbers go on
}

static void the_slow_log_is_as_long_as_it_may_be(void **state)
{
    struct desk *desk = *state;
    struct span word = span_text("KEYS");
    for (unsigned i = 0; i < 200; i++)
        put(desk, &word, 1, i);
    desk_assert(desk, "SLOWLOG LEN", ":128\r\n");
    desk_assert(desk, "CONFIG SET slowlog-max-len 3", "+OK\r\n");
    desk_assert(desk, "SLOWLOG LEN", ":3\r\n");
    desk_assert_begins(desk, "SLOWLOG GET", "*3\r\n*6\r\n:199\r\n");
    desk_assert(desk, "CONFIG SET slowlog-max-len 0", "+OK\r\n");
    put(desk, &word, 1, 5);
    desk_assert(desk, "SLOWLOG LEN", ":0\r\n");
    desk_assert_begins(desk, "CONFIG SET slowlog-max-len 10001",
                       "-ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - "
                       "argument must be between 0 and 10000");
}

static void long_arguments_are_cut_in_the_slow_log(void **state)
{
    struct desk *desk = *state;
    char longer[SLOWLOG_ARG_MAX + 10];
    struct span argv[SLOWLOG_ARGS_MAX + 5];
    memset(longer, 'x', sizeof longer);
    for (unsigned i = 0; i < SLOWLOG_ARGS_MAX + 5; i++)
        argv[i] = span_of(longer, i == 0 ? sizeof longer : 1);
    put(desk, argv, SLOWLOG_ARGS_MAX + 5, 1);
    const char *answer = desk_run(desk, "SLOWLOG GET");
    assert_non_null(strstr(answer, "*32\r\n$147\r\nxxx"));
    assert_non_null(strstr(answer, "xxx... (10 more bytes)\r\n"));
    assert_non_null(strstr(answer, "... (6 more arguments)\r\n"));
}

static void moments_are_noted_from_the_threshold_on(void **state)
{
    struct desk *desk = *state;
    struct latency *latency = &desk->server.latency;
    latency_note(latency, LATENCY_COMMIT, 1, 500000);
    desk_assert(desk, "LATENCY LATEST", "*0\r\n"); // off
    desk_assert_begins(desk, "LATENCY DOCTOR", "$");
    desk_assert(desk, "CONFIG SET latency-monitor-threshold 100", "+OK\r\n");
    latency_note(latency, LATENCY_COMMIT, 1, 99999);
    latency_note(latency, LATENCY_COMMIT, 2, 100000);
    latency_note(latency, LATENCY_COMMIT, 2, 300000); // of the same second, the longer
    latency_note(latency, LATENCY_COMMIT, 2, 200000);
    latency_note(latency, LATENCY_COMMIT, 3, 150000);
    desk_assert(desk, "LATENCY LATEST", "*1\r\n*4\r\n$6\r\ncommit\r\n:3\r\n:150\r\n:300\r\n");
    desk_assert(desk, "LATENCY HISTORY commit", "*2\r\n*2\r\n:2\r\n:300\r\n*2\r\n:3\r\n:150\r\n");
    desk_assert(desk, "LATENCY HISTORY nothing", "*0\r\n");
    assert_non_null(strstr(desk_run(desk, "LATENCY DOCTOR"), "commit: 2 moments, at most 300 ms"));
    desk_assert(desk, "LATENCY RESET nothing", ":0\r\n");
    desk_assert(desk, "LATENCY RESET commit", ":1\r\n");
    desk_assert(desk, "LATENCY HISTORY commit", "*0\r\n");
    for (unsigned i = 0; i < LATENCY_SAMPLES + 7; i++)
        latency_note(latency, LATENCY_COMMAND, i, 100000 + i);
    desk_assert_begins(desk, "LATENCY HISTORY command", "*160\r\n*2\r\n:7\r\n");
    desk_assert_begins(desk, "LATENCY GRAPH command", "-ERR LATENCY GRAPH is refused");
}

static void commands_are_counted_and_timed(void **state)
{
    struct desk *desk = *state;
    struct stats stats;
    struct heap *heap = &desk->heap.heap;
    const struct command *get = command_named(span_text("GET"));
    size_t size = command_count() * sizeof(struct command_count);
    struct counts *counts = &desk->server.commands;
    counts->commands = heap_alloc(heap, size);
    memset(counts->commands, 0, size);
    assert_int_equal(stats_init(&stats, heap), 0);
    stats_add(&stats, get, STAT_CALLS, 100);
    stats_add(&stats, get, STAT_FAILED, 2);
    for (unsigned i = 0; i < 99; i++)
        stats_took(&stats, get, 3);
    stats_took(&stats, get, 5000000);
    stats_error(&stats, span_text("WRONGTYPE"));
    stats_error(&stats, span_text("ERR"));
    stats_error(&stats, span_text("WRONGTYPE"));
    stats_sum(&stats, counts);
    const char *info = desk_run(desk, "INFO commandstats latencystats errorstats");
    assert_non_null(strstr(info, "cmdstat_get:calls=100,usec=5000297,usec_per_call=50002.97,"
                                 "rejected_calls=0,failed_calls=2,timed_calls=100\r\n"));
    assert_non_null(strstr(info, "latency_percentiles_usec_get:p50=4,p99=4,p99.9=8388608\r\n"));
    assert_non_null(strstr(info, "errorstat_WRONGTYPE:count=2\r\nerrorstat_ERR:count=1\r\n"));
    desk_assert(desk, "LATENCY HISTOGRAM get set",
                "*2\r\n$3\r\nGET\r\n*4\r\n$5\r\ncalls\r\n:100\r\n$14\r\nhistogram_usec\r\n*4\r\n"
                ":4\r\n:99\r\n:8388608\r\n:100\r\n");
    stats_deinit(&stats);
    heap_free(heap, counts->commands, size);
}

static void kinds_of_errors_are_bounded(void **state)
{
    struct desk *desk = *state;
    struct stats stats;
    struct counts *counts = &desk->server.commands;
    struct command_count none[256] = {0};
    assert_true(command_count() <= 256);
    counts->commands = none;
    assert_int_equal(stats_init(&stats, &desk->heap.heap), 0);
    for (unsigned i = 0; i < ERROR_COUNTS_MAX + 20; i++) {
        char name[40];
        int len = snprintf(name, sizeof name, "CODE%u-and-a-long-tail-of-it", i);
        stats_error(&stats, span_of(name, (size_t)len));
    }
    stats_sum(&stats, counts);
    assert_int_equal(counts->errors_count, ERROR_COUNTS_MAX);
    assert_string_equal(counts->errors[ERROR_COUNTS_MAX - 1].name, "others");
    assert_int_equal(counts->errors[ERROR_COUNTS_MAX - 1].count, 21);
    stats_deinit(&stats);
    counts->commands = NULL;
}

static void letters_of_notifications(void **state)
{
    struct desk *desk = *state;
    desk_assert(desk, "CONFIG SET notify-keyspace-events Exg", "+OK\r\n");
    desk_assert_begins(desk, "CONFIG GET notify-keyspace-events",
                       "*2\r\n$22\r\nnotify-keyspace-events\r\n$3\r\ngxE\r\n");
    desk_assert(desk, "CONFIG SET notify-keyspace-events KEA", "+OK\r\n");
    assert_non_null(strstr(desk_run(desk, "CONFIG GET notify*"), "\r\nAKE\r\n"));
    desk_assert(desk, "CONFIG SET notify-keyspace-events \"\"", "+OK\r\n");
    assert_int_equal(desk->server.notify, 0);
    desk_assert_begins(desk, "CONFIG SET notify-keyspace-events KQ", "-ERR CONFIG SET failed");
    desk_assert_begins(desk, "CONFIG SET latency-tracking yes latency-tracking no",
                       "-ERR CONFIG SET failed (possibly related to argument 'latency-tracking') - "
                       "duplicate parameter");
    desk_assert_begins(desk, "CONFIG SET latency-tracking yes slowlog-log-slower-than x",
                       "-ERR CONFIG SET failed");
    assert_false(desk->server.is_latency_tracked); // all or nothing
}

static void changes_have_redis_names(void **state)
{
    (void)state;
    static const struct row {
        struct change change;
        const char *event;
        uint32_t class;
    } rows[] = {
        {{.type = CELL_COUNTER, .op = CHANGE_ADD, .is_live = true}, "incrby", NOTIFY_STRING},
        {{.type = CELL_COUNTER, .op = CHANGE_SET, .is_live = true}, "set", NOTIFY_STRING},
        {{.type = CELL_COUNTER, .op = CHANGE_RESET}, "del", NOTIFY_GENERIC},
        {{.type = CELL_COUNTER, .origin = CHANGE_EXPIRY}, "expired", NOTIFY_EXPIRED},
        {{.type = CELL_GSET, .op = CHANGE_ADD, .is_live = true}, "sadd", NOTIFY_SET},
        {{.type = CELL_GSET, .is_live = true, .has_previous = true, .value = 1, .previous = 2},
         "srem",
         NOTIFY_SET},
        {{.type = CELL_PRESENCE, .op = CHANGE_LEASE, .is_live = true}, "presence", NOTIFY_SET},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t class;
        assert_string_equal(notify_event(&rows[i].change, &class), rows[i].event);
        assert_int_equal(class, rows[i].class);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_slow_log_has_the_newest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_slow_log_is_as_long_as_it_may_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_arguments_are_cut_in_the_slow_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moments_are_noted_from_the_threshold_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(commands_are_counted_and_timed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kinds_of_errors_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(letters_of_notifications, set_up, tear_down),
        cmocka_unit_test(changes_have_redis_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
