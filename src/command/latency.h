// SPDX-License-Identifier: Apache-2.0
// LATENCY: moments at which something took longer than latency-monitor-threshold. Events are few
// and named in the source; of each the last LATENCY_SAMPLES moments are kept.
#pragma once
#include <stdint.h>

#define LATENCY_SAMPLES 160

enum latency_event {
    LATENCY_COMMAND,      // a command that is timed as it comes
    LATENCY_FAST_COMMAND, // one with the flag "fast", when all are timed
    LATENCY_COMMIT,       // applying and syncing a commit
    LATENCY_EVENTS
};
const char *latency_event_name(enum latency_event event);

struct latency {
    uint64_t threshold_ms; // 0: nothing is noted
    struct latency_series {
        uint64_t count; // noted since the reset; the ring holds the last ones
        uint64_t max_ms;
        struct latency_sample {
            uint64_t time_s, took_ms;
        } sample[LATENCY_SAMPLES];
    } series[LATENCY_EVENTS];
};

// Notes it if it reaches the threshold. Two in one second are one, the longer.
void latency_note(struct latency *latency, enum latency_event event, uint64_t time_s,
                  uint64_t took_us);
