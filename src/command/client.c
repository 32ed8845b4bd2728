// SPDX-License-Identifier: Apache-2.0
// CLIENT: what a connection says of itself, and what it asks about others.
#include "base/decimal.h"
#include "command/acl.h"
#include "command/client.h"
#include "command/handlers.h"

int client_id(struct call *call)
{
    reply_integer(call->reply, (int64_t)call->session->id);
    return 0;
}

int client_getname(struct call *call)
{
    const struct session *session = call->session;
    if (session->name_len)
        reply_bulk(call->reply, span_of(session->name, session->name_len));
    else
        reply_nil(call->reply);
    return 0;
}

int client_setname(struct call *call)
{
    if (session_set_name(call->session, call->argv[2]))
        reply_ok(call->reply);
    else
        reply_error(call->reply, REPLY_ERROR_CLIENT_NAME);
    return 0;
}

int client_setinfo(struct call *call)
{
    bool is_name = span_is_word(call->argv[2], "LIB-NAME");
    if (!is_name && !span_is_word(call->argv[2], "LIB-VER"))
        reply_error_text(call->reply, "ERR Unrecognized option");
    else if (is_name ? session_set_library(call->session, call->argv[3])
                     : session_set_version(call->session, call->argv[3]))
        reply_ok(call->reply);
    else
        reply_error_text(call->reply, "ERR lib-name and lib-ver cannot contain spaces, newlines "
                                      "or special characters.");
    return 0;
}

// The bytes of the command under way, which its connection still holds.
static size_t request_bytes(const struct call *call)
{
    uint8_t digits[DECIMAL_LEN_MAX];
    size_t bytes = 3 + (size_t)(decimal_write_unsigned(digits, call->argc) - digits);
    for (uint32_t i = 0; i < call->argc; i++) {
        size_t len = call->argv[i].len;
        bytes += 5 + len + (size_t)(decimal_write_unsigned(digits, len) - digits);
    }
    return bytes;
}

int client_info(struct call *call)
{
    struct buf line;
    buf_init(&line, call->reply->out->heap);
    struct session_load load;
    call->host->ops->load(call->host, call->session, &load);
    load.input_bytes += request_bytes(call);
    session_put_line(call->session, &load, call->now_ms, &line);
    reply_verbatim(call->reply, "txt", buf_span(&line));
    buf_deinit(&line);
    return 0;
}

static int client_switch(struct call *call, bool *flag)
{
    bool is_on = span_is_word(call->argv[2], "ON");
    if (!is_on && !span_is_word(call->argv[2], "OFF")) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return 0;
    }
    *flag = is_on;
    reply_ok(call->reply);
    return 0;
}

int client_no_evict(struct call *call)
{
    return client_switch(call, &call->session->is_no_evict);
}

int client_no_touch(struct call *call)
{
    return client_switch(call, &call->session->is_no_touch);
}

// There is no tracking: only its being off can be asked for.
int client_tracking(struct call *call)
{
    if (span_is_word(call->argv[2], "OFF"))
        reply_ok(call->reply);
    else
        reply_error_text(call->reply, "ERR client-side caching is not in this version");
    return 0;
}

// The server looks at the session between blocks, so this ends one. The answer to ON is written by
// whoever notices that the silence has ended.
int client_reply(struct call *call)
{
    struct session *session = call->session;
    if (call->is_nested) {
        reply_error_text(call->reply, "ERR CLIENT REPLY is refused inside a transaction or script");
        return 0;
    }
    bool was_silent = session->silence == SILENCE_ALL;
    if (span_is_word(call->argv[2], "ON"))
        session->silence = SILENCE_NONE;
    else if (span_is_word(call->argv[2], "OFF"))
        session->silence = SILENCE_ALL;
    else if (span_is_word(call->argv[2], "SKIP"))
        session->silence = was_silent ? SILENCE_ALL : SILENCE_ONE;
    else
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
    if (session->silence == SILENCE_NONE && span_is_word(call->argv[2], "ON"))
        reply_ok(call->reply);
    return COMMAND_E_BREAK;
}

int client_getredir(struct call *call)
{
    reply_integer(call->reply, -1);
    return 0;
}

int client_caching(struct call *call)
{
    reply_error_text(call->reply, "ERR CLIENT CACHING can be called only when the client is in "
                                  "tracking mode with OPTIN or OPTOUT mode enabled");
    return 0;
}

int client_trackinginfo(struct call *call)
{
    reply_map(call->reply, 3);
    reply_bulk_text(call->reply, "flags");
    reply_set(call->reply, 1);
    reply_bulk_text(call->reply, "off");
    reply_bulk_text(call->reply, "redirect");
    reply_integer(call->reply, -1);
    reply_bulk_text(call->reply, "prefixes");
    reply_array(call->reply, 0);
    return 0;
}

int client_unblock(struct call *call)
{
    int64_t id;
    bool is_right =
        call->argc == 3 || (call->argc == 4 && (span_is_word(call->argv[3], "TIMEOUT") ||
                                                span_is_word(call->argv[3], "ERROR")));
    if (!is_right)
        reply_error_text(call->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    else if (!decimal_parse(call->argv[2], &id))
        reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
    else
        reply_integer(call->reply, 0);
    return 0;
}

int client_pause(struct call *call)
{
    reply_error_text(call->reply,
                     "ERR CLIENT PAUSE is refused: it holds writers back for a failover, and no "
                     "replica here takes over from another; close them with CLIENT KILL");
    return 0;
}

// ---- LIST and KILL

static bool set_type(struct client_query *query, struct span name)
{
    if (span_is_word(name, "NORMAL"))
        query->type = CLIENT_NORMAL;
    else if (span_is_word(name, "PUBSUB"))
        query->type = CLIENT_PUBSUB;
    else if (span_is_word(name, "MASTER") || span_is_word(name, "REPLICA") ||
             span_is_word(name, "SLAVE"))
        query->type = CLIENT_NONE;
    else
        return false;
    return true;
}

static bool set_address(char *to, struct span from)
{
    if (from.len == 0 || from.len >= SESSION_TEXT_MAX)
        return false;
    memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return true;
}

static bool add_id(struct client_query *query, struct span text)
{
    uint64_t id;
    if (query->ids_count == CLIENT_IDS_MAX || !decimal_parse_unsigned(text, &id) || id == 0)
        return false;
    query->ids[query->ids_count++] = id;
    return true;
}

static int start_tour(struct call *call)
{
    call->query->self = call->session->id;
    call->query->self_bytes = request_bytes(call);
    return COMMAND_E_TOUR;
}

int client_list(struct call *call)
{
    struct client_query *query = call->query;
    bool is_right = true;
    *query = (struct client_query){0};
    if (call->argc > 2 && span_is_word(call->argv[2], "ID")) {
        is_right = call->argc > 3;
        for (uint32_t i = 3; i < call->argc; i++)
            is_right = is_right && add_id(query, call->argv[i]);
    } else if (call->argc > 2) {
        is_right = call->argc == 4 && span_is_word(call->argv[2], "TYPE") &&
                   set_type(query, call->argv[3]);
    }
    if (is_right)
        return start_tour(call);
    if (call->argc == 4 && span_is_word(call->argv[2], "TYPE"))
        reply_error_with(call->reply, REPLY_ERROR_CLIENT_TYPE, call->argv[3]);
    else
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
    return 0;
}

static bool set_kill_option(struct call *call, struct span option, struct span value)
{
    struct client_query *query = call->query;
    if (span_is_word(option, "USER")) {
        const struct acl_user *user = acl_find(call->host->acl, value);
        query->user_id = user ? user->id : 0;
        return user != NULL;
    }
    if (span_is_word(option, "ID"))
        return add_id(query, value);
    if (span_is_word(option, "TYPE"))
        return set_type(query, value);
    if (span_is_word(option, "ADDR"))
        return set_address(query->address, value);
    if (span_is_word(option, "LADDR"))
        return set_address(query->local_address, value);
    if (span_is_word(option, "SKIPME")) {
        query->has_no_self = span_is_word(value, "YES");
        return query->has_no_self || span_is_word(value, "NO");
    }
    return false;
}

// What is wrong with an option's value, as Redis says it. False: nothing is to be said.
static bool explain_kill_option(struct call *call, struct span option, struct span value)
{
    if (span_is_word(option, "ID"))
        reply_error_text(call->reply, "ERR client-id should be greater than 0");
    else if (span_is_word(option, "TYPE"))
        reply_error_with(call->reply, REPLY_ERROR_CLIENT_TYPE, value);
    else if (span_is_word(option, "USER"))
        reply_error_with(call->reply, REPLY_ERROR_NO_USER, value);
    else
        return false;
    return true;
}

int client_kill(struct call *call)
{
    struct client_query *query = call->query;
    bool is_right = true;
    *query = (struct client_query){.is_kill = true};
    if (call->argc == 3) {
        query->is_plain = true;
        is_right = set_address(query->address, call->argv[2]);
    } else {
        query->has_no_self = true;
        is_right = call->argc % 2 == 0;
        for (uint32_t i = 2; is_right && i < call->argc; i += 2) {
            is_right = set_kill_option(call, call->argv[i], call->argv[i + 1]);
            if (!is_right && explain_kill_option(call, call->argv[i], call->argv[i + 1]))
                return 0;
        }
    }
    if (is_right)
        return start_tour(call);
    reply_error(call->reply, REPLY_ERROR_SYNTAX);
    return 0;
}

bool client_query_is_match(const struct client_query *query, const struct session *session)
{
    bool is_id_wanted = query->ids_count == 0;
    for (unsigned i = 0; i < query->ids_count; i++)
        is_id_wanted |= query->ids[i] == session->id;
    if (!is_id_wanted || (query->has_no_self && session->id == query->self))
        return false;
    if (query->type == CLIENT_NONE ||
        (query->type != CLIENT_ANY &&
         session_is_subscribed(session) != (query->type == CLIENT_PUBSUB)))
        return false;
    if (query->user_id && query->user_id != session->user_id)
        return false;
    return (!*query->address || strcmp(query->address, session->address) == 0) &&
           (!*query->local_address || strcmp(query->local_address, session->local_address) == 0);
}

void client_query_reply(const struct client_query *query, struct reply *reply)
{
    if (!query->is_kill)
        reply_verbatim(reply, "txt", buf_span(query->lines));
    else if (!query->is_plain)
        reply_integer(reply, (int64_t)query->killed);
    else if (query->killed)
        reply_ok(reply);
    else
        reply_error(reply, REPLY_ERROR_NO_CLIENT);
}
