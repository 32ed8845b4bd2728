// SPDX-License-Identifier: Apache-2.0
// Replies. The integer replies are the hot ones: one reservation, digits written in place. Sizes
// come from what the database holds, so they are bounded by its limits; the output of a client as a
// whole is bounded by whoever owns the buf.
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/decimal.h"
#include "wire/reply.h"
#include "wire/resp.h"

#define DETAIL_BYTES_MAX  128
#define ARRAY_HEAD_DIGITS 10 // of an array that is closed later

static bool is_resp3(const struct reply *reply)
{
    return reply->protocol >= 3;
}

void reply_ok(struct reply *reply)
{
    buf_put(reply->out, span_of("+OK\r\n", 5));
}

void reply_simple(struct reply *reply, const char *text)
{
    buf_put_byte(reply->out, '+');
    buf_put_text(reply->out, text);
    buf_put(reply->out, span_of("\r\n", 2));
}

void reply_integer(struct reply *reply, int64_t value)
{
    uint8_t *to = buf_reserve(reply->out, DECIMAL_LEN_MAX + 3);
    if (!to)
        return;
    to[0] = ':';
    uint8_t *at;
    if ((uint64_t)value < 10) {
        to[1] = (uint8_t)('0' + value);
        at = to + 2;
    } else {
        at = decimal_write(to + 1, value);
    }
    at[0] = '\r';
    at[1] = '\n';
    buf_advance(reply->out, (size_t)(at + 2 - to));
}

void reply_bulk(struct reply *reply, struct span bytes)
{
    resp_put_head(reply->out, '$', bytes.len);
    buf_put(reply->out, bytes);
    buf_put(reply->out, span_of("\r\n", 2));
}

void reply_bulk_text(struct reply *reply, const char *text)
{
    reply_bulk(reply, span_text(text));
}

void reply_bulk_integer(struct reply *reply, int64_t value)
{
    uint8_t digits[DECIMAL_LEN_MAX];
    size_t len = (size_t)(decimal_write(digits, value) - digits);
    uint8_t *to = buf_reserve(reply->out, DECIMAL_LEN_MAX + 7);
    if (!to)
        return;
    uint8_t *at = to;
    *at++ = '$';
    if (len >= 10)
        *at++ = (uint8_t)('0' + len / 10);
    *at++ = (uint8_t)('0' + len % 10);
    *at++ = '\r';
    *at++ = '\n';
    memcpy(at, digits, len);
    at += len;
    *at++ = '\r';
    *at++ = '\n';
    buf_advance(reply->out, (size_t)(at - to));
}

void reply_nil(struct reply *reply)
{
    buf_put_text(reply->out, is_resp3(reply) ? "_\r\n" : "$-1\r\n");
}

void reply_nil_array(struct reply *reply)
{
    buf_put_text(reply->out, is_resp3(reply) ? "_\r\n" : "*-1\r\n");
}

void reply_array(struct reply *reply, size_t count)
{
    resp_put_head(reply->out, '*', count);
}

void reply_map(struct reply *reply, size_t pairs)
{
    if (is_resp3(reply))
        resp_put_head(reply->out, '%', pairs);
    else
        resp_put_head(reply->out, '*', 2 * pairs);
}

void reply_set(struct reply *reply, size_t count)
{
    resp_put_head(reply->out, is_resp3(reply) ? '~' : '*', count);
}

void reply_push(struct reply *reply, size_t count)
{
    resp_put_head(reply->out, is_resp3(reply) ? '>' : '*', count);
}

void reply_bool(struct reply *reply, bool value)
{
    if (is_resp3(reply))
        buf_put_text(reply->out, value ? "#t\r\n" : "#f\r\n");
    else
        reply_integer(reply, value);
}

// The fewest digits that read back as the same number.
static void write_double(double value, char text[40])
{
    if (isnan(value)) {
        memcpy(text, "nan", 4); // whatever its sign bit is
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 40, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

void reply_double(struct reply *reply, double value)
{
    char text[40];
    write_double(value, text);
    if (!is_resp3(reply)) {
        reply_bulk_text(reply, text);
        return;
    }
    buf_put_byte(reply->out, ',');
    buf_put_text(reply->out, text);
    buf_put(reply->out, span_of("\r\n", 2));
}

void reply_verbatim(struct reply *reply, const char *format, struct span text)
{
    assert(strlen(format) == 3);
    if (!is_resp3(reply)) {
        reply_bulk(reply, text);
        return;
    }
    resp_put_head(reply->out, '=', text.len + 4);
    buf_put_text(reply->out, format);
    buf_put_byte(reply->out, ':');
    buf_put(reply->out, text);
    buf_put(reply->out, span_of("\r\n", 2));
}

// The head is written at its full width, then moved together when the count is known: leading
// zeros are not what every client accepts.
size_t reply_open_array(struct reply *reply)
{
    size_t mark = reply->out->len;
    buf_put_text(reply->out, "*0000000000\r\n");
    return mark;
}

size_t reply_open_set(struct reply *reply)
{
    size_t mark = reply_open_array(reply);
    if (is_resp3(reply) && !buf_has_failed(reply->out))
        reply->out->ptr[mark] = '~';
    return mark;
}

void reply_close_array(struct reply *reply, size_t mark, size_t count)
{
    struct buf *out = reply->out;
    if (buf_has_failed(out))
        return;
    uint8_t head[DECIMAL_LEN_MAX + 1] = {out->ptr[mark]};
    size_t len = (size_t)(decimal_write_unsigned(head + 1, count) - head);
    assert(len <= 1 + ARRAY_HEAD_DIGITS);
    size_t body = mark + 1 + ARRAY_HEAD_DIGITS;
    memcpy(out->ptr + mark, head, len);
    memmove(out->ptr + mark + len, out->ptr + body, out->len - body);
    out->len -= body - mark - len;
}

// ---- errors

static const char *const formats[REPLY_ERROR_CODES] = {
    [REPLY_ERROR_SYNTAX] = "ERR syntax error",
    [REPLY_ERROR_ARITY] = "ERR wrong number of arguments for '%s' command",
    [REPLY_ERROR_WRONG_TYPE] = "WRONGTYPE Operation against a key holding the wrong kind of value",
    [REPLY_ERROR_NOT_INTEGER] = "ERR value is not an integer or out of range",
    [REPLY_ERROR_NOT_IN_RANGE] = "ERR value is out of range, must be %s",
    [REPLY_ERROR_OVERFLOW] = "ERR increment or decrement would overflow",
    [REPLY_ERROR_KEY_TOO_LONG] = "ERR key, member or owner is too long",
    [REPLY_ERROR_TOO_LONG] = "ERR the %s is too long",
    [REPLY_ERROR_EXPIRE_TIME] = "ERR invalid expire time in '%s' command",
    [REPLY_ERROR_OPTION] = "ERR Unsupported option %s",
    [REPLY_ERROR_CURSOR] = "ERR invalid cursor",
    [REPLY_ERROR_DATABASE] = "ERR DB index is out of range",
    [REPLY_ERROR_NO_CLUSTER] = "ERR This instance has cluster support disabled",
    [REPLY_ERROR_NOT_IN_SUBSCRIBE] =
        "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
        "are allowed in this context",
    [REPLY_ERROR_CONFIG] = "ERR Unknown option or number of arguments for CONFIG SET - '%s'",
    [REPLY_ERROR_NO_CLIENT] = "ERR No such client",
    [REPLY_ERROR_CLIENT_NAME] =
        "ERR Client names cannot contain spaces, newlines or special characters.",
    [REPLY_ERROR_CLIENT_TYPE] = "ERR Unknown client type '%s'",
    [REPLY_ERROR_NO_USER] = "ERR No such user '%s'",
    [REPLY_ERROR_TIMEOUT] = "ERR timeout is not an integer or out of range",
    [REPLY_ERROR_NO_PASSWORD] =
        "ERR AUTH <password> called without any password configured for the default user. Are "
        "you sure your configuration is correct?",
    [REPLY_ERROR_WRONG_PASSWORD] = "WRONGPASS invalid username-password pair or user is disabled.",
    [REPLY_ERROR_NO_AUTH] = "NOAUTH Authentication required.",
    [REPLY_ERROR_HELLO] = "ERR Syntax error in HELLO option '%s'",
    [REPLY_ERROR_HELLO_FIRST] =
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "AUTH <user> <pass> option can be used to authenticate the client and select the RESP "
        "protocol version at the same time",
    [REPLY_ERROR_NO_COMMAND] = "NOPERM this user has no permissions to run the '%s' command",
    [REPLY_ERROR_NO_KEY] =
        "NOPERM this user has no permissions to access one of the keys used as arguments",
    [REPLY_ERROR_NO_CHANNEL] =
        "NOPERM this user has no permissions to access one of the channels used as arguments",
    [REPLY_ERROR_NO_PROTOCOL] = "NOPROTO unsupported protocol version",
    [REPLY_ERROR_OUT_OF_MEMORY] = "OOM command not allowed: out of memory",
    [REPLY_ERROR_FULL] = "OOM command not allowed when used memory > 'maxmemory'.",
    [REPLY_ERROR_DENIED] =
        "DENIED quipu runs in protected mode: the user \"default\" needs no password, so only "
        "connections from this machine are let in as it. Set a password (CONFIG SET requirepass, "
        "or --requirepass at the start), log in as another user with AUTH, or, if the network is "
        "your own, say CONFIG SET protected-mode no from this machine.",
    [REPLY_ERROR_STOPPED] = "QUIPU this replica takes no writes since its journal failed: %s",
    [REPLY_ERROR_BUSY] = "QUIPU too many changes wait to be committed, try again",
    [REPLY_ERROR_TYPE_NAME] = "ERR unknown type '%s'",
    [REPLY_ERROR_CUT_OFF] = "QUIPU cutting links is off here: start with --allow-cut",
    [REPLY_ERROR_NO_REPLICA] = "QUIPU no replica named '%s' is known",
    [REPLY_ERROR_TOKEN] = "QUIPU not a token",
    [REPLY_ERROR_GROW_ONLY] = "QUIPU a gcounter only grows",
    [REPLY_ERROR_GROW_SET] = "QUIPU a gset only grows: no member can be taken out",
};

const char *reply_error_format(enum reply_error_code code)
{
    return formats[code];
}

// One line whatever the bytes are: a detail is often what a client sent.
static void put_detail(struct buf *out, struct span detail)
{
    size_t len = detail.len < DETAIL_BYTES_MAX ? detail.len : DETAIL_BYTES_MAX;
    for (size_t i = 0; i < len; i++)
        buf_put_byte(out, detail.ptr[i] < ' ' || detail.ptr[i] == 0x7f ? ' ' : detail.ptr[i]);
}

// `text` begins with the code.
static void note_error(struct reply *reply, const char *text)
{
    reply->errors_count++;
    if (reply->on_error)
        reply->on_error(reply, span_of(text, strcspn(text, " ")));
}

void reply_error_with(struct reply *reply, enum reply_error_code code, struct span detail)
{
    const char *format = formats[code];
    const char *gap = strstr(format, "%s");
    size_t before = gap ? (size_t)(gap - format) : strlen(format);
    note_error(reply, format);
    buf_put_byte(reply->out, '-');
    buf_put(reply->out, span_of(format, before));
    if (gap) {
        put_detail(reply->out, detail);
        buf_put_text(reply->out, gap + 2);
    }
    buf_put(reply->out, span_of("\r\n", 2));
}

void reply_error(struct reply *reply, enum reply_error_code code)
{
    reply_error_with(reply, code, (struct span){0});
}

void reply_error_text(struct reply *reply, const char *text)
{
    note_error(reply, text);
    buf_put_byte(reply->out, '-');
    for (const char *at = text; *at; at++)
        buf_put_byte(reply->out, *at == '\r' || *at == '\n' ? ' ' : (uint8_t)*at);
    buf_put(reply->out, span_of("\r\n", 2));
}

void reply_error_unknown(struct reply *reply, const struct span *argv, uint32_t argc)
{
    struct buf *out = reply->out;
    note_error(reply, "ERR");
    buf_put_text(out, "-ERR unknown command '");
    put_detail(out, argv[0]);
    buf_put_text(out, "', with args beginning with: ");
    size_t left = DETAIL_BYTES_MAX;
    for (uint32_t i = 1; i < argc && left > 0; i++) {
        struct span shown = argv[i];
        if (shown.len > left)
            shown.len = left;
        buf_put_byte(out, '\'');
        put_detail(out, shown);
        buf_put_text(out, "' ");
        left -= shown.len + 3 < left ? shown.len + 3 : left;
    }
    buf_put_text(out, "\r\n");
}

void reply_error_subcommand(struct reply *reply, struct span subcommand, const char *command)
{
    note_error(reply, "ERR");
    buf_put_text(reply->out, "-ERR unknown subcommand '");
    put_detail(reply->out, subcommand);
    buf_put_text(reply->out, "'. Try ");
    buf_put_text(reply->out, command);
    buf_put_text(reply->out, " HELP.\r\n");
}

// In upper case, as the documents have names.
void reply_error_refused(struct reply *reply, struct span command, const char *why)
{
    note_error(reply, "ERR");
    buf_put_text(reply->out, "-ERR ");
    for (size_t i = 0; i < command.len; i++) {
        uint8_t byte = command.ptr[i];
        buf_put_byte(reply->out, byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 32) : byte);
    }
    buf_put_text(reply->out, " is refused: ");
    buf_put_text(reply->out, why);
    buf_put_text(reply->out, "\r\n");
}

void reply_protocol_error(struct reply *reply, const struct resp_parser *parser)
{
    note_error(reply, "ERR");
    buf_put_text(reply->out, "-ERR ");
    resp_put_fault(reply->out, parser);
    buf_put_text(reply->out, "\r\n");
}

// ---- pub/sub

static void put_message(struct reply *reply, const char *what, struct span channel,
                        struct span payload)
{
    reply_push(reply, 3);
    reply_bulk_text(reply, what);
    reply_bulk(reply, channel);
    reply_bulk(reply, payload);
}

void reply_message(struct reply *reply, struct span channel, struct span payload)
{
    put_message(reply, "message", channel, payload);
}

void reply_shard_message(struct reply *reply, struct span channel, struct span payload)
{
    put_message(reply, "smessage", channel, payload);
}

void reply_pattern_message(struct reply *reply, struct span pattern, struct span channel,
                           struct span payload)
{
    reply_push(reply, 4);
    reply_bulk_text(reply, "pmessage");
    reply_bulk(reply, pattern);
    reply_bulk(reply, channel);
    reply_bulk(reply, payload);
}
