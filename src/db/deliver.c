// SPDX-License-Identifier: Apache-2.0
// A worker's side of publish and subscribe. A message for another worker is posted there as one
// copy; each worker encodes it once for each protocol version that its subscribers speak and hands
// every subscriber the same bytes.
#include "base/glob.h"
#include "base/owner.h"
#include "db/watch.h"
#include "os/clock.h"

#define ENCODED_KEPT_MAX 65536

struct message {
    struct loop_post post; // first
    struct worker *worker;
    enum topic_kind kind;
    size_t channel_len, len; // of the channel; of both
    uint8_t bytes[];
};

// ---- writing to clients

// `pattern` len 0 with a NULL ptr: the channel's own subscribers.
struct delivery {
    struct worker *worker;
    enum topic_kind kind;
    struct span pattern, channel, payload;
    uint64_t delivered, bytes;
};

static struct span encoded(struct delivery *delivery, uint8_t protocol)
{
    struct buf *buf = &delivery->worker->encoded[protocol - 2];
    if (buf->len)
        return buf_span(buf);
    struct reply reply = reply_to(buf, protocol);
    if (delivery->kind == TOPIC_MONITOR)
        buf_put(buf, delivery->payload);
    else if (delivery->pattern.ptr)
        reply_pattern_message(&reply, delivery->pattern, delivery->channel, delivery->payload);
    else if (delivery->kind == TOPIC_SHARD)
        reply_shard_message(&reply, delivery->channel, delivery->payload);
    else
        reply_message(&reply, delivery->channel, delivery->payload);
    return buf_span(buf);
}

static void deliver_to(struct delivery *delivery, const struct topic *topic)
{
    struct worker *worker = delivery->worker;
    buf_clear(&worker->encoded[0]);
    buf_clear(&worker->encoded[1]);
    for (const struct subscription *at = topic->first; at; at = at->next) {
        struct client *client = at->subscriber->owner;
        struct span bytes = encoded(delivery, client->session.protocol);
        if (buf_has_failed(&worker->encoded[client->session.protocol - 2]))
            continue; // at most once: out of memory is one of the ways to lose a message
        stream_send(&client->stream, bytes);
        delivery->delivered++;
        delivery->bytes += bytes.len;
    }
}

static void deliver_pattern(void *ctx, struct topic *topic)
{
    struct delivery *delivery = ctx;
    delivery->pattern = topic_name(topic);
    if (glob_is_match(delivery->pattern, delivery->channel))
        deliver_to(delivery, topic);
}

static void deliver_here(struct worker *worker, enum topic_kind kind, struct span channel,
                         struct span payload)
{
    struct delivery delivery = {
        .worker = worker, .kind = kind, .channel = channel, .payload = payload};
    const struct topic *topic = topics_find(&worker->topics[kind], channel);
    if (topic)
        deliver_to(&delivery, topic);
    if (kind == TOPIC_CHANNEL)
        topics_each(&worker->topics[TOPIC_PATTERN], deliver_pattern, &delivery);
    for (unsigned i = 0; i < 2; i++) {
        buf_clear(&worker->encoded[i]);
        buf_shrink(&worker->encoded[i], ENCODED_KEPT_MAX);
    }
    tally_add(&worker->tallies, TALLY_DELIVERED, delivery.delivered);
    tally_add(&worker->tallies, TALLY_OUTPUT, delivery.bytes);
}

// ---- from thread to thread

static void on_message(struct loop_post *post)
{
    struct message *message = (struct message *)post;
    struct worker *worker = message->worker;
    struct db *db = worker->db;
    deliver_here(
        worker, message->kind, span_of(message->bytes, message->channel_len),
        span_of(message->bytes + message->channel_len, message->len - message->channel_len));
    pubsub_arrived(db->pubsub, worker->index, message->len);
    heap_free(db->heap, message, sizeof *message + message->len);
}

static void post_message(struct worker *worker, enum topic_kind kind, struct span channel,
                         struct span payload)
{
    struct db *db = worker->db;
    size_t len = channel.len + payload.len;
    struct message *message = heap_alloc(db->heap, sizeof *message + len);
    if (!message) {
        pubsub_arrived(db->pubsub, worker->index, len);
        return;
    }
    *message = (struct message){.post = {.run = on_message},
                                .worker = worker,
                                .kind = kind,
                                .channel_len = channel.len,
                                .len = len};
    if (channel.len)
        memcpy(message->bytes, channel.ptr, channel.len);
    if (payload.len)
        memcpy(message->bytes + channel.len, payload.ptr, payload.len);
    loop_post(worker->loop, &message->post);
}

static int64_t publish(struct db *db, struct worker *self, enum topic_kind kind,
                       struct span channel, struct span payload)
{
    uint64_t self_bit = self ? 1ull << self->index : 0, workers;
    struct publication publication = {
        .kind = kind, .channel = channel, .bytes = channel.len + payload.len, .self = self_bit};
    int64_t receivers = pubsub_publish(db->pubsub, &publication, &workers);
    for (unsigned i = 0; i < db->workers_count; i++) {
        if (!(workers & 1ull << i))
            continue;
        if (self_bit & 1ull << i)
            deliver_here(self, kind, channel, payload);
        else
            post_message(&db->workers[i], kind, channel, payload);
    }
    return receivers;
}

int64_t deliver_publish(struct db *db, struct span channel, struct span payload)
{
    return publish(db, NULL, TOPIC_CHANNEL, channel, payload);
}

void deliver_monitored(struct worker *worker, struct span line)
{
    publish(worker->db, worker, TOPIC_MONITOR, span_text(""), line);
}

// ---- what commands ask

static struct worker *worker_of(struct host *host)
{
    return (struct worker *)host;
}

static struct client *client_of(struct session *session)
{
    return owner_of(session, struct client, session);
}

static void count(struct session *session, enum topic_kind kind, int difference)
{
    bool was_subscribed = session_is_subscribed(session);
    session_count_topic(session, kind, difference);
    if (was_subscribed != session_is_subscribed(session))
        tally_add(&client_of(session)->worker->tallies, TALLY_SUBSCRIBERS, (uint64_t)difference);
    if (kind == TOPIC_MONITOR)
        watch_monitors(client_of(session)->worker->db, difference);
}

static int64_t host_publish(struct host *host, enum topic_kind kind, struct span channel,
                            struct span message)
{
    struct worker *worker = worker_of(host);
    return publish(worker->db, worker, kind, channel, message);
}

static int host_subscribe(struct host *host, struct session *session, enum topic_kind kind,
                          struct span name)
{
    struct worker *worker = worker_of(host);
    struct client *client = client_of(session);
    struct subscription *subscription;
    uint64_t subscribed = 0;
    for (unsigned i = 0; i < TOPIC_KINDS; i++)
        subscribed += client->subscriber[i].count;
    if (subscribed >= PUBSUB_SUBSCRIBED_MAX)
        return HOST_E_FULL;
    client->subscriber[kind].owner = client;
    int outcome = topics_add(&worker->topics[kind], name, &client->subscriber[kind], &subscription);
    if (outcome)
        return outcome == TOPICS_E_LONG      ? HOST_E_FULL
               : outcome == TOPICS_E_ALREADY ? HOST_E_ALREADY
                                             : outcome;
    outcome = pubsub_add(worker->db->pubsub, worker->index, kind, name);
    if (outcome)
        topics_remove(&worker->topics[kind], subscription);
    else
        count(session, kind, 1);
    return outcome;
}

static void end_subscription(struct client *client, enum topic_kind kind,
                             struct subscription *subscription)
{
    struct worker *worker = client->worker;
    pubsub_remove(worker->db->pubsub, worker->index, kind, topic_name(subscription->topic));
    topics_remove(&worker->topics[kind], subscription);
    count(&client->session, kind, -1);
}

static bool host_unsubscribe(struct host *host, struct session *session, enum topic_kind kind,
                             struct span name)
{
    struct worker *worker = worker_of(host);
    struct client *client = client_of(session);
    struct subscription *subscription =
        topics_subscription(&worker->topics[kind], name, &client->subscriber[kind]);
    if (subscription)
        end_subscription(client, kind, subscription);
    return subscription != NULL;
}

static bool host_unsubscribe_any(struct host *host, struct session *session, enum topic_kind kind,
                                 struct buf *out_name)
{
    (void)host;
    struct client *client = client_of(session);
    struct subscription *subscription = client->subscriber[kind].first;
    if (!subscription)
        return false;
    buf_clear(out_name);
    buf_put(out_name, topic_name(subscription->topic));
    end_subscription(client, kind, subscription);
    return true;
}

void deliver_leave_all(struct client *client)
{
    for (unsigned kind = 0; kind < TOPIC_KINDS; kind++) {
        while (client->subscriber[kind].first)
            end_subscription(client, (enum topic_kind)kind, client->subscriber[kind].first);
    }
}

static void host_channels(struct host *host, enum topic_kind kind, topic_visit visit, void *ctx)
{
    pubsub_channels(worker_of(host)->db->pubsub, kind, visit, ctx);
}

static uint64_t host_receivers(struct host *host, enum topic_kind kind, struct span channel)
{
    return pubsub_receivers(worker_of(host)->db->pubsub, kind, channel);
}

static uint64_t host_patterns(struct host *host)
{
    return pubsub_counts(worker_of(host)->db->pubsub).patterns;
}

static void host_load(struct host *host, const struct session *session,
                      struct session_load *out_load)
{
    (void)host;
    client_load(owner_of(session, struct client, session), out_load);
}

static void host_feed_off(struct host *host, struct session *session)
{
    (void)host;
    feed_leave(client_of(session));
}

static uint64_t host_wall_us(struct host *host)
{
    (void)host;
    return clock_wall_us();
}

static uint64_t host_random(struct host *host)
{
    uint64_t number;
    (void)host;
    random_bytes(&number, sizeof number);
    return number;
}

static int host_kill_script(struct host *host, bool is_function)
{
    return gate_kill(&worker_of(host)->db->gate, is_function);
}

static bool host_tell_script(struct host *host, struct running *out_running)
{
    return gate_tell(&worker_of(host)->db->gate, out_running);
}

const struct host_ops worker_host_ops = {
    .publish = host_publish,
    .subscribe = host_subscribe,
    .unsubscribe = host_unsubscribe,
    .unsubscribe_any = host_unsubscribe_any,
    .channels = host_channels,
    .receivers = host_receivers,
    .patterns = host_patterns,
    .load = host_load,
    .feed_off = host_feed_off,
    .wall_us = host_wall_us,
    .deny = users_deny,
    .kill_script = host_kill_script,
    .tell_script = host_tell_script,
    .random = host_random,
};
