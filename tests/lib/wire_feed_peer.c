// SPDX-License-Identifier: Apache-2.0
// Frames of the peer protocol as text. Units of a round are only measured: what is in them is the
// business of src/crdt.
#include <assert.h>
#include <stdlib.h>
#include "base/decimal.h"
#include "tests/lib/wire_feed.h"
#include "wire/peer.h"

struct peer_session {
    struct origins origins;
};

static void init(void *parser)
{
    struct peer_session *self = parser;
    self->origins = (struct origins){.count = 0};
}

static void deinit(void *parser)
{
    (void)parser;
}

static void put_number(struct buf *trace, const char *name, uint64_t value)
{
    buf_put_text(trace, name);
    decimal_put_unsigned(trace, value);
}

static void put_text(struct buf *trace, const char *name, struct span text)
{
    buf_put_text(trace, name);
    buf_put_byte(trace, '[');
    feed_put_shown(trace, text);
    buf_put_byte(trace, ']');
}

static void put_incarnation(struct buf *trace, const struct incarnation *incarnation)
{
    put_text(trace, " of ", span_of(incarnation->bytes, sizeof incarnation->bytes));
}

static void put_vector(struct buf *trace, const char *name, const struct vector *vector)
{
    buf_put_text(trace, name);
    for (size_t i = 0; i < LIMIT_ORIGINS; i++) {
        if (vector->sequence[i] == 0)
            continue;
        put_number(trace, " ", i);
        put_number(trace, ":", vector->sequence[i]);
    }
}

static int trace_hello(struct span body, struct buf *trace)
{
    struct peer_hello hello = {0};
    int outcome = peer_parse_hello(body, &hello);
    if (outcome)
        return outcome;
    put_number(trace, "hello ", hello.version);
    put_text(trace, " nonce ", hello.nonce);
    put_text(trace, " cluster ", hello.cluster);
    put_text(trace, " name ", hello.name);
    put_text(trace, " address ", hello.address);
    put_incarnation(trace, &hello.incarnation);
    put_number(trace, " boot ", hello.boot);
    buf_put_text(trace, hello.is_asking ? " asks" : "");
    put_text(trace, " mac ", hello.mac);
    put_number(trace, " signs ", hello.signed_.len);
    return 0;
}

static int trace_welcome(struct span body, struct origins *origins, struct buf *trace)
{
    struct peer_welcome welcome = {.status = PEER_OK};
    int outcome = peer_parse_welcome(body, origins, &welcome);
    if (outcome)
        return outcome;
    put_text(trace, "welcome ", span_text(peer_status_text(welcome.status)));
    put_text(trace, " text ", welcome.text);
    put_text(trace, " cluster ", welcome.cluster);
    put_text(trace, " name ", welcome.name);
    put_text(trace, " address ", welcome.address);
    put_incarnation(trace, &welcome.incarnation);
    put_number(trace, " boot ", welcome.boot);
    put_number(trace, " held ", welcome.held);
    put_vector(trace, " at", &welcome.vector);
    put_text(trace, " mac ", welcome.mac);
    put_number(trace, " signs ", welcome.signed_.len);
    return 0;
}

static int trace_members(struct span body, struct origins *origins, struct buf *trace)
{
    struct peer_members members = {.list = calloc(PEER_MEMBERS_MAX, sizeof *members.list)};
    int outcome = peer_parse_members(body, origins, &members);
    if (!outcome)
        put_number(trace, "members ", members.count);
    for (uint16_t i = 0; i < members.count && !outcome; i++) {
        const struct peer_member *member = &members.list[i];
        put_text(trace, " ", member->name);
        put_text(trace, " at ", member->address);
        put_incarnation(trace, &member->incarnation);
        buf_put_text(trace, member->is_former ? " former" : "");
        buf_put_text(trace, member->knows_sender ? " knows" : "");
        buf_put_text(trace, member->is_delivered ? " delivered" : "");
        if (member->is_sealed)
            put_number(trace, " sealed ", member->seal);
    }
    free(members.list);
    if (outcome)
        return outcome;
    put_vector(trace, members.is_filled ? " past" : " not past", &members.dropped);
    return 0;
}

static int trace_feed(struct span body, struct origins *origins, struct buf *trace)
{
    struct peer_feed *feed = calloc(1, sizeof *feed);
    int outcome = peer_parse_feed(body, origins, feed);
    if (!outcome) {
        buf_put_text(trace, feed->is_walk ? "walk" : "feed");
        buf_put_text(trace, feed->is_final ? " final" : "");
        for (uint16_t i = 0; i < feed->dictionary.count; i++)
            put_number(trace, " ", feed->dictionary.local[i]);
        put_vector(trace, " from", &feed->from);
        put_vector(trace, " upto", &feed->upto);
        put_text(trace, " units ", feed->units);
    }
    free(feed);
    return outcome;
}

static int trace_body(enum peer_type type, struct span body, struct origins *origins,
                      struct buf *trace)
{
    struct peer_greeting greeting;
    struct peer_ack ack;
    uint64_t number;
    int outcome;
    switch (type) {
    case PEER_GREETING:
        outcome = peer_parse_greeting(body, &greeting);
        if (!outcome)
            put_text(trace, "greeting ", greeting.nonce);
        return outcome;
    case PEER_HELLO:
        return trace_hello(body, trace);
    case PEER_WELCOME:
        return trace_welcome(body, origins, trace);
    case PEER_MEMBERS:
        return trace_members(body, origins, trace);
    case PEER_FEED:
        return trace_feed(body, origins, trace);
    case PEER_ACK:
        outcome = peer_parse_ack(body, origins, &ack);
        if (!outcome) {
            put_number(trace, "ack ", ack.rounds);
            put_vector(trace, " at", &ack.vector);
        }
        return outcome;
    default:
        outcome = peer_parse_number(body, &number);
        if (!outcome)
            put_number(trace, type == PEER_PING ? "ping " : "pong ", number);
        return outcome;
    }
}

static enum feed_outcome step(void *parser, struct span input, struct buf *trace, size_t *out_used)
{
    struct peer_session *self = parser;
    enum peer_type type;
    struct span body;
    int outcome = peer_parse(input, &type, &body, out_used);
    if (outcome == PEER_E_MORE)
        return FEED_MORE;
    if (!outcome)
        outcome = trace_body(type, body, &self->origins, trace);
    assert(outcome == 0 || outcome == PEER_E_PROTOCOL || outcome == PEER_E_FULL);
    buf_put_text(trace, outcome == 0 ? "\n" : outcome == PEER_E_FULL ? "full\n" : "refused\n");
    return outcome ? FEED_END : FEED_USED;
}

const struct feed feed_peer = {step, init, deinit, sizeof(struct peer_session)};
