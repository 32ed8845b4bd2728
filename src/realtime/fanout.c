// SPDX-License-Identifier: Apache-2.0
// Ticks and flushes. A tick with one changed key and subscribers that track nothing else, the
// common page, is one pass over the topic's array that sends the same bytes to each. Anyone else
// gets a mark a key and then, in the flush, the frame of that set of marks, which is encoded once
// and found again by the set's hash and compared member by member.
#include "base/decimal.h"
#include "base/hash.h"
#include "realtime/fanout.h"
#include "wire/json.h"
#include "wire/websocket.h"

#define FRAMES_KEPT_BYTES 262144 // of arenas, between flushes
#define AHEAD             6      // subscribers whose memory is asked for ahead of their turn

static const char frame_head[] = "{\"c\":[";
static const char frame_tail[] = "]}";

void fanout_init(struct fanout *fanout, struct heap *heap, fanout_send send)
{
    *fanout = (struct fanout){.send = send, .turn = 1};
    buf_init(&fanout->frames, heap);
    buf_init(&fanout->members, heap);
    buf_init(&fanout->scratch, heap);
}

void fanout_deinit(struct fanout *fanout)
{
    buf_deinit(&fanout->frames);
    buf_deinit(&fanout->members);
    buf_deinit(&fanout->scratch);
}

// ---- frames

static void put_unsigned(struct buf *out, uint64_t value)
{
    if (value <= JSON_INTEGER_MAX) {
        json_put_integer(out, (int64_t)value);
        return;
    }
    buf_put_byte(out, '"');
    decimal_put_unsigned(out, value);
    buf_put_byte(out, '"');
}

// ["key",value,version]
static void put_entry(struct buf *out, const struct topic *topic)
{
    buf_put_byte(out, '[');
    json_put_string(out, topic_key(topic));
    buf_put_byte(out, ',');
    if (topic->is_missing)
        buf_put_text(out, "null");
    else
        json_put_integer(out, topic->value);
    buf_put_byte(out, ',');
    put_unsigned(out, topic->version);
    buf_put_byte(out, ']');
}

// Makes the topic's own frame of this flush; its entry is the middle of it. False: no memory.
static bool encode(struct fanout *fanout, struct topic *topic)
{
    if (topic->frame_turn == fanout->turn)
        return true;
    struct buf *payload = &fanout->scratch;
    buf_clear(payload);
    buf_put_text(payload, frame_head);
    put_entry(payload, topic);
    size_t entry_len = payload->len - strlen(frame_head);
    buf_put_text(payload, frame_tail);
    size_t at = fanout->frames.len;
    websocket_put_frame(&fanout->frames, WEBSOCKET_TEXT, buf_span(payload));
    if (buf_has_failed(payload) || buf_has_failed(&fanout->frames))
        return false;
    topic->frame_turn = fanout->turn;
    topic->frame_at = (uint32_t)at;
    topic->frame_len = (uint32_t)(fanout->frames.len - at);
    topic->entry_len = (uint32_t)entry_len;
    topic->entry_at = (uint32_t)(fanout->frames.len - strlen(frame_tail) - entry_len);
    fanout->frames_encoded++;
    return true;
}

static struct span slice(const struct fanout *fanout, size_t at, size_t len)
{
    return span_of(fanout->frames.ptr + at, len);
}

// The first pending marks of a subscriber that fit into one frame.
struct batch {
    struct subscription *first;
    uint32_t count;
    uint64_t hash;
};

static bool batch_collect(struct fanout *fanout, struct subscriber *subscriber,
                          struct batch *out_batch)
{
    struct batch batch = {.first = subscriber->pending_first};
    size_t bytes = 0;
    for (struct subscription *at = batch.first; at; at = at->pending_next) {
        if (!encode(fanout, at->topic))
            return false;
        if (batch.count && (bytes + at->topic->entry_len > FANOUT_FRAME_BYTES_MAX ||
                            at->topic->epoch_mark != batch.first->topic->epoch_mark))
            break;
        bytes += at->topic->entry_len + 1;
        batch.count++;
        batch.hash = hash_fold(batch.hash ^ at->topic->hash, 0x9e3779b97f4a7c15u);
    }
    *out_batch = batch;
    return true;
}

static bool set_has(const struct fanout *fanout, const struct fanout_set *set,
                    const struct batch *batch)
{
    if (set->turn != fanout->turn || set->hash != batch->hash || set->count != batch->count)
        return false;
    const struct subscription *at = batch->first;
    for (uint32_t i = 0; i < set->count; i++, at = at->pending_next) {
        struct topic *member;
        memcpy(&member, fanout->members.ptr + set->members_at + i * sizeof(member), sizeof(member));
        if (member != at->topic)
            return false;
    }
    return true;
}

static bool set_encode(struct fanout *fanout, struct fanout_set *set, const struct batch *batch)
{
    struct buf *payload = &fanout->scratch;
    size_t members_at = fanout->members.len;
    buf_clear(payload);
    buf_put_text(payload, frame_head);
    const struct subscription *at = batch->first;
    for (uint32_t i = 0; i < batch->count; i++, at = at->pending_next) {
        if (i)
            buf_put_byte(payload, ',');
        buf_put(payload, slice(fanout, at->topic->entry_at, at->topic->entry_len));
        buf_put(&fanout->members, span_of(&at->topic, sizeof(at->topic)));
    }
    buf_put_text(payload, frame_tail);
    size_t frame_at = fanout->frames.len;
    websocket_put_frame(&fanout->frames, WEBSOCKET_TEXT, buf_span(payload));
    if (buf_has_failed(payload) || buf_has_failed(&fanout->members) ||
        buf_has_failed(&fanout->frames))
        return false;
    *set = (struct fanout_set){.turn = fanout->turn,
                               .hash = batch->hash,
                               .members_at = members_at,
                               .count = batch->count,
                               .frame_at = (uint32_t)frame_at,
                               .frame_len = (uint32_t)(fanout->frames.len - frame_at)};
    fanout->frames_encoded++;
    return true;
}

static struct fanout_frame frame_of(const struct fanout *fanout, const struct topic *topic,
                                    size_t at, size_t len)
{
    return (struct fanout_frame){
        .whole = slice(fanout, at, len), .head_len = websocket_head_len(len), .topic = topic};
}

static bool batch_frame(struct fanout *fanout, const struct batch *batch,
                        struct fanout_frame *out_frame)
{
    const struct topic *first = batch->first->topic;
    if (batch->count == 1) {
        *out_frame = frame_of(fanout, first, first->frame_at, first->frame_len);
        return true;
    }
    struct fanout_set *set = &fanout->sets[batch->hash % FANOUT_SETS];
    if (!set_has(fanout, set, batch) && !set_encode(fanout, set, batch))
        return false;
    *out_frame = frame_of(fanout, first, set->frame_at, set->frame_len);
    out_frame->set = set;
    return true;
}

struct span fanout_packed(struct fanout *fanout, const struct fanout_frame *frame)
{
    struct fanout_set *set = frame->set;
    if (!set || !fanout->deflate)
        return frame->whole;
    if (!set->packed_len) {
        size_t mark = fanout->frames.len;
        buf_clear(&fanout->scratch); // packing may move the frames
        buf_put(&fanout->scratch, fanout_json(frame));
        if (!buf_has_failed(&fanout->scratch) &&
            websocket_put_packed(&fanout->frames, fanout->deflate, WEBSOCKET_TEXT,
                                 buf_span(&fanout->scratch)) &&
            fanout->frames.len - mark < set->frame_len) {
            set->packed_at = (uint32_t)mark;
            set->packed_len = (uint32_t)(fanout->frames.len - mark);
            fanout->frames_packed++;
        } else {
            fanout->frames.len = mark;
            set->packed_at = set->frame_at;
            set->packed_len = set->frame_len;
        }
    }
    return slice(fanout, set->packed_at, set->packed_len);
}

// ---- marks

static void ready_add(struct fanout *fanout, struct subscriber *subscriber)
{
    if (subscriber->is_ready || subscriber->is_choked)
        return;
    subscriber->is_ready = true;
    subscriber->ready_prev = fanout->ready_last;
    subscriber->ready_next = NULL;
    if (fanout->ready_last)
        fanout->ready_last->ready_next = subscriber;
    else
        fanout->ready_first = subscriber;
    fanout->ready_last = subscriber;
}

static void ready_remove(struct fanout *fanout, struct subscriber *subscriber)
{
    if (!subscriber->is_ready)
        return;
    subscriber->is_ready = false;
    if (subscriber->ready_prev)
        subscriber->ready_prev->ready_next = subscriber->ready_next;
    else
        fanout->ready_first = subscriber->ready_next;
    if (subscriber->ready_next)
        subscriber->ready_next->ready_prev = subscriber->ready_prev;
    else
        fanout->ready_last = subscriber->ready_prev;
}

static void mark_pending(struct fanout *fanout, struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    if (!subscription->is_pending) {
        subscription->is_pending = true;
        subscription->pending_next = NULL;
        if (subscriber->pending_last)
            subscriber->pending_last->pending_next = subscription;
        else
            subscriber->pending_first = subscription;
        subscriber->pending_last = subscription;
        subscriber->pending_count++;
    }
    ready_add(fanout, subscriber);
}

void fanout_owe(struct fanout *fanout, struct subscription *subscription)
{
    if (!subscription_is_current(subscription))
        mark_pending(fanout, subscription);
}

void fanout_owe_all(struct fanout *fanout, struct topic *topic)
{
    for (uint32_t i = 0; i < topic->subscribers_count; i++)
        fanout_owe(fanout, topic->subscribers[i]);
}

static void pending_drop(struct subscriber *subscriber, uint32_t count)
{
    for (; count; count--) {
        struct subscription *told = subscriber->pending_first;
        subscriber->pending_first = told->pending_next;
        told->is_pending = false;
        subscriber->pending_count--;
    }
    if (!subscriber->pending_first)
        subscriber->pending_last = NULL;
}

// ---- sending

static bool send_frame(struct fanout *fanout, struct subscriber *subscriber,
                       const struct fanout_frame *frame)
{
    if (!fanout->send(subscriber, frame)) {
        subscriber->is_choked = true;
        fanout->busy_count++;
        return false;
    }
    fanout->frames_sent++;
    fanout->bytes_sent += frame->whole.len;
    return true;
}

// Versions of another epoch say nothing in this one.
static void enter_epoch(struct subscriber *subscriber, uint64_t epoch_mark)
{
    subscriber->epoch_mark = epoch_mark;
    for (struct subscription *at = subscriber->first; at; at = at->next)
        at->told = 0;
}

// Noted before it is sent: what is not taken stays pending, and the next frame will bring it.
static void note_told(struct subscriber *subscriber, const struct batch *batch)
{
    struct subscription *at = batch->first;
    if (at->topic->epoch_mark != subscriber->epoch_mark)
        enter_epoch(subscriber, at->topic->epoch_mark);
    for (uint32_t i = 0; i < batch->count; i++, at = at->pending_next)
        at->told = at->topic->version + 1;
}

// All that is pending, as long as it is taken.
static void tell(struct fanout *fanout, struct subscriber *subscriber)
{
    while (subscriber->pending_first) {
        struct batch batch;
        struct fanout_frame frame;
        if (!batch_collect(fanout, subscriber, &batch) || !batch_frame(fanout, &batch, &frame))
            return; // no memory: the marks stay, the next change tries again
        frame.is_new_epoch = frame.topic->epoch_mark != subscriber->epoch_mark;
        note_told(subscriber, &batch);
        if (!send_frame(fanout, subscriber, &frame)) {
            if (frame.is_new_epoch)
                subscriber->epoch_mark = 0; // it is still to be told of it
            return;
        }
        pending_drop(subscriber, batch.count);
    }
}

void fanout_flush(struct fanout *fanout)
{
    while (fanout->ready_first) {
        struct subscriber *subscriber = fanout->ready_first;
        ready_remove(fanout, subscriber);
        tell(fanout, subscriber);
    }
    fanout->turn++;
    buf_clear(&fanout->frames);
    buf_clear(&fanout->members);
    buf_shrink(&fanout->frames, FRAMES_KEPT_BYTES);
    buf_shrink(&fanout->members, FRAMES_KEPT_BYTES);
    buf_shrink(&fanout->scratch, FRAMES_KEPT_BYTES);
}

// ---- ticks

void fanout_change(struct fanout *fanout, struct topic *topic)
{
    if (topic->is_changed)
        return;
    topic->is_changed = true;
    topic->changed_next = NULL;
    if (fanout->changed_last)
        fanout->changed_last->changed_next = topic;
    else
        fanout->changed_first = topic;
    fanout->changed_last = topic;
}

static void tick_topic(struct fanout *fanout, struct topic *topic)
{
    bool is_encoded = encode(fanout, topic);
    struct fanout_frame frame = frame_of(fanout, topic, topic->frame_at, topic->frame_len);
    struct subscription **subscribers = topic->subscribers;
    for (uint32_t i = 0; i < topic->subscribers_count; i++) {
        if (i + AHEAD < topic->subscribers_count)
            __builtin_prefetch(subscribers[i + AHEAD]->subscriber);
        if (i + 2 * AHEAD < topic->subscribers_count)
            __builtin_prefetch(subscribers[i + 2 * AHEAD]);
        struct subscriber *subscriber = subscribers[i]->subscriber;
        bool is_sole = subscriber->keys_count == 1 && !subscriber->is_choked && is_encoded &&
                       subscriber->epoch_mark == topic->epoch_mark;
        if (is_sole)
            subscribers[i]->told = topic->version + 1;
        if (!is_sole || !send_frame(fanout, subscriber, &frame))
            mark_pending(fanout, subscribers[i]);
        else if (subscribers[i]->is_pending)
            pending_drop(subscriber, 1);
    }
}

void fanout_tick(struct fanout *fanout)
{
    while (fanout->changed_first) {
        struct topic *topic = fanout->changed_first;
        fanout->changed_first = topic->changed_next;
        topic->is_changed = false;
        if (topic->is_known)
            tick_topic(fanout, topic);
    }
    fanout->changed_last = NULL;
    fanout_flush(fanout);
}

void fanout_resume(struct fanout *fanout, struct subscriber *subscriber)
{
    if (!subscriber->is_choked)
        return;
    subscriber->is_choked = false;
    if (subscriber->pending_first)
        ready_add(fanout, subscriber);
}

void fanout_forget(struct fanout *fanout, struct subscriber *subscriber)
{
    ready_remove(fanout, subscriber);
}
