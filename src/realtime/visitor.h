// SPDX-License-Identifier: Apache-2.0
// One accepted connection: first HTTP requests, then, once upgraded, a WebSocket stream. Made to be
// held by the thousand: its own memory is below half a KiB, and what only a busy one needs (input,
// output, scratch) is shared or comes and goes.
//
// Life: visitor_accept -> requests, or an upgrade and messages -> visitor_end or the other end's ->
// freed when its stream has closed. Deadlines are kept in lists that are in order because all on a
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
    SWEEP_CHOKED, // live, and has not taken what it was sent
    SWEEP_CLOSING,
    SWEEPS,
};

struct realtime;

struct visitor {
    struct stream stream; // first
    struct realtime *realtime;
    union {
        struct http_parser http;
        struct websocket websocket; // is_live
    };
    struct subscriber subscriber;
    struct publisher publisher;
    struct visitor *sweep_prev, *sweep_next;
    uint64_t due_ms;     // in its sweep
    uint32_t held_bytes; // of an incomplete message
    uint32_t earned_ms;  // when words_left was last raised; wraps
    uint16_t words_left;
    uint8_t sweep;
    uint8_t pings_unanswered;
    bool is_live;
    bool is_echo; // the test build's
};

struct visitors {
    size_t count, live_count;
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
// Ends the stream that was heard of least lately, if there is one.
void visitors_end_one(struct realtime *realtime, uint16_t code, const char *reason);
// Takes the fd. Beyond VISITORS_MAX it is told 503.
void visitor_accept(struct realtime *realtime, int fd);

// Answers the request with 101 and reads messages from then on; protocol NULL: none.
void visitor_upgrade(struct visitor *visitor, const struct http_request *request,
                     const char *protocol);
// Pays for `words` of what the visitor has earned. False: it has not enough, and is closed.
bool visitor_spend(struct visitor *visitor, uint16_t words);
void visitor_say(struct visitor *visitor, enum websocket_opcode opcode, struct span payload);
// A Close frame, then the end.
void visitor_end(struct visitor *visitor, uint16_t code, const char *reason);
// fanout_send of the visitor's subscriber.
bool visitor_tell(struct subscriber *subscriber, struct span frame);
