// SPDX-License-Identifier: Apache-2.0
// quipu count: one key a line on standard input, each added to exactly once.
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/crc32c.h"
#include "base/hex.h"
#include "base/owner.h"
#include "cli/count.h"
#include "cli/count_once.h"
#include "cli/main.h"
#include "cli/tls_option.h"
#include "os/clock.h"
#include "os/heap_system.h"

#define MARK_PREFIX "quipu:count:"
#define TICK_MS     1000

static const struct option rows[] = {
    {.name = "db",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7000",
     .help = "the database, RESP"},
    {.name = "db-tls", .type = OPTION_FLAG, .help = "the database speaks TLS"},
    OPTION_ROWS_TLS,
    OPTION_ROW_DB_USER,
    OPTION_ROW_DB_PASSWORD,
    {.name = "prefix", .type = OPTION_TEXT, .help = "put in front of every key"},
    {.name = "by",
     .type = OPTION_INTEGER,
     .initial = "1",
     .smallest = -(INT64_C(1) << 40),
     .largest = INT64_C(1) << 40,
     .help = "what each line adds"},
    {.name = "state",
     .type = OPTION_PATH,
     .value = "FILE",
     .help = "which run this is, so that the same command resumes it"},
    {.name = "exactly-once",
     .type = OPTION_FLAG,
     .help = "as a client that may go on at any replica; needs --state"},
    {.name = "retry",
     .type = OPTION_DURATION,
     .initial = "30000",
     .smallest = 0,
     .largest = 86400000,
     .help = "how long a lost database is waited for"},
    {.name = "progress",
     .type = OPTION_FLAG,
     .help = "a line a second also when standard error is no terminal"},
    OPTION_ROW_CONFIG,
    {0},
};

static const struct command command = {
    .name = "count",
    .summary = "Adds to the counter of each line of standard input: one key a line. Empty lines "
               "are passed\nover; a key that is too long is named by its line, and the status is "
               "1.",
    .notes =
        "Exact whatever breaks: lines go in windows, each one command that moves the run's mark\n"
        "(the counter quipu:count:RUN) and adds to the keys in one commit, on disk before the\n"
        "answer, or does nothing. So:\n"
        "  connection lost     it is made again, and the mark says what to send again\n"
        "  database killed     likewise, in either durability\n"
        "  this one stopped    by Ctrl-C or kill -9: with --state FILE the same command with the\n"
        "                      same input passes over the lines that are in and goes on\n"
        "A run is resumed at the replica where it was begun: only there its mark is sure. When "
        "all\n"
        "is counted the mark is removed.\n"
        "With --exactly-once the amounts themselves lie in the state file until a replica has\n"
        "taken them over (HANDOFF), so that a run goes on at any replica, also when the one where\n"
        "it was begun never comes back. Never go on from an older copy of the file.\n",
    .options = rows,
};

// ---- what is said

static void show_progress(struct count *count)
{
    bool is_terminal = isatty(STDERR_FILENO);
    if (!is_terminal && !options_number(count->options, "progress"))
        return;
    uint64_t now_ms = loop_now_ms(count->loop);
    uint64_t took_ms = now_ms - count->shown_ms;
    uint64_t rate = took_ms ? (count->acked - count->shown_lines) * 1000 / took_ms : 0;
    fprintf(stderr, "%s%llu lines, %llu a second%s", is_terminal ? "\r" : "",
            (unsigned long long)count->acked, (unsigned long long)rate,
            is_terminal ? "        " : "\n");
    count->shown_ms = now_ms;
    count->shown_lines = count->acked;
}

static void end_progress(void)
{
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
}

static void show_totals(struct count *count)
{
    double seconds = (double)(clock_monotonic_ms() - count->started_ms) / 1000;
    if (count->empty || count->refused || count->skip)
        fprintf(stderr, "(%llu empty, %llu refused, %llu by an earlier run)\n",
                (unsigned long long)count->empty, (unsigned long long)count->refused,
                (unsigned long long)count->skip);
    if (count->distinct.has_failed)
        fprintf(stderr, "(more keys than memory: their number is a lower bound)\n");
    fprintf(stderr, "%llu lines, %llu keys, %.1f s\n", (unsigned long long)count->line,
            (unsigned long long)count->distinct.count, seconds);
}

static void show_way_on(const struct count *count)
{
    if (!count->is_started)
        return;
    unsigned long long acked = count->acked;
    if (count->state_path)
        fprintf(stderr,
                "quipu count: %llu lines are in; the same command with the same input goes on\n",
                acked);
    else
        fprintf(stderr,
                "quipu count: %llu lines are acknowledged; GET %s at the database tells how many\n"
                "are in, the next one is where to go on (with --state FILE that is done for you)\n",
                acked, count->mark);
}

// ---- the run

static bool save_state(struct count *count, bool is_done)
{
    if (!count->state_path)
        return true;
    bool is_check_known = count->line >= count->skip;
    if (is_check_known && (count->acked > count->state.lines || is_done)) {
        count->state.lines = count->acked;
        count->state.check = count->acked_check;
    }
    count->state.is_done = is_done;
    int fault = count_state_save(&count->state, count->state_path);
    if (fault && !count->status)
        count_fail(count, "cannot write %s: %s", count->state_path, strerror(-fault));
    return fault == 0;
}

void count_fail(struct count *count, const char *format, ...)
{
    if (count->status)
        return;
    count->status = 1;
    end_progress();
    fprintf(stderr, "quipu count: ");
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    show_way_on(count);
    loop_stop(count->loop);
}

// Before the first line is sent: a run that is to be resumed must be known durably.
void count_started(struct count *count)
{
    if (!save_state(count, false))
        return;
    int fault = count_input_start(count);
    if (fault)
        count_fail(count, "cannot read the input: %s", strerror(-fault));
}

static bool is_all_in(struct count *count)
{
    if (!count->is_ended || count->count)
        return false;
    if (count->line < count->skip) {
        count_fail(count,
                   "the input has %llu lines, but %llu of this run are in: not the same input",
                   (unsigned long long)count->line, (unsigned long long)count->skip);
        return false;
    }
    return true;
}

void count_progressed(struct count *count)
{
    if (count->is_finishing || count->status || !count->is_connected || count->asking)
        return;
    if (count->is_stopping) {
        if (count->sent)
            return;
        if (count->state_path) {
            if (save_state(count, false))
                count_settle(count);
            return;
        }
    } else if (!is_all_in(count) || !save_state(count, true)) {
        return;
    }
    count->is_finishing = true;
    count_send(count);
}

void count_settle(struct count *count)
{
    count->is_settled = true;
    loop_stop(count->loop);
}

static void on_again(struct loop_timer *timer)
{
    struct count *count = owner_of(timer, struct count, again);
    if (!count->is_open)
        count_dial(count);
    else
        count_pump(count);
}

static void on_tick(struct loop_timer *timer)
{
    struct count *count = owner_of(timer, struct count, tick);
    uint64_t now_ms = loop_now_ms(count->loop);
    uint64_t retry_ms = (uint64_t)options_number(count->options, "retry");
    if (count->lost_ms && now_ms - count->lost_ms > retry_ms) {
        count_fail(count, "the database did not come back within %llu ms",
                   (unsigned long long)retry_ms);
        return;
    }
    show_progress(count);
    if (count->is_started && count->acked > count->state.lines)
        save_state(count, false);
    loop_timer_set(count->loop, &count->tick, now_ms + TICK_MS);
}

static void on_signal(struct signals *signals, int number)
{
    struct count *count = owner_of(signals, struct count, signals);
    if (number == SIGCHLD)
        return;
    if (count->is_stopping || !count->is_connected) {
        count_fail(count, "stopped");
        return;
    }
    count->is_stopping = true; // what is sent is waited for
    count_progressed(count);
}

// ---- setting up

static bool load_state(struct count *count)
{
    struct span by = span_text(count->amount);
    uint32_t settings = crc32c_extend(crc32c_extend(0, by), count->prefix);
    uint8_t chance[COUNT_RUN_LEN / 2];
    random_bytes(chance, sizeof chance);
    hex_write(count->state.run, span_of(chance, sizeof chance));
    int outcome =
        count->state_path ? count_state_load(&count->state, count->state_path) : COUNT_STATE_E_NONE;
    const char *why = NULL;
    if (outcome < 0)
        why = strerror(-outcome);
    else if (outcome == COUNT_STATE_E_MALFORMED)
        why = "not a file of quipu count";
    else if (outcome == 0 && count->state.settings != settings)
        why = "the run was begun with another --prefix or --by";
    if (why)
        count_fail(count, "--state %s: %s", count->state_path, why);
    count->state.settings = settings;
    snprintf(count->mark, sizeof count->mark, MARK_PREFIX "%s", count->state.run);
    return !why;
}

static void init(struct count *count, const struct options *options)
{
    const char *prefix = options_text(options, "prefix");
    count->options = options;
    count->db = options_endpoint(options, "db");
    count->prefix = prefix ? span_text(prefix) : (struct span){0};
    count->heap = heap_system();
    count->state_path = options_text(options, "state");
    count->started_ms = count->shown_ms = clock_monotonic_ms();
    count->signals.on_signal = on_signal;
    count->tick.on_due = on_tick;
    count->again.on_due = on_again;
    snprintf(count->amount, sizeof count->amount, "%lld", (long long)options_number(options, "by"));
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    distinct_init(&count->distinct, count->heap, seed);
    lines_init(&count->lines, count->heap, STDIN_FILENO);
    for (unsigned i = 0; i < COUNT_WINDOWS; i++)
        buf_init(&count->windows[i].pairs, count->heap);
}

static void deinit(struct count *count)
{
    count_input_stop(count);
    count_hang_up(count);
    if (count->signals.loop)
        signals_stop(&count->signals);
    for (unsigned i = 0; i < COUNT_WINDOWS; i++)
        buf_deinit(&count->windows[i].pairs);
    lines_deinit(&count->lines);
    distinct_deinit(&count->distinct);
    if (count->loop)
        loop_free(count->loop);
    tls_free(count->tls);
}

static int finish(struct count *count)
{
    if (count->status) {
        if (count->is_started)
            save_state(count, false); // so that the next attempt can tell its input
        return 1;
    }
    end_progress();
    if (count->is_stopping) {
        show_way_on(count);
        return 1;
    }
    show_totals(count);
    return count->refused ? 1 : 0;
}

static int count_run(struct count *count)
{
    int fault = loop_new(&count->loop, NULL);
    if (!fault)
        fault = signals_start(&count->signals, count->loop);
    if (fault) {
        fprintf(stderr, "quipu count: %s\n", strerror(-fault));
        return 1;
    }
    if (!load_state(count))
        return 1;
    if (count->state.is_done) {
        fprintf(stderr,
                "quipu count: --state %s: this run is done, with %llu lines; remove the file to "
                "count again\n",
                count->state_path, (unsigned long long)count->state.lines);
        return 1;
    }
    loop_timer_set(count->loop, &count->tick, loop_now_ms(count->loop) + TICK_MS);
    count_dial(count);
    if (!count->status)
        fault = loop_run(count->loop);
    if (fault)
        count_fail(count, "%s", strerror(-fault));
    return finish(count);
}

static bool load_tls(struct count *count, const struct options *options)
{
    char error[TLS_TEXT_MAX];
    struct tls_options tls = tls_options_of(options);
    if (!options_number(options, "db-tls") || !tls_new(&count->tls, &tls, error))
        return true;
    fprintf(stderr, "quipu count: %s\n", error);
    return false;
}

static int run(const struct options *options)
{
    if (options_number(options, "by") == 0) {
        fprintf(stderr, "quipu count: --by \"0\": expected an amount to add\n");
        return 2;
    }
    if (options_number(options, "exactly-once"))
        return count_once(options);
    struct count *count = calloc(1, sizeof *count);
    if (!count) {
        fprintf(stderr, "quipu count: out of memory\n");
        return 1;
    }
    init(count, options);
    int status = 1;
    if (!login_load(&count->login, options, (struct span){0}) && load_tls(count, options))
        status = count_run(count);
    deinit(count);
    free(count);
    return status;
}

int count_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
