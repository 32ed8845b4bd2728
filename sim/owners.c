// SPDX-License-Identifier: Apache-2.0
// Owners of presence leases: each sends heartbeats to one node at a time, moves to another, starts
// anew, falls silent, is overtaken by its own late heartbeats. What a node shows of an owner is
// judged by what the owner sent and by when: never a count that it did not send, never two of its
// leases at once, the taker's lease for exactly its time; in the end the newest word everywhere,
// and nothing of the silent ones.
#include <errno.h>
#include <stdlib.h>
#include "sim/world.h"

static const char key[] = "room";
static const char *const names[WORLD_OWNERS] = {"n1", "n2", "n3"};

static struct address address_of(unsigned owner)
{
    return (struct address){
        .kind = UNIT_LEASE, .key = span_text(key), .sub = span_text(names[owner])};
}

static struct record *find(struct replica *replica, const struct address *address)
{
    struct keyspace *keyspace = replica_keyspace(replica);
    return keyspace_find(keyspace, address, keyspace_hash(keyspace, address));
}

// ---- the owners' side

static struct heartbeat *remember(struct owner *owner, struct heartbeat heartbeat)
{
    if (owner->sent_count == owner->sent_cap) {
        owner->sent_cap = owner->sent_cap ? owner->sent_cap * 2 : 32;
        owner->sent = realloc(owner->sent, owner->sent_cap * sizeof *owner->sent);
        if (!owner->sent)
            abort();
    }
    owner->sent[owner->sent_count] = heartbeat;
    return &owner->sent[owner->sent_count++];
}

static const struct heartbeat *recall(const struct owner *owner, uint64_t epoch, uint64_t sequence)
{
    for (size_t i = owner->sent_count; i-- > 0;) {
        if (owner->sent[i].epoch == epoch && owner->sent[i].sequence == sequence)
            return &owner->sent[i];
    }
    return NULL;
}

void owners_init(struct world *world)
{
    for (unsigned i = 0; i < WORLD_OWNERS; i++) {
        struct owner *owner = &world->owner[i];
        *owner = (struct owner){.epoch = 1, .beat_ms = WORLD_NEVER};
        if (!world->plan.has_owners)
            continue;
        owner->is_beating = true;
        owner->beat_ms = world_around(world, 1000);
        owner->ttl_ms = (uint32_t)(500 + prng_below(&world->prng, 3000));
        owner->node = (unsigned)prng_below(&world->prng, world->nodes_count);
    }
}

void owners_deinit(struct world *world)
{
    for (unsigned i = 0; i < WORLD_OWNERS; i++)
        free(world->owner[i].sent);
}

uint64_t owners_due(const struct world *world)
{
    uint64_t due = WORLD_NEVER;
    for (unsigned i = 0; i < WORLD_OWNERS; i++) {
        if (world->owner[i].beat_ms < due)
            due = world->owner[i].beat_ms;
    }
    return due;
}

static void live(struct world *world, unsigned index)
{
    struct owner *owner = &world->owner[index];
    if (world_chance(world, 60))
        owner->node = (unsigned)prng_below(&world->prng, world->nodes_count);
    if (world_chance(world, 30)) {
        owner->epoch++;
        owner->sequence = 0;
    }
    if (world_chance(world, 30))
        owner->is_beating = !owner->is_beating;
    if (world_chance(world, 200))
        owner->count = 1 + (int64_t)prng_below(&world->prng, 50);
}

void owners_turn(struct world *world)
{
    for (unsigned i = 0; i < WORLD_OWNERS; i++) {
        struct owner *owner = &world->owner[i];
        if (world->now_ms < owner->beat_ms)
            continue;
        if (!world->is_calm)
            live(world, i);
        owner->beat_ms = world->now_ms + owner->ttl_ms / 3 + prng_below(&world->prng, 50);
        owner->is_due = owner->is_beating;
        if (owner->is_due && process_is_running(world, owner->node))
            process_commit(world, owner->node);
        owner->is_due = false;
    }
}

void owners_silence(struct world *world)
{
    for (unsigned i = 0; i < WORLD_OWNERS; i++)
        world->owner[i].is_beating = false;
}

// ---- inside the commit of the node that takes the heartbeat

static struct heartbeat next_heartbeat(struct world *world, struct owner *owner)
{
    bool is_late = owner->sent_count && !world->is_calm && world_chance(world, 50);
    if (is_late)
        return owner->sent[prng_below(&world->prng, owner->sent_count)];
    owner->count += owner->count == 0;
    return *remember(owner, (struct heartbeat){.epoch = owner->epoch,
                                               .sequence = ++owner->sequence,
                                               .count = owner->count,
                                               .ttl_ms = owner->ttl_ms});
}

static bool is_older(const struct heartbeat *a, const struct heartbeat *b)
{
    return a->epoch != b->epoch ? a->epoch < b->epoch : a->sequence < b->sequence;
}

void owners_requests(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    for (unsigned i = 0; i < WORLD_OWNERS; i++) {
        struct owner *owner = &world->owner[i];
        if (!owner->is_due || owner->node != node)
            continue;
        struct heartbeat heartbeat = next_heartbeat(world, owner);
        struct lease_request request = {.key = span_text(key),
                                        .owner = span_text(names[i]),
                                        .count = heartbeat.count,
                                        .ttl_ms = heartbeat.ttl_ms,
                                        .epoch = heartbeat.epoch,
                                        .sequence = heartbeat.sequence};
        int64_t total;
        int outcome = replica_presence_set(self->replica, &request, &total);
        if (outcome != 0 && outcome != CHANGE_E_STALE && outcome != -ENOMEM)
            world_violate(world, "%s: a heartbeat of %s answered %d", self->name, names[i],
                          outcome);
        world_note(world, node, "PRESENCE.SET %s %lld %llu.%llu%s", names[i],
                   (long long)heartbeat.count, (unsigned long long)heartbeat.epoch,
                   (unsigned long long)heartbeat.sequence, outcome ? ", stale" : "");
        world->counts.heartbeats++;
        struct holding *holding = &self->holding[i];
        if (outcome)
            continue;
        if (holding->is_held && holding->boot == self->boot &&
            holding->incarnation == self->incarnation &&
            world->now_ms < holding->at_ms + holding->newest.ttl_ms &&
            is_older(&heartbeat, &holding->newest))
            world_violate(world, "%s took an old heartbeat of %s for news", self->name, names[i]);
        *holding = (struct holding){.is_held = true,
                                    .incarnation = self->incarnation,
                                    .boot = self->boot,
                                    .at_ms = world->now_ms,
                                    .newest = heartbeat};
    }
}

// ---- what nodes show

static bool is_hidden(const struct node *brain, uint16_t origin, bool *out_is_known)
{
    int16_t member = origin == brain->self ? -1 : node_member_of(brain, origin);
    *out_is_known = origin == brain->self || member >= 0;
    return member >= 0 && brain->members[member].is_hidden;
}

static bool is_running(const struct cell *cell)
{
    return (cell->lease.epoch || cell->lease.sequence) && !cell->lease.ended;
}

// Our own lease runs for its time from the last heartbeat, or from our start.
static void check_own(struct world *world, unsigned node, unsigned index, const struct cell *own)
{
    struct sim_node *self = &world->node[node];
    const struct holding *holding = &self->holding[index];
    bool is_ours = holding->is_held && holding->boot == self->boot;
    uint64_t from_ms = is_ours ? holding->at_ms : self->up_ms;
    if (!self->is_serving || self->committed_ms != world->now_ms)
        return; // it could not end one since
    if (own && is_running(own) && world->now_ms >= from_ms + own->lease.ttl_ms)
        world_violate(world, "%s: the lease of %s outlives its time", self->name, names[index]);
    bool must_run = is_ours && holding->incarnation == self->incarnation &&
                    world->now_ms < holding->at_ms + holding->newest.ttl_ms;
    if (must_run && (!own || !is_running(own) || own->lease.count != holding->newest.count))
        world_violate(world, "%s: the lease of %s is not there in its time", self->name,
                      names[index]);
}

static int64_t check_owner(struct world *world, unsigned node, unsigned index,
                           const struct unit *unit, int64_t shown)
{
    struct sim_node *self = &world->node[node];
    const struct node *brain = replica_node(self->replica);
    const struct cell *newest = NULL;
    // Who is hidden has changed, and the commit that shows it is still to come.
    bool is_judged = self->is_serving && !replica_wants_commit(self->replica);
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        bool is_known;
        if (!is_running(cell))
            continue;
        const struct heartbeat *sent =
            recall(&world->owner[index], cell->lease.epoch, cell->lease.sequence);
        if (!sent || sent->count != cell->lease.count)
            world_violate(world, "%s: %s never sent %lld as %llu.%llu", self->name, names[index],
                          (long long)cell->lease.count, (unsigned long long)cell->lease.epoch,
                          (unsigned long long)cell->lease.sequence);
        bool is_skipped = is_hidden(brain, cell->origin, &is_known);
        is_judged &= is_known;
        if (!is_skipped && (!newest || cell->lease.epoch > newest->lease.epoch ||
                            (cell->lease.epoch == newest->lease.epoch &&
                             cell->lease.sequence > newest->lease.sequence)))
            newest = cell;
    }
    // Two nodes may hold the very same heartbeat; which of them is shown is the same then.
    int64_t must = newest ? newest->lease.count : 0;
    if (is_judged && shown != must)
        world_violate(world, "%s shows %lld of %s, must be %lld", self->name, (long long)shown,
                      names[index], (long long)must);
    return shown;
}

void owners_check(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    int64_t sum = 0;
    if (!world->plan.has_owners)
        return;
    for (unsigned i = 0; i < WORLD_OWNERS; i++) {
        struct address address = address_of(i);
        struct record *record = find(self->replica, &address);
        struct unit unit;
        struct sim_heap heap;
        sim_heap_init(&heap);
        unit_init(&unit, &heap.heap);
        if (record && record_load(record, &unit) == 0) {
            bool is_live = record_flags(record) & RECORD_LIVE;
            sum += check_owner(world, node, i, &unit, is_live ? record_value(record) : 0);
        }
        check_own(world, node, i, unit_find(&unit, self->self));
        unit_deinit(&unit);
    }
    struct address parent = {.kind = UNIT_KEY, .key = span_text(key)};
    const struct record *record = find(self->replica, &parent);
    int64_t shown = record && (record_flags(record) & RECORD_LIVE) ? record_value(record) : 0;
    if (shown != sum)
        world_violate(world, "%s shows %lld of room, its leases add up to %lld", self->name,
                      (long long)shown, (long long)sum);
}

bool owners_are_settled(struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        for (unsigned i = 0; i < WORLD_OWNERS; i++) {
            struct address address = address_of(i);
            struct replica *replica = world->node[node].replica;
            const struct record *record = replica ? find(replica, &address) : NULL;
            bool is_live = record && (record_flags(record) & RECORD_LIVE);
            const struct owner *owner = &world->owner[i];
            bool must_be = owner->is_beating && owner->count;
            if (!replica || is_live != must_be || (must_be && record_value(record) != owner->count))
                return false;
        }
    }
    return true;
}
