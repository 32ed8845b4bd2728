// SPDX-License-Identifier: Apache-2.0
// Who is a member, and who knows it. A member is an incarnation that counts for stability. Cells
// flow to a new one only after every other member has said, durably, that it counts it: else a
// reset made, found stable and collected during its first walk would never reach it. MEMBERS
// messages carry the durable list and, for each, whether the sender has been acknowledged by it;
// and how far what was dead has been dropped (age.c), so that one who joins is told by then what
// all of them had dropped.
#include <stdio.h>
#include "node/private.h"

int16_t node_member_of(const struct node *node, uint16_t origin)
{
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (node->members[i].origin == origin)
            return (int16_t)i;
    }
    return -1;
}

void text_set(char to[NODE_TEXT_BYTES], struct span from)
{
    size_t len = from.len < NODE_TEXT_BYTES ? from.len : NODE_TEXT_BYTES - 1;
    if (len)
        memcpy(to, from.ptr, len);
    to[len] = '\0';
}

static int member_add(struct node *node, uint16_t origin, struct span name, struct span address)
{
    if (node->members_count == NODE_MEMBERS_MAX)
        return -1;
    int index = node->members_count++;
    struct member *member = &node->members[index];
    *member = (struct member){.origin = origin, .heard_ms = node->now_ms};
    text_set(member->name, name);
    text_set(member->address, address);
    return index;
}

int node_restore_member(struct node *node, const struct kept_member *kept)
{
    if (node->seals[kept->origin].is_set)
        return 0;
    int index = node_member_of(node, kept->origin);
    if (index < 0)
        index = member_add(node, kept->origin, kept->name, kept->address);
    if (index < 0)
        return NODE_E_FULL;
    struct member *member = &node->members[index];
    text_set(member->address, kept->address);
    member->is_former |= kept->is_former;
    member->is_joined |= kept->is_joined;
    member->is_durable = true;
    if (!member->is_former)
        peer_obtain(node, kept->address);
    return 0;
}

int member_obtain(struct node *node, const struct incarnation *incarnation, struct span name,
                  struct span address)
{
    uint16_t origin;
    if (origins_obtain(node->origins, incarnation, &origin))
        return -1;
    int index = node_member_of(node, origin);
    if (index >= 0) {
        struct member *known = &node->members[index];
        if (!span_is_equal(span_text(known->address), address) && address.len) {
            text_set(known->address, address);
            node->is_members_changed = true;
        }
        peer_obtain(node, address);
        return index;
    }
    index = member_add(node, origin, name, address);
    if (index < 0)
        return -1;
    node->is_members_changed = true;
    peer_obtain(node, address);
    return index;
}

void member_met(struct node *node, uint16_t index, uint64_t boot)
{
    struct member *member = &node->members[index];
    if (member->boot == boot)
        return;
    member->boot = boot;
    member->is_acked = member->knows_me = false;
    member->knows = 0;
    member->latest = member->usable = (struct vector){0};
    for (uint16_t i = 0; i < node->members_count; i++)
        node->members[i].refused_by &= ~((uint32_t)1 << index);
}

void membership_send(struct node *node, uint32_t index, struct effects *effects)
{
    struct peer_member list[PEER_MEMBERS_MAX];
    uint16_t count = 0;
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        if (!member->is_durable)
            continue;
        list[count++] = (struct peer_member){
            .incarnation = node->origins->list[member->origin],
            .name = span_text(member->name),
            .address = span_text(member->address),
            .is_former = member->is_former,
            .knows_sender = member->knows_me,
            .is_delivered = retirement_is_delivered(node, i, (uint16_t)node->links[index].member)};
    }
    for (uint16_t origin = 0; origin < node->origins->count; origin++) {
        if (node->seals[origin].is_set && count < PEER_MEMBERS_MAX)
            list[count++] = (struct peer_member){.incarnation = node->origins->list[origin],
                                                 .is_former = true,
                                                 .is_sealed = true,
                                                 .seal = node->seals[origin].sequence};
    }
    struct peer_members members = {.list = list,
                                   .count = count,
                                   .is_filled = node_is_filled(node),
                                   .dropped = node_dropped(node)};
    size_t mark = effects_open_send(effects);
    peer_put_members(&effects->bytes, &members, node->origins);
    effects_close_send(effects, index, mark);
    node->links[index].wants_members = false;
}

void membership_tell_all(struct node *node)
{
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        if (node->links[i].state == LINK_RUNNING)
            node->links[i].wants_members = true;
    }
}

void membership_committed(struct node *node)
{
    bool is_news = false;
    for (uint16_t i = 0; i < node->members_count; i++) {
        is_news |= !node->members[i].is_durable;
        node->members[i].is_durable = true;
    }
    if (is_news || node->is_members_changed)
        membership_tell_all(node);
    node->is_members_changed = false;
}

// What one entry of the sender's list teaches: a member we did not know, a former one, and who
// durably knows whom.
static bool learn(struct node *node, uint16_t sender, const struct peer_member *entry,
                  struct effects *effects)
{
    if (incarnation_is_equal(&entry->incarnation, &node->origins->list[node->self])) {
        bool is_new = !node->members[sender].knows_me;
        node->members[sender].knows_me = true;
        return is_new;
    }
    if (incarnation_is_zero(&entry->incarnation))
        return false;
    if (entry->is_sealed)
        return retirement_learn_seal(node, entry, effects);
    if (entry->name.len == 0 || retirement_end(node, &entry->incarnation) != UINT64_MAX)
        return false; // sealed here already
    uint16_t origin = origins_find(node->origins, &entry->incarnation);
    int index = origin == ORIGIN_NONE ? -1 : node_member_of(node, origin);
    if (index < 0 && span_is_equal(entry->name, span_text(node->name))) {
        // Our own earlier incarnation, known to the sender: it stays unsealed here too.
        index = member_obtain(node, &entry->incarnation, entry->name, (struct span){0});
        if (index >= 0)
            node->members[index].is_former = true;
    } else if (index < 0) {
        index = member_obtain(node, &entry->incarnation, entry->name, entry->address);
    }
    if (index < 0)
        return false;
    node->members[sender].knows |= 1u << index;
    if (entry->knows_sender)
        node->members[index].knows |= 1u << sender;
    return retirement_learn(node, sender, (uint16_t)index, entry);
}

void membership_message(struct node *node, uint32_t link, struct span body, struct effects *effects)
{
    struct peer_member list[PEER_MEMBERS_MAX];
    struct peer_members members = {.list = list};
    if (peer_parse_members(body, node->origins, &members)) {
        link_close(node, link, effects);
        return;
    }
    if (age_is_too_old(node, link, &members, effects))
        return;
    uint16_t sender = (uint16_t)node->links[link].member;
    bool is_news = false;
    for (uint16_t i = 0; i < members.count; i++)
        is_news |= learn(node, sender, &list[i], effects);
    retirement_close(node, effects);
    if (is_news)
        membership_tell_all(node);
    if (is_news || node->is_members_changed)
        effects_put(effects, EFFECT_COMMIT, 0);
    if (node->links[link].is_dialed && node->links[link].member >= 0)
        question_listed(node, (uint16_t)node->links[link].member, effects);
}

static uint32_t without(uint32_t bits, uint16_t index, uint16_t last)
{
    uint32_t moved = bits >> last & 1;
    bits &= ~((uint32_t)1 << index | (uint32_t)1 << last);
    return index == last ? bits : bits | moved << index;
}

// Links of it are closed by now; what is left of them speaks for nobody.
void member_drop(struct node *node, uint16_t index)
{
    uint16_t last = --node->members_count;
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        struct link *link = &node->links[i];
        if (link->member == (int16_t)index)
            link->member = -1;
        else if (link->member == (int16_t)last)
            link->member = (int16_t)index;
        link->delivery = without(link->delivery, index, last);
        link->delivered = without(link->delivered, index, last);
    }
    node->answered = without(node->answered, index, last);
    node->members[index] = node->members[last];
    for (uint16_t i = 0; i < node->members_count; i++) {
        struct member *member = &node->members[i];
        member->knows = without(member->knows, index, last);
        member->refused_by = without(member->refused_by, index, last);
        member->delivered_by = without(member->delivered_by, index, last);
    }
}

// What others know of it is asked once: a member that comes later learns of this one from whoever
// lets it in, so one that came and went does not stop what flows among the rest.
bool membership_may_feed(struct node *node, uint16_t member)
{
    struct member *target = &node->members[member];
    if (!target->is_durable || target->is_former)
        return false;
    if (target->is_joined)
        return true;
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *other = &node->members[i];
        if (i != member && !other->is_former && !(other->knows & 1u << member))
            return false;
    }
    target->is_joined = true;
    node->is_members_changed = true;
    return true;
}

void membership_heard(struct node *node, uint16_t index, struct effects *effects)
{
    struct member *member = &node->members[index];
    member->heard_ms = node->now_ms;
    member->is_heard = true;
    if (member->is_hidden) {
        member->is_hidden = false;
        effects_put_origin(effects, EFFECT_SHOW, member->origin);
    }
}

void membership_silence(struct node *node, struct effects *effects)
{
    for (uint16_t i = 0; i < node->members_count; i++) {
        struct member *member = &node->members[i];
        if (member->is_hidden || node->now_ms < member->heard_ms + node->silence_ms)
            continue;
        member->is_hidden = true;
        effects_put_origin(effects, EFFECT_HIDE, member->origin);
    }
}
