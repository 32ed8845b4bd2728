// SPDX-License-Identifier: Apache-2.0
// The load itself: connections that send prepared requests and time the replies.
//
// Closed loop (rate 0): a connection sends `pipeline` requests in one send, waits for all replies,
// sends the next. Open loop: requests are due at fixed times whatever the server does, and a reply
// is timed from when its request was due, not from when it could be sent, so that a server's pause
// counts for every request that should have been made in it (no coordinated omission).
#pragma once
#include "cli/bench.h"
#include "cli/meter.h"

struct load_options {
    const char *address;
    enum bench_op op;
    uint32_t connections;
    uint32_t pipeline;
    uint32_t keys;
    uint32_t keys_a_mget;
    uint64_t rate; // requests a second over all connections, 0: closed loop
    uint64_t warm_ns, measure_ns;
    bool is_once; // every request of the ring once, then end
    struct meter *meter;
};

struct load_result {
    uint64_t operations; // answered while it measured
    struct reply_tally tally;
    struct histogram *latency_ns;
    struct meter_reading reading;
};

// 0, or 1 after a line on stderr. `latency_ns` is the caller's.
int load_run(const struct load_options *options, struct load_result *result);
