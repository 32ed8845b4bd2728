// SPDX-License-Identifier: Apache-2.0
// Newest values to subscribers. What changed since the last tick leaves with it: a key that changed
// a thousand times in between costs each subscriber one entry. In one flush a key's entry is
// encoded once, and a whole frame once for all who are owed the same keys; it leaves from shared
// memory.
//
// Values of two epochs are never in one frame, so that who remembers versions knows what they mean.
//
// A subscriber whose last frame has not left is choked: it holds one pending mark a key, no
// messages, and gets the then newest values once it drains. Pure but for what `send` does.
#pragma once
#include "base/buf.h"
#include "realtime/board.h"

#define FANOUT_FRAME_BYTES_MAX 65536 // a frame is not begun anew below this
#define FANOUT_SETS            64    // sets of keys whose frame is remembered within a flush

struct fanout_set {
    uint64_t turn, hash;
    size_t members_at; // in fanout->members
    uint32_t count;
    uint32_t frame_at, frame_len;
    uint32_t packed_at, packed_len; // the same, deflated; 0: not made
};

struct fanout_frame {          // what one subscriber is told
    struct span whole;         // a WebSocket frame
    size_t head_len;           // of it; JSON follows
    const struct topic *topic; // its first
    bool is_new_epoch;         // the subscriber was told of another epoch before, or of none
    struct fanout_set *set;    // NULL: one topic's own
};
static inline struct span fanout_json(const struct fanout_frame *frame)
{
    return span_of(frame->whole.ptr + frame->head_len, frame->whole.len - frame->head_len);
}

// True: taken. False: not now; fanout_resume says when. It must not end any subscriber before it
// returns.
typedef bool (*fanout_send)(struct subscriber *subscriber, const struct fanout_frame *frame);

struct fanout {
    fanout_send send;
    struct deflate *deflate; // of packed frames; NULL: there are none; borrows
    struct topic *changed_first, *changed_last;
    struct subscriber *ready_first, *ready_last;
    uint64_t turn;
    struct buf frames;  // of this flush
    struct buf members; // of this flush: the sets' topics
    struct buf scratch;
    struct fanout_set sets[FANOUT_SETS];
    uint64_t frames_encoded, frames_packed, frames_sent, bytes_sent, busy_count;
};

void fanout_init(struct fanout *fanout, struct heap *heap, fanout_send send);
void fanout_deinit(struct fanout *fanout);

// The topic's value changed: its subscribers are told at the next tick.
void fanout_change(struct fanout *fanout, struct topic *topic);
// Tells everyone what changed since the last tick.
void fanout_tick(struct fanout *fanout);

// One subscriber is owed the value, with the next flush: it has begun to track a known key.
void fanout_owe(struct fanout *fanout, struct subscription *subscription);
// All of the topic's are: its first value arrived.
void fanout_owe_all(struct fanout *fanout, struct topic *topic);
void fanout_flush(struct fanout *fanout);
// In `send`: the frame deflated, once for all, for who has negotiated it; as it is when it is of
// one topic, or would not be shorter. Only what this returns may be used then.
struct span fanout_packed(struct fanout *fanout, const struct fanout_frame *frame);
static inline bool fanout_is_ready(const struct fanout *fanout)
{
    return fanout->ready_first != NULL;
}

void fanout_resume(struct fanout *fanout, struct subscriber *subscriber); // its output has left
void fanout_forget(struct fanout *fanout, struct subscriber *subscriber); // it ends
