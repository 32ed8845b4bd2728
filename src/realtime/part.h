// SPDX-License-Identifier: Apache-2.0
// The real-time part as a whole: what its files share. One thread owns all of it.
#pragma once
#include "os/loop.h"
#include "os/signals.h"
#include "os/tcp.h"
#include "realtime/assets.h"
#include "realtime/fanout.h"
#include "realtime/gauges.h"
#include "realtime/occupancy.h"
#include "realtime/pulse.h"
#include "realtime/realtime.h"
#include "realtime/board.h"
#include "realtime/upstream.h"
#include "realtime/visitor.h"

struct realtime {
    const struct realtime_options *options;
    struct heap *heap;
    struct loop *loop;
    struct signals signals;
    struct tls *tls;
    struct listener listener;
    struct board board;
    struct fanout fanout;
    struct pulse pulse;
    struct upstream upstream;
    struct visitors visitors;
    struct gauges gauges;
    struct occupancy occupancy;
    struct deflate *deflate; // NULL until somebody negotiates it
    struct loop_timer tick, drain;
    uint64_t ticked_ms;
    uint64_t drain_since_ms;
    size_t drain_total, drain_gone; // streams at its start, and let go since
    bool is_draining;
    bool is_loopback;               // listens on loopback only
    struct buf regions;             // the answer to /regions.json
    struct buf policy;              // headers of the dashboard's page
    struct buf gzipped[ASSETS_MAX]; // its files, gzipped; empty without memory for it
    struct buf answer;              // scratch: an answer's headers or body
    struct buf scratch;             // scratch: strings of JSON, decoded keys
};

// A newer value from the service. 0, or an outcome of board_apply. A first value leaves at the end
// of this turn, others with the next tick.
int realtime_apply(struct realtime *realtime, struct topic *topic,
                   const struct topic_update *update);
