// SPDX-License-Identifier: Apache-2.0
// ACL. What only reads is answered by the worker from its view. Changes are made on the replica
// thread and answered once every worker has the new view: who has the answer can rely on it, on any
// connection.
#include <stdio.h>
#include "base/decimal.h"
#include "base/hex.h"
#include "command/acl.h"
#include "command/handlers.h"

#define PASSWORD_BITS     256
#define PASSWORD_BITS_MAX 4096
#define LOG_SHOWN         10
#define COUNT_SHIFT       40 // call->later: a generation, and above it how many users were deleted

// ---- on a worker

int acl_whoami(struct call *call)
{
    reply_bulk(call->reply, session_user_name(call->session));
    return 0;
}

static int cat_all(struct call *call)
{
    reply_array(call->reply, CATEGORIES);
    for (unsigned i = 0; i < CATEGORIES; i++)
        reply_bulk_text(call->reply, access_category_name((enum access_category)i));
    return 0;
}

// Redis's words where a subcommand's own arity lets through what it then does not take.
static int wrong_count(struct call *call, const char *name)
{
    char text[100];
    snprintf(text, sizeof text,
             "ERR unknown subcommand or wrong number of arguments for '%s'. Try ACL HELP.", name);
    reply_error_text(call->reply, text);
    return 0;
}

int acl_cat(struct call *call)
{
    const struct access_catalog *catalog = call->host->acl->catalog;
    enum access_category category;
    char text[200];
    if (call->argc == 2)
        return cat_all(call);
    if (call->argc > 3)
        return wrong_count(call, "CAT");
    if (!access_category_find(call->argv[2], &category)) {
        snprintf(text, sizeof text, "ERR Unknown category '%.*s'",
                 (int)(call->argv[2].len < 128 ? call->argv[2].len : 128),
                 (const char *)call->argv[2].ptr);
        reply_error_text(call->reply, text);
        return 0;
    }
    size_t mark = reply_open_array(call->reply), count = 0;
    for (unsigned i = 0; i < catalog->count; i++) {
        if (!(catalog->entry[i].categories & 1u << category))
            continue;
        reply_bulk_text(call->reply, catalog->entry[i].name);
        count++;
    }
    reply_close_array(call->reply, mark, count);
    return 0;
}

int acl_genpass(struct call *call)
{
    uint8_t bytes[PASSWORD_BITS_MAX / 8], digits[PASSWORD_BITS_MAX / 4];
    int64_t bits = PASSWORD_BITS;
    if (call->argc > 3)
        return wrong_count(call, "GENPASS");
    if (call->argc == 3 && !decimal_parse(call->argv[2], &bits)) {
        reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
        return 0;
    }
    if (bits <= 0 || bits > PASSWORD_BITS_MAX) {
        reply_error_text(call->reply,
                         "ERR ACL GENPASS argument must be the number of bits for the output "
                         "password, a positive number up to 4096");
        return 0;
    }
    for (size_t i = 0; i < sizeof bytes; i += sizeof(uint64_t)) {
        uint64_t number = call->host->ops->random(call->host);
        memcpy(bytes + i, &number, sizeof number);
    }
    hex_write(digits, span_of(bytes, sizeof bytes));
    reply_bulk(call->reply, span_of(digits, (size_t)(bits + 3) / 4));
    return 0;
}

int acl_users(struct call *call)
{
    const struct acl_view *view = call->host->acl;
    reply_array(call->reply, view->count);
    for (uint32_t i = 0; i < view->count; i++)
        reply_bulk(call->reply, acl_user_name(view->user[i]));
    return 0;
}

int acl_list(struct call *call)
{
    const struct acl_view *view = call->host->acl;
    struct buf line;
    buf_init(&line, call->reply->out->heap);
    reply_array(call->reply, view->count);
    for (uint32_t i = 0; i < view->count; i++) {
        buf_clear(&line);
        acl_put_user(&line, view->user[i]);
        reply_bulk(call->reply, buf_span(&line));
    }
    buf_deinit(&line);
    return 0;
}

static void put_flags(struct reply *reply, unsigned flags)
{
    static const struct {
        unsigned flag, is_set;
        const char *name;
    } rows[] = {
        {ACL_ON, ACL_ON, "on"},
        {ACL_ON, 0, "off"},
        {ACL_NO_PASSWORD, ACL_NO_PASSWORD, "nopass"},
        {ACL_SKIP_SANITIZE, ACL_SKIP_SANITIZE, "skip-sanitize-payload"},
        {ACL_SANITIZE, ACL_SANITIZE, "sanitize-payload"},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        count += (flags & rows[i].flag) == rows[i].is_set;
    reply_set(reply, count);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if ((flags & rows[i].flag) == rows[i].is_set)
            reply_bulk_text(reply, rows[i].name);
    }
}

static void put_selector(struct reply *reply, const struct acl_selector *selector, struct buf *text)
{
    static const struct {
        const char *name;
        void (*put)(struct buf *out, const struct acl_selector *selector);
    } parts[] = {
        {"commands", acl_put_commands}, {"keys", acl_put_keys}, {"channels", acl_put_channels}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buf_clear(text);
        parts[i].put(text, selector);
        reply_bulk_text(reply, parts[i].name);
        reply_bulk(reply, buf_span(text));
    }
}

int acl_getuser(struct call *call)
{
    struct reply *reply = call->reply;
    const struct acl_user *user = acl_find(call->host->acl, call->argv[2]);
    struct buf text;
    if (!user) {
        reply_nil(reply);
        return 0;
    }
    buf_init(&text, reply->out->heap);
    reply_map(reply, 6);
    reply_bulk_text(reply, "flags");
    put_flags(reply, user->flags);
    reply_bulk_text(reply, "passwords");
    reply_array(reply, user->passwords.count);
    for (uint32_t i = 0; i < user->passwords.count; i++)
        reply_bulk(reply, span_of(user->passwords.list[i].ptr, user->passwords.list[i].len));
    put_selector(reply, user->selectors, &text);
    reply_bulk_text(reply, "selectors");
    reply_array(reply, user->selectors_count - 1);
    for (uint32_t i = 1; i < user->selectors_count; i++) {
        reply_map(reply, 3);
        put_selector(reply, &user->selectors[i], &text);
    }
    buf_deinit(&text);
    return 0;
}

static int not_found(struct call *call, const char *what, struct span name)
{
    char text[200];
    snprintf(text, sizeof text, "ERR %s '%.*s' not found", what,
             (int)(name.len < 128 ? name.len : 128), (const char *)name.ptr);
    reply_error_text(call->reply, text);
    return 0;
}

static void put_verdict(struct call *call, struct acl_verdict verdict)
{
    struct buf text;
    bool is_command = verdict.reason == ACL_NO_COMMAND;
    buf_init(&text, call->reply->out->heap);
    buf_put_text(&text, is_command ? "This user has no permissions to run the '"
                                   : "This user has no permissions to access the '");
    if (is_command)
        buf_put_text(&text, call->host->acl->catalog->entry[verdict.id].name);
    else
        buf_put(&text, call->argv[3 + verdict.at]);
    buf_put_text(&text, is_command                         ? "' command"
                        : verdict.reason == ACL_NO_CHANNEL ? "' channel"
                                                           : "' key");
    reply_bulk(call->reply, buf_span(&text));
    buf_deinit(&text);
}

int acl_dryrun(struct call *call)
{
    const struct acl_user *user = acl_find(call->host->acl, call->argv[2]);
    const struct command *command = command_named(call->argv[3]);
    const struct span *argv = call->argv + 3;
    uint32_t argc = call->argc - 3;
    if (!user)
        return not_found(call, "User", call->argv[2]);
    if (!command)
        return not_found(call, "Command", call->argv[3]);
    if (!command_takes(command, argc)) {
        const struct access_catalog *catalog = call->host->acl->catalog;
        return reply_arity(call, catalog->entry[access_id_of(catalog, command, argv, argc)].name);
    }
    struct acl_verdict verdict = acl_check(user, command, argv, argc);
    if (verdict.reason == ACL_FINE)
        reply_ok(call->reply);
    else
        put_verdict(call, verdict);
    return 0;
}

// ---- on the replica thread

static bool is_settled(const struct call *call)
{
    uint64_t generation = call->later & ((1ull << COUNT_SHIFT) - 1);
    return call->server->acl->done >= generation || call->server->is_draining;
}

// As it was applied: a selector with all of its arguments.
static void put_rule(struct buf *text, const struct acl_change *change, uint32_t at)
{
    struct span rule = at < change->rules_count ? change->rules[at] : change->name;
    bool is_open = rule.len && rule.ptr[0] == '(' && rule.ptr[rule.len - 1] != ')';
    buf_put(text, rule);
    while (is_open && ++at < change->rules_count) {
        rule = change->rules[at];
        buf_put_byte(text, ' ');
        buf_put(text, rule);
        is_open = !rule.len || rule.ptr[rule.len - 1] != ')';
    }
}

static int fail_rule(struct call *call, const struct acl_change *change, uint32_t at, int outcome)
{
    struct buf text;
    if (outcome < 0)
        return reply_out_of_memory(call);
    buf_init(&text, call->reply->out->heap);
    struct span rule = at < change->rules_count ? change->rules[at] : change->name;
    if (outcome == ACL_E_PARENTHESIS) {
        buf_put_text(&text, "ERR Unmatched parenthesis in acl selector starting at '");
        buf_put(&text, rule);
        buf_put_text(&text, "'.");
    } else {
        buf_put_text(&text, "ERR Error in ACL SETUSER modifier '");
        put_rule(&text, change, at);
        buf_put_text(&text, "': ");
        buf_put_text(&text, acl_rule_text(outcome));
    }
    buf_put_byte(&text, '\0');
    reply_error_text(call->reply, buf_has_failed(&text) ? "OOM" : (const char *)text.ptr);
    buf_deinit(&text);
    return 0;
}

int acl_setuser(struct call *call)
{
    struct acl *acl = call->server->acl;
    struct acl_change change = {call->argv[2], call->argv + 3, call->argc - 3};
    uint32_t at;
    if (call->later && is_settled(call)) {
        reply_ok(call->reply);
        return 0;
    }
    if (!call->later) {
        if (!acl_name_is_valid(change.name)) {
            reply_error_text(call->reply, "ERR Usernames can't contain spaces or null characters");
            return 0;
        }
        int outcome = acl_set(acl, &change, &at);
        if (outcome)
            return fail_rule(call, &change, at, outcome);
        call->later = acl->view->generation;
    }
    return COMMAND_E_LATER;
}

int acl_deluser(struct call *call)
{
    struct acl *acl = call->server->acl;
    uint32_t count;
    if (call->later && is_settled(call)) {
        reply_integer(call->reply, (int64_t)(call->later >> COUNT_SHIFT));
        return 0;
    }
    if (!call->later) {
        for (uint32_t i = 2; i < call->argc; i++) {
            if (span_is_equal(call->argv[i], span_text("default"))) {
                reply_error_text(call->reply, "ERR The 'default' user cannot be removed");
                return 0;
            }
        }
        if (acl_delete(acl, call->argv + 2, call->argc - 2, &count))
            return reply_out_of_memory(call);
        call->later = acl->view->generation | (uint64_t)count << COUNT_SHIFT;
    }
    return COMMAND_E_LATER;
}

static int acl_load_file(struct call *call)
{
    struct server *server = call->server;
    struct buf text, error;
    buf_init(&text, call->reply->out->heap);
    buf_init(&error, call->reply->out->heap);
    int fault = server->files->read(server->acl_path, &text);
    buf_put_text(&error, "ERR ");
    if (fault) {
        buf_put_text(&error, "Error loading ACLs, opening file '");
        buf_put_text(&error, server->acl_path);
        buf_put_text(&error, "': ");
        buf_put_text(&error, strerrordesc_np(-fault));
    } else if (acl_load(server->acl, server->acl_path, buf_span(&text), &error)) {
        call->later = server->acl->view->generation;
    }
    buf_put_byte(&error, '\0');
    if (!call->later)
        reply_error_text(call->reply, buf_has_failed(&error) ? "OOM" : (const char *)error.ptr);
    buf_deinit(&text);
    buf_deinit(&error);
    return call->later ? COMMAND_E_LATER : 0;
}

static bool has_file(struct call *call)
{
    if (call->server->acl_path)
        return true;
    reply_error_text(call->reply,
                     "ERR This Redis instance is not configured to use an ACL file. You may want "
                     "to specify users via the ACL SETUSER command and start with --aclfile FILE "
                     "to keep them.");
    return false;
}

int acl_reload(struct call *call)
{
    if (call->later && !is_settled(call))
        return COMMAND_E_LATER;
    if (call->later)
        reply_ok(call->reply);
    else if (has_file(call))
        return acl_load_file(call);
    return 0;
}

int acl_store(struct call *call)
{
    struct server *server = call->server;
    struct buf text;
    if (!has_file(call))
        return 0;
    buf_init(&text, call->reply->out->heap);
    acl_save(server->acl, &text);
    int fault =
        buf_has_failed(&text) ? -ENOMEM : server->files->replace(server->acl_path, buf_span(&text));
    if (fault) {
        char error[300];
        snprintf(error, sizeof error, "ERR There was an error trying to save the ACLs: %s",
                 strerrordesc_np(-fault));
        reply_error_text(call->reply, error);
    } else {
        reply_ok(call->reply);
    }
    buf_deinit(&text);
    return 0;
}

int acl_log(struct call *call)
{
    struct acl_log *log = call->server->acl->log;
    int64_t count = LOG_SHOWN;
    if (call->argc > 3)
        return wrong_count(call, "LOG");
    if (call->argc == 3 && span_is_word(call->argv[2], "RESET")) {
        acl_log_reset(log);
        reply_ok(call->reply);
        return 0;
    }
    if (call->argc == 3 && !decimal_parse(call->argv[2], &count)) {
        reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
        return 0;
    }
    if (count < 0)
        count = 0;
    acl_log_reply(log, call->reply, count < UINT32_MAX ? (uint32_t)count : UINT32_MAX,
                  call->now_ms);
    return 0;
}
