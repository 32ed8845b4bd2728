// SPDX-License-Identifier: Apache-2.0
// A bounded counter: goods that several nodes sell. The oracle knows nothing of rights: it adds up,
// for each creation of the counter, what was ever put in and what was sold and acknowledged. Sold
// may never be more, whatever fails, and no node may show less than the bound. A sale whose only
// copy went with a disk that was taken away is not counted: nobody can know of it any more.
#include <errno.h>
#include <stdlib.h>
#include "sim/world.h"

#define BOUND 2

static const char key[] = "goods";

static struct record *find(struct replica *replica)
{
    struct address address = {.kind = UNIT_KEY, .key = span_text(key)};
    struct keyspace *keyspace = replica_keyspace(replica);
    return keyspace_find(keyspace, &address, keyspace_hash(keyspace, &address));
}

static bool is_live(const struct record *record)
{
    return record && (record_flags(record) & RECORD_LIVE);
}

// ---- the oracle

// Room for one more of `size` in a list of `count`.
static void *grown(void *list, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return list;
    *cap = *cap ? *cap * 2 : 64;
    list = realloc(list, *cap * size);
    if (!list)
        abort();
    return list;
}

static struct stock_creation *creation_of(struct world *world, const struct stock_creation *id)
{
    struct stock *stock = &world->stock;
    for (size_t i = 0; i < stock->creations_count; i++) {
        struct stock_creation *one = &stock->creation[i];
        if (one->incarnation == id->incarnation && one->sequence == id->sequence)
            return one;
    }
    stock->creation = grown(stock->creation, stock->creations_count, &stock->creations_cap,
                            sizeof *stock->creation);
    stock->creation[stock->creations_count] = *id;
    return &stock->creation[stock->creations_count++];
}

static void remember(struct world *world, struct stock_op op)
{
    struct stock *stock = &world->stock;
    stock->list = grown(stock->list, stock->count, &stock->cap, sizeof *stock->list);
    if (op.amount > 0)
        creation_of(world, &op.creation)->put_in += op.amount; // also if never acknowledged
    stock->list[stock->count++] = op;
}

static void count_sale(struct world *world, const struct stock_op *op, int64_t sign)
{
    if (op->amount >= 0)
        return;
    struct stock_creation *creation = creation_of(world, &op->creation);
    creation->sold -= sign * op->amount;
    if (creation->sold > creation->put_in)
        world_violate(world, "oversold: %lld of %lld", (long long)creation->sold,
                      (long long)creation->put_in);
}

void stock_acknowledge(struct world *world, struct sim_node *self)
{
    struct stock *stock = &world->stock;
    for (size_t i = self->stock_acked; i < stock->count; i++) {
        struct stock_op *op = &stock->list[i];
        if (op->node_boot != self->boot || op->is_acked)
            continue;
        op->is_acked = true;
        count_sale(world, op, 1);
    }
    self->stock_acked = stock->count;
}

static void drop(struct world *world, struct stock_op *op)
{
    if (op->is_acked && !op->is_lost)
        count_sale(world, op, -1);
    op->is_lost = true;
}

void stock_serves(struct world *world, const struct sim_node *self, uint64_t end)
{
    for (size_t i = 0; i < world->stock.count; i++) {
        struct stock_op *op = &world->stock.list[i];
        if (op->incarnation == self->incarnation && op->sequence > end)
            drop(world, op);
    }
}

void stock_mark_optional(struct world *world)
{
    for (size_t i = 0; i < world->stock.count; i++) {
        struct stock_op *op = &world->stock.list[i];
        bool is_held = false;
        for (unsigned node = 0; node < world->nodes_count; node++)
            is_held |= world->node[node].durable.vector[op->incarnation] >= op->sequence;
        if (!is_held) {
            drop(world, op);
            world->stock.is_uncertain = true;
        }
    }
}

// ---- inside a commit

struct row { // our own total of a creation
    struct stock_creation id;
    int64_t total;
    uint64_t write;
};

struct rows {
    struct row *list;
    size_t count, cap;
};

static void read_rows(struct world *world, struct sim_node *self, struct rows *rows)
{
    struct record *record = find(self->replica);
    for (struct record *child = record ? record_first_child(record) : NULL; child;
         child = record_next_child(child)) {
        struct span sub = record_address(child).sub;
        struct unit unit;
        struct sim_heap heap;
        struct incarnation incarnation;
        if (sub.len != 24)
            continue;
        sim_heap_init(&heap);
        unit_init(&unit, &heap.heap);
        memcpy(incarnation.bytes, sub.ptr, sizeof incarnation.bytes);
        const struct cell *own = record_load(child, &unit) ? NULL : unit_find(&unit, self->self);
        rows->list = grown(rows->list, rows->count, &rows->cap, sizeof *rows->list);
        rows->list[rows->count++] =
            (struct row){.id = {.incarnation = ghost_incarnation(&world->log, &incarnation),
                                .sequence = bytes_read_u64(sub.ptr + 16)},
                         .total = own && own->birth ? own->total : 0,
                         .write = own ? own->write : 0};
        unit_deinit(&unit);
    }
}

static int64_t total_before(const struct rows *rows, const struct stock_creation *id)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->list[i];
        if (row->id.incarnation == id->incarnation && row->id.sequence == id->sequence)
            return row->total;
    }
    return 0;
}

static void log_rows(struct world *world, struct sim_node *self, const struct rows *before,
                     int64_t amount)
{
    struct rows after = {0};
    int64_t sum = 0;
    read_rows(world, self, &after);
    for (size_t i = 0; i < after.count; i++) {
        const struct row *row = &after.list[i];
        int64_t change = row->total - total_before(before, &row->id);
        sum += change;
        if (change != 0)
            remember(world, (struct stock_op){.creation = row->id,
                                              .incarnation = self->incarnation,
                                              .sequence = row->write,
                                              .amount = change,
                                              .node_boot = self->boot});
    }
    free(after.list);
    if (sum != amount)
        world_violate(world, "%s: %lld goods were moved for %lld", self->name, (long long)sum,
                      (long long)amount);
}

// What a node answers to an addition, and what it did to its rows.
static void judge_add(struct world *world, unsigned node, const struct rows *before, int64_t amount)
{
    struct sim_node *self = &world->node[node];
    int64_t value = 0, left = 0, was = record_value(find(self->replica));
    int outcome = replica_bounded_add(self->replica, span_text(key), amount, &value, &left);
    if (outcome == -ENOMEM || self->heap.refused)
        return;
    world_note(world, node, "INCRBY goods %lld -> %lld, left %lld (%d)", (long long)amount,
               (long long)value, (long long)left, outcome);
    if (outcome == CHANGE_E_RIGHTS) {
        world->counts.refused++;
        if (amount > 0 || left >= -amount)
            world_violate(world, "%s refuses %lld goods, having %lld", self->name,
                          (long long)amount, (long long)left);
        return;
    }
    if (outcome || value != was + amount)
        world_violate(world, "%s: goods from %lld by %lld are %lld (%d)", self->name,
                      (long long)was, (long long)amount, (long long)value, outcome);
    world->counts.sales += amount < 0;
    log_rows(world, self, before, amount);
}

static void add(struct world *world, unsigned node, int64_t amount)
{
    struct rows before = {0};
    read_rows(world, &world->node[node], &before);
    judge_add(world, node, &before, amount);
    free(before.list);
}

static void transfer(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    int64_t amount = 1 + (int64_t)prng_below(&world->prng, 6), left = 0;
    const char *name = world->node[prng_below(&world->prng, world->nodes_count)].name;
    int outcome =
        replica_bounded_transfer(self->replica, span_text(key), amount, span_text(name), &left);
    world_note(world, node, "QUIPU.TRANSFER goods %lld %s (%d)", (long long)amount, name, outcome);
    if (outcome > 0 && outcome != CHANGE_E_RIGHTS && outcome != CHANGE_E_REPLICA)
        world_violate(world, "%s: a transfer answered %d", self->name, outcome);
}

static void end(struct world *world, unsigned node)
{
    bool was_live;
    replica_delete(world->node[node].replica, span_text(key), &was_live);
    world_note(world, node, "DEL goods (%d)", was_live);
}

void stock_requests(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    struct prng *prng = &world->prng;
    if (!world_chance(world, world->plan.stock_per_mille))
        return;
    if (!is_live(find(self->replica))) {
        int outcome = replica_bounded_create(self->replica, span_text(key), BOUND);
        world_note(world, node, "QUIPU.CREATE goods bounded (%d)", outcome);
        if (outcome > 0)
            world_violate(world, "%s: a creation answered %d", self->name, outcome);
        if (outcome)
            return;
    }
    uint64_t draw = prng_below(prng, 100);
    if (draw < 20)
        add(world, node, 1 + (int64_t)prng_below(prng, 10));
    else if (draw < 80)
        add(world, node, -1 - (int64_t)prng_below(prng, 4));
    else if (draw < 96 || world->plan.reset_per_mille == 0)
        transfer(world, node);
    else
        end(world, node);
}

void stock_clear(struct world *world, unsigned node)
{
    if (is_live(find(world->node[node].replica)))
        end(world, node);
}

bool stock_is_cleared(struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        if (!world->node[node].replica || is_live(find(world->node[node].replica)))
            return false;
    }
    return true;
}

// ---- what nodes show

void stock_check(struct world *world, unsigned node)
{
    const struct sim_node *self = &world->node[node];
    const struct record *record = find(self->replica);
    if (is_live(record) && record_value(record) < BOUND)
        world_violate(world, "%s shows %lld goods, below the bound", self->name,
                      (long long)record_value(record));
}

static bool is_living(struct world *world, const struct unit *unit, const struct origins *origins,
                      const struct stock_creation *id)
{
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (cell->base.sequence == id->sequence && cell->base.sequence &&
            ghost_incarnation(&world->log, &origins->list[cell->origin]) == id->incarnation)
            return true;
    }
    return false;
}

// When no operation is in doubt, the sum is exact.
void stock_check_end(struct world *world, unsigned node)
{
    struct replica *replica = world->node[node].replica;
    struct record *record = find(replica);
    struct unit unit;
    struct sim_heap heap;
    int64_t must = BOUND;
    bool is_certain = is_live(record) && !world->stock.is_uncertain;
    if (!is_certain)
        return;
    sim_heap_init(&heap);
    unit_init(&unit, &heap.heap);
    if (record_load(record, &unit))
        return;
    for (size_t i = 0; i < world->stock.count; i++) {
        const struct stock_op *op = &world->stock.list[i];
        if (op->is_lost || !is_living(world, &unit, replica_origins(replica), &op->creation))
            continue;
        is_certain &= op->is_acked;
        must += op->amount;
    }
    unit_deinit(&unit);
    if (is_certain && record_value(record) != must)
        world_violate(world, "%s shows %lld goods, must be %lld", world->node[node].name,
                      (long long)record_value(record), (long long)must);
}

void stock_deinit(struct world *world)
{
    free(world->stock.list);
    free(world->stock.creation);
}
