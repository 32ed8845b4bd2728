// SPDX-License-Identifier: Apache-2.0
// Watching what commands do: who is slow, and MONITOR. What is watched is told to the workers by a
// few words that they look at once a block; a command that nobody watches costs nothing.
#pragma once
#include "db/private.h"

enum {
    WATCH_ALL = 1u << 0,     // every command is timed
    WATCH_MONITOR = 1u << 1, // somebody monitors
};

// The replica thread: settings have changed.
void watch_adopt(struct db *db);
void watch_monitors(struct db *db, int difference); // one more, or one less

static inline uint32_t watch_monitors_count(const struct db *db)
{
    return atomic_load_explicit(&db->watch.monitors, memory_order_relaxed);
}

static inline uint32_t watch_wanted(const struct db *db)
{
    return atomic_load_explicit(&db->watch.wanted, memory_order_relaxed);
}

// A command took so long; `client` NULL: it runs on the replica thread, for `batch`.
struct ran {
    const struct command *command;
    const struct span *argv;
    uint32_t argc;
    uint64_t took_us;
};
void watch_took(struct worker *worker, const struct client *client, const struct ran *ran);
void watch_took_posted(struct committer *committer, const struct batch *batch,
                       const struct ran *ran);
// To everybody who monitors.
void watch_tell(struct worker *worker, const struct session *session,
                const struct request *request);
