// SPDX-License-Identifier: Apache-2.0
// Heartbeats out: what the counter service must know of this node, over UDP, in absolute numbers. A
// page that got more publishers, or its first subscriber, is told within PULSE_PROMPT_MS; every
// topic is told once an interval, spread as it comes. Fewer publishers wait for the topic's next
// turn, and the last subscriber's leave for PULSE_LINGER_MS more, so that a visitor who reloads the
// page makes no count flicker. A topic that nobody needs is told PULSE_FAREWELLS times as empty,
// then its memory is given back.
#pragma once
#include "os/loop.h"
#include "realtime/board.h"
#include "wire/heartbeat.h"

#define PULSE_PROMPT_MS 20
#define PULSE_LINGER_MS 1000
#define PULSE_FAREWELLS 3
#define PULSE_BURST     16 // datagrams in a row, so that a receiver's buffer holds them
#define PULSE_PAUSE_MS  2  // then

struct pulse_options {
    uint64_t node, boot;
    uint32_t interval_ms;
    struct span address; // where the service PUTs; borrows
    struct span secret;  // borrows; empty: unsigned
};

struct topic_list {
    struct topic *first, *last;
};

struct pulse {
    struct pulse_options options;
    struct board *board;
    struct loop *loop;
    struct loop_timer timer;
    int fd;
    uint64_t sequence;
    uint64_t sent_ms;           // the last datagram
    struct topic_list prompt;   // due in PULSE_PROMPT_MS of each one's time, in order
    struct topic_list rotation; // due an interval after each was told, in order
    struct heartbeat_writer writer;
    bool is_writing, is_rotating;
    unsigned burst; // datagrams of this beat
    uint64_t datagrams_sent, datagrams_failed;
};

// `fd`: a connected datagram socket; the pulse's from now on. The first heartbeat leaves at once.
void pulse_start(struct pulse *pulse, struct loop *loop, struct board *board, int fd,
                 const struct pulse_options *options);
void pulse_stop(struct pulse *pulse); // without a word
// Tells the service to drop this node's part now.
void pulse_bye(struct pulse *pulse);

// The topic is new, or got a publisher or its first subscriber. Each topic must be raised once, at
// its start; the pulse removes it when it is idle and the service knows.
void pulse_raise(struct pulse *pulse, struct topic *topic);
// Its last subscriber left.
void pulse_untracked(struct pulse *pulse, struct topic *topic);
// Sends what is due and returns when to be called again; the timer does, tests may.
uint64_t pulse_beat(struct pulse *pulse, uint64_t now_ms);
