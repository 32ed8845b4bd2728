// SPDX-License-Identifier: Apache-2.0
// The handshake of a link, both ends: GREETING, HELLO, WELCOME. Before a listener answers an
// incarnation it sees to it that no earlier process of it is still heard: earlier links are probed,
// and either show life (then the newcomer is refused, with the address of the living one) or are
// closed, and the rounds staged on them dropped with them. The answer leaves only after the next
// commit, so that it tells what is durable.
#include <assert.h>
#include "node/private.h"
#include "wire/hmac.h"

static struct span name_of(const struct node *node)
{
    return span_text(node->name);
}

struct proof { // of whom, and of when
    const char *role;
    const uint8_t *listener_nonce, *dialer_nonce;
};

// HMAC-SHA-256 over role, both nonces and the body. False: no secret is set, or no memory.
static bool sign(const struct node *node, const struct proof *proof, struct span body,
                 uint8_t out_mac[PEER_MAC_BYTES])
{
    if (node->secret_len == 0)
        return false;
    struct buf message;
    buf_init(&message, node->heap);
    buf_put_text(&message, proof->role);
    buf_put(&message, span_of(proof->listener_nonce, PEER_NONCE_BYTES));
    buf_put(&message, span_of(proof->dialer_nonce, PEER_NONCE_BYTES));
    buf_put(&message, body);
    bool is_whole = !buf_has_failed(&message);
    hmac_sha256(span_of(node->secret, node->secret_len), buf_span(&message), out_mac);
    buf_deinit(&message);
    return is_whole;
}

static bool is_mac_right(const struct node *node, const struct proof *proof, struct span body,
                         struct span mac)
{
    if (node->secret_len == 0)
        return mac.len == 0;
    uint8_t expected[PEER_MAC_BYTES];
    if (mac.len != PEER_MAC_BYTES || !sign(node, proof, body, expected))
        return false;
    return hmac_is_equal(mac, span_of(expected, sizeof expected));
}

static struct proof own_proof(const struct link *link)
{
    if (link->is_dialed)
        return (struct proof){"dialer", link->nonce_other, link->nonce};
    return (struct proof){"listener", link->nonce, link->nonce_other};
}

// Takes the body.
static void send_signed(struct node *node, uint32_t index, enum peer_type type, struct buf *body,
                        struct effects *effects)
{
    uint8_t mac[PEER_MAC_BYTES];
    struct proof proof = own_proof(&node->links[index]);
    bool is_signed = sign(node, &proof, buf_span(body), mac);
    size_t mark = effects_open_send(effects);
    peer_put_signed(&effects->bytes, type, buf_span(body),
                    span_of(mac, is_signed ? PEER_MAC_BYTES : 0));
    effects_close_send(effects, index, mark);
    effects->failed |= buf_has_failed(body);
    buf_deinit(body);
}

static const char *other_end(const struct node *node, const struct link *link)
{
    if (link->name[0])
        return link->name;
    return link->peer >= 0 ? node->peers[link->peer].address : "a peer that dialed in";
}

static void fail(struct node *node, uint32_t index, const char *why, struct effects *effects)
{
    effects_put_text(effects, EFFECT_LOG, index, "handshake with %s: %s",
                     other_end(node, &node->links[index]), why);
    link_close(node, index, effects);
}

void handshake_link_up(struct node *node, uint32_t index, struct effects *effects)
{
    struct link *link = &node->links[index];
    if (!link_is_open(link))
        return;
    link->state = LINK_GREETING;
    link->heard_ms = node->now_ms;
    link->deadline_ms = node->now_ms + NODE_HELLO_MS;
    if (link->is_dialed)
        return;
    size_t mark = effects_open_send(effects);
    peer_put_greeting(&effects->bytes, span_of(link->nonce, PEER_NONCE_BYTES));
    effects_close_send(effects, index, mark);
}

// ---- the listener

static void refuse(struct node *node, uint32_t index, enum peer_status status, const char *text,
                   struct effects *effects)
{
    struct peer_welcome welcome = {.status = status,
                                   .text = span_text(text),
                                   .cluster = span_text(node->cluster),
                                   .name = name_of(node),
                                   .address = span_text(node->address),
                                   .boot = node->boot};
    if (status == PEER_REFUSED_FORMER)
        welcome.held = retirement_end(node, &node->links[index].incarnation);
    size_t mark = effects_open_send(effects);
    struct buf body;
    buf_init(&body, node->heap);
    peer_put_welcome_body(&body, &welcome, node->origins);
    peer_put_signed(&effects->bytes, PEER_WELCOME, buf_span(&body), (struct span){0});
    effects_close_send(effects, index, mark);
    buf_deinit(&body);
    if (status != PEER_REFUSED_SELF)
        effects_put_text(effects, EFFECT_LOG, index, "refused %s: %s%s%s",
                         other_end(node, &node->links[index]), peer_status_text(status),
                         *text ? ": " : "", text);
    link_close(node, index, effects);
}

// Whether `link` belongs to the identity that waits at `guest`: its incarnation in an earlier
// process, or another incarnation under the same name.
static bool is_rival(const struct link *link, const struct link *guest)
{
    if (link == guest || link->state != LINK_RUNNING || link->boot == guest->boot)
        return false;
    return incarnation_is_equal(&link->incarnation, &guest->incarnation) ||
           strcmp(link->name, guest->name) == 0;
}

static bool probe_rivals(struct node *node, uint32_t guest, struct effects *effects)
{
    bool is_any = false;
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        if (!is_rival(&node->links[i], &node->links[guest]))
            continue;
        link_ping(node, i, effects);
        is_any = true;
    }
    return is_any;
}

// Who is at the other end counts from now on, and is the newest of its name.
static enum peer_status admit(struct node *node, uint32_t index, struct effects *effects)
{
    struct link *link = &node->links[index];
    if (retirement_is_former(node, &link->incarnation))
        return PEER_REFUSED_FORMER;
    int member =
        member_obtain(node, &link->incarnation, span_text(link->name), span_text(link->address));
    if (member < 0)
        return PEER_REFUSED_FULL;
    link->member = (int16_t)member;
    member_met(node, (uint16_t)member, link->boot);
    retirement_supersede(node, (uint16_t)member, effects);
    return PEER_OK;
}

static void answer_after_commit(struct node *node, uint32_t index, struct effects *effects)
{
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        if (is_rival(&node->links[i], &node->links[index]))
            link_close(node, i, effects);
    }
    enum peer_status status = admit(node, index, effects);
    if (status != PEER_OK) {
        refuse(node, index, status, "", effects);
        return;
    }
    node->links[index].state = LINK_ANSWER;
    effects_put(effects, EFFECT_COMMIT, 0);
}

void handshake_alive(struct node *node, uint32_t index, struct effects *effects)
{
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        struct link *guest = &node->links[i];
        if (guest->state != LINK_PROBING || !is_rival(&node->links[index], guest))
            continue;
        bool is_same = incarnation_is_equal(&guest->incarnation, &node->links[index].incarnation);
        refuse(node, i, is_same ? PEER_REFUSED_DUPLICATE : PEER_REFUSED_NAME,
               node->members[node->links[index].member].address, effects);
    }
}

static void set_claims(struct link *link, struct span name, struct span address)
{
    text_set(link->name, name);
    text_set(link->address, address);
}

static enum peer_status judge_hello(struct node *node, const struct link *link,
                                    const struct peer_hello *hello)
{
    if (hello->version != PEER_VERSION)
        return PEER_REFUSED_VERSION;
    struct proof proof = {"dialer", link->nonce, hello->nonce.ptr};
    if (!is_mac_right(node, &proof, hello->signed_, hello->mac))
        return PEER_REFUSED_SECRET;
    if (!span_is_equal(hello->cluster, span_text(node->cluster)))
        return PEER_REFUSED_CLUSTER;
    if (incarnation_is_equal(&hello->incarnation, &node->origins->list[node->self]))
        return hello->boot == node->boot ? PEER_REFUSED_SELF : PEER_REFUSED_DUPLICATE;
    if (span_is_equal(hello->name, name_of(node)))
        return PEER_REFUSED_NAME;
    return retirement_is_former(node, &hello->incarnation) ? PEER_REFUSED_FORMER : PEER_OK;
}

static void take_hello(struct node *node, uint32_t index, const struct event *event,
                       struct effects *effects)
{
    struct link *link = &node->links[index];
    struct peer_hello hello = {0};
    if (event->message != PEER_HELLO || peer_parse_hello(event->body, &hello)) {
        fail(node, index, "not a HELLO", effects);
        return;
    }
    enum peer_status status = judge_hello(node, link, &hello);
    if (status == PEER_REFUSED_FORMER)
        link->incarnation = hello.incarnation; // to say where its history ends
    if (status != PEER_OK) {
        refuse(node, index, status, node->address, effects);
        return;
    }
    link->incarnation = hello.incarnation;
    link->boot = hello.boot;
    set_claims(link, hello.name, hello.address);
    if (node_is_cut(node, link->name)) {
        link_close(node, index, effects); // the drill: as if the wire were gone
        return;
    }
    memcpy(link->nonce_other, hello.nonce.ptr, PEER_NONCE_BYTES);
    if (probe_rivals(node, index, effects)) {
        link->state = LINK_PROBING;
        link->deadline_ms = node->now_ms + NODE_PROBE_MS;
        return;
    }
    answer_after_commit(node, index, effects);
}

// How far anything here has ever seen it, what was forgotten since included.
static uint64_t most_seen(const struct node *node, const struct member *member)
{
    uint64_t most = member->own_most;
    const struct vector *all[] = {node->seen, node->held, &node->dropped};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (most < all[i]->sequence[member->origin])
            most = all[i]->sequence[member->origin];
    }
    return most;
}

static void put_welcome(struct node *node, uint32_t index, struct effects *effects)
{
    struct link *link = &node->links[index];
    const struct member *member = &node->members[link->member];
    struct peer_welcome welcome = {.status = PEER_OK,
                                   .cluster = span_text(node->cluster),
                                   .name = name_of(node),
                                   .address = span_text(node->address),
                                   .incarnation = node->origins->list[node->self],
                                   .boot = node->boot,
                                   .held = most_seen(node, member),
                                   .vector = *node->seen};
    struct buf body;
    buf_init(&body, node->heap);
    peer_put_welcome_body(&body, &welcome, node->origins);
    send_signed(node, index, PEER_WELCOME, &body, effects);
}

void handshake_committed(struct node *node, uint32_t index, struct effects *effects)
{
    struct link *link = &node->links[index];
    put_welcome(node, index, effects);
    link->state = LINK_RUNNING;
    link->wants_members = true;
    link->acked_ms = 0;
    membership_heard(node, (uint16_t)link->member, effects);
}

// ---- the dialer

static void take_greeting(struct node *node, uint32_t index, const struct event *event,
                          struct effects *effects)
{
    struct link *link = &node->links[index];
    struct peer_greeting greeting;
    if (event->message != PEER_GREETING || peer_parse_greeting(event->body, &greeting)) {
        fail(node, index, "not a GREETING: is this a quipu peer port?", effects);
        return;
    }
    if (greeting.version != PEER_VERSION) {
        fail(node, index, peer_status_text(PEER_REFUSED_VERSION), effects);
        return;
    }
    memcpy(link->nonce_other, greeting.nonce.ptr, PEER_NONCE_BYTES);
    struct peer_hello hello = {.version = PEER_VERSION,
                               .nonce = span_of(link->nonce, PEER_NONCE_BYTES),
                               .cluster = span_text(node->cluster),
                               .name = name_of(node),
                               .address = span_text(node->address),
                               .incarnation = node->origins->list[node->self],
                               .boot = node->boot,
                               .is_asking = node->state == NODE_ASKING};
    struct buf body;
    buf_init(&body, node->heap);
    peer_put_hello_body(&body, &hello);
    send_signed(node, index, PEER_HELLO, &body, effects);
    link->state = LINK_WELCOME;
    link->deadline_ms = node->now_ms + NODE_HELLO_MS;
}

static void take_refusal(struct node *node, uint32_t index, const struct peer_welcome *welcome,
                         struct effects *effects)
{
    struct link *link = &node->links[index];
    struct peer *peer = &node->peers[link->peer];
    int text_len = (int)welcome->text.len;
    const char *text = (const char *)welcome->text.ptr;
    if (welcome->status == PEER_REFUSED_SELF) {
        peer->is_self = true;
        link_close(node, index, effects);
        question_self_found(node, effects);
        return;
    }
    if (welcome->status == PEER_REFUSED_DUPLICATE && node->state == NODE_ASKING) {
        node->state = NODE_REFUSED;
        effects_put_text(effects, EFFECT_REFUSE, index,
                         "%s; it is alive at %.*s. Stop one of them, or start this one with "
                         "--new-incarnation",
                         peer_status_text(welcome->status), text_len, text);
    }
    if (welcome->status == PEER_REFUSED_FORMER)
        question_refused_former(node, welcome->held, effects);
    effects_put_text(effects, EFFECT_LOG, index, "refused by %s: %s%s%.*s", peer->address,
                     peer_status_text(welcome->status), text_len ? ": " : "", text_len, text);
    link_close(node, index, effects);
}

static void take_welcome(struct node *node, uint32_t index, const struct event *event,
                         struct effects *effects)
{
    struct link *link = &node->links[index];
    struct peer_welcome welcome = {0};
    struct origins apart = *node->origins; // what a stranger says makes no incarnation known
    if (event->message != PEER_WELCOME || peer_parse_welcome(event->body, &apart, &welcome)) {
        fail(node, index, "not a WELCOME", effects);
        return;
    }
    if (welcome.status != PEER_OK) {
        take_refusal(node, index, &welcome, effects);
        return;
    }
    struct proof proof = {"listener", link->nonce_other, link->nonce};
    if (!is_mac_right(node, &proof, welcome.signed_, welcome.mac) ||
        !span_is_equal(welcome.cluster, span_text(node->cluster)) || welcome.name.len == 0) {
        fail(node, index, "the listener proves neither cluster nor secret", effects);
        return;
    }
    if (peer_parse_welcome(event->body, node->origins, &welcome)) {
        fail(node, index, peer_status_text(PEER_REFUSED_FULL), effects);
        return;
    }
    link->incarnation = welcome.incarnation;
    link->boot = welcome.boot;
    set_claims(link, welcome.name, welcome.address);
    if (node_is_cut(node, link->name)) {
        link_close(node, index, effects);
        return;
    }
    enum peer_status status = admit(node, index, effects);
    if (status != PEER_OK) {
        fail(node, index, peer_status_text(status), effects);
        return;
    }
    uint16_t member = (uint16_t)link->member;
    link->state = LINK_RUNNING;
    link->wants_members = true;
    link->sent = welcome.vector;
    node->peers[link->peer].is_known = true;
    node->peers[link->peer].failures = 0;
    stability_ack(node, member, &welcome.vector);
    membership_heard(node, member, effects);
    question_answered(node, member, welcome.held, effects);
    effects_put(effects, EFFECT_COMMIT, 0);
}

void handshake_message(struct node *node, uint32_t index, const struct event *event,
                       struct effects *effects)
{
    struct link *link = &node->links[index];
    if (link->state == LINK_WELCOME)
        take_welcome(node, index, event, effects);
    else if (link->state == LINK_GREETING && link->is_dialed)
        take_greeting(node, index, event, effects);
    else if (link->state == LINK_GREETING)
        take_hello(node, index, event, effects);
    else
        fail(node, index, "a message before its turn", effects);
}

void handshake_tick(struct node *node, uint32_t index, struct effects *effects)
{
    struct link *link = &node->links[index];
    if (link->state == LINK_PROBING) {
        bool is_any = false;
        for (uint32_t i = 0; i < NODE_LINKS_MAX; i++)
            is_any |= is_rival(&node->links[i], link);
        if (!is_any || node->now_ms >= link->deadline_ms)
            answer_after_commit(node, index, effects);
        return;
    }
    if (link->state != LINK_ANSWER && node->now_ms >= link->deadline_ms)
        link_close(node, index, effects);
}
