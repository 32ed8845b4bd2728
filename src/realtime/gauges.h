// SPDX-License-Identifier: Apache-2.0
// What /metrics tells, in the text form that Prometheus reads.
#pragma once
#include "base/buf.h"

struct gauges {
    uint64_t connections_accepted, connections_refused;
    uint64_t upgrades, upgrades_refused, events, polls, tokens_refused;
    uint64_t messages_received, messages_refused;
    uint64_t requests;
    uint64_t updates_applied, updates_stale, updates_untracked, updates_refused;
    uint64_t closed_slow, closed_silent, closed_protocol, closed_rate, closed_expired;
    uint64_t ticks;
};

struct realtime;
void gauges_put(struct buf *out, const struct realtime *realtime);
