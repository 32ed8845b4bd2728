// SPDX-License-Identifier: Apache-2.0
// The real-time part: browsers track counts and publish pages over WebSocket, the counter service
// PUTs newer counts, heartbeats tell it over UDP which pages have how many publishers here and
// which keys have subscribers. It also serves the dashboard. One thread, one loop.
//
//   GET /                  the dashboard and its files        GET /regions.json   what it shows
//   GET /v1/stream         WebSocket, subprotocol quipu.v1.json; with track=KEY server-sent events
//   GET /v1/poll           with track=KEY: one answer, when there is something newer
//   GET /v1/topics         who is here (occupancy.h); GET /v1/topics/{key}
//   PUT /v1/topics         {"service","epoch","counts":[[key,value|null,version],...]}
//   PUT /v1/topics/{key}   {"epoch","value","version"}; with a secret also "key", which is signed
//                          with the body
//   GET /livez /readyz /metrics
#pragma once
#include "base/span.h"
#include "os/tcp.h"
#include "os/tls.h"
#include "wire/token.h"

#define REALTIME_TICK_MS               100
#define REALTIME_HEARTBEAT_INTERVAL_MS 1000
#define REALTIME_DRAIN_MS              2000
#define REALTIME_SPREAD_MS             2000

struct realtime_region { // one column of the dashboard; all borrowed
    const char *name;
    const char *service;  // "http://HOST:PORT", as a browser reaches it
    const char *realtime; // likewise
};

// Everything is borrowed until realtime_run returns. Zero means the default where one is named.
struct realtime_options {
    struct endpoint listen;       // port 0: the kernel's choice, told in the ready line
    const char *advertise;        // "HOST:PORT" that the service PUTs to; NULL: listen's own
    const char *service;          // "http://HOST:PORT" or https, for first values
    struct tls_options tls;       // with a certificate all of it speaks TLS; else for the service
    struct endpoint heartbeat_to; // the service's UDP port
    struct span secret;           // signs heartbeats, checks PUTs; empty: none
    const struct realtime_region *regions; // for the dashboard
    size_t regions_count;
    const char *here;             // the name of this part's own region; NULL: the first
    const char *const *origins;   // further pages that may open a stream, "https://HOST[:PORT]";
    size_t origins_count;         //   "*" allows any. The own host always may.
    struct token_keys token_keys; // a stream needs a token signed with one; none: it needs none
    uint64_t node_id;             // in heartbeats; 0: random
    uint32_t tick_ms;             // newest values leave once a tick
    uint32_t heartbeat_interval_ms;
    uint32_t drain_ms;  // SIGTERM: clients are told to reconnect, spread over this time,
    uint32_t spread_ms; //   and each to wait a part of this, by chance, before it does
};

// Serves until SIGTERM or SIGINT, drains, returns 0 (a second signal ends it at once); -errno when
// it cannot start, after saying why on stderr. Says on stderr "quipu realtime: ready on HOST:PORT".
int realtime_run(const struct realtime_options *options);
