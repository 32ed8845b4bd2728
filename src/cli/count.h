// SPDX-License-Identifier: Apache-2.0
// Between the files of `quipu count`. Input becomes *windows* of lines; a window is one command,
//
//   QUIPU.ADVANCE mark from to key n key n ...
//
// by which the database moves the run's mark from line `from` to line `to` and adds to the keys in
// one commit, or does nothing when the mark is elsewhere. So a window that is sent again after a
// break is counted once, whatever broke: the mark says which windows are in.
#pragma once
#include "cli/count_state.h"
#include "cli/distinct.h"
#include "cli/lines.h"
#include "cli/login.h"
#include "cli/options.h"
#include "os/signals.h"
#include "os/stream.h"
#include "wire/answer.h"

#define COUNT_REFUSALS_SHOWN 10
#define COUNT_WINDOWS        8
#define COUNT_WINDOW_LINES   (LIMIT_REQUEST_ARGS < 1028 ? (LIMIT_REQUEST_ARGS - 4) / 2 : 512)
#define COUNT_WINDOW_BYTES   (LIMIT_REQUEST_BYTES / 2) // a last key may come on top
#define COUNT_TOKENS_MAX     (2 * COUNT_WINDOW_LINES + 8)

struct window {
    uint64_t from, to; // lines of the input, empty and refused ones included
    uint32_t keys_count;
    uint32_t line_of[COUNT_WINDOW_LINES]; // of each key, after `from`
    struct buf pairs;                     // "key n key n ..." as RESP bulk strings
    uint32_t check;                       // of the input up to `to`
};

struct count {
    const struct options *options;
    struct endpoint db;
    struct login login;
    struct tls *tls; // NULL: plain
    struct span prefix;
    char amount[24]; // --by, as a bulk string's text
    struct heap *heap;
    struct loop *loop;
    struct signals signals;
    struct loop_timer tick;  // once a second: progress, state
    struct loop_timer again; // the next attempt to connect, or the next part of long work
    const char *state_path;  // NULL: none
    struct count_state state;
    char mark[40];

    // input
    struct lines lines;
    struct watch input;
    bool is_input_direct; // a file: reading never waits for long
    bool is_input_watched;
    bool is_ended; // the input
    struct distinct distinct;
    uint64_t line, empty, refused; // read so far
    uint64_t skip;                 // lines that an earlier run counted

    // the database
    struct stream stream;
    bool is_open; // the stream is not closed yet
    bool is_connected, was_connected;
    enum { ASKING_NOTHING, ASKING_TO_ENTER, ASKING_INFO, ASKING_MARK } asking;
    bool is_started; // the mark is known
    bool is_forget_sent;
    struct answer_parser parser;
    struct answer_token tokens[COUNT_TOKENS_MAX];
    uint64_t lost_ms; // since when there is no connection; 0: there is
    unsigned redials; // in vain since then

    // windows first .. first + count - 1 (modulo COUNT_WINDOWS), the first `sent` of them sent;
    // the one behind them is being filled when there is room
    struct window windows[COUNT_WINDOWS];
    unsigned first, count, sent;
    uint64_t acked; // lines
    uint32_t acked_check;

    bool is_stopping;  // by a signal: what was sent is waited for
    bool is_finishing; // what was sent is in; the last command (DEL of the mark) is under way
    bool is_settled;
    int status; // not 0: failed, and said why
    uint64_t started_ms, shown_ms, shown_lines;
};

// count_input.c
int count_input_start(struct count *count); // 0 or -errno
void count_input_stop(struct count *count);
// Fills windows as far as there is input and room, and hands them over.
void count_pump(struct count *count);

// count_link.c
void count_dial(struct count *count);
void count_send(struct count *count); // the windows that wait for it
void count_hang_up(struct count *count);

// count.c
__attribute__((format(printf, 2, 3))) void count_fail(struct count *count, const char *format, ...);
void count_started(struct count *count);    // the mark is known: the run may begin
void count_progressed(struct count *count); // after acknowledgements: perhaps that was all
void count_settle(struct count *count);     // the mark is gone: print, end

static inline struct window *count_window(struct count *count, unsigned i)
{
    return &count->windows[(count->first + i) % COUNT_WINDOWS];
}
