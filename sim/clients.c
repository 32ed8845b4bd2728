// SPDX-License-Identifier: Apache-2.0
// Clients of a handoff counter: each counts, tells any node, now and then a message of long ago
// again, and may lose the answer (which is what its death before the next save comes to); in the
// end it leaves. What was counted is known here alone. No node may ever show more; in the end, when
// no disk was taken away and every former incarnation is closed, all show exactly that, and nothing
// is left of the clients.
#include <errno.h>
#include <stdlib.h>
#include "crdt/handoff.h"
#include "sim/world.h"

static const char key[] = "paths";

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

static void must(int fault)
{
    if (fault)
        abort();
}

static void come(struct world *world, struct client *client)
{
    struct handoff_id id = {{0}};
    bytes_write_u64(id.bytes + 8, ++world->clients.came);
    *client = (struct client){.is_there = true};
    handoff_init(&client->node, &world->clients.heap.heap, &id, 1);
    buf_init(&client->answer, &world->clients.heap.heap);
}

static void go(struct client *client)
{
    handoff_deinit(&client->node);
    buf_deinit(&client->answer);
    client->is_there = client->is_leaving = false;
}

void clients_init(struct world *world)
{
    struct clients *clients = &world->clients;
    sim_heap_init(&clients->heap);
    for (unsigned i = 0; i < WORLD_OLD; i++)
        buf_init(&clients->old[i], &clients->heap.heap);
    clients->turn_ms = WORLD_NEVER;
    if (!world->plan.has_clients)
        return;
    for (unsigned i = 0; i < WORLD_CLIENTS; i++)
        come(world, &clients->list[i]);
    clients->turn_ms = world_around(world, 1000);
}

void clients_deinit(struct world *world)
{
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        if (world->clients.list[i].is_there)
            go(&world->clients.list[i]);
    }
    for (unsigned i = 0; i < WORLD_OLD; i++)
        buf_deinit(&world->clients.old[i]);
}

// ---- a client's turn: it speaks to a node, which commits at once

static void count(struct world *world, struct client *client)
{
    uint64_t amount = 1 + prng_below(&world->prng, 4);
    must(handoff_add(&client->node, amount));
    world->clients.total += amount;
    world->counts.counted += amount;
}

static void write_message(struct client *client, bool is_last, struct buf *out)
{
    struct handoff_node message;
    must(is_last ? handoff_leave(&client->node, &message)
                 : handoff_tell_all(&client->node, &message));
    buf_clear(out);
    handoff_write(&message, out);
    handoff_deinit(&message);
}

// What it says now; it may be said again later.
static struct span speak(struct world *world, struct client *client)
{
    struct clients *clients = &world->clients;
    unsigned at = (unsigned)prng_below(&world->prng, WORLD_OLD);
    struct buf *old = &clients->old[at];
    bool is_young = world->now_ms < clients->said_ms[at] + WORLD_OLD_MS;
    if (old->len && is_young && !world->is_calm && world_chance(world, 150)) {
        clients->is_echo = true;
        return buf_span(old);
    }
    clients->is_echo = false;
    clients->said_ms[at] = world->now_ms;
    write_message(client, client->is_leaving, old);
    return buf_span(old);
}

static void hear(struct world *world, struct client *client)
{
    struct handoff_node heard;
    must(handoff_read(buf_span(&client->answer), &world->clients.heap.heap, &heard));
    if (client->is_leaving) {
        handoff_deinit(&heard);
        go(client);
        return;
    }
    must(handoff_merge(&client->node, &heard, HANDOFF_SAFE));
    bool is_tired = world->is_calm || world_chance(world, 20);
    client->is_leaving = is_tired && handoff_can_leave(&client->node, &heard);
    handoff_deinit(&heard);
}

uint64_t clients_due(const struct world *world)
{
    return world->clients.turn_ms;
}

void clients_turn(struct world *world)
{
    struct clients *clients = &world->clients;
    if (world->now_ms < clients->turn_ms)
        return;
    clients->turn_ms = world->now_ms + world_around(world, world->is_calm ? 50 : 100);
    struct client *client = &clients->list[prng_below(&world->prng, WORLD_CLIENTS)];
    unsigned node = (unsigned)prng_below(&world->prng, world->nodes_count);
    if (!client->is_there && !world->is_calm)
        come(world, client);
    if (!client->is_there || !process_is_running(world, node))
        return;
    if (!world->is_calm && !client->is_leaving && world_chance(world, 500))
        count(world, client);
    clients->speaker = client;
    clients->node = node;
    client->is_answered = false;
    process_commit(world, node);
    clients->speaker = NULL;
    bool is_heard = client->is_answered && !clients->is_echo && world->node[node].replica &&
                    world->node[node].committed_ms == world->now_ms;
    if (is_heard && (world->is_calm || !world_chance(world, 200)))
        hear(world, client);
}

void clients_requests(struct world *world, unsigned node)
{
    struct clients *clients = &world->clients;
    struct client *client = clients->speaker;
    struct replica *replica = world->node[node].replica;
    struct handoff_node message, answer;
    if (!client || clients->node != node)
        return;
    must(handoff_read(speak(world, client), &clients->heap.heap, &message));
    int outcome = replica_handoff(replica, span_text(key), &message, &answer);
    world_note(world, node, "HANDOFF paths, client %llu: %llu at hand, %u tokens%s (%d)",
               (unsigned long long)bytes_read_u64(message.id.bytes + 8),
               (unsigned long long)handoff_own(&message), message.tokens_count,
               message.departed_count ? ", leaves" : "", outcome);
    handoff_deinit(&message);
    if (outcome > 0)
        world_violate(world, "%s: a handoff answered %d", world->node[node].name, outcome);
    if (outcome)
        return;
    buf_clear(&client->answer);
    handoff_write(&answer, &client->answer);
    handoff_deinit(&answer);
    client->is_answered = true;
}

// ---- what nodes show

void clients_check(struct world *world, unsigned node)
{
    const struct record *record = find(world->node[node].replica);
    if (is_live(record) && record_value(record) > (int64_t)world->clients.total)
        world_violate(world, "%s shows %lld of paths, but %llu were counted",
                      world->node[node].name, (long long)record_value(record),
                      (unsigned long long)world->clients.total);
}

static unsigned left_of_clients(struct replica *replica)
{
    struct record *record = find(replica);
    unsigned left = 0;
    for (struct record *child = record ? record_first_child(record) : NULL; child;
         child = record_next_child(child)) {
        struct span sub = record_address(child).sub;
        left += is_live(child) && sub.len &&
                (sub.ptr[0] == 's' || sub.ptr[0] == 't' || sub.ptr[0] == 'b');
    }
    return left;
}

bool clients_are_gone(struct world *world)
{
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        if (world->clients.list[i].is_there)
            return false;
    }
    return true;
}

bool clients_are_settled(struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        const struct sim_node *self = &world->node[node];
        if (!self->replica)
            return false;
        if (world->clients.is_uncertain || checker_is_held_up(self))
            continue;
        const struct record *record = find(self->replica);
        uint64_t shown = is_live(record) ? (uint64_t)record_value(record) : 0;
        if (shown != world->clients.total || left_of_clients(self->replica))
            return false;
    }
    return true;
}

void clients_clear(struct world *world, unsigned node)
{
    bool was_live;
    if (is_live(find(world->node[node].replica)))
        replica_delete(world->node[node].replica, span_text(key), &was_live);
}

bool clients_are_cleared(struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        if (!world->node[node].replica || is_live(find(world->node[node].replica)))
            return false;
    }
    world->clients.is_uncertain = true; // what was kept for somebody may still be counted
    return true;
}
