// SPDX-License-Identifier: Apache-2.0
// Times of life. A key's deadline is a register under an address of its own: EXPIRE is an observed
// reset of the entries that are known and a new one, so a later command replaces; of concurrent
// entries the longest counts. PERSIST is an entry without end. The value word of the deadline's
// record is what counts, so that any thread can see whether a key is hidden.
//
// Past its deadline a key is hidden everywhere, by each replica's own clock. The replica whose
// entry counts resets it; another one only when that one is silent. What the reset had not seen
// survives, without a deadline. A key that is written while it is hidden is reset first. Deadlines
// lie in a heap: expiring costs what expires. Each commit takes a bounded number of them.
#include "replica/private.h"

#define EXPIRE_STEPS 1024u // a commit
#define AGAIN_MS     5000u // to whoever is waited for

// ---- the heap

static void put_at(struct mortals *mortals, uint32_t at, struct mortal mortal)
{
    mortals->list[at] = mortal;
    record_map_put(&mortals->by_record, mortal.deadline, at); // there already: nothing is allocated
}

static void sift_up(struct mortals *mortals, uint32_t at, struct mortal mortal)
{
    while (at && mortals->list[(at - 1) / 2].due_ms > mortal.due_ms) {
        put_at(mortals, at, mortals->list[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put_at(mortals, at, mortal);
}

static void sift_down(struct mortals *mortals, uint32_t at, struct mortal mortal)
{
    for (uint32_t child; (child = 2 * at + 1) < mortals->count; at = child) {
        if (child + 1 < mortals->count &&
            mortals->list[child + 1].due_ms < mortals->list[child].due_ms)
            child++;
        if (mortals->list[child].due_ms >= mortal.due_ms)
            break;
        put_at(mortals, at, mortals->list[child]);
    }
    sift_up(mortals, at, mortal);
}

void expiry_forget(struct replica *replica, const struct record *deadline)
{
    struct mortals *mortals = &replica->mortals;
    uint32_t at;
    if (mortals->count == 0 || !record_map_find(&mortals->by_record, deadline, &at))
        return;
    record_map_remove(&mortals->by_record, deadline);
    struct mortal last = mortals->list[--mortals->count];
    if (at < mortals->count)
        sift_down(mortals, at, last);
}

static int arm(struct replica *replica, struct record *deadline, uint64_t due_ms)
{
    struct mortals *mortals = &replica->mortals;
    struct mortal mortal = {due_ms, deadline};
    uint32_t at;
    if (record_map_find(&mortals->by_record, deadline, &at)) {
        sift_down(mortals, at, mortal);
        return 0;
    }
    if (mortals->count == mortals->cap) {
        uint32_t cap = mortals->cap ? mortals->cap * 2 : 16;
        struct mortal *list = heap_resize(replica->heap, mortals->list, mortals->cap * sizeof *list,
                                          cap * sizeof *list);
        if (!list)
            return -ENOMEM;
        mortals->list = list;
        mortals->cap = cap;
    }
    if (record_map_put(&mortals->by_record, deadline, mortals->count))
        return -ENOMEM;
    sift_up(mortals, mortals->count++, mortal);
    return 0;
}

// ---- the register

static struct record *find_deadline(struct replica *replica, const struct record *key)
{
    struct address address = {.kind = UNIT_DEADLINE, .key = record_address(key).key};
    if (!record_is_parent(key))
        return NULL;
    return keyspace_find(replica->keyspace, &address, keyspace_hash(replica->keyspace, &address));
}

static const struct cell *shown(const struct replica *replica, const struct unit *unit)
{
    const struct incarnation *list = replica->origins.list;
    const struct cell *longest = NULL;
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (!cell->base.sequence)
            continue;
        bool is_longer = !longest || cell->base.value > longest->base.value ||
                         (cell->base.value == longest->base.value &&
                          incarnation_compare(&list[cell->origin], &list[longest->origin]) > 0);
        longest = is_longer ? cell : longest;
    }
    return longest;
}

static bool is_live(const struct record *key)
{
    return (record_flags(key) & RECORD_LIVE) != 0;
}

static int watch(struct replica *replica, struct record *deadline, int64_t at_ms)
{
    bool is_orphan = !is_live(record_parent(deadline)) && !replica->is_recovering;
    if (at_ms == 0 || (at_ms == DEADLINE_NEVER && !is_orphan)) {
        expiry_forget(replica, deadline);
        return 0;
    }
    return arm(replica, deadline, is_orphan ? replica->clock_ms : (uint64_t)at_ms);
}

int expiry_settle(struct replica *replica, struct record *deadline)
{
    struct record *key = record_parent(deadline);
    const struct cell *cell = shown(replica, cells_read(replica, deadline));
    int64_t at_ms = cell ? cell->base.value : 0;
    replica->has_deadlines = true;
    record_shift(deadline, (int64_t)((uint64_t)at_ms - (uint64_t)record_value(deadline)));
    record_mark(replica->keyspace, key, at_ms ? RECORD_MORTAL : 0, at_ms ? 0 : RECORD_MORTAL,
                record_type(key));
    int fault = watch(replica, deadline, at_ms);
    if (fault)
        return fault;
    if (!at_ms)
        collect_wanted(replica);
    keyspace_change_put(replica->keyspace, deadline);
    return cells_log(replica, deadline);
}

int expiry_key_died(struct replica *replica, struct record *key)
{
    struct record *deadline = find_deadline(replica, key);
    return deadline ? watch(replica, deadline, record_value(deadline)) : 0;
}

// A new entry in place of those that are known.
static int put_entry(struct replica *replica, struct record *key, int64_t at_ms)
{
    struct address address = {.kind = UNIT_DEADLINE, .key = record_address(key).key};
    struct record *deadline = cells_record(replica, &address, CELL_COUNTER);
    struct unit *unit = deadline ? cells_load(replica, deadline) : NULL;
    if (!unit || unit_set(unit, replica->self, cells_next(replica), ++replica->stamp, at_ms) < 0)
        return -ENOMEM;
    int fault = cells_store(replica, deadline);
    return fault ? fault : expiry_settle(replica, deadline);
}

int expiry_drop(struct replica *replica, struct record *key)
{
    struct record *deadline =
        record_flags(key) & RECORD_MORTAL ? find_deadline(replica, key) : NULL;
    struct unit *unit = deadline ? cells_load(replica, deadline) : NULL;
    if (!deadline || !unit)
        return deadline ? -ENOMEM : 0;
    int outcome = unit_reset(unit, replica->self, cells_next(replica));
    if (outcome < 0)
        return outcome;
    int fault = cells_store(replica, deadline);
    return fault ? fault : expiry_settle(replica, deadline);
}

unsigned expiry_write(struct replica *replica, const struct record *key, const struct vector *known,
                      struct buf *out)
{
    const struct record *deadline = find_deadline(replica, key);
    return deadline ? record_write(deadline, known, out) > 0 : 0;
}

// ---- clients

uint64_t replica_clock_ms(const struct replica *replica)
{
    uint64_t passed_ms = replica->now_ms - replica->clock_at_ms;
    return replica->clock_ms + (replica->clock_at_ms ? passed_ms : 0);
}

static bool is_past(const struct replica *replica, int64_t at_ms)
{
    return at_ms != 0 && at_ms != DEADLINE_NEVER && (uint64_t)at_ms <= replica_clock_ms(replica);
}

bool expiry_is_over(const struct replica *replica, const struct record *key)
{
    return is_past(replica, keyspace_deadline(replica->keyspace, key));
}

// Resets what is hidden or left of a dead key, as if it were done a moment before.
static int end(struct replica *replica, struct record *key)
{
    enum change_origin cause = replica->cause;
    replica->cause = CHANGE_EXPIRY;
    int fault = 0;
    if (is_live(key)) {
        fault = change_delete(replica, key);
        replica->counts.expired++;
    } else {
        fault = expiry_drop(replica, key);
    }
    replica->cause = cause;
    return fault;
}

int replica_touch(struct replica *replica, struct span key)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    if (!replica_has_deadlines(replica))
        return 0;
    struct record *record =
        keyspace_find(replica->keyspace, &address, keyspace_hash(replica->keyspace, &address));
    if (!record || !(record_flags(record) & RECORD_MORTAL))
        return 0;
    bool is_over = !is_live(record) || expiry_is_over(replica, record);
    return is_over ? end(replica, record) : 0;
}

bool replica_has_deadlines(const struct replica *replica)
{
    return replica->has_deadlines;
}

static bool is_met(unsigned conditions, int64_t held_ms, int64_t at_ms)
{
    bool has_none = held_ms == 0 || held_ms == DEADLINE_NEVER;
    int64_t held = has_none ? DEADLINE_NEVER : held_ms;
    return !((conditions & EXPIRE_NX && !has_none) || (conditions & EXPIRE_XX && has_none) ||
             (conditions & EXPIRE_GT && at_ms <= held) ||
             (conditions & EXPIRE_LT && at_ms >= held));
}

int replica_expire(struct replica *replica, const struct expire_request *request, bool *out_done)
{
    struct address address = {.kind = UNIT_KEY, .key = request->key};
    *out_done = false;
    struct record *record =
        keyspace_find(replica->keyspace, &address, keyspace_hash(replica->keyspace, &address));
    if (!record || !is_live(record))
        return 0;
    int64_t held_ms = keyspace_deadline(replica->keyspace, record);
    if (!is_met(request->conditions, held_ms, request->at_ms))
        return 0;
    if (request->at_ms == DEADLINE_NEVER && (held_ms == 0 || held_ms == DEADLINE_NEVER))
        return 0;
    *out_done = true;
    if (request->at_ms != DEADLINE_NEVER && request->at_ms <= (int64_t)replica->clock_ms)
        return end(replica, record);
    return put_entry(replica, record, request->at_ms);
}

// ---- the time comes

static bool is_anybodys(const struct replica *replica, uint16_t owner)
{
    int member = node_member_of(&replica->node, owner);
    return owner == replica->self || member < 0 || replica->is_hidden[owner] ||
           replica->node.members[member].is_former;
}

static struct mortal *first_due(struct replica *replica)
{
    struct mortals *mortals = &replica->mortals;
    bool is_any = mortals->count && mortals->list[0].due_ms <= replica_clock_ms(replica);
    return is_any ? &mortals->list[0] : NULL;
}

bool expiry_is_due(struct replica *replica)
{
    return replica->is_serving && first_due(replica);
}

static int expire_first(struct replica *replica, struct record *deadline)
{
    const struct cell *cell = shown(replica, cells_read(replica, deadline));
    if (!cell) {
        expiry_forget(replica, deadline);
        return 0;
    }
    if (!is_anybodys(replica, cell->origin))
        return arm(replica, deadline, replica->clock_ms + AGAIN_MS);
    struct record *key = record_parent(deadline);
    bool is_alive = is_live(key) && !is_past(replica, record_value(deadline));
    return is_alive ? watch(replica, deadline, record_value(deadline)) : end(replica, key);
}

int expiry_step(struct replica *replica)
{
    for (unsigned i = 0; i < EXPIRE_STEPS && replica->is_serving; i++) {
        struct mortal *first = first_due(replica);
        if (!first)
            return 0;
        int fault = expire_first(replica, first->deadline);
        if (fault)
            return fault;
    }
    replica->wants_commit |= replica->is_serving;
    return 0;
}

uint64_t replica_deadlines(const struct replica *replica)
{
    return replica->mortals.count;
}

void expiry_init(struct mortals *mortals, struct heap *heap)
{
    record_map_init(&mortals->by_record, heap);
}

void expiry_deinit(struct replica *replica)
{
    heap_free(replica->heap, replica->mortals.list,
              replica->mortals.cap * sizeof *replica->mortals.list);
    record_map_deinit(&replica->mortals.by_record);
}
