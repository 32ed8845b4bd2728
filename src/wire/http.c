// SPDX-License-Identifier: Apache-2.0
// Messages: the head is scanned as it arrives and read when it is whole, which tells how the body
// is framed; then the body is awaited by its length or checked chunk by chunk; then, if the message
// did not come in one piece, the head is read once more, for its bytes may have moved.
#include <errno.h>
#include "wire/http_head.h"

static int refuse(struct http_parser *parser, const struct http_fault *fault)
{
    parser->fault = fault;
    return HTTP_E_PROTOCOL;
}

static int more(struct http_parser *parser, size_t need)
{
    parser->need = need;
    return HTTP_E_MORE;
}

// ---- the target of a request

static bool starts_with(struct span text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && span_is_word(span_of(text.ptr, len), word);
}

static bool is_host(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte <= ' ' || byte >= 0x7f || strchr("\"#,/<>?@\\^`{|}", byte))
            return false;
    }
    return text.len > 0;
}

// "http://host/path": the authority overrules the Host header (RFC 9112 section 3.2.2).
static bool split_absolute(struct http_request *request, struct span *rest)
{
    size_t scheme = starts_with(*rest, "http://") ? 7 : starts_with(*rest, "https://") ? 8 : 0;
    if (scheme == 0)
        return false;
    const uint8_t *at = rest->ptr + scheme, *end = rest->ptr + rest->len;
    const uint8_t *path = at;
    while (path < end && *path != '/' && *path != '?')
        path++;
    request->field[HTTP_FIELD_HOST] = span_of(at, (size_t)(path - at));
    *rest = span_of(path, (size_t)(end - path));
    return is_host(request->field[HTTP_FIELD_HOST]);
}

static bool split_target(struct http_request *request)
{
    struct span rest = request->target;
    if (memchr(rest.ptr, '#', rest.len))
        return false;
    if (rest.len == 1 && rest.ptr[0] == '*') {
        request->path = rest;
        return request->method == HTTP_METHOD_OPTIONS;
    }
    if (rest.ptr[0] != '/' && !split_absolute(request, &rest))
        return false;
    const uint8_t *mark = rest.len ? memchr(rest.ptr, '?', rest.len) : NULL;
    size_t path_len = mark ? (size_t)(mark - rest.ptr) : rest.len;
    request->path = path_len ? span_of(rest.ptr, path_len) : span_text("/");
    if (mark)
        request->query = span_of(mark + 1, rest.len - path_len - 1);
    return true;
}

static const struct http_fault *check_request(struct http_request *request,
                                              const struct http_head *head)
{
    struct span host = head->field[HTTP_FIELD_HOST], expect = head->field[HTTP_FIELD_EXPECT];
    if (!host.ptr && head->version_minor > 0)
        return &http_faults[HTTP_FAULT_HOST_MISSING];
    if (host.ptr && !is_host(host))
        return &http_faults[HTTP_FAULT_HOST];
    if (expect.ptr && !span_is_word(expect, "100-continue"))
        return &http_faults[HTTP_FAULT_EXPECT];
    *request = (struct http_request){
        .method = head->method,
        .method_text = head->start[0],
        .target = head->start[1],
        .headers = head->headers,
        .version_minor = head->version_minor,
        .keeps_alive = head->keeps_alive,
        .is_upgrade = head->is_upgrade,
    };
    memcpy(request->field, head->field, sizeof request->field);
    if (span_is_word(request->method_text, "CONNECT"))
        return &http_faults[HTTP_FAULT_METHOD];
    return split_target(request) ? NULL : &http_faults[HTTP_FAULT_TARGET];
}

// ---- bodies

// The body after the head, decoded if need be. parser->at moves behind it.
static int read_chunked(struct http_parser *parser, struct span input, struct buf *body,
                        struct span *out_body)
{
    size_t start = parser->start + parser->head_len, used = 0;
    struct span piece = span_of(input.ptr + parser->at, input.len - parser->at);
    switch (chunked_check(&parser->chunked, piece, HTTP_BODY_BYTES_MAX, &used)) {
    case CHUNKED_E_MALFORMED:
        return refuse(parser, &http_faults[HTTP_FAULT_CHUNK]);
    case CHUNKED_E_TOO_LARGE:
        return refuse(parser, &http_faults[HTTP_FAULT_BODY_LARGE]);
    case CHUNKED_E_MORE:
        parser->at = input.len;
        if (parser->at - start > 2 * HTTP_BODY_BYTES_MAX)
            return refuse(parser, &http_faults[HTTP_FAULT_BODY_LARGE]);
        return more(parser, input.len + 1);
    default:
        break;
    }
    if (parser->at + used - start > 2 * HTTP_BODY_BYTES_MAX)
        return refuse(parser, &http_faults[HTTP_FAULT_BODY_LARGE]);
    buf_clear(body);
    if (parser->chunked.body_len && !buf_reserve(body, parser->chunked.body_len)) {
        parser->chunked = (struct chunked){0}; // so that a later call may try again
        parser->at = start;
        return -ENOMEM;
    }
    parser->at += used;
    chunked_put_decoded(body, span_of(input.ptr + start, parser->at - start));
    *out_body = buf_span(body);
    return 0;
}

static int read_body(struct http_parser *parser, struct span input, struct buf *body,
                     struct span *out_body)
{
    if (parser->is_chunked)
        return read_chunked(parser, input, body, out_body);
    size_t start = parser->start + parser->head_len, end = start + parser->length;
    if (input.len < end)
        return more(parser, end);
    *out_body = span_of(input.ptr + start, parser->length);
    parser->at = end;
    return 0;
}

// The head, when it is whole: how the body is framed.
static int begin(struct http_parser *parser, struct span input, enum http_kind kind,
                 struct http_head *out_head)
{
    if (parser->head_len == 0) {
        const struct http_fault *fault = http_head_scan(parser, input, kind);
        if (fault)
            return refuse(parser, fault);
        if (parser->head_len == 0)
            return more(parser, input.len + 1);
    }
    struct span bytes = span_of(input.ptr + parser->start, parser->head_len);
    const struct http_fault *fault = http_head_read(bytes, kind, out_head);
    return fault ? refuse(parser, fault) : 0;
}

int http_parse_request(struct http_parser *parser, struct span input, struct buf *body,
                       struct http_request *out_request, size_t *out_used)
{
    if (input.len < parser->need)
        return HTTP_E_MORE;
    struct http_head head;
    struct http_request request;
    bool is_read = false;
    if (!parser->is_framed) {
        int outcome = begin(parser, input, HTTP_KIND_REQUEST, &head);
        if (outcome)
            return outcome;
        const struct http_fault *fault = check_request(&request, &head);
        if (fault)
            return refuse(parser, fault);
        is_read = true;
        parser->is_framed = true;
        parser->is_chunked = head.is_chunked;
        parser->length = head.length;
        bool has_body = head.is_chunked || head.length > 0;
        parser->is_awaited =
            has_body && head.version_minor > 0 && head.field[HTTP_FIELD_EXPECT].ptr;
    }
    struct span payload;
    int outcome = read_body(parser, input, body, &payload);
    if (outcome == HTTP_E_MORE && parser->is_awaited) {
        parser->is_awaited = false;
        return HTTP_E_CONTINUE;
    }
    if (outcome)
        return outcome;
    if (!is_read) {
        begin(parser, input, HTTP_KIND_REQUEST, &head);
        check_request(&request, &head);
    }
    request.body = payload;
    *out_request = request;
    *out_used = parser->at;
    *parser = (struct http_parser){0};
    return 0;
}

// ---- responses

static bool is_bodyless(uint16_t status)
{
    return status < 200 || status == 204 || status == 304;
}

// Heads of responses, interim ones skipped.
static int begin_response(struct http_parser *parser, struct span input, struct http_head *out_head)
{
    for (;;) {
        int outcome = begin(parser, input, HTTP_KIND_RESPONSE, out_head);
        if (outcome || out_head->status == 101 || out_head->status >= 200)
            return outcome;
        parser->start = parser->line = (uint32_t)parser->at;
        parser->lines = 0;
        parser->head_len = 0;
    }
}

int http_parse_response(struct http_parser *parser, struct span input, struct buf *body,
                        struct http_response *out_response, size_t *out_used)
{
    if (input.len < parser->need)
        return HTTP_E_MORE;
    struct http_head head;
    bool is_read = false;
    if (!parser->is_framed) {
        int outcome = begin_response(parser, input, &head);
        if (outcome)
            return outcome;
        bool is_empty = is_bodyless(head.status);
        if (!is_empty && !head.is_chunked && !head.has_length)
            return refuse(parser, &http_faults[HTTP_FAULT_NO_LENGTH]);
        is_read = true;
        parser->is_framed = true;
        parser->is_chunked = head.is_chunked && !is_empty;
        parser->length = is_empty ? 0 : head.length;
    }
    struct span payload;
    int outcome = read_body(parser, input, body, &payload);
    if (outcome)
        return outcome;
    if (!is_read)
        begin(parser, input, HTTP_KIND_RESPONSE, &head);
    *out_response = (struct http_response){
        .status = head.status,
        .reason = head.start[2],
        .headers = head.headers,
        .body = payload,
        .version_minor = head.version_minor,
        .keeps_alive = head.keeps_alive,
        .is_upgrade = head.is_upgrade,
    };
    memcpy(out_response->field, head.field, sizeof head.field);
    *out_used = parser->at;
    *parser = (struct http_parser){0};
    return 0;
}
