// SPDX-License-Identifier: Apache-2.0
// Keyspace notifications: Redis's letters of notify-keyspace-events and the names of what happened.
// They are told of applied changes, local ones and those of other replicas, by the thread that runs
// the hook; several changes of a key between two looks are one notification, the last one's.
#pragma once
#include "base/buf.h"
#include "replica/replica.h"

enum {
    NOTIFY_KEYSPACE = 1u << 0, // K: __keyspace@0__:<key> says the event
    NOTIFY_KEYEVENT = 1u << 1, // E: __keyevent@0__:<event> says the key
    NOTIFY_GENERIC = 1u << 2,  // g
    NOTIFY_STRING = 1u << 3,   // $
    NOTIFY_LIST = 1u << 4,     // l, h, z, t, d, m: taken, and never told of
    NOTIFY_HASH = 1u << 5,
    NOTIFY_SORTED = 1u << 6,
    NOTIFY_STREAM = 1u << 7,
    NOTIFY_MODULE = 1u << 8,
    NOTIFY_MISS = 1u << 9,
    NOTIFY_SET = 1u << 10,     // s
    NOTIFY_EXPIRED = 1u << 11, // x
    NOTIFY_EVICTED = 1u << 12, // e
    NOTIFY_NEW = 1u << 13,     // n
};

// False: a letter that is none.
bool notify_parse(struct span letters, uint32_t *out_flags);
void notify_write(uint32_t flags, struct buf *out); // as CONFIG GET tells them

// What the change is called, and its class: del, expired, set, incrby, sadd, srem, presence.
const char *notify_event(const struct change *change, uint32_t *out_class);
