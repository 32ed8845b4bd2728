// SPDX-License-Identifier: Apache-2.0
// HyperLogLog by Redis's names. All of it belongs to the replica thread: a member may raise a
// register in a block that a worker cannot change.
#include "command/handlers.h"
#include "replica/change.h"

static bool are_keys_allowed(struct call *call, uint32_t end)
{
    for (uint32_t i = 1; i < end; i++) {
        if (!key_is_allowed(call, call->argv[i]))
            return false;
    }
    return true;
}

static int refuse(struct call *call, int outcome)
{
    if (outcome != CHANGE_E_TYPE)
        return reply_out_of_memory(call);
    reply_error_text(call->reply, "WRONGTYPE Key is not a valid HyperLogLog string value.");
    return 0;
}

int apply_pfadd(struct call *call)
{
    bool is_changed;
    if (!are_keys_allowed(call, 2))
        return 0;
    int outcome = replica_sketch_add(call->replica, call->argv[1], call->argv + 2, call->argc - 2,
                                     &is_changed);
    if (outcome)
        return refuse(call, outcome);
    reply_integer(call->reply, is_changed);
    return 0;
}

int apply_pfcount(struct call *call)
{
    uint64_t count;
    int outcome = replica_sketch_count(call->replica, call->argv + 1, call->argc - 1, &count);
    if (outcome)
        return refuse(call, outcome);
    reply_integer(call->reply, (int64_t)count);
    return 0;
}

int apply_pfmerge(struct call *call)
{
    if (!are_keys_allowed(call, call->argc))
        return 0;
    int outcome =
        replica_sketch_merge(call->replica, call->argv[1], call->argv + 2, call->argc - 2);
    if (outcome)
        return refuse(call, outcome);
    reply_ok(call->reply);
    return 0;
}
