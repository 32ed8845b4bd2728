// SPDX-License-Identifier: Apache-2.0
// OBJECT and MEMORY: how keys are held, and what they take. Nothing is kept of reads: a GET touches
// no shared line for the sake of a statistic, so there is no idle time and no frequency to tell.
#include "base/decimal.h"
#include "command/handlers.h"

// The table's share of a record: an 8-byte slot at the load that tables have on average.
#define SLOT_BYTES 11
#define SAMPLES    5 // of MEMORY USAGE, as in Redis

static struct record *find(struct call *call)
{
    struct record *record = key_find(call, call->argv[2]);
    if (!record)
        reply_nil(call->reply);
    return record;
}

int object_encoding(struct call *call)
{
    const struct record *record = find(call);
    if (record)
        reply_bulk_text(call->reply, strcmp(redis_type_name(record_type(record)), "set") == 0
                                         ? "hashtable"
                                         : "int");
    return 0;
}

int object_refcount(struct call *call)
{
    if (find(call))
        reply_integer(call->reply, 1);
    return 0;
}

int object_freq(struct call *call)
{
    if (find(call))
        reply_error_text(call->reply,
                         "ERR An LFU maxmemory policy is not selected, access frequency not "
                         "tracked. Reads leave no trace here");
    return 0;
}

int object_idletime(struct call *call)
{
    if (find(call))
        reply_error_text(call->reply, "ERR OBJECT IDLETIME is refused: reads leave no trace here, "
                                      "so that they cost nothing; QUIPU.FRESH tells when replicas "
                                      "were heard, QUIPU.VALUE the version of a key");
    return 0;
}

// ---- MEMORY

// Of members or leases: of some, times how many there are. 0: of all.
static size_t sampled_bytes(const struct record *record, uint64_t samples)
{
    uint64_t count = record_children_count(record), bytes = 0;
    if (samples == 0 || samples > count)
        samples = count;
    for (uint64_t i = 0; i < samples; i++)
        bytes += record_memory(record_child_at(record, (uint32_t)(count * i / samples)));
    uint64_t each = sizeof(void *) + SLOT_BYTES; // its place under the key, and in the table
    return samples ? (size_t)(bytes * count / samples + count * each) : 0;
}

int memory_usage(struct call *call)
{
    uint64_t samples = SAMPLES;
    bool is_right = call->argc == 3 || (call->argc == 5 && span_is_word(call->argv[3], "SAMPLES") &&
                                        decimal_parse_unsigned(call->argv[4], &samples));
    if (!is_right) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return 0;
    }
    struct record *record = find(call);
    if (!record)
        return 0;
    size_t bytes = record_memory(record) + SLOT_BYTES + sampled_bytes(record, samples);
    reply_integer(call->reply, (int64_t)bytes);
    return 0;
}

static void put_field(struct reply *reply, const char *name, uint64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, (int64_t)value);
}

int memory_stats(struct call *call)
{
    struct reply *reply = call->reply;
    struct keyspace_memory memory = keyspace_memory(call->keyspace);
    uint64_t keys = keyspace_keys_count(call->keyspace);
    uint64_t dataset = memory.records_bytes;
    uint64_t overhead = memory.tables_bytes + memory.order_bytes;
    reply_map(reply, 10);
    put_field(reply, "total.allocated", dataset + overhead);
    put_field(reply, "overhead.total", overhead);
    put_field(reply, "keys.count", keys);
    put_field(reply, "keys.bytes-per-key", keys ? (dataset + overhead) / keys : 0);
    put_field(reply, "dataset.bytes", dataset);
    put_field(reply, "records.count", memory.records_count);
    put_field(reply, "records.bytes", memory.records_bytes);
    put_field(reply, "tables.bytes", memory.tables_bytes);
    put_field(reply, "order.bytes", memory.order_bytes);
    put_field(reply, "process.resident", call->server->counts.resident_bytes);
    return 0;
}

int memory_doctor(struct call *call)
{
    struct keyspace_memory memory = keyspace_memory(call->keyspace);
    uint64_t keys = keyspace_keys_count(call->keyspace);
    uint64_t used = memory.records_bytes + memory.tables_bytes;
    const char *text = "What stands out: nothing.";
    if (used < 5u << 20)
        text = "There is too little in here to say anything about its memory.";
    else if (memory.records_count > 4 * (keys + 1))
        text = "What stands out: most records are members, leases, or what deleted keys left "
               "behind. The latter stay until every member has acknowledged the deletions: see "
               "collection_blocked_by in INFO quipu, and QUIPU.RETIRE a member that is gone for "
               "ever.";
    reply_verbatim(call->reply, "txt", span_text(text));
    return 0;
}

int memory_purge(struct call *call)
{
    replica_reclaim(call->replica);
    reply_ok(call->reply);
    return 0;
}

int memory_malloc_stats(struct call *call)
{
    reply_bulk_text(call->reply, "Stats not supported for the current allocator");
    return 0;
}
