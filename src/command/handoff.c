// SPDX-License-Identifier: Apache-2.0
// HANDOFF key state -> state: one message of a client that counts exactly once (crdt/handoff.h,
// include/quipu_handoff.h), and what this replica says to it. Both are bytes of one version.
#include "command/handlers.h"
#include "crdt/handoff.h"
#include "replica/change.h"

int apply_handoff(struct call *call)
{
    struct handoff_node message, answer;
    if (!key_is_allowed(call, call->argv[1]))
        return 0;
    int outcome = handoff_read(call->argv[2], call->reply->out->heap, &message);
    if (outcome == HANDOFF_E_MALFORMED) {
        reply_error_text(call->reply, "ERR not a handoff message of version 1");
        return 0;
    }
    if (outcome)
        return reply_out_of_memory(call);
    outcome = replica_handoff(call->replica, call->argv[1], &message, &answer);
    handoff_deinit(&message);
    if (outcome == CHANGE_E_TYPE)
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
    else if (outcome == CHANGE_E_OVERFLOW)
        reply_error(call->reply, REPLY_ERROR_OVERFLOW);
    else if (outcome)
        return reply_out_of_memory(call);
    if (outcome)
        return 0;
    struct buf bytes;
    buf_init(&bytes, call->reply->out->heap);
    handoff_write(&answer, &bytes);
    handoff_deinit(&answer);
    if (buf_has_failed(&bytes))
        reply_out_of_memory(call);
    else
        reply_bulk(call->reply, buf_span(&bytes));
    buf_deinit(&bytes);
    return 0;
}
