// SPDX-License-Identifier: Apache-2.0
// Keys that end: deadlines that clients set, replace and take away at any node, and what nodes do
// when one has passed by their clocks. Of the entries that a node's ghost has seen and no known
// entry replaces the longest must count there. A node may end a key by itself only past that, or
// drop what is left of a deadline on a key that is gone; what the ghost had seen of the key is cut
// then, and nothing else.
#include <errno.h>
#include "sim/world.h"

static unsigned counter_of(unsigned unit)
{
    return unit - GHOST_DEADLINE;
}

struct address deadlines_address(unsigned unit)
{
    struct address address = workload_address(counter_of(unit));
    address.kind = UNIT_DEADLINE;
    return address;
}

static int64_t held(const struct sim_node *self, unsigned counter)
{
    const struct record *record = workload_record(self->replica, GHOST_DEADLINE + counter);
    return record ? record_value(record) : 0;
}

static int64_t must_be(const struct world *world, const struct sim_node *self, unsigned counter)
{
    return ghost_longest(&world->log, &self->ghost, GHOST_DEADLINE + counter);
}

static bool is_past(const struct sim_node *self, int64_t at_ms)
{
    return at_ms != 0 && at_ms != DEADLINE_NEVER &&
           (uint64_t)at_ms <= replica_clock_ms(self->replica);
}

static void follow(struct world *world, unsigned node, unsigned counter)
{
    struct sim_node *self = &world->node[node];
    int64_t at_ms = must_be(world, self, counter);
    bool is_live = ghost_view(&world->log, &self->ghost, counter).is_live;
    if (at_ms == 0 || held(self, counter) != 0 || (is_live && !is_past(self, at_ms)))
        return;
    if (is_live) {
        workload_absorbed(world, self, counter);
        ghost_reset(&self->ghost, counter);
        world->counts.expired++;
        world_note(world, node, "%.*s ends", (int)workload_address(counter).key.len,
                   (const char *)workload_address(counter).key.ptr);
    }
    ghost_reset(&self->ghost, GHOST_DEADLINE + counter);
}

void deadlines_follow(struct world *world, unsigned node)
{
    for (unsigned counter = 0; counter < GHOST_COUNTERS; counter++)
        follow(world, node, counter);
}

void deadlines_touch(struct world *world, unsigned node, unsigned unit)
{
    if (replica_touch(world->node[node].replica, workload_address(unit).key) == 0 &&
        unit < GHOST_COUNTERS)
        follow(world, node, unit);
}

void deadlines_dropped(struct world *world, unsigned node, unsigned unit)
{
    if (unit < GHOST_COUNTERS)
        ghost_reset(&world->node[node].ghost, GHOST_DEADLINE + unit);
}

void deadlines_expire(struct world *world, unsigned node, unsigned counter)
{
    struct sim_node *self = &world->node[node];
    struct span key = workload_address(counter).key;
    if (self->ghost.is_partial[counter] || self->ghost.is_partial[GHOST_DEADLINE + counter])
        return;
    deadlines_touch(world, node, counter);
    if (self->heap.refused)
        return;
    int64_t before = must_be(world, self, counter);
    bool is_persist = world_chance(world, 200), is_done = false;
    bool is_live = ghost_view(&world->log, &self->ghost, counter).is_live;
    int64_t in_ms = 1 + (int64_t)prng_below(&world->prng, 4000);
    struct expire_request request = {
        .key = key,
        .at_ms = is_persist ? DEADLINE_NEVER : (int64_t)replica_clock_ms(self->replica) + in_ms};
    if (replica_expire(self->replica, &request, &is_done))
        return; // out of memory
    bool must = is_live && (!is_persist || (before != 0 && before != DEADLINE_NEVER));
    if (is_done != must)
        world_violate(world, "%s: EXPIRE %.*s answered %d", self->name, (int)key.len,
                      (const char *)key.ptr, is_done);
    if (!is_done)
        return;
    unsigned unit = GHOST_DEADLINE + counter;
    struct cell own = workload_own(self, unit);
    ghost_reset(&self->ghost, unit);
    workload_entry(world, self, unit,
                   (struct ghost_entry){
                       .is_set = true, .sequence = own.base.sequence, .amount = request.at_ms});
    world->counts.expiries++;
    world_note(world, node, is_persist ? "PERSIST %.*s" : "EXPIRE %.*s in %lld ms", (int)key.len,
               (const char *)key.ptr, (long long)in_ms);
}

void deadlines_check(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    for (unsigned counter = 0; counter < GHOST_COUNTERS; counter++) {
        int64_t must = must_be(world, self, counter), is = held(self, counter);
        struct span key = workload_address(counter).key;
        if (is != must && !self->ghost.is_partial[GHOST_DEADLINE + counter])
            world_violate(world, "%s: %.*s ends at %lld, must be %lld", self->name, (int)key.len,
                          (const char *)key.ptr, (long long)is, (long long)must);
    }
}

bool deadlines_are_kept(struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        const struct sim_node *self = &world->node[node];
        for (unsigned counter = 0; self->replica && counter < GHOST_COUNTERS; counter++) {
            if (is_past(self, held(self, counter)))
                return false;
        }
    }
    return true;
}
