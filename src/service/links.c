// SPDX-License-Identifier: Apache-2.0
// QUIPU.LINKS and QUIPU.LINK behind HTTP. Whether links may be cut is the database's to say.
#include "base/decimal.h"
#include "base/owner.h"
#include "service/faults.h"
#include "service/links.h"
#include "service/private.h"
#include "wire/json.h"
#include "wire/json_in.h"

#define ROW_FIELDS 6

static void put_text_field(struct buf *out, const char *name, const struct answer_token *token)
{
    json_put_text(out, name);
    buf_put_byte(out, ':');
    json_put_string(out, token->text);
    buf_put_byte(out, ',');
}

static void put_number_field(struct buf *out, const char *name, const struct answer_token *token)
{
    json_put_text(out, name);
    buf_put_byte(out, ':');
    json_put_integer(out, token->integer);
}

static void put_link(struct buf *out, const struct answer_token *row)
{
    buf_put_byte(out, '{');
    put_text_field(out, "replica", &row[1]);
    put_text_field(out, "address", &row[2]);
    put_text_field(out, "state", &row[3]);
    put_number_field(out, "changes_behind", &row[4]);
    buf_put_byte(out, ',');
    put_number_field(out, "bytes_behind", &row[5]);
    buf_put_byte(out, ',');
    put_number_field(out, "heard_ms", &row[6]);
    buf_put_byte(out, '}');
}

static void on_links(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    if (fault_is_answered(exchange, answer))
        return;
    struct buf *body = &exchange->service->door.answer;
    buf_clear(body);
    buf_put_text(body, "{\"replica\":");
    json_put_text(body, exchange->service->database.replica);
    buf_put_text(body, ",\"links\":[");
    const struct answer_token *row = answer + 1;
    uint32_t rows = answer->kind == ANSWER_ARRAY ? answer->count : 0;
    for (uint32_t i = 0, shown = 0; i < rows; i++, row = answer_next(row)) {
        if (row->kind != ANSWER_ARRAY || row->size != ROW_FIELDS + 1)
            continue;
        if (shown++)
            buf_put_byte(body, ',');
        put_link(body, row);
    }
    buf_put_text(body, "]}");
    struct exchange_answer done = {
        .status = 200, .content_type = "application/json", .body = buf_span(body)};
    exchange_answer(exchange, &done);
}

void service_links_get(struct exchange *exchange, const struct http_request *request)
{
    const struct span argv[] = {span_text("QUIPU.LINKS")};
    (void)request;
    exchange->call.on_answer = on_links;
    if (database_send(&exchange->service->database, &exchange->call, argv, 1))
        fault_away(exchange);
}

static void on_switched(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    if (!fault_is_answered(exchange, answer))
        service_links_get(exchange, NULL); // the answer is the state after it
}

// {"action":"cut"|"heal","replica":name|"ALL"}; the replica becomes the exchange's text.
static bool read_switch(struct exchange *exchange, struct span body, const char **out_action)
{
    struct json_reader reader = json_reader_of(body);
    *out_action = NULL;
    json_open(&reader, JSON_OBJECT);
    while (json_next(&reader)) {
        struct span name = json_name(&reader, &exchange->rows);
        if (span_is_equal(name, span_text("action"))) {
            struct span action = json_string(&reader, &exchange->rows);
            if (span_is_equal(action, span_text("cut")))
                *out_action = "CUT";
            else if (span_is_equal(action, span_text("heal")))
                *out_action = "HEAL";
        } else if (span_is_equal(name, span_text("replica"))) {
            struct span replica = json_string(&reader, &exchange->rows);
            buf_clear(&exchange->text);
            buf_put(&exchange->text, replica);
        } else {
            json_skip(&reader);
        }
    }
    return json_is_done(&reader) && *out_action && exchange->text.len;
}

void service_links_post(struct exchange *exchange, const struct http_request *request)
{
    const char *action;
    if (!read_switch(exchange, request->body, &action)) {
        exchange_problem(exchange, 400,
                         "The body must be {\"action\":\"cut\" or \"heal\",\"replica\":a name or "
                         "\"ALL\"}.");
        return;
    }
    const struct span argv[] = {span_text("QUIPU.LINK"), span_text(action),
                                buf_span(&exchange->text)};
    exchange->call.on_answer = on_switched;
    if (database_send(&exchange->service->database, &exchange->call, argv, 3))
        fault_away(exchange);
}
