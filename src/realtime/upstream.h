// SPDX-License-Identifier: Apache-2.0
// First values from the counter service. A topic that somebody tracks and whose value nobody has
// told is wanted: it is asked for once however many track it, many in one
// GET /v1/counters?key=a&key=b, over one kept connection, one request at a time. A failed request
// is repeated with growing, jittered waits. What a PUT tells meanwhile is not asked for any more.
#pragma once
#include "base/prng.h"
#include "os/stream.h"
#include "os/tcp.h"
#include "realtime/board.h"
#include "wire/http.h"

#define UPSTREAM_KEYS_MAX         100  // of one request
#define UPSTREAM_TARGET_BYTES_MAX 4096 // begun below
#define UPSTREAM_TIMEOUT_MS       5000
#define UPSTREAM_RETRY_MIN_MS     100
#define UPSTREAM_RETRY_MAX_MS     5000

struct upstream_list {
    struct topic *first, *last; // by wanted_next
};

struct upstream {
    struct loop *loop;
    struct board *board;
    struct endpoint service;
    struct tls *tls;    // NULL: plain
    struct span host;   // the Host header; borrows
    struct span prefix; // of the URL's path, without a last slash; borrows
    // Takes an answer in; the topic is wanted no longer.
    void (*on_value)(struct upstream *upstream, struct topic *topic,
                     const struct topic_update *update);

    struct upstream_list wanted, asked;
    struct stream stream;
    struct http_parser parser;
    struct buf body, key, target; // scratch
    struct loop_timer timer;      // a request's limit, or the wait after a failure
    struct prng prng;
    bool is_open;    // there is a stream
    bool is_proven;  // it has answered
    bool is_waiting; // after a failure
    unsigned failures;
    uint64_t requests_sent, requests_failed;
};

// Zeroed, with service, host, prefix and on_value set.
void upstream_start(struct upstream *upstream, struct loop *loop, struct board *board);
void upstream_stop(struct upstream *upstream);
void upstream_want(struct upstream *upstream, struct topic *topic);
// Asks for what is wanted, if it is time; at the end of a turn.
void upstream_flush(struct upstream *upstream);
