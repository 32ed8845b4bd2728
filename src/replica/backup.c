// SPDX-License-Identifier: Apache-2.0
// An online backup: the journal holds a snapshot and the log since it while somebody reads them
// piece by piece. Who stops reading for a minute has gone, and the hold ends: held files take room.
#include "replica/private.h"

#define BACKUP_REST_MS 60000u

int replica_backup_begin(struct replica *replica, uint64_t *out_id)
{
    if (replica->backup.is_open)
        return REPLICA_E_BUSY;
    int fault = journal_hold(replica->journal);
    if (fault)
        return fault;
    replica->backup.is_open = true;
    replica->backup.touched_ms = replica->now_ms;
    *out_id = ++replica->backup.id;
    return 0;
}

unsigned replica_backup_count(const struct replica *replica)
{
    return journal_held_count(replica->journal);
}

int replica_backup_file(const struct replica *replica, unsigned index,
                        struct journal_held *out_held)
{
    return journal_held_file(replica->journal, index, out_held);
}

static bool find_file(const struct replica *replica, struct span name, unsigned *out_index)
{
    unsigned count = journal_held_count(replica->journal);
    struct journal_held held;
    for (*out_index = 0; *out_index < count; ++*out_index) {
        if (!journal_held_file(replica->journal, *out_index, &held) &&
            span_is_equal(span_text(held.name), name))
            return true;
    }
    return false;
}

int replica_backup_read(struct replica *replica, uint64_t id, struct span name, uint64_t offset,
                        struct buf *out)
{
    unsigned index;
    if (!replica->backup.is_open || replica->backup.id != id || !find_file(replica, name, &index))
        return REPLICA_E_GONE;
    replica->backup.touched_ms = replica->now_ms;
    return journal_held_read(replica->journal, index, offset, LIMIT_BACKUP_BYTES, out);
}

int replica_backup_end(struct replica *replica, uint64_t id)
{
    if (!replica->backup.is_open || replica->backup.id != id)
        return REPLICA_E_GONE;
    replica->backup.is_open = false;
    return journal_release(replica->journal);
}

bool replica_is_backed_up(const struct replica *replica)
{
    return replica->backup.is_open;
}

void backup_tick(struct replica *replica)
{
    if (!replica->backup.is_open || replica->now_ms < replica->backup.touched_ms + BACKUP_REST_MS)
        return;
    replica->backup.is_open = false;
    effects_put_text(&replica->effects, EFFECT_LOG, 0,
                     "a backup was not read for a minute: given up");
    journal_release(replica->journal); // a fault is final, and the next commit tells it
}
