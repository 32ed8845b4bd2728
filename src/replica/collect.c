// SPDX-License-Identifier: Apache-2.0
// Collection: when the stable vector has moved and something may be dead, a sweep over the keyspace
// in bounded steps drops stable reset records, dead cells and empty records. Nothing is journaled:
// what a recovery brings back is dead still and is swept again.
#include "replica/private.h"

#define SWEEP_STEPS 8 // a commit

void collect_wanted(struct replica *replica)
{
    replica->is_sweep_wanted = true;
}

static bool is_plain(const struct unit *unit)
{
    const struct cell *cell = &unit->cells[0];
    return unit->count == 1 && cell->cuts_count == 0 && cell->cut_write == 0;
}

static void drop_record(struct replica *replica, struct record *record)
{
    struct note note;
    lease_forget(replica, record);
    if (keyspace_remove(replica->keyspace, record, record_value(record))) {
        note_take(replica, record, &note);
        replica->counts.collected++;
    } else {
        replica->sweep_left++; // in use, or still on the dirty queue
    }
}

static void sweep_visit(void *ctx, struct record *record)
{
    struct replica *replica = ctx;
    uint16_t origin;
    uint32_t flags = record_flags(record);
    bool is_bare = record_small(record, &origin) && origin == ORIGIN_NONE;
    struct unit *unit = record_unit(record);
    if (unit) {
        unit_collect(unit, &replica->sweep_stable, &replica->vector);
        if (unit->count == 1 && is_plain(unit)) {
            // Back to the small form, when the cell fits it.
            struct unit moved = *unit;
            unit_init(unit, replica->heap);
            if (record_store(replica->keyspace, record, &moved))
                *unit = moved;
            else
                unit_deinit(&moved);
            unit = record_unit(record);
        }
        is_bare = unit && unit->count == 0;
    }
    if (is_bare && !(flags & (RECORD_LIVE | RECORD_DIRTY)) && !record_first_child(record)) {
        drop_record(replica, record);
        return;
    }
    for (uint16_t i = 0; unit && i < unit->count; i++)
        replica->sweep_left += unit->cells[i].reset || cell_is_dead(&unit->cells[i]);
}

void collect_step(struct replica *replica)
{
    if (!replica->is_sweep_wanted)
        return;
    if (replica->sweep_cursor == 0) {
        if (vector_is_covering(&replica->sweep_stable, node_stable(&replica->node)))
            return;
        replica->sweep_stable = *node_stable(&replica->node);
        replica->sweep_left = 0;
    }
    replica->sweep_cursor = keyspace_scan(replica->keyspace, replica->sweep_cursor,
                                          SWEEP_STEPS * replica->scan_step, sweep_visit, replica);
    if (replica->sweep_cursor == 0)
        replica->is_sweep_wanted = replica->sweep_left > 0;
    else
        replica->wants_commit = true;
}
