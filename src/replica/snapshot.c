// SPDX-License-Identifier: Apache-2.0
// A snapshot is a walk over the keyspace into the journal, beside running commits, a part a commit.
// Its frontier is V and the log's position at its start: what changes behind the walk is in the
// log.
#include "replica/private.h"

static void snapshot_visit(void *ctx, struct record *record)
{
    struct replica *replica = ctx;
    record_write(record, NULL, &replica->snapshot_frame);
}

static int begin(struct replica *replica)
{
    int fault = journal_snapshot_begin(replica->journal);
    if (fault)
        return fault;
    replica->is_snapshotting = true;
    replica->snapshot_bytes = 0;
    replica->snapshot_cursor = 0;
    buf_clear(&replica->snapshot_frame);
    return 0;
}

static int finish(struct replica *replica)
{
    replica->is_snapshotting = false;
    int fault = journal_snapshot_end(replica->journal);
    if (!fault)
        replica->counts.snapshots++;
    buf_shrink(&replica->snapshot_frame, 0);
    return fault;
}

struct part { // of the walk, in one commit
    size_t bytes;
    unsigned records;
};

// However much commits log, the walk gets on twice as fast: it ends before half a snapshot's bytes
// have been logged beside it.
static struct part part_after(const struct replica *replica)
{
    struct part part = {.bytes = replica->round_bytes, .records = 128 * replica->scan_step};
    if (part.bytes < 2 * replica->units.len)
        part.bytes = 2 * replica->units.len;
    if (part.records < 2 * replica->units_count)
        part.records = 2 * replica->units_count;
    return part;
}

// A snapshot costs its own size: the log may grow to twice that beyond the threshold, so that
// snapshots are at most a third of what is written, however many counters there are.
static bool is_due(const struct replica *replica)
{
    return journal_bytes_since_snapshot(replica->journal) >=
           replica->snapshot_after_bytes + 2 * replica->snapshot_bytes;
}

int snapshot_step(struct replica *replica)
{
    struct buf *frame = &replica->snapshot_frame;
    if (!replica->is_snapshotting) {
        if (!is_due(replica))
            return 0;
        int fault = begin(replica);
        if (fault)
            return fault;
    }
    // Its dictionary must have every origin of the units that follow: not before they are written.
    frame_open(replica, frame, replica->snapshot_cursor == 0 ? FRAME_MEMBERS | FRAME_DROPPED : 0);
    unsigned step = replica->scan_step, scanned = 0;
    struct part part = part_after(replica);
    do {
        replica->snapshot_cursor = keyspace_scan(replica->keyspace, replica->snapshot_cursor, step,
                                                 snapshot_visit, replica);
        scanned += step;
    } while (replica->snapshot_cursor && frame->len < part.bytes && scanned < part.records);
    if (buf_has_failed(frame)) {
        // Out of memory: the log is complete without this snapshot; try again later.
        journal_snapshot_abort(replica->journal);
        replica->is_snapshotting = false;
        buf_clear(frame);
        return 0;
    }
    replica->wants_commit = true;
    replica->snapshot_bytes += frame->len;
    int fault = journal_snapshot_put(replica->journal, buf_span(frame));
    if (fault)
        return fault;
    buf_clear(frame);
    return replica->snapshot_cursor == 0 ? finish(replica) : 0;
}
