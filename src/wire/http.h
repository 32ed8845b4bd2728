// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages read, both ends (RFC 9112), on llhttp without its lenient flags and behind a
// stricter check of lines. Refused, because two servers could disagree on where such a message ends
// or whom it is for: Content-Length with Transfer-Encoding, two Content-Lengths, codings other than
// a lone "chunked", a bare CR or LF, folded lines, space before a colon, no Host or two in
// HTTP/1.1.
//
// A parser is 64 bytes in its connection and owns no memory. The caller keeps the bytes of an
// incomplete message and shows them again, longer: every byte is scanned once as it arrives and
// once more when the message is whole, however it is cut. Spans of a message borrow from the input
// of the call that returned 0, but for a chunked body, which is decoded into `body`.
#pragma once
#include "wire/chunked.h"

#define HTTP_HEAD_BYTES_MAX   16384   // start line and headers: beyond, 431
#define HTTP_TARGET_BYTES_MAX 8192    // beyond, 414
#define HTTP_HEADERS_MAX      100     // beyond, 431
#define HTTP_BODY_BYTES_MAX   1048576 // beyond, 413
// What a connection must be able to keep of an incomplete message: chunks may double a body.
#define HTTP_MESSAGE_BYTES_MAX (HTTP_HEAD_BYTES_MAX + 2 * HTTP_BODY_BYTES_MAX)

enum http_method {
    HTTP_METHOD_OTHER, // known to HTTP, not to us: 405 or 501 is the caller's answer
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_PATCH,
};

// Headers that are looked up by name once, at most one line of each; an absent one is a span with a
// NULL ptr.
enum http_field {
    HTTP_FIELD_HOST,
    HTTP_FIELD_CONTENT_TYPE,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_ORIGIN,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_IDEMPOTENCY_KEY,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_ETAG,
    HTTP_FIELD_LOCATION,
    HTTP_FIELD_ACCESS_CONTROL_METHOD, // Access-Control-Request-Method
    HTTP_FIELD_WEBSOCKET_KEY,
    HTTP_FIELD_WEBSOCKET_VERSION,
    HTTP_FIELD_WEBSOCKET_ACCEPT,
    HTTP_FIELD_QUIPU_SIGNATURE,
    HTTP_FIELDS,
};

struct http_fault {
    uint16_t status; // to answer
    const char *reason;
};

struct http_parser {   // zeroed at the start; zeroed again by each call that returns 0
    size_t at;         // bytes of the message that are checked
    size_t need;       // input shorter than this is not worth a look
    uint32_t start;    // of the head: behind empty lines and interim responses
    uint32_t head_len; // 0: the head is not whole
    uint32_t line;     // where the line under way starts
    uint32_t length;   // of the body, when it is not chunked
    uint16_t lines;
    bool is_framed, is_chunked, is_awaited;
    struct chunked chunked;
    const struct http_fault *fault; // after HTTP_E_PROTOCOL
};

struct http_request {
    enum http_method method;
    struct span method_text;
    struct span target;  // as it came
    struct span path;    // raw, still percent-encoded; "/" of an absolute form without one; "*"
    struct span query;   // raw, without '?'
    struct span headers; // the lines, for http_next_header
    struct span field[HTTP_FIELDS];
    struct span body;
    uint8_t version_minor; // HTTP/1.0 or 1.1
    bool keeps_alive;      // unless the server wants to close
    bool is_upgrade;       // Connection: upgrade
};

struct http_response {
    uint16_t status;
    struct span reason;
    struct span headers;
    struct span field[HTTP_FIELDS];
    struct span body;
    uint8_t version_minor;
    bool keeps_alive;
    bool is_upgrade;
};

enum { HTTP_E_MORE = 1, HTTP_E_PROTOCOL, HTTP_E_CONTINUE };

// One request. 0: out_request and out_used are set. HTTP_E_CONTINUE, once: the head is here and the
// client waits for "100 Continue" before it sends the body; answer it, then go on as with
// HTTP_E_MORE. HTTP_E_PROTOCOL: answer parser->fault and close. `body` is cleared and written only
// when a chunked body is whole, so one may serve every connection of a loop. -ENOMEM from it.
int http_parse_request(struct http_parser *parser, struct span input, struct buf *body,
                       struct http_request *out_request, size_t *out_used);
// One response, not to HEAD; 1xx ones but 101 are skipped (then out_used covers them too). A length
// must be told: a body that ends with the connection is refused.
int http_parse_response(struct http_parser *parser, struct span input, struct buf *body,
                        struct http_response *out_response, size_t *out_used);

// Walks header lines: the next one, name as it came, value without surrounding blanks; false when
// none is left.
bool http_next_header(struct span *headers, struct span *out_name, struct span *out_value);
// Whether a header that lists tokens has this one (ASCII, any case), over all its lines.
bool http_has_token(struct span headers, const char *name, const char *token);
// If-None-Match against a current ETag (with its quotes), weak comparison; "*" matches.
bool http_is_none_match(struct span headers, struct span etag);
