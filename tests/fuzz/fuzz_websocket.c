// SPDX-License-Identifier: Apache-2.0
// Any bytes as WebSocket frames to a server and to a client: however they are cut the same is
// understood, and a message that was understood is understood again by the other end.
#include <stdlib.h>
#include "base/hash.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/wire_feed.h"
#include "wire/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void demand(bool is_right)
{
    if (!is_right)
        abort();
}

static void write_again(const struct websocket_message *message, struct heap *heap)
{
    struct buf again, scratch;
    buf_init(&again, heap);
    buf_init(&scratch, heap);
    websocket_put_frame(&again, message->opcode, message->payload);
    struct websocket client;
    websocket_init(&client, WEBSOCKET_CLIENT, heap);
    struct websocket_message read;
    size_t used;
    demand(websocket_parse(&client, buf_span(&again), &scratch, &read, &used) == 0);
    demand(used == again.len && read.opcode == message->opcode);
    demand(span_is_equal(read.payload, message->payload));
    websocket_deinit(&client);
    buf_deinit(&again);
    buf_deinit(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct span stream = span_of(bytes, len);
    uint64_t seed = hash_bytes(stream, 1);
    feed_agree(&feed_websocket, stream, seed, 3);
    feed_agree(&feed_websocket_client, stream, seed, 3);

    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf scratch;
    buf_init(&scratch, &heap.heap);
    struct websocket server;
    websocket_init(&server, WEBSOCKET_SERVER, &heap.heap);
    for (;;) {
        struct websocket_message message;
        size_t used;
        int outcome = websocket_parse(&server, stream, &scratch, &message, &used);
        if (outcome != 0 && outcome != WEBSOCKET_E_FRAGMENT)
            break;
        demand(used > 0 && used <= stream.len);
        demand(outcome != 0 || message.payload.len <= WEBSOCKET_MESSAGE_BYTES_MAX);
        stream = span_of(stream.ptr + used, stream.len - used);
        if (outcome == 0 && message.opcode == WEBSOCKET_CLOSE)
            break;
        if (outcome == 0)
            write_again(&message, &heap.heap);
    }
    websocket_deinit(&server);
    buf_deinit(&scratch);
    demand(heap.bytes == 0);
    return 0;
}
