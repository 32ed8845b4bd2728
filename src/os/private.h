// SPDX-License-Identifier: Apache-2.0
// What a loop holds for the streams on it: they are many and mostly idle, so what only a busy one
// needs is shared here.
#pragma once
#include <pthread.h>
#include <sys/types.h>
#include "base/buf.h"
#include "os/loop.h"

#define LOOP_EVENTS_MAX    256
#define LOOP_INPUT_BYTES   65536
#define LOOP_SPARES_MAX    16
#define LOOP_SPARE_BYTES   65536 // larger ones are given back
#define LOOP_FAREWELLS_MAX 256

struct stream;
struct farewell;
struct tls_session;

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
    struct tls_session *greeting_oldest, *greeting_newest; // that others have begun
    unsigned greetings_count;
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

// ---- tls.c: a stream's part of TLS

struct tls;
struct endpoint;
struct ssl_st; // OpenSSL's SSL

struct tls_session {
    struct ssl_st *ssl; // NULL: nothing has come yet
    struct tls *tls;
    struct stream *stream;             // the stream's; the rest is tls.c's
    struct loop_timer greeting;        // set while the handshake is under way
    char *server;                      // the host that was dialed, or NULL
    const char *fault_of, *fault;      // why it failed
    bool wants_write;                  // after -EAGAIN: else it wants to read
    struct tls_session *older, *newer; // among the loop's greetings
    bool is_listed;
};
// `server`: who is dialed; NULL: the connection was accepted. NULL: no memory.
struct tls_session *tls_session_new(struct tls *tls, const struct endpoint *server);
void tls_session_free(struct tls_session *session);
// The handshake: 0 done, -EAGAIN (again when the socket is ready), or a fault.
int tls_session_greet(struct tls_session *session, int fd);
// As recv and send: bytes, 0 at the end, or -errno.
ssize_t tls_session_read(struct tls_session *session, uint8_t *to, size_t len);
ssize_t tls_session_write(struct tls_session *session, const uint8_t *from, size_t len);
bool tls_session_wants_write(const struct tls_session *session); // after -EAGAIN
void tls_session_end(struct tls_session *session);               // says that no more comes

// Connects on a thread of its own, trying each address of the name. Returns a socket that becomes
// readable with the outcome, or -errno; closing it gives up.
int dial_start(const char *host, uint16_t port);
// 0 and the connected, non-blocking fd, or -errno.
int dial_take(int waiting, int *out_fd);
