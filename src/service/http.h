// SPDX-License-Identifier: Apache-2.0
// The HTTP server of the service: connections that are kept, pipelined requests answered in order,
// limits on all of it.
#pragma once
#include "service/exchange.h"

struct http_client;

struct http_door { // zero it, set what comes before listener
    struct loop *loop;
    struct service *service;
    struct metrics *metrics;
    struct tls *tls; // NULL: plain

    struct listener listener;
    struct loop_timer timer;
    struct http_client *first; // all connections
    unsigned count;
    struct exchange *spare; // freed ones, kept
    unsigned spares_count;
    int64_t time_s;     // since 1970, for Date; set once a second
    struct buf body;    // of chunked requests
    struct buf headers; // of the answer under construction
    struct buf answer;  // its body; handlers clear and fill it
};

int http_door_open(struct http_door *door, const struct endpoint *endpoint); // 0 or -errno
// No new connections; those that are there end after what they are waiting for.
void http_door_drain(struct http_door *door);
static inline bool http_door_is_empty(const struct http_door *door)
{
    return door->count == 0;
}
// Ends everything; exchanges under way are freed when they are answered, so nothing may be answered
// after http_door_free.
void http_door_close(struct http_door *door);
void http_door_free(struct http_door *door);
