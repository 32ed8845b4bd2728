// SPDX-License-Identifier: Apache-2.0
// Keys whatever their type: existence, type, deletion. A key exists for clients while its
// record is live; what else is in the keyspace (members, leases, what deleted keys left behind) is
// never shown.
#include "command/expire.h"
#include "command/handlers.h"
#include "replica/change.h"

struct record *key_find(const struct call *call, struct span key)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    uint64_t hash = keyspace_hash(call->keyspace, &address);
    struct record *record = keyspace_find(call->keyspace, &address, hash);
    return key_is_shown(call, record) ? record : NULL;
}

struct record *key_first(const struct call *call)
{
    struct address address = {.kind = UNIT_KEY, .key = call->argv[1]};
    struct record *record = keyspace_find(call->keyspace, &address, call->hash);
    return key_is_shown(call, record) ? record : NULL;
}

bool key_is_allowed(struct call *call, struct span key)
{
    if (key.len <= LIMIT_KEY_BYTES)
        return true;
    reply_error(call->reply, REPLY_ERROR_KEY_TOO_LONG);
    return false;
}

bool pattern_is_allowed(struct call *call, struct span pattern)
{
    if (pattern.len <= LIMIT_PATTERN_BYTES)
        return true;
    reply_error_with(call->reply, REPLY_ERROR_TOO_LONG, span_text("pattern"));
    return false;
}

// Both passes of prefetching over the next keys, then the look-ups: their misses overlap.
bool key_batch_next(const struct call *call, struct key_batch *batch)
{
    uint64_t hash[KEY_BATCH];
    uint32_t left = call->argc - batch->next;
    uint32_t count = left < KEY_BATCH ? left : KEY_BATCH;
    const struct span *keys = call->argv + batch->next;
    for (uint32_t i = 0; i < count; i++) {
        struct address address = {.kind = UNIT_KEY, .key = keys[i]};
        hash[i] = keyspace_hash(call->keyspace, &address);
        keyspace_prefetch(call->keyspace, hash[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        keyspace_prefetch_record(call->keyspace, hash[i]);
    for (uint32_t i = 0; i < count; i++) {
        struct address address = {.kind = UNIT_KEY, .key = keys[i]};
        batch->record[i] = keyspace_find(call->keyspace, &address, hash[i]);
    }
    batch->count = count;
    batch->next += count;
    return count > 0;
}

int apply_del(struct call *call)
{
    int64_t deleted = 0;
    for (uint32_t i = 1; i < call->argc; i++) {
        bool was_live;
        if (replica_delete(call->replica, call->argv[i], &was_live))
            return reply_out_of_memory(call);
        deleted += was_live;
    }
    reply_integer(call->reply, deleted);
    return 0;
}

int run_exists(struct call *call)
{
    struct key_batch batch = {.next = 1};
    int64_t found = 0;
    while (key_batch_next(call, &batch)) {
        for (uint32_t i = 0; i < batch.count; i++)
            found += key_is_shown(call, batch.record[i]);
    }
    reply_integer(call->reply, found);
    return 0;
}

// As TYPE answers.
const char *redis_type_name(enum cell_type type)
{
    static const char *const names[CELL_TYPES_COUNT] = {
        [CELL_COUNTER] = "string", [CELL_GCOUNTER] = "string",   [CELL_GSET] = "set",
        [CELL_SET] = "set",        [CELL_HLL] = "string",        [CELL_BOUNDED] = "string",
        [CELL_HANDOFF] = "string", [CELL_PRESENCE] = "presence",
    };
    return names[type];
}

int run_type(struct call *call)
{
    const struct record *record = key_first(call);
    reply_simple(call->reply, record ? redis_type_name(record_type(record)) : "none");
    return 0;
}

int run_dbsize(struct call *call)
{
    reply_integer(call->reply, (int64_t)keyspace_keys_count(call->keyspace));
    return 0;
}
