// SPDX-License-Identifier: Apache-2.0
// The change stream as clients see it. RESP3: pushes of three, "quipu.feed", what, and a map or the
// token. RESP2: messages of the channel quipu:feed with the same as JSON.
#include "base/glob.h"
#include "base/hex.h"
#include "command/feed.h"
#include "command/handlers.h"
#include "command/token.h"
#include "wire/json.h"

static void write_incarnation(const struct feed_writer *writer, uint16_t origin, char hex[33])
{
    const struct incarnation *incarnation = &replica_origins(writer->replica)->list[origin];
    hex_write(hex, span_of(incarnation->bytes, sizeof incarnation->bytes));
    hex[32] = '\0';
}

static const char *owner_of_origin(const struct feed_writer *writer, uint16_t origin)
{
    const struct node *node = replica_node(writer->replica);
    if (origin == node->self)
        return node->name;
    int16_t member = node_member_of(node, origin);
    return member < 0 ? "?" : node->members[member].name;
}

static void put_text(struct reply *reply, const char *name, const char *value)
{
    reply_bulk_text(reply, name);
    reply_bulk_text(reply, value);
}

static void put_item_3(struct feed_writer *writer, const struct follow_item *item)
{
    char hex[33];
    struct reply *reply = writer->reply;
    bool is_child = item->address.kind != UNIT_KEY;
    write_incarnation(writer, item->origin, hex);
    reply_push(reply, 3);
    reply_bulk_text(reply, "quipu.feed");
    reply_bulk_text(reply, "change");
    reply_map(reply, 7 + is_child);
    reply_bulk_text(reply, "key");
    reply_bulk(reply, item->address.key);
    if (is_child) {
        reply_bulk_text(reply, item->address.kind == UNIT_LEASE ? "holder" : "member");
        reply_bulk(reply, item->address.sub);
    }
    put_text(reply, "type", cell_type_name(item->type));
    reply_bulk_text(reply, "value");
    if (item->is_live)
        reply_integer(reply, item->value);
    else
        reply_nil(reply);
    put_text(reply, "op", item->op);
    put_text(reply, "owner", owner_of_origin(writer, item->origin));
    put_text(reply, "incarnation", hex);
    reply_bulk_text(reply, "sequence");
    reply_integer(reply, (int64_t)item->sequence);
}

static void put_json(struct buf *out, const char *name, struct span value)
{
    buf_put_text(out, ",\"");
    buf_put_text(out, name);
    buf_put_text(out, "\":");
    json_put_string(out, value);
}

static void put_item_2(struct feed_writer *writer, const struct follow_item *item)
{
    char hex[33];
    struct buf text;
    buf_init(&text, writer->reply->out->heap);
    write_incarnation(writer, item->origin, hex);
    buf_put_text(&text, "{\"key\":");
    json_put_string(&text, item->address.key);
    if (item->address.kind != UNIT_KEY)
        put_json(&text, item->address.kind == UNIT_LEASE ? "holder" : "member", item->address.sub);
    put_json(&text, "type", span_text(cell_type_name(item->type)));
    buf_put_text(&text, ",\"value\":");
    if (item->is_live)
        json_put_integer(&text, item->value);
    else
        buf_put_text(&text, "null");
    put_json(&text, "op", span_text(item->op));
    put_json(&text, "owner", span_text(owner_of_origin(writer, item->origin)));
    put_json(&text, "incarnation", span_text(hex));
    buf_put_text(&text, ",\"sequence\":");
    json_put_integer(&text, (int64_t)item->sequence);
    buf_put_text(&text, "}");
    reply_message(writer->reply, span_text(FEED_CHANNEL), buf_span(&text));
    buf_deinit(&text);
}

void feed_put_item(void *ctx, const struct follow_item *item)
{
    struct feed_writer *writer = ctx;
    if (item->address.kind > UNIT_LEASE) // what keys keep beside their members is not shown
        return;
    if (writer->pattern.len && !glob_is_match(writer->pattern, item->address.key))
        return;
    writer->count++;
    if (writer->reply->protocol == 2)
        put_item_2(writer, item);
    else
        put_item_3(writer, item);
}

void feed_put_vector(struct feed_writer *writer, const struct vector *vector)
{
    struct buf token, text;
    struct reply *reply = writer->reply;
    buf_init(&token, reply->out->heap);
    buf_init(&text, reply->out->heap);
    token_write(vector, replica_origins(writer->replica), &token);
    if (reply->protocol == 2) {
        buf_put_text(&text, "{\"vector\":");
        json_put_string(&text, buf_span(&token));
        buf_put_text(&text, "}");
        reply_message(reply, span_text(FEED_CHANNEL), buf_span(&text));
    } else {
        reply_push(reply, 3);
        reply_bulk_text(reply, "quipu.feed");
        reply_bulk_text(reply, "vector");
        reply_bulk(reply, buf_span(&token));
    }
    reply->out->failed |= buf_has_failed(&token) || buf_has_failed(&text);
    buf_deinit(&token);
    buf_deinit(&text);
}

// ---- the command: QUIPU.FEED [SINCE token] [MATCH glob] | OFF

static bool parse(struct call *call, struct feed_request *request)
{
    for (uint32_t i = 1; i < call->argc; i += 2) {
        bool is_since = span_is_word(call->argv[i], "SINCE");
        if (i + 1 == call->argc || (!is_since && !span_is_word(call->argv[i], "MATCH"))) {
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
            return false;
        }
        if (!is_since) {
            if (!pattern_is_allowed(call, call->argv[i + 1]))
                return false;
            request->pattern = call->argv[i + 1];
        } else if (!token_read(call->argv[i + 1], replica_origins(call->replica),
                               &request->since)) {
            reply_error(call->reply, REPLY_ERROR_TOKEN);
            return false;
        } else {
            request->has_since = true;
        }
    }
    return true;
}

int run_feed(struct call *call)
{
    bool is_off = call->argc == 2 && span_is_word(call->argv[1], "OFF");
    if (!is_off && call->session->is_feeding) {
        reply_error_text(call->reply, "ERR this connection has a feed: QUIPU.FEED OFF ends it");
        return 0;
    }
    if (!is_off)
        return COMMAND_E_POST;
    call->host->ops->feed_off(call->host, call->session);
    reply_ok(call->reply);
    return 0;
}

int apply_feed(struct call *call)
{
    struct feed_request request = {0};
    struct session *session = call->session;
    if (call->is_nested || !session || !call->server->feed_on) {
        reply_error_text(call->reply, "ERR QUIPU.FEED is refused inside a transaction or script");
        return 0;
    }
    if (!parse(call, &request))
        return 0;
    int outcome = call->server->feed_on(call->server, session, &request);
    if (outcome == HOST_E_FULL)
        reply_error_text(call->reply, "ERR there are too many feeds");
    else if (outcome)
        return reply_out_of_memory(call);
    else if (session->protocol == 3)
        reply_ok(call->reply);
    if (outcome || session->protocol == 3)
        return 0;
    reply_push(call->reply, 3);
    reply_bulk_text(call->reply, "subscribe");
    reply_bulk_text(call->reply, FEED_CHANNEL);
    reply_integer(call->reply, 1);
    return 0;
}
