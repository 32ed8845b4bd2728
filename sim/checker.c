// SPDX-License-Identifier: Apache-2.0
// What must hold: after every commit, at every node, each unit shows exactly the ghost's value (O1)
// and whatever the vector claims is reflected (O2, the token rule). At the end: nothing
// acknowledged is missing anywhere, all nodes show the same, and nothing dead is left.
#include <stdio.h>
#include "sim/world.h"

static void check_values(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    for (unsigned unit = 0; unit < GHOST_SKETCH; unit++) {
        const struct record *record = workload_record(self->replica, unit);
        bool is_live = record && (record_flags(record) & RECORD_LIVE);
        int64_t value = is_live ? record_value(record) : 0;
        struct ghost_view must = ghost_view(&world->log, &self->ghost, unit);
        if ((value == must.value && is_live == must.is_live) || self->ghost.is_partial[unit])
            continue;
        struct address address = workload_address(unit);
        struct span name = address.sub.len ? address.sub : address.key;
        world_violate(world, "value: %s shows %.*s = %lld (%s), must be %lld (%s)", self->name,
                      (int)name.len, (const char *)name.ptr, (long long)value,
                      is_live ? "there" : "not there", (long long)must.value,
                      must.is_live ? "there" : "not there");
        return;
    }
}

uint64_t checker_claimed(const struct sim_node *self, const struct incarnation *incarnation)
{
    uint16_t origin = origins_find(replica_origins(self->replica), incarnation);
    return origin == ORIGIN_NONE ? 0 : replica_vector(self->replica)->sequence[origin];
}

// Of a closed history V says that it is complete, though it ends with what was left of it. Closed
// by one is closed for all: the others may hear of it later than of the vector.
static void note_closed(struct world *world, const struct sim_node *self)
{
    const struct origins *origins = replica_origins(self->replica);
    for (uint8_t i = 0; i < world->log.incarnations_count; i++) {
        uint16_t origin = origins_find(origins, &world->log.incarnations[i]);
        world->is_closed[i] |=
            origin != ORIGIN_NONE && replica_node(self->replica)->seals[origin].is_set;
    }
}

// O2, and with `is_end` that everything that must survive is here.
static void check_seen(struct world *world, unsigned node, bool is_end)
{
    struct sim_node *self = &world->node[node];
    uint64_t vector[GHOST_INCARNATIONS];
    for (uint8_t i = 0; i < world->log.incarnations_count; i++)
        vector[i] = checker_claimed(self, &world->log.incarnations[i]);
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
        const struct ghost_unit *list = &world->log.unit[unit];
        for (size_t i = 0; i < list->count; i++) {
            const struct ghost_entry *entry = &list->list[i];
            if (entry->is_lost ||
                entry->sequence <= self->ghost.mark[unit][entry->incarnation].seen)
                continue;
            if (entry->is_optional && world->is_closed[entry->incarnation])
                continue;
            if (entry->sequence <= vector[entry->incarnation])
                world_violate(world, "token rule: %s claims incarnation %d up to %llu without %llu",
                              self->name, entry->incarnation,
                              (unsigned long long)vector[entry->incarnation],
                              (unsigned long long)entry->sequence);
            else if (is_end && entry->is_acked && !entry->is_optional)
                world_violate(world, "lost: %s never got %llu of incarnation %d", self->name,
                              (unsigned long long)entry->sequence, entry->incarnation);
        }
    }
}

void checker_node(struct world *world, unsigned node)
{
    if (world->violation[0])
        return;
    note_closed(world, &world->node[node]);
    check_values(world, node);
    owners_check(world, node);
    deadlines_check(world, node);
    visitors_check(world, node);
    stock_check(world, node);
    clients_check(world, node);
    check_seen(world, node, false);
}

bool checker_is_even(struct world *world)
{
    uint64_t digest = 0;
    for (unsigned node = 0; node < world->nodes_count; node++) {
        const struct sim_node *self = &world->node[node], *first = &world->node[0];
        if (!self->replica || !replica_is_serving(self->replica) || self->is_refused ||
            !keyspace_is_clean(replica_keyspace(self->replica)))
            return false;
        for (uint8_t i = 0; i < world->log.incarnations_count; i++) {
            const struct incarnation *incarnation = &world->log.incarnations[i];
            if (checker_claimed(self, incarnation) != checker_claimed(first, incarnation))
                return false;
        }
        digest = node == 0 ? replica_digest(self->replica) : digest;
        if (replica_digest(self->replica) != digest)
            return false;
    }
    return true;
}

// Tokens are kept as long as their key may be: when all is deleted, they go too.
struct leftovers {
    bool is_cleared;
    uint64_t count;
};

static void count_records(void *ctx, struct record *record)
{
    struct leftovers *left = ctx;
    bool is_kept = record_address(record).kind == UNIT_TOKEN ||
                   record_address(record).kind == UNIT_DEADLINE ||
                   (record_flags(record) & RECORD_MORTAL) || record_has_tokens(record);
    if (record_has_live_child(record))
        return; // claims on what closed incarnations left
    left->count += !(record_flags(record) & RECORD_LIVE) && (left->is_cleared || !is_kept);
}

// Former members keep everything from being stable until their history is closed; and of a closed
// one whose last copies went with their disks nobody can ever say that it is complete.
bool checker_is_held_up(const struct sim_node *self)
{
    const struct node *brain = replica_node(self->replica);
    for (uint16_t i = 0; i < brain->members_count; i++) {
        if (brain->members[i].is_former)
            return true;
    }
    for (uint16_t i = 0; i < brain->origins->count; i++) {
        if (brain->seals[i].is_set &&
            replica_vector(self->replica)->sequence[i] < brain->seals[i].sequence)
            return true;
    }
    return false;
}

bool checker_is_collected(struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        struct replica *replica = world->node[node].replica;
        struct leftovers left = {.is_cleared = workload_is_cleared(world)};
        uint64_t cursor = 0;
        if (!replica || checker_is_held_up(&world->node[node]))
            continue;
        do {
            cursor = keyspace_scan(replica_keyspace(replica), cursor, 1000, count_records, &left);
        } while (cursor);
        if (left.count)
            return false;
    }
    return true;
}

void checker_end(struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        if (!world->node[node].replica)
            return; // told to stop meanwhile: it comes back, and they get even once more
    }
    for (unsigned node = 0; node < world->nodes_count && !world->violation[0]; node++) {
        checker_node(world, node);
        if (!world->violation[0])
            check_seen(world, node, true);
        if (!world->violation[0])
            stock_check_end(world, node);
    }
}

// ---- for the reader of a trace

struct dump {
    struct world *world;
    struct sim_node *node;
};

static void print_cell(struct world *world, const struct origins *origins, const struct cell *cell)
{
    printf("      incarnation %d: s %llu, life %llu to %llu of %lld, cut %llu of %lld, reset %llu, "
           "base %llu cut %llu of %lld\n",
           ghost_incarnation(&world->log, &origins->list[cell->origin]),
           (unsigned long long)cell->sequence, (unsigned long long)cell->birth,
           (unsigned long long)cell->write, (long long)cell->total,
           (unsigned long long)cell->cut_write, (long long)cell->cut_total,
           (unsigned long long)cell->reset, (unsigned long long)cell->base.sequence,
           (unsigned long long)cell->base.cut, (long long)cell->base.value);
    if (cell->type == CELL_PRESENCE)
        printf("        lease %llu.%llu of %lld for %u ms%s\n",
               (unsigned long long)cell->lease.epoch, (unsigned long long)cell->lease.sequence,
               (long long)cell->lease.count, cell->lease.ttl_ms,
               cell->lease.ended ? ", ended" : "");
    for (uint32_t i = 0; i < cell->cuts_count; i++)
        printf("        cuts incarnation %d: life %llu to %llu of %lld, base %llu, members %llu\n",
               ghost_incarnation(&world->log, &origins->list[cell->cuts[i].origin]),
               (unsigned long long)cell->cuts[i].birth, (unsigned long long)cell->cuts[i].write,
               (long long)cell->cuts[i].total, (unsigned long long)cell->cuts[i].base,
               (unsigned long long)cell->cuts[i].floor);
}

static void print_record(void *ctx, struct record *record)
{
    struct dump *dump = ctx;
    struct address address = record_address(record);
    struct unit unit;
    struct sim_heap heap;
    sim_heap_init(&heap);
    unit_init(&unit, &heap.heap);
    printf("    %.*s %.*s = %lld, flags %x\n", (int)address.key.len, (const char *)address.key.ptr,
           (int)address.sub.len, address.sub.len ? (const char *)address.sub.ptr : "",
           (long long)record_value(record), record_flags(record));
    if (record_load(record, &unit) == 0) {
        for (uint16_t i = 0; i < unit.count; i++)
            print_cell(dump->world, replica_origins(dump->node->replica), &unit.cells[i]);
    }
    unit_deinit(&unit);
}

static void print_node(struct world *world, struct sim_node *self)
{
    const struct node *brain = replica_node(self->replica);
    const char *blocker = node_stability_blocker(brain);
    printf("  %s, incarnation %d, %s\n    seen, stable:", self->name, self->incarnation,
           replica_is_serving(self->replica) ? "serving" : "not serving");
    for (uint16_t i = 0; i < brain->origins->count; i++)
        printf(" %d: %llu %llu,", ghost_incarnation(&world->log, &brain->origins->list[i]),
               (unsigned long long)replica_vector(self->replica)->sequence[i],
               (unsigned long long)node_stable(brain)->sequence[i]);
    printf(" closed:");
    for (uint16_t i = 0; i < brain->origins->count; i++) {
        if (brain->seals[i].is_set)
            printf(" %d at %llu,", ghost_incarnation(&world->log, &brain->origins->list[i]),
                   (unsigned long long)brain->seals[i].sequence);
    }
    printf(" %s%s\n", blocker ? "blocked by " : "", blocker ? blocker : "not blocked");
    struct dump dump = {world, self};
    uint64_t cursor = 0;
    do {
        cursor = keyspace_scan(replica_keyspace(self->replica), cursor, 1000, print_record, &dump);
    } while (cursor);
}

void checker_print(struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        if (world->node[node].replica)
            print_node(world, &world->node[node]);
        else
            printf("  %s is down\n", world->node[node].name);
    }
}
