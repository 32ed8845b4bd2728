// SPDX-License-Identifier: Apache-2.0
// Who listens to what: names (channels, or patterns) and subscribers, each linked to the other, so
// that a subscriber that goes away leaves its names without a search. One thread, or a lock of the
// caller's. A subscription has a weight: 1 for a client; for a worker, how many of its clients.
#pragma once
#include "base/heap.h"
#include "base/span.h"

#define TOPIC_NAME_MAX 1048576

struct topic;

struct subscription {
    struct topic *topic;
    struct subscriber *subscriber;
    uint64_t weight;
    struct subscription *next, **back;         // of the topic
    struct subscription *own_next, **own_back; // of the subscriber
};

struct subscriber { // zeroed at the start
    struct subscription *first;
    void *owner; // the caller's
    uint32_t count;
};

struct topic {
    struct topic *next; // in its bucket
    struct subscription *first;
    uint64_t hash;
    uint64_t subscribers; // entries in the list
    uint64_t weight;      // their weights' sum
    size_t len;
    uint8_t name[];
};

struct topics {
    struct heap *heap;
    uint64_t seed;
    struct topic **buckets; // a power of two of them; NULL while empty
    size_t buckets_count, count;
};

void topics_init(struct topics *topics, struct heap *heap, uint64_t seed);
void topics_deinit(struct topics *topics); // every subscription is gone already

struct topic *topics_find(const struct topics *topics, struct span name); // NULL: no subscriber
static inline struct span topic_name(const struct topic *topic)
{
    return span_of(topic->name, topic->len);
}

// 0, TOPICS_E_ALREADY (out_subscription is the one there is), TOPICS_E_LONG, -ENOMEM.
enum { TOPICS_E_ALREADY = 1, TOPICS_E_LONG };
int topics_add(struct topics *topics, struct span name, struct subscriber *subscriber,
               struct subscription **out_subscription);
struct subscription *topics_subscription(const struct topics *topics, struct span name,
                                         const struct subscriber *subscriber); // NULL: none
// The weights are the caller's to change, by this.
void topics_weigh(struct subscription *subscription, int64_t difference);
void topics_remove(struct topics *topics, struct subscription *subscription);

// Every topic, in no order; `visit` changes nothing.
void topics_each(const struct topics *topics, void (*visit)(void *ctx, struct topic *topic),
                 void *ctx);
