// SPDX-License-Identifier: Apache-2.0
// Requests, two ways through. The short way takes what clients send nearly always, less than a
// hundred arguments under a hundred bytes, all here: it remembers nothing and gives up at the first
// oddity. The long way checks argument by argument and remembers how far it came, so that it is
// entered again where it stopped; argv is filled on the way if the request began in this input,
// else by a second walk once the whole is here.
#include <errno.h>
#include "base/decimal.h"
#include "base/hex.h"
#include "wire/resp.h"

#define LINE_BYTES_MAX 64 // of a length, with its marker

static int more(struct resp_parser *parser, size_t need)
{
    parser->need = need;
    return RESP_E_MORE;
}

static int refuse(struct resp_parser *parser, enum resp_fault fault)
{
    parser->fault = fault;
    return RESP_E_PROTOCOL;
}

// One or two digits without a leading zero, then CR LF; returns past it, or NULL. At least five
// bytes are there.
static inline const uint8_t *read_short(const uint8_t *at, unsigned *out_value)
{
    unsigned value = (unsigned)at[0] - '0';
    if (value > 9)
        return NULL;
    if (at[1] != '\r') {
        unsigned digit = (unsigned)at[1] - '0';
        if (value == 0 || digit > 9)
            return NULL;
        value = 10 * value + digit;
        at++;
    }
    if (at[1] != '\r' || at[2] != '\n')
        return NULL;
    *out_value = value;
    return at + 3;
}

// Bytes used, or 0: not this shape, or not all here.
static size_t parse_short(struct span input, struct resp_request *request)
{
    const uint8_t *at = input.ptr, *end = at + input.len;
    unsigned argc, len;
    if (input.len < 6 || at[0] != '*' || !(at = read_short(at + 1, &argc)))
        return 0;
    if (argc == 0 || argc > request->argv_max || argc > LIMIT_REQUEST_ARGS)
        return 0;
    for (unsigned i = 0; i < argc; i++) {
        if (end - at < 6 || at[0] != '$' || !(at = read_short(at + 1, &len)))
            return 0;
        if ((size_t)(end - at) < len + 2 || at[len] != '\r' || at[len + 1] != '\n')
            return 0;
        request->argv[i] = span_of(at, len);
        at += len + 2;
    }
    request->argc = argc;
    size_t used = (size_t)(at - input.ptr);
    return used <= LIMIT_REQUEST_BYTES ? used : 0;
}

enum line { LINE_WHOLE, LINE_SHORT, LINE_BAD, LINE_LONG };

// The number between the marker at `at` and its CR LF.
static enum line read_number(struct span input, size_t at, int64_t *out_value, size_t *out_next)
{
    size_t end = at + 1;
    while (end < input.len && input.ptr[end] != '\r' && input.ptr[end] != '\n') {
        if (++end - at > LINE_BYTES_MAX)
            return LINE_LONG;
    }
    if (end == input.len)
        return LINE_SHORT;
    if (input.ptr[end] == '\n')
        return LINE_BAD;
    if (end + 1 == input.len)
        return LINE_SHORT;
    *out_next = end + 2;
    bool is_number = input.ptr[end + 1] == '\n' &&
                     decimal_parse(span_of(input.ptr + at + 1, end - at - 1), out_value);
    return is_number ? LINE_WHOLE : LINE_BAD;
}

static int read_count(struct resp_parser *parser, struct span input)
{
    int64_t count;
    size_t next;
    switch (read_number(input, 0, &count, &next)) {
    case LINE_SHORT:
        return more(parser, input.len + 1);
    case LINE_LONG:
        return refuse(parser, RESP_FAULT_COUNT_LINE);
    case LINE_BAD:
        return refuse(parser, RESP_FAULT_COUNT);
    case LINE_WHOLE:
        break;
    }
    if (count > LIMIT_REQUEST_ARGS)
        return refuse(parser, RESP_FAULT_COUNT);
    parser->argc = count > 0 ? (uint32_t)count : 0;
    parser->at = next;
    return 0;
}

static int read_argument(struct resp_parser *parser, struct span input, struct span *out_argument)
{
    if (parser->at == input.len)
        return more(parser, input.len + 1);
    if (input.ptr[parser->at] != '$') {
        parser->found = input.ptr[parser->at];
        return refuse(parser, RESP_FAULT_DOLLAR);
    }
    int64_t len;
    size_t next;
    switch (read_number(input, parser->at, &len, &next)) {
    case LINE_SHORT:
        return more(parser, input.len + 1);
    case LINE_LONG:
        return refuse(parser, RESP_FAULT_BULK_LINE);
    case LINE_BAD:
        return refuse(parser, RESP_FAULT_BULK);
    case LINE_WHOLE:
        break;
    }
    if (len < 0 || len > LIMIT_REQUEST_BYTES)
        return refuse(parser, RESP_FAULT_BULK);
    size_t end = next + (size_t)len;
    if (end + 2 > LIMIT_REQUEST_BYTES)
        return refuse(parser, RESP_FAULT_SIZE);
    if (input.len < end + 2)
        return more(parser, end + 2);
    if (input.ptr[end] != '\r' || input.ptr[end + 1] != '\n')
        return refuse(parser, RESP_FAULT_BULK_END);
    *out_argument = span_of(input.ptr + next, (size_t)len);
    parser->at = end + 2;
    return 0;
}

// Checks on from where the parser stands; arguments that argv has room for are noted there.
static int walk(struct resp_parser *parser, struct span input, struct span *argv, uint32_t argv_max)
{
    if (parser->at == 0) {
        int outcome = read_count(parser, input);
        if (outcome)
            return outcome;
    }
    while (parser->checked < parser->argc) {
        struct span argument;
        int outcome = read_argument(parser, input, &argument);
        if (outcome)
            return outcome;
        if (parser->checked < argv_max)
            argv[parser->checked] = argument;
        parser->checked++;
    }
    return 0;
}

static int parse_array(struct resp_parser *parser, struct span input, struct resp_request *request)
{
    bool is_whole_here = parser->at == 0;
    int outcome = walk(parser, input, request->argv, is_whole_here ? request->argv_max : 0);
    if (outcome)
        return outcome;
    if (parser->argc > request->argv_max)
        return RESP_E_ROOM;
    if (!is_whole_here) {
        struct resp_parser again = {0};
        walk(&again, input, request->argv, request->argv_max);
    }
    request->argc = parser->argc;
    return 0;
}

// ---- inline commands

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

// What follows a backslash in double quotes, appended; returns past it.
static const uint8_t *unescape(const uint8_t *at, const uint8_t *end, struct buf *out)
{
    static const char letters[] = "nrtba", bytes[] = "\n\r\t\b\a";
    if (at[0] == 'x' && end - at >= 3 && hex_value(at[1]) >= 0 && hex_value(at[2]) >= 0) {
        buf_put_byte(out, (uint8_t)(hex_value(at[1]) << 4 | hex_value(at[2])));
        return at + 3;
    }
    const char *found = at[0] ? strchr(letters, at[0]) : NULL;
    buf_put_byte(out, found ? (uint8_t)bytes[found - letters] : at[0]);
    return at + 1;
}

// Appends quoted text; returns past the closing quote, which must end the word, else NULL.
static const uint8_t *read_quoted(const uint8_t *at, const uint8_t *end, struct buf *out)
{
    uint8_t quote = *at++;
    while (at < end && *at != quote) {
        if (*at == '\\' && end - at >= 2 && (quote == '"' || at[1] == '\''))
            at = unescape(at + 1, end, out);
        else
            buf_put_byte(out, *at++);
    }
    if (at == end)
        return NULL;
    at++;
    return at == end || is_blank(*at) ? at : NULL;
}

// One word, appended to `out`; returns past it, or NULL on unbalanced quotes.
static const uint8_t *read_word(const uint8_t *at, const uint8_t *end, struct buf *out)
{
    while (at && at < end && !is_blank(*at)) {
        if (*at == '"' || *at == '\'')
            at = read_quoted(at, end, out);
        else
            buf_put_byte(out, *at++);
    }
    return at;
}

// Splits a line. Words with quotes in them are rewritten in `out`, which must not move while spans
// point into it: room for the whole line is made first, and no word grows.
static int split(struct resp_parser *parser, struct span line, struct resp_request *request,
                 struct buf *out)
{
    const uint8_t *at = line.ptr, *end = at + line.len;
    uint32_t argc = 0;
    for (;;) {
        while (at < end && is_blank(*at))
            at++;
        if (at == end)
            break;
        if (argc == LIMIT_REQUEST_ARGS)
            return refuse(parser, RESP_FAULT_COUNT);
        const uint8_t *start = at;
        size_t mark = out ? out->len : 0;
        if (out)
            at = read_word(at, end, out);
        else
            while (at < end && !is_blank(*at))
                at++;
        if (!at)
            return refuse(parser, RESP_FAULT_QUOTES);
        if (argc < request->argv_max)
            request->argv[argc] = out ? span_of(out->ptr + mark, out->len - mark)
                                      : span_of(start, (size_t)(at - start));
        argc++;
    }
    parser->argc = argc;
    request->argc = argc;
    return argc > request->argv_max ? RESP_E_ROOM : 0;
}

static int parse_inline(struct resp_parser *parser, struct span input, struct resp_request *request,
                        size_t *out_used)
{
    size_t seen = input.len < RESP_INLINE_BYTES_MAX ? input.len : RESP_INLINE_BYTES_MAX;
    const uint8_t *end = memchr(input.ptr + parser->at, '\n', seen - parser->at);
    if (!end) {
        if (seen == RESP_INLINE_BYTES_MAX)
            return refuse(parser, RESP_FAULT_INLINE);
        parser->at = seen;
        return more(parser, seen + 1);
    }
    parser->at = (size_t)(end - input.ptr);
    struct span line = span_of(input.ptr, parser->at);
    struct buf *out = NULL;
    if (memchr(line.ptr, '"', line.len) || memchr(line.ptr, '\'', line.len)) {
        out = request->unescaped;
        if (!out)
            return refuse(parser, RESP_FAULT_QUOTES);
        buf_clear(out);
        if (!buf_reserve(out, line.len))
            return -ENOMEM;
    }
    *out_used = line.len + 1;
    request->is_quoted = out != NULL;
    return split(parser, line, request, out);
}

int resp_parse(struct resp_parser *parser, struct span input, struct resp_request *request,
               size_t *out_used)
{
    if (parser->need == 0) {
        size_t used = parse_short(input, request);
        if (used) {
            request->is_quoted = false;
            *out_used = used;
            return 0;
        }
        parser->need = 1;
    }
    if (input.len < parser->need)
        return RESP_E_MORE;
    size_t used = 0;
    int outcome;
    request->is_quoted = false;
    if (input.ptr[0] == '*') {
        outcome = parse_array(parser, input, request);
        used = parser->at;
    } else {
        outcome = parse_inline(parser, input, request, &used);
    }
    if (outcome)
        return outcome;
    *out_used = used;
    *parser = (struct resp_parser){0};
    return 0;
}

void resp_put_fault(struct buf *out, const struct resp_parser *parser)
{
    static const char *const texts[RESP_FAULTS] = {
        [RESP_FAULT_NONE] = "no memory for the request",
        [RESP_FAULT_COUNT] = "invalid multibulk length",
        [RESP_FAULT_COUNT_LINE] = "too big mbulk count string",
        [RESP_FAULT_DOLLAR] = "expected '$', got '",
        [RESP_FAULT_BULK] = "invalid bulk length",
        [RESP_FAULT_BULK_LINE] = "too big bulk count string",
        [RESP_FAULT_BULK_END] = "an argument does not end where its length says",
        [RESP_FAULT_INLINE] = "too big inline request",
        [RESP_FAULT_QUOTES] = "unbalanced quotes in request",
        [RESP_FAULT_SIZE] = "request is too large",
    };
    buf_put_text(out, "Protocol error: ");
    buf_put_text(out, texts[parser->fault]);
    if (parser->fault != RESP_FAULT_DOLLAR)
        return;
    bool is_shown = parser->found >= ' ' && parser->found <= '~';
    buf_put_byte(out, is_shown ? parser->found : ' ');
    buf_put_byte(out, '\'');
}

// ---- the client's side

void resp_put_head(struct buf *out, char marker, uint64_t count)
{
    uint8_t *to = buf_reserve(out, DECIMAL_LEN_MAX + 3);
    if (!to)
        return;
    uint8_t *at = to;
    *at++ = (uint8_t)marker;
    at = decimal_write_unsigned(at, count);
    *at++ = '\r';
    *at++ = '\n';
    buf_advance(out, (size_t)(at - to));
}

void resp_put_command(struct buf *out, const struct span *argv, uint32_t argc)
{
    resp_put_head(out, '*', argc);
    for (uint32_t i = 0; i < argc; i++) {
        resp_put_head(out, '$', argv[i].len);
        buf_put(out, argv[i]);
        buf_put_text(out, "\r\n");
    }
}
