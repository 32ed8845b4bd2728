// SPDX-License-Identifier: Apache-2.0
// The table of topics and the subscriptions that join subscribers to them. A subscription is on two
// lists: an array of its topic, dense because fan-out walks it every tick, and a chain of its
// subscriber, for the end of a connection. Whether a pair exists already is asked of the shorter
// one: a hot topic has many subscribers of few keys, a long list of keys meets topics of few
// subscribers.
#include <assert.h>
#include <errno.h>
#include "base/hash.h"
#include "realtime/topics.h"

#define BUCKETS_MIN 64

void topics_init(struct topics *topics, struct heap *heap, uint64_t seed)
{
    *topics = (struct topics){.heap = heap, .seed = seed};
}

static size_t topic_size(size_t key_len)
{
    return sizeof(struct topic) + key_len;
}

static void topic_free(struct topics *topics, struct topic *topic)
{
    assert(topic->subscribers_count == 0);
    heap_free(topics->heap, topic->subscribers,
              topic->subscribers_cap * sizeof(*topic->subscribers));
    heap_free(topics->heap, topic, topic_size(topic->key_len));
}

void topics_deinit(struct topics *topics)
{
    for (size_t i = 0; i < topics->buckets_count; i++) {
        for (struct topic *topic = topics->buckets[i]; topic;) {
            struct topic *next = topic->hash_next;
            topic_free(topics, topic);
            topic = next;
        }
    }
    heap_free(topics->heap, topics->buckets, topics->buckets_count * sizeof(*topics->buckets));
    *topics = (struct topics){.heap = topics->heap};
}

static struct topic **bucket_of(const struct topics *topics, uint64_t hash)
{
    return &topics->buckets[hash & (topics->buckets_count - 1)];
}

static struct topic *find_hashed(const struct topics *topics, struct span key, uint64_t hash)
{
    if (topics->buckets_count == 0)
        return NULL;
    struct topic *topic = *bucket_of(topics, hash);
    while (topic && (topic->hash != hash || !span_is_equal(topic_key(topic), key)))
        topic = topic->hash_next;
    return topic;
}

struct topic *topics_find(const struct topics *topics, struct span key)
{
    return find_hashed(topics, key, hash_bytes(key, topics->seed));
}

static int grow(struct topics *topics)
{
    size_t count = topics->buckets_count ? topics->buckets_count * 2 : BUCKETS_MIN;
    struct topic **fresh = heap_alloc(topics->heap, count * sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    memset(fresh, 0, count * sizeof(*fresh));
    for (size_t i = 0; i < topics->buckets_count; i++) {
        for (struct topic *topic = topics->buckets[i]; topic;) {
            struct topic *next = topic->hash_next;
            topic->hash_next = fresh[topic->hash & (count - 1)];
            fresh[topic->hash & (count - 1)] = topic;
            topic = next;
        }
    }
    heap_free(topics->heap, topics->buckets, topics->buckets_count * sizeof(*fresh));
    topics->buckets = fresh;
    topics->buckets_count = count;
    return 0;
}

int topics_obtain(struct topics *topics, struct span key, struct topic **out_topic)
{
    uint64_t hash = hash_bytes(key, topics->seed);
    struct topic *topic = find_hashed(topics, key, hash);
    if (topic) {
        *out_topic = topic;
        return 0;
    }
    if (topics->count == TOPICS_MAX || key.len > TOPIC_KEY_BYTES_MAX)
        return TOPICS_E_FULL;
    if (topics->count == topics->buckets_count && grow(topics) != 0)
        return -ENOMEM;
    topic = heap_alloc(topics->heap, topic_size(key.len));
    if (!topic)
        return -ENOMEM;
    *topic = (struct topic){.hash = hash, .key_len = (uint32_t)key.len};
    memcpy(topic->key, key.ptr, key.len);
    struct topic **bucket = bucket_of(topics, hash);
    topic->hash_next = *bucket;
    *bucket = topic;
    topics->count++;
    *out_topic = topic;
    return 0;
}

void topics_remove(struct topics *topics, struct topic *topic)
{
    assert(topic_is_idle(topic) && !topic->is_changed && !topic->is_wanted);
    struct topic **at = bucket_of(topics, topic->hash);
    while (*at != topic)
        at = &(*at)->hash_next;
    *at = topic->hash_next;
    topics->count--;
    topic_free(topics, topic);
}

// The epoch's number, a new one when it was never heard; 0 for a text that is too long.
static uint32_t epoch_number(struct topics *topics, struct span text)
{
    uint32_t newest = topics->epoch_newest;
    for (uint32_t age = 0; age < TOPICS_EPOCHS_MAX && age < newest; age++) {
        uint32_t slot = (newest - age) % TOPICS_EPOCHS_MAX;
        if (span_is_equal(span_of(topics->epochs[slot].text, topics->epochs[slot].len), text))
            return newest - age;
    }
    if (text.len > TOPIC_EPOCH_BYTES_MAX)
        return 0;
    uint32_t slot = ++topics->epoch_newest % TOPICS_EPOCHS_MAX;
    memcpy(topics->epochs[slot].text, text.ptr, text.len);
    topics->epochs[slot].len = (uint8_t)text.len;
    return topics->epoch_newest;
}

int topics_apply(struct topics *topics, struct topic *topic, const struct topic_update *update)
{
    uint32_t epoch = 0;
    if (update->epoch.len) {
        epoch = epoch_number(topics, update->epoch);
        if (epoch == 0)
            return TOPICS_E_EPOCH;
    }
    if (topic->is_known && epoch < topic->epoch)
        return TOPICS_E_STALE;
    if (topic->is_known && epoch == topic->epoch && update->version <= topic->version)
        return TOPICS_E_STALE;
    topic->epoch = epoch;
    topic->version = update->version;
    topic->is_known = true;
    topic->is_missing = update->is_missing;
    topic->value = update->is_missing ? 0 : update->value;
    return 0;
}

struct subscription *topics_subscription(struct subscriber *subscriber, struct topic *topic)
{
    if (topic->subscribers_count < subscriber->keys_count) {
        for (uint32_t i = 0; i < topic->subscribers_count; i++) {
            if (topic->subscribers[i]->subscriber == subscriber)
                return topic->subscribers[i];
        }
        return NULL;
    }
    struct subscription *at = subscriber->first;
    while (at && at->topic != topic)
        at = at->next;
    return at;
}

static int make_room(struct topics *topics, struct topic *topic)
{
    if (topic->subscribers_count < topic->subscribers_cap)
        return 0;
    uint32_t cap = topic->subscribers_cap ? topic->subscribers_cap * 2 : 2;
    struct subscription **fresh =
        heap_resize(topics->heap, topic->subscribers, topic->subscribers_cap * sizeof(*fresh),
                    cap * sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    topic->subscribers = fresh;
    topic->subscribers_cap = cap;
    return 0;
}

int topics_subscribe(struct topics *topics, struct subscriber *subscriber, struct topic *topic,
                     struct subscription **out_subscription)
{
    if (topics_subscription(subscriber, topic))
        return TOPICS_E_ALREADY;
    if (subscriber->keys_count == SUBSCRIBER_KEYS_MAX)
        return TOPICS_E_FULL;
    if (make_room(topics, topic) != 0)
        return -ENOMEM;
    struct subscription *fresh = heap_alloc(topics->heap, sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    *fresh = (struct subscription){.topic = topic,
                                   .subscriber = subscriber,
                                   .next = subscriber->first,
                                   .index = topic->subscribers_count};
    if (fresh->next)
        fresh->next->prev = fresh;
    subscriber->first = fresh;
    subscriber->keys_count++;
    topic->subscribers[topic->subscribers_count++] = fresh;
    topics->subscriptions_count++;
    *out_subscription = fresh;
    return 0;
}

static void forget_pending(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    if (!subscription->is_pending)
        return;
    struct subscription *before = NULL;
    for (struct subscription *at = subscriber->pending_first; at != subscription;
         at = at->pending_next)
        before = at;
    if (before)
        before->pending_next = subscription->pending_next;
    else
        subscriber->pending_first = subscription->pending_next;
    if (subscriber->pending_last == subscription)
        subscriber->pending_last = before;
    subscriber->pending_count--;
}

static void shrink(struct topics *topics, struct topic *topic)
{
    uint32_t cap = topic->subscribers_cap / 2;
    if (cap < 4 || topic->subscribers_count > cap / 2)
        return;
    struct subscription **fresh =
        heap_resize(topics->heap, topic->subscribers, topic->subscribers_cap * sizeof(*fresh),
                    cap * sizeof(*fresh));
    if (!fresh)
        return;
    topic->subscribers = fresh;
    topic->subscribers_cap = cap;
}

void topics_unsubscribe(struct topics *topics, struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct topic *topic = subscription->topic;
    forget_pending(subscription);
    if (subscription->next)
        subscription->next->prev = subscription->prev;
    if (subscription->prev)
        subscription->prev->next = subscription->next;
    else
        subscriber->first = subscription->next;
    subscriber->keys_count--;
    struct subscription *last = topic->subscribers[--topic->subscribers_count];
    topic->subscribers[subscription->index] = last;
    last->index = subscription->index;
    shrink(topics, topic);
    topics->subscriptions_count--;
    heap_free(topics->heap, subscription, sizeof(*subscription));
}
