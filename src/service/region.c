// SPDX-License-Identifier: Apache-2.0
// INFO is text made for people and tools of Redis; a table picks what is told here and under which
// name. A key's parts are the database's answer as JSON, whatever its type brings.
#include "service/region.h"
#include "base/decimal.h"
#include "base/owner.h"
#include "service/faults.h"
#include "service/private.h"
#include "wire/json.h"
#include "wire/url.h"

#define KEYS_A_CALL "200"

static const struct fact {
    const char *info, *name;
    bool is_text;
} facts[] = {
    {"replica", "replica", true},
    {"cluster", "cluster", true},
    {"epoch", "epoch", true},
    {"quipu_version", "release", true},
    {"uptime_in_seconds", "uptime_s", false},
    {"records", "keys", false},
    {"version", "version", false},
    {"total_commands_processed", "commands", false},
    {"connected_clients", "clients", false},
    {"used_memory", "memory_bytes", false},
    {"used_memory_rss", "resident_bytes", false},
    {"durability", "durability", true},
    {"journal", "journal", true},
    {"journal_bytes", "journal_bytes", false},
    {"commits", "commits", false},
    {"commit_last_us", "commit_last_us", false},
    {"commit_max_us", "commit_max_us", false},
    {"changes_sent", "changes_sent", false},
    {"changes_joined", "changes_joined", false},
    {"walks", "walks", false},
    {"collection_blocked_by", "collection_blocked_by", true},
    {"hook", "hook", true},
    {"hook_state", "hook_state", true},
    {"hook_failures", "hook_failures", false},
    {"hook_error", "hook_error", true},
    {"cut_allowed", "cut_allowed", false},
};

static void answer_json(struct exchange *exchange, struct span body)
{
    struct exchange_answer answer = {.status = 200,
                                     .content_type = "application/json",
                                     .headers = span_text("Cache-Control: no-store\r\n"),
                                     .body = body};
    exchange_answer(exchange, &answer);
}

static void ask(struct exchange *exchange, const struct span *argv, uint32_t argc)
{
    if (database_send(&exchange->service->database, &exchange->call, argv, argc))
        fault_away(exchange);
}

// ---- facts

// The value of the line "name:value", NULL ptr when there is none.
static struct span find_line(struct span info, const char *name)
{
    size_t len = strlen(name);
    while (info.len) {
        const uint8_t *end = memchr(info.ptr, '\n', info.len);
        size_t line = end ? (size_t)(end - info.ptr) : info.len;
        size_t used = end ? line + 1 : line;
        if (line > len && info.ptr[len] == ':' && memcmp(info.ptr, name, len) == 0) {
            struct span value = span_of(info.ptr + len + 1, line - len - 1);
            if (value.len && value.ptr[value.len - 1] == '\r')
                value.len--;
            return value;
        }
        info = span_of(info.ptr + used, info.len - used);
    }
    return span_of(NULL, 0);
}

static void put_fact(struct buf *out, const struct fact *fact, struct span value)
{
    int64_t number;
    json_put_text(out, fact->name);
    buf_put_byte(out, ':');
    if (fact->is_text)
        json_put_string(out, value);
    else if (decimal_parse(value, &number))
        json_put_integer(out, number);
    else
        buf_put_text(out, "null");
}

static void on_info(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    if (fault_is_answered(exchange, answer))
        return;
    struct buf *body = &exchange->service->door.answer;
    buf_clear(body);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        buf_put_byte(body, i ? ',' : '{');
        put_fact(body, &facts[i], find_line(answer->text, facts[i].info));
    }
    buf_put_byte(body, '}');
    answer_json(exchange, buf_span(body));
}

void region_get(struct exchange *exchange, const struct http_request *request)
{
    const struct span argv[] = {span_text("INFO")};
    (void)request;
    exchange->call.on_answer = on_info;
    ask(exchange, argv, 1);
}

// ---- any answer as JSON

static bool is_aggregate(const struct answer_token *token)
{
    return token->kind == ANSWER_ARRAY || token->kind == ANSWER_SET || token->kind == ANSWER_MAP ||
           token->kind == ANSWER_PUSH;
}

static void put_leaf(struct buf *out, const struct answer_token *token)
{
    int64_t number;
    if (token->kind == ANSWER_NIL)
        buf_put_text(out, "null");
    else if (token->kind == ANSWER_BOOL)
        buf_put_text(out, token->integer ? "true" : "false");
    else if (token->kind == ANSWER_INTEGER)
        json_put_integer(out, token->integer);
    else if (token->kind == ANSWER_BIG && decimal_parse(token->text, &number))
        json_put_integer(out, number);
    else
        json_put_string(out, token->text);
}

struct level { // of aggregates that are open
    uint32_t left;
    bool is_map;
};

static const char *opening(const struct level *level)
{
    return level->is_map ? "{" : "[";
}

// What stands before an element: its neighbour's comma, or a name's colon.
static void put_joint(struct buf *out, const struct level *level, uint32_t count)
{
    if (level->left == count)
        return;
    bool is_value = level->is_map && (count - level->left) % 2;
    buf_put_byte(out, is_value ? ':' : ',');
}

// Flat, without recursion: tokens come in order, each level knows how many are left.
static void put_answer(struct buf *out, const struct answer_token *token)
{
    struct level levels[ANSWER_DEPTH_MAX + 1];
    uint32_t counts[ANSWER_DEPTH_MAX + 1];
    unsigned depth = 0;
    for (const struct answer_token *end = token + token->size; token < end; token++) {
        if (depth) {
            put_joint(out, &levels[depth - 1], counts[depth - 1]);
            levels[depth - 1].left--;
        }
        if (is_aggregate(token)) {
            levels[depth] = (struct level){token->count, token->kind == ANSWER_MAP};
            counts[depth] = token->count;
            buf_put_text(out, opening(&levels[depth]));
            depth++;
        } else {
            put_leaf(out, token);
        }
        while (depth && levels[depth - 1].left == 0) {
            depth--;
            buf_put_byte(out, levels[depth].is_map ? '}' : ']');
        }
    }
}

// ---- parts of a key

// The owners of a presence's parts join what is in rows, an object.
static void on_owners(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    struct buf *body = &exchange->rows;
    if (fault_is_answered(exchange, answer))
        return;
    body->len--;
    buf_put_text(body, ",\"owners\":");
    put_answer(body, answer);
    buf_put_byte(body, '}');
    answer_json(exchange, buf_span(body));
}

static void on_parts(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    if (fault_is_answered(exchange, answer))
        return;
    if (answer->kind == ANSWER_NIL) {
        exchange_problem(exchange, 404, "There is no such counter.");
        return;
    }
    const struct answer_token *type = answer_field(answer, "type");
    struct buf *body = &exchange->rows;
    buf_clear(body);
    put_answer(body, answer);
    if (!type || !span_is_equal(type->text, span_text("presence"))) {
        answer_json(exchange, buf_span(body));
        return;
    }
    const struct span argv[] = {span_text("PRESENCE.LIST"), exchange_key(exchange)};
    exchange->call.on_answer = on_owners;
    ask(exchange, argv, 2);
}

void region_get_parts(struct exchange *exchange, const struct http_request *request)
{
    const struct span argv[] = {span_text("QUIPU.INSPECT"), exchange_key(exchange)};
    (void)request;
    exchange->call.on_answer = on_parts;
    ask(exchange, argv, 2);
}

// ---- keys

static void on_keys(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    if (fault_is_answered(exchange, answer))
        return;
    struct buf *body = &exchange->service->door.answer;
    buf_clear(body);
    buf_put_text(body, "{\"cursor\":");
    if (is_aggregate(answer) && answer->count == 2 && is_aggregate(&answer[2])) {
        put_leaf(body, &answer[1]);
        buf_put_text(body, ",\"keys\":");
        put_answer(body, &answer[2]);
    } else {
        buf_put_text(body, "\"0\",\"keys\":[]");
    }
    buf_put_byte(body, '}');
    answer_json(exchange, buf_span(body));
}

// Both are kept in the exchange's text, one after the other.
void region_get_keys(struct exchange *exchange, const struct http_request *request)
{
    struct span query = request->query, name, value;
    struct span match = span_text("*"), cursor = span_text("0");
    struct buf *text = &exchange->text, *other = &exchange->rows;
    buf_clear(text);
    buf_clear(other);
    while (url_next_pair(&query, &name, &value)) {
        bool is_match = span_is_equal(name, span_text("match"));
        if (!is_match && !span_is_equal(name, span_text("cursor")))
            continue;
        struct buf *to = is_match ? text : other;
        buf_clear(to);
        if (!url_put_decoded_query(to, value)) {
            exchange_problem(exchange, 400, "match and cursor are percent-encoded.");
            return;
        }
        *(is_match ? &match : &cursor) = buf_span(to);
    }
    uint64_t place;
    if (!decimal_parse_unsigned(cursor, &place)) {
        exchange_problem(exchange, 400, "A cursor is a number that an answer gave.");
        return;
    }
    const struct span argv[] = {span_text("SCAN"),  cursor,
                                span_text("MATCH"), match,
                                span_text("COUNT"), span_text(KEYS_A_CALL)};
    exchange->call.on_answer = on_keys;
    ask(exchange, argv, sizeof argv / sizeof *argv);
}
