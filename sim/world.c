// SPDX-License-Identifier: Apache-2.0
// The main loop: from one due thing to the next, each turn everything that is due at one moment.
// Busy and quiet phases take turns; then all faults end, and within bounded time every node must
// show the same, know the same, and hold nothing dead.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "sim/world.h"

#define BUSY_MS  4000
#define QUIET_MS 20000
// Longest back-off, handshakes, silent links and a walk, several times over.
#define EVEN_MS      300000
#define COLLECTED_MS 60000
#define CLEARED_MS   60000

void world_note(struct world *world, unsigned node, const char *format, ...)
{
    char text[600];
    if (!world->options.is_verbose && !world->options.trace)
        return;
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    const char *name = world->node[node].name;
    if (world->options.is_verbose)
        printf("%9.3f %s %s\n", (double)world->now_ms / 1000, name, text);
    if (world->options.trace) {
        buf_put_text(world->options.trace, name);
        buf_put_text(world->options.trace, " ");
        buf_put_text(world->options.trace, text);
        buf_put_text(world->options.trace, "\n");
    }
}

void world_violate(struct world *world, const char *format, ...)
{
    if (world->violation[0])
        return;
    va_list list;
    va_start(list, format);
    vsnprintf(world->violation, sizeof world->violation, format, list);
    va_end(list);
    if (world->options.is_verbose)
        printf("%9.3f VIOLATION %s\n", (double)world->now_ms / 1000, world->violation);
}

bool world_chance(struct world *world, unsigned per_mille)
{
    return prng_below(&world->prng, 1000) < per_mille;
}

void world_fold(struct world *world, uint64_t value)
{
    world->trace = prng_mix(world->trace ^ value) + world->now_ms;
}

uint64_t world_around(struct world *world, uint64_t mean_ms)
{
    return 1 + prng_below(&world->prng, 2 * mean_ms);
}

static void init_node(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    *self = (struct sim_node){.restart_ms = WORLD_NEVER,
                              .tick_ms = WORLD_NEVER,
                              .commit_ms = WORLD_NEVER,
                              .incarnation = GHOST_INCARNATIONS, // none yet
                              .disk = sim_disk_new(prng_next(&world->prng))};
    sim_heap_init(&self->heap);
    snprintf(self->name, sizeof self->name, "r%u", node + 1);
    snprintf(self->address, sizeof self->address, "r%u:1", node + 1);
    snprintf(self->cluster, sizeof self->cluster, "sim");
}

void world_init(struct world *world, const struct world_options *options)
{
    *world = (struct world){.options = *options, .trace = options->seed};
    prng_init(&world->prng, options->seed);
    if (options->plan)
        world->plan = *options->plan;
    else
        plan_draw(&world->plan, &world->prng);
    if (world->plan.token_window_ms == 0)
        world->plan.token_window_ms = 86400000;
    world->log.token_window_s = world->plan.token_window_ms / 1000;
    for (unsigned node = 0; node < WORLD_NODES_MAX; node++)
        init_node(world, node);
    world->nodes_count = world->plan.nodes_count;
    owners_init(world);
    clients_init(world);
    if (options->plan) {
        world->op_ms = world->fault_ms = world->phase_ms = WORLD_NEVER;
        return;
    }
    for (unsigned node = 0; node < world->nodes_count; node++) {
        world->node[node].is_member = true;
        world->node[node].restart_ms = prng_below(&world->prng, 300);
    }
    for (unsigned i = 0; i < world->plan.joiners_count; i++)
        world->node[world->nodes_count + i].restart_ms = world_around(world, 10000);
    world->op_ms = world->fault_ms = 500;
    world->phase_ms = world_around(world, BUSY_MS);
    if (options->is_verbose)
        plan_print(&world->plan);
}

void world_deinit(struct world *world)
{
    for (unsigned node = 0; node < WORLD_NODES_MAX; node++) {
        struct sim_node *self = &world->node[node];
        if (self->replica)
            process_close(world, node);
        sim_disk_free(self->disk);
        for (unsigned i = 0; i < self->kept_count; i++)
            sim_disk_free(self->kept[i].disk);
    }
    net_free(world);
    owners_deinit(world);
    stock_deinit(world);
    clients_deinit(world);
    ghost_log_deinit(&world->log);
}

// ---- one turn

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t node_due(const struct sim_node *self)
{
    if (!self->replica)
        return self->restart_ms;
    uint64_t due = earlier(self->tick_ms, self->commit_ms);
    return due < self->paused_ms ? self->paused_ms : due;
}

static uint64_t next_due(const struct world *world)
{
    uint64_t due = earlier(net_due(world), earlier(owners_due(world), clients_due(world)));
    for (unsigned node = 0; node < WORLD_NODES_MAX; node++)
        due = earlier(due, node_due(&world->node[node]));
    if (world->is_calm)
        return world->is_clearing ? earlier(due, world->clear_ms) : due;
    if (!world->is_quiet)
        due = earlier(due, world->op_ms);
    return earlier(due, earlier(world->fault_ms, world->phase_ms));
}

static void join_world(struct world *world, unsigned node)
{
    // Joiners come in order; one that is early waits for the one before it.
    if (world->node[node].is_member || node > world->nodes_count)
        return;
    world->node[node].is_member = true;
    world->nodes_count = node + 1;
    world->counts.joins++;
    world_note(world, node, "is told of the others and joins");
    if (!world->plan.is_join_narrow || world->is_calm)
        return;
    unsigned reached = (unsigned)prng_below(&world->prng, node);
    for (unsigned other = 0; other < node; other++)
        world->is_cut[node][other] = world->is_cut[other][node] = other != reached;
    world_note(world, node, "reaches only %s", world->node[reached].name);
}

static void turn_node(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    if (!self->replica && world->now_ms >= self->restart_ms) {
        join_world(world, node);
        process_start(world, node);
        return;
    }
    if (process_is_running(world, node) && world->now_ms >= self->tick_ms)
        process_tick(world, node);
    if (process_is_running(world, node) && world->now_ms >= self->commit_ms)
        process_commit(world, node);
}

static void turn_clients(struct world *world)
{
    if (world->now_ms >= world->phase_ms) {
        world->is_quiet = !world->is_quiet;
        if (world_chance(world, world->plan.leap_per_mille) && !tokens_may_meet_late(world))
            tokens_leap(world);
        world->phase_ms = world->now_ms + world_around(world, world->is_quiet ? QUIET_MS : BUSY_MS);
        world->op_ms = world->now_ms + 1;
    }
    while (!world->is_quiet && world->now_ms >= world->op_ms) {
        unsigned node = (unsigned)prng_below(&world->prng, world->nodes_count);
        if (process_is_running(world, node))
            workload_step(world, node);
        world->op_ms += world_around(world, world->plan.op_ms);
    }
    // Quiet phases are mostly free of faults too, so that clusters get even and collect.
    if (world->now_ms >= world->fault_ms) {
        fault_inject(world);
        world->fault_ms =
            world->now_ms + world_around(world, world->plan.fault_ms * (world->is_quiet ? 8 : 1));
    }
}

// Somebody commits, with a DEL in it.
static void turn_clearing(struct world *world)
{
    unsigned node = (unsigned)prng_below(&world->prng, world->nodes_count);
    if (process_is_running(world, node))
        process_commit(world, node);
    world->clear_ms = world->now_ms + world_around(world, 20);
}

static void turn(struct world *world)
{
    uint64_t due = next_due(world);
    if (due > world->now_ms)
        world->now_ms = due;
    keyspace_quiesce();
    world->counts.steps++;
    net_deliver(world);
    for (unsigned node = 0; node < WORLD_NODES_MAX && !world->violation[0]; node++)
        turn_node(world, node);
    owners_turn(world);
    clients_turn(world);
    if (!world->is_calm)
        turn_clients(world);
    else if (world->is_clearing && world->now_ms >= world->clear_ms)
        turn_clearing(world);
}

void world_pass(struct world *world, uint64_t ms)
{
    uint64_t end_ms = world->now_ms + ms;
    while (!world->violation[0] && next_due(world) <= end_ms)
        turn(world);
    world->now_ms = end_ms;
}

// Runs until `is_done` or the time is up.
static bool run_until(struct world *world, bool (*is_done)(struct world *world), uint64_t limit_ms)
{
    uint64_t end_ms = world->now_ms + limit_ms, look_ms = world->now_ms;
    while (!world->violation[0] && world->now_ms < end_ms) {
        turn(world);
        if (world->now_ms < look_ms)
            continue;
        if (is_done(world))
            return true;
        look_ms = world->now_ms + 200;
    }
    return false;
}

// Even, leases too, everything dead collected, and even still.
static bool settle(struct world *world, const char *when)
{
    if (!run_until(world, clients_are_gone, EVEN_MS))
        world_violate(world, "clients cannot leave %d s after %s", EVEN_MS / 1000, when);
    if (!run_until(world, checker_is_even, EVEN_MS))
        world_violate(world, "not even %d s after %s", EVEN_MS / 1000, when);
    checker_end(world);
    if (!run_until(world, owners_are_settled, EVEN_MS))
        world_violate(world, "leases are not settled %d s after %s", EVEN_MS / 1000, when);
    if (!run_until(world, deadlines_are_kept, EVEN_MS))
        world_violate(world, "a key outlives its deadline %d s after %s", EVEN_MS / 1000, when);
    if (!run_until(world, clients_are_settled, EVEN_MS))
        world_violate(world, "clients are not settled %d s after %s", EVEN_MS / 1000, when);
    if (!run_until(world, checker_is_collected, COLLECTED_MS))
        world_violate(world, "dead cells are left %d s after the cluster got even",
                      COLLECTED_MS / 1000);
    if (!run_until(world, checker_is_even, EVEN_MS))
        world_violate(world, "not even any more %d s after %s", EVEN_MS / 1000, when);
    checker_end(world);
    return !world->violation[0];
}

static void heal(struct world *world)
{
    world_note(world, 0, "all faults end");
    fault_calm(world);
    for (unsigned i = 0; i < world->conns_used; i++) {
        if (world->conn[i].break_ms != WORLD_NEVER)
            net_break(world, i);
    }
    if (!settle(world, "all faults ended") || !world->plan.is_cleared)
        return;
    world_note(world, 0, "everything is deleted");
    owners_silence(world);
    tokens_leap(world);
    world->is_clearing = true;
    world->clear_ms = world->now_ms;
    if (!run_until(world, workload_is_cleared, CLEARED_MS))
        world_violate(world, "DEL leaves something for %d s", CLEARED_MS / 1000);
    world->is_clearing = false;
    settle(world, "everything was deleted");
}

bool world_run(struct world *world)
{
    // Joiners that are still to come when the steps are over do not come.
    while (world->counts.steps < world->options.steps && !world->violation[0])
        turn(world);
    for (unsigned node = world->nodes_count; node < WORLD_NODES_MAX; node++)
        world->node[node].restart_ms = WORLD_NEVER;
    if (!world->violation[0])
        heal(world);
    if (world->violation[0] && world->options.is_verbose)
        checker_print(world);
    return world->violation[0] == '\0';
}
