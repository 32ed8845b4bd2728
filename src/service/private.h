// SPDX-License-Identifier: Apache-2.0
// The service as its handlers see it.
#pragma once
#include "os/signals.h"
#include "service/heartbeats.h"
#include "service/http.h"
#include "service/service.h"

struct service {
    const struct service_options *options;
    struct loop *loop;
    struct signals signals;
    struct loop_timer drain_timer;
    struct metrics metrics;
    struct database database;
    struct values values;
    struct outlets outlets;
    struct audience audience;
    struct updates updates;
    struct heartbeats heartbeats;
    struct http_door door;
    char boot[17]; // this life of the service
    uint64_t drain_end_ms;
    bool is_draining;
};
