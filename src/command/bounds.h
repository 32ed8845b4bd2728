// SPDX-License-Identifier: Apache-2.0
// What an operator bounds while the database runs: clients, memory, silence, unsent answers.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/limits.h"
#include "base/span.h"

enum output_class { OUTPUT_NORMAL, OUTPUT_PUBSUB, OUTPUT_CLASSES };

struct output_bound {
    uint64_t hard, soft; // bytes; 0: none, of hard then LIMIT_OUTPUT_BYTES
    uint32_t soft_s;     // above `soft` for so long: closed
};

struct bounds {
    uint64_t version;          // one more at each change
    uint32_t clients_max;      // maxclients
    uint32_t clients_possible; // what descriptors are there for; 0: not known
    uint64_t memory_max;       // maxmemory, of what INFO calls used_memory; 0: none
    uint32_t idle_s;           // timeout; 0: none
    uint32_t keepalive_s;      // tcp-keepalive; 0: off
    struct output_bound output[OUTPUT_CLASSES];
    bool is_full; // memory_max is reached
};

void bounds_init(struct bounds *bounds);
static inline uint64_t output_hard(const struct output_bound *bound)
{
    return bound->hard && bound->hard < LIMIT_OUTPUT_BYTES ? bound->hard : LIMIT_OUTPUT_BYTES;
}

struct call;
// While memory is full: whether the command would make a key or a member. True: the error is
// written. Whatever only changes what is there goes on.
bool bounds_refuse(struct call *call);

// "100mb", "1g", "4096". False: not one.
bool bounds_parse_bytes(struct span text, uint64_t *out_bytes);
// "normal 32mb 0 0 pubsub 32mb 8mb 60". NULL, or what is wrong; then `output` is as before.
const char *bounds_parse_output(struct span text, struct output_bound output[OUTPUT_CLASSES]);
