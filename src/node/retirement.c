// SPDX-License-Identifier: Apache-2.0
// What happens to an incarnation that a newer one of its name has superseded (CRDT literature:
// retirement). Fence: every member refuses it, durably, and says so. Delivery: once all do, nothing
// of it comes from outside any more, so each member sees to it that every other one has, durably,
// all that it holds of it: its feed passes the change that was newest then, and that round is
// acknowledged. Seal: who was told so by all has the union, which is the whole history for good,
// the same at everybody. From then on the incarnation's cells are constants and it no longer keeps
// anything from being stable; what somebody might still bring from above its end is not joined.
#include "node/private.h"

static uint32_t bit(uint16_t index)
{
    return (uint32_t)1 << index;
}

static uint32_t active_members(const struct node *node)
{
    uint32_t active = 0;
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (!node->members[i].is_former)
            active |= bit(i);
    }
    return active;
}

static bool is_cluster_known(const struct node *node)
{
    for (uint16_t i = 0; i < node->peers_count; i++) {
        if (!node->peers[i].is_self && !node->peers[i].is_known)
            return false;
    }
    return true;
}

bool retirement_is_former(const struct node *node, const struct incarnation *incarnation)
{
    uint16_t origin = origins_find(node->origins, incarnation);
    if (origin == ORIGIN_NONE)
        return false;
    int16_t index = node_member_of(node, origin);
    return node->seals[origin].is_set || (index >= 0 && node->members[index].is_former);
}

static void give_up(struct node *node, uint16_t index, struct effects *effects)
{
    struct member *member = &node->members[index];
    if (member->is_former)
        return;
    member->is_former = true;
    node->is_members_changed = true;
    link_close_member(node, index, effects);
}

// Somebody proved to be alive under this member's name: it is the newest of that name.
// It takes over the place of one that had joined: a member that is away still waits for that one's
// word before it takes anything for stable, so it collects nothing that its successor may miss.
void retirement_supersede(struct node *node, uint16_t index, struct effects *effects)
{
    struct member *successor = &node->members[index];
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (i == index || strcmp(node->members[i].name, successor->name) != 0)
            continue;
        if (node->members[i].is_joined && !successor->is_joined) {
            successor->is_joined = true;
            node->is_members_changed = true;
        }
        give_up(node, i, effects);
    }
}

bool retirement_learn(struct node *node, uint16_t sender, uint16_t index,
                      const struct peer_member *entry)
{
    struct member *member = &node->members[index];
    struct member before = *member;
    if (!entry->is_former)
        return false;
    node->is_members_changed |= !member->is_former;
    member->is_former = true;
    member->refused_by |= bit(sender);
    if (entry->is_delivered)
        member->delivered_by |= bit(sender);
    return !before.is_former || before.refused_by != member->refused_by ||
           before.delivered_by != member->delivered_by;
}

// One that is complete elsewhere. It is closed here too once V has come to its end: then everything
// up to there is here. Who never had it as a member just keeps the fence.
bool retirement_learn_seal(struct node *node, const struct peer_member *entry,
                           struct effects *effects)
{
    uint16_t origin;
    if (origins_obtain(node->origins, &entry->incarnation, &origin) || node->seals[origin].is_set)
        return false;
    int16_t index = node_member_of(node, origin);
    if (index < 0) {
        node_restore_seal(node, origin, entry->seal);
        node->is_members_changed = true;
        effects_put_origin(effects, EFFECT_HIDE, origin); // nobody ends its leases any more
        return true;
    }
    struct member *member = &node->members[index];
    if (member->told.is_set)
        return false;
    node->is_members_changed |= !member->is_former;
    member->is_former = true;
    member->told = (struct seal){.is_set = true, .sequence = entry->seal};
    return true;
}

void retirement_close(struct node *node, struct effects *effects)
{
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (node->members[i].is_former)
            link_close_member(node, i, effects);
    }
}

bool retirement_is_delivered(const struct node *node, uint16_t former, uint16_t receiver)
{
    int link = node_link_to(node, receiver);
    return link >= 0 && (node->links[link].delivered & bit(former));
}

static uint32_t fenced_members(const struct node *node)
{
    uint32_t active = active_members(node), fenced = 0;
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        if (member->is_former && member->is_durable && (active & ~member->refused_by) == 0)
            fenced |= bit(i);
    }
    return fenced;
}

static void tell(struct node *node, int16_t member)
{
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        struct link *link = &node->links[i];
        if (link->state == LINK_RUNNING && link->member == member)
            link->wants_members = true;
    }
}

// One pass of a link at a time, over all that is fenced by then. True: one has ended.
static bool deliver(struct node *node, struct link *link, uint32_t fenced)
{
    if (!link->delivery && (fenced & ~link->delivered)) {
        link->delivery = fenced;
        link->delivery_change = node->changes_newest;
        link->delivery_round = 0;
    }
    if (!link->delivery || !link->is_cursor_set || link->is_walking)
        return false;
    if (!link->delivery_round && link->cursor >= link->delivery_change)
        link->delivery_round =
            link->rounds_sent + 1; // rounds up to the present one, counted from 1
    if (!link->delivery_round || link->rounds_heard + 1 < link->delivery_round)
        return false;
    link->delivered |= link->delivery;
    link->delivery = 0;
    tell(node, link->member);
    return true;
}

static void seal(struct node *node, uint16_t index, uint64_t end, struct effects *effects)
{
    const struct member *member = &node->members[index];
    uint16_t origin = member->origin;
    effects_put_text(
        effects, EFFECT_LOG, 0,
        "an earlier incarnation of %s is complete at all members: closed at change %llu",
        member->name, (unsigned long long)end);
    node_restore_seal(node, origin, end);
    node->is_members_changed = true;
    effects_put_origin(effects, EFFECT_SEAL, origin);
    effects_put(effects, EFFECT_COMMIT, 0);
}

// Where the history of a former member ends, if that is known now.
static bool is_whole(const struct node *node, uint16_t index, uint32_t fenced, uint64_t *out_end)
{
    const struct member *member = &node->members[index];
    uint64_t seen = node->seen->sequence[member->origin];
    uint64_t held = node->held->sequence[member->origin];
    *out_end = member->told.is_set ? member->told.sequence : (seen > held ? seen : held);
    if (member->told.is_set)
        return member->is_durable && seen >= member->told.sequence;
    return (fenced & bit(index)) && (active_members(node) & ~member->delivered_by) == 0;
}

static bool has_too_much(const struct node *node, uint16_t index)
{
    const struct member *member = &node->members[index];
    return member->told.is_set && node->held->sequence[member->origin] > member->told.sequence;
}

// This directory has changes of an earlier incarnation that the others closed without them.
static void refuse_too_much(struct node *node, struct effects *effects)
{
    node->state = NODE_REFUSED;
    effects_put_text(
        effects, EFFECT_REFUSE, 0,
        "the cluster has closed an earlier incarnation of %s without changes that this "
        "directory alone has: keep it aside for inspection and start with an empty one",
        node->name);
}

void retirement_committed(struct node *node, struct effects *effects)
{
    if (node->state != NODE_SERVING || !is_cluster_known(node))
        return;
    uint32_t fenced = fenced_members(node);
    for (uint32_t i = 0; i < NODE_LINKS_MAX && fenced; i++) {
        struct link *link = &node->links[i];
        if (link->state == LINK_RUNNING && link->is_dialed && deliver(node, link, fenced))
            effects_put(effects, EFFECT_COMMIT, 0);
    }
    for (uint16_t i = node->members_count; i-- > 0;) {
        uint64_t end;
        if (!node->members[i].is_former)
            continue;
        if (has_too_much(node, i))
            refuse_too_much(node, effects);
        else if (is_whole(node, i, fenced, &end))
            seal(node, i, end, effects);
    }
}

uint64_t retirement_end(const struct node *node, const struct incarnation *incarnation)
{
    uint16_t origin = origins_find(node->origins, incarnation);
    bool is_sealed = origin != ORIGIN_NONE && node->seals[origin].is_set;
    return is_sealed ? node->seals[origin].sequence : UINT64_MAX;
}

void node_restore_seal(struct node *node, uint16_t origin, uint64_t sequence)
{
    int16_t index = node_member_of(node, origin);
    node->seals[origin] = (struct seal){.is_set = true, .sequence = sequence};
    if (index >= 0)
        member_drop(node, (uint16_t)index);
}
