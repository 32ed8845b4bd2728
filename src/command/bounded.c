// SPDX-License-Identifier: Apache-2.0
// Bounded counters: what they have beside INCRBY, DECRBY and GET (counter.c). What is left at this
// replica is told with every refusal, so that a client can ask another one, or for less.
#include <inttypes.h>
#include <stdio.h>
#include "base/decimal.h"
#include "command/handlers.h"
#include "replica/change.h"

void reply_no_rights(struct call *call, int64_t left)
{
    char text[100];
    snprintf(text, sizeof text, "NORIGHTS %" PRId64 " left here; others may hold more", left);
    reply_error_text(call->reply, text);
}

int create_bounded(struct call *call)
{
    int64_t bound;
    if (!decimal_parse(call->argv[3], &bound) || bound > LIMIT_TOTAL || bound < -LIMIT_TOTAL) {
        reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
        return 0;
    }
    int outcome = replica_bounded_create(call->replica, call->argv[1], bound);
    if (outcome == 0)
        reply_ok(call->reply);
    else if (outcome == CHANGE_E_BOUND)
        reply_error_text(call->reply, "ERR the key is there with another bound");
    else if (outcome == CHANGE_E_TYPE)
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
    else
        reply_out_of_memory(call);
    return 0;
}

// QUIPU.TRANSFER key amount replica -> the rights that are left here
int apply_transfer(struct call *call)
{
    int64_t amount, left = 0;
    if (!decimal_parse(call->argv[2], &amount) || amount < 0) {
        reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
        return 0;
    }
    int outcome =
        replica_bounded_transfer(call->replica, call->argv[1], amount, call->argv[3], &left);
    if (outcome == 0)
        reply_integer(call->reply, left);
    else if (outcome == CHANGE_E_RIGHTS)
        reply_no_rights(call, left);
    else if (outcome == CHANGE_E_REPLICA)
        reply_error_with(call->reply, REPLY_ERROR_NO_REPLICA, call->argv[3]);
    else if (outcome == CHANGE_E_TYPE)
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
    else if (outcome == CHANGE_E_OVERFLOW)
        reply_error(call->reply, REPLY_ERROR_OVERFLOW);
    else
        reply_out_of_memory(call);
    return 0;
}
