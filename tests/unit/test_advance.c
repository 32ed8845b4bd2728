// SPDX-License-Identifier: Apache-2.0
// QUIPU.ADVANCE over a real replica and a disk that fails: the mark and the counts are one.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "command/command.h"
#include "replica/change.h"
#include "sim/disk.h"
#include "sim/heap.h"

#define WORDS_MAX 32

struct fixture {
    struct sim_heap heap;
    struct disk *disk;
    struct replica *replica;
    const char *request; // of the commit under way
    struct buf answer;
    uint64_t now_ms;
};

static void open_replica(struct fixture *fixture)
{
    struct replica_options options = {
        .disk = fixture->disk,
        .node = {.cluster = span_text("test"),
                 .name = span_text("r1"),
                 .address = span_text("127.0.0.1:1"),
                 .start_wait_ms = 1000,
                 .silence_ms = 30000,
                 .seed = 1,
                 .boot = 1},
        .fresh = {.bytes = {1}},
        .spare = {.bytes = {2}},
        .hash_seed = 7,
        .segment_bytes = 65536,
    };
    struct buf error;
    buf_init(&error, &fixture->heap.heap);
    assert_int_equal(replica_open(&fixture->replica, &fixture->heap.heap, &options, &error), 0);
    buf_deinit(&error);
    struct event start = {.type = EVENT_START, .now_ms = fixture->now_ms};
    replica_event(fixture->replica, &start);
}

static void begin(struct fixture *fixture)
{
    *fixture = (struct fixture){.now_ms = 1000};
    sim_heap_init(&fixture->heap);
    buf_init(&fixture->answer, &fixture->heap.heap);
    fixture->disk = sim_disk_new(1);
    keyspace_thread_start();
    open_replica(fixture);
}

static void end(struct fixture *fixture)
{
    replica_close(fixture->replica);
    keyspace_thread_stop();
    sim_disk_free(fixture->disk);
    buf_deinit(&fixture->answer);
    assert_int_equal(fixture->heap.bytes, 0);
}

static uint32_t split(char *text, struct span *words)
{
    uint32_t count = 0;
    for (char *word; (word = strsep(&text, " "));)
        words[count++] = span_text(word);
    return count;
}

static void run_request(void *ctx, struct replica *replica)
{
    struct fixture *fixture = ctx;
    struct reply reply = reply_to(&fixture->answer, 3);
    struct span words[WORDS_MAX];
    char text[512];
    snprintf(text, sizeof text, "%s", fixture->request);
    struct call call = {.argv = words,
                        .argc = split(text, words),
                        .reply = &reply,
                        .keyspace = replica_keyspace(replica),
                        .replica = replica};
    call.command = command_named(words[0]);
    assert_non_null(call.command);
    buf_clear(&fixture->answer);
    call.command->apply(&call);
}

// One commit with the request in it. Whether it became durable.
static bool commit(struct fixture *fixture, const char *request)
{
    fixture->request = request;
    struct commit_input input = {.now_ms = fixture->now_ms++,
                                 .wall_ms = fixture->now_ms,
                                 .requests = run_request,
                                 .ctx = fixture};
    assert_int_equal(replica_commit_apply(fixture->replica, &input), 0);
    return replica_commit_sync(fixture->replica) == 0;
}

static void assert_answer(struct fixture *fixture, const char *request, const char *expected)
{
    assert_true(commit(fixture, request));
    buf_put_byte(&fixture->answer, 0);
    assert_string_equal((const char *)fixture->answer.ptr, expected);
}

static int64_t value_of(struct fixture *fixture, const char *key)
{
    struct keyspace *keyspace = replica_keyspace(fixture->replica);
    struct address address = {.kind = UNIT_KEY, .key = span_text(key)};
    struct record *record = keyspace_find(keyspace, &address, keyspace_hash(keyspace, &address));
    return record && (record_flags(record) & RECORD_LIVE) ? record_value(record) : 0;
}

static void a_mark_where_it_is_said_to_be_moves_and_the_keys_get_their_amounts(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    assert_answer(&fixture, "QUIPU.ADVANCE m 0 3 a 1 b 5 a 1", "*3\r\n:3\r\n:1\r\n*0\r\n");
    assert_answer(&fixture, "QUIPU.ADVANCE m 3 4", "*3\r\n:4\r\n:1\r\n*0\r\n");
    assert_answer(&fixture, "QUIPU.ADVANCE m 4 6 b -2", "*3\r\n:6\r\n:1\r\n*0\r\n");
    assert_int_equal(value_of(&fixture, "m"), 6);
    assert_int_equal(value_of(&fixture, "a"), 2);
    assert_int_equal(value_of(&fixture, "b"), 3);
    end(&fixture);
}

static void a_mark_elsewhere_leaves_everything_as_it_is(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    assert_answer(&fixture, "QUIPU.ADVANCE m 1 2 a 1", "*3\r\n:0\r\n:0\r\n*0\r\n");
    assert_answer(&fixture, "QUIPU.ADVANCE m 0 2 a 1", "*3\r\n:2\r\n:1\r\n*0\r\n");
    assert_answer(&fixture, "QUIPU.ADVANCE m 0 2 a 1", "*3\r\n:2\r\n:0\r\n*0\r\n");
    assert_int_equal(value_of(&fixture, "m"), 2);
    assert_int_equal(value_of(&fixture, "a"), 1);
    end(&fixture);
}

static void what_cannot_be_added_is_told_and_the_rest_is_added(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    assert_true(commit(&fixture, "GADD set member"));
    assert_true(commit(&fixture, "SET full 9223372036854775807"));
    assert_answer(&fixture, "QUIPU.ADVANCE m 0 3 a 1 set 1 full 1 b 1",
                  "*3\r\n:3\r\n:1\r\n*4\r\n"
                  ":1\r\n$41\r\nthe key holds another type, or only grows\r\n"
                  ":2\r\n$26\r\nthe counter would overflow\r\n");
    assert_int_equal(value_of(&fixture, "a"), 1);
    assert_int_equal(value_of(&fixture, "b"), 1);
    assert_int_equal(value_of(&fixture, "full"), INT64_MAX);
    end(&fixture);
}

static void a_malformed_request_changes_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    static const char *const requests[] = {
        "QUIPU.ADVANCE m 0 3 a",     "QUIPU.ADVANCE m 0 3 a 1 b", "QUIPU.ADVANCE m 0 3 a 1 b x",
        "QUIPU.ADVANCE m 0 0 a 1",   "QUIPU.ADVANCE m 3 1 a 1",   "QUIPU.ADVANCE m -1 1 a 1",
        "QUIPU.ADVANCE m 0 1.5 a 1",
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        assert_true(commit(&fixture, requests[i]));
        assert_int_equal(fixture.answer.ptr[0], '-');
        assert_int_equal(value_of(&fixture, "m"), 0);
        assert_int_equal(value_of(&fixture, "a"), 0);
    }
    assert_true(commit(&fixture, "GADD set member"));
    assert_true(commit(&fixture, "QUIPU.ADVANCE set 0 1 a 1"));
    assert_int_equal(fixture.answer.ptr[0], '-');
    assert_int_equal(value_of(&fixture, "a"), 0);
    end(&fixture);
}

// A writer that repeats what was not answered, over a disk whose n-th operation fails and a power
// loss: for every n the mark and the counts agree, and at the end everything was counted once.
static void after_a_crash_anywhere_the_mark_tells_what_is_in(void **state)
{
    (void)state;
    bool has_failed = true;
    for (uint64_t n = 0; has_failed; n++) {
        struct fixture fixture;
        struct prng prng;
        prng_init(&prng, n);
        begin(&fixture);
        sim_disk_fail_after(fixture.disk, n);
        has_failed = false;
        for (int at = 0; at < 10 && !has_failed; at++) {
            char request[80];
            snprintf(request, sizeof request, "QUIPU.ADVANCE m %d %d a 1 b 2", at, at + 1);
            has_failed = !commit(&fixture, request);
        }
        replica_close(fixture.replica);
        sim_disk_crash(fixture.disk, &prng);
        open_replica(&fixture);
        int64_t mark = value_of(&fixture, "m");
        assert_int_equal(value_of(&fixture, "a"), mark);
        assert_int_equal(value_of(&fixture, "b"), 2 * mark);
        assert_true(has_failed || mark == 10);
        for (int64_t at = mark; at < 10; at++) {
            char request[80];
            snprintf(request, sizeof request, "QUIPU.ADVANCE m %d %d a 1 b 2", (int)at,
                     (int)at + 1);
            assert_true(commit(&fixture, request));
        }
        assert_int_equal(value_of(&fixture, "m"), 10);
        assert_int_equal(value_of(&fixture, "a"), 10);
        assert_int_equal(value_of(&fixture, "b"), 20);
        end(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_where_it_is_said_to_be_moves_and_the_keys_get_their_amounts),
        cmocka_unit_test(a_mark_elsewhere_leaves_everything_as_it_is),
        cmocka_unit_test(what_cannot_be_added_is_told_and_the_rest_is_added),
        cmocka_unit_test(a_malformed_request_changes_nothing),
        cmocka_unit_test(after_a_crash_anywhere_the_mark_tells_what_is_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
