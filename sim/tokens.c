// SPDX-License-Identifier: Apache-2.0
// Clients that retry: adds under tokens, at any node, again and again, while nodes crash and are
// cut off. Every other token tells when it was made. What a node answers is judged by what its
// ghost knows: added at most once by whoever knew of it, said to be a duplicate by whoever does,
// refused only when it is old. A client does not retry a token without a time when it cannot tell
// whether its window has passed.
#include <errno.h>
#include <stdlib.h>
#include "crdt/retry.h"
#include "sim/world.h"

#define WALL_BEGIN_MS 1000000
#define CLOCKS_OFF_MS 450000 // more than two clocks differ, with what a slow one has to catch up

static const struct {
    const char *text;
    uint64_t made_ms; // 0: it does not tell
    uint8_t digest[RETRY_DIGEST_BYTES];
} tokens[GHOST_TOKENS] = {
    {"t0", 0, {0x9b, 0x9c, 0x0a, 0x3d, 0xaf, 0xa9, 0x6b, 0xef, 0xac, 0x82, 0x7c, 0xb8}},
    {"0000000f-4240-7000-8000-000000000001",
     1000000,
     {0xa7, 0x63, 0xbf, 0x20, 0xda, 0xb1, 0xc6, 0xa3, 0x57, 0x87, 0x74, 0xcb}},
    {"t2", 0, {0x38, 0x34, 0x5e, 0xa1, 0xb8, 0x03, 0x17, 0xeb, 0xed, 0x4c, 0x72, 0x28}},
    {"0000000f-4df8-7000-8000-000000000003",
     1003000,
     {0xbc, 0x2b, 0xb7, 0x7a, 0x19, 0x48, 0xc4, 0x1c, 0x9f, 0xaa, 0xe6, 0xa4}},
    {"t4", 0, {0x47, 0xf3, 0x28, 0x47, 0x75, 0xb1, 0x5e, 0xd6, 0x61, 0x2f, 0xfa, 0x5c}},
    {"0000000f-6180-7000-8000-000000000005",
     1008000,
     {0x6c, 0x16, 0x16, 0x86, 0xef, 0xc8, 0x6c, 0xe1, 0x5a, 0xa6, 0x12, 0x2a}},
    {"t6", 0, {0xf5, 0x83, 0xc0, 0x90, 0x9d, 0xcd, 0x4a, 0x2e, 0x57, 0xab, 0x19, 0xbe}},
    {"0000000f-9060-7000-8000-000000000007",
     1020000,
     {0x18, 0x00, 0xa6, 0x63, 0xb6, 0x85, 0xdd, 0x8f, 0xaa, 0x64, 0x85, 0xc3}},
};

uint64_t world_wall_ms(const struct world *world)
{
    return WALL_BEGIN_MS + world->now_ms + world->leap_ms;
}

struct address tokens_address(unsigned unit)
{
    unsigned token = unit - GHOST_TOKEN;
    struct address address = workload_address(ghost_counter_of(unit));
    address.kind = UNIT_TOKEN;
    address.sub = span_of(tokens[token].digest, RETRY_DIGEST_BYTES);
    return address;
}

// Whether `other` has heard of the node, as it is now: counts it, or has had changes of it.
static bool is_heard_of(const struct world *world, unsigned node, unsigned other)
{
    const struct sim_node *self = &world->node[node], *by = &world->node[other];
    if (!by->replica)
        return by->durable.vector[self->incarnation] != 0;
    const struct node *brain = replica_node(by->replica);
    const struct incarnation *id = &world->log.incarnations[self->incarnation];
    for (uint16_t i = 0; i < brain->members_count; i++) {
        const struct member *member = &brain->members[i];
        if (incarnation_is_equal(&brain->origins->list[member->origin], id))
            return true;
    }
    return false;
}

// A replica that joins takes tokens before the others have heard of it; what they add under meets
// what the others know when it has joined, which must not take it longer than their window.
bool tokens_may_meet_late(const struct world *world)
{
    for (unsigned node = 0; node < world->nodes_count; node++) {
        for (unsigned other = 0; other < world->nodes_count; other++) {
            if (other != node && !is_heard_of(world, node, other))
                return true;
        }
    }
    return false;
}

void tokens_leap(struct world *world)
{
    world->leap_ms += 2 * (world->plan.token_window_ms + TOKENS_SKEW_MS) + CLOCKS_OFF_MS;
    world->counts.leaps++;
    world_note(world, 0, "and all others: days pass");
}

// ---- what the client knows

enum age { AGE_FRESH, AGE_DOUBTFUL, AGE_OLD };

static enum age age_of(const struct world *world, unsigned token)
{
    uint64_t now_ms = world_wall_ms(world), window_ms = world->plan.token_window_ms;
    uint64_t made_ms = tokens[token].made_ms ? tokens[token].made_ms : world->token_made_ms[token];
    if (made_ms == 0 || now_ms + CLOCKS_OFF_MS < made_ms + window_ms)
        return AGE_FRESH;
    return now_ms > made_ms + window_ms + TOKENS_SKEW_MS + CLOCKS_OFF_MS ? AGE_OLD : AGE_DOUBTFUL;
}

enum knowledge { KNOWS_NOTHING, KNOWS_OLD, KNOWS }; // old: from before its time was over once

static enum knowledge knowledge_of(const struct world *world, const struct ghost *ghost,
                                   unsigned unit)
{
    const struct ghost_unit *dots = &world->log.unit[unit];
    uint64_t made_ms = world->token_made_ms[unit - GHOST_TOKEN];
    enum knowledge knowledge = KNOWS_NOTHING;
    for (size_t i = 0; i < dots->count; i++) {
        const struct ghost_entry *dot = &dots->list[i];
        if (dot->is_lost || dot->sequence > ghost->mark[unit][dot->incarnation].seen)
            continue;
        bool is_now = dot->stamp * 1000 + CLOCKS_OFF_MS >= made_ms;
        knowledge = is_now ? KNOWS : knowledge == KNOWS ? KNOWS : KNOWS_OLD;
    }
    return knowledge;
}

static const char *word_for(int outcome, bool is_added)
{
    if (outcome == CHANGE_E_OLD)
        return "too old";
    return outcome ? "refused" : is_added ? "added" : "a duplicate";
}

static bool is_right(int outcome, bool is_added, enum knowledge knowledge, enum age age,
                     bool is_timed)
{
    if (outcome == CHANGE_E_OLD)
        return is_timed && age != AGE_FRESH;
    if (outcome)
        return false;
    if (!is_added)
        return knowledge != KNOWS_NOTHING;
    return is_timed ? knowledge == KNOWS_NOTHING && age != AGE_OLD
                    : knowledge != KNOWS || age == AGE_OLD;
}

// ---- in a commit

static void log_add(struct world *world, struct sim_node *self, unsigned unit, int64_t amount)
{
    unsigned counter = ghost_counter_of(unit);
    struct cell key = workload_own(self, counter), dot = workload_own(self, unit);
    if (dot.sequence != key.write || dot.lease.count != amount)
        world_violate(world, "%s: the dot of %s is not its add's", self->name,
                      tokens[unit - GHOST_TOKEN].text);
    int64_t sum = amount + self->ghost.pending[counter];
    self->ghost.pending[counter] = 0;
    self->ghost.is_pending[counter] = false;
    workload_entry(world, self, counter,
                   (struct ghost_entry){.sequence = key.write, .amount = sum});
    workload_entry(
        world, self, unit,
        (struct ghost_entry){.sequence = dot.sequence, .amount = amount, .stamp = dot.lease.epoch});
}

void tokens_add(struct world *world, unsigned node, unsigned token)
{
    struct sim_node *self = &world->node[node];
    unsigned unit = GHOST_TOKEN + token;
    enum age age = age_of(world, token);
    bool is_timed = tokens[token].made_ms != 0;
    enum knowledge knowledge = knowledge_of(world, &self->ghost, unit);
    if ((age == AGE_DOUBTFUL && !is_timed) || world_wall_ms(world) < tokens[token].made_ms)
        return;
    deadlines_touch(world, node, ghost_counter_of(unit));
    if (self->heap.refused)
        return;
    struct token_request request = {workload_address(ghost_counter_of(unit)).key,
                                    span_text(tokens[token].text),
                                    1 + (int64_t)prng_below(&world->prng, 3)};
    int64_t value;
    bool is_added = false;
    int outcome = replica_add_once(self->replica, &request, &value, &is_added);
    if (outcome == -ENOMEM)
        return;
    world_note(world, node, "INCRBY %.*s %lld ID %s: %s", (int)request.key.len,
               (const char *)request.key.ptr, (long long)request.amount, tokens[token].text,
               word_for(outcome, is_added));
    if (!is_right(outcome, is_added, knowledge, age, is_timed))
        world_violate(world, "%s: %s answered %s (%d)", self->name, tokens[token].text,
                      word_for(outcome, is_added), outcome);
    world->counts.tokens += is_added;
    world->counts.retries += !is_added;
    if (!is_added)
        return;
    if (age == AGE_OLD || world->token_made_ms[token] == 0)
        world->token_made_ms[token] = world_wall_ms(world);
    log_add(world, self, unit, request.amount);
    struct ghost_view view = ghost_view(&world->log, &self->ghost, ghost_counter_of(unit));
    if (value != view.value)
        world_violate(world, "%s: an add under %s answered %lld, must be %lld", self->name,
                      tokens[token].text, (long long)value, (long long)view.value);
}
