// SPDX-License-Identifier: Apache-2.0
// From the database's changes to the nodes that have subscribers: subscribes to the update channel
// of each key that somebody listens to, reads its value once that is in force, takes what is newer,
// and marks it at the outlets of those nodes. A session of the database that begins makes
// everything be subscribed and read again; and every value is read again now and then, because
// publish and subscribe may lose a message.
#pragma once
#include "service/audience.h"

#define UPDATES_CHANNEL_PREFIX "quipu:update:"

struct updates { // zero it, set the first five
    struct loop *loop;
    struct database *database;
    struct values *values;
    struct audience *audience;
    struct metrics *metrics;

    struct tally *queue_first, **queue_last; // to be subscribed to
    struct tally *watch_first, *watch_last;  // the least recently checked first
    struct loop_timer timer;
    char epoch[DATABASE_NAME_MAX]; // of what is known
    struct buf channels, scratch;
};

void updates_start(struct updates *updates);
void updates_stop(struct updates *updates);
// Whether the share's node has subscribers of its key.
void updates_listen(struct updates *updates, struct share *share, bool has_subscribers);
// The database's session begins.
void updates_database_up(struct updates *updates);
void updates_message(struct updates *updates, const struct answer_token *push);
void updates_flush(struct updates *updates); // at the end of a turn
