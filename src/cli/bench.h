// SPDX-License-Identifier: Apache-2.0
// The load generator's parts. `quipu bench resp` loads a server that speaks RESP, ours or another;
// `quipu bench fanout` times one change on its way to many WebSocket subscribers; `quipu bench
// sketch` measures the error of PFCOUNT.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/span.h"
#include "cli/histogram.h"

// argv begins after the word that chose them, as everywhere in main.h.
int bench_main(int argc, char **argv);
int bench_resp_main(int argc, char **argv);
int bench_fanout_main(int argc, char **argv);
int bench_sketch_main(int argc, char **argv);

// ---- bench_socket.c

// Connects, blocking, to "HOST:PORT"; then makes the socket non-blocking, without delay. The fd,
// or -1 after a line on stderr.
int bench_connect(const char *address);
// All of the bytes, waiting for room if it must. False when the connection is gone.
bool bench_send(int fd, struct span bytes);
void bench_pin(int cpu);             // this thread, to one core; cpu < 0: anywhere
bool bench_raise_files(size_t need); // the limit of open files; false when it is too low
uint64_t bench_now_ns(void);

// ---- bench_request.c: every request is written before the clock starts, in a ring

#define BENCH_OPS "incr|get|mget|set|ping|fill|sadd|sismember|fill-set" // as enum bench_op
enum bench_op {
    BENCH_INCR,
    BENCH_GET,
    BENCH_MGET,
    BENCH_SET,
    BENCH_PING,
    BENCH_FILL,
    BENCH_SADD, // the keys' names are members of one set
    BENCH_SISMEMBER,
    BENCH_FILL_SET,
};
bool bench_is_fill(enum bench_op op); // each once, then it ends

struct request_ring {
    uint8_t *bytes;
    size_t *offsets; // count + overhang + 1 of them
    uint32_t count;
    uint32_t overhang; // that many of the first are repeated past the end
};

struct request_options {
    enum bench_op op;
    uint32_t keys;        // 1: the same hot one always
    uint32_t keys_a_mget; // MGET
    uint32_t overhang;    // the longest run that is asked for at once
};

// Keys are counter:00000000 and on (16 bytes), each used equally often in a shuffled order. False:
// no memory.
bool request_ring_init(struct request_ring *ring, const struct request_options *options);
void request_ring_deinit(struct request_ring *ring);
// `run` requests from `at` on, run <= overhang.
struct span request_ring_run(const struct request_ring *ring, uint32_t at, uint32_t run);

// ---- bench_reply.c: counts replies of RESP2 and RESP3 in whatever pieces they come

struct reply_counter {
    uint64_t skip;   // bytes of a bulk string still to come
    uint64_t nested; // elements still to come of the reply begun
    uint8_t line[64];
    uint8_t line_len; // of a line whose end has not come; longer ones are cut here
};

struct reply_tally {
    uint64_t replies;
    uint64_t errors;
    char first_error[64];
};

void reply_counter_feed(struct reply_counter *counter, struct span bytes,
                        struct reply_tally *tally);
