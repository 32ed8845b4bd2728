// SPDX-License-Identifier: Apache-2.0
// Causal stability: up to which sequences nobody can still create anything that does not know them.
// For every member n: its durable vector covers (o, s), and we have everything n itself had written
// when it said so. A former, unsealed incarnation or a configured peer that was never heard stops
// stability altogether: what they know is not known.
#include "node/private.h"

void stability_ack(struct node *node, uint16_t index, const struct vector *vector)
{
    struct member *member = &node->members[index];
    vector_join(&member->latest, vector);
    if (member->own_most < vector->sequence[member->origin])
        member->own_most = vector->sequence[member->origin];
    if (node->seen->sequence[member->origin] >= member->latest.sequence[member->origin]) {
        member->usable = member->latest;
        member->is_acked = true;
    }
}

const char *node_stability_blocker(const struct node *node)
{
    for (uint16_t i = 0; i < node->peers_count; i++) {
        if (!node->peers[i].is_self && !node->peers[i].is_known)
            return "a configured peer that was never heard";
    }
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        if (member->is_former || !member->is_acked || !member->knows_me)
            return member->name;
    }
    return NULL;
}

void stability_update(struct node *node)
{
    struct vector stable = *node->seen;
    for (uint16_t i = 0; i < node->members_count; i++) {
        struct member *member = &node->members[i];
        if (member->is_acked || member->is_heard)
            stability_ack(node, i, &member->latest);
    }
    if (node_stability_blocker(node))
        return;
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        for (uint16_t o = 0; o < node->origins->count; o++) {
            if (member->usable.sequence[o] < stable.sequence[o])
                stable.sequence[o] = member->usable.sequence[o];
        }
    }
    vector_join(&node->stable, &stable);
}

bool node_is_everywhere(const struct node *node, uint16_t origin, uint64_t sequence)
{
    if (node_stability_blocker(node) || node->seen->sequence[origin] < sequence)
        return false;
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (node->members[i].usable.sequence[origin] < sequence)
            return false;
    }
    return true;
}

const struct vector *node_stable(const struct node *node)
{
    return &node->stable;
}
