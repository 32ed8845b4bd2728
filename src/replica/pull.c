// SPDX-License-Identifier: Apache-2.0
// The hook's view of changes: a cursor in the change order, like a peer's. A reader that falls
// behind is given a walk over the keyspace for the changes the order has forgotten, so a change may
// be coalesced but never goes unseen.
#include "replica/private.h"

// What is committed, never what workers have added since: that is not on disk yet.
static struct unit_view committed_view(struct replica *replica, struct record *record)
{
    if (record_type(record) <= CELL_GCOUNTER)
        return cells_view(replica, record);
    // Sets and presence change only here; no need to go through their members.
    return (struct unit_view){.is_live = (record_flags(record) & RECORD_LIVE) != 0,
                              .type = record_type(record),
                              .value = record_value(record)};
}

static void fill(struct replica *replica, struct record *record, uint64_t version,
                 struct change *out)
{
    struct note note;
    struct unit_view view = committed_view(replica, record);
    *out = (struct change){.key = record_address(record).key,
                           .type = view.is_live ? view.type : record_type(record),
                           .op = view.is_live ? CHANGE_ADD : CHANGE_RESET,
                           .is_live = view.is_live,
                           .value = view.value,
                           .version = version};
    if (!note_take(replica, record, &note))
        return;
    out->op = note.op;
    out->origin = note.origin;
    out->amount = note.amount;
    out->previous = note.previous;
    out->has_previous = true;
    if (note.member && !note.has_many)
        out->member = record_address(note.member).sub;
}

struct pull {
    struct replica *replica;
    const struct change_cursor *cursor;
    struct change *out;
    unsigned count, max;
};

static void pull_visit(void *ctx, struct record *record)
{
    struct pull *pull = ctx;
    uint64_t version = record_change(record);
    if (record_parent(record) || pull->count == pull->max || version <= pull->cursor->walk_from ||
        version > pull->cursor->walk_upto)
        return;
    fill(pull->replica, record, version, &pull->out[pull->count++]);
}

// The scan's step may visit more than it was asked for: a step of one hash bucket at a time, and a
// stop well before `max`.
static unsigned pull_walk(struct replica *replica, struct change_cursor *cursor, struct change *out,
                          unsigned max)
{
    struct pull pull = {replica, cursor, out, 0, max};
    unsigned scanned = 0;
    do {
        cursor->walk = keyspace_scan(replica->keyspace, cursor->walk, 16, pull_visit, &pull);
        scanned += 16;
    } while (cursor->walk && pull.count + 128 < max && scanned < 16384);
    if (cursor->walk == 0) {
        cursor->is_walking = false;
        cursor->change = cursor->walk_upto;
    }
    return pull.count;
}

unsigned replica_changes(struct replica *replica, struct change_cursor *cursor,
                         struct change *out_changes, unsigned max)
{
    replica->is_unheard = false;
    const struct keyspace *keyspace = replica->keyspace;
    uint64_t newest = keyspace_change_newest(keyspace);
    if (!cursor->is_walking && cursor->change + 1 < keyspace_change_oldest(keyspace)) {
        *cursor = (struct change_cursor){
            .is_walking = true, .walk_from = cursor->change, .walk_upto = newest};
    }
    if (cursor->is_walking)
        return pull_walk(replica, cursor, out_changes, max);
    unsigned count = 0;
    cursor->change = keyspace_change_skip(keyspace, cursor->change + 1) - 1;
    while (cursor->change < newest && count < max) {
        cursor->change++;
        struct record *record = keyspace_change_at(keyspace, cursor->change);
        if (record && !record_parent(record))
            fill(replica, record, cursor->change, &out_changes[count++]);
    }
    return count;
}

bool replica_has_changes(const struct replica *replica, const struct change_cursor *cursor)
{
    return cursor->is_walking || cursor->change < keyspace_change_newest(replica->keyspace);
}

void replica_changes_skip(struct replica *replica, struct change_cursor *cursor)
{
    *cursor = (struct change_cursor){.change = keyspace_change_newest(replica->keyspace)};
    note_forget_all(replica);
    replica->is_unheard = true;
}
