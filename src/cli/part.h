// SPDX-License-Identifier: Apache-2.0
// One child of `quipu up`: this program playing one part of one region. Its stderr is forwarded
// line by line with the region and part in front; when it ends unasked it is started again, each
// time later.
//
// Life: part_start -> on_ready once per start, on_failed when it ends before it was ever ready ->
// part_stop -> part_has_ended after SIGCHLD.
#pragma once
#include "os/loop.h"
#include "os/process.h"

#define PART_LINE_MAX       2048
#define PART_ARGUMENTS_MAX  80
#define PART_TEXT_BYTES     8192
#define PART_RESTART_MIN_MS 500
#define PART_RESTART_MAX_MS 8000
#define PART_STEADY_MS      30000 // after that long the next restart is prompt again

struct part_arguments { // "quipu", "db", "--replica", "r1" ...; NULL-ended
    char *list[PART_ARGUMENTS_MAX + 1];
    unsigned count;
    char text[PART_TEXT_BYTES];
    size_t text_len;
};

// Appends one word. There is room for all of ours, or it is a bug.
__attribute__((format(printf, 2, 3))) void part_argue(struct part_arguments *arguments,
                                                      const char *format, ...);

struct part {           // embedded in its owner; zero it, then set what comes before pid
    const char *kind;   // "db"
    const char *region; // "r1"
    struct loop *loop;
    void *ctx; // the owner's
    void (*on_ready)(struct part *part);
    void (*on_failed)(struct part *part); // ended before it was ever ready
    struct part_arguments arguments;
    pid_t pid; // 0: not running
    bool is_ready, was_ready, is_stopping;
    int status; // waitpid's, of its last end
    unsigned failures;
    uint64_t started_ms;
    struct watch output;
    struct loop_timer restart;
    char line[PART_LINE_MAX];
    size_t line_len;
};

int part_start(struct part *part); // 0 or -errno
void part_stop(struct part *part); // SIGTERM; no restart
void part_kill(struct part *part); // SIGKILL
// To be asked of each part after SIGCHLD. Takes note of its end.
void part_reap(struct part *part);
