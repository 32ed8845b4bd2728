// SPDX-License-Identifier: Apache-2.0
// Collection: when the stable vector has moved and something may be dead, a sweep over the keyspace
// in bounded steps drops stable reset records, dead cells and empty records. No drop is journaled,
// for what a recovery brings back is dead still and is swept again; but how far it goes is, since
// others are told (node/age.c).
#include "replica/private.h"

#define SWEEP_STEPS 8 // a commit

void collect_wanted(struct replica *replica)
{
    replica->is_sweep_wanted = true;
}

// A parent may have been passed by before its last child went: it goes with it.
void collect_bare(struct replica *replica, struct record *record)
{
    while (record && record_is_bare(record) && !record_is_parent(record) &&
           record_address(record).kind != UNIT_TOKEN) {
        struct record *parent = record_parent(record);
        struct note note;
        if (record_flags(record) & RECORD_LIVE)
            return; // a worker's, just now
        lease_forget(replica, record);
        expiry_forget(replica, record);
        bounded_forget(replica, record);
        if (parent)
            note_forget_member(replica, record);
        handoff_forget(replica, record);
        if (!keyspace_remove(replica->keyspace, record, record_value(record))) {
            replica->sweep_left++; // in use, or still on the dirty queue
            return;
        }
        note_take(replica, record, &note);
        members_forget(replica, record);
        replica->counts.collected++;
        record = parent;
    }
}

// Nobody will end the leases of a closed history, and nobody shows them: they end by themselves,
// everywhere alike.
static bool end_closed_leases(const struct replica *replica, struct unit *unit)
{
    bool is_any = false;
    for (uint16_t i = 0; i < unit->count; i++) {
        struct cell *cell = &unit->cells[i];
        if (lease_is_running(&cell->lease) && replica->node.seals[cell->origin].is_set)
            is_any = cell->lease.ended = true;
    }
    return is_any;
}

// Out of memory, a record stays as it is for the next sweep.
static void sweep_cells(struct replica *replica, struct record *record)
{
    struct unit *unit = cells_load(replica, record);
    bool is_changed =
        unit && record_address(record).kind == UNIT_LEASE && end_closed_leases(replica, unit);
    is_changed |= unit && unit_collect(unit, &replica->sweep_stable, &replica->vector);
    replica->sweep_left += !unit;
    for (uint16_t i = 0; unit && i < unit->count; i++)
        replica->sweep_left += unit->cells[i].reset || cell_is_dead(&unit->cells[i]);
    if (is_changed)
        replica->sweep_left += cells_store(replica, record) != 0;
}

// What was written to a bounded counter after a DEL elsewhere had taken it away.
static void take_litter(struct replica *replica, struct record *record)
{
    if (record_address(record).kind != UNIT_RIGHT || !bounded_is_litter(replica, record))
        return;
    replica->sweep_left += change_reset(replica, record, CHANGE_RESET) != 0;
}

static void sweep_visit(void *ctx, struct record *record)
{
    struct replica *replica = ctx;
    struct plain_cell plain;
    if (record_is_stale(record)) { // members_sweep comes for it
        replica->sweep_left++;
        return;
    }
    take_litter(replica, record);
    // What tokens stand for is told by the lives of their key, cut ones too.
    if (!record_is_bare(record) && !record_plain(record, &plain) && !record_has_tokens(record))
        sweep_cells(replica, record);
    if (record_is_parent(record))
        members_drop_floors(replica, record);
    collect_bare(replica, record);
}

void collect_key(struct replica *replica, struct record *key)
{
    struct vector stable = replica->sweep_stable;
    uint64_t left = replica->sweep_left;
    replica->sweep_stable = *node_stable(&replica->node);
    sweep_visit(replica, key);
    replica->sweep_stable = stable;
    replica->is_sweep_wanted |= replica->sweep_left != left;
    replica->sweep_left = left;
}

bool collect_is_due(const struct replica *replica)
{
    if (replica->stale_count)
        return false; // members that a DEL left behind come first
    return replica->sweep_cursor != 0 || replica->is_sweep_forced ||
           (replica->is_sweep_wanted &&
            !vector_is_covering(&replica->sweep_stable, node_stable(&replica->node)));
}

void collect_step(struct replica *replica)
{
    if (!collect_is_due(replica))
        return;
    if (replica->sweep_cursor == 0) {
        node_drop_stable(&replica->node);
        replica->sweep_stable = *node_stable(&replica->node);
        replica->sweep_left = 0;
        replica->is_sweep_forced = false;
        replica->is_sweep_wanted = false; // what dies from here on wants the next one
    }
    replica->sweep_cursor = keyspace_scan(replica->keyspace, replica->sweep_cursor,
                                          SWEEP_STEPS * replica->scan_step, sweep_visit, replica);
    if (replica->sweep_cursor == 0)
        replica->is_sweep_wanted |= replica->sweep_left > 0;
    else
        replica->wants_commit = true;
}
