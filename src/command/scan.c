// SPDX-License-Identifier: Apache-2.0
// Walks over the keys: SCAN, KEYS, RANDOMKEY. A walk goes through the hash order while others
// write: a key that is there from its beginning to its end is told at least once, as in Redis, and
// at most once unless it was deleted and made again meanwhile.
#include "base/decimal.h"
#include "base/glob.h"
#include "command/expire.h"
#include "command/handlers.h"

#define SCAN_COUNT_DEFAULT 10
#define SCAN_COUNT_MAX     100000
#define RANDOM_STEP        16 // records to choose among

struct scan {
    const struct call *call;
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
    if (address.kind != UNIT_KEY || !key_is_shown(scan->call, record) ||
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
            if (!pattern_is_allowed(call, value))
                return false;
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
    struct scan scan = {.call = call, .reply = call->reply, .types = ALL_TYPES};
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
    struct scan scan = {
        .call = call, .reply = call->reply, .pattern = &call->argv[1], .types = ALL_TYPES};
    if (!pattern_is_allowed(call, call->argv[1]))
        return 0;
    size_t mark = reply_open_array(call->reply);
    uint64_t cursor = 0;
    do {
        cursor = keyspace_scan(call->keyspace, cursor, 1024, scan_visit, &scan);
    } while (cursor);
    reply_close_array(call->reply, mark, scan.found);
    return 0;
}

// One of the first few keys behind a random place of the hash order.
struct draw {
    const struct call *call;
    struct span key;
    uint64_t seen, random;
};

static void draw_visit(void *ctx, struct record *record)
{
    struct draw *draw = ctx;
    struct address address = record_address(record);
    if (address.kind != UNIT_KEY || !key_is_shown(draw->call, record))
        return;
    draw->random = draw->random * 6364136223846793005u + 1442695040888963407u;
    if ((draw->random >> 33) % ++draw->seen == 0)
        draw->key = address.key;
}

int run_randomkey(struct call *call)
{
    struct host *host = call->host;
    uint64_t cursor = host->ops->random(host);
    struct draw draw = {.call = call, .random = cursor};
    for (unsigned passes = 0; passes < 2 && !draw.seen; passes++) { // from there, then from 0
        do {
            cursor = keyspace_scan(call->keyspace, cursor, RANDOM_STEP, draw_visit, &draw);
        } while (cursor && !draw.seen);
    }
    if (draw.seen)
        reply_bulk(call->reply, draw.key);
    else
        reply_nil(call->reply);
    return 0;
}
