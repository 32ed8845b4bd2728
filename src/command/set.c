// SPDX-License-Identifier: Apache-2.0
// Sets that grow (GADD) and sets that members leave again (SADD, SREM ...): adds, removals, and
// questions about single members. A member is a record of its own, so a worker answers those;
// what changes members belongs to the replica thread.
#include <assert.h>
#include "base/decimal.h"
#include "command/expire.h"
#include "command/set.h"
#include "replica/change.h"

bool set_is_type(enum cell_type type)
{
    return type == CELL_GSET || type == CELL_SET;
}

bool set_find(struct call *call, struct record *record)
{
    if (!record || set_is_type(record_type(record)))
        return true;
    reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
    return false;
}

bool set_has(const struct call *call, struct span key, struct span member)
{
    struct address address = {.kind = UNIT_MEMBER, .key = key, .sub = member};
    uint64_t hash = keyspace_hash(call->keyspace, &address);
    const struct record *record = keyspace_find(call->keyspace, &address, hash);
    return record && (record_flags(record) & RECORD_LIVE) &&
           key_is_shown(call, record_parent(record));
}

// The key's record if members may be removed from it; NULL with the answer written unless it is
// just not there.
static struct record *find_shrinking(struct call *call, struct span key, bool *out_is_refused)
{
    struct record *record = key_find(call, key);
    bool is_grown = record && record_type(record) == CELL_GSET;
    *out_is_refused = is_grown || !set_find(call, record);
    if (is_grown)
        reply_error(call->reply, REPLY_ERROR_GROW_SET);
    return *out_is_refused ? NULL : record;
}

static bool are_allowed(struct call *call)
{
    for (uint32_t i = 1; i < call->argc; i++) {
        if (!key_is_allowed(call, call->argv[i]))
            return false;
    }
    return true;
}

// What opening a set to add to came to. True: go on.
static bool is_open(struct call *call, int outcome)
{
    if (outcome == CHANGE_E_TYPE)
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
    else if (outcome)
        reply_out_of_memory(call);
    return outcome == 0;
}

static int add_members(struct call *call, enum cell_type type)
{
    struct record *set;
    int64_t added = 0;
    if (!are_allowed(call) ||
        !is_open(call, replica_set_open(call->replica, call->argv[1], type, &set)))
        return 0;
    for (uint32_t i = 2; i < call->argc; i++) {
        bool is_new;
        if (replica_set_add(call->replica, set, type, call->argv[i], &is_new))
            return reply_out_of_memory(call);
        added += is_new;
    }
    reply_integer(call->reply, added);
    return 0;
}

int apply_gadd(struct call *call)
{
    return add_members(call, CELL_GSET);
}

int apply_sadd(struct call *call)
{
    return add_members(call, CELL_SET);
}

int apply_srem(struct call *call)
{
    bool is_refused;
    int64_t removed = 0;
    struct record *set = find_shrinking(call, call->argv[1], &is_refused);
    if (is_refused)
        return 0;
    for (uint32_t i = 2; set && i < call->argc; i++) {
        struct record *member = replica_set_member(call->replica, set, call->argv[i]);
        if (!member)
            continue;
        if (replica_set_remove(call->replica, member))
            return reply_out_of_memory(call);
        removed++;
    }
    reply_integer(call->reply, removed);
    return 0;
}

// SMOVE source destination member: both in this commit, so no replica sees it in neither for good.
int apply_smove(struct call *call)
{
    bool is_refused, is_new;
    struct span member = call->argv[3];
    struct record *source = find_shrinking(call, call->argv[1], &is_refused), *target;
    if (is_refused || !set_find(call, key_find(call, call->argv[2])) ||
        !key_is_allowed(call, call->argv[2]))
        return 0;
    struct record *from = source ? replica_set_member(call->replica, source, member) : NULL;
    bool is_same = span_is_equal(call->argv[1], call->argv[2]);
    if (from && !is_same) {
        if (!is_open(call, replica_set_open(call->replica, call->argv[2], CELL_SET, &target)))
            return 0;
        if (replica_set_add(call->replica, target, CELL_SET, member, &is_new) ||
            replica_set_remove(call->replica, from))
            return reply_out_of_memory(call);
    }
    reply_integer(call->reply, from != NULL);
    return 0;
}

static int pop_one(struct call *call, struct record *set)
{
    struct record *member = replica_set_random(call->replica, set);
    assert(member);
    reply_bulk(call->reply, record_address(member).sub);
    return replica_set_remove(call->replica, member);
}

// SPOP key [count]
int apply_spop(struct call *call)
{
    bool is_refused;
    uint64_t count = 1;
    if (call->argc > 3) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return 0;
    }
    if (call->argc == 3 &&
        (!decimal_parse_unsigned(call->argv[2], &count) || count > LIMIT_SET_PICK)) {
        reply_error_with(call->reply, REPLY_ERROR_NOT_IN_RANGE,
                         span_text("from 0 to " LIMIT_TEXT(LIMIT_SET_PICK)));
        return 0;
    }
    struct record *set = find_shrinking(call, call->argv[1], &is_refused);
    if (is_refused)
        return 0;
    uint64_t there = set ? record_members_count(set) : 0;
    if (call->argc == 2 && there == 0) {
        reply_nil(call->reply);
        return 0;
    }
    count = count < there ? count : there;
    if (call->argc == 3)
        reply_set(call->reply, count);
    for (; count > 0; count--) {
        if (pop_one(call, set))
            call->reply->out->failed = true; // in the middle of an answer: the client is closed
    }
    return 0;
}

// ---- on a worker

int run_scard(struct call *call)
{
    struct record *record = key_first(call);
    if (set_find(call, record))
        reply_integer(call->reply, record ? record_value(record) : 0);
    return 0;
}

int run_sismember(struct call *call)
{
    struct record *record = key_first(call);
    if (set_find(call, record))
        reply_integer(call->reply, record && set_has(call, call->argv[1], call->argv[2]));
    return 0;
}

int run_smismember(struct call *call)
{
    struct record *record = key_first(call);
    if (!set_find(call, record))
        return 0;
    reply_array(call->reply, call->argc - 2);
    for (uint32_t i = 2; i < call->argc; i++)
        reply_integer(call->reply, record && set_has(call, call->argv[1], call->argv[i]));
    return 0;
}
