// SPDX-License-Identifier: Apache-2.0
// What a RESP server reads: requests, as arrays of bulk strings or as inline commands (a line of
// words, typed by hand). Bytes in, arguments out; nothing is copied or allocated (but the text
// of an inline command with quotes).
//
// The caller keeps the bytes of an incomplete request and shows them again, longer, with the same
// parser: what was checked is not scanned again, so a request costs time linear in its length
// however it is cut. Arguments borrow from the input of the call that returned 0.
//
// Stricter than Redis in one thing: the CR LF after an argument must be there.
#pragma once
#include "base/buf.h"
#include "base/limits.h"

#define RESP_INLINE_BYTES_MAX (LIMIT_REQUEST_BYTES < 65536 ? LIMIT_REQUEST_BYTES : 65536)

enum resp_fault {
    RESP_FAULT_NONE,
    RESP_FAULT_COUNT,      // invalid multibulk length
    RESP_FAULT_COUNT_LINE, // the line of it does not end
    RESP_FAULT_DOLLAR,     // something else where an argument starts
    RESP_FAULT_BULK,       // invalid bulk length
    RESP_FAULT_BULK_LINE,
    RESP_FAULT_BULK_END, // an argument is longer or shorter than it said
    RESP_FAULT_INLINE,   // the line does not end
    RESP_FAULT_QUOTES,
    RESP_FAULT_SIZE, // LIMIT_REQUEST_BYTES
    RESP_FAULTS,
};

// Kept by the session between calls; zeroed at the start. Zeroed again by each call that returns 0.
struct resp_parser {
    size_t at;        // bytes of the request that are checked
    size_t need;      // input shorter than this is not worth a look
    uint32_t argc;    // its arguments; 0: not known yet
    uint32_t checked; // those that are whole
    enum resp_fault fault;
    uint8_t found; // RESP_FAULT_DOLLAR: instead of '$'
};

struct resp_request {
    struct span *argv; // the caller's
    uint32_t argv_max;
    uint32_t argc;         // 0: an empty request, nothing to do or to answer
    bool is_quoted;        // argv points into `unescaped`: run this one before the next is parsed
    struct buf *unescaped; // borrows; cleared, then holds the arguments of an inline command with
                           // quotes. NULL: such a line is a RESP_FAULT_QUOTES
};

enum { RESP_E_MORE = 1, RESP_E_PROTOCOL, RESP_E_ROOM };

// One request. 0: argv and out_used are set. RESP_E_MORE: show it again with more behind it.
// RESP_E_PROTOCOL: parser->fault says what; the connection is to be closed after the answer.
// RESP_E_ROOM: whole, but argv must hold parser->argc (at most LIMIT_REQUEST_ARGS): call again with
// a longer one. -ENOMEM from `unescaped`.
int resp_parse(struct resp_parser *parser, struct span input, struct resp_request *request,
               size_t *out_used);

// The text of a fault as Redis words it: "Protocol error: invalid bulk length"; after -ENOMEM,
// that.
void resp_put_fault(struct buf *out, const struct resp_parser *parser);

// What a client sends: arguments as an array of bulk strings.
void resp_put_head(struct buf *out, char marker, uint64_t count); // "*3\r\n"
void resp_put_command(struct buf *out, const struct span *argv, uint32_t argc);
