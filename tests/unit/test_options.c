// SPDX-License-Identifier: Apache-2.0
// The option parser: its four sources, their order, and what it says of wrong values.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "cli/nearest.h"
#include "cli/options.h"

static const struct option rows[] = {
    {.name = "listen",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7000",
     .is_listening = true,
     .help = "RESP"},
    {.name = "peer", .type = OPTION_ENDPOINT, .is_repeated = true, .help = "another replica"},
    {.name = "threads",
     .type = OPTION_INTEGER,
     .initial = "1",
     .smallest = 1,
     .largest = 64,
     .help = "workers"},
    {.name = "commit-interval",
     .type = OPTION_DURATION,
     .initial = "10",
     .smallest = 1,
     .largest = 10000,
     .help = "relaxed: on disk within"},
    {.name = "durability",
     .type = OPTION_CHOICE,
     .choices = "relaxed|strict",
     .initial = "relaxed",
     .help = "when a reply leaves"},
    {.name = "service", .type = OPTION_URL, .help = "the service"},
    {.name = "allow-cut", .type = OPTION_FLAG, .help = "drills"},
    {.name = "replica", .type = OPTION_TEXT, .value = "NAME", .help = "a name"},
    OPTION_ROW_SECRET,
    OPTION_ROW_CONFIG,
    {0},
};

static const struct command command = {.name = "db", .summary = "A database.", .options = rows};
static const struct command checking = {
    .name = "check", .summary = "Checks.", .arguments = "DIR", .options = &rows[9]};

// Parses words, a NULL-ended list, for `wanted`; returns the outcome.
static int parse(struct options *options, const struct command *wanted, char **environment, ...)
{
    char *words[32];
    int count = 0;
    va_list list;
    va_start(list, environment);
    for (char *word; (word = va_arg(list, char *));)
        words[count++] = word;
    va_end(list);
    return options_parse(options, wanted, count, words, environment);
}

static void assert_wrong(const char *expected, int outcome, const struct options *options)
{
    assert_int_equal(outcome, OPTIONS_E_WRONG);
    assert_string_equal(options->error, expected);
}

static void both_forms_of_a_flag_are_one(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, &command, NULL, "--threads", "4", NULL), 0);
    assert_int_equal(options_number(&options, "threads"), 4);
    assert_int_equal(parse(&options, &command, NULL, "--threads=5", "--replica=a=b", NULL), 0);
    assert_int_equal(options_number(&options, "threads"), 5);
    assert_string_equal(options_text(&options, "replica"), "a=b");
}

static void what_nobody_said_has_the_rows_value(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, &command, NULL, NULL), 0);
    assert_int_equal(options_endpoint(&options, "listen").port, 7000);
    assert_int_equal(options_number(&options, "allow-cut"), 0);
    assert_null(options_text(&options, "replica"));
    assert_false(options_has(&options, "peer"));
}

static void a_wrong_value_is_refused_with_what_is_expected(void **state)
{
    (void)state;
    struct options options;
    int outcome = parse(&options, &command, NULL, "--threads", "0", NULL);
    assert_wrong("--threads \"0\": expected an integer from 1 to 64", outcome, &options);
    outcome = parse(&options, &command, NULL, "--threads", "2x", NULL);
    assert_wrong("--threads \"2x\": expected an integer from 1 to 64", outcome, &options);
    outcome = parse(&options, &command, NULL, "--listen", "nowhere", NULL);
    assert_wrong("--listen \"nowhere\": expected HOST:PORT, as 127.0.0.1:7000 or [::1]:7000",
                 outcome, &options);
    outcome = parse(&options, &command, NULL, "--durability=never", NULL);
    assert_wrong("--durability \"never\": expected one of relaxed|strict", outcome, &options);
    outcome = parse(&options, &command, NULL, "--service=ftp://a:1", NULL);
    assert_wrong("--service \"ftp://a:1\": expected http://HOST:PORT", outcome, &options);
    outcome = parse(&options, &command, NULL, "--replica", "", NULL);
    assert_wrong("--replica \"\": expected a text that is not empty", outcome, &options);
    outcome = parse(&options, &command, NULL, "--allow-cut=maybe", NULL);
    assert_wrong("--allow-cut \"maybe\": expected yes or no", outcome, &options);
}

static void durations_have_units(void **state)
{
    (void)state;
    struct options options;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"7", 7}, {"7ms", 7}, {"2s", 2000}, {"1s", 1000}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(parse(&options, &command, NULL, "--commit-interval", good[i].text, NULL),
                         0);
        assert_int_equal(options_number(&options, "commit-interval"), good[i].ms);
    }
    static const char *const bad[] = {"",   "ms",  "0",  "-5",
                                      "1m", "5 s", "5d", "9223372036854775807h"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(&options, &command, NULL, "--commit-interval", bad[i], NULL),
                         OPTIONS_E_WRONG);
}

static void unknown_options_and_arguments_are_refused(void **state)
{
    (void)state;
    struct options options;
    int outcome = parse(&options, &command, NULL, "--treads", "4", NULL);
    assert_wrong("unknown option --treads; did you mean --threads?", outcome, &options);
    outcome = parse(&options, &command, NULL, "--zzzzzzzzzz", NULL);
    assert_wrong("unknown option --zzzzzzzzzz", outcome, &options);
    outcome = parse(&options, &command, NULL, "-t", NULL);
    assert_wrong("unknown option -t; options begin with two dashes", outcome, &options);
    outcome = parse(&options, &command, NULL, "DIR", NULL);
    assert_wrong("unexpected argument \"DIR\"", outcome, &options);
    outcome = parse(&options, &command, NULL, "--threads", NULL);
    assert_wrong("--threads wants a value: --threads N", outcome, &options);
}

static void an_argument_is_taken_once_also_after_two_dashes(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, &checking, NULL, "--", "--odd", NULL), 0);
    assert_string_equal(options.argument, "--odd");
    assert_wrong("DIR is missing", parse(&options, &checking, NULL, NULL), &options);
    int outcome = parse(&options, &checking, NULL, "a", "b", NULL);
    assert_wrong("unexpected argument \"b\"", outcome, &options);
}

static void help_is_an_outcome(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, &command, NULL, "--threads", "2", "--help", NULL),
                     OPTIONS_E_HELP);
    assert_int_equal(parse(&options, &command, NULL, "-h", NULL), OPTIONS_E_HELP);
}

static void repeated_options_keep_their_order_and_limit(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, &command, NULL, "--peer", "a:1", "--peer=b:2", NULL), 0);
    assert_int_equal(options_count(&options, "peer"), 2);
    assert_string_equal(options_text_at(&options, "peer", 0), "a:1");
    assert_string_equal(options_text_at(&options, "peer", 1), "b:2");
    char *words[2 * (OPTIONS_VALUES_MAX + 1)];
    for (int i = 0; i < OPTIONS_VALUES_MAX + 1; i++) {
        words[2 * i] = "--peer";
        words[2 * i + 1] = "a:1";
    }
    assert_int_equal(options_parse(&options, &command, 2 * OPTIONS_VALUES_MAX, words, NULL), 0);
    int outcome = options_parse(&options, &command, 2 * OPTIONS_VALUES_MAX + 2, words, NULL);
    assert_wrong("--peer: at most 16 of them", outcome, &options);
}

static void the_environment_is_read(void **state)
{
    (void)state;
    struct options options;
    char *environment[] = {"PATH=/bin",
                           "QUIPU_COMMIT_INTERVAL=3s",
                           "QUIPU_PEER=a:1  b:2",
                           "QUIPU_ALLOW_CUT=yes",
                           "QUIPU_REPLICA=",
                           "QUIPU_OTHER=1",
                           NULL};
    assert_int_equal(parse(&options, &command, environment, NULL), 0);
    assert_int_equal(options_number(&options, "commit-interval"), 3000);
    assert_int_equal(options_count(&options, "peer"), 2);
    assert_string_equal(options_text_at(&options, "peer", 1), "b:2");
    assert_int_equal(options_number(&options, "allow-cut"), 1);
    assert_null(options_text(&options, "replica"));
    options_deinit(&options);
    char *broken[] = {"QUIPU_THREADS=many", NULL};
    int outcome = parse(&options, &command, broken, NULL);
    assert_wrong("QUIPU_THREADS \"many\": expected an integer from 1 to 64", outcome, &options);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void temporary(char *path)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void the_line_wins_over_the_environment_over_the_file(void **state)
{
    (void)state;
    char path[] = "/tmp/quipu-options-XXXXXX";
    temporary(path);
    write_file(path, "# a comment\n\n  threads   2 \ncommit-interval 20ms\npeer a:1\npeer b:2\n"
                     "replica two words\nallow-cut\ndurability strict");
    struct options options;
    char *environment[] = {"QUIPU_THREADS=3", "QUIPU_DURABILITY=relaxed", NULL};
    assert_int_equal(
        parse(&options, &command, environment, "--threads=4", "--config", path, "--peer=c:3", NULL),
        0);
    assert_int_equal(options_number(&options, "threads"), 4);
    assert_int_equal(options_number(&options, "durability"), 0);
    assert_int_equal(options_number(&options, "commit-interval"), 20);
    assert_int_equal(options_count(&options, "peer"), 1);
    assert_string_equal(options_text(&options, "replica"), "two words");
    assert_int_equal(options_number(&options, "allow-cut"), 1);
    options_deinit(&options);
    char variable[64];
    snprintf(variable, sizeof variable, "QUIPU_CONFIG=%s", path);
    char *from_variable[] = {variable, NULL};
    assert_int_equal(parse(&options, &command, from_variable, NULL), 0);
    assert_int_equal(options_number(&options, "threads"), 2);
    assert_int_equal(options_count(&options, "peer"), 2);
    options_deinit(&options);
    unlink(path);
}

static void a_wrong_file_is_refused_by_line_even_when_overridden(void **state)
{
    (void)state;
    char path[] = "/tmp/quipu-options-XXXXXX", expected[200];
    temporary(path);
    struct options options;
    write_file(path, "replica r1\nthreads many\n");
    int outcome = parse(&options, &command, NULL, "--threads=4", "--config", path, NULL);
    snprintf(expected, sizeof expected, "%s:2: threads \"many\": expected an integer from 1 to 64",
             path);
    assert_wrong(expected, outcome, &options);
    options_deinit(&options);
    write_file(path, "thread 4\n");
    outcome = parse(&options, &command, NULL, "--config", path, NULL);
    snprintf(expected, sizeof expected, "%s:1: unknown option \"thread\" (a line is: name value)",
             path);
    assert_wrong(expected, outcome, &options);
    options_deinit(&options);
    unlink(path);
    outcome = parse(&options, &command, NULL, "--config", path, NULL);
    snprintf(expected, sizeof expected, "cannot read the config file %s: No such file or directory",
             path);
    assert_wrong(expected, outcome, &options);
    options_deinit(&options);
}

static void a_file_beyond_its_limit_is_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/quipu-options-XXXXXX";
    temporary(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < OPTIONS_FILE_MAX; i++)
        fputc('\n', file);
    fclose(file);
    struct options options;
    assert_int_equal(parse(&options, &command, NULL, "--config", path, NULL), 0);
    options_deinit(&options);
    file = fopen(path, "a");
    fputc('\n', file);
    fclose(file);
    assert_int_equal(parse(&options, &command, NULL, "--config", path, NULL), OPTIONS_E_WRONG);
    options_deinit(&options);
    unlink(path);
}

static void listening_beyond_loopback_wants_a_secret(void **state)
{
    (void)state;
    struct options options;
    int outcome = parse(&options, &command, NULL, "--listen", "0.0.0.0:7000", NULL);
    assert_int_equal(outcome, OPTIONS_E_WRONG);
    assert_non_null(strstr(options.error, "--listen 0.0.0.0:7000: other machines reach it"));
    assert_non_null(strstr(options.error, "--secret-file"));
    outcome = parse(&options, &command, NULL, "--listen", "0.0.0.0:7000", "--secret-file=f", NULL);
    assert_int_equal(outcome, 0);
    assert_int_equal(parse(&options, &command, NULL, "--listen", "[::1]:7000", NULL), 0);
    assert_int_equal(parse(&options, &command, NULL, "--peer", "10.0.0.1:7001", NULL), 0);
}

static void help_shows_every_option(void **state)
{
    (void)state;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    options_print_help(&command, out);
    fclose(out);
    for (size_t i = 0; rows[i].name; i++)
        assert_non_null(strstr(text, rows[i].name));
    assert_non_null(strstr(text, "--commit-interval MS"));
    free(text);
}

static const char *nearest_of(const char *word)
{
    struct nearest nearest = nearest_to(span_text(word));
    nearest_consider(&nearest, "realtime");
    nearest_consider(&nearest, "service");
    nearest_consider(&nearest, "db");
    return nearest.best;
}

static void the_nearest_word_is_found_or_none(void **state)
{
    (void)state;
    assert_string_equal(nearest_of("realtme"), "realtime");
    assert_string_equal(nearest_of("services"), "service");
    assert_string_equal(nearest_of("dbb"), "db");
    assert_null(nearest_of("elephant"));
    assert_null(nearest_of("a-word-that-is-longer-than-anybody-would-type-here"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_of_a_flag_are_one),
        cmocka_unit_test(what_nobody_said_has_the_rows_value),
        cmocka_unit_test(a_wrong_value_is_refused_with_what_is_expected),
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(unknown_options_and_arguments_are_refused),
        cmocka_unit_test(an_argument_is_taken_once_also_after_two_dashes),
        cmocka_unit_test(help_is_an_outcome),
        cmocka_unit_test(repeated_options_keep_their_order_and_limit),
        cmocka_unit_test(the_environment_is_read),
        cmocka_unit_test(the_line_wins_over_the_environment_over_the_file),
        cmocka_unit_test(a_wrong_file_is_refused_by_line_even_when_overridden),
        cmocka_unit_test(a_file_beyond_its_limit_is_refused),
        cmocka_unit_test(listening_beyond_loopback_wants_a_secret),
        cmocka_unit_test(help_shows_every_option),
        cmocka_unit_test(the_nearest_word_is_found_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
