// SPDX-License-Identifier: Apache-2.0
// The mutex is held for a look-up, and a glob match a pattern; nothing is written or sent under it.
#include <errno.h>
#include <pthread.h>
#include "base/glob.h"
#include "db/pubsub.h"

struct pubsub {
    struct heap *heap;
    pthread_mutex_t lock;                                       // of everything below
    struct topics topics[TOPIC_KINDS];                          // weights are clients
    struct subscriber worker[TOPIC_KINDS * PUBSUB_WORKERS_MAX]; // those of a kind together
    unsigned workers_count;
    uint64_t queued[PUBSUB_WORKERS_MAX];
    uint64_t published, dropped;
};

static struct subscriber *subscriber_of(struct pubsub *pubsub, unsigned worker,
                                        enum topic_kind kind)
{
    return &pubsub->worker[(unsigned)kind * PUBSUB_WORKERS_MAX + worker];
}

struct pubsub *pubsub_new(struct heap *heap, uint64_t seed, unsigned workers_count)
{
    struct pubsub *pubsub = heap_alloc(heap, sizeof *pubsub);
    if (!pubsub)
        return NULL;
    *pubsub = (struct pubsub){.heap = heap, .workers_count = workers_count};
    pthread_mutex_init(&pubsub->lock, NULL);
    for (unsigned kind = 0; kind < TOPIC_KINDS; kind++)
        topics_init(&pubsub->topics[kind], heap, seed);
    return pubsub;
}

void pubsub_free(struct pubsub *pubsub)
{
    if (!pubsub)
        return;
    for (unsigned i = 0; i < TOPIC_KINDS * PUBSUB_WORKERS_MAX; i++) {
        while (pubsub->worker[i].first)
            topics_remove(&pubsub->topics[i / PUBSUB_WORKERS_MAX], pubsub->worker[i].first);
    }
    for (unsigned kind = 0; kind < TOPIC_KINDS; kind++)
        topics_deinit(&pubsub->topics[kind]);
    pthread_mutex_destroy(&pubsub->lock);
    heap_free(pubsub->heap, pubsub, sizeof *pubsub);
}

int pubsub_add(struct pubsub *pubsub, unsigned worker, enum topic_kind kind, struct span name)
{
    struct subscription *subscription;
    pthread_mutex_lock(&pubsub->lock);
    int outcome =
        topics_add(&pubsub->topics[kind], name, subscriber_of(pubsub, worker, kind), &subscription);
    if (outcome == TOPICS_E_ALREADY) {
        topics_weigh(subscription, 1);
        outcome = 0;
    }
    pthread_mutex_unlock(&pubsub->lock);
    return outcome;
}

void pubsub_remove(struct pubsub *pubsub, unsigned worker, enum topic_kind kind, struct span name)
{
    pthread_mutex_lock(&pubsub->lock);
    struct topics *topics = &pubsub->topics[kind];
    struct subscription *subscription =
        topics_subscription(topics, name, subscriber_of(pubsub, worker, kind));
    if (subscription && subscription->weight > 1)
        topics_weigh(subscription, -1);
    else if (subscription)
        topics_remove(topics, subscription);
    pthread_mutex_unlock(&pubsub->lock);
}

struct match {
    struct pubsub *pubsub;
    enum topic_kind kind;
    struct span channel;
    uint64_t workers, closed; // closed: not to be sent to
    int64_t receivers;
};

static void match_topic(struct match *match, const struct topic *topic)
{
    for (const struct subscription *at = topic->first; at; at = at->next) {
        size_t worker = (size_t)(at->subscriber - match->pubsub->worker) % PUBSUB_WORKERS_MAX;
        if (match->closed & 1ull << worker)
            continue;
        match->workers |= 1ull << worker;
        match->receivers += (int64_t)at->weight;
    }
}

static void match_pattern(void *ctx, struct topic *topic)
{
    struct match *match = ctx;
    if (glob_is_match(topic_name(topic), match->channel))
        match_topic(match, topic);
}

static void run_match(struct match *match)
{
    struct pubsub *pubsub = match->pubsub;
    const struct topic *topic = topics_find(&pubsub->topics[match->kind], match->channel);
    if (topic)
        match_topic(match, topic);
    if (match->kind == TOPIC_CHANNEL)
        topics_each(&pubsub->topics[TOPIC_PATTERN], match_pattern, match);
}

int64_t pubsub_match(struct pubsub *pubsub, struct span channel, uint64_t *out_workers)
{
    struct match match = {.pubsub = pubsub, .channel = channel};
    pthread_mutex_lock(&pubsub->lock);
    run_match(&match);
    pthread_mutex_unlock(&pubsub->lock);
    *out_workers = match.workers;
    return match.receivers;
}

int64_t pubsub_publish(struct pubsub *pubsub, const struct publication *publication,
                       uint64_t *out_workers)
{
    struct match match = {
        .pubsub = pubsub, .kind = publication->kind, .channel = publication->channel};
    uint64_t self = publication->self;
    size_t bytes = publication->bytes;
    pthread_mutex_lock(&pubsub->lock);
    for (unsigned i = 0; i < pubsub->workers_count; i++) {
        if (!(self & 1ull << i) && pubsub->queued[i] + bytes > PUBSUB_QUEUED_MAX)
            match.closed |= 1ull << i;
    }
    run_match(&match);
    for (unsigned i = 0; i < pubsub->workers_count; i++) {
        if (match.workers & ~self & 1ull << i)
            pubsub->queued[i] += bytes;
    }
    pubsub->published += publication->kind != TOPIC_MONITOR;
    pubsub->dropped += match.closed != 0;
    pthread_mutex_unlock(&pubsub->lock);
    *out_workers = match.workers;
    return match.receivers;
}

void pubsub_arrived(struct pubsub *pubsub, unsigned worker, size_t bytes)
{
    pthread_mutex_lock(&pubsub->lock);
    pubsub->queued[worker] -= bytes;
    pthread_mutex_unlock(&pubsub->lock);
}

struct visit {
    topic_visit visit;
    void *ctx;
};

static void visit_name(void *ctx, struct topic *topic)
{
    const struct visit *visit = ctx;
    visit->visit(visit->ctx, topic_name(topic));
}

void pubsub_channels(struct pubsub *pubsub, enum topic_kind kind, topic_visit visit, void *ctx)
{
    struct visit names = {visit, ctx};
    pthread_mutex_lock(&pubsub->lock);
    topics_each(&pubsub->topics[kind], visit_name, &names);
    pthread_mutex_unlock(&pubsub->lock);
}

uint64_t pubsub_receivers(struct pubsub *pubsub, enum topic_kind kind, struct span channel)
{
    pthread_mutex_lock(&pubsub->lock);
    const struct topic *topic = topics_find(&pubsub->topics[kind], channel);
    uint64_t receivers = topic ? topic->weight : 0;
    pthread_mutex_unlock(&pubsub->lock);
    return receivers;
}

struct pubsub_counts pubsub_counts(struct pubsub *pubsub)
{
    pthread_mutex_lock(&pubsub->lock);
    struct pubsub_counts counts = {.channels = pubsub->topics[TOPIC_CHANNEL].count,
                                   .patterns = pubsub->topics[TOPIC_PATTERN].count,
                                   .shards = pubsub->topics[TOPIC_SHARD].count,
                                   .published = pubsub->published,
                                   .dropped = pubsub->dropped};
    pthread_mutex_unlock(&pubsub->lock);
    return counts;
}
