// SPDX-License-Identifier: Apache-2.0
// What a connection is to the commands: its protocol version, its names, its subscriptions'
// numbers. It belongs to the worker that serves it.
#pragma once
#include "base/buf.h"

#define SESSION_TEXT_MAX 64

struct acl_user;

enum topic_kind {
    TOPIC_CHANNEL,
    TOPIC_PATTERN,
    TOPIC_SHARD,   // a channel of SSUBSCRIBE: no pattern hears it
    TOPIC_MONITOR, // one name, "": every command
    TOPIC_KINDS
};

struct session {
    uint64_t id;
    uint64_t started_ms, active_ms; // monotonic
    uint64_t commands_count;
    const char *last;     // name of the last command, "" before the first
    const char *last_sub; // its second word, if the last command has such; else some older one's
    const char *last_of;  // which command that second word belongs to
    uint32_t topics[TOPIC_KINDS]; // subscribed to
    uint32_t listening;           // their sum, without TOPIC_MONITOR
    const struct acl_user *user;  // whose rules apply; of the worker's view (acl.h)
    uint64_t user_id;
    bool is_remote; // from another machine, and not known by a certificate
    bool is_authenticated;
    bool is_guarded;  // not authenticated, or the user may not do everything: to be checked
    uint8_t protocol; // 2 or 3
    bool is_no_evict, is_no_touch;
    uint8_t silence;                 // enum silence
    bool is_feeding;                 // QUIPU.FEED
    bool is_queueing;                // between MULTI and EXEC
    struct transaction *transaction; // of MULTI or WATCH (transaction.h); or NULL
    uint8_t name_len, library_len, version_len;
    char name[SESSION_TEXT_MAX];
    char library[SESSION_TEXT_MAX], version[SESSION_TEXT_MAX]; // of the client's library
    char address[SESSION_TEXT_MAX], local_address[SESSION_TEXT_MAX];
};

// One topic more, or one less.
void session_count_topic(struct session *session, enum topic_kind kind, int difference);
void session_init(struct session *session, uint64_t id, uint64_t now_ms);
// As at the start, but for id, addresses and times. Subscriptions are the caller's to end.
void session_reset(struct session *session);

static inline bool session_is_subscribed(const struct session *session)
{
    return session->listening > 0;
}

// False, unchanged: too long, or not printable without blanks.
bool session_set_name(struct session *session, struct span name);
bool session_set_library(struct session *session, struct span name);
bool session_set_version(struct session *session, struct span version);

struct span session_user_name(const struct session *session);

enum silence { // CLIENT REPLY
    SILENCE_NONE,
    SILENCE_ONE, // of the next command
    SILENCE_ALL,
};

struct session_load { // what its connection holds
    int fd;
    size_t input_bytes, output_bytes; // not executed yet; not sent yet
    size_t memory_bytes;              // all of the connection's
};
// One line of CLIENT LIST, with its end.
void session_put_line(const struct session *session, const struct session_load *load,
                      uint64_t now_ms, struct buf *out);
