// SPDX-License-Identifier: Apache-2.0
// Grow-only sets. A member is a record of its own, so membership and the count are answered by a
// worker; adding and listing walk the key's members and belong to the replica thread.
#include "command/handlers.h"
#include "replica/change.h"

// The key's record if it shows a set. False: the answer (WRONGTYPE) is written.
static bool find_set(struct call *call, struct record *record, bool *out_is_there)
{
    *out_is_there = record != NULL;
    if (!record || record_type(record) == CELL_GSET)
        return true;
    reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
    return false;
}

int apply_gadd(struct call *call)
{
    int64_t added = 0;
    for (uint32_t i = 1; i < call->argc; i++) {
        if (!key_is_allowed(call, call->argv[i]))
            return 0;
    }
    for (uint32_t i = 2; i < call->argc; i++) {
        bool is_new;
        int outcome = replica_set_add(call->replica, call->argv[1], call->argv[i], &is_new);
        if (outcome == CHANGE_E_TYPE) {
            reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
            return 0;
        }
        if (outcome)
            return reply_out_of_memory(call);
        added += is_new;
    }
    reply_integer(call->reply, added);
    return 0;
}

int run_scard(struct call *call)
{
    bool is_there;
    struct record *record = key_first(call);
    if (find_set(call, record, &is_there))
        reply_integer(call->reply, is_there ? record_value(record) : 0);
    return 0;
}

static bool is_member(const struct call *call, struct span member)
{
    struct address address = {.kind = UNIT_MEMBER, .key = call->argv[1], .sub = member};
    uint64_t hash = keyspace_hash(call->keyspace, &address);
    const struct record *record = keyspace_find(call->keyspace, &address, hash);
    return record && (record_flags(record) & RECORD_LIVE);
}

int run_sismember(struct call *call)
{
    bool is_there;
    if (find_set(call, key_first(call), &is_there))
        reply_integer(call->reply, is_there && is_member(call, call->argv[2]));
    return 0;
}

int run_smismember(struct call *call)
{
    bool is_there;
    if (!find_set(call, key_first(call), &is_there))
        return 0;
    reply_array(call->reply, call->argc - 2);
    for (uint32_t i = 2; i < call->argc; i++)
        reply_integer(call->reply, is_there && is_member(call, call->argv[i]));
    return 0;
}

static void put_member(void *ctx, struct span member)
{
    reply_bulk(ctx, member);
}

static void count_member(void *ctx, struct span member)
{
    (void)member;
    ++*(size_t *)ctx;
}

int apply_smembers(struct call *call)
{
    bool is_there;
    size_t count = 0;
    if (!find_set(call, key_find(call, call->argv[1]), &is_there))
        return 0;
    if (is_there)
        replica_set_members(call->replica, call->argv[1], count_member, &count);
    reply_set(call->reply, count);
    if (is_there)
        replica_set_members(call->replica, call->argv[1], put_member, call->reply);
    return 0;
}
