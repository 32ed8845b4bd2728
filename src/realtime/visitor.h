// SPDX-License-Identifier: Apache-2.0
// One accepted connection: first HTTP requests, then, once upgraded, a WebSocket stream, or once
// asked for, a stream of server-sent events (events.h), or for a while a poll. Made to be held by
// the thousand: its own memory is below half a KiB, and what only a busy one needs (input, output,
// scratch) is shared or comes and goes.
//
// Life: visitor_accept -> requests, or a stream -> visitor_end or the other end's -> freed when its
// connection has closed. Deadlines are kept in lists that are in order because all on a
// list wait equally long.
#pragma once
#include "os/stream.h"
#include "realtime/fanout.h"
#include "realtime/pages.h"
#include "wire/http.h"
#include "wire/websocket.h"

#ifdef QUIPU_TINY
#define VISITORS_MAX 64
#else
#define VISITORS_MAX 100000
#endif
#define VISITOR_ARRIVING_MS     15000 // to a first whole request
#define VISITOR_IDLE_MS         75000 // between requests
#define VISITOR_PING_MS         25000
#define VISITOR_CHOKED_MS       10000 // not one moment without unsent output: too slow
#define VISITOR_CLOSING_MS      5000
#define VISITOR_PINGS_MAX       2            // unanswered, then it is closed
#define VISITOR_WORDS_MAX       4000         // in a burst
#define VISITOR_WORDS_PER_S     400          // that are earned again
#define VISITOR_MESSAGE_WORDS   20           // what a message costs; each key in it costs one
#define VISITOR_OUT_BYTES_MAX   (256 * 1024) // unsent, then it is closed
#define VISITORS_HELD_BYTES_MAX (128u << 20) // of incomplete messages, all visitors together

enum visitor_sweep {
    SWEEP_ARRIVING,
    SWEEP_IDLE,
    SWEEP_LIVE,
    SWEEP_CHOKED,   // live, and has not taken what it was sent
    SWEEP_ANSWERED, // a poll that has its answer: it is an HTTP connection again at once
    SWEEP_CLOSING,
    SWEEPS,
};

enum visitor_mode {
    VISITOR_HTTP,
    VISITOR_POLL,   // one request waits for news
    VISITOR_EVENTS, // server-sent events until the end
    VISITOR_SOCKET,
    VISITOR_ECHO, // a WebSocket of the test build
};

struct realtime;
struct grant;

struct visitor {
    struct stream stream; // first
    struct realtime *realtime;
    union {
        struct http_parser http;
        struct websocket websocket; // visitor_is_socket
    };
    struct grant *grant; // what its token allows; NULL: everything
    struct subscriber subscriber;
    struct publisher publisher;
    struct visitor *sweep_prev, *sweep_next;
    uint64_t due_ms;     // in its sweep
    uint32_t held_bytes; // of an incomplete message
    uint32_t earned_ms;  // when words_left was last raised; wraps
    uint16_t words_left;
    uint8_t sweep;
    uint8_t pings_unanswered;
    uint8_t mode;
    bool is_last; // of a poll: the connection ends with its answer
};

static inline bool visitor_is_socket(const struct visitor *visitor)
{
    return visitor->mode >= VISITOR_SOCKET;
}

struct visitors {
    size_t count, live_count; // connections; streams and polls among them
    size_t held_bytes;
    struct {
        struct visitor *first, *last;
    } sweeps[SWEEPS];
    struct loop_timer timer;
    struct buf body;    // scratch: chunked HTTP bodies
    struct buf payload; // scratch: unmasked messages
};

void visitors_start(struct realtime *realtime);
void visitors_stop(struct realtime *realtime); // every connection, at once
// Ends the stream that was heard of least lately, if there is one, and says when it may come back.
void visitors_end_one(struct realtime *realtime, uint16_t code, const char *reason);
// Takes the fd. Beyond VISITORS_MAX it is told 503.
void visitor_accept(struct realtime *realtime, int fd);

// Answers the request with 101 and reads messages from then on; protocol NULL: none.
void visitor_upgrade(struct visitor *visitor, const struct http_request *request,
                     const char *protocol);
// The request became a stream of events or a poll: what is told it goes to events.h.
void visitor_go_live(struct visitor *visitor, enum visitor_mode mode);
// The poll was answered: it will be an HTTP connection again.
void visitor_answered(struct visitor *visitor);
// Pays for `words` of what the visitor has earned. False: it has not enough, and is closed.
bool visitor_spend(struct visitor *visitor, uint16_t words);
void visitor_say(struct visitor *visitor, enum websocket_opcode opcode, struct span payload);
// A Close frame (events: none), then the end.
void visitor_end(struct visitor *visitor, uint16_t code, const char *reason);
// fanout_send of the visitor's subscriber.
bool visitor_tell(struct subscriber *subscriber, const struct fanout_frame *frame);
