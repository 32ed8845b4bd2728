// SPDX-License-Identifier: Apache-2.0
// Keys whatever their type: existence, type, deletion, scans. A key exists for clients while its
// record is live; what else is in the keyspace (members, leases, what deleted keys left behind) is
// never shown.
#include "base/decimal.h"
#include "base/glob.h"
#include "command/handlers.h"
#include "replica/change.h"

#define SCAN_COUNT_DEFAULT 10
#define SCAN_COUNT_MAX     100000

static bool is_live_key(const struct record *record)
{
    return record && (record_flags(record) & RECORD_LIVE);
}

struct record *key_find(const struct call *call, struct span key)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    uint64_t hash = keyspace_hash(call->keyspace, &address);
    struct record *record = keyspace_find(call->keyspace, &address, hash);
    return is_live_key(record) ? record : NULL;
}

struct record *key_first(const struct call *call)
{
    struct address address = {.kind = UNIT_KEY, .key = call->argv[1]};
    struct record *record = keyspace_find(call->keyspace, &address, call->hash);
    return is_live_key(record) ? record : NULL;
}

bool key_is_allowed(struct call *call, struct span key)
{
    if (key.len <= LIMIT_KEY_BYTES)
        return true;
    reply_error(call->reply, REPLY_ERROR_KEY_TOO_LONG);
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
            found += is_live_key(batch.record[i]);
    }
    reply_integer(call->reply, found);
    return 0;
}

// As TYPE answers.
static const char *redis_type_name(enum cell_type type)
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

// Keys have no time of life in this version.
int run_ttl(struct call *call)
{
    reply_integer(call->reply, key_first(call) ? -1 : -2);
    return 0;
}

int run_object(struct call *call)
{
    if (!span_is_word(call->argv[1], "ENCODING"))
        return reply_subcommand(call);
    if (call->argc != 3)
        return reply_arity(call, "object|encoding");
    const struct record *record = key_find(call, call->argv[2]);
    if (!record)
        reply_nil(call->reply);
    else
        reply_bulk_text(call->reply, record_type(record) == CELL_GSET ? "hashtable" : "int");
    return 0;
}

// The record in its small form, with its share of the table: exact for a counter of one writer.
int run_memory(struct call *call)
{
    if (!span_is_word(call->argv[1], "USAGE"))
        return reply_subcommand(call);
    if (call->argc != 3 && call->argc != 5)
        return reply_arity(call, "memory|usage");
    if (key_find(call, call->argv[2]))
        reply_integer(call->reply, (int64_t)(62 + (call->argv[2].len + 7) / 8 * 8));
    else
        reply_nil(call->reply);
    return 0;
}

// ---- scans

struct scan {
    struct reply *reply;
    const struct span *pattern; // NULL: all
    unsigned types;             // bit set of cell_type
    size_t found;
};

#define ALL_TYPES ((1u << CELL_TYPES_COUNT) - 1)

static void scan_visit(void *ctx, struct record *record)
{
    struct scan *scan = ctx;
    struct address address = record_address(record);
    if (address.kind != UNIT_KEY || !is_live_key(record) ||
        !(scan->types & 1u << record_type(record)))
        return;
    if (scan->pattern && !glob_is_match(*scan->pattern, address.key))
        return;
    reply_bulk(scan->reply, address.key);
    scan->found++;
}

// By the name that TYPE answers, or by ours.
static unsigned types_named(struct span name)
{
    unsigned types = 0;
    for (unsigned type = 0; type < CELL_TYPES_COUNT; type++) {
        if (span_is_word(name, redis_type_name((enum cell_type)type)) ||
            span_is_word(name, cell_type_name((enum cell_type)type)))
            types |= 1u << type;
    }
    return types;
}

// MATCH, COUNT and TYPE. False: the error is written.
static bool parse_scan(struct call *call, struct scan *scan, unsigned *out_count)
{
    for (uint32_t i = 2; i < call->argc; i += 2) {
        int64_t count;
        if (i + 1 == call->argc) {
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
            return false;
        }
        struct span option = call->argv[i], value = call->argv[i + 1];
        if (span_is_word(option, "MATCH")) {
            scan->pattern = &call->argv[i + 1];
        } else if (span_is_word(option, "TYPE")) {
            scan->types = types_named(value);
        } else if (!span_is_word(option, "COUNT")) {
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
            return false;
        } else if (!decimal_parse(value, &count)) {
            reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
            return false;
        } else if (count < 1) {
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
            return false;
        } else {
            *out_count = count < SCAN_COUNT_MAX ? (unsigned)count : SCAN_COUNT_MAX;
        }
    }
    return true;
}

int run_scan(struct call *call)
{
    uint64_t cursor;
    unsigned count = SCAN_COUNT_DEFAULT;
    struct scan scan = {.reply = call->reply, .types = ALL_TYPES};
    if (!decimal_parse_unsigned(call->argv[1], &cursor)) {
        reply_error(call->reply, REPLY_ERROR_CURSOR);
        return 0;
    }
    if (!parse_scan(call, &scan, &count))
        return 0;
    // The next cursor comes first and is known last: the keys are written behind where it will be.
    struct buf keys;
    buf_init(&keys, call->reply->out->heap);
    struct reply inner = reply_to(&keys, call->reply->protocol);
    scan.reply = &inner;
    cursor = keyspace_scan(call->keyspace, cursor, count, scan_visit, &scan);
    reply_array(call->reply, 2);
    uint8_t digits[DECIMAL_LEN_MAX];
    reply_bulk(call->reply,
               span_of(digits, (size_t)(decimal_write_unsigned(digits, cursor) - digits)));
    reply_array(call->reply, scan.found);
    buf_put(call->reply->out, buf_span(&keys));
    call->reply->out->failed |= buf_has_failed(&keys);
    buf_deinit(&keys);
    return 0;
}

int run_keys(struct call *call)
{
    struct scan scan = {.reply = call->reply, .pattern = &call->argv[1], .types = ALL_TYPES};
    size_t mark = reply_open_array(call->reply);
    uint64_t cursor = 0;
    do {
        cursor = keyspace_scan(call->keyspace, cursor, 1024, scan_visit, &scan);
    } while (cursor);
    reply_close_array(call->reply, mark, scan.found);
    return 0;
}
