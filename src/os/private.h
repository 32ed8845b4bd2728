// SPDX-License-Identifier: Apache-2.0
// What a loop holds for the streams on it: they are many and mostly idle, so what only a busy one
// needs is shared here.
#pragma once
#include <pthread.h>
#include "base/buf.h"
#include "os/loop.h"

#define LOOP_EVENTS_MAX    256
#define LOOP_INPUT_BYTES   65536
#define LOOP_SPARES_MAX    16
#define LOOP_SPARE_BYTES   65536 // larger ones are given back
#define LOOP_FAREWELLS_MAX 256

struct stream;
struct farewell;

struct loop {
    int epoll_fd;
    struct watch wake; // an eventfd
    struct loop_hooks hooks;
    uint64_t now_ms;
    struct loop_timer *timers; // a pairing heap's root
    bool is_firing;

    struct epoll_event events[LOOP_EVENTS_MAX];
    int events_count, event_at;

    pthread_mutex_t mutex; // guards the next four
    struct loop_post *post_first, **post_last;
    bool is_stopping, is_woken;

    uint8_t *input;                     // LOOP_INPUT_BYTES that every stream reads into
    struct stream *showing;             // whose on_input runs; NULL once it is closed in there
    struct buf shown;                   // its input then, until on_input has returned
    struct stream *show_first;          // left-over input to show again
    struct stream *flush_first;         // output to send
    struct buf spares[LOOP_SPARES_MAX]; // empty output buffers with memory
    unsigned spares_count;
    struct farewell *farewell_first; // newest first
    unsigned farewells_count;
};

// The streams' parts of a turn.
void stream_show_due(struct loop *loop);
void stream_flush_due(struct loop *loop);
// Closes fd once the other end has read what was sent: at its end of stream, after 2 s, or when too
// many wait already. Takes the fd.
void farewell_start(struct loop *loop, int fd);
void farewell_end_all(struct loop *loop);

// Connects on a thread of its own, trying each address of the name. Returns a socket that becomes
// readable with the outcome, or -errno; closing it gives up.
int dial_start(const char *host, uint16_t port);
// 0 and the connected, non-blocking fd, or -errno.
int dial_take(int waiting, int *out_fd);
