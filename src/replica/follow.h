// SPDX-License-Identifier: Apache-2.0
// A reader of the change stream (QUIPU.FEED): every cell above what it knows, of whoever wrote it,
// as it is when the reader comes by. Like a peer's feed it has a cursor in the change order and no
// queue: what changes while it waits coalesces. A reader that starts from a vector of before, or
// that the change order overran, walks over the keyspace. Used between commits, on the replica
// thread, so what it sees is durable.
#pragma once
#include "replica/replica.h"

struct follow {
    struct vector known; // everything up to here has been told
    uint64_t change;     // position in the change order
    uint64_t walk, walk_change;
    struct vector upto; // known, once the walk is at its end
    bool is_walking;
};

struct follow_item { // a cell that changed; borrows until the next commit
    struct address address;
    enum cell_type type; // of the key now
    const char *op;      // add, set, reset, remove, presence, end
    int64_t value;       // of the key now
    bool is_live;        // the key is there now
    uint16_t origin;     // whose cell
    uint64_t sequence;
};
typedef void (*follow_visit)(void *ctx, const struct follow_item *item);

// From now on, or with `since`, from there.
void follow_begin(struct follow *follow, const struct replica *replica, const struct vector *since);
// Visits about `max` items. True: everything up to follow->known, which is durable here, has been
// told. -ENOMEM is only a cell that is told later.
bool follow_next(struct follow *follow, struct replica *replica, unsigned max, follow_visit visit,
                 void *ctx);
bool follow_is_even(const struct follow *follow, const struct replica *replica); // nothing new
