// SPDX-License-Identifier: Apache-2.0
// The file by which an interrupted count is known again.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "cli/count_state.h"

struct place {
    char folder[40], path[60];
};

static void begin(struct place *place)
{
    snprintf(place->folder, sizeof place->folder, "/tmp/quipu-state-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/state", place->folder);
}

static void end(struct place *place)
{
    unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0); // nothing else is left there
}

static void write_text(const struct place *place, const char *text)
{
    FILE *file = fopen(place->path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void what_was_saved_is_loaded(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    struct count_state saved = {.run = "0123456789abcdef",
                                .replica = "region one",
                                .settings = 0xdeadbeef,
                                .lines = UINT64_C(1) << 40,
                                .check = 7,
                                .is_done = true};
    assert_int_equal(count_state_save(&saved, place.path), 0);
    assert_int_equal(count_state_save(&saved, place.path), 0);
    struct count_state loaded;
    assert_int_equal(count_state_load(&loaded, place.path), 0);
    assert_string_equal(loaded.run, saved.run);
    assert_string_equal(loaded.replica, saved.replica);
    assert_int_equal(loaded.settings, saved.settings);
    assert_int_equal(loaded.lines, saved.lines);
    assert_int_equal(loaded.check, saved.check);
    assert_true(loaded.is_done);
    end(&place);
}

static void a_replica_not_known_yet_stays_unknown(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    struct count_state saved = {.run = "0123456789abcdef"}, loaded;
    assert_int_equal(count_state_save(&saved, place.path), 0);
    assert_int_equal(count_state_load(&loaded, place.path), 0);
    assert_string_equal(loaded.replica, "");
    end(&place);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    struct count_state loaded = {.lines = 42};
    assert_int_equal(count_state_load(&loaded, place.path), COUNT_STATE_E_NONE);
    static const char *const texts[] = {
        "",
        "quipu-count 1\n",
        "something else entirely\n",
        "quipu-count 2\nrun 0123456789abcdef\nreplica r1\nsettings 0\nlines 1\ncheck 0\ndone 0\n",
        "quipu-count 1\nrun 0123\nreplica r1\nsettings 0\nlines 1\ncheck 0\ndone 0\n",
        "quipu-count 1\nrun 0123456789abcdef\nreplica r1\nsettings 0\nlines x\ncheck 0\ndone 0\n",
        "quipu-count 1\nrun 0123456789abcdef\nreplica r1\nsettings 0\nlines 1\ncheck 0\n",
        "quipu-count 1\nrun 0123456789abcdef\nreplica r1\nsettings 0\nlines 1\ncheck 0\ndone 2\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_text(&place, texts[i]);
        assert_int_equal(count_state_load(&loaded, place.path), COUNT_STATE_E_MALFORMED);
    }
    assert_int_equal(loaded.lines, 42);
    end(&place);
}

static void what_cannot_be_written_is_a_fault_and_leaves_nothing(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    struct count_state saved = {.run = "0123456789abcdef"};
    char nowhere[100];
    snprintf(nowhere, sizeof nowhere, "%s/missing/state", place.folder);
    assert_true(count_state_save(&saved, nowhere) < 0);
    end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_loaded),
        cmocka_unit_test(a_replica_not_known_yet_stays_unknown),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(what_cannot_be_written_is_a_fault_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
