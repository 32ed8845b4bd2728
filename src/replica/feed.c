// SPDX-License-Identifier: Apache-2.0
// Rounds to peers. A round is every unit changed since the link's cursor, in its current version,
// with only the cells above what the peer has; it is encoded at one instant, so its `upto` is
// exactly V then. A peer behind the change order, or with more changes than one round holds, gets a
// walk: one pass over the keyspace in parts, each key whole, `upto` being V as it was when the walk
// began, and the change order goes on from there.
#include "replica/private.h"

#define FEED_AHEAD 8u // records prefetched

// A mark says: every cell above `vector` changed after `change`. Cells of an unfinished walk from
// somebody are above V without that, so there is no mark while any is held.
void feed_mark(struct replica *replica)
{
    if (!vector_is_covering(&replica->durable, &replica->held))
        return;
    uint64_t newest = keyspace_change_newest(replica->keyspace);
    unsigned count = replica->marks_count;
    uint64_t spacing = LIMIT_CHANGE_ORDER / REPLICA_MARKS;
    if (count && newest < replica->marks[count - 1].change + spacing)
        return;
    if (count == REPLICA_MARKS) {
        memmove(replica->marks, replica->marks + 1, (count - 1) * sizeof *replica->marks);
        count--;
    }
    replica->marks[count].change = newest;
    replica->marks[count].vector = replica->durable;
    replica->marks_count = count + 1;
}

// Where in the change order a peer that has `known` may begin: after the newest mark that it
// covers, since whatever changed before that mark has no cell above it. False: only a walk will do.
static bool find_cursor(const struct replica *replica, const struct vector *known,
                        uint64_t *out_cursor)
{
    for (unsigned i = replica->marks_count; i-- > 0;) {
        const struct mark *mark = &replica->marks[i];
        if (mark->change + 1 < keyspace_change_oldest(replica->keyspace))
            return false;
        if (vector_is_covering(known, &mark->vector)) {
            *out_cursor = mark->change;
            return true;
        }
    }
    return false;
}

static void begin_walk(struct replica *replica, struct link *link)
{
    link->is_walking = true;
    link->is_cursor_set = true;
    link->is_walked = false;
    link->walk_cursor = 0;
    link->walk_change = keyspace_change_newest(replica->keyspace);
    link->walk_upto = replica->durable;
    link->walk_from = link->sent;
    replica->counts.walks++;
}

static void sent(struct replica *replica, uint32_t index, size_t mark, unsigned units)
{
    struct link *link = &replica->node.links[index];
    replica->told = replica->durable.sequence[replica->self];
    effects_close_send(&replica->effects, index, mark);
    link->rounds_sent++;
    link->changes_sent += units;
    link->bytes_sent += replica->effects.bytes.len - mark;
    replica->counts.rounds_sent++;
    replica->counts.units_sent += units;
}

struct walk_part {
    struct replica *replica;
    const struct link *link;
    struct buf *out;
    unsigned units;
};

static void walk_visit(void *ctx, struct record *record)
{
    struct walk_part *part = ctx;
    // A deadline goes with its key: without it a key that began anew would be hidden by its last.
    enum unit_kind kind = record_address(record).kind;
    if (kind == UNIT_DEADLINE)
        return;
    if (kind == UNIT_KEY)
        part->units += expiry_write(part->replica, record, &part->link->walk_from, part->out);
    part->units += record_write(record, &part->link->walk_from, part->out) > 0;
}

// A DEL of a set takes members away that the walk had still to meet, maybe behind the key itself:
// its record goes along before the vector that vouches for them.
static void walk_sunk(const struct replica *replica, struct link *link, struct walk_part *part,
                      size_t limit)
{
    if (link->walk_sunk > replica->sunk_count)
        link->walk_sunk = replica->sunk_count;
    while (link->walk_sunk) {
        walk_visit(part, replica->sunk[--link->walk_sunk]);
        if (part->out->len >= limit)
            return;
    }
}

static void walk_records(struct replica *replica, struct link *link, struct walk_part *part,
                         size_t limit)
{
    unsigned step = replica->scan_step, scanned = 0;
    do {
        link->walk_cursor =
            keyspace_scan(replica->keyspace, link->walk_cursor, step, walk_visit, part);
        scanned += step;
    } while (link->walk_cursor && part->out->len < limit && scanned < 1024 * step);
    if (link->walk_cursor)
        return;
    link->is_walked = true;
    link->walk_sunk = replica->sunk_count;
}

static void walk_part(struct replica *replica, uint32_t index)
{
    struct link *link = &replica->node.links[index];
    struct buf *out = &replica->effects.bytes;
    struct walk_part part = {replica, link, out, 0};
    size_t mark = effects_open_send(&replica->effects);
    struct peer_feed head = {.is_walk = true,
                             .number = link->rounds_sent + 1,
                             .from = link->walk_from,
                             .upto = link->walk_upto};
    size_t frame = peer_open_feed(out, &head, &replica->origins);
    size_t flags_at = frame + PEER_HEAD_BYTES;
    size_t limit = mark + replica->round_bytes;
    if (!link->is_walked)
        walk_records(replica, link, &part, limit);
    if (link->is_walked)
        walk_sunk(replica, link, &part, limit);
    bool is_final = link->is_walked && link->walk_sunk == 0;
    if (!buf_has_failed(out) && is_final)
        out->ptr[flags_at] |= 1;
    peer_close_feed(out, frame);
    sent(replica, index, mark, part.units);
    if (!is_final)
        return;
    link->is_walking = false;
    link->cursor = link->walk_change;
    vector_join(&link->sent, &link->walk_upto);
}

// What the other end has, or will have when the rounds in flight are in. What it wrote itself it
// has.
static void known_at(const struct replica *replica, const struct link *link,
                     struct vector *out_known)
{
    *out_known = link->sent;
    out_known->sequence[replica->node.members[link->member].origin] = UINT64_MAX;
}

// A link that is even gets what this replica changed in the last commit as it was journaled.
// out_change: where the change order goes on.
static unsigned put_own(const struct replica *replica, const struct link *link, struct buf *out,
                        uint64_t *out_change)
{
    *out_change = keyspace_change_skip(replica->keyspace, link->cursor + 1);
    if (link->cursor != replica->own.after || replica->own.bytes == 0)
        return 0;
    buf_put(out, span_of(replica->units.ptr, replica->own.bytes));
    *out_change = replica->own.upto + 1;
    return replica->own.units;
}

// The units changed since the cursor. False: there is more than a round holds.
static bool put_changed(struct replica *replica, const struct link *link,
                        const struct vector *known, unsigned *out_units)
{
    struct buf *out = &replica->effects.bytes;
    size_t limit = out->len + 16 * replica->round_bytes;
    uint64_t newest = keyspace_change_newest(replica->keyspace), change;
    *out_units = put_own(replica, link, out, &change);
    for (; change <= newest && out->len <= limit; change++) {
        __builtin_prefetch(keyspace_change_at(replica->keyspace, change + FEED_AHEAD));
        struct record *record = keyspace_change_at(replica->keyspace, change);
        if (record && record_has_news(record, known))
            *out_units += record_write(record, &link->sent, out) > 0;
    }
    return out->len <= limit;
}

// False: there is more than a round holds, or the order was overrun; nothing is left in the buffer.
static bool order_round(struct replica *replica, uint32_t index, const struct vector *known)
{
    struct link *link = &replica->node.links[index];
    struct buf *out = &replica->effects.bytes;
    if (link->cursor + 1 < keyspace_change_oldest(replica->keyspace))
        return false;
    size_t mark = effects_open_send(&replica->effects);
    struct peer_feed head = {.is_final = true,
                             .number = link->rounds_sent + 1,
                             .from = link->sent,
                             .upto = replica->durable};
    size_t frame = peer_open_feed(out, &head, &replica->origins);
    unsigned units;
    if (!put_changed(replica, link, known, &units)) {
        out->len = mark;
        return false;
    }
    link->cursor = keyspace_change_newest(replica->keyspace);
    if (units == 0 && vector_is_covering(known, &replica->durable)) {
        out->len = mark; // nothing but what came from there
        return true;
    }
    peer_close_feed(out, frame);
    sent(replica, index, mark, units);
    vector_join(&link->sent, &replica->durable);
    return true;
}

void feed_link(struct replica *replica, uint32_t index)
{
    struct link *link = &replica->node.links[index];
    if (link->state != LINK_RUNNING)
        return;
    if (!link->is_cursor_set) {
        link->is_cursor_set = find_cursor(replica, &link->sent, &link->cursor);
        if (!link->is_cursor_set)
            begin_walk(replica, link);
    }
    if (link->is_walking) {
        walk_part(replica, index);
        return;
    }
    struct vector known;
    known_at(replica, link, &known);
    bool is_even = link->cursor == keyspace_change_newest(replica->keyspace) &&
                   vector_is_covering(&known, &replica->durable);
    if (!is_even && !order_round(replica, index, &known)) {
        begin_walk(replica, link);
        walk_part(replica, index);
    }
}
