// SPDX-License-Identifier: Apache-2.0
// A node's life: start (recovery), events, ticks, commits with whatever fails in them, its end.
#include <errno.h>
#include <stdlib.h>
#include "sim/world.h"

#define TICK_MS 100

bool process_is_running(const struct world *world, unsigned node)
{
    const struct sim_node *self = &world->node[node];
    return self->replica && world->now_ms >= self->paused_ms;
}

static void random_incarnation(struct world *world, struct incarnation *out)
{
    bytes_write_u64(out->bytes, prng_next(&world->prng));
    bytes_write_u64(out->bytes + 8, prng_next(&world->prng));
}

static void set_identity(struct world *world, struct sim_node *self)
{
    self->self = replica_node(self->replica)->self;
    self->incarnation =
        ghost_incarnation(&world->log, &replica_origins(self->replica)->list[self->self]);
}

// Older disks that know an operation which is about to be forgotten: were they found again, two
// histories would meet that nobody can tell apart.
static void burn_disks(struct world *world, unsigned unit, const struct ghost_entry *entry)
{
    for (unsigned node = 0; node < WORLD_NODES_MAX; node++) {
        struct sim_node *self = &world->node[node];
        for (unsigned i = self->kept_count; i-- > 0;) {
            if (self->kept[i].ghost.mark[unit][entry->incarnation].seen < entry->sequence)
                continue;
            sim_disk_free(self->kept[i].disk);
            self->kept[i] = self->kept[--self->kept_count];
        }
    }
}

// The identity is settled. Sequences beyond what this disk holds will be used again, if the
// incarnation is the same: then nobody may know what they stood for.
static void serve(struct world *world, struct sim_node *self)
{
    uint64_t end = replica_vector(self->replica)->sequence[self->self];
    stock_serves(world, self, end);
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
        struct ghost_unit *list = &world->log.unit[unit];
        for (size_t i = 0; i < list->count; i++) {
            struct ghost_entry *entry = &list->list[i];
            if (entry->incarnation != self->incarnation || entry->sequence <= end || entry->is_lost)
                continue;
            for (unsigned node = 0; node < world->nodes_count; node++) {
                if (world->node[node].ghost.mark[unit][entry->incarnation].seen >= entry->sequence)
                    world_violate(world,
                                  "%s keeps its identity and will use %llu again, of which "
                                  "%s knows",
                                  self->name, (unsigned long long)entry->sequence,
                                  world->node[node].name);
            }
            burn_disks(world, unit, entry);
            entry->is_lost = true;
        }
    }
}

// After anything that may have moved the replica: its identity, its wish for a commit.
static void look_after(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    if (replica_node(self->replica)->self != self->self) {
        set_identity(world, self);
        world->counts.renewals++;
        world_note(world, node, "goes on as incarnation %d", self->incarnation);
    }
    if (!self->is_serving && replica_is_serving(self->replica)) {
        self->is_serving = true;
        self->up_ms = world->now_ms;
        serve(world, self);
    }
    if (self->commit_ms == WORLD_NEVER && (replica_wants_commit(self->replica) ||
                                           !keyspace_is_clean(replica_keyspace(self->replica))))
        self->commit_ms = world->now_ms + prng_below(&world->prng, world->plan.commit_ms + 1);
}

void process_event(struct world *world, unsigned node, struct event *event)
{
    struct sim_node *self = &world->node[node];
    event->now_ms = world->now_ms - self->start_ms;
    replica_event(self->replica, event);
    look_after(world, node);
}

static struct replica_options options_of(struct world *world, struct sim_node *self,
                                         struct span peers[WORLD_NODES_MAX])
{
    uint16_t count = 0;
    unsigned node = (unsigned)(self - world->node);
    // The first ones know each other by configuration; of a joiner they learn from itself.
    unsigned known = node < world->plan.nodes_count ? world->plan.nodes_count : node;
    for (unsigned i = 0; i < known; i++) {
        if (i != node)
            peers[count++] = span_text(world->node[i].address);
    }
    struct replica_options options = {.disk = self->disk,
                                      .node = {.cluster = span_text(self->cluster),
                                               .name = span_text(self->name),
                                               .address = span_text(self->address),
                                               .peers = peers,
                                               .peers_count = count,
                                               .start_wait_ms = world->plan.start_wait_ms,
                                               .silence_ms = world->plan.silence_ms,
                                               .seed = prng_next(&world->prng),
                                               .boot = self->boot},
                                      .is_new_incarnation = self->is_renewal_asked,
                                      .hash_seed = prng_next(&world->prng),
                                      .segment_bytes = world->plan.segment_bytes,
                                      .snapshot_after_bytes = world->plan.snapshot_after_bytes,
                                      .round_bytes = world->plan.round_bytes,
                                      .sketch_bytes = world->plan.sketch_bytes,
                                      .token_window_ms = world->plan.token_window_ms,
                                      .clock_skew_ms = TOKENS_SKEW_MS,
                                      .buried_ms = 2 * WORLD_OLD_MS,
                                      .scan_step = world->plan.scan_step};
    random_incarnation(world, &options.fresh);
    random_incarnation(world, &options.spare);
    if (world->options.plan) // a story does not change with what else is drawn
        options.node.seed = options.hash_seed = node + 1;
    return options;
}

// Operations of a process that its disk does not hold are gone, and were never acknowledged.
static void forget_undurable(struct world *world, struct sim_node *self)
{
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
        struct ghost_unit *list = &world->log.unit[unit];
        for (size_t i = self->acked[unit]; i < list->count; i++) {
            struct ghost_entry *entry = &list->list[i];
            bool is_held = entry->sequence <= self->durable.mark[unit][entry->incarnation].seen;
            if (entry->incarnation == self->incarnation && !entry->is_acked && !is_held)
                entry->is_lost = true;
        }
    }
}

// Of a member: up to where the DELs of its set take away what the origin wrote.
static uint64_t floor_of(const struct record *parent, uint16_t origin)
{
    uint16_t count = 0;
    const struct member_owner *owners = parent ? record_owners(parent, &count) : NULL;
    for (uint16_t i = 0; i < count; i++) {
        if (owners[i].origin == origin)
            return owners[i].floor;
    }
    return 0;
}

// Whether the recovered cells hold something in which the two ghosts differ: a commit is one frame,
// so one trace of it tells of all.
static bool is_commit_found(struct world *world, struct sim_node *self, unsigned unit, uint8_t i)
{
    const struct ghost_mark *durable = &self->durable.mark[unit][i];
    const struct ghost_mark *doubt = &self->doubt.mark[unit][i];
    uint16_t origin = origins_find(replica_origins(self->replica), &world->log.incarnations[i]);
    struct unit unit_cells;
    unit_init(&unit_cells, &self->heap.heap);
    struct record *record = workload_record(self->replica, unit);
    bool is_found = false;
    if (origin != ORIGIN_NONE && record && record_load(record, &unit_cells) == 0) {
        const struct cell *cell = unit_find(&unit_cells, origin);
        uint64_t seen = !cell                 ? 0
                        : unit >= GHOST_TOKEN ? cell->sequence
                                              : cell->write,
                 cut = cell ? cell->cut_write : 0;
        if (cell && cell->base.sequence > seen)
            seen = cell->base.sequence;
        if (cell && cell->base.cut > cut)
            cut = cell->base.cut;
        uint64_t floor = floor_of(record_parent(record), origin);
        cut = cut > floor ? cut : floor;
        is_found = doubt->seen > durable->seen ? seen >= doubt->seen || cut >= doubt->seen
                                               : cut >= doubt->cut;
    }
    unit_deinit(&unit_cells);
    return is_found;
}

// Nobody but that commit's frame can have told of the incarnation.
static bool is_known(const struct world *world, const struct sim_node *self)
{
    return origins_find(replica_origins(self->replica),
                        &world->log.incarnations[self->doubt_self]) != ORIGIN_NONE;
}

// A commit that failed half-way may have reached the disk all the same.
static void settle_doubt(struct world *world, struct sim_node *self)
{
    bool is_found = self->is_in_doubt && self->is_doubt_anew && is_known(world, self);
    if (self->is_doubt_anew)
        self->is_in_doubt &= is_found;
    for (unsigned unit = 0; self->is_in_doubt && unit < GHOST_UNITS && !is_found; unit++) {
        for (uint8_t i = 0; i < world->log.incarnations_count && !is_found; i++)
            is_found = memcmp(&self->durable.mark[unit][i], &self->doubt.mark[unit][i],
                              sizeof(struct ghost_mark)) != 0 &&
                       is_commit_found(world, self, unit, i);
    }
    if (is_found)
        self->durable = self->doubt;
    self->is_in_doubt = self->is_doubt_anew = false;
    forget_undurable(world, self);
}

void process_disk_replaced(struct world *world, unsigned node, const struct ghost *ghost)
{
    struct sim_node *self = &world->node[node];
    self->is_in_doubt = self->is_doubt_anew = false;
    forget_undurable(world, self);
    self->durable = *ghost;
}

static void started(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    // Monotonic clocks of different machines have nothing to do with each other.
    self->start_ms = world->now_ms - prng_below(&world->prng, world->now_ms + 1);
    self->restart_ms = WORLD_NEVER;
    self->up_ms = world->now_ms;
    self->tick_ms = world->now_ms + TICK_MS;
    self->is_renewal_asked = self->is_refused = self->is_serving = false;
    self->forgettings = 0;
    settle_doubt(world, self);
    self->ghost = self->durable;
    memset(self->ghost.pending, 0, sizeof self->ghost.pending);
    memset(self->ghost.is_pending, 0, sizeof self->ghost.is_pending);
    set_identity(world, self);
    world->counts.restarts++;
    world_note(world, node, "starts as incarnation %d", self->incarnation);
    world_fold(world, node);
    checker_node(world, node);
    struct event event = {.type = EVENT_START};
    process_event(world, node, &event);
    net_carry(world, node);
}

void process_start(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    struct span peers[WORLD_NODES_MAX];
    self->boot = prng_next(&world->prng);
    struct replica_options options = options_of(world, self, peers);
    struct buf error;
    buf_init(&error, &self->heap.heap);
    int outcome = replica_open(&self->replica, &self->heap.heap, &options, &error);
    if (outcome == 0) {
        started(world, node);
    } else {
        self->replica = NULL;
        bool is_injected = outcome == -ENOMEM || outcome == -EIO || outcome == -ENOSPC;
        if (!is_injected || world->is_calm)
            world_violate(world, "%s does not start: %d %.*s", self->name, outcome, (int)error.len,
                          (const char *)error.ptr);
        world_note(world, node, "does not start: %.*s", (int)error.len, (const char *)error.ptr);
        sim_disk_kill(self->disk);
        self->restart_ms = world->now_ms + world_around(world, 500);
    }
    buf_deinit(&error);
}

static void count(struct world *world, const struct sim_node *self)
{
    struct replica_counts counts = replica_counts(self->replica);
    world->counts.snapshots += counts.snapshots;
    world->counts.walks += counts.walks;
    world->counts.collected += counts.collected;
    world->counts.forgotten += counts.tokens_forgotten;
}

void process_close(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    count(world, self);
    replica_close(self->replica);
    self->replica = NULL;
    if (self->heap.bytes != 0)
        world_violate(world, "%s leaks %llu bytes", self->name,
                      (unsigned long long)self->heap.bytes);
}

void process_crash(struct world *world, unsigned node, bool is_power_loss, bool is_silent)
{
    struct sim_node *self = &world->node[node];
    if (!self->replica)
        return;
    world_note(world, node, is_power_loss ? "loses power" : "is killed");
    net_process_gone(world, node, is_silent);
    process_close(world, node);
    if (is_power_loss)
        sim_disk_crash(self->disk, &world->prng);
    else
        sim_disk_kill(self->disk);
    self->heap.fail_after = -1;
    self->is_kill_planned = false;
    self->paused_ms = 0;
    self->tick_ms = self->commit_ms = WORLD_NEVER;
    self->restart_ms = world->now_ms + world_around(world, world_chance(world, 700) ? 200 : 3000);
}

// Whether an allocation was refused: the process dies of it, as of a signal.
static bool die_of_memory(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    if (self->heap.refused == 0)
        return false;
    self->heap.refused = 0;
    world_note(world, node, "is out of memory");
    process_crash(world, node, false, false);
    return true;
}

void process_tick(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    self->tick_ms = world->now_ms + TICK_MS;
    if (die_of_memory(world, node))
        return;
    struct event tick = {.type = EVENT_TICK};
    process_event(world, node, &tick);
    net_carry(world, node);
    if (!self->is_refused)
        return;
    process_crash(world, node, false, false);
    if (world->options.plan)
        self->restart_ms = WORLD_NEVER; // the script decides
    else if (self->refusals >
             3) { // it is not a matter of time: the operator gives the directory up
        self->refusals = 0;
        fault_wipe(world, node);
    }
}

static void acknowledge(struct world *world, struct sim_node *self)
{
    for (uint8_t i = 0; i < world->log.incarnations_count; i++)
        self->ghost.vector[i] = checker_claimed(self, &world->log.incarnations[i]);
    stock_acknowledge(world, self);
    self->durable = self->ghost;
    self->is_in_doubt = self->is_doubt_anew = false;
    self->committed_ms = world->now_ms;
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
        struct ghost_unit *list = &world->log.unit[unit];
        for (size_t i = self->acked[unit]; i < list->count; i++) {
            struct ghost_entry *entry = &list->list[i];
            entry->is_acked |= entry->incarnation == self->incarnation && !entry->is_lost;
        }
        self->acked[unit] = list->count;
    }
}

static void keep_disk(struct world *world, struct sim_node *self)
{
    if (world->plan.weight[FAULT_RESTORE] == 0 || world->is_calm || !world_chance(world, 8) ||
        self->kept_count == WORLD_KEEP_MAX)
        return;
    self->kept[self->kept_count++] = (struct kept){sim_disk_clone(self->disk), self->durable};
}

static int apply(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    self->is_in_doubt = true;
    struct workload_requests_ctx requests = {world, node};
    struct commit_input input = {.now_ms = world->now_ms - self->start_ms,
                                 .wall_ms =
                                     (uint64_t)((int64_t)world_wall_ms(world) + self->clock_off_ms),
                                 .requests = workload_requests,
                                 .ctx = &requests};
    int fault = replica_commit_apply(self->replica, &input);
    if (!fault)
        net_joined(world, node);
    if (!fault)
        deadlines_follow(world, node);
    self->doubt = self->ghost;
    return fault;
}

void process_commit(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    self->commit_ms = WORLD_NEVER;
    if (die_of_memory(world, node))
        return;
    int fault = apply(world, node);
    if (die_of_memory(world, node)) // also of a request's: it may have been half done
        return;
    if (!fault && self->is_kill_planned) {
        process_crash(world, node, world_chance(world, 700), false); // between apply and sync
        return;
    }
    if (!fault && !world->is_calm && !world->options.plan && world_chance(world, 100))
        workload_step(world, node); // a worker adds while the commit is under way
    if (!fault)
        fault = replica_commit_sync(self->replica);
    if (die_of_memory(world, node))
        return;
    if (fault) {
        world_note(world, node, "commit failed: %s", replica_error(self->replica));
        process_crash(world, node, world_chance(world, 500), false);
        return;
    }
    acknowledge(world, self);
    keep_disk(world, self);
    world->counts.commits++;
    world_fold(world, replica_vector(self->replica)->sequence[self->self] ^ (uint64_t)node << 56);
    checker_node(world, node);
    look_after(world, node);
    net_carry(world, node);
}
