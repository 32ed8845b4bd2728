// SPDX-License-Identifier: Apache-2.0
// What clients ask of cells beyond adding: observed resets, SET, creation. Each first takes in what
// workers have added to the record, so that a reset observes exactly what was acknowledged before
// it.
#include "base/hash.h"
#include "replica/private.h"

static struct record *find_key(struct replica *replica, struct span key)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    return keyspace_find(replica->keyspace, &address, keyspace_hash(replica->keyspace, &address));
}

static bool is_live(const struct record *record)
{
    return (record_flags(record) & RECORD_LIVE) != 0;
}

// Takes in what workers have added to the record up to now.
static int catch_up(struct replica *replica, struct record *record)
{
    return record_take_mark(record) ? cells_absorb(replica, record) : 0;
}

// An observed reset of one record's own cells, with a key's the floors of its members. Changed
// nothing when there are none and nothing is live there.
static int reset_record(struct replica *replica, struct record *record, const struct floors *floors,
                        enum change_op op)
{
    int fault = catch_up(replica, record);
    if (fault)
        return fault;
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    if (!unit)
        return -ENOMEM;
    if (!floors->count && !unit_view(unit, &replica->origins).is_live)
        return UNIT_E_NOTHING;
    fault = unit_reset_members(unit, replica->self, cells_next(replica), floors);
    if (fault)
        return fault;
    fault = cells_store(replica, record);
    if (fault)
        return fault;
    collect_wanted(replica);
    return cells_settle(replica, record, before, op);
}

int change_reset(struct replica *replica, struct record *record, enum change_op op)
{
    static const struct floors none;
    return reset_record(replica, record, &none, op);
}

// Leases end by their owner's replica; what is ours ends now.
static int end_child(struct replica *replica, struct record *child)
{
    enum unit_kind kind = record_address(child).kind;
    if (kind == UNIT_BLOCK || (kind == UNIT_RIGHT && bounded_can_reset(replica, child)))
        return change_reset(replica, child, CHANGE_RESET);
    if (kind != UNIT_LEASE)
        return 0;
    const struct cell *own = cells_own(replica, child);
    if (!own || own->lease.ended)
        return 0;
    return lease_end(replica, child);
}

int change_delete(struct replica *replica, struct record *record)
{
    struct floors floors;
    uint32_t count = record_children_count(record);
    bool is_any = count != record_members_count(record);
    for (uint32_t i = is_any ? count : 0; i-- > 0;) {
        int outcome = end_child(replica, record_child_at(record, i));
        if (outcome < 0)
            return outcome;
    }
    int outcome = members_delete(replica, record, &floors);
    if (!outcome)
        outcome = reset_record(replica, record, &floors, CHANGE_RESET);
    return outcome < 0 ? outcome : expiry_drop(replica, record);
}

int replica_delete(struct replica *replica, struct span key, bool *out_was_live)
{
    *out_was_live = false;
    struct record *record = find_key(replica, key);
    if (!record || !is_live(record))
        return 0;
    *out_was_live = true;
    return change_delete(replica, record);
}

int replica_version(struct replica *replica, struct span key, uint64_t *out_change)
{
    *out_change = 0;
    struct record *record = find_key(replica, key);
    if (!record)
        return CHANGE_E_NO_KEY;
    int fault = catch_up(replica, record);
    *out_change = record_change(record);
    return fault;
}

static bool is_refused_add(const struct record *record, int64_t amount)
{
    enum cell_type type = record_type(record);
    return is_live(record) && ((type > CELL_GCOUNTER && type != CELL_HANDOFF) ||
                               (type == CELL_GCOUNTER && amount < 0));
}

// Whether our own total stays within its limit: then no sum of 2^16 origins leaves 128 bits, and
// what leaves 64 bits is seen here or marked at the merge.
static bool is_total_in_range(const struct unit *unit, uint16_t self, int64_t amount)
{
    const struct cell *cell = unit_find(unit, self);
    int64_t total = cell && cell_is_live(cell) ? cell->total : 0;
    return !__builtin_add_overflow(total, amount, &total) && total <= LIMIT_TOTAL &&
           total >= -LIMIT_TOTAL;
}

int change_add(struct replica *replica, struct span key, int64_t amount, enum cell_type type,
               int64_t *out_value)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    struct record *record = cells_record(replica, &address, type);
    if (!record)
        return -ENOMEM;
    if (is_refused_add(record, amount))
        return CHANGE_E_TYPE;
    if (!is_live(record)) // what a deleted key was does not bind the next one
        record_mark(replica->keyspace, record, 0, 0, type);
    int fault = catch_up(replica, record);
    if (fault)
        return fault;
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    if (!unit)
        return -ENOMEM;
    int64_t value;
    if (before.is_out_of_range || !is_total_in_range(unit, replica->self, amount) ||
        __builtin_add_overflow(record_value_now(record), amount, &value))
        return CHANGE_E_OVERFLOW;
    struct cell *cell = unit_obtain(unit, replica->self);
    if (!cell)
        return -ENOMEM;
    if (!cell_is_live(cell))
        cell->type = (uint8_t)record_type(record);
    cell_add(cell, amount, cells_next(replica));
    cells_near(replica, record, cell->total);
    fault = cells_store(replica, record);
    if (!fault)
        fault = cells_settle(replica, record, before, CHANGE_ADD);
    *out_value = value;
    return fault;
}

int replica_add(struct replica *replica, struct span key, int64_t amount, int64_t *out_value)
{
    return change_add(replica, key, amount, CELL_COUNTER, out_value);
}

static int set_value(struct replica *replica, struct span key, int64_t value, bool is_keeping)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    struct record *record = cells_record(replica, &address, CELL_COUNTER);
    if (!record)
        return -ENOMEM;
    if (is_live(record) && record_type(record) != CELL_COUNTER)
        return CHANGE_E_TYPE;
    int fault = catch_up(replica, record);
    if (fault)
        return fault;
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    if (!unit)
        return -ENOMEM;
    fault = unit_set(unit, replica->self, cells_next(replica), ++replica->stamp, value);
    if (fault)
        return fault;
    fault = cells_store(replica, record);
    if (fault)
        return fault;
    collect_wanted(replica);
    fault = cells_settle(replica, record, before, CHANGE_SET);
    return fault || is_keeping ? fault : expiry_drop(replica, record);
}

int replica_set(struct replica *replica, struct span key, int64_t value)
{
    return set_value(replica, key, value, false);
}

int replica_set_keeping(struct replica *replica, struct span key, int64_t value)
{
    return set_value(replica, key, value, true);
}

int replica_create(struct replica *replica, struct span key, enum cell_type type)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    struct record *record = cells_record(replica, &address, type);
    if (!record)
        return -ENOMEM;
    if (is_live(record) || (record_flags(record) & RECORD_DIRTY))
        return record_type(record) == type ? 0 : CHANGE_E_TYPE;
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    struct cell *cell = unit ? unit_obtain(unit, replica->self) : NULL;
    if (!cell)
        return -ENOMEM;
    cell->type = (uint8_t)type;
    cell_add(cell, 0, cells_next(replica));
    record_mark(replica->keyspace, record, 0, 0, type);
    int fault = cells_store(replica, record);
    if (fault)
        return fault;
    before.type = type;
    return cells_settle(replica, record, before, CHANGE_CREATE);
}

struct flush {
    struct replica *replica;
    int fault;
};

static void flush_visit(void *ctx, struct record *record)
{
    struct flush *flush = ctx;
    if (record_parent(record) || !is_live(record) || flush->fault)
        return;
    flush->fault = change_delete(flush->replica, record);
}

int replica_flush(struct replica *replica)
{
    struct flush flush = {replica, 0};
    uint64_t cursor = 0;
    do {
        cursor = keyspace_scan(replica->keyspace, cursor, 1024, flush_visit, &flush);
    } while (cursor && !flush.fault);
    return flush.fault;
}

struct digest {
    struct replica *replica;
    uint64_t sum;
};

static void digest_visit(void *ctx, struct record *record)
{
    struct digest *digest = ctx;
    struct address address = record_address(record);
    if (!is_live(record) || address.kind == UNIT_LEASE)
        return;
    uint64_t hash = hash_bytes(address.key, 0x71756970750001u);
    if (address.kind != UNIT_KEY)
        hash = hash_bytes(address.sub, hash);
    if (address.kind == UNIT_BLOCK || record_type(record) == CELL_HLL)
        hash = sketches_digest(digest->replica, record, hash);
    if (address.kind != UNIT_MEMBER)
        hash = prng_mix(hash ^ (prng_mix((uint64_t)record_value(record)) + record_type(record)));
    digest->sum += prng_mix(hash + (uint64_t)address.kind);
}

uint64_t replica_digest(struct replica *replica)
{
    struct digest digest = {replica, 0};
    uint64_t cursor = 0;
    do {
        cursor = keyspace_scan(replica->keyspace, cursor, 1024, digest_visit, &digest);
    } while (cursor);
    return digest.sum;
}

bool replica_inspect_at(struct replica *replica, const struct address *address,
                        struct unit *out_unit)
{
    uint64_t hash = keyspace_hash(replica->keyspace, address);
    struct record *record = keyspace_find(replica->keyspace, address, hash);
    unit_init(out_unit, replica->heap);
    return record && record_load(record, out_unit) == 0;
}

bool replica_inspect(struct replica *replica, struct span key, struct unit *out_unit)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    return replica_inspect_at(replica, &address, out_unit);
}
