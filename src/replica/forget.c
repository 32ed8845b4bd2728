// SPDX-License-Identifier: Apache-2.0
// Beginning anew from a directory that is older than what the others have dropped (node/age.c).
// What every member has goes, and V with it, in one commit whose frame says so; what may be here
// alone stays. Recovery forgets the same at the same place.
#include "replica/private.h"

void forget_begin(struct replica *replica, uint32_t link)
{
    node_begin_anew(&replica->node, link);
    replica->vector = replica->before = replica->durable = (struct vector){0};
    replica->is_forgetting = replica->wants_commit = true;
    replica->counts.forgettings++;
}

struct forgetting {
    struct replica *replica;
    const struct vector *limits;
    int fault;
};

static bool is_any_covered(const struct unit *unit, const struct vector *limits)
{
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        uint64_t limit = limits->sequence[cell->origin];
        if (cell->sequence <= limit || cell->write <= limit || base_newest(&cell->base) <= limit ||
            cell->reset <= limit)
            return true;
    }
    return false;
}

// Rows of bounded counters are read together: one that is here alone stands on those of others.
// They count as long as their creation lives, which is forgotten like any base. What retries were
// added under goes by its own age.
static bool is_kept_whole(const struct record *record, const struct unit *unit,
                          const struct vector *limits)
{
    enum unit_kind kind = record_address(record).kind;
    bool is_any_beyond = false;
    for (uint16_t i = 0; i < unit->count; i++)
        is_any_beyond |= unit->cells[i].sequence > limits->sequence[unit->cells[i].origin];
    return kind == UNIT_TOKEN || (kind == UNIT_RIGHT && is_any_beyond);
}

static int forget_record(struct replica *replica, struct record *record,
                         const struct vector *limits)
{
    struct unit_view before = cells_shown(replica, record);
    struct unit *unit = cells_load(replica, record);
    if (!unit)
        return -ENOMEM;
    unit_forget(unit, limits);
    int fault = cells_store(replica, record);
    return fault ? fault : cells_settle(replica, record, before, CHANGE_RESET);
}

static void forget_visit(void *ctx, struct record *record)
{
    struct forgetting *forgetting = ctx;
    struct replica *replica = forgetting->replica;
    if (!forgetting->fault)
        forgetting->fault = members_ready(replica, record);
    const struct unit *unit = cells_read(replica, record);
    if (!forgetting->fault && is_any_covered(unit, forgetting->limits) &&
        !is_kept_whole(record, unit, forgetting->limits))
        forgetting->fault = forget_record(replica, record, forgetting->limits);
    join_raise_held(replica, cells_read(replica, record));
}

int forget_cells(struct replica *replica, const struct vector *limits)
{
    struct forgetting forgetting = {replica, limits, 0};
    replica->held = replica->sweep_stable = (struct vector){0};
    replica->sweep_cursor = 0;
    uint64_t cursor = 0;
    do {
        cursor = keyspace_scan(replica->keyspace, cursor, 1024, forget_visit, &forgetting);
    } while (cursor);
    collect_wanted(replica);
    return forgetting.fault;
}

int forget_due(struct replica *replica)
{
    if (!replica->is_forgetting)
        return 0;
    replica->is_forgetting = false;
    replica->has_forgotten = replica->is_frame_needed = true;
    replica->cause = CHANGE_PEER;
    return forget_cells(replica, &replica->node.dropped);
}
