// SPDX-License-Identifier: Apache-2.0
// Heartbeats in over UDP, and from them presence leases in the database: PRESENCE.SET key node
// count ttl EPOCH boot SEQ sequence, with a time of life of three intervals. No datagram is ever
// answered. A share has one command under way at most; what is told meanwhile leaves after it, the
// newest only.
#pragma once
#include "service/updates.h"
#include "wire/heartbeat.h"

struct heartbeats { // zero it, set the first six
    struct loop *loop;
    struct database *database;
    struct audience *audience;
    struct updates *updates;
    struct metrics *metrics;
    struct span secret;

    struct watch watch;
    struct loop_timer timer;
    uint64_t logged_ms;
};

int heartbeats_start(struct heartbeats *heartbeats, const struct endpoint *endpoint); // 0 or -errno
void heartbeats_stop(struct heartbeats *heartbeats); // again: nothing
// One datagram.
void heartbeats_take(struct heartbeats *heartbeats, struct span datagram);
// Ends what was not heard for three intervals; a timer does it.
void heartbeats_sweep(struct heartbeats *heartbeats, uint64_t now_ms);
// The database's session begins: leases may have ended meanwhile.
void heartbeats_database_up(struct heartbeats *heartbeats);
