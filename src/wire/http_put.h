// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages written. Time comes from the caller.
#pragma once
#include "base/buf.h"

struct http_answer {
    uint16_t status;
    const char *content_type; // NULL: none
    struct span headers;      // further lines, each with its CR LF
    struct span body;
    int64_t time_s;        // of the Date header, since 1970; 0: no Date
    bool is_closing;       // Connection: close
    bool tells_keep_alive; // to an HTTP/1.0 client whose connection stays open
    bool is_head;          // of a HEAD request: the length is told, the body is not sent
    bool is_stream;        // the body follows without a length, until the connection closes
};
// With Content-Length, but for 1xx, 204, 304 and streams.
void http_put_answer(struct buf *out, const struct http_answer *answer);
// RFC 9457 problem+json; `headers` as above, detail may be NULL.
struct http_problem {
    uint16_t status;
    const char *detail;
    struct span headers;
    int64_t time_s;
    bool is_closing, tells_keep_alive, is_head;
};
void http_put_problem(struct buf *out, const struct http_problem *problem);
void http_put_continue(struct buf *out);

struct http_call {
    const char *method;
    struct span target;
    struct span host;         // with the port when it is not 80
    const char *content_type; // NULL: none
    struct span headers;
    struct span body;
};
void http_put_call(struct buf *out, const struct http_call *call);

// One header line, for `headers` above. A CR or LF in the value is left out.
void http_put_header(struct buf *out, const char *name, struct span value);
const char *http_status_text(uint16_t status);
