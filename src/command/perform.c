// SPDX-License-Identifier: Apache-2.0
// A command within a command: EXEC's and a script's. It runs on the replica thread inside a commit,
// while no worker touches the keyspace (COMMAND_ATOMIC), so what a worker runs elsewhere may run
// here too, with the session and the host of the worker that waits.
//
// A command that has both forms is applied: its changes are then in this commit, and exact.
#include "command/acl.h"
#include "command/expire.h"
#include "command/handlers.h"
#include "command/transaction.h"
#include "replica/change.h"

int command_touch(struct call *call)
{
    const struct command *command = call->command;
    if (!(command->flags & COMMAND_WRITE) || !command->key_first ||
        !replica_has_deadlines(call->replica))
        return 0;
    int argc = (int)call->argc, fault = 0;
    int last = command->key_last < 0 ? argc + command->key_last : command->key_last;
    for (int i = command->key_first; i <= last && i < argc && !fault; i += command->key_step)
        fault = replica_touch(call->replica, call->argv[i]);
    return fault;
}

void command_perform(struct call *call)
{
    const struct command *command = call->command;
    call->is_nested = true;
    call->record = NULL;
    call->later = 0;
    if ((command->flags & COMMAND_KEY) && call->argc > 1) {
        struct address address = {.kind = UNIT_KEY, .key = call->argv[1]};
        call->hash = keyspace_hash(call->keyspace, &address);
    }
    if (call->session && acl_refuse_nested(call))
        return;
    if (call->server->bounds.is_full && bounds_refuse(call))
        return;
    if ((command->flags & COMMAND_FACTS) && call->server->collect)
        call->server->collect(call->server);
    int outcome;
    if (command_touch(call)) {
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
        return;
    }
    do {
        outcome = command->apply ? command->apply(call) : command->run(call);
    } while (outcome == COMMAND_E_MORE);
    if (outcome == COMMAND_E_LATER || outcome == COMMAND_E_TOUR)
        reply_error_text(call->reply, "ERR this command asks other threads: not inside a "
                                      "transaction or script");
    if (call->server->performed)
        call->server->performed(call->server, command);
    if (command->flags & COMMAND_DURABLE)
        call->is_durable = true;
}
