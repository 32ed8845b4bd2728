// SPDX-License-Identifier: Apache-2.0
// What is asked of the server as a whole, and the small answers that clients and tools expect of a
// Redis without replication or scripts.
#include <stdio.h>
#include "base/decimal.h"
#include "command/handlers.h"
#include "replica/change.h"

int run_time(struct call *call)
{
    uint64_t now_us = call->host->ops->wall_us(call->host);
    char text[32];
    reply_array(call->reply, 2);
    snprintf(text, sizeof text, "%llu", (unsigned long long)(now_us / 1000000));
    reply_bulk_text(call->reply, text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)(now_us % 1000000));
    reply_bulk_text(call->reply, text);
    return 0;
}

int run_role(struct call *call)
{
    reply_array(call->reply, 3);
    reply_bulk_text(call->reply, "master");
    reply_integer(call->reply, 0);
    reply_array(call->reply, 0);
    return 0;
}

int run_cluster(struct call *call)
{
    reply_error(call->reply, REPLY_ERROR_NO_CLUSTER);
    return 0;
}

int run_module(struct call *call)
{
    if (span_is_word(call->argv[1], "LIST"))
        reply_array(call->reply, 0);
    else
        reply_error_text(call->reply, "ERR MODULE is refused: quipu loads no code of others but "
                                      "Lua, see --hook");
    return 0;
}

int apply_flush(struct call *call)
{
    bool is_right = call->argc == 1 || (call->argc == 2 && (span_is_word(call->argv[1], "ASYNC") ||
                                                            span_is_word(call->argv[1], "SYNC")));
    if (!is_right)
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
    else if (replica_flush(call->replica))
        return reply_out_of_memory(call);
    else
        reply_ok(call->reply);
    return 0;
}
