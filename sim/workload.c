// SPDX-License-Identifier: Apache-2.0
// What clients do: adds from "workers" at any time, resets, SETs and members inside commits. The
// ghost is told of each operation here and nowhere else, and each answer is compared with its own.
#include <errno.h>
#include <stdlib.h>
#include "sim/world.h"

static const char *const counters[GHOST_COUNTERS] = {"likes", "views", "stock",
                                                     "quota", "plays", "votes"};
static const char *const members[GHOST_MEMBERS] = {"ada", "bob", "eve", "joe"};

struct address workload_address(unsigned unit)
{
    if (unit < GHOST_COUNTERS)
        return (struct address){.kind = UNIT_KEY, .key = span_text(counters[unit])};
    if (unit >= GHOST_DEADLINE)
        return deadlines_address(unit);
    if (unit >= GHOST_TOKEN)
        return tokens_address(unit);
    if (unit >= GHOST_SKETCH)
        return visitors_address(unit - GHOST_SKETCH);
    unsigned set = unit < GHOST_SET ? GHOST_GSET : GHOST_SET;
    struct span key = span_text(set == GHOST_SET ? "tags" : "fans");
    if (unit == set)
        return (struct address){.kind = UNIT_KEY, .key = key};
    return (struct address){
        .kind = UNIT_MEMBER, .key = key, .sub = span_text(members[unit - set - 1])};
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
        if (outcome == RECORD_E_EXACT && record_flags(record) & RECORD_MORTAL)
            return; // the client would go to the replica thread
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
    if (!outcome && value != view.value && !self->ghost.is_partial[unit])
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
void workload_absorbed(struct world *world, struct sim_node *self, unsigned unit)
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

static uint64_t seen_by_vector(const struct world *world, const struct sim_node *self, uint8_t i)
{
    uint16_t origin = origins_find(replica_origins(self->replica), &world->log.incarnations[i]);
    const struct vector *vector = replica_vector(self->replica);
    if (i == self->incarnation)
        return UINT64_MAX; // all of its own, in the commit under way too
    return origin == ORIGIN_NONE ? 0 : vector->sequence[origin];
}

// What lies above the vector is removed member by member beside the record.
static struct ghost_clearing *begin_clearing(struct world *world, const struct sim_node *self,
                                             unsigned set)
{
    struct ghost_clearing *clearing = calloc(1, sizeof *clearing);
    if (!clearing)
        abort();
    clearing->set = set;
    clearing->incarnation = self->incarnation;
    clearing->next = world->log.clearings;
    world->log.clearings = clearing;
    for (uint8_t i = 0; i < world->log.incarnations_count; i++) {
        uint64_t most = seen_by_vector(world, self, i);
        for (unsigned at = 0; at < GHOST_MEMBERS; at++) {
            uint64_t seen = self->ghost.mark[set + 1 + at][i].seen;
            clearing->seen[at][i] = seen < most ? seen : most;
        }
    }
    return clearing;
}

static void reset(struct world *world, unsigned node, unsigned unit)
{
    struct sim_node *self = &world->node[node];
    if (self->ghost.is_partial[unit])
        return;
    deadlines_touch(world, node, unit);
    if (self->heap.refused)
        return;
    bool was_live = false, must_be = ghost_view(&world->log, &self->ghost, unit).is_live;
    struct ghost_clearing *clearing =
        ghost_is_set(unit) && must_be ? begin_clearing(world, self, unit) : NULL;
    if (replica_delete(self->replica, workload_address(unit).key, &was_live))
        return; // out of memory: the commit fails, the process dies
    if (was_live != must_be && !self->heap.refused) // an earlier request may be half done
        world_violate(world, "%s: DEL %.*s answered %d", self->name,
                      (int)workload_address(unit).key.len,
                      (const char *)workload_address(unit).key.ptr, was_live);
    workload_absorbed(world, self, unit);
    ghost_reset(&self->ghost, unit);
    deadlines_dropped(world, node, unit);
    for (unsigned i = unit + 1; ghost_is_set(unit) && i <= unit + GHOST_MEMBERS; i++)
        ghost_reset(&self->ghost, i);
    for (unsigned i = GHOST_SKETCH + 1; unit == GHOST_SKETCH && i < GHOST_TOKEN; i++)
        ghost_reset(&self->ghost, i);
    if (clearing)
        clearing->sequence = workload_own(self, unit).reset;
    world->counts.resets++;
    note_key(world, node, "DEL", unit);
}

static void set(struct world *world, unsigned node, unsigned unit, int64_t value)
{
    struct sim_node *self = &world->node[node];
    if (self->ghost.is_partial[unit])
        return;
    deadlines_touch(world, node, unit);
    if (replica_set(self->replica, workload_address(unit).key, value))
        return;
    workload_absorbed(world, self, unit);
    ghost_reset(&self->ghost, unit);
    deadlines_dropped(world, node, unit);
    struct cell own = workload_own(self, unit);
    workload_entry(world, self, unit,
                   (struct ghost_entry){.is_set = true,
                                        .sequence = own.base.sequence,
                                        .stamp = own.base.stamp,
                                        .amount = value});
    world->counts.sets++;
    world_note(world, node, "SET %s %lld", counters[unit], (long long)value);
}

// A member that was there is added once more by a write of its own, or else a removal somewhere
// that knows the earlier one takes both.
static void log_member(struct world *world, struct sim_node *self, unsigned unit)
{
    uint64_t write = workload_own(self, unit).write;
    if (write > self->ghost.mark[unit][self->incarnation].seen) {
        log_amount(world, self, unit, 1);
        return;
    }
    for (unsigned node = 0; unit > GHOST_SET && node < world->nodes_count; node++) {
        const struct sim_node *other = &world->node[node];
        if (other != self && other->ghost.mark[unit][self->incarnation].seen >= write)
            world_violate(world, "%s: a member added again got no sequence, though %s knows it",
                          self->name, other->name);
    }
}

static void add_member(struct world *world, unsigned node, unsigned unit)
{
    struct sim_node *self = &world->node[node];
    struct address address = workload_address(unit);
    unsigned key = unit < GHOST_SET ? GHOST_GSET : GHOST_SET;
    enum cell_type type = key == GHOST_SET ? CELL_SET : CELL_GSET;
    bool was_key = ghost_view(&world->log, &self->ghost, key).is_live;
    bool was_live = ghost_view(&world->log, &self->ghost, unit).is_live, is_added = false;
    struct record *set;
    int outcome = replica_set_open(self->replica, address.key, type, &set);
    if (!outcome)
        outcome = replica_set_add(self->replica, set, type, address.sub, &is_added);
    if (outcome == -ENOMEM)
        return;
    if (outcome || is_added == was_live)
        world_violate(world, "%s: adding %.*s answered %d (%d)", self->name, (int)address.sub.len,
                      (const char *)address.sub.ptr, is_added, outcome);
    if (!was_key && type == CELL_GSET)
        log_amount(world, self, key, 0);
    log_member(world, self, unit);
    world->counts.members++;
    note_key(world, node, type == CELL_SET ? "SADD" : "GADD", unit);
}

static void remove_member(struct world *world, unsigned node, unsigned unit)
{
    struct sim_node *self = &world->node[node];
    struct address address = workload_address(unit);
    bool must_be = ghost_view(&world->log, &self->ghost, unit).is_live;
    const struct record *set = workload_record(self->replica, GHOST_SET);
    struct record *member = set ? replica_set_member(self->replica, set, address.sub) : NULL;
    if ((member != NULL) != must_be)
        world_violate(world, "%s: %.*s is %s to be removed", self->name, (int)address.sub.len,
                      (const char *)address.sub.ptr, member ? "there" : "not there");
    if (!member || replica_set_remove(self->replica, member))
        return;
    ghost_reset(&self->ghost, unit);
    world->counts.removals++;
    note_key(world, node, "SREM", unit);
}

static void draw_member(struct world *world, unsigned node)
{
    unsigned at = 1 + (unsigned)prng_below(&world->prng, GHOST_MEMBERS);
    if (!world_chance(world, world->plan.removal_per_mille))
        add_member(world, node, (world_chance(world, 300) ? GHOST_GSET : GHOST_SET) + at);
    else if (world_chance(world, 800))
        remove_member(world, node, GHOST_SET + at);
    else
        reset(world, node, GHOST_SET);
}

// One that can be deleted.
static unsigned draw_key(struct world *world)
{
    static const unsigned others[] = {GHOST_GSET, GHOST_SET, GHOST_SKETCH};
    unsigned unit = (unsigned)prng_below(&world->prng, GHOST_COUNTERS + 3);
    return unit < GHOST_COUNTERS ? unit : others[unit - GHOST_COUNTERS];
}

static void draw_requests(struct world *world, unsigned node)
{
    struct prng *prng = &world->prng;
    if (world_chance(world, 100))
        workload_step(world, node);
    if (world_chance(world, world->plan.member_per_mille))
        draw_member(world, node);
    stock_requests(world, node);
    if (world_chance(world, world->plan.visit_per_mille))
        visitors_add(world, node);
    if (world_chance(world, world->plan.reset_per_mille))
        reset(world, node, draw_key(world));
    if (world_chance(world, world->plan.set_per_mille)) {
        unsigned unit = (unsigned)prng_below(prng, GHOST_COUNTERS);
        set(world, node, unit, (int64_t)prng_below(prng, 1000));
    }
    if (world_chance(world, world->plan.expire_per_mille))
        deadlines_expire(world, node, (unsigned)prng_below(prng, GHOST_COUNTERS));
    if (world_chance(world, world->plan.token_per_mille))
        tokens_add(world, node, (unsigned)prng_below(prng, GHOST_TOKENS));
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
    else if (order.kind == ORDER_EXPIRE)
        deadlines_expire(world, node, order.unit);
    else if (order.kind == ORDER_ONCE)
        tokens_add(world, node, order.unit);
    else if (order.kind == ORDER_ADD)
        add_member(world, node, order.unit);
    else
        remove_member(world, node, order.unit);
}

// Where nobody joins or is replaced, only an older disk is one. Else a crash between the first
// meeting and the commit may make a replica begin anew that has nothing yet to forget.
static bool may_be_old(const struct world *world)
{
    bool may_be = !world->plan.is_patient || world->plan.joiners_count;
    for (unsigned node = 0; node < world->nodes_count; node++)
        may_be |= world->node[node].was_restored;
    return may_be;
}

// The replica found its directory too old before this commit.
static void begin_anew(struct world *world, struct sim_node *self)
{
    if (replica_counts(self->replica).forgettings == self->forgettings)
        return;
    self->forgettings++;
    world->counts.forgettings++;
    self->is_doubt_anew = true;
    self->doubt_self = self->incarnation;
    const struct node *brain = replica_node(self->replica);
    for (uint16_t origin = 0; origin < brain->origins->count; origin++)
        ghost_forget(&world->log, &self->ghost,
                     ghost_incarnation(&world->log, &brain->origins->list[origin]),
                     brain->dropped.sequence[origin]);
    world_note(world, (unsigned)(self - world->node), "forgets what the others have");
    if (!may_be_old(world))
        world_violate(world, "%s takes its directory for an older one", self->name);
}

void workload_requests(void *ctx, struct replica *replica)
{
    struct workload_requests_ctx *requests = ctx;
    struct world *world = requests->world;
    struct sim_node *self = &world->node[requests->node];
    begin_anew(world, self);
    for (unsigned unit = 0; unit < GHOST_COUNTERS; unit++)
        workload_absorbed(world, self, unit); // the drain has run
    if (!replica_is_serving(replica))
        return;
    carry_out_order(world, requests->node);
    owners_requests(world, requests->node);
    clients_requests(world, requests->node);
    if (world->is_clearing)
        clients_clear(world, requests->node);
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
    return stock_is_cleared(world) && clients_are_cleared(world);
}
