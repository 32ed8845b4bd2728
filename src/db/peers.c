// SPDX-License-Identifier: Apache-2.0
// Peer sockets: the node's wishes become streams, and what streams do becomes the node's events. A
// link has one connection at a time, found by its number.
#include <errno.h>
#include <unistd.h>
#include "base/owner.h"
#include "db/private.h"

#define TLS_LOG_MS 5000 // at most a line in that time

static struct stream_limits peer_limits(const struct peers *peers)
{
    return (struct stream_limits){
        .in_max = PEER_FRAME_BYTES_MAX + PEER_HEAD_BYTES,
        // Rounds in flight, each with its overshoot, and small talk.
        .out_max = (NODE_ROUNDS_FLYING + 1) * (size_t)PEER_FRAME_BYTES_MAX,
        .tls = peers->db->tls,
    };
}

static void tell(struct peer_conn *conn, enum event_type type)
{
    struct committer *committer = &conn->db->committer;
    struct event event = {.type = type, .now_ms = loop_now_ms(committer->loop), .link = conn->link};
    committer_event(committer, &event);
}

// Until the other end has proved itself, it cannot make us hold much.
static bool is_too_early(const struct peer_conn *conn, struct span input)
{
    const struct node *node = replica_node(conn->db->committer.replica);
    return node->links[conn->link].state != LINK_RUNNING && input.len >= 4 &&
           bytes_read_u32(input.ptr) > PEER_EARLY_BYTES_MAX;
}

static size_t on_input(struct stream *stream, struct span input)
{
    struct peer_conn *conn = (struct peer_conn *)stream;
    struct committer *committer = &conn->db->committer;
    size_t used = 0;
    while (used < input.len && !stream->is_closing) {
        struct event event = {
            .type = EVENT_MESSAGE, .now_ms = loop_now_ms(committer->loop), .link = conn->link};
        size_t len;
        struct span rest = span_of(input.ptr + used, input.len - used);
        int outcome = is_too_early(conn, rest)
                          ? PEER_E_PROTOCOL
                          : peer_parse(rest, &event.message, &event.body, &len);
        if (outcome == PEER_E_MORE)
            break;
        if (outcome) {
            stream_close(stream, -EPROTO);
            break;
        }
        used += len;
        committer_event(committer, &event);
    }
    return used;
}

static void on_connected(struct stream *stream)
{
    tell((struct peer_conn *)stream, EVENT_LINK_UP);
}

static void log_tls(struct db *db, const struct stream *stream, int fault)
{
    char why[STREAM_WHY_MAX];
    uint64_t now_ms = loop_now_ms(db->loop);
    if (db->peers.said_ms && now_ms < db->peers.said_ms + TLS_LOG_MS)
        return;
    db->peers.said_ms = now_ms;
    db_log(db, "a peer's connection was refused: %s", stream_why(stream, fault, why));
}

static void on_closed(struct stream *stream, int fault)
{
    struct peer_conn *conn = (struct peer_conn *)stream;
    if (fault == -EPROTO && stream->tls) // all else the node says, and dials again
        log_tls(conn->db, stream, fault);
    conn->is_used = false;
    tell(conn, EVENT_LINK_DOWN);
}

static const struct stream_ops peer_ops = {
    .on_input = on_input, .on_connected = on_connected, .on_closed = on_closed};

static struct peer_conn *claim(struct peers *peers, uint32_t link)
{
    struct peer_conn *conn = &peers->conn[link];
    conn->db = peers->db;
    conn->link = link;
    conn->is_used = true;
    return conn;
}

// The connection could not even be begun.
static void give_up(struct peer_conn *conn)
{
    conn->is_used = false;
    tell(conn, EVENT_LINK_DOWN);
}

static void on_accepted(struct listener *listener, int fd)
{
    struct peers *peers = owner_of(listener, struct peers, listener);
    struct committer *committer = &peers->db->committer;
    uint32_t link;
    if (committer->server.has_failed || replica_accept(committer->replica, &link)) {
        close(fd);
        return;
    }
    struct peer_conn *conn = claim(peers, link);
    struct stream_limits limits = peer_limits(peers);
    if (stream_accept(&conn->stream, committer->loop, fd, &peer_ops, &limits))
        give_up(conn);
    else
        tell(conn, EVENT_LINK_UP);
}

static void dial(struct peers *peers, uint32_t link, struct span text)
{
    struct endpoint endpoint;
    char address[NODE_TEXT_BYTES];
    struct peer_conn *conn = claim(peers, link);
    struct stream_limits limits = peer_limits(peers);
    size_t len = text.len < sizeof address ? text.len : sizeof address - 1;
    memcpy(address, text.ptr, len);
    address[len] = '\0';
    if (!endpoint_parse(address, &endpoint) ||
        stream_dial(&conn->stream, peers->db->loop, &endpoint, &peer_ops, &limits))
        give_up(conn);
}

static void carry(struct peers *peers, const struct effects *effects, struct effect effect)
{
    struct peer_conn *conn = &peers->conn[effect.link];
    struct span bytes = effects_span(effects, &effect);
    switch (effect.type) {
    case EFFECT_DIAL:
        dial(peers, effect.link, bytes);
        break;
    case EFFECT_SEND:
        if (conn->is_used)
            stream_send(&conn->stream, bytes);
        break;
    case EFFECT_CLOSE:
        if (conn->is_used)
            stream_close(&conn->stream, 0);
        break;
    case EFFECT_REFUSE:
        db_refuse(peers->db, (const char *)bytes.ptr, (int)bytes.len);
        break;
    case EFFECT_LOG:
        db_log(peers->db, "%.*s", (int)bytes.len, (const char *)bytes.ptr);
        break;
    case EFFECT_STAGE: // carried out by the replica
    case EFFECT_FEED:
    case EFFECT_COMMIT:
    case EFFECT_SERVE:
    case EFFECT_RENEW:
    case EFFECT_FORGET:
    case EFFECT_HIDE:
    case EFFECT_SEAL:
    case EFFECT_SHOW:
        break;
    }
}

// What an effect causes at once (a connection that ends) adds effects behind it: they are carried
// out in the same pass.
void peers_carry(struct peers *peers)
{
    struct effects *effects = replica_effects(peers->db->committer.replica);
    if (peers->is_carrying || (effects->count == 0 && !effects->failed))
        return;
    peers->is_carrying = true;
    for (size_t i = 0; i < effects->count; i++)
        carry(peers, effects, effects->list[i]);
    bool has_failed = effects->failed;
    effects_clear(effects);
    peers->is_carrying = false;
    if (has_failed)
        committer_fail(&peers->db->committer, -ENOMEM);
}

int peers_start(struct peers *peers, struct db *db, const struct endpoint *endpoint)
{
    peers->db = db;
    peers->listener.on_accepted = on_accepted;
    return listener_start(&peers->listener, db->loop, endpoint);
}

void peers_stop(struct peers *peers, bool is_orderly)
{
    listener_stop(&peers->listener);
    for (unsigned i = 0; i < NODE_LINKS_MAX; i++) {
        struct peer_conn *conn = &peers->conn[i];
        if (!conn->is_used)
            continue;
        if (is_orderly)
            stream_close(&conn->stream, 0);
        else
            stream_abort(&conn->stream, 0);
    }
}

bool peers_are_gone(const struct peers *peers)
{
    for (unsigned i = 0; i < NODE_LINKS_MAX; i++) {
        if (peers->conn[i].is_used)
            return false;
    }
    return true;
}
