// SPDX-License-Identifier: Apache-2.0
// Members of sets. An add is a life of its own, a removal an observed reset of the member alone, so
// an add wins over a removal that had not seen it (OR-set; Shapiro et al. 2011).
//
// DEL of a whole set is one record of the key's: for each owner of members a floor, the vector here
// at that moment; every life of that owner up to it is taken away. The vector, not the highest
// sequence held: below that there may be holes, and what comes to fill them had not been seen. The
// members that are held above the vector are removed one by one beside it.
//
// A floor is kept, beyond its record, in the key's list of owners until nothing that it covers can
// come any more. Lives at or below it are dropped where they stand and where they arrive: then what
// a member's cells show needs no look at the key. Those that stand are stale at once
// (record_release) and swept in parts.
#include "replica/private.h"

#define SWEEP_MEMBERS 2048u // a commit

static bool is_live(const struct record *record)
{
    return (record_flags(record) & RECORD_LIVE) != 0;
}

static uint64_t floor_of(const struct record *parent, uint16_t origin)
{
    uint16_t count;
    const struct member_owner *owners = record_owners(parent, &count);
    for (uint16_t i = 0; i < count; i++) {
        if (owners[i].origin == origin)
            return owners[i].floor;
    }
    return 0;
}

static bool has_floors(const struct record *parent)
{
    uint16_t count;
    const struct member_owner *owners = record_owners(parent, &count);
    for (uint16_t i = 0; i < count; i++) {
        if (owners[i].floor)
            return true;
    }
    return false;
}

// Lives at or below the floors go, and cells that held nothing else. True: something did.
static bool sink(struct unit *unit, const struct record *parent)
{
    bool is_changed = false;
    for (uint16_t i = unit->count; i-- > 0;) {
        struct cell *cell = &unit->cells[i];
        if (!cell_sink(cell, floor_of(parent, cell->origin)))
            continue;
        is_changed = true;
        if (cell_is_dead(cell) && !cell->base.cut && !lease_is_set(&cell->lease))
            unit_remove(unit, cell->origin);
    }
    return is_changed;
}

static int sink_record(struct replica *replica, struct record *record, bool *out_changed)
{
    struct unit *unit = cells_load(replica, record);
    if (!unit)
        return -ENOMEM;
    *out_changed = sink(unit, record_parent(record));
    return *out_changed ? cells_store(replica, record) : 0;
}

int members_ready(struct replica *replica, struct record *record)
{
    bool is_changed;
    if (!record_is_stale(record))
        return 0;
    int fault = sink_record(replica, record, &is_changed);
    if (!fault)
        record_unstale(record);
    return fault;
}

int members_filter(struct replica *replica, const struct address *address, struct record *record,
                   struct unit *arriving)
{
    struct address key = {.kind = UNIT_KEY, .key = address->key};
    const struct record *parent =
        record ? record_parent(record)
               : keyspace_find(replica->keyspace, &key, keyspace_hash(replica->keyspace, &key));
    if (parent && has_floors(parent))
        sink(arriving, parent);
    return record ? members_ready(replica, record) : 0;
}

int members_seen(struct replica *replica, struct record *record, const struct unit *arriving)
{
    for (uint16_t i = 0; i < arriving->count; i++) {
        const struct cell *cell = &arriving->cells[i];
        if (cell->birth == 0)
            continue;
        struct member_owner *owner =
            record_owner(replica->keyspace, record_parent(record), cell->origin);
        if (!owner)
            return -ENOMEM;
        if (owner->top < cell->write)
            owner->top = cell->write;
    }
    return 0;
}

// ---- adds and removals

int replica_set_open(struct replica *replica, struct span key, enum cell_type type,
                     struct record **out_set)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    struct record *set = cells_record(replica, &address, type);
    if (!set)
        return -ENOMEM;
    if (type == CELL_GSET) {
        int outcome = replica_create(replica, key, type);
        if (outcome)
            return outcome;
    } else if (is_live(set) && record_type(set) != CELL_SET && record_type(set) != CELL_GSET) {
        return CHANGE_E_TYPE;
    }
    *out_set = set;
    return 0;
}

// A set keeps the type that it shows; one that is not there gets the one that is asked for.
static enum cell_type type_for(const struct record *set, enum cell_type type)
{
    return is_live(set) ? record_type(set) : type;
}

static struct address member_of(const struct record *set, struct span member)
{
    return (struct address){.kind = UNIT_MEMBER, .key = record_address(set).key, .sub = member};
}

// Nobody else knows the add that this replica wrote last: no reset elsewhere can have seen it, so
// to say it once more would say nothing.
static bool is_untold(const struct replica *replica, const struct unit *unit)
{
    const struct cell *own = unit_find(unit, replica->self);
    return own && cell_is_live(own) && own->write > replica->told;
}

static int renew(struct replica *replica, struct record *record, enum cell_type type)
{
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    if (!unit)
        return -ENOMEM;
    if (before.is_live && (type == CELL_GSET || is_untold(replica, unit)))
        return 0;
    struct cell *cell = unit_obtain(unit, replica->self);
    struct member_owner *owner =
        record_owner(replica->keyspace, record_parent(record), replica->self);
    if (!cell || !owner)
        return -ENOMEM;
    cell->type = (uint8_t)type;
    cell_renew(cell, cells_next(replica));
    owner->top = cell->write;
    int fault = cells_store(replica, record);
    return fault ? fault : cells_settle(replica, record, before, CHANGE_ADD);
}

int replica_set_add(struct replica *replica, struct record *set, enum cell_type type,
                    struct span member, bool *out_added)
{
    struct address address = member_of(set, member);
    type = type_for(set, type);
    uint64_t hash = keyspace_hash(replica->keyspace, &address);
    struct record *record = keyspace_obtain(replica->keyspace, &address, hash, type);
    if (!record || members_ready(replica, record))
        return -ENOMEM;
    *out_added = !is_live(record);
    return renew(replica, record, type);
}

static int remove_record(struct replica *replica, struct record *record)
{
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    if (!unit)
        return -ENOMEM;
    int fault = unit_reset(unit, replica->self, cells_next(replica));
    if (fault)
        return fault;
    fault = cells_store(replica, record);
    if (fault)
        return fault;
    collect_wanted(replica);
    return cells_settle(replica, record, before, CHANGE_REMOVE);
}

struct record *replica_set_member(struct replica *replica, const struct record *set,
                                  struct span member)
{
    struct address address = member_of(set, member);
    uint64_t hash = keyspace_hash(replica->keyspace, &address);
    struct record *record = keyspace_find(replica->keyspace, &address, hash);
    return record && is_live(record) ? record : NULL;
}

int replica_set_remove(struct replica *replica, struct record *member)
{
    int outcome = remove_record(replica, member);
    return outcome < 0 ? outcome : 0;
}

struct record *replica_set_random(struct replica *replica, const struct record *set)
{
    uint32_t count = record_children_count(set);
    if (record_members_count(set) == 0)
        return NULL;
    uint32_t at = (uint32_t)prng_below(&replica->prng, count);
    struct record *child = record_child_at(set, at);
    while (record_address(child).kind != UNIT_MEMBER) { // a conflict with a presence
        at = at + 1 < count ? at + 1 : 0;
        child = record_child_at(set, at);
    }
    return child;
}

// ---- the whole set

static bool is_above(struct replica *replica, const struct record *record)
{
    const struct unit *unit = cells_read(replica, record);
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (cell->write > cell->cut_write && cell->write > replica->vector.sequence[cell->origin])
            return true;
    }
    return false;
}

// What is held above the vector was brought by a walk that is still under way, if anything is.
static int remove_named(struct replica *replica, struct record *parent)
{
    uint16_t count;
    const struct member_owner *owners = record_owners(parent, &count);
    bool is_any = false;
    for (uint16_t i = 0; i < count && !is_any; i++)
        is_any = owners[i].top > replica->vector.sequence[owners[i].origin];
    for (uint32_t i = is_any ? record_children_count(parent) : 0; i-- > 0;) {
        struct record *child = record_child_at(parent, i);
        if (record_address(child).kind != UNIT_MEMBER || !is_above(replica, child))
            continue;
        int fault = remove_record(replica, child);
        if (fault)
            return fault;
    }
    return 0;
}

static int sweep_stale(struct replica *replica, struct record *parent, unsigned count)
{
    while (count-- > 0) {
        bool is_changed;
        struct record *child = record_take_stale(replica->keyspace, parent);
        if (!child)
            return 0;
        int fault = sink_record(replica, child, &is_changed);
        if (fault)
            return fault;
        collect_bare(replica, child);
    }
    return 0;
}

static int grow(struct replica *replica, struct record ***list, size_t *cap)
{
    size_t more = *cap ? *cap * 2 : 8;
    struct record **grown = heap_resize(replica->heap, *list, *cap * sizeof(struct record *),
                                        more * sizeof(struct record *));
    if (!grown)
        return -ENOMEM;
    *list = grown;
    *cap = more;
    return 0;
}

static int remember_stale(struct replica *replica, struct record *parent)
{
    if (record_has_stale(parent))
        return 0; // it is on the list
    if (replica->stale_count == replica->stale_cap &&
        grow(replica, &replica->stale, &replica->stale_cap))
        return -ENOMEM;
    replica->stale[replica->stale_count++] = parent;
    return 0;
}

static int remember_sunk(struct replica *replica, struct record *parent)
{
    uint32_t at;
    if (record_map_find(&replica->sunk_by_record, parent, &at))
        return 0;
    if (replica->sunk_count == replica->sunk_cap &&
        grow(replica, &replica->sunk, &replica->sunk_cap))
        return -ENOMEM;
    if (record_map_put(&replica->sunk_by_record, parent, (uint32_t)replica->sunk_count))
        return -ENOMEM;
    replica->sunk[replica->sunk_count++] = parent;
    return 0;
}

// All members of the set are covered by its floors: they go in one step.
static int release(struct replica *replica, struct record *parent)
{
    uint32_t gone = record_members_count(parent);
    if (gone == 0)
        return 0;
    while (!record_is_release_due(parent)) {
        int fault = sweep_stale(replica, parent, UINT32_MAX);
        if (fault)
            return fault;
    }
    if (remember_stale(replica, parent) || record_release(replica->keyspace, parent))
        return -ENOMEM;
    record_children_add(parent, -(int64_t)gone);
    cells_settle_parent(replica, parent, CELL_SET, -(int64_t)gone, CHANGE_RESET);
    replica->wants_commit = true;
    return 0;
}

int members_delete(struct replica *replica, struct record *parent, struct floors *out_floors)
{
    uint16_t count;
    *out_floors = (struct floors){.list = replica->floors};
    int fault = remove_named(replica, parent);
    if (fault)
        return fault;
    struct member_owner *owners = record_owners(parent, &count);
    for (uint16_t i = 0; i < count; i++) {
        uint64_t upto = replica->vector.sequence[owners[i].origin];
        if (owners[i].floor < upto)
            owners[i].floor = upto;
        if (owners[i].floor == 0)
            continue;
        replica->floors[out_floors->count++] =
            (struct floor){.upto = owners[i].floor, .origin = owners[i].origin};
    }
    if (out_floors->count && remember_sunk(replica, parent))
        return -ENOMEM;
    return release(replica, parent);
}

// Members that the floors do not cover stay: each is looked at.
static int sink_shown(struct replica *replica, struct record *parent)
{
    int64_t gone = 0;
    int fault = 0;
    for (uint32_t i = record_children_count(parent); i-- > 0 && !fault;) {
        struct record *child = record_child_at(parent, i);
        bool is_changed = false;
        if (record_address(child).kind == UNIT_MEMBER)
            fault = sink_record(replica, child, &is_changed);
        if (!is_changed || cells_view(replica, child).is_live)
            continue;
        record_mark(replica->keyspace, child, 0, RECORD_LIVE, record_type(child));
        record_shift(child, -1);
        gone++;
    }
    collect_wanted(replica);
    record_children_add(parent, -gone);
    if (gone)
        cells_settle_parent(replica, parent, CELL_SET, -gone, CHANGE_RESET);
    return fault;
}

static bool has_new_floors(const struct unit *arriving, const struct vector *seen)
{
    for (uint16_t i = 0; i < arriving->count; i++) {
        const struct cell *cell = &arriving->cells[i];
        for (uint32_t at = 0; at < cell->cuts_count; at++) {
            if (cell->cuts[at].floor && cell->reset > seen->sequence[cell->origin])
                return true;
        }
    }
    return false;
}

static int raise_floors(struct replica *replica, struct record *parent, const struct cell *cell)
{
    for (uint32_t at = 0; at < cell->cuts_count; at++) {
        const struct cut *entry = &cell->cuts[at];
        struct member_owner *owner =
            entry->floor ? record_owner(replica->keyspace, parent, entry->origin) : NULL;
        if (entry->floor && !owner)
            return -ENOMEM;
        if (owner && owner->floor < entry->floor)
            owner->floor = entry->floor;
    }
    return 0;
}

int members_floors(struct replica *replica, const struct address *address,
                   const struct unit *arriving, const struct vector *seen)
{
    if (!has_new_floors(arriving, seen))
        return 0;
    uint16_t count;
    struct record *parent = cells_record(replica, address, CELL_SET);
    int fault = parent ? 0 : -ENOMEM;
    for (uint16_t i = 0; i < arriving->count && !fault; i++) {
        if (arriving->cells[i].reset > seen->sequence[arriving->cells[i].origin])
            fault = raise_floors(replica, parent, &arriving->cells[i]);
    }
    if (!fault)
        fault = remember_sunk(replica, parent);
    if (fault)
        return fault;
    const struct member_owner *owners = record_owners(parent, &count);
    for (uint16_t i = 0; i < count; i++) {
        if (owners[i].top > owners[i].floor)
            return sink_shown(replica, parent);
    }
    return release(replica, parent);
}

// ---- what stays behind

int members_sweep(struct replica *replica)
{
    unsigned left = SWEEP_MEMBERS;
    while (replica->stale_count && left) {
        struct record *parent = replica->stale[replica->stale_count - 1];
        unsigned part = left < 64 ? left : 64;
        int fault = sweep_stale(replica, parent, part);
        if (fault)
            return fault;
        left -= part;
        if (record_has_stale(parent))
            continue;
        replica->stale_count--;
        replica->is_sweep_forced = true; // the floors can go
    }
    replica->wants_commit |= replica->stale_count != 0;
    return 0;
}

// Its records are dropped, so all know of the floors and all that they cover was seen; nothing that
// they took away stands here any more.
void members_drop_floors(struct replica *replica, struct record *parent)
{
    uint16_t count;
    struct member_owner *owners = record_owners(parent, &count);
    const struct unit *unit = cells_read(replica, parent);
    if (record_has_stale(parent))
        return;
    for (uint16_t i = 0; i < unit->count; i++) {
        if (unit->cells[i].reset)
            return;
    }
    for (uint16_t i = 0; i < count; i++) {
        if (owners[i].floor <= replica->vector.sequence[owners[i].origin])
            owners[i].floor = 0;
    }
    if (!has_floors(parent))
        members_forget(replica, parent);
    record_trim_children(replica->keyspace, parent);
}

void members_forget(struct replica *replica, const struct record *parent)
{
    uint32_t at;
    if (record_map_find(&replica->sunk_by_record, parent, &at)) {
        record_map_remove(&replica->sunk_by_record, parent);
        struct record *last = replica->sunk[--replica->sunk_count];
        replica->sunk[at] = last;
        if (last != parent)
            record_map_put(&replica->sunk_by_record, last, at); // its entry is there already
    }
    for (size_t i = replica->stale_count; i-- > 0;) {
        if (replica->stale[i] == parent)
            replica->stale[i] = replica->stale[--replica->stale_count];
    }
}
