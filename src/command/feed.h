// SPDX-License-Identifier: Apache-2.0
// QUIPU.FEED: what a connection asks for, and how what is told is written.
#pragma once
#include "command/command.h"
#include "replica/follow.h"

#define FEED_CHANNEL "quipu:feed" // as RESP2 has it

struct feed_request {
    struct vector since;
    bool has_since;
    struct span pattern; // len 0: every key
};

struct feed_writer {
    struct reply *reply;
    const struct replica *replica;
    struct span pattern;
    unsigned count; // told
};

void feed_put_item(void *ctx, const struct follow_item *item); // ctx: the writer
void feed_put_vector(struct feed_writer *writer, const struct vector *vector);
