// SPDX-License-Identifier: Apache-2.0
// Who a session is: AUTH and HELLO AUTH; and what it may not do then. What is refused to a user is
// noted for ACL LOG, who must say who they are is not.
#include <stdio.h>
#include "command/acl.h"
#include "command/handlers.h"

// `denial` says what, whose and where.
static void note(struct call *call, struct acl_denial denial)
{
    struct buf line;
    struct session_load load;
    buf_init(&line, call->reply->out->heap);
    call->host->ops->load(call->host, call->session, &load);
    session_put_line(call->session, &load, call->now_ms, &line);
    denial.client = span_of(line.ptr, line.len ? line.len - 1 : 0);
    call->host->ops->deny(call->host, &denial);
    buf_deinit(&line);
}

static const char *context_of(const struct session *session)
{
    return session->is_queueing ? "multi" : "toplevel";
}

bool auth_enter(struct call *call, struct span name, struct span password)
{
    const struct acl_user *user = acl_find(call->host->acl, name);
    // A default user without a password is let in from this machine only, in protected mode.
    bool is_denied = user && acl_is_denied(call->session, call->host->acl) &&
                     user == acl_default(call->host->acl);
    if (user && !is_denied && acl_user_takes(user, password)) {
        acl_enter(call->session, user, true);
        return true;
    }
    note(call, (struct acl_denial){.reason = ACL_NO_AUTH,
                                   .context = context_of(call->session),
                                   .object = call->argv[0],
                                   .user = name});
    reply_error(call->reply, is_denied ? REPLY_ERROR_DENIED : REPLY_ERROR_WRONG_PASSWORD);
    return false;
}

int run_auth(struct call *call)
{
    struct span name = call->argc == 3 ? call->argv[1] : span_text("default");
    if (call->argc > 3) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
    } else if (call->argc == 2 && acl_default(call->host->acl)->flags & ACL_NO_PASSWORD) {
        reply_error(call->reply, REPLY_ERROR_NO_PASSWORD);
    } else if (auth_enter(call, name, call->argv[call->argc - 1])) {
        reply_ok(call->reply);
    }
    return 0;
}

bool auth_refuse(struct call *call)
{
    static const enum reply_error_code texts[] = {[ACL_NO_COMMAND] = REPLY_ERROR_NO_COMMAND,
                                                  [ACL_NO_KEY] = REPLY_ERROR_NO_KEY,
                                                  [ACL_NO_CHANNEL] = REPLY_ERROR_NO_CHANNEL};
    const struct session *session = call->session;
    if (!session->is_authenticated) {
        if (call->command->flags & COMMAND_NO_AUTH)
            return false;
        bool is_denied = acl_is_denied(session, call->host->acl);
        reply_error(call->reply, is_denied ? REPLY_ERROR_DENIED : REPLY_ERROR_NO_AUTH);
        return true;
    }
    struct acl_verdict verdict = acl_check(session->user, call->command, call->argv, call->argc);
    if (verdict.reason == ACL_FINE)
        return false;
    struct span name = span_text(session->user->catalog->entry[verdict.id].name);
    note(call, (struct acl_denial){
                   .reason = verdict.reason,
                   .context = context_of(call->session),
                   .object = verdict.reason == ACL_NO_COMMAND ? name : call->argv[verdict.at],
                   .user = session_user_name(session)});
    reply_error_with(call->reply, texts[verdict.reason], name);
    return true;
}

// Rules may have changed since the commands were queued: the newest are asked.
bool acl_refuse_nested(struct call *call)
{
    static const char *const in_script[] = {
        [ACL_NO_COMMAND] = "can't run this command or subcommand",
        [ACL_NO_KEY] = "can't access at least one of the keys mentioned in the command arguments",
        [ACL_NO_CHANNEL] = "can't publish to the channel mentioned in the command"};
    static const char *const reasons[] = {
        [ACL_NO_COMMAND] = "no permission to execute the command or subcommand",
        [ACL_NO_KEY] = "no permission to touch the specified keys",
        [ACL_NO_CHANNEL] =
            "no permission to access one of the channels used as arguments to the command"};
    const struct acl_user *user = acl_find_id(call->server->acl->view, call->session->user_id);
    bool is_multi = !call->is_scripted;
    char text[300];
    if (user && acl_user_is_free(user))
        return false;
    struct acl_verdict verdict = {.reason = ACL_NO_COMMAND};
    if (user)
        verdict = acl_check(user, call->command, call->argv, call->argc);
    if (verdict.reason == ACL_FINE)
        return false;
    bool is_command = verdict.reason == ACL_NO_COMMAND;
    const struct access_catalog *catalog = call->server->acl->catalog;
    note(call, (struct acl_denial){.reason = verdict.reason,
                                   .context = is_multi ? "multi" : "lua",
                                   .object = is_command ? span_text(catalog->entry[verdict.id].name)
                                                        : call->argv[verdict.at],
                                   .user = user ? acl_user_name(user) : span_text("")});
    snprintf(text, sizeof text,
             is_multi ? "NOPERM ACLs rules changed between the moment the transaction was "
                        "accumulated and the EXEC call. This command is no longer allowed for the "
                        "following reason: %s"
                      : "ERR The user executing the script %s",
             (is_multi ? reasons : in_script)[verdict.reason]);
    reply_error_text(call->reply, text);
    return true;
}

bool command_is_denied(const struct call *call)
{
    const struct acl_user *user = acl_find_id(call->server->acl->view, call->session->user_id);
    if (user && acl_user_is_free(user))
        return false;
    if (user && acl_check(user, call->command, call->argv, call->argc).reason == ACL_FINE)
        return false;
    return true;
}
