// SPDX-License-Identifier: Apache-2.0
// Windows to the database and its answers. After a break nothing is assumed: the mark is read
// again, and what it does not cover is sent again.
#include <errno.h>
#include "base/decimal.h"
#include "base/owner.h"
#include "cli/count.h"
#include "wire/resp.h"

#define REDIAL_MIN_MS 20 // then twice as long each time
#define REDIAL_MAX_MS 1000

static struct count *count_of_stream(struct stream *stream)
{
    return owner_of(stream, struct count, stream);
}

static void put_command(struct buf *out, const char *name, const char *argument)
{
    struct span words[] = {span_text(name), span_text(argument)};
    resp_put_command(out, words, 2);
}

static void put_number(struct buf *out, uint64_t number)
{
    uint8_t digits[DECIMAL_LEN_MAX];
    size_t len = (size_t)(decimal_write_unsigned(digits, number) - digits);
    resp_put_head(out, '$', len);
    buf_put(out, span_of(digits, len));
    buf_put_text(out, "\r\n");
}

static void put_window(struct count *count, const struct window *window, struct buf *out)
{
    struct span words[] = {span_text("QUIPU.ADVANCE"), span_text(count->mark)};
    resp_put_head(out, '*', 4 + 2 * (uint64_t)window->keys_count);
    for (unsigned i = 0; i < 2; i++) {
        resp_put_head(out, '$', words[i].len);
        buf_put(out, words[i]);
        buf_put_text(out, "\r\n");
    }
    put_number(out, window->from);
    put_number(out, window->to);
    buf_put(out, buf_span(&window->pairs));
}

static void send_forget(struct count *count)
{
    put_command(stream_out(&count->stream), "DEL", count->mark);
    stream_written(&count->stream);
}

void count_send(struct count *count)
{
    if (!count->is_connected || count->asking != ASKING_NOTHING)
        return;
    if (count->is_finishing) {
        if (!count->is_forget_sent)
            send_forget(count);
        count->is_forget_sent = true;
        return;
    }
    while (count->sent < count->count && !count->is_stopping) {
        struct window *window = count_window(count, count->sent);
        if (buf_has_failed(&window->pairs)) {
            count_fail(count, "out of memory");
            return;
        }
        put_window(count, window, stream_out(&count->stream));
        stream_written(&count->stream);
        count->sent++;
    }
}

// ---- answers

static void pop(struct count *count)
{
    struct window *window = count_window(count, 0);
    count->acked = window->to;
    count->acked_check = window->check;
    window->keys_count = 0;
    buf_clear(&window->pairs);
    count->first = (count->first + 1) % COUNT_WINDOWS;
    count->count--;
    if (count->sent)
        count->sent--;
}

// Everything up to line `mark` is in. False: no window ends there, so somebody else moved it.
static bool pop_upto(struct count *count, uint64_t mark)
{
    while (count->count && count_window(count, 0)->to <= mark)
        pop(count);
    return count->acked == mark;
}

static void fail_moved(struct count *count, int64_t mark)
{
    count_fail(count,
               "the run's mark %s stands at line %lld where %llu was expected: somebody "
               "else changed it",
               count->mark, (long long)mark, (unsigned long long)count->acked);
}

static void take_info(struct count *count, const struct answer_token *answer)
{
    static const char field[] = "\r\nreplica:";
    const char *text = (const char *)answer->text.ptr;
    const char *at = memmem(text, answer->text.len, field, strlen(field));
    if (!at) {
        count_fail(count, "%s is no quipu database", options_text(count->options, "db"));
        return;
    }
    at += strlen(field);
    size_t left = answer->text.len - (size_t)(at - text);
    const char *end = memchr(at, '\r', left);
    char name[COUNT_REPLICA_MAX];
    snprintf(name, sizeof name, "%.*s", (int)(end ? (size_t)(end - at) : left), at);
    if (count->state.replica[0] && strcmp(count->state.replica, name) != 0) {
        count_fail(count,
                   "this is replica %s, but the run was begun at %s, and only there it is known "
                   "which lines are in: go on with --db of %s",
                   name, count->state.replica, count->state.replica);
        return;
    }
    memcpy(count->state.replica, name, sizeof name);
    count->asking = ASKING_MARK;
}

static void begin(struct count *count, uint64_t mark)
{
    if (mark < count->state.lines) {
        count_fail(count,
                   "the database has %llu lines of this run, but %llu were acknowledged: it was "
                   "set back to an older state",
                   (unsigned long long)mark, (unsigned long long)count->state.lines);
        return;
    }
    count->skip = count->acked = mark;
    count->is_started = true;
    count_started(count);
}

static void take_mark(struct count *count, const struct answer_token *answer)
{
    int64_t mark = 0;
    bool is_number = answer->kind == ANSWER_NIL || answer_integer(answer, &mark);
    if (!is_number || mark < 0) {
        count_fail(count, "the key %s does not hold a run's mark", count->mark);
        return;
    }
    count->asking = ASKING_NOTHING;
    count->redials = 0;
    if (!count->is_started)
        begin(count, (uint64_t)mark);
    else if (!count->is_finishing && !pop_upto(count, (uint64_t)mark))
        fail_moved(count, mark);
    if (count->status)
        return;
    count_send(count);
    count_pump(count);
    count_progressed(count);
}

static void show_refusals(struct count *count, const struct window *window,
                          const struct answer_token *list)
{
    const struct answer_token *at = list + 1;
    for (uint32_t i = 0; i + 1 < list->count; i += 2, at += 2) {
        if (at->kind != ANSWER_INTEGER || at->integer < 0 || at->integer >= window->keys_count)
            continue;
        if (count->refused++ < COUNT_REFUSALS_SHOWN)
            fprintf(stderr, "quipu count: line %llu: %.*s; not counted\n",
                    (unsigned long long)(window->from + window->line_of[at->integer]),
                    (int)at[1].text.len, (const char *)at[1].text.ptr);
    }
}

// [mark, 1 applied | 0 not, [position, why ...]]
static void take_advance(struct count *count, const struct answer_token *answer)
{
    const struct window *window = count_window(count, 0);
    bool is_ours = answer->kind == ANSWER_ARRAY && answer->count == 3 &&
                   answer[1].kind == ANSWER_INTEGER && answer[2].kind == ANSWER_INTEGER &&
                   answer[3].kind == ANSWER_ARRAY;
    if (!is_ours || count->sent == 0) {
        count_fail(count, "the database's answer makes no sense");
        return;
    }
    show_refusals(count, window, &answer[3]);
    uint64_t mark = (uint64_t)answer[1].integer;
    // Not applied: a command of a connection that broke was still on its way and came first.
    bool is_in = answer[2].integer ? mark == window->to : mark >= window->to;
    if (!is_in) {
        fail_moved(count, answer[1].integer);
        return;
    }
    pop(count);
    count_pump(count);
    count_progressed(count);
}

static void take_answer(struct count *count, const struct answer_token *answer)
{
    if (answer->kind == ANSWER_ERROR)
        count_fail(count, "the database says: %.*s", (int)answer->text.len,
                   (const char *)answer->text.ptr);
    else if (count->asking == ASKING_TO_ENTER)
        count->asking = ASKING_INFO;
    else if (count->asking == ASKING_INFO)
        take_info(count, answer);
    else if (count->asking == ASKING_MARK)
        take_mark(count, answer);
    else if (count->is_finishing)
        count_settle(count);
    else
        take_advance(count, answer);
}

static size_t on_input(struct stream *stream, struct span input)
{
    struct count *count = count_of_stream(stream);
    size_t used = 0;
    while (!count->status && !count->is_settled) {
        struct answer answer = {.tokens = count->tokens, .tokens_max = COUNT_TOKENS_MAX};
        size_t len;
        int outcome = answer_parse(&count->parser, span_of(input.ptr + used, input.len - used),
                                   &answer, &len);
        if (outcome == ANSWER_E_MORE)
            return used;
        if (outcome) {
            count_fail(count, "what answers at %s does not speak RESP",
                       options_text(count->options, "db"));
            break;
        }
        used += len;
        take_answer(count, &count->tokens[0]);
    }
    return input.len;
}

// ---- the connection

static void on_connected(struct stream *stream)
{
    struct count *count = count_of_stream(stream);
    count->is_connected = count->was_connected = true;
    count->lost_ms = 0;
    count->sent = 0;
    count->is_forget_sent = false;
    count->asking = count->login.user.len ? ASKING_TO_ENTER : ASKING_INFO;
    memset(&count->parser, 0, sizeof count->parser);
    struct buf *out = stream_out(stream);
    struct span auth[] = {span_text("AUTH"), count->login.user, count->login.password};
    if (count->asking == ASKING_TO_ENTER)
        resp_put_command(out, auth, 3);
    put_command(out, "INFO", "quipu");
    put_command(out, "GET", count->mark);
    stream_written(stream);
}

static void on_closed(struct stream *stream, int fault)
{
    struct count *count = count_of_stream(stream);
    count->is_open = count->is_connected = false;
    if (count->status || count->is_settled)
        return;
    char text[STREAM_WHY_MAX];
    const char *why = fault ? stream_why(stream, fault, text) : "closed by the database";
    if (!count->was_connected) {
        count_fail(count, "cannot reach the database at %s: %s", options_text(count->options, "db"),
                   why);
        return;
    }
    if (!count->lost_ms) {
        count->lost_ms = loop_now_ms(count->loop);
        fprintf(stderr, "quipu count: the connection is lost (%s); trying again\n", why);
    }
    uint64_t delay_ms = (uint64_t)REDIAL_MIN_MS << (count->redials < 10 ? count->redials : 10);
    count->redials++;
    loop_timer_set(count->loop, &count->again,
                   loop_now_ms(count->loop) +
                       (delay_ms < REDIAL_MAX_MS ? delay_ms : REDIAL_MAX_MS));
}

void count_dial(struct count *count)
{
    static const struct stream_ops ops = {
        .on_input = on_input, .on_connected = on_connected, .on_closed = on_closed};
    const struct stream_limits limits = {
        .in_max = 64u << 20, .out_max = 256u << 20, .tls = count->tls};
    count->is_open = true;
    int fault = stream_dial(&count->stream, count->loop, &count->db, &ops, &limits);
    if (fault) {
        count->is_open = false;
        count_fail(count, "cannot connect: %s", strerror(-fault));
    }
}

void count_hang_up(struct count *count)
{
    if (count->is_open)
        stream_abort(&count->stream, 0);
}
