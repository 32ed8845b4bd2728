// SPDX-License-Identifier: Apache-2.0
// The listing walks all topics, so it is made at most once in OCCUPANCY_FRESH_MS, however many ask.
#include "realtime/occupancy.h"
#include "base/decimal.h"
#include "realtime/grant.h"
#include "realtime/part.h"
#include "wire/json.h"

void occupancy_start(struct occupancy *occupancy, struct heap *heap)
{
    buf_init(&occupancy->keys, heap);
}

void occupancy_stop(struct occupancy *occupancy)
{
    buf_deinit(&occupancy->keys);
}

// Puts the topic where it belongs among the first; the last of a full list falls out.
static void rank(struct occupancy *occupancy, const struct topic *topic)
{
    uint64_t count = (uint64_t)topic->subscribers_count + topic->publishers_count;
    size_t at = occupancy->count;
    if (count == 0 || (at == OCCUPANCY_TOP && occupancy->top[at - 1].count >= count))
        return;
    if (at == OCCUPANCY_TOP)
        at--;
    else
        occupancy->count++;
    for (; at && occupancy->top[at - 1].count < count; at--)
        occupancy->top[at] = occupancy->top[at - 1];
    occupancy->top[at] = (struct topic_rank){.count = count,
                                             .value = topic->value,
                                             .subscribers = topic->subscribers_count,
                                             .publishers = topic->publishers_count,
                                             .has_value = topic->is_known && !topic->is_missing,
                                             .key_at = (uint32_t)occupancy->keys.len,
                                             .key_len = topic->key_len};
    buf_put(&occupancy->keys, topic_key(topic));
}

static void make(struct occupancy *occupancy, const struct board *board, uint64_t now_ms)
{
    if (occupancy->made_ms && now_ms < occupancy->made_ms + OCCUPANCY_FRESH_MS)
        return;
    occupancy->made_ms = now_ms ? now_ms : 1;
    occupancy->count = 0;
    buf_clear(&occupancy->keys);
    for (size_t i = 0; i < board->buckets_count; i++) {
        for (const struct topic *topic = board->buckets[i]; topic; topic = topic->hash_next)
            rank(occupancy, topic);
    }
    if (buf_has_failed(&occupancy->keys))
        occupancy->count = 0;
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
    buf_put_text(out, ",\"");
    buf_put_text(out, name);
    buf_put_text(out, "\":");
    decimal_put_unsigned(out, value);
}

static void put_value(struct buf *out, int64_t value, bool has_value)
{
    buf_put_text(out, ",\"value\":");
    if (has_value)
        json_put_integer(out, value);
    else
        buf_put_text(out, "null");
}

void occupancy_put_node(struct buf *out, struct visitor *visitor)
{
    struct realtime *realtime = visitor->realtime;
    struct occupancy *occupancy = &realtime->occupancy;
    bool is_first = true;
    make(occupancy, &realtime->board, loop_now_ms(realtime->loop));
    buf_put_text(out, "{\"connections\":");
    decimal_put_unsigned(out, realtime->visitors.count);
    put_number(out, "streams", realtime->visitors.live_count);
    put_number(out, "subscriptions", realtime->board.subscriptions_count);
    put_number(out, "topics", realtime->board.count);
    buf_put_text(out, ",\"top\":[");
    for (size_t i = 0; i < occupancy->count; i++) {
        const struct topic_rank *topic = &occupancy->top[i];
        struct span key = span_of(occupancy->keys.ptr + topic->key_at, topic->key_len);
        if (!grant_allows(visitor, "track", key))
            continue;
        buf_put_text(out, is_first ? "{\"key\":" : ",{\"key\":");
        is_first = false;
        json_put_string(out, key);
        put_value(out, topic->value, topic->has_value);
        put_number(out, "subscribers", topic->subscribers);
        put_number(out, "publishers", topic->publishers);
        buf_put_byte(out, '}');
    }
    buf_put_text(out, "]}");
}

void occupancy_put_topic(struct buf *out, const struct board *board, struct span key)
{
    static const struct topic nobody;
    const struct topic *topic = board_find(board, key);
    if (!topic)
        topic = &nobody;
    buf_put_text(out, "{\"key\":");
    json_put_string(out, key);
    put_value(out, topic->value, topic->is_known && !topic->is_missing);
    put_number(out, "version", topic->version);
    buf_put_text(out, ",\"epoch\":");
    json_put_string(out, board_epoch(board, topic));
    put_number(out, "subscribers", topic->subscribers_count);
    put_number(out, "publishers", topic->publishers_count);
    buf_put_byte(out, '}');
}
