// SPDX-License-Identifier: Apache-2.0
// What clients do: adds from "workers" at any time, resets, SETs and members inside commits. The
// ghost is told of each operation here and nowhere else, and each answer is compared with its own.
#include <errno.h>
#include "sim/world.h"

static const char *const counters[GHOST_COUNTERS] = {"likes", "views", "stock",
                                                     "quota", "plays", "votes"};
static const char *const members[GHOST_MEMBERS] = {"ada", "bob", "eve", "joe"};

struct address workload_address(unsigned unit)
{
    if (unit < GHOST_COUNTERS)
        return (struct address){.kind = UNIT_KEY, .key = span_text(counters[unit])};
    if (unit == GHOST_SET)
        return (struct address){.kind = UNIT_KEY, .key = span_text("fans")};
    if (unit >= GHOST_SKETCH)
        return visitors_address(unit - GHOST_SKETCH);
    return (struct address){.kind = UNIT_MEMBER,
                            .key = span_text("fans"),
                            .sub = span_text(members[unit - GHOST_SET - 1])};
}

int workload_unit(const struct address *address)
{
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
        struct address ours = workload_address(unit);
        if (ours.kind == address->kind && span_is_equal(ours.key, address->key) &&
            span_is_equal(ours.sub, address->sub))
            return (int)unit;
    }
    return -1;
}

struct record *workload_record(struct replica *replica, unsigned unit)
{
    struct address address = workload_address(unit);
    struct keyspace *keyspace = replica_keyspace(replica);
    return keyspace_find(keyspace, &address, keyspace_hash(keyspace, &address));
}

void workload_add(struct world *world, unsigned node, unsigned unit, int64_t amount)
{
    struct sim_node *self = &world->node[node];
    struct keyspace *keyspace = replica_keyspace(self->replica);
    int64_t value;
    struct address address = workload_address(unit);
    uint64_t hash = keyspace_hash(keyspace, &address);
    bool is_first;
    int outcome;
    do {
        struct record *record = keyspace_obtain(keyspace, &address, hash, CELL_COUNTER);
        if (!record)
            return; // out of memory: the client is told so
        outcome = keyspace_add(keyspace, record, amount, &value, &is_first);
    } while (outcome == RECORD_E_DEAD);
    if (outcome && self->heap.refused)
        return;
    if (outcome)
        world_violate(world, "%s: add to %s refused with %d", self->name, counters[unit], outcome);
    self->ghost.pending[unit] += amount;
    self->ghost.is_pending[unit] = true;
    world->counts.adds++;
    world_note(world, node, "INCRBY %s %d -> %lld", counters[unit], (int)amount, (long long)value);
    struct ghost_view view = ghost_view(&world->log, &self->ghost, unit);
    if (!outcome && value != view.value)
        world_violate(world, "%s: an add to %s answered %lld, must be %lld", self->name,
                      counters[unit], (long long)value, (long long)view.value);
}

void workload_step(struct world *world, unsigned node)
{
    static const int amounts[] = {1, 2, 3, -1, 5};
    struct sim_node *self = &world->node[node];
    if (!replica_is_serving(self->replica))
        return;
    unsigned unit = (unsigned)prng_below(&world->prng, GHOST_COUNTERS);
    workload_add(world, node, unit, amounts[prng_below(&world->prng, 5)]);
    if (self->commit_ms == WORLD_NEVER)
        self->commit_ms = world->now_ms + prng_below(&world->prng, world->plan.commit_ms + 1);
}

// ---- inside a commit

struct cell workload_own(struct sim_node *self, unsigned unit)
{
    struct record *record = workload_record(self->replica, unit);
    struct unit cells;
    struct sim_heap heap;
    struct cell own = {0};
    sim_heap_init(&heap);
    unit_init(&cells, &heap.heap);
    if (record && record_load(record, &cells) == 0) {
        const struct cell *cell = unit_find(&cells, self->self);
        own = cell ? *cell : own;
        own.cuts = NULL;
        own.content = NULL;
    }
    unit_deinit(&cells);
    return own;
}

void workload_entry(struct world *world, struct sim_node *self, unsigned unit,
                    struct ghost_entry entry)
{
    entry.incarnation = self->incarnation;
    self->ghost.mark[unit][self->incarnation].seen = entry.sequence;
    ghost_log_put(&world->log, unit, entry);
}

static void log_amount(struct world *world, struct sim_node *self, unsigned unit, int64_t amount)
{
    uint64_t write = workload_own(self, unit).write;
    if (write > self->ghost.mark[unit][self->incarnation].seen)
        workload_entry(world, self, unit,
                       (struct ghost_entry){.sequence = write, .amount = amount});
    else if (amount != 0)
        world_violate(world, "%s: an amount got no sequence of its own", self->name);
}

// What workers had added to the unit has its sequence now.
static void absorbed(struct world *world, struct sim_node *self, unsigned unit)
{
    struct ghost *ghost = &self->ghost;
    if (!ghost->is_pending[unit])
        return;
    log_amount(world, self, unit, ghost->pending[unit]);
    ghost->pending[unit] = 0;
    ghost->is_pending[unit] = false;
}

static void note_key(struct world *world, unsigned node, const char *what, unsigned unit)
{
    struct address address = workload_address(unit);
    world_note(world, node, "%s %.*s%s%.*s", what, (int)address.key.len,
               (const char *)address.key.ptr, address.sub.len ? " " : "", (int)address.sub.len,
               address.sub.len ? (const char *)address.sub.ptr : "");
}

static void reset(struct world *world, unsigned node, unsigned unit)
{
    struct sim_node *self = &world->node[node];
    bool was_live = false, must_be = ghost_view(&world->log, &self->ghost, unit).is_live;
    if (replica_delete(self->replica, workload_address(unit).key, &was_live))
        return; // out of memory: the commit fails, the process dies
    if (was_live != must_be)
        world_violate(world, "%s: DEL %.*s answered %d", self->name,
                      (int)workload_address(unit).key.len,
                      (const char *)workload_address(unit).key.ptr, was_live);
    absorbed(world, self, unit);
    ghost_reset(&self->ghost, unit);
    for (unsigned i = GHOST_SET + 1; unit == GHOST_SET && i < GHOST_SKETCH; i++)
        ghost_reset(&self->ghost, i);
    for (unsigned i = GHOST_SKETCH + 1; unit == GHOST_SKETCH && i < GHOST_UNITS; i++)
        ghost_reset(&self->ghost, i);
    world->counts.resets++;
    note_key(world, node, "DEL", unit);
}

static void set(struct world *world, unsigned node, unsigned unit, int64_t value)
{
    struct sim_node *self = &world->node[node];
    if (replica_set(self->replica, workload_address(unit).key, value))
        return;
    absorbed(world, self, unit);
    ghost_reset(&self->ghost, unit);
    struct cell own = workload_own(self, unit);
    workload_entry(world, self, unit,
                   (struct ghost_entry){.is_set = true,
                                        .sequence = own.base.sequence,
                                        .stamp = own.base.stamp,
                                        .amount = value});
    world->counts.sets++;
    world_note(world, node, "SET %s %lld", counters[unit], (long long)value);
}

static void add_member(struct world *world, unsigned node, unsigned unit)
{
    struct sim_node *self = &world->node[node];
    struct address address = workload_address(unit);
    bool was_key = ghost_view(&world->log, &self->ghost, GHOST_SET).is_live;
    bool was_live = ghost_view(&world->log, &self->ghost, unit).is_live, is_added = false;
    int outcome = replica_set_add(self->replica, address.key, address.sub, &is_added);
    if (outcome == -ENOMEM)
        return;
    if (outcome || is_added == was_live)
        world_violate(world, "%s: GADD %.*s answered %d (%d)", self->name, (int)address.sub.len,
                      (const char *)address.sub.ptr, is_added, outcome);
    if (!was_key)
        log_amount(world, self, GHOST_SET, 0);
    if (is_added)
        log_amount(world, self, unit, 1);
    world->counts.members++;
    note_key(world, node, "GADD", unit);
}

// One that can be deleted.
static unsigned draw_key(struct world *world)
{
    unsigned unit = (unsigned)prng_below(&world->prng, GHOST_SET + 2);
    return unit > GHOST_SET ? GHOST_SKETCH : unit;
}

static void draw_requests(struct world *world, unsigned node)
{
    struct prng *prng = &world->prng;
    if (world_chance(world, 100))
        workload_step(world, node);
    if (world_chance(world, world->plan.member_per_mille))
        add_member(world, node, GHOST_SET + 1 + (unsigned)prng_below(prng, GHOST_MEMBERS));
    stock_requests(world, node);
    if (world_chance(world, world->plan.visit_per_mille))
        visitors_add(world, node);
    if (world_chance(world, world->plan.reset_per_mille))
        reset(world, node, draw_key(world));
    if (world_chance(world, world->plan.set_per_mille)) {
        unsigned unit = (unsigned)prng_below(prng, GHOST_COUNTERS);
        set(world, node, unit, (int64_t)prng_below(prng, 1000));
    }
    if (world_chance(world, 50))
        workload_step(world, node);
}

static void carry_out_order(struct world *world, unsigned node)
{
    struct order order = world->order;
    if (order.kind == ORDER_NONE || order.node != node)
        return;
    world->order.kind = ORDER_NONE;
    if (order.kind == ORDER_DEL)
        reset(world, node, order.unit);
    else if (order.kind == ORDER_SET)
        set(world, node, order.unit, order.value);
    else
        add_member(world, node, order.unit);
}

void workload_requests(void *ctx, struct replica *replica)
{
    struct workload_requests_ctx *requests = ctx;
    struct world *world = requests->world;
    struct sim_node *self = &world->node[requests->node];
    for (unsigned unit = 0; unit < GHOST_COUNTERS; unit++)
        absorbed(world, self, unit); // the drain has run
    if (!replica_is_serving(replica))
        return;
    carry_out_order(world, requests->node);
    owners_requests(world, requests->node);
    if (world->is_clearing)
        stock_clear(world, requests->node);
    if (world->is_clearing)
        reset(world, requests->node, draw_key(world));
    if (!world->is_calm && !world->is_quiet && !world->options.plan)
        draw_requests(world, requests->node);
}

bool workload_is_cleared(struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
            if (ghost_view(&world->log, &world->node[node].ghost, unit).is_live)
                return false;
        }
    }
    return stock_is_cleared(world);
}
