// SPDX-License-Identifier: Apache-2.0
// Any bytes as frames of a peer, however they are cut; and one body of every type, whose encoding,
// once written by us, is read and written again as the same bytes.
#include <stdlib.h>
#include "base/hash.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/wire_feed.h"
#include "wire/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct fixture {
    struct origins origins;
    struct peer_feed feed;
    struct peer_welcome welcome;
    struct peer_ack ack;
    struct peer_member list[PEER_MEMBERS_MAX];
    struct peer_members members;
};

static void demand(bool is_right)
{
    if (!is_right)
        abort();
}

static int rewrite_hello(struct span body, struct buf *out)
{
    struct peer_hello hello = {0};
    int outcome = peer_parse_hello(body, &hello);
    if (outcome || hello.version != PEER_VERSION)
        return PEER_E_PROTOCOL;
    struct buf again;
    buf_init(&again, out->heap);
    peer_put_hello_body(&again, &hello);
    peer_put_signed(out, PEER_HELLO, buf_span(&again), hello.mac);
    buf_deinit(&again);
    return 0;
}

static int rewrite_welcome(struct fixture *fixture, struct span body, struct buf *out)
{
    int outcome = peer_parse_welcome(body, &fixture->origins, &fixture->welcome);
    if (outcome)
        return outcome;
    struct buf again;
    buf_init(&again, out->heap);
    peer_put_welcome_body(&again, &fixture->welcome, &fixture->origins);
    peer_put_signed(out, PEER_WELCOME, buf_span(&again), fixture->welcome.mac);
    buf_deinit(&again);
    return 0;
}

static int rewrite_feed(struct fixture *fixture, struct span body, struct buf *out)
{
    int outcome = peer_parse_feed(body, &fixture->origins, &fixture->feed);
    if (outcome)
        return outcome;
    size_t mark = peer_open_feed(out, &fixture->feed, &fixture->origins);
    buf_put(out, fixture->feed.units);
    peer_close_feed(out, mark);
    return 0;
}

static int rewrite_rest(struct fixture *fixture, enum peer_type type, struct span body,
                        struct buf *out)
{
    struct peer_greeting greeting;
    uint64_t number;
    int outcome;
    if (type == PEER_GREETING) {
        outcome = peer_parse_greeting(body, &greeting);
        if (!outcome && greeting.version == PEER_VERSION)
            peer_put_greeting(out, greeting.nonce);
        else
            outcome = PEER_E_PROTOCOL;
    } else if (type == PEER_MEMBERS) {
        fixture->members.list = fixture->list;
        outcome = peer_parse_members(body, &fixture->origins, &fixture->members);
        if (!outcome)
            peer_put_members(out, &fixture->members, &fixture->origins);
    } else if (type == PEER_ACK) {
        outcome = peer_parse_ack(body, &fixture->origins, &fixture->ack);
        if (!outcome)
            peer_put_ack(out, &fixture->ack, &fixture->origins);
    } else {
        outcome = peer_parse_number(body, &number);
        if (!outcome)
            peer_put_number(out, type, number);
    }
    return outcome;
}

// Reads a body and appends it as a frame; an outcome when it is refused.
static int rewrite(struct fixture *fixture, enum peer_type type, struct span body, struct buf *out)
{
    if (type == PEER_HELLO)
        return rewrite_hello(body, out);
    if (type == PEER_WELCOME)
        return rewrite_welcome(fixture, body, out);
    if (type == PEER_FEED)
        return rewrite_feed(fixture, body, out);
    return rewrite_rest(fixture, type, body, out);
}

static void write_twice(struct fixture *fixture, enum peer_type type, struct span body)
{
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf once, twice;
    buf_init(&once, &heap.heap);
    buf_init(&twice, &heap.heap);
    if (rewrite(fixture, type, body, &once) == 0) {
        enum peer_type type_again;
        struct span body_again;
        size_t used;
        demand(peer_parse(buf_span(&once), &type_again, &body_again, &used) == 0);
        demand(type_again == type && used == once.len);
        demand(rewrite(fixture, type, body_again, &twice) == 0);
        demand(span_is_equal(buf_span(&once), buf_span(&twice)));
    }
    buf_deinit(&once);
    buf_deinit(&twice);
    demand(heap.bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct span stream = span_of(bytes, len);
    feed_agree(&feed_peer, stream, hash_bytes(stream, 1), 2);
    if (len < 1)
        return 0;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    enum peer_type type = (enum peer_type)(PEER_GREETING + bytes[0] % PEER_PONG);
    write_twice(fixture, type, span_of(bytes + 1, len - 1));
    free(fixture);
    return 0;
}
