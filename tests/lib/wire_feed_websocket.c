// SPDX-License-Identifier: Apache-2.0
// WebSocket frames as text, seen by a server and by a client.
#include <assert.h>
#include "base/decimal.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/wire_feed.h"
#include "wire/websocket.h"

struct websocket_session {
    struct heap_libc heap;
    struct websocket websocket;
    struct buf scratch;
};

static void init(struct websocket_session *self, enum websocket_role role)
{
    heap_libc_init(&self->heap);
    websocket_init(&self->websocket, role, &self->heap.heap);
    buf_init(&self->scratch, &self->heap.heap);
}

static void init_server(void *parser)
{
    init(parser, WEBSOCKET_SERVER);
}

static void init_client(void *parser)
{
    init(parser, WEBSOCKET_CLIENT);
}

static void deinit(void *parser)
{
    struct websocket_session *self = parser;
    websocket_deinit(&self->websocket);
    buf_deinit(&self->scratch);
    assert(self->heap.bytes == 0);
}

static const char *name_of(enum websocket_opcode opcode)
{
    switch (opcode) {
    case WEBSOCKET_TEXT:
        return "text";
    case WEBSOCKET_BINARY:
        return "binary";
    case WEBSOCKET_CLOSE:
        return "close";
    case WEBSOCKET_PING:
        return "ping";
    case WEBSOCKET_PONG:
        return "pong";
    default:
        return "?";
    }
}

static enum feed_outcome step(void *parser, struct span input, struct buf *trace, size_t *out_used)
{
    struct websocket_session *self = parser;
    struct websocket_message message;
    int outcome = websocket_parse(&self->websocket, input, &self->scratch, &message, out_used);
    if (outcome == WEBSOCKET_E_MORE)
        return FEED_MORE;
    if (outcome == WEBSOCKET_E_FRAGMENT)
        return FEED_USED;
    if (outcome == WEBSOCKET_E_PROTOCOL) {
        buf_put_text(trace, "refused ");
        decimal_put_unsigned(trace, self->websocket.code);
        buf_put_byte(trace, '\n');
        return FEED_END;
    }
    assert(outcome == 0);
    buf_put_text(trace, name_of(message.opcode));
    if (message.opcode == WEBSOCKET_CLOSE) {
        buf_put_byte(trace, ' ');
        decimal_put_unsigned(trace, message.code);
    }
    buf_put_text(trace, " [");
    feed_put_shown(trace, message.payload);
    buf_put_text(trace, "]\n");
    return message.opcode == WEBSOCKET_CLOSE ? FEED_END : FEED_USED;
}

const struct feed feed_websocket = {step, init_server, deinit, sizeof(struct websocket_session)};
const struct feed feed_websocket_client = {step, init_client, deinit,
                                           sizeof(struct websocket_session)};
