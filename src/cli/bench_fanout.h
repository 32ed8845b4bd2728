// SPDX-License-Identifier: Apache-2.0
// The two ends of a fan-out: the crowd of subscribers that receives, and the floor, a process that
// only sends one prepared frame to each of them with a plain send().
#pragma once
#include "cli/bench.h"
#include <sys/types.h>

struct subscriber; // one socket of the crowd

struct crowd {
    struct subscriber *subscribers;
    uint32_t count;
    int epoll;
    const char *key;
    int64_t wanted;            // the value that everybody must have
    uint32_t arrived;          // who has it
    uint64_t frames, surplus;  // received in all; received again by one who had it already
    uint64_t begun_ns;         // when the change was made
    struct histogram *latency; // from then to each one's receipt
};

// Opens them on a WebSocket server, tracking `key`. 0, or 1 after a line on stderr.
int crowd_open(struct crowd *crowd, const char *address, uint32_t count, const char *key);
// Opens them on the floor: no handshake.
int crowd_open_plain(struct crowd *crowd, const char *address, uint32_t count);
void crowd_close(struct crowd *crowd);
// Makes `value` the wanted one, from now on; crowd_wait returns when everybody has it. 0, or 1
// after a line on stderr that says how many miss it.
void crowd_expect(struct crowd *crowd, int64_t value);
int crowd_wait(struct crowd *crowd, uint64_t within_ms);

struct floor {
    pid_t process;
    int control; // a byte makes it send the frame to everybody
    char address[32];
};

// Starts the process, pinned to `cpu` (< 0: anywhere); it takes `count` connections.
int floor_start(struct floor *floor, uint32_t count, int cpu);
// A WebSocket text frame around `payload`, to everybody, now.
int floor_send(struct floor *floor, const char *payload);
void floor_stop(struct floor *floor);
