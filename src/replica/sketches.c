// SPDX-License-Identifier: Apache-2.0
// HyperLogLogs. Each origin keeps registers of its own (crdt/sketch.h), what is shown is their
// maximum. While an origin's registers are few they are one list, the content of its cell in the
// key's unit; beyond sketch_bytes they lie in blocks, children of the key, so that a member that is
// added ships one block.
//
// A part is one origin's list, or its registers of one block, and a life of a cell: DEL takes away
// the parts as it has seen them. A part that was written at the same time stays, whole; so what a
// concurrent PFADD changed is never lost, and what DEL had seen may be counted again by as much as
// that part held. A PFADD that raises nothing writes nothing. Moving a list into blocks is a write.
//
// The estimate of a key with blocks is reckoned once a commit, however many members that added.
#include "base/hash.h"
#include "crdt/sketch.h"
#include "replica/private.h"

static bool is_part(const struct cell *cell)
{
    return cell->content_len && cell->type == CELL_HLL;
}

// ---- reading

static void join_unit(const struct unit *unit, struct sketch *sketch, const uint8_t *block)
{
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (is_part(cell) && block)
            sketch_join_block(sketch, cell_content(cell), *block * SKETCH_BLOCK);
        else if (is_part(cell))
            sketch_join(sketch, cell_content(cell), 0);
    }
}

// The block's number; NULL for a key.
static const uint8_t *block_of(const struct address *address)
{
    return address->kind == UNIT_BLOCK && address->sub.len == 1 &&
                   address->sub.ptr[0] < SKETCH_BLOCKS
               ? address->sub.ptr
               : NULL;
}

static void join_record(struct replica *replica, const struct record *record, struct sketch *sketch)
{
    struct address address = record_address(record);
    const uint8_t *block = block_of(&address);
    if (address.kind == UNIT_KEY || block)
        join_unit(cells_read(replica, record), sketch, block);
}

static void join_whole(struct replica *replica, const struct record *key, struct sketch *sketch)
{
    join_record(replica, key, sketch);
    for (struct record *child = record_first_child(key); child; child = record_next_child(child)) {
        if (record_address(child).kind == UNIT_BLOCK)
            join_record(replica, child, sketch);
    }
}

uint64_t sketches_digest(struct replica *replica, const struct record *record, uint64_t seed)
{
    struct sketch sketch;
    sketch_init(&sketch);
    join_record(replica, record, &sketch);
    return hash_bytes(span_of(sketch.rank, sizeof sketch.rank), seed);
}

int64_t sketches_shown(const struct record *key, const struct unit *unit)
{
    struct sketch sketch;
    if (record_first_child(key))
        return record_noted(key);
    sketch_init(&sketch);
    join_unit(unit, &sketch, NULL);
    return (int64_t)sketch_estimate(&sketch);
}

static struct record *find_record(struct replica *replica, const struct address *address)
{
    return keyspace_find(replica->keyspace, address, keyspace_hash(replica->keyspace, address));
}

// ---- the estimate of a key with blocks

int sketches_touch(struct replica *replica, struct record *key)
{
    return record_map_put(&replica->sketches, key, 0);
}

static void settle(struct replica *replica, struct record *key)
{
    struct sketch sketch;
    sketch_init(&sketch);
    join_whole(replica, key, &sketch);
    int64_t before = cells_view(replica, key).value;
    record_note(key, (int64_t)sketch_estimate(&sketch));
    int64_t difference = cells_view(replica, key).value - before;
    if (difference == 0)
        return;
    int64_t value = record_shift(key, difference);
    keyspace_change_put(replica->keyspace, key);
    note_put(replica, key, value - difference, difference, CHANGE_ADD);
}

void sketches_settle(struct replica *replica)
{
    struct record_map *map = &replica->sketches;
    for (uint32_t i = 0; map->count && i < map->cap; i++) {
        if (!map->list[i].record)
            continue;
        struct address address = record_address(map->list[i].record);
        settle(replica, find_record(replica, &address));
    }
    record_map_clear(map);
}

// ---- writing

struct raise { // registers of a key that are to be at least as high as `wanted`
    struct replica *replica;
    struct span key;
    struct record *record;
    struct sketch wanted, shown, own;
    bool is_wanted[SKETCH_BLOCKS];
    bool is_news[SKETCH_BLOCKS]; // some register of the block is raised
    bool is_any_news;
};

static struct record *find_block(const struct raise *raise, uint8_t block)
{
    struct address address = {
        .kind = UNIT_BLOCK, .key = raise->key, .sub = span_of(&block, sizeof block)};
    return find_record(raise->replica, &address);
}

static void join_own(const struct raise *raise, const struct record *record, struct sketch *out_own)
{
    struct cell *own = unit_find(cells_read(raise->replica, record), raise->replica->self);
    struct unit mine = {.cells = own, .count = own != NULL};
    struct address address = record_address(record);
    join_unit(&mine, out_own, block_of(&address));
}

static void look_at_block(struct raise *raise, uint8_t block)
{
    const struct record *record = find_block(raise, block);
    if (record) {
        join_record(raise->replica, record, &raise->shown);
        join_own(raise, record, &raise->own);
    }
    unsigned end = (block + 1u) * SKETCH_BLOCK;
    for (unsigned index = block * SKETCH_BLOCK; index < end; index++) {
        struct sketch_hit hit = {(uint16_t)index, raise->wanted.rank[index]};
        if (hit.rank <= raise->shown.rank[index])
            continue;
        sketch_raise(&raise->own, hit);
        raise->is_news[block] = raise->is_any_news = true;
    }
}

// Our part under the record's address is this from now on.
static int put_part(struct replica *replica, struct record *record, struct span content)
{
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    struct cell *cell = unit ? unit_obtain(unit, replica->self) : NULL;
    if (!cell)
        return -ENOMEM;
    if (!cell_is_live(cell))
        cell->type = CELL_HLL;
    int fault = unit_write_content(unit, cell, cells_next(replica), content);
    if (!fault)
        fault = cells_store(replica, record);
    if (fault)
        return fault;
    return cells_settle(replica, record, before, CHANGE_ADD);
}

static int put_block(struct raise *raise, uint8_t block)
{
    uint8_t bytes[SKETCH_LIST_BYTES];
    size_t len = sketch_write_block(&raise->own, block * SKETCH_BLOCK, bytes);
    struct address address = {
        .kind = UNIT_BLOCK, .key = raise->key, .sub = span_of(&block, sizeof block)};
    struct record *record = cells_record(raise->replica, &address, CELL_HLL);
    return record ? put_part(raise->replica, record, span_of(bytes, len)) : -ENOMEM;
}

static bool has_list(const struct raise *raise)
{
    const struct cell *own = cells_own(raise->replica, raise->record);
    return own && is_part(own);
}

// Our list is no more: what was in it goes into blocks too.
static int put_blocks(struct raise *raise)
{
    bool is_moving = has_list(raise);
    int fault = 0;
    for (unsigned block = 0; block < SKETCH_BLOCKS && !fault; block++) {
        bool is_ours = raise->is_news[block];
        for (unsigned i = 0; i < SKETCH_BLOCK && is_moving && !is_ours; i++)
            is_ours = raise->own.rank[block * SKETCH_BLOCK + i] != 0;
        if (!is_ours)
            continue;
        if (!raise->is_wanted[block]) { // not looked at yet
            const struct record *record = find_block(raise, (uint8_t)block);
            if (record)
                join_own(raise, record, &raise->own);
        }
        fault = put_block(raise, (uint8_t)block);
    }
    if (!fault && is_moving)
        fault = put_part(raise->replica, raise->record, span_of(NULL, 0));
    return fault;
}

static int put_list(struct raise *raise)
{
    uint8_t bytes[3 * LIMIT_SKETCH_BYTES];
    unsigned count = SKETCH_REGISTERS - raise->own.count[0];
    if (count > LIMIT_SKETCH_BYTES) // a byte a register at least
        return put_blocks(raise);
    size_t len = sketch_write(&raise->own, 0, SKETCH_REGISTERS, bytes);
    if (len > raise->replica->sketch_bytes)
        return put_blocks(raise);
    return put_part(raise->replica, raise->record, span_of(bytes, len));
}

static bool is_live(const struct record *record)
{
    return (record_flags(record) & RECORD_LIVE) != 0;
}

static bool is_other_type(const struct record *record)
{
    return (record_flags(record) & (RECORD_LIVE | RECORD_DIRTY)) && record_type(record) != CELL_HLL;
}

static int raise_all(struct raise *raise, bool *out_changed)
{
    bool is_new = !is_live(raise->record);
    sketch_init(&raise->shown);
    sketch_init(&raise->own);
    join_record(raise->replica, raise->record, &raise->shown);
    join_own(raise, raise->record, &raise->own);
    for (unsigned block = 0; block < SKETCH_BLOCKS; block++) {
        if (raise->is_wanted[block])
            look_at_block(raise, (uint8_t)block);
    }
    *out_changed = is_new || raise->is_any_news;
    if (!*out_changed)
        return 0;
    return record_has_live_child(raise->record) ? put_blocks(raise) : put_list(raise);
}

static int raise_open(struct raise *raise, struct replica *replica, struct span key)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    raise->replica = replica;
    raise->key = key;
    raise->record = cells_record(replica, &address, CELL_HLL);
    if (!raise->record)
        return -ENOMEM;
    if (is_other_type(raise->record))
        return CHANGE_E_TYPE;
    if (!is_live(raise->record)) // what a deleted key was does not bind the next one
        record_mark(replica->keyspace, raise->record, 0, 0, CELL_HLL);
    memset(raise->is_wanted, 0, sizeof raise->is_wanted);
    memset(raise->is_news, 0, sizeof raise->is_news);
    raise->is_any_news = false;
    sketch_init(&raise->wanted);
    return 0;
}

int replica_sketch_add(struct replica *replica, struct span key, const struct span *members,
                       uint32_t count, bool *out_changed)
{
    struct raise raise;
    int outcome = raise_open(&raise, replica, key);
    if (outcome)
        return outcome;
    for (uint32_t i = 0; i < count; i++) {
        struct sketch_hit hit = sketch_hit(members[i]);
        sketch_raise(&raise.wanted, hit);
        raise.is_wanted[hit.index / SKETCH_BLOCK] = true;
    }
    return raise_all(&raise, out_changed);
}

// ---- several keys

static struct record *find(struct replica *replica, struct span key)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    struct record *record = find_record(replica, &address);
    return record && is_live(record) ? record : NULL;
}

static int join_keys(struct replica *replica, const struct span *keys, uint32_t count,
                     struct sketch *sketch)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct record *record = find(replica, keys[i]);
        if (record && record_type(record) != CELL_HLL)
            return CHANGE_E_TYPE;
        if (record && !expiry_is_over(replica, record))
            join_whole(replica, record, sketch);
    }
    return 0;
}

int replica_sketch_merge(struct replica *replica, struct span key, const struct span *sources,
                         uint32_t count)
{
    struct raise raise;
    bool is_changed;
    struct sketch united;
    sketch_init(&united);
    int outcome = join_keys(replica, sources, count, &united);
    if (!outcome)
        outcome = raise_open(&raise, replica, key);
    if (outcome)
        return outcome;
    raise.wanted = united;
    for (unsigned index = 0; index < SKETCH_REGISTERS; index++)
        raise.is_wanted[index / SKETCH_BLOCK] |= united.rank[index] != 0;
    return raise_all(&raise, &is_changed);
}

int replica_sketch_count(struct replica *replica, const struct span *keys, uint32_t count,
                         uint64_t *out_count)
{
    struct sketch sketch;
    sketch_init(&sketch);
    int outcome = join_keys(replica, keys, count, &sketch);
    if (!outcome)
        *out_count = sketch_estimate(&sketch);
    return outcome;
}
