// SPDX-License-Identifier: Apache-2.0
// Presence: owner-scoped leases. PRESENCE.SET key owner count ttl-ms [EPOCH e SEQ s]; epoch and
// sequence are the owner's own order of what it says (its boot, its message number), so that a late
// or doubled heartbeat changes nothing.
#include "base/decimal.h"
#include "command/handlers.h"
#include "replica/change.h"

#define COUNT_MAX  ((int64_t)1 << 40)
#define TTL_MS_MAX (7 * 24 * 3600 * (int64_t)1000)

static bool parse_order(struct call *call, struct lease_request *request)
{
    for (uint32_t i = 5; i < call->argc; i += 2) {
        bool is_epoch = span_is_word(call->argv[i], "EPOCH");
        if (i + 1 == call->argc || (!is_epoch && !span_is_word(call->argv[i], "SEQ"))) {
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
            return false;
        }
        uint64_t *to = is_epoch ? &request->epoch : &request->sequence;
        if (!decimal_parse_unsigned(call->argv[i + 1], to)) {
            reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
            return false;
        }
    }
    return true;
}

static bool parse_request(struct call *call, struct lease_request *request)
{
    int64_t ttl_ms;
    request->key = call->argv[1];
    request->owner = call->argv[2];
    if (!key_is_allowed(call, request->key) || !key_is_allowed(call, request->owner))
        return false;
    if (!decimal_parse(call->argv[3], &request->count) || !decimal_parse(call->argv[4], &ttl_ms)) {
        reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
        return false;
    }
    if (request->count < 0 || request->count > COUNT_MAX) {
        reply_error_with(call->reply, REPLY_ERROR_NOT_IN_RANGE,
                         span_text("a count from 0 to 2^40"));
        return false;
    }
    if (ttl_ms < 1 || ttl_ms > TTL_MS_MAX) {
        reply_error_with(call->reply, REPLY_ERROR_NOT_IN_RANGE,
                         span_text("a time of life from 1 ms to 7 days"));
        return false;
    }
    request->ttl_ms = (uint32_t)ttl_ms;
    return parse_order(call, request);
}

int apply_presence_set(struct call *call)
{
    int64_t total;
    struct lease_request request = {0};
    if (!parse_request(call, &request))
        return 0;
    int outcome = replica_presence_set(call->replica, &request, &total);
    if (outcome < 0)
        return reply_out_of_memory(call);
    if (outcome == CHANGE_E_TYPE)
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
    else // CHANGE_E_STALE too: what is held is newer, and the total is the total
        reply_integer(call->reply, total);
    return 0;
}

struct list {
    struct call *call;
    size_t count;
};

static void put_row(void *ctx, const struct lease_row *row)
{
    struct list *list = ctx;
    struct reply *reply = list->call->reply;
    reply_array(reply, 4);
    reply_bulk(reply, row->owner);
    reply_integer(reply, row->count);
    reply_bulk_text(reply, replica_name_of(list->call, row->origin));
    reply_integer(reply, row->ttl_left_ms);
    list->count++;
}

int apply_presence_list(struct call *call)
{
    struct list list = {call, 0};
    const struct record *record = key_find(call, call->argv[1]);
    if (record && record_type(record) != CELL_PRESENCE) {
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
        return 0;
    }
    size_t mark = reply_open_array(call->reply);
    if (record)
        replica_presence_list(call->replica, call->argv[1], put_row, &list);
    reply_close_array(call->reply, mark, list.count);
    return 0;
}
