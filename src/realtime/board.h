// SPDX-License-Identifier: Apache-2.0
// The board of topics: one record a key that anybody here tracks or publishes, with its newest
// known value, who tracks it, how many publish it, and the threads by which fan-out, upstream and
// heartbeats remember it. Pure.
//
// A value is a complete state, so recovery is "the newest wins": within an epoch (one life of the
// database) the higher version; a later epoch replaces; an epoch that another has replaced is stale
// for good. Epochs are texts, numbered here in the order in which they were first heard.
//
// Life of a topic: board_obtain -> subscriptions, publishers come and go -> board_remove, by the
// one who knows that the service has been told (heartbeats).
#pragma once
#include "base/heap.h"
#include "base/span.h"
#include "wire/heartbeat.h"

#define TOPIC_KEY_BYTES_MAX   HEARTBEAT_PAGE_BYTES_MAX
#define TOPIC_EPOCH_BYTES_MAX 64
#define BOARD_EPOCHS_MAX      16 // remembered; older ones would count as new
#ifdef QUIPU_TINY
#define BOARD_TOPICS_MAX    64
#define SUBSCRIBER_KEYS_MAX 16
#else
#define BOARD_TOPICS_MAX    1000000
#define SUBSCRIBER_KEYS_MAX 1000
#endif

enum board_outcome {
    BOARD_E_STALE = 1, // not newer than what is held
    BOARD_E_FULL,      // a limit is met
    BOARD_E_ALREADY,   // tracked already
    BOARD_E_EPOCH,     // an epoch's text is too long
};

struct subscriber;
struct topic;

struct subscription { // one (subscriber, topic)
    struct topic *topic;
    struct subscriber *subscriber;
    struct subscription *prev, *next; // of the subscriber
    struct subscription *pending_next;
    uint64_t told;  // version + 1 of what it was told, or said it has, in its epoch; 0: nothing
    uint32_t index; // in the topic's subscribers
    bool is_pending;
};

struct subscriber { // embedded in a client; zero it
    struct subscription *first;
    struct subscription *pending_first, *pending_last; // what it has not been told yet
    struct subscriber *ready_prev, *ready_next;        // fan-out's list of who can be told
    uint64_t epoch_mark; // of the epoch in which it was told last; 0: none
    uint16_t keys_count;
    uint16_t pending_count;
    bool is_ready;
    bool is_choked; // its last frame has not left yet
};

struct topic {
    struct topic *hash_next;
    uint64_t hash;
    int64_t value;
    uint64_t version;
    uint64_t epoch_mark; // of the epoch's text, for whoever remembers an epoch itself
    uint32_t epoch;      // number of the epoch; 0: none heard
    bool is_known;       // value, version, epoch are the service's
    bool is_missing;     // known: there is no such counter
    bool is_changed;     // in fan-out's list
    bool is_wanted;      // in upstream's list
    uint32_t subscribers_count, subscribers_cap;
    struct subscription **subscribers;
    uint32_t publishers_count;
    // fan-out's
    uint64_t frame_turn; // the flush in which the next four were set
    uint32_t frame_at, frame_len, entry_at, entry_len;
    struct topic *changed_next;
    // upstream's
    struct topic *wanted_next;
    // heartbeats'
    struct topic *told_prev, *told_next;
    uint64_t due_ms;         // when it is to be told next
    uint64_t untracked_ms;   // when the last subscriber left
    uint8_t farewells;       // how often "nothing here" was told
    bool is_prompt;          // on the list of what is to be told soon
    bool is_told_subscribed; // the service was told last that there are subscribers
    uint32_t key_len;
    uint8_t key[];
};

static inline struct span topic_key(const struct topic *topic)
{
    return span_of(topic->key, topic->key_len);
}

static inline bool topic_is_idle(const struct topic *topic)
{
    return topic->subscribers_count == 0 && topic->publishers_count == 0;
}

struct board {
    struct heap *heap;
    uint64_t seed;
    struct topic **buckets;
    size_t buckets_count; // a power of two, or 0 before the first topic
    size_t count;
    size_t subscriptions_count;
    uint32_t epoch_newest;
    struct {
        uint8_t text[TOPIC_EPOCH_BYTES_MAX];
        uint8_t len;
    } epochs[BOARD_EPOCHS_MAX]; // number n at n % BOARD_EPOCHS_MAX
};

void board_init(struct board *board, struct heap *heap, uint64_t seed);
void board_deinit(struct board *board); // every subscription must have ended

struct topic *board_find(const struct board *board, struct span key);
// The key's topic, made when missing. 0, BOARD_E_FULL, -ENOMEM.
int board_obtain(struct board *board, struct span key, struct topic **out_topic);
// Gives an idle topic's memory back. In no list any more.
void board_remove(struct board *board, struct topic *topic);

struct topic_update {
    struct span epoch; // empty: unknown, then it only fills what is not known
    bool is_missing;
    int64_t value;
    uint64_t version;
};
// Takes a newer value in. 0: it changed; BOARD_E_STALE, BOARD_E_EPOCH: it did not.
int board_apply(struct board *board, struct topic *topic, const struct topic_update *update);

// 0, BOARD_E_ALREADY, BOARD_E_FULL (SUBSCRIBER_KEYS_MAX), -ENOMEM. O(min(subscribers, keys)).
int board_subscribe(struct board *board, struct subscriber *subscriber, struct topic *topic,
                    struct subscription **out_subscription);
// The epoch of the topic's value, "" when there is none or it is forgotten.
struct span board_epoch(const struct board *board, const struct topic *topic);
// A mark that only this text has, but for chance; never 0.
uint64_t board_epoch_mark(const struct board *board, struct span epoch);
// Whether the subscriber was told, or said that it has, just what the topic holds.
bool subscription_is_current(const struct subscription *subscription);
struct subscription *board_subscription(struct subscriber *subscriber, struct topic *topic);
void board_unsubscribe(struct board *board, struct subscription *subscription);
