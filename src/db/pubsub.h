// SPDX-License-Identifier: Apache-2.0
// Publish and subscribe across the workers, in two steps. Here, under a mutex: which workers have
// subscribers of a name, and how many. On each worker, without one: which of its clients
// (topics.h). So a message is found here, goes once to every worker concerned, and is written
// there.
#pragma once
#include "command/host.h"
#include "db/topics.h"

#define PUBSUB_WORKERS_MAX    64
#define PUBSUB_QUEUED_MAX     (64u << 20) // bytes under way to one worker; beyond: dropped, counted
#define PUBSUB_SUBSCRIBED_MAX 1048576     // names a client may listen to

struct pubsub;

struct pubsub *pubsub_new(struct heap *heap, uint64_t seed,
                          unsigned workers_count); // NULL: -ENOMEM
void pubsub_free(struct pubsub *pubsub);

// One more, or one less, client of a worker listens to `name`. add: 0 or as topics_add.
int pubsub_add(struct pubsub *pubsub, unsigned worker, enum topic_kind kind, struct span name);
void pubsub_remove(struct pubsub *pubsub, unsigned worker, enum topic_kind kind, struct span name);

// Who gets a message of a channel: bit i for worker i. Returns how many clients in all; a client
// counts once for its channel and once for each pattern, as in Redis.
int64_t pubsub_match(struct pubsub *pubsub, struct span channel, uint64_t *out_workers);
struct publication {
    enum topic_kind kind; // patterns hear TOPIC_CHANNEL only
    struct span channel;
    size_t bytes;  // of the whole message
    uint64_t self; // the bit of the worker that needs no post; 0: none
};
// The same, with `bytes` accounted as under way to each worker but `self`. Workers whose account is
// full are left out of both answers.
int64_t pubsub_publish(struct pubsub *pubsub, const struct publication *publication,
                       uint64_t *out_workers);
void pubsub_arrived(struct pubsub *pubsub, unsigned worker, size_t bytes);

void pubsub_channels(struct pubsub *pubsub, enum topic_kind kind, topic_visit visit, void *ctx);
uint64_t pubsub_receivers(struct pubsub *pubsub, enum topic_kind kind, struct span channel);

struct pubsub_counts {
    uint64_t channels, patterns, shards; // distinct names that somebody listens to
    uint64_t published, dropped;
};
struct pubsub_counts pubsub_counts(struct pubsub *pubsub);
