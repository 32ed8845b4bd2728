// SPDX-License-Identifier: Apache-2.0
// The table of topics and the subscriptions that join subscribers to them. A subscription is on two
// lists: an array of its topic, dense because fan-out walks it every tick, and a chain of its
// subscriber, for the end of a connection. Whether a pair exists already is asked of the shorter
// one: a hot topic has many subscribers of few keys, a long list of keys meets topics of few
// subscribers.
#include <assert.h>
#include <errno.h>
#include "base/hash.h"
#include "realtime/board.h"

#define BUCKETS_MIN 64

void board_init(struct board *board, struct heap *heap, uint64_t seed)
{
    *board = (struct board){.heap = heap, .seed = seed};
}

static size_t topic_size(size_t key_len)
{
    return sizeof(struct topic) + key_len;
}

static void topic_free(struct board *board, struct topic *topic)
{
    assert(topic->subscribers_count == 0);
    heap_free(board->heap, topic->subscribers,
              topic->subscribers_cap * sizeof(*topic->subscribers));
    heap_free(board->heap, topic, topic_size(topic->key_len));
}

void board_deinit(struct board *board)
{
    for (size_t i = 0; i < board->buckets_count; i++) {
        for (struct topic *topic = board->buckets[i]; topic;) {
            struct topic *next = topic->hash_next;
            topic_free(board, topic);
            topic = next;
        }
    }
    heap_free(board->heap, board->buckets, board->buckets_count * sizeof(*board->buckets));
    *board = (struct board){.heap = board->heap};
}

static struct topic **bucket_of(const struct board *board, uint64_t hash)
{
    return &board->buckets[hash & (board->buckets_count - 1)];
}

static struct topic *find_hashed(const struct board *board, struct span key, uint64_t hash)
{
    if (board->buckets_count == 0)
        return NULL;
    struct topic *topic = *bucket_of(board, hash);
    while (topic && (topic->hash != hash || !span_is_equal(topic_key(topic), key)))
        topic = topic->hash_next;
    return topic;
}

struct topic *board_find(const struct board *board, struct span key)
{
    return find_hashed(board, key, hash_bytes(key, board->seed));
}

static int grow(struct board *board)
{
    size_t count = board->buckets_count ? board->buckets_count * 2 : BUCKETS_MIN;
    struct topic **fresh = heap_alloc(board->heap, count * sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    memset(fresh, 0, count * sizeof(*fresh));
    for (size_t i = 0; i < board->buckets_count; i++) {
        for (struct topic *topic = board->buckets[i]; topic;) {
            struct topic *next = topic->hash_next;
            topic->hash_next = fresh[topic->hash & (count - 1)];
            fresh[topic->hash & (count - 1)] = topic;
            topic = next;
        }
    }
    heap_free(board->heap, board->buckets, board->buckets_count * sizeof(*fresh));
    board->buckets = fresh;
    board->buckets_count = count;
    return 0;
}

int board_obtain(struct board *board, struct span key, struct topic **out_topic)
{
    uint64_t hash = hash_bytes(key, board->seed);
    struct topic *topic = find_hashed(board, key, hash);
    if (topic) {
        *out_topic = topic;
        return 0;
    }
    if (board->count == BOARD_TOPICS_MAX || key.len > TOPIC_KEY_BYTES_MAX)
        return BOARD_E_FULL;
    if (board->count == board->buckets_count && grow(board) != 0)
        return -ENOMEM;
    topic = heap_alloc(board->heap, topic_size(key.len));
    if (!topic)
        return -ENOMEM;
    *topic = (struct topic){.hash = hash, .key_len = (uint32_t)key.len};
    memcpy(topic->key, key.ptr, key.len);
    struct topic **bucket = bucket_of(board, hash);
    topic->hash_next = *bucket;
    *bucket = topic;
    board->count++;
    *out_topic = topic;
    return 0;
}

void board_remove(struct board *board, struct topic *topic)
{
    assert(topic_is_idle(topic) && !topic->is_changed && !topic->is_wanted);
    struct topic **at = bucket_of(board, topic->hash);
    while (*at != topic)
        at = &(*at)->hash_next;
    *at = topic->hash_next;
    board->count--;
    topic_free(board, topic);
}

// The epoch's number, a new one when it was never heard; 0 for a text that is too long.
static uint32_t epoch_number(struct board *board, struct span text)
{
    uint32_t newest = board->epoch_newest;
    for (uint32_t age = 0; age < BOARD_EPOCHS_MAX && age < newest; age++) {
        uint32_t slot = (newest - age) % BOARD_EPOCHS_MAX;
        if (span_is_equal(span_of(board->epochs[slot].text, board->epochs[slot].len), text))
            return newest - age;
    }
    if (text.len > TOPIC_EPOCH_BYTES_MAX)
        return 0;
    uint32_t slot = ++board->epoch_newest % BOARD_EPOCHS_MAX;
    memcpy(board->epochs[slot].text, text.ptr, text.len);
    board->epochs[slot].len = (uint8_t)text.len;
    return board->epoch_newest;
}

struct span board_epoch(const struct board *board, const struct topic *topic)
{
    if (topic->epoch == 0 || topic->epoch + BOARD_EPOCHS_MAX <= board->epoch_newest)
        return span_text("");
    uint32_t slot = topic->epoch % BOARD_EPOCHS_MAX;
    return span_of(board->epochs[slot].text, board->epochs[slot].len);
}

uint64_t board_epoch_mark(const struct board *board, struct span epoch)
{
    return hash_bytes(epoch, board->seed) | 1;
}

bool subscription_is_current(const struct subscription *subscription)
{
    const struct topic *topic = subscription->topic;
    return topic->is_known && subscription->told == topic->version + 1 &&
           subscription->subscriber->epoch_mark == topic->epoch_mark;
}

int board_apply(struct board *board, struct topic *topic, const struct topic_update *update)
{
    uint32_t epoch = 0;
    if (update->epoch.len) {
        epoch = epoch_number(board, update->epoch);
        if (epoch == 0)
            return BOARD_E_EPOCH;
    }
    if (topic->is_known && epoch < topic->epoch)
        return BOARD_E_STALE;
    if (topic->is_known && epoch == topic->epoch && update->version <= topic->version)
        return BOARD_E_STALE;
    if (epoch != topic->epoch || !topic->epoch_mark)
        topic->epoch_mark = board_epoch_mark(board, update->epoch);
    topic->epoch = epoch;
    topic->version = update->version;
    topic->is_known = true;
    topic->is_missing = update->is_missing;
    topic->value = update->is_missing ? 0 : update->value;
    return 0;
}

struct subscription *board_subscription(struct subscriber *subscriber, struct topic *topic)
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

static int make_room(struct board *board, struct topic *topic)
{
    if (topic->subscribers_count < topic->subscribers_cap)
        return 0;
    uint32_t cap = topic->subscribers_cap ? topic->subscribers_cap * 2 : 2;
    struct subscription **fresh =
        heap_resize(board->heap, topic->subscribers, topic->subscribers_cap * sizeof(*fresh),
                    cap * sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    topic->subscribers = fresh;
    topic->subscribers_cap = cap;
    return 0;
}

int board_subscribe(struct board *board, struct subscriber *subscriber, struct topic *topic,
                    struct subscription **out_subscription)
{
    if (board_subscription(subscriber, topic))
        return BOARD_E_ALREADY;
    if (subscriber->keys_count == SUBSCRIBER_KEYS_MAX)
        return BOARD_E_FULL;
    if (make_room(board, topic) != 0)
        return -ENOMEM;
    struct subscription *fresh = heap_alloc(board->heap, sizeof(*fresh));
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
    board->subscriptions_count++;
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

static void shrink(struct board *board, struct topic *topic)
{
    uint32_t cap = topic->subscribers_cap / 2;
    if (cap < 4 || topic->subscribers_count > cap / 2)
        return;
    struct subscription **fresh =
        heap_resize(board->heap, topic->subscribers, topic->subscribers_cap * sizeof(*fresh),
                    cap * sizeof(*fresh));
    if (!fresh)
        return;
    topic->subscribers = fresh;
    topic->subscribers_cap = cap;
}

void board_unsubscribe(struct board *board, struct subscription *subscription)
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
    shrink(board, topic);
    board->subscriptions_count--;
    heap_free(board->heap, subscription, sizeof(*subscription));
}
