// SPDX-License-Identifier: Apache-2.0
// One step of a reader: along the change order, or a part of a walk.
#include "replica/follow.h"
#include "replica/private.h"

#define WALK_STEP 64u
#define WALK_MAX  16384u // records looked at in one step

struct telling {
    struct replica *replica;
    const struct vector *known;
    follow_visit visit;
    void *ctx;
    unsigned count;
};

void follow_begin(struct follow *follow, const struct replica *replica, const struct vector *since)
{
    *follow = (struct follow){.change = keyspace_change_newest(replica->keyspace)};
    follow->known = since ? *since : replica->durable;
    if (!since || vector_is_covering(since, &replica->durable))
        return;
    follow->is_walking = true;
    follow->walk_change = follow->change;
    follow->upto = replica->durable;
}

bool follow_is_even(const struct follow *follow, const struct replica *replica)
{
    return !follow->is_walking && follow->change == keyspace_change_newest(replica->keyspace) &&
           vector_is_covering(&follow->known, &replica->durable);
}

// By the part that the cell's newest sequence belongs to.
static const char *op_of(enum unit_kind kind, const struct cell *cell)
{
    if (kind == UNIT_LEASE)
        return lease_is_running(&cell->lease) ? "presence" : "end";
    if (cell->sequence == base_newest(&cell->base) && cell->base.sequence > cell->base.cut)
        return "set";
    if (cell->sequence == cell->reset || !cell_is_live(cell))
        return kind == UNIT_KEY ? "reset" : "remove";
    return "add";
}

static void tell(void *ctx, struct record *record)
{
    struct telling *telling = ctx;
    struct replica *replica = telling->replica;
    if (!record_has_news(record, telling->known))
        return;
    struct record *key = record_parent(record) ? record_parent(record) : record;
    struct unit *unit = &replica->reading;
    if (record_load(record, unit))
        return;
    struct follow_item item = {.address = record_address(record),
                               .type = record_type(key),
                               .value = record_value_now(key),
                               .is_live = (record_flags(key) & RECORD_LIVE) != 0};
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (cell->sequence <= telling->known->sequence[cell->origin])
            continue;
        item.op = op_of(item.address.kind, cell);
        item.origin = cell->origin;
        item.sequence = cell->sequence;
        telling->visit(telling->ctx, &item);
        telling->count++;
    }
}

static bool walk(struct follow *follow, struct replica *replica, unsigned max,
                 struct telling *telling)
{
    unsigned looked = 0;
    do {
        follow->walk = keyspace_scan(replica->keyspace, follow->walk, WALK_STEP, tell, telling);
        looked += WALK_STEP;
    } while (follow->walk && telling->count < max && looked < WALK_MAX);
    if (follow->walk)
        return false;
    follow->is_walking = false;
    follow->change = follow->walk_change;
    vector_join(&follow->known, &follow->upto);
    return true;
}

bool follow_next(struct follow *follow, struct replica *replica, unsigned max, follow_visit visit,
                 void *ctx)
{
    struct vector known = follow->known;
    struct telling telling = {replica, &known, visit, ctx, 0};
    const struct keyspace *keyspace = replica->keyspace;
    uint64_t newest = keyspace_change_newest(keyspace);
    if (!follow->is_walking && follow->change + 1 < keyspace_change_oldest(keyspace)) {
        follow->is_walking = true;
        follow->walk = 0;
        follow->walk_change = newest;
        follow->upto = replica->durable;
    }
    if (follow->is_walking)
        return walk(follow, replica, max, &telling);
    follow->change = keyspace_change_skip(keyspace, follow->change + 1) - 1;
    while (follow->change < newest && telling.count < max) {
        struct record *record = keyspace_change_at(keyspace, ++follow->change);
        if (record)
            tell(&telling, record);
    }
    if (follow->change < newest)
        return false;
    vector_join(&follow->known, &replica->durable);
    return true;
}
