// SPDX-License-Identifier: Apache-2.0
// One record: between its cells (committed, ours to change) and its value word (what clients see,
// which workers add to). The value is always committed view + what workers added since; so a change
// of cells shifts the value by the difference of the views and never stores it.
#include <assert.h>
#include "replica/private.h"

uint64_t cells_next(struct replica *replica)
{
    uint64_t *own = &replica->vector.sequence[replica->self];
    replica->is_frame_needed = true;
    (*own)++;
    replica->held.sequence[replica->self] = *own;
    return *own;
}

static bool is_noted_type(enum cell_type type)
{
    return type == CELL_HLL || type == CELL_BOUNDED;
}

struct record *cells_record(struct replica *replica, const struct address *address,
                            enum cell_type type)
{
    uint64_t hash = keyspace_hash(replica->keyspace, address);
    if (address->kind == UNIT_KEY)
        return keyspace_obtain(replica->keyspace, address, hash, type);
    // What such a key shows is reckoned from its own cells as long as it has no child, then noted.
    struct address key = {.kind = UNIT_KEY, .key = address->key};
    struct record *parent =
        keyspace_find(replica->keyspace, &key, keyspace_hash(replica->keyspace, &key));
    bool is_noted = parent && is_noted_type(record_type(parent)) && !record_first_child(parent);
    int64_t shown = is_noted ? cells_view(replica, parent).value : 0;
    struct record *child = keyspace_obtain(replica->keyspace, address, hash, type);
    if (is_noted && child)
        record_note(parent, shown);
    return child;
}

struct unit *cells_load(struct replica *replica, struct record *record)
{
    return record_load(record, &replica->scratch) ? NULL : &replica->scratch;
}

int cells_store(struct replica *replica, struct record *record)
{
    return record_store(replica->keyspace, record, &replica->scratch);
}

const struct unit *cells_read(struct replica *replica, const struct record *record)
{
    int fault = record_load_brief(record, &replica->reading);
    assert(fault == 0); // there is room for a cell of every origin
    (void)fault;
    return &replica->reading;
}

const struct cell *cells_own(struct replica *replica, const struct record *record)
{
    return unit_find(cells_read(replica, record), replica->self);
}

static enum cell_type type_by_child(const struct record *child)
{
    switch (record_address(child).kind) {
    case UNIT_LEASE:
        return CELL_PRESENCE;
    case UNIT_BLOCK:
        return CELL_HLL;
    case UNIT_RIGHT:
        return CELL_BOUNDED;
    case UNIT_SLOT:
        return CELL_HANDOFF;
    default:
        return CELL_SET;
    }
}

// Of a key that has no cell of its own to tell.
static enum cell_type type_by_children(const struct record *parent)
{
    return record_members_count(parent) ? record_members_type(parent)
                                        : type_by_child(record_first_child(parent));
}

// Without what retries made too much of.
static struct unit_view less_taken(const struct replica *replica, const struct record *key,
                                   struct unit_view view)
{
    int64_t taken = view.is_live ? retry_taken(replica, key) : 0;
    if (taken && __builtin_sub_overflow(view.value, taken, &view.value))
        view.is_out_of_range = true;
    return view;
}

static struct unit_view view_of_key(const struct replica *replica, struct record *record,
                                    const struct unit *unit)
{
    struct unit_view own = less_taken(replica, record, unit_view(unit, &replica->origins));
    struct unit_view view = own;
    bool is_counter = own.is_live && (own.type <= CELL_GCOUNTER || own.type == CELL_HANDOFF);
    struct record *child = record_first_child(record);
    if (is_counter || (!child && !own.is_live))
        return view;
    view.is_out_of_range = false;
    if (child && !own.is_live)
        view.type = type_by_children(record);
    bool is_by_child = view.type != CELL_BOUNDED && view.type != CELL_HANDOFF;
    view.is_live = own.is_live || (is_by_child && record_has_live_child(record));
    if (view.type == CELL_HLL)
        view.value = sketches_shown(record, unit);
    else if (view.type == CELL_BOUNDED)
        view.value = bounded_shown(record, unit, &replica->origins);
    else
        view.value = record_children_sum(record);
    return view;
}

static struct unit_view view_of(const struct replica *replica, struct record *record,
                                const struct unit *unit)
{
    enum unit_kind kind = record_address(record).kind;
    if (kind == UNIT_LEASE) {
        int64_t count = 0;
        bool is_live = unit_lease_view(unit, replica->is_hidden, &count);
        return (struct unit_view){is_live, false, CELL_PRESENCE, count};
    }
    if (kind == UNIT_KEY)
        return view_of_key(replica, record, unit);
    struct unit_view own = unit_view(unit, &replica->origins);
    if (kind == UNIT_BLOCK || kind == UNIT_RIGHT || kind == UNIT_SLOT)
        return (struct unit_view){.is_live = own.is_live, .type = type_by_child(record)};
    enum cell_type type = own.is_live && own.type == CELL_GSET ? CELL_GSET : CELL_SET;
    return (struct unit_view){own.is_live, false, type, own.is_live};
}

struct unit_view cells_view(struct replica *replica, struct record *record)
{
    struct plain_cell plain;
    if (record_is_bare(record) && !record_is_parent(record))
        return (struct unit_view){.type = record_type(record)};
    if (record_plain(record, &plain) && plain.type <= CELL_GCOUNTER && !record_parent(record))
        return less_taken(replica, record,
                          (struct unit_view){true, false, plain.type, plain.total});
    return view_of(replica, record, cells_read(replica, record));
}

struct unit_view cells_shown(struct replica *replica, struct record *record)
{
    if (record_address(record).kind != UNIT_LEASE)
        return cells_view(replica, record);
    return (struct unit_view){.is_live = (record_flags(record) & RECORD_LIVE) != 0,
                              .type = CELL_PRESENCE,
                              .value = record_value(record)};
}

void cells_settle_parent(struct replica *replica, struct record *parent, enum cell_type own,
                         int64_t difference, enum change_op op)
{
    int64_t previous = record_value(parent);
    uint32_t flags = record_flags(parent);
    enum cell_type type = record_type(parent);
    bool is_counter = (flags & RECORD_LIVE) && type <= CELL_GCOUNTER;
    // Replicas took the key for a sketch and for a set at once: the order of types decides.
    bool is_mixed =
        (flags & RECORD_LIVE) && type != own && (is_noted_type(type) || is_noted_type(own));
    if (is_mixed && !is_counter) {
        struct unit_view view = cells_view(replica, parent);
        difference = view.value - previous;
        record_mark(replica->keyspace, parent, view.is_live ? RECORD_LIVE : 0,
                    view.is_live ? 0 : RECORD_LIVE, view.type);
        record_shift(parent, difference);
    } else if (!is_counter) {
        bool is_live = own != CELL_BOUNDED && record_has_live_child(parent);
        struct unit_view view = {.is_live = is_live, .type = own};
        if (own == CELL_SET || !is_live)
            view = cells_view(replica, parent);
        record_mark(replica->keyspace, parent, view.is_live ? RECORD_LIVE : 0,
                    view.is_live ? 0 : RECORD_LIVE, own == CELL_SET ? view.type : own);
        record_shift(parent, difference);
    }
    if (!record_has_live_child(parent))
        collect_wanted(replica);
    keyspace_change_put(replica->keyspace, parent);
    note_put(replica, parent, previous, difference, op);
}

static void settle_child(struct replica *replica, struct record *child, int64_t difference,
                         enum change_op op)
{
    struct record *parent = record_parent(child);
    if (record_address(child).kind == UNIT_SLOT)
        return; // nothing of it is shown
    record_children_add(parent, difference);
    cells_settle_parent(replica, parent, type_by_child(child), difference, op);
    note_member(replica, parent, child);
}

static int log_above(struct replica *replica, struct record *record, const struct vector *known)
{
    if (replica->is_recovering)
        return 0; // it comes from the journal
    record_write(record, known, &replica->units);
    replica->is_frame_needed = true;
    replica->units_count++;
    return buf_has_failed(&replica->units) ? -ENOMEM : 0;
}

int cells_log(struct replica *replica, struct record *record)
{
    return log_above(replica, record, &replica->before);
}

// What a key shows beyond the sum of its parts.
static int touch_whole(struct replica *replica, struct record *record, enum cell_type type)
{
    struct record *parent = record_parent(record);
    if (type == CELL_BOUNDED) {
        int fault = parent ? 0 : bounded_watch(replica, record);
        return fault ? fault : bounded_settle(replica, parent ? parent : record);
    }
    if (type == CELL_HANDOFF)
        return parent ? handoff_watch(replica, record) : 0;
    if (type != CELL_HLL)
        return 0;
    if (parent)
        return sketches_touch(replica, parent);
    return record_first_child(record) ? sketches_touch(replica, record) : 0;
}

int cells_show(struct replica *replica, struct record *record, struct unit_view before,
               enum change_op op)
{
    struct unit_view after = cells_view(replica, record);
    struct record *parent = record_parent(record);
    if (parent && after.is_live && record_children_reserve(replica->keyspace, parent))
        return -ENOMEM;
    uint32_t set = (after.is_live ? RECORD_LIVE : 0) | (after.is_out_of_range ? RECORD_RANGE : 0);
    uint32_t clear = (RECORD_LIVE | RECORD_RANGE) & ~set;
    enum cell_type type = after.is_live ? after.type : record_type(record);
    record_mark(replica->keyspace, record, set, clear, type);
    if (!after.is_live)
        collect_wanted(replica);
    int64_t difference = (int64_t)((uint64_t)after.value - (uint64_t)before.value);
    int64_t value = record_shift(record, difference);
    int64_t previous = (int64_t)((uint64_t)value - (uint64_t)difference);
    keyspace_change_put(replica->keyspace, record);
    if (!parent)
        note_put(replica, record, previous, difference, op);
    else if (difference != 0 || after.is_live != before.is_live)
        settle_child(replica, record, difference, op);
    if (!after.is_live && !parent && (record_flags(record) & RECORD_MORTAL)) {
        int fault = expiry_key_died(replica, record);
        if (fault)
            return fault;
    }
    return touch_whole(replica, record, after.type);
}

int cells_settle(struct replica *replica, struct record *record, struct unit_view before,
                 enum change_op op)
{
    enum unit_kind kind = record_address(record).kind;
    if (kind == UNIT_TOKEN)
        return retry_settle(replica, record);
    if (kind == UNIT_DEADLINE)
        return expiry_settle(replica, record);
    int fault = retry_key_changed(replica, record);
    if (!fault)
        fault = cells_show(replica, record, before, op);
    return fault ? fault : cells_log(replica, record);
}

void cells_near(struct replica *replica, struct record *record, int64_t total)
{
    bool is_near = total > RECORD_NEAR_MIN || total < -RECORD_NEAR_MIN;
    if (is_near != ((record_flags(record) & RECORD_NEAR) != 0))
        record_mark(replica->keyspace, record, is_near ? RECORD_NEAR : 0, is_near ? 0 : RECORD_NEAR,
                    record_type(record));
}

// The hot path of a commit: one cell, ours.
static int absorb_plain(struct replica *replica, struct record *record, struct plain_cell *cell,
                        bool is_new)
{
    int64_t value = record_value_now(record), taken = retry_taken(replica, record);
    int64_t total = (int64_t)((uint64_t)value + (uint64_t)taken);
    int64_t amount = (int64_t)((uint64_t)total - (is_new ? 0 : (uint64_t)cell->total));
    if (!is_new && amount == 0)
        return 0;
    cell->sequence = cells_next(replica);
    cell->total = total;
    if (is_new) {
        cell->birth = cell->sequence;
        cell->origin = replica->self;
        cell->type = record_type(record);
    }
    int fault = record_put_plain(replica->keyspace, record, cell);
    if (fault)
        return fault;
    cells_near(replica, record, total);
    keyspace_change_put(replica->keyspace, record);
    note_put(replica, record, (int64_t)((uint64_t)value - (uint64_t)amount), amount, CHANGE_ADD);
    return log_above(replica, record, NULL); // the cell is all there is, and news
}

static int absorb_unit(struct replica *replica, struct record *record)
{
    struct unit *unit = cells_load(replica, record);
    if (!unit)
        return -ENOMEM;
    struct unit_view view = less_taken(replica, record, unit_view(unit, &replica->origins));
    int64_t value = record_value_now(record);
    int64_t amount = (int64_t)((uint64_t)value - (uint64_t)view.value);
    if (amount == 0 && view.is_live)
        return 0;
    struct cell *cell = unit_obtain(unit, replica->self);
    if (!cell)
        return -ENOMEM;
    if (!cell_is_live(cell))
        cell->type = (uint8_t)record_type(record);
    cell_add(cell, amount, cells_next(replica));
    cells_near(replica, record, cell->total);
    int fault = cells_store(replica, record);
    if (fault)
        return fault;
    keyspace_change_put(replica->keyspace, record);
    note_put(replica, record, view.value, amount, CHANGE_ADD);
    return cells_log(replica, record);
}

// A worker added to what it took for a new counter while a set or presence of that name was joined:
// both are there, the amount gets a counter's cell, and the order of types decides what is shown.
static int absorb_conflict(struct replica *replica, struct record *record)
{
    struct unit_view before = cells_view(replica, record);
    int64_t value = record_value_now(record);
    int64_t amount = (int64_t)((uint64_t)value - (uint64_t)before.value);
    if (amount == 0)
        return 0;
    struct unit *unit = cells_load(replica, record);
    struct cell *cell = unit ? unit_obtain(unit, replica->self) : NULL;
    if (!cell)
        return -ENOMEM;
    cell->type = CELL_COUNTER;
    cell_add(cell, amount, cells_next(replica));
    record_shift(record, (int64_t)(0 - (uint64_t)amount));
    int fault = cells_store(replica, record);
    return fault ? fault : cells_settle(replica, record, before, CHANGE_ADD);
}

int cells_absorb(struct replica *replica, struct record *record)
{
    struct plain_cell cell;
    if (record_parent(record))
        return 0; // workers add to keys only
    if (record_type(record) > CELL_GCOUNTER)
        return absorb_conflict(replica, record);
    if (!(record_flags(record) & RECORD_LIVE))
        return 0;
    bool is_plain = record_plain(record, &cell);
    if (is_plain ? cell.origin == replica->self && cell.type == record_type(record)
                 : record_is_bare(record))
        return absorb_plain(replica, record, &cell, !is_plain);
    return absorb_unit(replica, record);
}
