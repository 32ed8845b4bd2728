// SPDX-License-Identifier: Apache-2.0
// Presence leases. A lease is a duration on the monotonic clock of the replica that took the
// heartbeat; that replica alone ends it, by a committed change that every other one sees. While it
// is silent itself, others hide its leases. Refreshes that change nothing others can see are not
// committed: only the deadline moves.
#include "replica/private.h"

static struct timer *timer_find(const struct replica *replica, const struct record *record)
{
    uint32_t at;
    return record_map_find(&replica->timers_by_record, record, &at) ? &replica->timers[at] : NULL;
}

static int timers_grow(struct replica *replica)
{
    size_t cap = replica->timers_cap ? replica->timers_cap * 2 : 16;
    struct timer *timers = heap_resize(replica->heap, replica->timers,
                                       replica->timers_cap * sizeof *timers, cap * sizeof *timers);
    if (!timers)
        return -ENOMEM;
    replica->timers = timers;
    replica->timers_cap = cap;
    return 0;
}

static struct timer *timer_obtain(struct replica *replica, struct record *record)
{
    struct timer *timer = timer_find(replica, record);
    if (timer)
        return timer;
    if (replica->timers_count == replica->timers_cap && timers_grow(replica))
        return NULL;
    if (record_map_put(&replica->timers_by_record, record, (uint32_t)replica->timers_count))
        return NULL;
    timer = &replica->timers[replica->timers_count++];
    *timer = (struct timer){.record = record};
    return timer;
}

// The last one takes its place.
static void timer_remove(struct replica *replica, struct timer *timer)
{
    record_map_remove(&replica->timers_by_record, timer->record);
    const struct timer *last = &replica->timers[--replica->timers_count];
    if (timer == last)
        return;
    *timer = *last;
    // Its entry is there already: nothing is allocated.
    record_map_put(&replica->timers_by_record, timer->record, (uint32_t)(timer - replica->timers));
}

void lease_forget_all(struct replica *replica)
{
    replica->timers_count = 0;
    record_map_clear(&replica->timers_by_record);
}

static void timer_arm(struct replica *replica, struct timer *timer)
{
    timer->deadline_ms = replica->now_ms + timer->ttl_ms;
    if (timer->deadline_ms < replica->timers_due_ms || replica->timers_count == 1)
        replica->timers_due_ms = timer->deadline_ms;
}

void lease_forget(struct replica *replica, struct record *record)
{
    struct timer *timer = timer_find(replica, record);
    if (timer)
        timer_remove(replica, timer);
}

// One that recovery found; it runs from when this replica serves.
void lease_recovered(struct replica *replica, struct record *record)
{
    const struct cell *cell = cells_own(replica, record);
    if (!cell || cell->type != CELL_PRESENCE)
        return;
    if (cell->lease.ended) {
        lease_forget(replica, record);
        return;
    }
    struct timer *timer = timer_obtain(replica, record);
    if (!timer)
        return;
    timer->ttl_ms = cell->lease.ttl_ms;
    timer->epoch = cell->lease.epoch;
    timer->sequence = cell->lease.sequence;
}

// The identity is settled, so what is ours can be written from here on. A lease that was found runs
// its whole duration again: its owner may well be alive.
void lease_start(struct replica *replica)
{
    replica->timers_due_ms = UINT64_MAX;
    for (size_t i = replica->timers_count; i-- > 0;) {
        struct timer *timer = &replica->timers[i];
        const struct cell *own = cells_own(replica, timer->record);
        if (own && !own->lease.ended)
            timer_arm(replica, timer);
        else
            timer_remove(replica, timer);
    }
}

static int write_lease(struct replica *replica, struct record *record, const struct lease *lease)
{
    struct unit_view before = cells_shown(replica, record);
    struct unit *unit = cells_load(replica, record);
    struct cell *cell = unit ? unit_obtain(unit, replica->self) : NULL;
    if (!cell)
        return -ENOMEM;
    cell->type = CELL_PRESENCE;
    cell->sequence = cells_next(replica);
    cell->lease = *lease;
    int fault = cells_store(replica, record);
    if (fault)
        return fault;
    if (lease->ended)
        collect_wanted(replica);
    return cells_settle(replica, record, before, CHANGE_LEASE);
}

// Whether what others see would change: the count, a lease that had ended, or another replica's
// cell that is newer than the last one we committed.
static bool is_news(struct replica *replica, struct record *record,
                    const struct lease_request *request)
{
    const struct unit *unit = cells_read(replica, record);
    const struct cell *own = unit_find(unit, replica->self);
    if (!own || own->lease.ended || own->lease.count != request->count ||
        own->lease.ttl_ms != request->ttl_ms || own->lease.epoch != request->epoch)
        return true;
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct lease *other = &unit->cells[i].lease;
        if (&unit->cells[i] != own && !other->ended &&
            (other->epoch > own->lease.epoch ||
             (other->epoch == own->lease.epoch && other->sequence >= own->lease.sequence)))
            return true;
    }
    return false;
}

static bool is_stale(const struct timer *timer, const struct lease_request *request)
{
    return request->epoch < timer->epoch ||
           (request->epoch == timer->epoch && request->sequence < timer->sequence);
}

int replica_presence_set(struct replica *replica, const struct lease_request *request,
                         int64_t *out_total)
{
    struct address key = {.kind = UNIT_KEY, .key = request->key};
    struct address address = {.kind = UNIT_LEASE, .key = request->key, .sub = request->owner};
    struct record *parent = cells_record(replica, &key, CELL_PRESENCE);
    if (!parent)
        return -ENOMEM;
    if ((record_flags(parent) & RECORD_LIVE) && record_type(parent) != CELL_PRESENCE)
        return CHANGE_E_TYPE;
    struct record *record = cells_record(replica, &address, CELL_PRESENCE);
    struct timer *timer = record ? timer_obtain(replica, record) : NULL;
    if (!timer)
        return -ENOMEM;
    struct lease_request numbered = *request;
    if (request->epoch == 0 && request->sequence == 0) {
        numbered.epoch = timer->epoch;
        numbered.sequence = timer->sequence + 1;
    } else if (is_stale(timer, request)) {
        *out_total = record_value(parent);
        return CHANGE_E_STALE;
    }
    struct lease lease = {.epoch = numbered.epoch,
                          .sequence = numbered.sequence,
                          .count = numbered.count,
                          .ttl_ms = numbered.ttl_ms,
                          .ended = numbered.count == 0};
    int fault = is_news(replica, record, &numbered) ? write_lease(replica, record, &lease) : 0;
    if (fault)
        return fault;
    timer->epoch = numbered.epoch;
    timer->sequence = numbered.sequence;
    timer->ttl_ms = numbered.ttl_ms;
    timer_arm(replica, timer);
    *out_total = record_value(parent);
    return 0;
}

// Ends a lease of ours, whatever its owner said last, and stops its timer.
int lease_end(struct replica *replica, struct record *record)
{
    const struct cell *own = cells_own(replica, record);
    struct timer *timer = timer_find(replica, record);
    if (!own || own->lease.ended) {
        lease_forget(replica, record);
        return 0;
    }
    struct lease lease = own->lease;
    lease.count = 0;
    lease.ended = true;
    if (timer) {
        lease.epoch = timer->epoch;
        lease.sequence = timer->sequence;
        timer_remove(replica, timer);
    }
    return write_lease(replica, record, &lease);
}

bool lease_is_due(const struct replica *replica)
{
    return replica->is_serving && replica->timers_count &&
           replica->now_ms >= replica->timers_due_ms;
}

int lease_expire(struct replica *replica)
{
    if (!lease_is_due(replica))
        return 0;
    uint64_t due = UINT64_MAX;
    replica->cause = CHANGE_EXPIRY;
    for (size_t i = 0; i < replica->timers_count;) {
        const struct timer *timer = &replica->timers[i];
        if (replica->now_ms < timer->deadline_ms) {
            due = timer->deadline_ms < due ? timer->deadline_ms : due;
            i++;
            continue;
        }
        int fault = lease_end(replica, timer->record); // the last timer is at i now
        if (fault)
            return fault;
    }
    replica->timers_due_ms = due;
    replica->cause = CHANGE_LOCAL;
    return 0;
}

struct rehide {
    struct replica *replica;
    int fault;
};

static void rehide_visit(void *ctx, struct record *record)
{
    struct rehide *rehide = ctx;
    if (record_address(record).kind != UNIT_LEASE || rehide->fault)
        return;
    struct unit_view before = cells_shown(rehide->replica, record);
    struct unit_view after = cells_view(rehide->replica, record);
    if (after.value != before.value || after.is_live != before.is_live)
        rehide->fault = cells_settle(rehide->replica, record, before, CHANGE_LEASE);
}

int lease_rehide(struct replica *replica)
{
    struct rehide rehide = {replica, 0};
    if (!replica->is_hiding_changed)
        return 0;
    replica->is_hiding_changed = false;
    replica->cause = CHANGE_EXPIRY;
    uint64_t cursor = 0;
    do {
        cursor = keyspace_scan(replica->keyspace, cursor, 1024, rehide_visit, &rehide);
    } while (cursor);
    replica->cause = CHANGE_LOCAL;
    return rehide.fault;
}

bool replica_presence_list(struct replica *replica, struct span key, lease_visit visit, void *ctx)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    struct record *parent =
        keyspace_find(replica->keyspace, &address, keyspace_hash(replica->keyspace, &address));
    if (!parent)
        return false;
    for (uint32_t i = 0; i < record_children_count(parent); i++) {
        struct record *child = record_child_at(parent, i);
        struct address owner = record_address(child);
        if (owner.kind != UNIT_LEASE || !(record_flags(child) & RECORD_LIVE))
            continue;
        const struct timer *timer = timer_find(replica, child);
        const struct cell *shown = unit_lease_shown(cells_read(replica, child), replica->is_hidden);
        if (!shown)
            continue;
        bool is_ours = timer && shown->origin == replica->self;
        struct lease_row row = {.owner = owner.sub,
                                .origin = shown->origin,
                                .count = record_value(child),
                                .ttl_left_ms =
                                    is_ours ? (int64_t)(timer->deadline_ms - replica->now_ms) : -1};
        visit(ctx, &row);
    }
    return true;
}
