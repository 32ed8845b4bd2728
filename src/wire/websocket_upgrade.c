// SPDX-License-Identifier: Apache-2.0
// The opening handshake of RFC 6455 section 4: a GET that asks for an upgrade, and a key that the
// answer proves to have read (SHA-1 of it and a fixed GUID; no security rests on that).
#include <assert.h>
#include <openssl/evp.h>
#include "wire/http_put.h"
#include "wire/websocket.h"

#define KEY_LEN    24 // 16 bytes in base64
#define ACCEPT_LEN 28 // SHA-1 in base64

// As for macs: libcrypto without SHA-1 or without memory ends the process.
static void write_accept(struct span key, char to[ACCEPT_LEN + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[KEY_LEN + sizeof guid - 1], digest[EVP_MAX_MD_SIZE];
    assert(key.len == KEY_LEN);
    memcpy(text, key.ptr, KEY_LEN);
    memcpy(text + KEY_LEN, guid, sizeof guid - 1);
    unsigned len = 0;
    int made = EVP_Digest(text, sizeof text, digest, &len, EVP_sha1(), NULL);
    assert(made == 1 && len == 20);
    EVP_EncodeBlock((unsigned char *)to, digest, 20);
}

static bool is_base64(uint8_t byte)
{
    uint8_t letter = byte | 0x20;
    return (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '+' ||
           byte == '/';
}

static bool is_key(struct span key)
{
    if (key.len != KEY_LEN || key.ptr[22] != '=' || key.ptr[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        if (!is_base64(key.ptr[i]))
            return false;
    }
    return true;
}

uint16_t websocket_check_upgrade(const struct http_request *request)
{
    if (request->method != HTTP_METHOD_GET)
        return 405;
    bool is_asked = request->is_upgrade && request->version_minor == 1 &&
                    http_has_token(request->headers, "upgrade", "websocket");
    if (!is_asked)
        return 426;
    struct span version = request->field[HTTP_FIELD_WEBSOCKET_VERSION];
    if (!version.ptr || !is_key(request->field[HTTP_FIELD_WEBSOCKET_KEY]) || request->body.len)
        return 400;
    return span_is_equal(version, span_text("13")) ? 0 : 426;
}

bool websocket_offers(const struct http_request *request, const char *protocol)
{
    return http_has_token(request->headers, "sec-websocket-protocol", protocol);
}

void websocket_put_upgrade(struct buf *out, const struct http_request *request,
                           const char *protocol, struct span headers)
{
    char accept[ACCEPT_LEN + 1];
    write_accept(request->field[HTTP_FIELD_WEBSOCKET_KEY], accept);
    buf_put_text(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\n");
    http_put_header(out, "Sec-WebSocket-Accept", span_text(accept));
    if (protocol)
        http_put_header(out, "Sec-WebSocket-Protocol", span_text(protocol));
    buf_put(out, headers);
    buf_put_text(out, "\r\n");
}

// ---- the client's side

static void write_key(const uint8_t nonce[16], char to[KEY_LEN + 1])
{
    EVP_EncodeBlock((unsigned char *)to, nonce, 16);
}

void websocket_put_call(struct buf *out, const struct websocket_call *call)
{
    char key[KEY_LEN + 1];
    write_key(call->nonce, key);
    buf_put_text(out, "GET ");
    buf_put(out, call->target);
    buf_put_text(out, " HTTP/1.1\r\n");
    http_put_header(out, "Host", call->host);
    buf_put_text(out, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
    http_put_header(out, "Sec-WebSocket-Key", span_text(key));
    if (call->protocol)
        http_put_header(out, "Sec-WebSocket-Protocol", span_text(call->protocol));
    buf_put_text(out, "\r\n");
}

bool websocket_is_accepted(const struct http_response *response, const uint8_t nonce[16])
{
    char key[KEY_LEN + 1], accept[ACCEPT_LEN + 1];
    write_key(nonce, key);
    write_accept(span_text(key), accept);
    return response->status == 101 && response->is_upgrade &&
           http_has_token(response->headers, "upgrade", "websocket") &&
           span_is_equal(response->field[HTTP_FIELD_WEBSOCKET_ACCEPT], span_text(accept));
}
