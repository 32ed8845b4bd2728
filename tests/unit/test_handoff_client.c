// SPDX-License-Identifier: Apache-2.0
// The client's library (include/quipu_handoff.h) and its file, against a replica's HANDOFF command.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <quipu_handoff.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "tests/lib/desk.h"

static char path[64];

static int set_up(void **state)
{
    struct desk *desk = malloc(sizeof *desk);
    desk_open(desk);
    *state = desk;
    snprintf(path, sizeof path, "/tmp/quipu-handoff-%d", (int)getpid());
    unlink(path);
    return 0;
}

static int tear_down(void **state)
{
    desk_close(*state);
    free(*state);
    unlink(path);
    return 0;
}

static struct quipu_handoff *begin(void)
{
    struct quipu_handoff *counts;
    assert_int_equal(quipu_handoff_open(&counts, path), 0);
    return counts;
}

// One message; is_heard false: its answer is lost.
static void exchange(struct desk *desk, struct quipu_handoff *counts, const char *key,
                     bool is_heard)
{
    const void *bytes;
    size_t len;
    assert_int_equal(quipu_handoff_save(counts), 0);
    int outcome = quipu_handoff_tell(counts, key, strlen(key), &bytes, &len);
    if (outcome == QUIPU_HANDOFF_E_NONE)
        return;
    assert_int_equal(outcome, 0);
    struct span words[] = {span_text("HANDOFF"), span_text(key), span_of(bytes, len)};
    const char *answer = desk_run_argv(desk, words, 3);
    assert_int_equal(answer[0], '$');
    size_t size = strtoul(answer + 1, NULL, 10);
    if (is_heard)
        assert_int_equal(
            quipu_handoff_hear(counts, key, strlen(key), strchr(answer, '\n') + 1, size), 0);
}

static void what_was_counted_is_taken_over_once(void **state)
{
    struct desk *desk = *state;
    struct quipu_handoff *counts = begin();
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(quipu_handoff_add(counts, "a", 1, 2), 0);
    assert_int_equal(quipu_handoff_held(counts, NULL), 10);
    exchange(desk, counts, "a", true); // a slot
    desk_assert(desk, "EXISTS a", ":0\r\n");
    assert_int_equal(quipu_handoff_held(counts, NULL), 10);
    exchange(desk, counts, "a", false); // the token fills it, the answer is lost
    desk_assert(desk, "GET a", "$2\r\n10\r\n");
    exchange(desk, counts, "a", true); // told again
    desk_assert(desk, "GET a", "$2\r\n10\r\n");
    assert_int_equal(quipu_handoff_held(counts, NULL), 0);
    quipu_handoff_close(counts);
}

static void the_file_goes_on_where_it_was(void **state)
{
    struct desk *desk = *state;
    for (unsigned i = 0; i < 6; i++) { // a process for each step
        struct quipu_handoff *counts = begin();
        if (i == 0)
            assert_int_equal(quipu_handoff_add(counts, "a", 1, 7), 0);
        exchange(desk, counts, "a", i != 2);
        assert_int_equal(quipu_handoff_save(counts), 0);
        quipu_handoff_close(counts);
    }
    desk_assert(desk, "GET a", "$1\r\n7\r\n");
}

static void nothing_is_sent_that_is_not_saved(void **state)
{
    const void *bytes;
    size_t len;
    (void)state;
    struct quipu_handoff *counts = begin();
    assert_int_equal(quipu_handoff_tell(counts, "a", 1, &bytes, &len), QUIPU_HANDOFF_E_NONE);
    assert_int_equal(quipu_handoff_add(counts, "a", 1, 1), 0);
    assert_int_equal(quipu_handoff_tell(counts, "a", 1, &bytes, &len), QUIPU_HANDOFF_E_UNSAVED);
    assert_int_equal(quipu_handoff_save(counts), 0);
    assert_int_equal(quipu_handoff_tell(counts, "a", 1, &bytes, &len), 0);
    quipu_handoff_close(counts);
}

static void who_is_done_leaves_and_may_come_back(void **state)
{
    struct desk *desk = *state;
    struct quipu_handoff *counts = begin();
    const void *key;
    size_t cursor = 0, len;
    for (unsigned round = 1; round <= 3; round++) {
        assert_int_equal(quipu_handoff_add(counts, "a", 1, 1), 0);
        quipu_handoff_finish(counts);
        for (unsigned i = 0; i < 5; i++)
            exchange(desk, counts, "a", true);
        cursor = 0;
        assert_false(quipu_handoff_next(counts, &cursor, &key, &len));
        char must[16];
        snprintf(must, sizeof must, "$1\r\n%u\r\n", round);
        desk_assert(desk, "GET a", must);
    }
    quipu_handoff_close(counts);
}

static void a_note_is_kept_with_the_counts(void **state)
{
    size_t len;
    (void)state;
    struct quipu_handoff *counts = begin();
    assert_int_equal(quipu_handoff_put_note(counts, "line 7", 6), 0);
    assert_int_equal(quipu_handoff_save(counts), 0);
    assert_int_equal(quipu_handoff_put_note(counts, "line 8", 6), 0);
    quipu_handoff_close(counts); // not saved
    counts = begin();
    assert_memory_equal(quipu_handoff_note(counts, &len), "line 7", 6);
    assert_int_equal(len, 6);
    quipu_handoff_close(counts);
}

static void a_damaged_file_is_refused(void **state)
{
    struct quipu_handoff *counts = begin();
    (void)state;
    assert_int_equal(quipu_handoff_add(counts, "a", 1, 1), 0);
    assert_int_equal(quipu_handoff_save(counts), 0);
    quipu_handoff_close(counts);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 30, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, 30, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
    assert_int_equal(quipu_handoff_open(&counts, path), QUIPU_HANDOFF_E_FILE);
}

static void other_types_and_messages_are_refused(void **state)
{
    struct desk *desk = *state;
    struct quipu_handoff *counts = begin();
    const void *bytes;
    size_t len;
    desk_assert_begins(desk, "HANDOFF a junk", "-ERR not a handoff message");
    desk_run(desk, "GADD s m");
    desk_run(desk, "INCRBY c 5");
    assert_int_equal(quipu_handoff_add(counts, "s", 1, 1), 0);
    assert_int_equal(quipu_handoff_add(counts, "c", 1, 1), 0);
    assert_int_equal(quipu_handoff_save(counts), 0);
    assert_int_equal(quipu_handoff_tell(counts, "s", 1, &bytes, &len), 0);
    struct span words[] = {span_text("HANDOFF"), span_text("s"), span_of(bytes, len)};
    assert_memory_equal(desk_run_argv(desk, words, 3), "-WRONGTYPE", 10);
    for (unsigned i = 0; i < 3; i++)
        exchange(desk, counts, "c", true); // a plain counter takes it as well
    desk_assert(desk, "GET c", "$1\r\n6\r\n");
    desk_assert(desk, "INCR c", ":7\r\n");
    quipu_handoff_close(counts);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_counted_is_taken_over_once),  TEST(the_file_goes_on_where_it_was),
        TEST(nothing_is_sent_that_is_not_saved),    TEST(who_is_done_leaves_and_may_come_back),
        TEST(a_note_is_kept_with_the_counts),       TEST(a_damaged_file_is_refused),
        TEST(other_types_and_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
