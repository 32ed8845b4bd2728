// SPDX-License-Identifier: Apache-2.0
// WebSocket frames (RFC 6455), with permessage-deflate where both ends want it. A frame is taken
// when it is whole: the caller keeps incomplete bytes and shows them again, longer. Payloads are
// unmasked on the way out: those of unfragmented messages into scratch memory that one loop's
// connections share, those of fragmented ones into the connection's own, which is held only while a
// message is under way.
#pragma once
#include "wire/deflate.h"
#include "wire/http.h"
#include "wire/utf8.h"

#define WEBSOCKET_MESSAGE_BYTES_MAX 65536
#define WEBSOCKET_HEAD_BYTES_MAX    14 // of a frame

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

enum websocket_code {
    WEBSOCKET_CODE_NORMAL = 1000,
    WEBSOCKET_CODE_GOING_AWAY = 1001,
    WEBSOCKET_CODE_PROTOCOL = 1002,
    WEBSOCKET_CODE_NONE = 1005, // a Close frame without one
    WEBSOCKET_CODE_NOT_UTF8 = 1007,
    WEBSOCKET_CODE_POLICY = 1008,
    WEBSOCKET_CODE_TOO_LARGE = 1009,
    WEBSOCKET_CODE_RESTART = 1012,
    WEBSOCKET_CODE_EXPIRED = 4001, // a token: come back with a new one
    WEBSOCKET_CODE_SLOW = 4008,
};

enum websocket_role { WEBSOCKET_SERVER, WEBSOCKET_CLIENT }; // of this end

struct websocket {           // 64 bytes a connection
    struct buf partial;      // fragments of the message under way
    struct deflate *deflate; // NULL: not negotiated; borrows, one may serve many
    struct utf8 check;
    uint8_t opcode; // of the message under way; 0: none
    bool is_client : 1;
    bool is_given : 1;  // partial was given out; the next call drops it
    bool is_packed : 1; // the message under way is deflated
    uint16_t code;      // after WEBSOCKET_E_PROTOCOL: what to close with
    uint32_t checked;   // bytes of a text frame that is not whole yet and is UTF-8 so far
    uint32_t message_bytes_max;
};

struct websocket_message {
    enum websocket_opcode opcode; // never CONTINUATION
    struct span payload;          // until the next call; of a CLOSE: the reason text
    uint16_t code;                // of a CLOSE
};

void websocket_init(struct websocket *websocket, enum websocket_role role, struct heap *heap);
void websocket_deinit(struct websocket *websocket);

enum { WEBSOCKET_E_MORE = 1, WEBSOCKET_E_PROTOCOL, WEBSOCKET_E_FRAGMENT };

// One frame. 0: a message, or a control frame between the fragments of one. WEBSOCKET_E_FRAGMENT:
// out_used is set and nothing else, call again with the rest. WEBSOCKET_E_PROTOCOL: close with
// websocket->code. -ENOMEM. `scratch` is cleared and holds the payload. After a CLOSE nothing
// further is to be read.
int websocket_parse(struct websocket *websocket, struct span input, struct buf *scratch,
                    struct websocket_message *out_message, size_t *out_used);

// Unmasked, as servers send; the bytes may be shared by any number of connections.
void websocket_put_frame(struct buf *out, enum websocket_opcode opcode, struct span payload);
// How long the head is of an unmasked frame of so many bytes in all.
size_t websocket_head_len(size_t frame_len);
// The same, deflated: for who has negotiated it. False: no memory, nothing was written.
bool websocket_put_packed(struct buf *out, struct deflate *deflate, enum websocket_opcode opcode,
                          struct span payload);
// Reason text is cut at 123 bytes, between characters. WEBSOCKET_CODE_NONE: an empty Close, as the
// answer to one.
void websocket_put_close(struct buf *out, uint16_t code, const char *reason);
// As clients send.
void websocket_put_masked(struct buf *out, enum websocket_opcode opcode, struct span payload,
                          uint32_t mask);

// The server's side of the opening handshake: 0, or the status to refuse with (400, 405, 426; with
// 426 the header "Sec-WebSocket-Version: 13" belongs).
uint16_t websocket_check_upgrade(const struct http_request *request);
// Whether the client offers this subprotocol.
bool websocket_offers(const struct http_request *request, const char *protocol);
// The 101 response; protocol NULL: none chosen; `headers` are further lines, each with its CR LF.
void websocket_put_upgrade(struct buf *out, const struct http_request *request,
                           const char *protocol, struct span headers);

// The client's side. `nonce` is 16 bytes of chance.
struct websocket_call {
    struct span target, host;
    const char *protocol; // NULL: none
    uint8_t nonce[16];
};
void websocket_put_call(struct buf *out, const struct websocket_call *call);
bool websocket_is_accepted(const struct http_response *response, const uint8_t nonce[16]);
