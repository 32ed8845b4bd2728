// SPDX-License-Identifier: Apache-2.0
// Rounds from peers: staged whole as they arrive, joined in order of arrival inside a commit, so
// that a round is shown as a whole and V rises in the same frame as the cells that justify it. V
// follows the round's `upto` only at its final part, and only from a V that covers its `from`:
// never the highest sequence received.
#include "replica/private.h"

#define JOIN_BATCH 16u

void join_stage(struct replica *replica, uint32_t link, struct span body)
{
    struct staged *staged = heap_alloc(replica->heap, sizeof *staged + body.len);
    if (!staged) {
        replica->effects.failed = true;
        return;
    }
    uint8_t *copy = (uint8_t *)(staged + 1);
    memcpy(copy, body.ptr, body.len);
    *staged = (struct staged){
        .link = link, .sent_at = replica->node.links[link].boot, .body = span_of(copy, body.len)};
    if (replica->staged_last)
        replica->staged_last->next = staged;
    else
        replica->staged_first = staged;
    replica->staged_last = staged;
    replica->wants_commit = true;
}

static void free_staged(struct replica *replica, struct staged *staged)
{
    heap_free(replica->heap, staged, sizeof *staged + staged->body.len);
}

void join_drop(struct replica *replica, uint32_t link)
{
    struct staged **at = &replica->staged_first, *last = NULL;
    while (*at) {
        struct staged *staged = *at;
        if (staged->link == link) {
            *at = staged->next;
            free_staged(replica, staged);
        } else {
            last = staged;
            at = &staged->next;
        }
    }
    replica->staged_last = last;
}

void join_raise_held(struct replica *replica, const struct unit *unit)
{
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (cell->sequence > replica->held.sequence[cell->origin])
            replica->held.sequence[cell->origin] = cell->sequence;
    }
}

// What a closed incarnation wrote beyond its end is nobody's any more.
static void drop_beyond_seals(const struct replica *replica, struct unit *arriving)
{
    for (uint16_t i = arriving->count; i-- > 0;) {
        const struct cell *cell = &arriving->cells[i];
        const struct seal *seal = &replica->node.seals[cell->origin];
        if (seal->is_set && cell->sequence > seal->sequence)
            unit_remove(arriving, cell->origin);
    }
}

static enum change_op op_of(const struct address *address, unsigned changed)
{
    if (address->kind == UNIT_LEASE)
        return CHANGE_LEASE;
    if (address->kind == UNIT_MEMBER)
        return changed & CELL_CHANGED_RESET ? CHANGE_REMOVE : CHANGE_ADD;
    if (changed & CELL_CHANGED_BASE)
        return CHANGE_SET;
    return changed & CELL_CHANGED_RESET ? CHANGE_RESET : CHANGE_ADD;
}

// A unit under an address that is not here yet: joined apart first, so that cells that the absent
// rule ignores leave no record behind.
static int join_absent(struct replica *replica, const struct address *address,
                       const struct unit *arriving, const struct vector *seen)
{
    unsigned changed;
    unit_clear(&replica->scratch);
    int fault = unit_join(&replica->scratch, arriving->cells, arriving->count, seen, &changed);
    if (fault || replica->scratch.count == 0)
        return fault;
    enum cell_type type = (enum cell_type)replica->scratch.cells[0].type;
    struct record *record = cells_record(replica, address, type);
    if (!record)
        return -ENOMEM;
    fault = record_store(replica->keyspace, record, &replica->scratch);
    if (fault)
        return fault;
    struct unit_view nothing = {.type = type};
    if (changed & CELL_CHANGED_RESET)
        collect_wanted(replica);
    if (replica->is_recovering && address->kind == UNIT_LEASE)
        lease_recovered(replica, record);
    if (address->kind == UNIT_MEMBER && members_seen(replica, record, arriving))
        return -ENOMEM;
    return cells_settle(replica, record, nothing, op_of(address, changed));
}

static bool is_plain_life(const struct unit *unit, enum cell_type type)
{
    const struct cell *cell = &unit->cells[0];
    return unit->count == 1 && cell->birth && cell->write == cell->sequence && !cell->cut_write &&
           !cell->reset && !cell->base.sequence && !cell->base.cut && !cell->content_len &&
           cell->type == type;
}

// The common case by far: a later write of the one life that is here. False: not that.
static bool join_plain(struct replica *replica, struct record *record, const struct unit *arriving,
                       int *out_fault)
{
    struct plain_cell own;
    const struct cell *cell = &arriving->cells[0];
    if (record_parent(record) || record_has_tokens(record) || !record_plain(record, &own) ||
        own.type > CELL_GCOUNTER || !is_plain_life(arriving, own.type) ||
        cell->origin != own.origin || cell->birth != own.birth)
        return false;
    *out_fault = 0;
    if (cell->sequence <= own.sequence)
        return true;
    int64_t difference = (int64_t)((uint64_t)cell->total - (uint64_t)own.total);
    own.sequence = cell->sequence;
    own.total = cell->total;
    *out_fault = record_put_plain(replica->keyspace, record, &own);
    if (*out_fault)
        return true;
    int64_t value = record_shift(record, difference);
    keyspace_change_put(replica->keyspace, record);
    note_put(replica, record, (int64_t)((uint64_t)value - (uint64_t)difference), difference,
             CHANGE_ADD);
    if (own.origin == replica->self)
        cells_near(replica, record, cell->total);
    *out_fault = cells_log(replica, record);
    return true;
}

static int join_present(struct replica *replica, const struct address *address,
                        struct record *record, const struct unit *arriving,
                        const struct vector *seen)
{
    int outcome;
    if (join_plain(replica, record, arriving, &outcome))
        return outcome;
    struct unit_view before = cells_shown(replica, record);
    unsigned changed;
    struct unit *unit = cells_load(replica, record);
    if (!unit)
        return -ENOMEM;
    int fault = unit_join(unit, arriving->cells, arriving->count, seen, &changed);
    if (fault || !changed)
        return fault;
    fault = cells_store(replica, record);
    if (fault)
        return fault;
    if (changed & CELL_CHANGED_RESET)
        collect_wanted(replica);
    if (replica->is_recovering && address->kind == UNIT_LEASE)
        lease_recovered(replica, record);
    if (address->kind == UNIT_MEMBER && members_seen(replica, record, arriving))
        return -ENOMEM;
    return cells_settle(replica, record, before, op_of(address, changed));
}

struct arrival {
    struct address address;
    struct unit unit;
    uint64_t hash;
};

static int join_one(struct replica *replica, struct arrival *arrival, const struct vector *seen)
{
    drop_beyond_seals(replica, &arrival->unit);
    join_raise_held(replica, &arrival->unit);
    replica->counts.units_joined++;
    const struct address *address = &arrival->address;
    int fault =
        address->kind == UNIT_KEY ? members_floors(replica, address, &arrival->unit, seen) : 0;
    struct record *record = keyspace_find(replica->keyspace, address, arrival->hash);
    if (address->kind == UNIT_MEMBER)
        fault = members_filter(replica, address, record, &arrival->unit);
    if (fault)
        return fault;
    return record ? join_present(replica, &arrival->address, record, &arrival->unit, seen)
                  : join_absent(replica, &arrival->address, &arrival->unit, seen);
}

// Reads up to JOIN_BATCH units. out_outcome: of what came after them.
static unsigned read_batch(struct replica *replica, struct reader *reader,
                           const struct origin_map *map, struct arrival *batch, int *out_outcome)
{
    unsigned count = 0;
    *out_outcome = 0;
    while (count < JOIN_BATCH && reader_left(reader)) {
        struct arrival *arrival = &batch[count];
        *out_outcome = unit_read(reader, map, &arrival->address, &arrival->unit);
        if (*out_outcome)
            break;
        arrival->hash = keyspace_hash(replica->keyspace, &arrival->address);
        keyspace_prefetch(replica->keyspace, arrival->hash);
        count++;
    }
    for (unsigned i = 0; i < count; i++)
        keyspace_prefetch_record(replica->keyspace, batch[i].hash);
    return count;
}

// In batches, so that the records are on their way into the cache when they are joined.
int join_units(struct replica *replica, struct span units, const struct origin_map *map,
               const struct vector *seen)
{
    struct reader reader = reader_of(units);
    struct arrival batch[JOIN_BATCH];
    for (unsigned i = 0; i < JOIN_BATCH; i++)
        unit_init(&batch[i].unit, replica->heap);
    int outcome = 0;
    while (!outcome && reader_left(&reader)) {
        int rest;
        unsigned count = read_batch(replica, &reader, map, batch, &rest);
        for (unsigned i = 0; i < count && !outcome; i++)
            outcome = join_one(replica, &batch[i], seen);
        if (!outcome)
            outcome = rest;
    }
    for (unsigned i = 0; i < JOIN_BATCH; i++)
        unit_deinit(&batch[i].unit);
    return outcome;
}

// A round out of turn, or one from a sender that takes us for further than we are, is not joined: a
// part that is missing before it would be vouched for by its `upto`.
static bool is_in_turn(const struct replica *replica, const struct link *link,
                       const struct peer_feed *feed)
{
    return feed->number == link->rounds_done + 1 &&
           (!feed->is_final || vector_is_covering(&replica->vector, &feed->from));
}

static int join_round(struct replica *replica, struct staged *staged)
{
    struct link *link = &replica->node.links[staged->link];
    struct peer_feed feed;
    if (peer_parse_feed(staged->body, &replica->origins, &feed) ||
        !is_in_turn(replica, link, &feed) ||
        !node_take(&replica->node, staged->link, &replica->vector, &feed.upto))
        return UNIT_E_MALFORMED;
    int outcome = join_units(replica, feed.units, &feed.dictionary, &replica->vector);
    if (outcome)
        return outcome;
    if (feed.is_final) {
        feed.upto.sequence[replica->self] = 0; // nobody tells us what we wrote
        if (vector_join(&replica->vector, &feed.upto))
            replica->is_frame_needed = true;
    }
    link->rounds_done++;
    replica->counts.rounds_joined++;
    return 0;
}

int join_all(struct replica *replica)
{
    replica->cause = CHANGE_PEER;
    while (replica->staged_first) {
        struct staged *staged = replica->staged_first;
        replica->staged_first = staged->next;
        if (!staged->next)
            replica->staged_last = NULL;
        const struct link *link = &replica->node.links[staged->link];
        int outcome = 0;
        if (link->state == LINK_RUNNING && link->boot == staged->sent_at)
            outcome = join_round(replica, staged);
        if (outcome > 0) {
            // Malformed or out of turn: V does not move, the link starts anew. What was joined of
            // it stays: cells are true wherever they come from.
            replica->counts.rounds_refused++;
            effects_put_text(&replica->effects, EFFECT_LOG, staged->link,
                             "a round that cannot be joined: link closed");
            effects_put(&replica->effects, EFFECT_CLOSE, staged->link);
            replica->node.links[staged->link].state = LINK_CLOSING;
        }
        free_staged(replica, staged);
        if (outcome < 0)
            return outcome;
    }
    replica->cause = CHANGE_LOCAL;
    return 0;
}
