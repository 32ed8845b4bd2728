// SPDX-License-Identifier: Apache-2.0
// Counts replies without building them. A reply is a line, or a line and the bytes it announces, or
// a line and the elements it announces: three numbers of state are enough for any nesting, since
// elements only add to what is still to come.
#include "cli/bench.h"

#include <string.h>

static int64_t line_number(const uint8_t *line, size_t len)
{
    int64_t value = 0;
    bool is_negative = len > 1 && line[1] == '-';
    for (size_t i = is_negative ? 2 : 1; i < len && line[i] >= '0' && line[i] <= '9'; i++)
        value = value * 10 + (line[i] - '0');
    return is_negative ? -value : value;
}

static void note_error(struct reply_tally *tally, const uint8_t *line, size_t len)
{
    if (!tally->errors++) {
        size_t kept = len < sizeof tally->first_error ? len : sizeof tally->first_error - 1;
        memcpy(tally->first_error, line, kept);
        tally->first_error[kept] = 0;
    }
}

// One element ends; the reply with it, when it was the last.
static void end_element(struct reply_counter *counter, struct reply_tally *tally)
{
    if (counter->nested && --counter->nested)
        return;
    tally->replies++;
}

static void take_line(struct reply_counter *counter, struct reply_tally *tally, const uint8_t *line,
                      size_t len)
{
    int64_t number;
    switch (line[0]) {
    case '$':
    case '=':
        number = line_number(line, len);
        if (number >= 0) {
            counter->skip = (uint64_t)number + 2;
            return;
        }
        break;
    case '*':
    case '%':
    case '~':
    case '>':
        number = line_number(line, len);
        if (number > 0) {
            if (!counter->nested)
                counter->nested = 1;
            counter->nested += (uint64_t)number * (line[0] == '%' ? 2 : 1) - 1;
            return;
        }
        break;
    case '-':
    case '!':
        note_error(tally, line, len);
        break;
    default:
        break;
    }
    end_element(counter, tally);
}

static void keep_line(struct reply_counter *counter, const uint8_t *from, size_t len)
{
    size_t room = sizeof counter->line - counter->line_len;
    size_t kept = len < room ? len : room;
    memcpy(counter->line + counter->line_len, from, kept);
    counter->line_len = (uint8_t)(counter->line_len + kept);
}

void reply_counter_feed(struct reply_counter *counter, struct span bytes, struct reply_tally *tally)
{
    const uint8_t *at = bytes.ptr;
    const uint8_t *end = at + bytes.len;
    while (at < end) {
        if (counter->skip) {
            uint64_t left = (uint64_t)(end - at);
            uint64_t skipped = counter->skip < left ? counter->skip : left;
            counter->skip -= skipped;
            at += skipped;
            if (!counter->skip)
                end_element(counter, tally);
            continue;
        }
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *line_end = newline ? newline + 1 : end;
        if (!newline || counter->line_len) {
            keep_line(counter, at, (size_t)(line_end - at));
            if (newline) {
                take_line(counter, tally, counter->line, counter->line_len);
                counter->line_len = 0;
            }
        } else {
            take_line(counter, tally, at, (size_t)(line_end - at));
        }
        at = line_end;
    }
}
