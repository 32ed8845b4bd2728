// SPDX-License-Identifier: Apache-2.0
// Links come and go: slots, dialing with back-off and jitter, closing, pings, and the drill switch
// that cuts them. A link that was closed here keeps its slot until the driver says it is down, so
// that a late byte of it can never be taken for another's.
#include "base/backoff.h"
#include "node/private.h"

bool link_is_open(const struct link *link)
{
    return link->state != LINK_FREE && link->state != LINK_CLOSING;
}

struct link *link_claim(struct node *node, bool is_dialed, uint32_t *out_link)
{
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        struct link *link = &node->links[i];
        if (link->state != LINK_FREE)
            continue;
        *link = (struct link){.state = LINK_DIALING,
                              .is_dialed = is_dialed,
                              .peer = -1,
                              .member = -1,
                              .heard_ms = node->now_ms,
                              .pinged_ms = node->now_ms,
                              .deadline_ms = node->now_ms + NODE_HELLO_MS};
        for (size_t at = 0; at < PEER_NONCE_BYTES; at += 8)
            bytes_write_u64(link->nonce + at, prng_next(&node->prng));
        *out_link = i;
        return link;
    }
    return NULL;
}

void link_close(struct node *node, uint32_t index, struct effects *effects)
{
    struct link *link = &node->links[index];
    if (!link_is_open(link))
        return;
    link->state = LINK_CLOSING;
    effects_put(effects, EFFECT_CLOSE, index);
}

void link_close_member(struct node *node, uint16_t member, struct effects *effects)
{
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        if (node->links[i].member == (int16_t)member)
            link_close(node, i, effects);
    }
}

static void back_off(struct node *node, struct peer *peer)
{
    struct backoff redial = {NODE_REDIAL_MIN_MS, NODE_REDIAL_MAX_MS};
    peer->dial_ms = node->now_ms + backoff_ms(redial, peer->failures++, &node->prng);
}

void link_free(struct node *node, uint32_t index)
{
    struct link *link = &node->links[index];
    if (link->peer >= 0) {
        struct peer *peer = &node->peers[link->peer];
        peer->link = -1;
        back_off(node, peer);
    }
    link->state = LINK_FREE;
}

int peer_obtain(struct node *node, struct span address)
{
    if (address.len == 0 || address.len >= NODE_TEXT_BYTES)
        return -1;
    for (uint16_t i = 0; i < node->peers_count; i++) {
        if (span_is_equal(span_text(node->peers[i].address), address))
            return i;
    }
    if (node->peers_count == NODE_PEERS_MAX)
        return -1;
    struct peer *peer = &node->peers[node->peers_count];
    *peer = (struct peer){.link = -1};
    memcpy(peer->address, address.ptr, address.len);
    peer->address[address.len] = '\0';
    peer->is_self = span_is_equal(address, span_text(node->address));
    return node->peers_count++;
}

// The name of the member whose address the peer has, else NULL.
static const char *peer_name(const struct node *node, const struct peer *peer)
{
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        if (!member->is_former && strcmp(member->address, peer->address) == 0)
            return member->name;
    }
    return NULL;
}

static bool is_peer_cut(const struct node *node, const struct peer *peer)
{
    const char *name = peer_name(node, peer);
    return node->is_cut_all || (name && node_is_cut(node, name));
}

void link_dial_due(struct node *node, struct effects *effects)
{
    for (uint16_t i = 0; i < node->peers_count; i++) {
        struct peer *peer = &node->peers[i];
        if (peer->is_self || peer->link >= 0 || node->now_ms < peer->dial_ms ||
            is_peer_cut(node, peer))
            continue;
        uint32_t index;
        struct link *link = link_claim(node, true, &index);
        if (!link)
            return;
        link->peer = (int16_t)i;
        peer->link = (int16_t)index;
        effects_put_text(effects, EFFECT_DIAL, index, "%s", peer->address);
    }
}

void link_ping(struct node *node, uint32_t index, struct effects *effects)
{
    node->links[index].pinged_ms = node->now_ms;
    size_t mark = effects_open_send(effects);
    peer_put_number(&effects->bytes, PEER_PING, node->now_ms);
    effects_close_send(effects, index, mark);
}

bool node_is_cut(const struct node *node, const char *name)
{
    if (node->is_cut_all)
        return true;
    for (uint16_t i = 0; i < node->cut_count; i++) {
        if (strcmp(node->cut_names[i], name) == 0)
            return true;
    }
    return false;
}

static int active_by_name(const struct node *node, struct span name)
{
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (!node->members[i].is_former && span_is_equal(span_text(node->members[i].name), name))
            return i;
    }
    return -1;
}

bool node_cut(struct node *node, struct span name, struct effects *effects)
{
    if (span_is_word(name, "all")) {
        node->is_cut_all = true;
        for (uint32_t i = 0; i < NODE_LINKS_MAX; i++)
            link_close(node, i, effects);
        return true;
    }
    int member = active_by_name(node, name);
    if (member < 0 || node->cut_count == NODE_PEERS_MAX)
        return false;
    if (!node_is_cut(node, node->members[member].name))
        memcpy(node->cut_names[node->cut_count++], node->members[member].name, NODE_TEXT_BYTES);
    link_close_member(node, (uint16_t)member, effects);
    return true;
}

static void forget_cut(struct node *node, const char *name)
{
    for (uint16_t i = 0; i < node->cut_count; i++) {
        if (strcmp(node->cut_names[i], name) != 0)
            continue;
        node->cut_count--;
        memcpy(node->cut_names[i], node->cut_names[node->cut_count], NODE_TEXT_BYTES);
        return;
    }
}

// A cut of ALL followed by a heal of one leaves the others cut, by name.
static void narrow_cut(struct node *node, const char *healed)
{
    node->is_cut_all = false;
    node->cut_count = 0;
    for (uint16_t i = 0; i < node->members_count && node->cut_count < NODE_PEERS_MAX; i++) {
        const struct member *member = &node->members[i];
        if (!member->is_former && strcmp(member->name, healed) != 0)
            memcpy(node->cut_names[node->cut_count++], member->name, NODE_TEXT_BYTES);
    }
}

bool node_heal(struct node *node, struct span name, struct effects *effects)
{
    if (span_is_word(name, "all")) {
        node->is_cut_all = false;
        node->cut_count = 0;
    } else {
        int member = active_by_name(node, name);
        if (member < 0)
            return false;
        if (node->is_cut_all)
            narrow_cut(node, node->members[member].name);
        else
            forget_cut(node, node->members[member].name);
    }
    for (uint16_t i = 0; i < node->peers_count; i++) {
        node->peers[i].dial_ms = node->now_ms;
        node->peers[i].failures = 0;
    }
    link_dial_due(node, effects);
    return true;
}

int node_link_to(const struct node *node, uint16_t member)
{
    for (int i = 0; i < NODE_LINKS_MAX; i++) {
        const struct link *link = &node->links[i];
        if (link->state == LINK_RUNNING && link->is_dialed && link->member == (int16_t)member)
            return i;
    }
    return -1;
}
