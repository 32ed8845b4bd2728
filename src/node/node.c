// SPDX-License-Identifier: Apache-2.0
// node_step: which part of the brain an event goes to, and what every commit and tick entails.
#include <assert.h>
#include <stdio.h>
#include "node/private.h"

static bool take_text(char *to, struct span from)
{
    if (from.len == 0 || from.len >= NODE_TEXT_BYTES || memchr(from.ptr, 0, from.len))
        return false;
    memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return true;
}

int node_init(struct node *node, struct heap *heap, const struct node_lent *lent,
              const struct node_options *options)
{
    *node = (struct node){.heap = heap,
                          .origins = lent->origins,
                          .seen = lent->seen,
                          .held = lent->held,
                          .boot = options->boot,
                          .self = ORIGIN_NONE,
                          .start_wait_ms = options->start_wait_ms,
                          .silence_ms = options->silence_ms};
    prng_init(&node->prng, options->seed);
    if (!take_text(node->cluster, options->cluster) || !take_text(node->name, options->name) ||
        !take_text(node->address, options->address) || options->secret.len > sizeof node->secret)
        return NODE_E_NAME;
    if (options->secret.len)
        memcpy(node->secret, options->secret.ptr, options->secret.len);
    node->secret_len = (uint16_t)options->secret.len;
    for (uint16_t i = 0; i < options->peers_count; i++) {
        if (peer_obtain(node, options->peers[i]) < 0)
            return NODE_E_NAME;
    }
    return 0;
}

int node_accept(struct node *node, uint32_t *out_link)
{
    return link_claim(node, false, out_link) ? 0 : NODE_E_FULL;
}

// A link that has rounds to acknowledge, or whose other end knows less of our vector than a while
// ago, gets an ACK. Only ever called when `seen` is durable.
static void acknowledge(struct node *node, uint32_t index, struct effects *effects)
{
    struct link *link = &node->links[index];
    bool is_owed = link->rounds_done > link->rounds_acked;
    link->wants_ack = !is_owed && node->now_ms < link->acked_ms + NODE_PING_MS / 4;
    if (link->wants_ack)
        return; // a tick will
    struct peer_ack ack = {.rounds = link->rounds_done, .vector = *node->seen};
    size_t mark = effects_open_send(effects);
    peer_put_ack(&effects->bytes, &ack, node->origins);
    effects_close_send(effects, index, mark);
    link->rounds_acked = link->rounds_done;
    link->acked_ms = node->now_ms;
}

static void offer_feed(struct node *node, uint32_t index, struct effects *effects)
{
    const struct link *link = &node->links[index];
    if (link->state != LINK_RUNNING || !link->is_dialed || node->state != NODE_SERVING)
        return;
    if (link->rounds_sent - link->rounds_heard >= NODE_ROUNDS_FLYING)
        return;
    if (!membership_may_feed(node, (uint16_t)link->member))
        return;
    // The list of members, with what is dropped, goes first.
    bool is_told = !link->wants_members && !node->is_members_changed;
    effects_put(effects, is_told ? EFFECT_FEED : EFFECT_COMMIT, index);
}

static void step_committed(struct node *node, struct effects *effects)
{
    membership_committed(node);
    age_committed(node);
    stability_update(node);
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        struct link *link = &node->links[i];
        if (link->state == LINK_ANSWER)
            handshake_committed(node, i, effects);
        if (link->state != LINK_RUNNING)
            continue;
        if (link->wants_members)
            membership_send(node, i, effects);
        if (!link->is_dialed)
            acknowledge(node, i, effects);
        offer_feed(node, i, effects);
    }
    retirement_committed(node, effects);
}

static void step_tick(struct node *node, struct effects *effects)
{
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        struct link *link = &node->links[i];
        if (link->state == LINK_FREE || link->state == LINK_CLOSING)
            continue;
        if (link->state != LINK_RUNNING) {
            handshake_tick(node, i, effects);
            continue;
        }
        if (node->now_ms >= link->heard_ms + NODE_LINK_SILENT_MS) {
            effects_put_text(effects, EFFECT_LOG, i, "link with %s: silent for %d ms, closed",
                             node->members[link->member].name, NODE_LINK_SILENT_MS);
            link_close(node, i, effects);
        } else if (node->now_ms >= link->pinged_ms + NODE_PING_MS) {
            link_ping(node, i, effects);
        }
        if (link->wants_ack && link->state == LINK_RUNNING)
            acknowledge(node, i, effects);
        offer_feed(node, i, effects);
    }
    stability_update(node);
    membership_silence(node, effects);
    question_tick(node, effects);
    link_dial_due(node, effects);
}

static void running_ack(struct node *node, uint32_t index, struct span body,
                        struct effects *effects)
{
    struct link *link = &node->links[index];
    struct peer_ack ack;
    if (!link->is_dialed || peer_parse_ack(body, node->origins, &ack) ||
        ack.rounds > link->rounds_sent) {
        link_close(node, index, effects);
        return;
    }
    link->rounds_heard = ack.rounds > link->rounds_heard ? ack.rounds : link->rounds_heard;
    vector_join(&link->sent, &ack.vector);
    stability_ack(node, (uint16_t)link->member, &ack.vector);
    if (link->delivery)
        effects_put(effects, EFFECT_COMMIT, 0);
    offer_feed(node, index, effects);
}

static void running_ping(struct node *node, uint32_t index, struct span body,
                         struct effects *effects)
{
    uint64_t number;
    if (peer_parse_number(body, &number)) {
        link_close(node, index, effects);
        return;
    }
    size_t mark = effects_open_send(effects);
    peer_put_number(&effects->bytes, PEER_PONG, number);
    effects_close_send(effects, index, mark);
}

static void running_message(struct node *node, uint32_t index, const struct event *event,
                            struct effects *effects)
{
    struct link *link = &node->links[index];
    if (event->message == PEER_FEED && !link->is_dialed) {
        link->rounds_staged++;
        effects_put(effects, EFFECT_STAGE, index);
    } else if (event->message == PEER_ACK) {
        running_ack(node, index, event->body, effects);
    } else if (event->message == PEER_MEMBERS) {
        membership_message(node, index, event->body, effects);
    } else if (event->message == PEER_PING) {
        running_ping(node, index, event->body, effects);
    } else if (event->message == PEER_PONG) {
        handshake_alive(node, index, effects);
    } else {
        effects_put_text(effects, EFFECT_LOG, index,
                         "link with %s: message %d out of place, closed",
                         node->members[link->member].name, (int)event->message);
        link_close(node, index, effects);
    }
}

static void step_message(struct node *node, const struct event *event, struct effects *effects)
{
    struct link *link = &node->links[event->link];
    if (!link_is_open(link))
        return;
    link->heard_ms = node->now_ms;
    if (link->state != LINK_RUNNING) {
        handshake_message(node, event->link, event, effects);
        return;
    }
    membership_heard(node, (uint16_t)link->member, effects);
    running_message(node, event->link, event, effects);
}

void node_step(struct node *node, const struct event *event, struct effects *effects)
{
    assert(event->link < NODE_LINKS_MAX);
    node->now_ms = event->now_ms;
    switch (event->type) {
    case EVENT_START:
        node->started_ms = event->now_ms;
        question_start(node, effects);
        link_dial_due(node, effects);
        break;
    case EVENT_TICK:
        step_tick(node, effects);
        break;
    case EVENT_LINK_UP:
        handshake_link_up(node, event->link, effects);
        break;
    case EVENT_LINK_DOWN:
        link_free(node, event->link);
        break;
    case EVENT_MESSAGE:
        step_message(node, event, effects);
        break;
    case EVENT_COMMITTED:
        step_committed(node, effects);
        break;
    }
}

void node_renewed(struct node *node, uint16_t origin, struct effects *effects)
{
    node->self = origin;
    node->is_members_changed = true;
    node->must_renew = false;
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++)
        link_close(node, i, effects);
    node->state = NODE_SERVING;
    effects_put(effects, EFFECT_COMMIT, 0);
    effects_put(effects, EFFECT_SERVE, 0);
}
