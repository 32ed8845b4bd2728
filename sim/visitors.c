// SPDX-License-Identifier: Apache-2.0
// Visitors of a page, counted by a HyperLogLog: a few dozen names, each with a register of its own,
// in three blocks, so that which of them a node counts can be told exactly. The ghost keeps, for
// each part (an incarnation's list, or its registers of a block), which members it holds: a DEL
// takes away the parts as it has seen them, one that was written meanwhile stays whole.
#include <errno.h>
#include <stdio.h>
#include "crdt/sketch.h"
#include "sim/world.h"

#define VISITORS 24 // in all, a bit each

static const char key[] = "uniques";
static const uint8_t blocks[GHOST_BLOCKS] = {5, 77, 127};

struct visitor {
    char name[12];
    struct sketch_hit hit;
    unsigned block; // of `blocks`
};

struct crowd {
    struct visitor list[VISITORS];
    unsigned count;
};

struct address visitors_address(unsigned block)
{
    if (block == 0)
        return (struct address){.kind = UNIT_KEY, .key = span_text(key)};
    return (struct address){
        .kind = UNIT_BLOCK, .key = span_text(key), .sub = span_of(&blocks[block - 1], 1)};
}

static bool is_taken(const struct crowd *crowd, struct sketch_hit hit)
{
    for (unsigned i = 0; i < crowd->count; i++) {
        if (crowd->list[i].hit.index == hit.index)
            return true;
    }
    return false;
}

// The same every time.
static void gather(struct crowd *crowd)
{
    crowd->count = 0;
    for (unsigned n = 0; crowd->count < VISITORS; n++) {
        struct visitor *visitor = &crowd->list[crowd->count];
        snprintf(visitor->name, sizeof visitor->name, "v%u", n);
        visitor->hit = sketch_hit(span_text(visitor->name));
        for (unsigned block = 0; block < GHOST_BLOCKS; block++) {
            if (visitor->hit.index / SKETCH_BLOCK != blocks[block] || is_taken(crowd, visitor->hit))
                continue;
            visitor->block = block;
            crowd->count++;
            break;
        }
    }
}

static uint64_t members_of_block(const struct crowd *crowd, unsigned block)
{
    uint64_t members = 0;
    for (unsigned i = 0; i < VISITORS; i++)
        members |= (uint64_t)(crowd->list[i].block == block) << i;
    return members;
}

// All that the node must count.
static uint64_t must_count(const struct world *world, const struct sim_node *self)
{
    uint64_t members = 0;
    for (unsigned unit = GHOST_SKETCH; unit < GHOST_TOKEN; unit++) {
        for (uint8_t i = 0; i < world->log.incarnations_count; i++)
            members |= ghost_part(&world->log, &self->ghost, unit, i);
    }
    return members;
}

static uint64_t estimate_of(const struct crowd *crowd, uint64_t members)
{
    struct sketch sketch;
    sketch_init(&sketch);
    for (unsigned i = 0; i < VISITORS; i++) {
        if (members >> i & 1)
            sketch_raise(&sketch, crowd->list[i].hit);
    }
    return sketch_estimate(&sketch);
}

// ---- inside a commit

struct visit {
    uint64_t own[GHOST_BLOCKS + 1]; // our parts before it: the list, then blocks
    uint64_t write[GHOST_BLOCKS + 1];
    uint64_t news;
};

static void log_visit(struct world *world, struct sim_node *self, const struct crowd *crowd,
                      const struct visit *visit)
{
    for (unsigned i = 0; i <= GHOST_BLOCKS; i++) {
        struct cell cell = workload_own(self, GHOST_SKETCH + i);
        if (cell.write == visit->write[i])
            continue;
        uint64_t content = visit->own[0] | visit->news;
        if (i)
            content = (content | visit->own[i]) & members_of_block(crowd, i - 1);
        else if (cell.content_len == 0)
            content = 0; // it has gone into the blocks
        workload_entry(world, self, GHOST_SKETCH + i,
                       (struct ghost_entry){.sequence = cell.write, .content = content});
    }
}

void visitors_add(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    struct crowd crowd;
    struct span names[6];
    struct visit visit = {.news = 0};
    gather(&crowd);
    bool was_live = ghost_view(&world->log, &self->ghost, GHOST_SKETCH).is_live, is_changed;
    for (unsigned i = 0; i <= GHOST_BLOCKS; i++) {
        visit.own[i] = ghost_part(&world->log, &self->ghost, GHOST_SKETCH + i, self->incarnation);
        visit.write[i] = workload_own(self, GHOST_SKETCH + i).write;
    }
    unsigned count = (unsigned)prng_below(&world->prng, 7);
    for (unsigned i = 0; i < count; i++) {
        unsigned number = (unsigned)prng_below(&world->prng, VISITORS);
        names[i] = span_text(crowd.list[number].name);
        visit.news |= (uint64_t)1 << number;
    }
    visit.news &= ~must_count(world, self);
    int outcome = replica_sketch_add(self->replica, span_text(key), names, count, &is_changed);
    if (outcome == -ENOMEM)
        return;
    if (self->heap.refused)
        return; // an earlier request may be half done; the process dies of it
    if (outcome || is_changed != (!was_live || visit.news != 0))
        world_violate(world, "%s: PFADD answered %d (%d)", self->name, is_changed, outcome);
    log_visit(world, self, &crowd, &visit);
    world->counts.visits++;
    world_note(world, node, "PFADD uniques, %u members, %d new", count,
               __builtin_popcountll(visit.news));
}

void visitors_check(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    struct crowd crowd;
    const struct record *record = workload_record(self->replica, GHOST_SKETCH);
    bool is_live = record && (record_flags(record) & RECORD_LIVE);
    bool must_be = ghost_view(&world->log, &self->ghost, GHOST_SKETCH).is_live;
    if (!is_live && !must_be)
        return;
    gather(&crowd);
    uint64_t must = estimate_of(&crowd, must_count(world, self));
    uint64_t shown = is_live ? (uint64_t)record_value(record) : 0, counted = 0;
    struct span name = span_text(key);
    replica_sketch_count(self->replica, &name, 1, &counted);
    if (is_live != must_be || shown != must || counted != must)
        world_violate(world, "%s shows %llu of uniques (%s), counts %llu, must be %llu (%s)",
                      self->name, (unsigned long long)shown, is_live ? "there" : "not there",
                      (unsigned long long)counted, (unsigned long long)must,
                      must_be ? "there" : "not there");
}
