// SPDX-License-Identifier: Apache-2.0
// Lines into windows. A file is read as windows become free; a pipe when it has something, and what
// it had then is sent at once if nothing else is on its way, so that a slow producer's lines do not
// wait for company.
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "base/decimal.h"
#include "base/owner.h"
#include "cli/count.h"

#define PUMP_LINES 65536 // a turn: signals and progress come between

static struct count *count_of_input(struct watch *watch)
{
    return owner_of(watch, struct count, input);
}

static void unwatch(struct count *count)
{
    if (count->is_input_watched)
        loop_remove(count->loop, &count->input);
    count->is_input_watched = false;
}

static void on_input(struct watch *watch, uint32_t events)
{
    (void)events;
    struct count *count = count_of_input(watch);
    unwatch(count);
    int fault = lines_read(&count->lines);
    if (fault)
        count_fail(count, "cannot read the input: %s", strerror(-fault));
    else
        count_pump(count);
}

int count_input_start(struct count *count)
{
    count->input = (struct watch){.fd = STDIN_FILENO, .on_ready = on_input};
    int fault = loop_add(count->loop, &count->input, EPOLLIN);
    count->is_input_direct = fault == -EPERM; // epoll takes no files
    count->is_input_watched = fault == 0;
    unwatch(count);
    return count->is_input_direct ? 0 : fault;
}

void count_input_stop(struct count *count)
{
    unwatch(count);
}

// ---- one line

static void put_bulk(struct buf *out, struct span first, struct span second)
{
    buf_put_byte(out, '$');
    decimal_put_unsigned(out, first.len + second.len);
    buf_put_text(out, "\r\n");
    buf_put(out, first);
    buf_put(out, second);
    buf_put_text(out, "\r\n");
}

static void refuse_line(struct count *count, size_t len)
{
    if (count->refused++ >= COUNT_REFUSALS_SHOWN)
        return;
    char is_over[40] = "";
    if (len)
        snprintf(is_over, sizeof is_over, " has %zu bytes", len);
    fprintf(stderr, "quipu count: line %llu: the key%s, more than %d; not counted\n",
            (unsigned long long)count->line, len ? is_over : " is too long", LIMIT_KEY_BYTES);
}

// Was this line counted by an earlier run, and is it the same input?
static bool is_skipped(struct count *count)
{
    if (count->line > count->skip)
        return false;
    if (count->line == count->state.lines && count->lines.check != count->state.check)
        count_fail(count,
                   "this is not the input that the run began with: up to line %llu it differs",
                   (unsigned long long)count->line);
    count->acked_check = count->lines.check;
    return true;
}

static void take_line(struct count *count, struct span line, int outcome)
{
    struct window *window = count_window(count, count->count);
    size_t len = count->prefix.len + line.len;
    count->line++;
    bool is_key = outcome == 0 && line.len > 0 && len <= LIMIT_KEY_BYTES;
    if (is_key)
        distinct_add(&count->distinct, line);
    else if (outcome == 0 && line.len == 0)
        count->empty++;
    else
        refuse_line(count, outcome ? 0 : len);
    if (is_skipped(count)) {
        window->from = window->to = count->line;
        return;
    }
    window->to = count->line;
    window->check = count->lines.check;
    if (!is_key)
        return;
    window->line_of[window->keys_count++] = (uint32_t)(window->to - window->from);
    put_bulk(&window->pairs, count->prefix, line);
    put_bulk(&window->pairs, span_text(count->amount), (struct span){0});
}

// ---- windows

static bool is_full(const struct window *window)
{
    return window->keys_count == COUNT_WINDOW_LINES || window->pairs.len >= COUNT_WINDOW_BYTES ||
           window->to - window->from == UINT32_MAX;
}

static void seal(struct count *count)
{
    uint64_t to = count_window(count, count->count)->to;
    count->count++;
    if (count->count == COUNT_WINDOWS)
        return;
    struct window *next = count_window(count, count->count);
    next->from = next->to = to;
}

// A window became free while all were in use: it begins where the last one ends.
static void open_window(struct count *count)
{
    struct window *window = count_window(count, count->count);
    uint64_t from = count->count ? count_window(count, count->count - 1)->to : count->acked;
    if (window->from == from && window->to >= from)
        return;
    window->from = window->to = from;
}

// 0: a line was taken. Else LINES_E_MORE (it will come) or LINES_E_END.
static int next_line(struct count *count)
{
    struct span line = {0};
    int outcome = lines_next(&count->lines, &line);
    while (outcome == LINES_E_MORE && count->is_input_direct) {
        int fault = lines_read(&count->lines);
        if (fault) {
            count_fail(count, "cannot read the input: %s", strerror(-fault));
            return LINES_E_MORE;
        }
        outcome = lines_next(&count->lines, &line);
    }
    if (outcome == LINES_E_MORE || outcome == LINES_E_END)
        return outcome;
    take_line(count, line, outcome);
    return 0;
}

static int fill(struct count *count)
{
    for (unsigned taken = 0; taken < PUMP_LINES; taken++) {
        if (count->count == COUNT_WINDOWS || count->status)
            return 0;
        int outcome = next_line(count);
        if (outcome)
            return outcome;
        if (is_full(count_window(count, count->count)))
            seal(count);
    }
    loop_timer_set(count->loop, &count->again, loop_now_ms(count->loop)); // go on next turn
    return 0;
}

static void wait_for_input(struct count *count)
{
    if (count->is_input_direct || count->is_input_watched)
        return;
    int fault = loop_add(count->loop, &count->input, EPOLLIN);
    count->is_input_watched = fault == 0;
    if (fault)
        count_fail(count, "cannot read the input: %s", strerror(-fault));
}

void count_pump(struct count *count)
{
    if (!count->is_started || count->is_stopping || count->is_finishing || count->status)
        return;
    int outcome = 0;
    if (count->count < COUNT_WINDOWS) {
        open_window(count);
        outcome = fill(count);
    }
    if (count->status)
        return;
    if (outcome == LINES_E_MORE)
        wait_for_input(count);
    count->is_ended = outcome == LINES_E_END;
    if (outcome && (count->is_ended || count->count == 0)) {
        struct window *window = count_window(count, count->count);
        if (window->to > window->from)
            seal(count);
    }
    count_send(count);
    count_progressed(count);
}
