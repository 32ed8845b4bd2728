// SPDX-License-Identifier: Apache-2.0
// A connection's own business: greeting, protocol version, end.
#include "base/decimal.h"
#include "command/acl.h"
#include "command/handlers.h"
#include "command/transaction.h"

int run_ping(struct call *call)
{
    const struct session *session = call->session;
    if (call->argc > 2)
        return reply_arity(call, "ping");
    if (session->protocol == 2 && session_is_subscribed(session)) {
        reply_array(call->reply, 2);
        reply_bulk_text(call->reply, "pong");
        reply_bulk(call->reply, call->argc == 2 ? call->argv[1] : span_text(""));
    } else if (call->argc == 2) {
        reply_bulk(call->reply, call->argv[1]);
    } else {
        reply_simple(call->reply, "PONG");
    }
    return 0;
}

int run_echo(struct call *call)
{
    reply_bulk(call->reply, call->argv[1]);
    return 0;
}

static void greet(struct call *call)
{
    struct reply *reply = call->reply;
    reply_map(reply, 8);
    reply_bulk_text(reply, "server");
    reply_bulk_text(reply, "redis"); // clients look at it
    reply_bulk_text(reply, "version");
    reply_bulk_text(reply, REDIS_VERSION);
    reply_bulk_text(reply, "quipu_version");
    reply_bulk_text(reply, QUIPU_VERSION);
    reply_bulk_text(reply, "proto");
    reply_integer(reply, reply->protocol);
    reply_bulk_text(reply, "id");
    reply_integer(reply, (int64_t)call->session->id);
    reply_bulk_text(reply, "mode");
    reply_bulk_text(reply, "standalone");
    reply_bulk_text(reply, "role");
    reply_bulk_text(reply, "master");
    reply_bulk_text(reply, "modules");
    reply_array(reply, 0);
}

struct hello {
    int64_t protocol;
    const struct span *name; // SETNAME's, or NULL
    const struct span *user; // AUTH's, and behind it the password; or NULL
};

static bool parse_hello(struct call *call, struct hello *hello)
{
    if (call->argc > 1) {
        if (!decimal_parse(call->argv[1], &hello->protocol)) {
            reply_error_text(call->reply, "ERR Protocol version is not an integer or out of range");
            return false;
        }
        if (hello->protocol != 2 && hello->protocol != 3) {
            reply_error(call->reply, REPLY_ERROR_NO_PROTOCOL);
            return false;
        }
    }
    for (uint32_t i = 2; i < call->argc;) {
        if (span_is_word(call->argv[i], "AUTH") && i + 2 < call->argc) {
            hello->user = &call->argv[i + 1];
            i += 3;
        } else if (span_is_word(call->argv[i], "SETNAME") && i + 1 < call->argc) {
            hello->name = &call->argv[i + 1];
            i += 2;
        } else {
            reply_error_with(call->reply, REPLY_ERROR_HELLO, call->argv[i]);
            return false;
        }
    }
    return true;
}

int run_hello(struct call *call)
{
    struct hello hello = {.protocol = call->session->protocol};
    if (!parse_hello(call, &hello))
        return 0;
    if (hello.user && !auth_enter(call, hello.user[0], hello.user[1]))
        return 0;
    if (!call->session->is_authenticated) {
        reply_error(call->reply, REPLY_ERROR_HELLO_FIRST);
        return 0;
    }
    if (hello.name && !session_set_name(call->session, *hello.name)) {
        reply_error(call->reply, REPLY_ERROR_CLIENT_NAME);
        return 0;
    }
    call->session->protocol = (uint8_t)hello.protocol;
    call->reply->protocol = (uint8_t)hello.protocol;
    greet(call);
    return 0;
}

int run_select(struct call *call)
{
    int64_t database;
    if (!decimal_parse(call->argv[1], &database))
        reply_error_text(call->reply, "ERR invalid DB index");
    else if (database != 0)
        reply_error(call->reply, REPLY_ERROR_DATABASE);
    else
        reply_ok(call->reply);
    return 0;
}

int run_reset(struct call *call)
{
    bool was_queueing = call->session->is_queueing;
    pubsub_leave_all(call);
    call->host->ops->feed_off(call->host, call->session);
    transaction_end(call->session);
    session_reset(call->session);
    acl_enter_default(call->session, call->host->acl);
    call->reply->protocol = call->session->protocol;
    reply_simple(call->reply, "RESET");
    return was_queueing ? COMMAND_E_BREAK : 0;
}

int run_quit(struct call *call)
{
    reply_ok(call->reply);
    return COMMAND_E_CLOSE;
}
