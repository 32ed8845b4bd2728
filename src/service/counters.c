// SPDX-License-Identifier: Apache-2.0
// A write and the read of its outcome leave for the database together: one round trip. The read may
// see later writes of others too; it sees this one at least. Reads that were asked for before a
// write are sent before it, so a pipelined GET does not see a POST behind it.
#include "base/decimal.h"
#include "base/limits.h"
#include "base/owner.h"
#include "os/heap_system.h"
#include "service/counters.h"
#include "service/faults.h"
#include "service/private.h"
#include "service/sessions.h"
#include "wire/http_put.h"
#include "wire/json.h"
#include "wire/json_in.h"
#include "wire/url.h"

// ---- answers

static void put_fields(struct buf *out, struct span key, const struct value *value)
{
    bool is_here = value->outcome == VALUE_HERE;
    buf_put_text(out, "{\"key\":");
    json_put_string(out, key);
    buf_put_text(out, ",\"value\":");
    if (is_here)
        json_put_integer(out, value->value);
    else
        buf_put_text(out, "null");
    buf_put_text(out, ",\"type\":");
    if (is_here)
        json_put_string(out, value->type);
    else
        buf_put_text(out, "null");
    buf_put_text(out, ",\"version\":");
    if (is_here)
        json_put_integer(out, (int64_t)value->version);
    else
        buf_put_text(out, "null");
    buf_put_text(out, ",\"epoch\":");
    json_put_string(out, value->epoch);
}

static void put_counter(struct buf *out, struct span key, const struct value *value)
{
    put_fields(out, key, value);
    buf_put_byte(out, '}');
}

static struct buf *answer_buf(struct exchange *exchange)
{
    struct buf *body = &exchange->service->door.answer;
    buf_clear(body);
    return body;
}

#define ETAG_EPOCH_MAX 32

// "<epoch>-<version>-<value>" with its quotes; returns past its end. The value is in it because the
// version moves only with the database's commit, and the value does before.
static char *write_etag(char *to, const struct value *value)
{
    size_t len = value->epoch.len < ETAG_EPOCH_MAX ? value->epoch.len : ETAG_EPOCH_MAX;
    *to++ = '"';
    memcpy(to, value->epoch.ptr, len);
    to += len;
    *to++ = '-';
    to = (char *)decimal_write_unsigned((uint8_t *)to, value->version);
    *to++ = '-';
    to = (char *)decimal_write((uint8_t *)to, value->value);
    *to++ = '"';
    return to;
}

static void answer_counter(struct exchange *exchange, const struct value *value)
{
    char text[16 + ETAG_EPOCH_MAX + 2 * DECIMAL_LEN_MAX];
    struct span etag = span_of(text, (size_t)(write_etag(text, value) - text));
    struct buf *headers = &exchange->rows;
    bool is_session = exchange->session.is_on;
    http_put_header(headers, "ETag", etag);
    if (is_session)
        http_put_header(headers, "Quipu-Token", buf_span(&exchange->token));
    struct exchange_answer answer = {
        .status = 200, .content_type = "application/json", .headers = buf_span(headers)};
    struct span conditions =
        span_of(exchange->text.ptr + exchange->key_len, exchange->text.len - exchange->key_len);
    if (conditions.len && http_is_none_match(conditions, etag)) {
        answer.status = 304;
        answer.content_type = NULL;
        exchange_answer(exchange, &answer);
        return;
    }
    struct buf *body = answer_buf(exchange);
    put_fields(body, exchange_key(exchange), value);
    if (is_session) {
        buf_put_text(body, ",\"token\":");
        json_put_string(body, buf_span(&exchange->token));
    }
    buf_put_text(body, exchange->is_duplicate ? ",\"duplicate\":true}" : "}");
    answer.body = buf_span(body);
    exchange_answer(exchange, &answer);
}

static void on_value(struct value_call *call, const struct value *value)
{
    struct exchange *exchange = owner_of(call, struct exchange, value);
    if (exchange->has_failed)
        fault_error(exchange, buf_span(&exchange->rows));
    else if (value->outcome == VALUE_HERE)
        session_cover(exchange, value, answer_counter);
    else if (value->outcome == VALUE_MISSING)
        exchange_problem(exchange, 404, "There is no counter with this key.");
    else if (value->outcome == VALUE_AWAY)
        fault_away(exchange);
    else
        fault_error(exchange, value->text);
}

static void read_value(struct exchange *exchange)
{
    exchange->value.key = exchange_key(exchange);
    exchange->value.on_value = on_value;
    values_get(&exchange->service->values, &exchange->value);
}

// ---- reads

void counters_get(struct exchange *exchange, const struct http_request *request)
{
    struct span headers = request->headers, name, value;
    while (http_next_header(&headers, &name, &value)) {
        if (span_is_word(name, "if-none-match"))
            http_put_header(&exchange->text, "If-None-Match", value);
    }
    session_take(exchange, request);
    session_wait(exchange, read_value);
}

static void put_one_of_many(struct exchange *exchange, struct span key, const struct value *value)
{
    if (exchange->has_failed)
        return;
    if (value->outcome == VALUE_HERE || value->outcome == VALUE_MISSING) {
        if (exchange->rows.len)
            buf_put_byte(&exchange->rows, ',');
        put_counter(&exchange->rows, key, value);
        return;
    }
    exchange->has_failed = true;
    buf_clear(&exchange->rows);
    buf_put(&exchange->rows, value->text); // empty: the database is away
}

static void answer_many(struct exchange *exchange)
{
    if (exchange->has_failed && exchange->rows.len) {
        fault_error(exchange, buf_span(&exchange->rows));
        return;
    }
    if (exchange->has_failed) {
        fault_away(exchange);
        return;
    }
    struct buf *body = answer_buf(exchange);
    buf_put_text(body, "{\"counters\":[");
    buf_put(body, buf_span(&exchange->rows));
    buf_put_text(body, "]}");
    struct exchange_answer answer = {
        .status = 200, .content_type = "application/json", .body = buf_span(body)};
    exchange_answer(exchange, &answer);
}

static void on_one_of_many(struct value_call *call, const struct value *value)
{
    struct exchange *exchange = ((struct exchange_read *)call)->exchange;
    put_one_of_many(exchange, call->key, value);
    if (--exchange->reads_left == 0)
        answer_many(exchange);
}

// Decodes the keys of "key=a&key=b" behind one another into text; lens tells where each ends.
// False: it is answered.
static bool take_keys(struct exchange *exchange, struct span query, uint32_t *lens,
                      uint32_t *out_count)
{
    struct span name, encoded;
    uint32_t count = 0;
    while (url_next_pair(&query, &name, &encoded)) {
        if (!span_is_equal(name, span_text("key")))
            continue;
        if (count == SERVICE_BATCH_KEYS_MAX) {
            exchange_problem(exchange, 400, "Too many keys in one request.");
            return false;
        }
        size_t before = exchange->text.len;
        if (!url_put_decoded_query(&exchange->text, encoded)) {
            exchange_problem(exchange, 400, "A key in the query is not percent-encoded.");
            return false;
        }
        lens[count++] = (uint32_t)(exchange->text.len - before);
    }
    *out_count = count;
    if (count)
        return true;
    exchange_problem(exchange, 400, "Name the counters: ?key=a&key=b");
    return false;
}

void counters_get_many(struct exchange *exchange, const struct http_request *request)
{
    uint32_t lens[SERVICE_BATCH_KEYS_MAX], count;
    if (!take_keys(exchange, request->query, lens, &count))
        return;
    exchange->reads = heap_alloc(heap_system(), count * sizeof *exchange->reads);
    if (!exchange->reads || buf_has_failed(&exchange->text)) {
        exchange_problem(exchange, 503, "Out of memory.");
        return;
    }
    exchange->reads_count = exchange->reads_left = count;
    const uint8_t *at = exchange->text.ptr;
    for (uint32_t i = 0; i < count; i++) {
        exchange->reads[i] = (struct exchange_read){
            .call = {.key = span_of(at, lens[i]), .on_value = on_one_of_many},
            .exchange = exchange};
        at += lens[i];
        values_get(&exchange->service->values, &exchange->reads[i].call);
    }
}

// ---- writes

// The answer waits for the read that was asked for behind the write.
static void on_write(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    if (!answer && exchange->session.is_on)
        fault_away(exchange);
    if (!answer)
        return; // when the connection is lost, so is the read
    if (answer->kind == ANSWER_ARRAY && answer->count == 2)
        exchange->is_duplicate = answer[2].integer == 0;
    if (exchange->session.is_on) { // the read was not asked for yet
        if (!fault_is_answered(exchange, answer))
            session_wait(exchange, read_value);
        return;
    }
    if (answer->kind != ANSWER_ERROR)
        return;
    exchange->has_failed = true;
    buf_put(&exchange->rows, answer->text);
}

// token: what makes a retry of it known, or empty.
static void write_value(struct exchange *exchange, const char *command, int64_t amount,
                        struct span token)
{
    struct service *service = exchange->service;
    uint8_t digits[DECIMAL_LEN_MAX];
    const uint8_t *end = decimal_write(digits, amount);
    const struct span argv[] = {span_text(command), exchange_key(exchange),
                                span_of(digits, (size_t)(end - digits)), span_text("ID"), token};
    exchange->call.on_answer = on_write;
    values_flush(&service->values);
    if (database_send(&service->database, &exchange->call, argv, token.len ? 5 : 3))
        fault_away(exchange);
    else if (!exchange->session.is_on)
        read_value(exchange);
}

// The integer `name` of a JSON object; out_value is untouched when it is absent. False: the body is
// no such object.
static bool read_integer(struct exchange *exchange, struct span body, const char *name,
                         int64_t *out_value, bool *out_found)
{
    struct json_reader reader = json_reader_of(body);
    *out_found = false;
    json_open(&reader, JSON_OBJECT);
    while (json_next(&reader)) {
        if (span_is_equal(json_name(&reader, &exchange->rows), span_text(name))) {
            int64_t value = json_integer(&reader);
            *out_value = reader.failed ? *out_value : value;
            *out_found = true;
        } else {
            json_skip(&reader);
        }
    }
    buf_clear(&exchange->rows);
    return json_is_done(&reader);
}

// An Idempotency-Key, which the header's draft writes as a quoted string.
static struct span unquoted(struct span key)
{
    bool is_quoted = key.len >= 2 && key.ptr[0] == '"' && key.ptr[key.len - 1] == '"';
    return is_quoted ? span_of(key.ptr + 1, key.len - 2) : key;
}

void counters_increment(struct exchange *exchange, const struct http_request *request)
{
    int64_t amount = 1;
    bool is_told;
    session_take(exchange, request);
    struct span field = request->field[HTTP_FIELD_IDEMPOTENCY_KEY], token = unquoted(field);
    if (field.ptr && (token.len == 0 || token.len > LIMIT_TOKEN_BYTES))
        exchange_problem(exchange, 400,
                         "Idempotency-Key has 1 to " LIMIT_TEXT(LIMIT_TOKEN_BYTES) " bytes.");
    else if (request->body.len && !read_integer(exchange, request->body, "by", &amount, &is_told))
        exchange_problem(exchange, 400,
                         "The body must be a JSON object whose \"by\" is an integer.");
    else
        write_value(exchange, "INCRBY", amount, token);
}

void counters_set(struct exchange *exchange, const struct http_request *request)
{
    int64_t value;
    bool is_told;
    session_take(exchange, request);
    if (!read_integer(exchange, request->body, "value", &value, &is_told) || !is_told)
        exchange_problem(exchange, 400,
                         "The body must be a JSON object whose \"value\" is an integer.");
    else
        write_value(exchange, "SET", value, (struct span){0});
}

static void on_deleted(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    if (fault_is_answered(exchange, answer))
        return;
    struct exchange_answer done = {.status = 204};
    exchange_answer(exchange, &done);
}

void counters_delete(struct exchange *exchange, const struct http_request *request)
{
    struct service *service = exchange->service;
    const struct span argv[] = {span_text("DEL"), exchange_key(exchange)};
    (void)request;
    exchange->call.on_answer = on_deleted;
    values_flush(&service->values);
    if (database_send(&service->database, &exchange->call, argv, 2))
        fault_away(exchange);
}
