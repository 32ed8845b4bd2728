// SPDX-License-Identifier: Apache-2.0
// Who a session is: AUTH and HELLO AUTH; and what it may not do then. What is refused to a user is
// noted for ACL LOG, who must say who they are is not.
#include "command/acl.h"
#include "command/handlers.h"

static void note(struct call *call, enum acl_reason reason, struct span object, struct span user)
{
    struct buf line;
    buf_init(&line, call->reply->out->heap);
    struct session_load load;
    call->host->ops->load(call->host, call->session, &load);
    session_put_line(call->session, &load, call->now_ms, &line);
    struct acl_denial denial = {.reason = reason,
                                .context = "toplevel",
                                .object = object,
                                .user = user,
                                .client = span_of(line.ptr, line.len ? line.len - 1 : 0)};
    call->host->ops->deny(call->host, &denial);
    buf_deinit(&line);
}

bool auth_enter(struct call *call, struct span name, struct span password)
{
    const struct acl_user *user = acl_find(call->host->acl, name);
    if (user && acl_user_takes(user, password)) {
        acl_enter(call->session, user, true);
        return true;
    }
    note(call, ACL_NO_AUTH, call->argv[0], name);
    reply_error(call->reply, REPLY_ERROR_WRONG_PASSWORD);
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
        reply_error(call->reply, REPLY_ERROR_NO_AUTH);
        return true;
    }
    struct acl_verdict verdict = acl_check(session->user, call->command, call->argv, call->argc);
    if (verdict.reason == ACL_FINE)
        return false;
    struct span name = span_text(session->user->catalog->entry[verdict.id].name);
    note(call, verdict.reason, verdict.reason == ACL_NO_COMMAND ? name : call->argv[verdict.at],
         session_user_name(session));
    reply_error_with(call->reply, texts[verdict.reason], name);
    return true;
}
