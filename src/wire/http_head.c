// SPDX-License-Identifier: Apache-2.0
// Lines first: each ends in CR LF with no other control byte in it, the start line has its three
// parts one space apart, each header a name that is a token up to its colon (RFC 9112 sections 2 to
// 5; folded lines, obsolete since RFC 7230, fall under that). Then the fields that frame a message
// or may stand only once, and last llhttp's verdict over the same bytes.
#include <llhttp.h>
#include "wire/http_head.h"

const struct http_fault http_faults[HTTP_FAULTS] = {
    [HTTP_FAULT_LINE_END] = {400, "a line does not end in CR LF"},
    [HTTP_FAULT_START] = {400, "malformed start line"},
    [HTTP_FAULT_VERSION_FORM] = {400, "malformed HTTP version"},
    [HTTP_FAULT_VERSION] = {505, "HTTP/1.0 and HTTP/1.1 are spoken here"},
    [HTTP_FAULT_METHOD] = {501, "unknown method"},
    [HTTP_FAULT_TARGET] = {400, "malformed request target"},
    [HTTP_FAULT_TARGET_LONG] = {414, "request target too long"},
    [HTTP_FAULT_NAME] = {400, "malformed header name"},
    [HTTP_FAULT_VALUE] = {400, "control byte in a header"},
    [HTTP_FAULT_HEAD_LONG] = {431, "headers too large"},
    [HTTP_FAULT_HEADERS] = {431, "too many headers"},
    [HTTP_FAULT_REPEATED] = {400, "a header that must stand once is repeated"},
    [HTTP_FAULT_HOST_MISSING] = {400, "no Host header"},
    [HTTP_FAULT_HOST] = {400, "malformed Host"},
    [HTTP_FAULT_LENGTH] = {400, "malformed Content-Length"},
    [HTTP_FAULT_LENGTH_AND_CODING] = {400, "both Content-Length and Transfer-Encoding"},
    [HTTP_FAULT_CODING_1_0] = {400, "Transfer-Encoding in HTTP/1.0"},
    [HTTP_FAULT_CODING] = {400, "the last transfer coding is not chunked"},
    [HTTP_FAULT_CODING_OTHER] = {501, "unknown transfer coding"},
    [HTTP_FAULT_EXPECT] = {417, "unknown expectation"},
    [HTTP_FAULT_CHUNK] = {400, "malformed chunk"},
    [HTTP_FAULT_BODY_LARGE] = {413, "body too large"},
    [HTTP_FAULT_NO_LENGTH] = {502, "a body without a length"},
    [HTTP_FAULT_FRAMING] = {400, "malformed headers"},
};

static const struct http_fault *fault(unsigned which)
{
    return &http_faults[which];
}

// ---- lines

static bool is_token_byte(uint8_t byte)
{
    uint8_t letter = byte | 0x20;
    if ((letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '-')
        return true;
    return byte && strchr("!#$%&'*+.^_`|~", byte);
}

static size_t token_len(struct span text)
{
    size_t len = 0;
    while (len < text.len && is_token_byte(text.ptr[len]))
        len++;
    return len;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

// "HTTP/1.1": its form, then whether it is spoken here.
static const struct http_fault *check_version(struct span text)
{
    const uint8_t *at = text.ptr;
    if (text.len != 8 || memcmp(at, "HTTP/", 5) != 0 || !is_digit(at[5]) || at[6] != '.' ||
        !is_digit(at[7]))
        return fault(HTTP_FAULT_VERSION_FORM);
    bool is_known = at[5] == '1' && (at[7] == '0' || at[7] == '1');
    return is_known ? NULL : fault(HTTP_FAULT_VERSION);
}

static const struct http_fault *split_request_line(struct span line, struct span start[3])
{
    size_t method = token_len(line);
    if (method == 0 || method == line.len || line.ptr[method] != ' ')
        return fault(HTTP_FAULT_START);
    struct span rest = span_of(line.ptr + method + 1, line.len - method - 1);
    size_t target = 0;
    while (target < rest.len && rest.ptr[target] > ' ' && rest.ptr[target] < 0x7f)
        target++;
    if (target > HTTP_TARGET_BYTES_MAX)
        return fault(HTTP_FAULT_TARGET_LONG);
    if (target == 0 || target == rest.len || rest.ptr[target] != ' ')
        return fault(HTTP_FAULT_START);
    start[0] = span_of(line.ptr, method);
    start[1] = span_of(rest.ptr, target);
    start[2] = span_of(rest.ptr + target + 1, rest.len - target - 1);
    return check_version(start[2]);
}

static const struct http_fault *split_status_line(struct span line, struct span start[3])
{
    const uint8_t *at = line.ptr;
    if (line.len < 12)
        return fault(HTTP_FAULT_START);
    start[0] = span_of(at, 8);
    start[1] = span_of(at + 9, 3);
    bool is_number = at[9] >= '1' && at[9] <= '5' && is_digit(at[10]) && is_digit(at[11]);
    if (at[8] != ' ' || !is_number || (line.len > 12 && at[12] != ' '))
        return fault(HTTP_FAULT_START);
    start[2] = line.len > 13 ? span_of(at + 13, line.len - 13) : span_of(at + 12, 0);
    return check_version(start[0]);
}

static const struct http_fault *split_start(struct span line, enum http_kind kind,
                                            struct span start[3])
{
    return kind == HTTP_KIND_REQUEST ? split_request_line(line, start)
                                     : split_status_line(line, start);
}

static bool is_text(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

static const struct http_fault *check_line(struct http_parser *parser, struct span line,
                                           enum http_kind kind)
{
    struct span start[3];
    if (parser->lines++ == 0) {
        const struct http_fault *found = split_start(line, kind, start);
        return found || is_text(line) ? found : fault(HTTP_FAULT_START);
    }
    if (parser->lines > HTTP_HEADERS_MAX + 1)
        return fault(HTTP_FAULT_HEADERS);
    size_t name = token_len(line);
    if (name == 0 || name == line.len || line.ptr[name] != ':')
        return fault(HTTP_FAULT_NAME);
    return is_text(line) ? NULL : fault(HTTP_FAULT_VALUE);
}

// What is too long already, though its line does not end yet.
static const struct http_fault *check_size(const struct http_parser *parser, size_t end)
{
    if (parser->lines == 0 && end - parser->line > HTTP_TARGET_BYTES_MAX + 64)
        return fault(HTTP_FAULT_TARGET_LONG);
    return end > HTTP_HEAD_BYTES_MAX ? fault(HTTP_FAULT_HEAD_LONG) : NULL;
}

const struct http_fault *http_head_scan(struct http_parser *parser, struct span input,
                                        enum http_kind kind)
{
    while (parser->at < input.len) {
        const uint8_t *end = memchr(input.ptr + parser->at, '\n', input.len - parser->at);
        parser->at = end ? (size_t)(end - input.ptr) + 1 : input.len;
        const struct http_fault *found = check_size(parser, parser->at);
        if (found || !end)
            return found;
        struct span line = span_of(input.ptr + parser->line, parser->at - parser->line - 1);
        if (line.len == 0 || line.ptr[--line.len] != '\r')
            return fault(HTTP_FAULT_LINE_END);
        parser->line = (uint32_t)parser->at;
        if (line.len > 0) {
            found = check_line(parser, line, kind);
            if (found)
                return found;
        } else if (parser->lines > 0) {
            parser->head_len = (uint32_t)parser->at - parser->start;
            return NULL;
        } else {
            parser->start = parser->line; // an empty line before the start line
        }
    }
    return NULL;
}

// ---- fields

static struct span without_blanks(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return span_of(at, (size_t)(end - at));
}

bool http_next_header(struct span *headers, struct span *out_name, struct span *out_value)
{
    if (headers->len == 0)
        return false;
    const uint8_t *at = headers->ptr;
    const uint8_t *colon = memchr(at, ':', headers->len);
    const uint8_t *end = memchr(at, '\n', headers->len);
    size_t taken = (size_t)(end + 1 - at);
    *out_name = span_of(at, (size_t)(colon - at));
    *out_value = without_blanks(colon + 1, end - 1);
    *headers = span_of(at + taken, headers->len - taken);
    return true;
}

bool http_next_token(struct span *list, struct span *out_token)
{
    while (list->len > 0) {
        const uint8_t *at = list->ptr;
        const uint8_t *comma = memchr(at, ',', list->len);
        const uint8_t *end = comma ? comma : at + list->len;
        size_t taken = (size_t)(end - at) + (comma != NULL);
        *list = span_of(at + taken, list->len - taken);
        *out_token = without_blanks(at, end);
        if (out_token->len > 0)
            return true;
    }
    return false;
}

static const char *const names[HTTP_FIELDS] = {
    [HTTP_FIELD_HOST] = "host",
    [HTTP_FIELD_CONTENT_TYPE] = "content-type",
    [HTTP_FIELD_CONTENT_LENGTH] = "content-length",
    [HTTP_FIELD_TRANSFER_ENCODING] = "transfer-encoding",
    [HTTP_FIELD_ORIGIN] = "origin",
    [HTTP_FIELD_AUTHORIZATION] = "authorization",
    [HTTP_FIELD_IDEMPOTENCY_KEY] = "idempotency-key",
    [HTTP_FIELD_EXPECT] = "expect",
    [HTTP_FIELD_ETAG] = "etag",
    [HTTP_FIELD_LOCATION] = "location",
    [HTTP_FIELD_ACCESS_CONTROL_METHOD] = "access-control-request-method",
    [HTTP_FIELD_WEBSOCKET_KEY] = "sec-websocket-key",
    [HTTP_FIELD_WEBSOCKET_VERSION] = "sec-websocket-version",
    [HTTP_FIELD_WEBSOCKET_ACCEPT] = "sec-websocket-accept",
    [HTTP_FIELD_QUIPU_SIGNATURE] = "quipu-signature",
};

static int find_field(struct span name)
{
    uint8_t first = name.ptr[0] | 0x20;
    for (int i = 0; i < HTTP_FIELDS; i++) {
        if ((uint8_t)names[i][0] == first && span_is_word(name, names[i]))
            return i;
    }
    return -1;
}

struct connection {
    bool closes, keeps, upgrades;
};

static void read_connection(struct connection *connection, struct span value)
{
    struct span token;
    while (http_next_token(&value, &token)) {
        connection->closes |= span_is_word(token, "close");
        connection->keeps |= span_is_word(token, "keep-alive");
        connection->upgrades |= span_is_word(token, "upgrade");
    }
}

static const struct http_fault *read_fields(struct http_head *head)
{
    struct span lines = head->headers, name, value;
    struct connection connection = {0};
    while (http_next_header(&lines, &name, &value)) {
        if (span_is_word(name, "connection")) {
            read_connection(&connection, value);
            continue;
        }
        int field = find_field(name);
        if (field < 0)
            continue;
        if (head->field[field].ptr)
            return fault(HTTP_FAULT_REPEATED);
        head->field[field] = value;
    }
    head->is_upgrade = connection.upgrades;
    head->keeps_alive = !connection.closes && (head->version_minor > 0 || connection.keeps);
    return NULL;
}

// ---- framing

static const struct http_fault *read_length(struct http_head *head)
{
    struct span text = head->field[HTTP_FIELD_CONTENT_LENGTH];
    if (!text.ptr)
        return NULL;
    uint64_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return fault(HTTP_FAULT_LENGTH);
        length = 10 * length + (uint64_t)(text.ptr[i] - '0');
        if (length > UINT32_MAX)
            length = UINT32_MAX; // too large, however it goes on
    }
    if (text.len == 0)
        return fault(HTTP_FAULT_LENGTH);
    if (length > HTTP_BODY_BYTES_MAX)
        return fault(HTTP_FAULT_BODY_LARGE);
    head->has_length = true;
    head->length = (uint32_t)length;
    return NULL;
}

static const struct http_fault *read_coding(struct http_head *head)
{
    struct span list = head->field[HTTP_FIELD_TRANSFER_ENCODING], token, last = {0};
    if (!list.ptr)
        return NULL;
    if (head->field[HTTP_FIELD_CONTENT_LENGTH].ptr)
        return fault(HTTP_FAULT_LENGTH_AND_CODING);
    if (head->version_minor == 0)
        return fault(HTTP_FAULT_CODING_1_0);
    unsigned count = 0, chunked = 0;
    while (http_next_token(&list, &token)) {
        last = token;
        count++;
        chunked += span_is_word(token, "chunked");
    }
    if (chunked != 1 || !span_is_word(last, "chunked"))
        return fault(HTTP_FAULT_CODING);
    if (count > 1)
        return fault(HTTP_FAULT_CODING_OTHER);
    head->is_chunked = true;
    return NULL;
}

static int pause_after_headers(llhttp_t *llhttp)
{
    (void)llhttp;
    return HPE_PAUSED;
}

// By llhttp's number; any other is HTTP_METHOD_OTHER.
static const uint8_t methods[HTTP_FLUSH + 1] = {
    [HTTP_GET] = HTTP_METHOD_GET,       [HTTP_HEAD] = HTTP_METHOD_HEAD,
    [HTTP_POST] = HTTP_METHOD_POST,     [HTTP_PUT] = HTTP_METHOD_PUT,
    [HTTP_DELETE] = HTTP_METHOD_DELETE, [HTTP_OPTIONS] = HTTP_METHOD_OPTIONS,
    [HTTP_PATCH] = HTTP_METHOD_PATCH,
};

// llhttp reads the same head and must come to the same framing.
static const struct http_fault *confirm(struct span bytes, enum http_kind kind,
                                        struct http_head *head)
{
    static const llhttp_settings_t settings = {.on_headers_complete = pause_after_headers};
    llhttp_t llhttp;
    llhttp_init(&llhttp, kind == HTTP_KIND_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    llhttp_errno_t error = llhttp_execute(&llhttp, (const char *)bytes.ptr, bytes.len);
    if (error == HPE_INVALID_METHOD)
        return fault(HTTP_FAULT_METHOD);
    if (error == HPE_INVALID_URL)
        return fault(HTTP_FAULT_TARGET);
    if (error != HPE_PAUSED || llhttp.http_minor != head->version_minor ||
        !(llhttp.flags & F_CHUNKED) == head->is_chunked ||
        !(llhttp.flags & F_CONTENT_LENGTH) == head->has_length ||
        (head->has_length && llhttp.content_length != head->length))
        return fault(HTTP_FAULT_FRAMING);
    head->status = llhttp.status_code;
    head->method = (enum http_method)methods[llhttp.method];
    return NULL;
}

const struct http_fault *http_head_read(struct span bytes, enum http_kind kind,
                                        struct http_head *out_head)
{
    struct http_head head = {0};
    const uint8_t *end = memchr(bytes.ptr, '\n', bytes.len);
    size_t line_len = (size_t)(end - bytes.ptr);
    split_start(span_of(bytes.ptr, line_len - 1), kind, head.start);
    struct span version = head.start[kind == HTTP_KIND_REQUEST ? 2 : 0];
    head.version_minor = (uint8_t)(version.ptr[7] - '0');
    head.headers = span_of(end + 1, bytes.len - line_len - 3);
    const struct http_fault *found = read_fields(&head);
    if (!found)
        found = read_coding(&head);
    if (!found)
        found = read_length(&head);
    if (!found)
        found = confirm(bytes, kind, &head);
    if (!found)
        *out_head = head;
    return found;
}
