// SPDX-License-Identifier: Apache-2.0
// What the service counts, for GET /metrics in the Prometheus text format. A counter is a field
// here and a row in metrics.c.
#pragma once
#include <stdint.h>
#include "base/buf.h"

struct metrics {
    uint64_t connections, connections_refused;
    uint64_t requests, answers_2xx, answers_3xx, answers_4xx, answers_5xx;
    uint64_t database_commands, database_failures, database_sessions;
    uint64_t heartbeats, heartbeats_malformed, heartbeats_unproven, heartbeats_stale;
    uint64_t heartbeats_over_limit;
    uint64_t presence_sets, presence_refused;
    uint64_t events, events_malformed, rereads;
    uint64_t puts, puts_failed, put_counts;
    // gauges, set before writing
    uint64_t connections_now, database_up, platforms_now, tallies_now, shares_now;
};

void metrics_write(const struct metrics *metrics, struct buf *out);
