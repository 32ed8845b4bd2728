// SPDX-License-Identifier: Apache-2.0
// One HTTP request and its answer. A handler answers at once or later, from a callback of the
// database; answers leave in the order of the requests. When the client has gone meanwhile, the
// answer goes nowhere, and the handler need not know.
//
// After exchange_answer, exchange_problem or exchange_fault the exchange belongs to the server
// again.
#pragma once
#include "service/values.h"
#include "wire/http.h"

struct service;
struct http_door;
struct http_client;

struct exchange_read { // of one key of several
    struct value_call call;
    struct exchange *exchange;
};

struct exchange;

struct exchange_session { // sessions.h
    bool is_on;
    struct loop_timer timer;
    uint64_t until_ms;
    void (*go_on)(struct exchange *exchange);
    void (*go_on_with)(struct exchange *exchange, const struct value *value);
    struct value value; // while its token comes
    char type[16], epoch[40];
};

struct exchange {
    struct exchange *next;      // of the same connection
    struct http_client *client; // NULL: it has gone
    struct http_door *door;
    struct buf answer; // while answers before it are not there yet
    bool is_head, is_done;
    bool is_last; // the connection is closed after the answer
    // the handlers'
    bool has_failed;   // its answer is an error already known
    bool is_duplicate; // its add had been made under its key before
    struct service *service;
    struct buf text; // what must outlive the request: first the key
    size_t key_len;
    struct resp_call call;   // a write under way
    struct value_call value; // a read under way
    struct exchange_read *reads;
    uint32_t reads_count, reads_left;
    struct buf token; // of the session: what came, then what goes
    struct exchange_session session;
    struct buf rows; // what they answered so far, or the text of an error
};

static inline struct span exchange_key(const struct exchange *exchange)
{
    return span_of(exchange->text.ptr, exchange->key_len);
}

struct exchange_answer {
    uint16_t status;
    const char *content_type;
    struct span headers; // further ones, each with its CR LF
    struct span body;
};
void exchange_answer(struct exchange *exchange, const struct exchange_answer *answer);
void exchange_problem(struct exchange *exchange, uint16_t status, const char *detail);
void exchange_problem_with(struct exchange *exchange, uint16_t status, const char *detail,
                           struct span headers);
