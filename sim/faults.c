// SPDX-License-Identifier: Apache-2.0
// One fault at a time, at a random place. What a fault may not do: make the oracle's bookkeeping
// ambiguous, or use up the incarnations a run can hold.
#include "sim/world.h"

// Restarts may renew identities; a run, and a replica, has room for so many.
#ifdef QUIPU_TINY
#define INCARNATIONS_FOR_FAULTS 1 // none but patient runs restart
#else
#define INCARNATIONS_FOR_FAULTS 20
#endif

static unsigned any_node(struct world *world)
{
    return (unsigned)prng_below(&world->prng, world->nodes_count);
}

// Another one; the same when there is no other.
static unsigned other_node(struct world *world, unsigned node)
{
    if (world->nodes_count < 2)
        return node;
    return (node + 1 + (unsigned)prng_below(&world->prng, world->nodes_count - 1)) %
           world->nodes_count;
}

static bool may_restart(const struct world *world)
{
    return world->plan.is_patient || world->log.incarnations_count < INCARNATIONS_FOR_FAULTS;
}

static bool crash(struct world *world, enum fault fault)
{
    unsigned node = any_node(world);
    if (!world->node[node].replica || !may_restart(world))
        return false;
    process_crash(world, node, fault != FAULT_KILL, fault == FAULT_POWER_SILENT);
    return true;
}

static bool plan_failure(struct world *world, enum fault fault)
{
    struct sim_node *self = &world->node[any_node(world)];
    if (!self->replica || !may_restart(world))
        return false;
    if (fault == FAULT_KILL_COMMIT)
        self->is_kill_planned = true;
    else if (fault == FAULT_DISK)
        sim_disk_fail_after(self->disk, prng_below(&world->prng, 12));
    else
        self->heap.fail_after = (int64_t)prng_below(&world->prng, 200);
    return true;
}

static void replace_disk(struct world *world, unsigned node, struct disk *disk,
                         const struct ghost *ghost)
{
    sim_disk_free(world->node[node].disk);
    world->node[node].disk = disk;
    process_disk_replaced(world, node, ghost);
}

// What no disk holds any more need not survive, though it may: a message of it can be under way.
void fault_mark_optional(struct world *world)
{
    stock_mark_optional(world);
    world->clients.is_uncertain = true;
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
        struct ghost_unit *list = &world->log.unit[unit];
        for (size_t i = 0; i < list->count; i++) {
            struct ghost_entry *entry = &list->list[i];
            bool is_held = false;
            for (unsigned node = 0; node < world->nodes_count && !is_held; node++)
                is_held = world->node[node].durable.mark[unit][entry->incarnation].seen >=
                          entry->sequence;
            entry->is_optional |= !is_held;
        }
    }
}

bool fault_wipe(struct world *world, unsigned node)
{
    static const struct ghost nothing;
    process_crash(world, node, false, false);
    replace_disk(world, node, sim_disk_new(prng_next(&world->prng)), &nothing);
    fault_mark_optional(world);
    world_note(world, node, "finds an empty disk");
    return true;
}

static bool has_all_of(const struct ghost *self, const struct ghost *other)
{
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
        for (unsigned i = 0; i < GHOST_INCARNATIONS; i++) {
            const struct ghost_mark *own = &self->mark[unit][i], *mark = &other->mark[unit][i];
            if (own->seen < mark->seen || own->cut < mark->cut)
                return false;
        }
    }
    return true;
}

// One backup at a time: who found an older disk before has got everything again.
static bool may_restore(const struct world *world, unsigned node)
{
    for (unsigned other = 0; other < world->nodes_count; other++) {
        if (other != node && world->node[other].was_restored &&
            !has_all_of(&world->node[other].durable, &world->node[node].durable))
            return false;
    }
    return world->node[node].kept_count != 0;
}

static bool restore(struct world *world, enum fault fault)
{
    unsigned node = any_node(world);
    struct sim_node *self = &world->node[node];
    if (!may_restart(world) || (fault == FAULT_RESTORE && !may_restore(world, node)))
        return false;
    if (fault == FAULT_WIPE)
        return fault_wipe(world, node);
    process_crash(world, node, true, world_chance(world, 500));
    unsigned at = (unsigned)prng_below(&world->prng, self->kept_count);
    struct kept kept = self->kept[at];
    self->kept[at] = self->kept[--self->kept_count];
    sim_disk_crash(kept.disk, &world->prng);
    replace_disk(world, node, kept.disk, &kept.ghost);
    self->was_restored = true;
    // The other backups may be newer, and know what is about to be lost for good.
    while (self->kept_count)
        sim_disk_free(self->kept[--self->kept_count].disk);
    fault_mark_optional(world);
    world_note(world, node, "finds an older disk");
    return true;
}

static bool renew(struct world *world)
{
    unsigned node = any_node(world);
    if (!may_restart(world))
        return false;
    process_crash(world, node, false, false);
    world->node[node].is_renewal_asked = true;
    return true;
}

static bool pause(struct world *world)
{
    unsigned node = any_node(world);
    world->node[node].paused_ms = world->now_ms + world_around(world, 3000);
    world_note(world, node, "stands still");
    return true;
}

static void set_cut(struct world *world, unsigned from, unsigned to, bool is_cut)
{
    if (from == to || world->is_cut[from][to] == is_cut)
        return;
    world->is_cut[from][to] = is_cut;
    world_note(world, from, is_cut ? "can no longer reach %s" : "reaches %s again",
               world->node[to].name);
}

static bool cut(struct world *world, enum fault fault)
{
    unsigned from = any_node(world), to = other_node(world, from);
    if (fault == FAULT_ISOLATE) {
        for (unsigned other = 0; other < world->nodes_count; other++) {
            set_cut(world, from, other, true);
            set_cut(world, other, from, true);
        }
        return true;
    }
    set_cut(world, from, to, true);
    if (fault == FAULT_CUT)
        set_cut(world, to, from, true);
    return from != to;
}

static bool heal(struct world *world, enum fault fault)
{
    bool is_any = false;
    unsigned first = any_node(world);
    for (unsigned i = 0; i < world->nodes_count * world->nodes_count; i++) {
        unsigned at = (i + first * world->nodes_count) % (world->nodes_count * world->nodes_count);
        unsigned from = at / world->nodes_count, to = at % world->nodes_count;
        if (!world->is_cut[from][to])
            continue;
        set_cut(world, from, to, false);
        is_any = true;
        if (fault == FAULT_HEAL)
            break;
    }
    return is_any;
}

static bool break_connection(struct world *world)
{
    for (unsigned tries = 0; tries < 8 && world->conns_used; tries++) {
        if (net_break(world, (unsigned)prng_below(&world->prng, world->conns_used)))
            return true;
    }
    return false;
}

static bool jump_clock(struct world *world)
{
    unsigned node = any_node(world);
    world->node[node].clock_off_ms = (int64_t)prng_below(&world->prng, 400000) - 200000;
    world_note(world, node, "its wall clock is off by %lld ms now",
               (long long)world->node[node].clock_off_ms);
    return true;
}

static bool drill(struct world *world)
{
    unsigned node = any_node(world), other = other_node(world, node);
    bool is_cut = world_chance(world, 400), is_known;
    const char *name = world_chance(world, 400) ? "ALL" : world->node[other].name;
    if (!process_is_running(world, node))
        return false;
    replica_cut(world->node[node].replica, span_text(name), is_cut, &is_known);
    world_note(world, node, "is told to %s %s", is_cut ? "cut" : "heal", name);
    net_carry(world, node);
    return true;
}

static bool inject(struct world *world, enum fault fault)
{
    switch (fault) {
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_POWER_SILENT:
        return crash(world, fault);
    case FAULT_KILL_COMMIT:
    case FAULT_DISK:
    case FAULT_MEMORY:
        return plan_failure(world, fault);
    case FAULT_RESTORE:
    case FAULT_WIPE:
        return restore(world, fault);
    case FAULT_RENEW:
        return renew(world);
    case FAULT_PAUSE:
        return pause(world);
    case FAULT_CUT:
    case FAULT_CUT_ONE_WAY:
    case FAULT_ISOLATE:
        return cut(world, fault);
    case FAULT_HEAL:
    case FAULT_HEAL_ALL:
        return heal(world, fault);
    case FAULT_RESET:
        return break_connection(world);
    case FAULT_CLOCK:
        return jump_clock(world);
    case FAULT_DRILL:
        return drill(world);
    case FAULTS_COUNT:
        break;
    }
    return false;
}

void fault_inject(struct world *world)
{
    if (world->plan.weights_sum == 0)
        return;
    uint64_t at = prng_below(&world->prng, world->plan.weights_sum);
    unsigned fault = 0;
    for (; at >= world->plan.weight[fault]; fault++)
        at -= world->plan.weight[fault];
    world_fold(world, fault);
    if (inject(world, (enum fault)fault))
        world->counts.faults[fault]++;
}

void fault_calm(struct world *world)
{
    bool is_known;
    world->is_calm = true;
    memset(world->is_cut, 0, sizeof world->is_cut);
    for (unsigned node = 0; node < world->nodes_count; node++) {
        struct sim_node *self = &world->node[node];
        self->paused_ms = 0;
        self->is_kill_planned = false;
        self->heap.fail_after = -1;
        sim_disk_fail_after(self->disk, WORLD_NEVER / 2);
        if (!self->replica)
            continue;
        replica_cut(self->replica, span_text("ALL"), false, &is_known);
        net_carry(world, node);
    }
}
