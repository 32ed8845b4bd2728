// SPDX-License-Identifier: Apache-2.0
// A hash table of names, chained, doubled when full. Whether a subscriber has a name is looked for
// in the shorter of the two lists: a client with a hundred thousand channels and a channel with ten
// thousand clients are both ordinary.
#include <errno.h>
#include "base/hash.h"
#include "db/topics.h"

#define BUCKETS_MIN 64

void topics_init(struct topics *topics, struct heap *heap, uint64_t seed)
{
    *topics = (struct topics){.heap = heap, .seed = seed};
}

void topics_deinit(struct topics *topics)
{
    heap_free(topics->heap, topics->buckets, topics->buckets_count * sizeof *topics->buckets);
    topics->buckets = NULL;
}

static struct topic *find(const struct topics *topics, struct span name, uint64_t hash)
{
    if (!topics->buckets)
        return NULL;
    struct topic *topic = topics->buckets[hash & (topics->buckets_count - 1)];
    while (topic && !(topic->hash == hash && span_is_equal(topic_name(topic), name)))
        topic = topic->next;
    return topic;
}

struct topic *topics_find(const struct topics *topics, struct span name)
{
    return find(topics, name, hash_bytes(name, topics->seed));
}

static bool grow(struct topics *topics)
{
    if (topics->count < topics->buckets_count)
        return true;
    size_t count = topics->buckets_count ? topics->buckets_count * 2 : BUCKETS_MIN;
    struct topic **buckets = heap_alloc(topics->heap, count * sizeof *buckets);
    if (!buckets)
        return topics->buckets_count > 0; // longer chains will do
    memset(buckets, 0, count * sizeof *buckets);
    for (size_t i = 0; i < topics->buckets_count; i++) {
        struct topic *topic = topics->buckets[i];
        while (topic) {
            struct topic *next = topic->next;
            struct topic **bucket = &buckets[topic->hash & (count - 1)];
            topic->next = *bucket;
            *bucket = topic;
            topic = next;
        }
    }
    heap_free(topics->heap, topics->buckets, topics->buckets_count * sizeof *buckets);
    topics->buckets = buckets;
    topics->buckets_count = count;
    return true;
}

static struct topic *obtain(struct topics *topics, struct span name)
{
    uint64_t hash = hash_bytes(name, topics->seed);
    struct topic *topic = find(topics, name, hash);
    if (topic)
        return topic;
    topic = grow(topics) ? heap_alloc(topics->heap, sizeof *topic + name.len) : NULL;
    if (!topic)
        return NULL;
    struct topic **bucket = &topics->buckets[hash & (topics->buckets_count - 1)];
    *topic = (struct topic){.next = *bucket, .hash = hash, .len = name.len};
    if (name.len)
        memcpy(topic->name, name.ptr, name.len);
    *bucket = topic;
    topics->count++;
    return topic;
}

static void free_if_left(struct topics *topics, struct topic *topic)
{
    if (topic->first)
        return;
    struct topic **at = &topics->buckets[topic->hash & (topics->buckets_count - 1)];
    while (*at != topic)
        at = &(*at)->next;
    *at = topic->next;
    topics->count--;
    heap_free(topics->heap, topic, sizeof *topic + topic->len);
}

static struct subscription *between(const struct topic *topic, const struct subscriber *subscriber)
{
    struct subscription *at;
    if (subscriber->count < topic->subscribers) {
        for (at = subscriber->first; at && at->topic != topic; at = at->own_next)
            continue;
    } else {
        for (at = topic->first; at && at->subscriber != subscriber; at = at->next)
            continue;
    }
    return at;
}

struct subscription *topics_subscription(const struct topics *topics, struct span name,
                                         const struct subscriber *subscriber)
{
    const struct topic *topic = topics_find(topics, name);
    return topic ? between(topic, subscriber) : NULL;
}

int topics_add(struct topics *topics, struct span name, struct subscriber *subscriber,
               struct subscription **out_subscription)
{
    if (name.len > TOPIC_NAME_MAX)
        return TOPICS_E_LONG;
    struct topic *topic = obtain(topics, name);
    if (!topic)
        return -ENOMEM;
    struct subscription *there = between(topic, subscriber);
    if (there) {
        *out_subscription = there;
        return TOPICS_E_ALREADY;
    }
    struct subscription *subscription = heap_alloc(topics->heap, sizeof *subscription);
    if (!subscription) {
        free_if_left(topics, topic);
        return -ENOMEM;
    }
    *subscription = (struct subscription){.topic = topic,
                                          .subscriber = subscriber,
                                          .weight = 1,
                                          .next = topic->first,
                                          .back = &topic->first,
                                          .own_next = subscriber->first,
                                          .own_back = &subscriber->first};
    if (topic->first)
        topic->first->back = &subscription->next;
    topic->first = subscription;
    if (subscriber->first)
        subscriber->first->own_back = &subscription->own_next;
    subscriber->first = subscription;
    topic->subscribers++;
    topic->weight++;
    subscriber->count++;
    *out_subscription = subscription;
    return 0;
}

void topics_weigh(struct subscription *subscription, int64_t difference)
{
    subscription->weight += (uint64_t)difference;
    subscription->topic->weight += (uint64_t)difference;
}

void topics_remove(struct topics *topics, struct subscription *subscription)
{
    struct topic *topic = subscription->topic;
    *subscription->back = subscription->next;
    if (subscription->next)
        subscription->next->back = subscription->back;
    *subscription->own_back = subscription->own_next;
    if (subscription->own_next)
        subscription->own_next->own_back = subscription->own_back;
    topic->subscribers--;
    topic->weight -= subscription->weight;
    subscription->subscriber->count--;
    heap_free(topics->heap, subscription, sizeof *subscription);
    free_if_left(topics, topic);
}

void topics_each(const struct topics *topics, void (*visit)(void *ctx, struct topic *topic),
                 void *ctx)
{
    for (size_t i = 0; i < topics->buckets_count; i++) {
        for (struct topic *topic = topics->buckets[i]; topic; topic = topic->next)
            visit(ctx, topic);
    }
}
