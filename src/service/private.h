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
    struct tls *tls;
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

// Zeroed. Puts the parts together on a loop and opens the doors. 0, or -errno after saying why on
// stderr; then too service_stop gives everything back.
int service_start(struct service *service, const struct service_options *options,
                  struct loop *loop);
void service_turn_end(struct service *service); // the loop's hook
void service_stop(struct service *service);
