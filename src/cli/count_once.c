// SPDX-License-Identifier: Apache-2.0
// quipu count --exactly-once: as a client of handoff counters. Lines become amounts in the state
// file, saved before anything is sent; messages carry them to whatever replica is at hand, by as
// many rounds as it takes. A round asks for every counter that still holds something, one HANDOFF
// each; what was heard is saved before the next round. So the process may be killed anywhere, an
// answer may be lost, and the same command with another --db goes on there.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <quipu_handoff.h>
#include <unistd.h>
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/owner.h"
#include "cli/count.h"
#include "cli/count_once.h"
#include "cli/tls_option.h"
#include "os/clock.h"
#include "os/heap_system.h"
#include "wire/resp.h"

#define BATCH_LINES    20000
#define REST_MS        200 // between rounds that bring nothing
#define REDIAL_MS      100
#define NOTE_BYTES     17u // v: lines u64, check u32, settings u32, ended u8
#define ROUND_KEYS_MAX 4096

struct once {
    const struct options *options;
    struct endpoint db;
    struct login login;
    struct tls *tls;
    struct span prefix;
    uint64_t amount;
    const char *state_path;
    struct loop *loop;
    struct stream stream;
    struct loop_timer again;
    struct lines lines;
    struct quipu_handoff *counts;
    uint64_t line, skip, empty, refused;
    uint32_t settings, skip_check;
    bool is_ended, is_finished;
    bool is_open, is_entering, was_connected;
    uint64_t lost_ms, held;
    struct answer_parser parser;
    // the round under way: its keys in the order of their messages
    struct span keys[ROUND_KEYS_MAX];
    size_t cursor; // where the next part of the round begins
    unsigned asked, heard, vain;
    int status;
};

__attribute__((format(printf, 2, 3))) static void once_fail(struct once *once, const char *format,
                                                            ...)
{
    if (once->status)
        return;
    once->status = 1;
    fprintf(stderr, "quipu count: ");
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr,
            "\nquipu count: the same command with the same input goes on, at any replica\n");
    if (once->loop)
        loop_stop(once->loop);
}

// ---- the state file

static bool put_note(struct once *once)
{
    uint8_t note[NOTE_BYTES];
    bytes_write_u64(note, once->line);
    bytes_write_u32(note + 8, once->lines.check);
    bytes_write_u32(note + 12, once->settings);
    note[16] = once->is_ended;
    if (quipu_handoff_put_note(once->counts, note, sizeof note) == 0)
        return true;
    once_fail(once, "out of memory");
    return false;
}

static bool save(struct once *once)
{
    int fault = quipu_handoff_save(once->counts);
    if (fault)
        once_fail(once, "cannot write %s: %s", once->state_path, strerror(-fault));
    return fault == 0;
}

static bool load(struct once *once)
{
    size_t len;
    int outcome = quipu_handoff_open(&once->counts, once->state_path);
    if (outcome) {
        once_fail(once, "--state %s: %s", once->state_path,
                  outcome < 0 ? strerror(-outcome) : "not a file of quipu count --exactly-once");
        return false;
    }
    const uint8_t *note = quipu_handoff_note(once->counts, &len);
    if (len == 0)
        return true;
    if (len != NOTE_BYTES || bytes_read_u32(note + 12) != once->settings) {
        once_fail(once, "--state %s: the run was begun with another --prefix or --by",
                  once->state_path);
        return false;
    }
    once->skip = bytes_read_u64(note);
    once->skip_check = bytes_read_u32(note + 8);
    return true;
}

// ---- lines

static void take_line(struct once *once, struct span line, int outcome)
{
    uint8_t key[LIMIT_KEY_BYTES];
    size_t len = once->prefix.len + line.len;
    once->line++;
    if (outcome == 0 && line.len == 0) {
        once->empty++;
        return;
    }
    if (outcome || len > LIMIT_KEY_BYTES) {
        if (once->refused++ < COUNT_REFUSALS_SHOWN)
            fprintf(stderr,
                    "quipu count: line %llu: the key is too long, more than %d; not "
                    "counted\n",
                    (unsigned long long)once->line, LIMIT_KEY_BYTES);
        return;
    }
    if (once->line <= once->skip)
        return;
    if (once->prefix.len)
        memcpy(key, once->prefix.ptr, once->prefix.len);
    memcpy(key + once->prefix.len, line.ptr, line.len);
    int fault = quipu_handoff_add(once->counts, key, len, once->amount);
    if (fault)
        once_fail(once, "%s", strerror(-fault));
}

static bool is_same_input(struct once *once)
{
    if (once->line != once->skip || once->lines.check == once->skip_check)
        return true;
    once_fail(once, "this is not the input that the run began with: up to line %llu it differs",
              (unsigned long long)once->skip);
    return false;
}

// Reads on until a batch is full, or what has come so far is used up, or the end.
static void fill(struct once *once)
{
    uint64_t first = once->line;
    while (!once->status && once->line < first + BATCH_LINES) {
        struct span line = {0};
        int outcome = lines_next(&once->lines, &line);
        if (outcome == LINES_E_MORE) {
            if (once->line > first && once->line > once->skip)
                break;
            int fault = lines_read(&once->lines);
            if (fault)
                once_fail(once, "cannot read the input: %s", strerror(-fault));
            continue;
        }
        once->is_ended = outcome == LINES_E_END;
        if (once->is_ended)
            break;
        take_line(once, line, outcome);
        if (!is_same_input(once))
            return;
        if (once->line <= once->skip)
            first = once->line;
    }
    if (once->is_ended && once->line < once->skip)
        once_fail(once, "the input has %llu lines, but %llu of this run are in: not the same input",
                  (unsigned long long)once->line, (unsigned long long)once->skip);
}

// ---- rounds

static void put_message(struct once *once, struct span key, struct buf *out)
{
    const void *bytes;
    size_t len;
    int outcome = quipu_handoff_tell(once->counts, key.ptr, key.len, &bytes, &len);
    if (outcome) {
        once_fail(once, outcome < 0 ? "out of memory" : "a message that was not saved");
        return;
    }
    struct span words[] = {span_text("HANDOFF"), key, span_of(bytes, len)};
    resp_put_command(out, words, 3);
}

// Sends what the next part of the round asks. False: the round is over.
static bool ask(struct once *once)
{
    const void *key;
    size_t len;
    struct buf *out = stream_out(&once->stream);
    once->asked = once->heard = 0;
    while (once->asked < ROUND_KEYS_MAX && !once->status &&
           quipu_handoff_next(once->counts, &once->cursor, &key, &len)) {
        once->keys[once->asked++] = span_of(key, len);
        put_message(once, span_of(key, len), out);
    }
    stream_written(&once->stream);
    return once->asked > 0;
}

static void rest(struct once *once)
{
    loop_timer_set(once->loop, &once->again, loop_now_ms(once->loop) + REST_MS);
}

// A round is heard, or none is needed: more lines, another round, or the end.
static void go_on(struct once *once)
{
    while (!once->status) {
        size_t counters, cursor = 0, len;
        const void *key;
        once->cursor = 0;
        uint64_t held = quipu_handoff_held(once->counts, &counters);
        once->vain = held == once->held && held ? once->vain + 1 : 0;
        once->held = held;
        if ((held == 0 || once->vain > 1) && !once->is_ended) {
            fill(once);
            if (once->is_ended)
                quipu_handoff_finish(once->counts);
            if (once->status || !put_note(once))
                return;
        }
        if (!save(once))
            return;
        if (quipu_handoff_next(once->counts, &cursor, &key, &len)) {
            if (once->vain > 1)
                rest(once);
            else
                ask(once);
            return;
        }
        if (once->is_ended) {
            once->is_finished = true;
            loop_stop(once->loop);
            return;
        }
    }
}

static void take_answer(struct once *once, const struct answer_token *answer)
{
    if (answer->kind == ANSWER_ERROR) {
        struct span key = once->heard < once->asked ? once->keys[once->heard] : (struct span){0};
        once_fail(once, "%.*s: the database says: %.*s", (int)key.len, (const char *)key.ptr,
                  (int)answer->text.len, (const char *)answer->text.ptr);
        return;
    }
    if (once->is_entering) {
        once->is_entering = false;
        return;
    }
    if (answer->kind != ANSWER_BULK || once->heard == once->asked) {
        once_fail(once, "the database's answer makes no sense");
        return;
    }
    struct span key = once->keys[once->heard++];
    int outcome =
        quipu_handoff_hear(once->counts, key.ptr, key.len, answer->text.ptr, answer->text.len);
    if (outcome)
        once_fail(once, outcome < 0 ? "out of memory" : "an answer of another version");
}

static size_t on_input(struct stream *stream, struct span input)
{
    struct once *once = owner_of(stream, struct once, stream);
    size_t used = 0, len;
    while (!once->status && !once->is_finished) {
        struct answer_token token;
        struct answer answer = {.tokens = &token, .tokens_max = 1};
        int outcome =
            answer_parse(&once->parser, span_of(input.ptr + used, input.len - used), &answer, &len);
        if (outcome == ANSWER_E_MORE)
            return used;
        if (outcome) {
            once_fail(once, "what answers at %s is no quipu database",
                      options_text(once->options, "db"));
            break;
        }
        used += len;
        take_answer(once, &token);
        if (once->status || once->is_entering || once->heard < once->asked)
            continue;
        if (!save(once) || ask(once))
            continue;
        go_on(once);
    }
    return input.len;
}

// ---- the connection

static void on_connected(struct stream *stream)
{
    struct once *once = owner_of(stream, struct once, stream);
    struct span auth[] = {span_text("AUTH"), once->login.user, once->login.password};
    once->was_connected = true;
    once->lost_ms = 0;
    once->is_entering = once->login.user.len != 0;
    memset(&once->parser, 0, sizeof once->parser);
    once->asked = once->heard = 0;
    once->vain = 0;
    if (once->is_entering)
        resp_put_command(stream_out(stream), auth, 3);
    go_on(once);
}

static void on_closed(struct stream *stream, int fault)
{
    struct once *once = owner_of(stream, struct once, stream);
    char text[STREAM_WHY_MAX];
    once->is_open = false;
    if (once->status || once->is_finished)
        return;
    const char *why = fault ? stream_why(stream, fault, text) : "closed by the database";
    uint64_t now_ms = loop_now_ms(once->loop);
    if (!once->lost_ms) {
        once->lost_ms = now_ms;
        if (once->was_connected)
            fprintf(stderr, "quipu count: the connection is lost (%s); trying again\n", why);
    }
    bool is_over = now_ms - once->lost_ms > (uint64_t)options_number(once->options, "retry");
    if (!once->was_connected || is_over)
        once_fail(once, "cannot reach the database at %s: %s", options_text(once->options, "db"),
                  why);
    else
        loop_timer_set(once->loop, &once->again, now_ms + REDIAL_MS);
}

static void dial(struct once *once)
{
    static const struct stream_ops ops = {
        .on_input = on_input, .on_connected = on_connected, .on_closed = on_closed};
    const struct stream_limits limits = {
        .in_max = 64u << 20, .out_max = 256u << 20, .tls = once->tls};
    once->is_open = true;
    int fault = stream_dial(&once->stream, once->loop, &once->db, &ops, &limits);
    if (fault) {
        once->is_open = false;
        once_fail(once, "cannot connect: %s", strerror(-fault));
    }
}

static void on_again(struct loop_timer *timer)
{
    struct once *once = owner_of(timer, struct once, again);
    if (!once->is_open)
        dial(once);
    else if (once->vain)
        ask(once);
    else
        go_on(once);
}

// ---- the run

static bool is_counted_already(struct once *once)
{
    size_t cursor = 0, len;
    const void *key;
    const uint8_t *note = quipu_handoff_note(once->counts, &len);
    bool is_ended = len == NOTE_BYTES && note[16];
    if (!is_ended || quipu_handoff_next(once->counts, &cursor, &key, &len))
        return false;
    fprintf(stderr,
            "quipu count: %s says that all %llu lines of this run are counted; remove it to "
            "count again\n",
            once->state_path, (unsigned long long)once->skip);
    return true;
}

static bool set_up(struct once *once, const struct options *options)
{
    char error[TLS_TEXT_MAX];
    struct tls_options tls = tls_options_of(options);
    const char *prefix = options_text(options, "prefix");
    char settings[64];
    once->options = options;
    once->db = options_endpoint(options, "db");
    once->prefix = prefix ? span_text(prefix) : (struct span){0};
    once->amount = (uint64_t)options_number(options, "by");
    once->state_path = options_text(options, "state");
    once->again.on_due = on_again;
    snprintf(settings, sizeof settings, "once %llu ", (unsigned long long)once->amount);
    once->settings = crc32c_extend(crc32c_extend(0, span_text(settings)), once->prefix);
    lines_init(&once->lines, heap_system(), STDIN_FILENO);
    if (login_load(&once->login, options, (struct span){0}))
        return false;
    if (options_number(options, "db-tls") && tls_new(&once->tls, &tls, error)) {
        fprintf(stderr, "quipu count: %s\n", error);
        return false;
    }
    return load(once);
}

static void tear_down(struct once *once)
{
    if (once->is_open)
        stream_abort(&once->stream, 0);
    if (once->loop)
        loop_free(once->loop);
    if (once->counts)
        quipu_handoff_close(once->counts);
    lines_deinit(&once->lines);
    tls_free(once->tls);
}

static int count_all(struct once *once)
{
    uint64_t began_ms = clock_monotonic_ms();
    if (is_counted_already(once))
        return 1;
    int fault = loop_new(&once->loop, NULL);
    if (!fault) {
        dial(once);
        fault = once->status ? 0 : loop_run(once->loop);
    }
    if (fault)
        once_fail(once, "%s", strerror(-fault));
    if (once->status)
        return 1;
    if (once->empty || once->refused || once->skip)
        fprintf(stderr, "(%llu empty, %llu refused, %llu by an earlier run)\n",
                (unsigned long long)once->empty, (unsigned long long)once->refused,
                (unsigned long long)once->skip);
    fprintf(stderr, "%llu lines, exactly once, %.1f s\n", (unsigned long long)once->line,
            (double)(clock_monotonic_ms() - began_ms) / 1000);
    return once->refused ? 1 : 0;
}

int count_once(const struct options *options)
{
    if (!options_text(options, "state")) {
        fprintf(stderr, "quipu count: --exactly-once needs --state FILE\n");
        return 2;
    }
    if (options_number(options, "by") < 1) {
        fprintf(stderr, "quipu count: --exactly-once adds positive amounts only: --by\n");
        return 2;
    }
    struct once *once = calloc(1, sizeof *once);
    if (!once) {
        fprintf(stderr, "quipu count: out of memory\n");
        return 1;
    }
    int status = set_up(once, options) ? count_all(once) : 1;
    tear_down(once);
    free(once);
    return status;
}
