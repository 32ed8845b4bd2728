// SPDX-License-Identifier: Apache-2.0
// What a client is told. A command writes into a struct reply and does not know which version of
// RESP it becomes: a map is an array of twice the length in RESP2, a set an array, a push a message
// array, nil "$-1", true ":1", a double a bulk string.
//
// Aggregates are announced with their length, then their elements follow. A failed allocation is
// sticky in the buf.
#pragma once
#include "base/buf.h"

struct reply {
    struct buf *out;                                         // borrows
    uint8_t protocol;                                        // 2 or 3
    uint32_t errors_count;                                   // written so far, for metrics
    void (*on_error)(struct reply *reply, struct span code); // told of each; NULL: nobody is
};

static inline struct reply reply_to(struct buf *out, uint8_t protocol)
{
    return (struct reply){.out = out, .protocol = protocol};
}

void reply_ok(struct reply *reply);
void reply_simple(struct reply *reply, const char *text); // "+text"; no CR or LF in it
void reply_integer(struct reply *reply, int64_t value);
void reply_bulk(struct reply *reply, struct span bytes);
void reply_bulk_text(struct reply *reply, const char *text);
void reply_bulk_integer(struct reply *reply, int64_t value); // as GET answers a counter
void reply_nil(struct reply *reply);
void reply_nil_array(struct reply *reply); // "*-1" in RESP2
void reply_array(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t pairs);
void reply_set(struct reply *reply, size_t count);
void reply_push(struct reply *reply, size_t count);
void reply_bool(struct reply *reply, bool value);
void reply_double(struct reply *reply, double value);
// Text with a format of three letters, "txt"; a bulk string in RESP2 (as INFO answers).
void reply_verbatim(struct reply *reply, const char *format, struct span text);

// An array or a set whose length is known only at its end: reserve, then close with the mark.
size_t reply_open_array(struct reply *reply);
size_t reply_open_set(struct reply *reply);
void reply_close_array(struct reply *reply, size_t mark, size_t count);

// Every error text of the database, one table in reply.c; "%s" in it is the detail of
// reply_error_with. Add a row there for a new one.
enum reply_error_code {
    REPLY_ERROR_SYNTAX,
    REPLY_ERROR_ARITY, // detail: command name
    REPLY_ERROR_WRONG_TYPE,
    REPLY_ERROR_NOT_INTEGER,
    REPLY_ERROR_NOT_IN_RANGE, // a value that must be within bounds; detail: which
    REPLY_ERROR_OVERFLOW,
    REPLY_ERROR_KEY_TOO_LONG,
    REPLY_ERROR_TOO_LONG, // detail: what
    REPLY_ERROR_CURSOR,
    REPLY_ERROR_EXPIRE_TIME, // with the command's name
    REPLY_ERROR_OPTION,      // with the word
    REPLY_ERROR_DATABASE,    // SELECT of another than 0
    REPLY_ERROR_NO_CLUSTER,
    REPLY_ERROR_NOT_IN_SUBSCRIBE, // detail: command name
    REPLY_ERROR_CONFIG,           // detail: parameter
    REPLY_ERROR_NO_CLIENT,
    REPLY_ERROR_CLIENT_NAME,
    REPLY_ERROR_CLIENT_TYPE, // detail: the type
    REPLY_ERROR_NO_USER,     // detail: the name
    REPLY_ERROR_TIMEOUT,
    REPLY_ERROR_NO_PASSWORD, // AUTH, but none is set
    REPLY_ERROR_WRONG_PASSWORD,
    REPLY_ERROR_NO_AUTH,
    REPLY_ERROR_HELLO,       // detail: the option that is wrong
    REPLY_ERROR_HELLO_FIRST, // not authenticated
    REPLY_ERROR_NO_COMMAND,  // the user may not run it; detail: its name
    REPLY_ERROR_NO_KEY,
    REPLY_ERROR_NO_CHANNEL,
    REPLY_ERROR_NO_PROTOCOL, // HELLO of a version that is neither 2 nor 3
    REPLY_ERROR_OUT_OF_MEMORY,
    REPLY_ERROR_FULL,       // maxmemory: no new key or member
    REPLY_ERROR_DENIED,     // protected mode
    REPLY_ERROR_STOPPED,    // the journal failed; detail: how
    REPLY_ERROR_BUSY,       // too much is waiting to be committed
    REPLY_ERROR_TYPE_NAME,  // detail: what is no type
    REPLY_ERROR_CUT_OFF,    // the drill switch is not allowed here
    REPLY_ERROR_NO_REPLICA, // detail: name
    REPLY_ERROR_TOKEN,
    REPLY_ERROR_GROW_ONLY, // a decrement of a counter that only grows
    REPLY_ERROR_GROW_SET,  // a removal from a set that only grows
    REPLY_ERROR_CODES,
};

const char *reply_error_format(enum reply_error_code code);
void reply_error(struct reply *reply, enum reply_error_code code);
// At most 128 bytes of detail are shown, control bytes as spaces.
void reply_error_with(struct reply *reply, enum reply_error_code code, struct span detail);
// A text of the caller's own, code word first: "ERR no such thing".
void reply_error_text(struct reply *reply, const char *text);
// ERR unknown command 'x', with args beginning with: 'y' 'z'
void reply_error_unknown(struct reply *reply, const struct span *argv, uint32_t argc);
// ERR unknown subcommand 'x'. Try COMMAND HELP.
void reply_error_subcommand(struct reply *reply, struct span subcommand, const char *command);
// ERR RENAME is refused: why
void reply_error_refused(struct reply *reply, struct span command, const char *why);
// After RESP_E_PROTOCOL.
struct resp_parser;
void reply_protocol_error(struct reply *reply, const struct resp_parser *parser);

// A message of pub/sub, encoded once for each protocol and shared.
void reply_message(struct reply *reply, struct span channel, struct span payload);
void reply_shard_message(struct reply *reply, struct span channel, struct span payload);
void reply_pattern_message(struct reply *reply, struct span pattern, struct span channel,
                           struct span payload);
