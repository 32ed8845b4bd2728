// SPDX-License-Identifier: Apache-2.0
// Counters. INCR is the hot path of the whole database: find the record, add, write the number; no
// lock, no allocation once the key exists, no clock. What a worker cannot reckon exactly (sums near
// a limit, a dead key of another type) is handed to the replica thread.
//
// SET is an observed reset and a base. Its options are refused: NX, XX and GET promise to see the
// key's one current state, which a replica among others does not have.
#include <errno.h>
#include "base/decimal.h"
#include "command/expire.h"
#include "command/handlers.h"
#include "command/set.h"
#include "replica/change.h"

static const char token_is_old[] =
    "OLDTOKEN the token was made longer ago than --token-window: whether it was counted then is "
    "not known any more; nothing was added";
static const char token_is_early[] =
    "ERR the token was made later than now by this replica's clock: nothing was added";
static const char token_is_long[] =
    "ERR a token has 1 to " LIMIT_TEXT(LIMIT_TOKEN_BYTES) " bytes: nothing was added";
static const char only_integers[] =
    "ERR quipu holds counters: the value of SET must be an integer (sets: GADD, presence: "
    "PRESENCE.SET)";

#define TOKEN_AT 4u // in INCRBY key n ID token

void reply_out_of_range(struct call *call)
{
    reply_error_text(call->reply, "ERR the exact value does not fit a signed 64-bit integer");
}

// ---- adding

static int refuse_type(struct call *call, enum cell_type type)
{
    reply_error(call->reply,
                type == CELL_GCOUNTER ? REPLY_ERROR_GROW_ONLY : REPLY_ERROR_WRONG_TYPE);
    return 0;
}

// 0, RECORD_E_EXACT, or RECORD_E_TYPE with its error written.
static int add_to(struct call *call, struct record *record, int64_t amount)
{
    int64_t value;
    bool is_first = false;
    int outcome = keyspace_add(call->keyspace, record, amount, &value, &is_first);
    if (outcome == RECORD_E_EXACT && key_is_shown(call, record))
        outcome = keyspace_add_mortal(call->keyspace, record, amount, &value, &is_first);
    if (is_first)
        call->is_first = true;
    if (outcome == 0)
        reply_integer(call->reply, value);
    if (outcome == RECORD_E_TYPE &&
        (record_type(record) == CELL_BOUNDED || record_type(record) == CELL_HANDOFF))
        return RECORD_E_EXACT;
    return outcome == RECORD_E_TYPE ? refuse_type(call, record_type(record)) : outcome;
}

static int run_add(struct call *call, int64_t amount)
{
    struct address address = {.kind = UNIT_KEY, .key = call->argv[1]};
    int outcome;
    do {
        if (!call->record)
            call->record = keyspace_find(call->keyspace, &address, call->hash);
        if (!call->record) {
            if (!key_is_allowed(call, address.key))
                return 0;
            call->record = keyspace_obtain(call->keyspace, &address, call->hash, CELL_COUNTER);
            if (!call->record)
                return reply_out_of_memory(call);
        }
        outcome = add_to(call, call->record, amount);
        if (outcome == RECORD_E_DEAD)
            call->record = NULL; // found anew
    } while (outcome == RECORD_E_DEAD);
    return outcome ? COMMAND_E_POST : 0;
}

static int refuse_add(struct call *call, int outcome)
{
    if (outcome == CHANGE_E_OVERFLOW)
        reply_error(call->reply, REPLY_ERROR_OVERFLOW);
    else if (outcome == CHANGE_E_TYPE)
        refuse_type(call, record_type(key_find(call, call->argv[1])));
    else if (outcome == CHANGE_E_OLD || outcome == CHANGE_E_EARLY)
        reply_error_text(call->reply, outcome == CHANGE_E_OLD ? token_is_old : token_is_early);
    else
        reply_out_of_memory(call);
    return 0;
}

// The value after it, and whether it was added now or had been.
static int apply_once(struct call *call, int64_t amount)
{
    struct token_request request = {call->argv[1], call->argv[TOKEN_AT], amount};
    int64_t value;
    bool is_added;
    int outcome = replica_add_once(call->replica, &request, &value, &is_added);
    if (outcome)
        return refuse_add(call, outcome);
    reply_array(call->reply, 2);
    reply_integer(call->reply, value);
    reply_integer(call->reply, is_added);
    return 0;
}

static bool has_token(const struct call *call)
{
    return call->argc > TOKEN_AT;
}

static int apply_add(struct call *call, int64_t amount)
{
    int64_t value, left = 0;
    if (has_token(call))
        return apply_once(call, amount);
    int outcome = replica_add(call->replica, call->argv[1], amount, &value);
    if (outcome == CHANGE_E_TYPE) {
        outcome = replica_bounded_add(call->replica, call->argv[1], amount, &value, &left);
        call->is_durable |= amount < 0; // what was taken stays taken
    }
    if (outcome == CHANGE_E_RIGHTS)
        reply_no_rights(call, left);
    else if (outcome)
        return refuse_add(call, outcome);
    else
        reply_integer(call->reply, value);
    return 0;
}

// Whether what follows the amount is a token. False: the error is written.
static bool is_token_right(struct call *call)
{
    size_t len = call->argc == TOKEN_AT + 1 ? call->argv[TOKEN_AT].len : 0;
    if (call->argc != TOKEN_AT + 1 || !span_is_word(call->argv[TOKEN_AT - 1], "ID"))
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
    else if (len == 0 || len > LIMIT_TOKEN_BYTES)
        reply_error_text(call->reply, token_is_long);
    else
        return key_is_allowed(call, call->argv[1]);
    return false;
}

// The amount of INCRBY and DECRBY. False: the error is written.
static bool parse_amount(struct call *call, int64_t *out_amount)
{
    if (call->argc != 3 && !is_token_right(call))
        return false;
    if (decimal_parse(call->argv[2], out_amount))
        return true;
    reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
    return false;
}

static bool parse_decrement(struct call *call, int64_t *out_amount)
{
    int64_t amount;
    if (!parse_amount(call, &amount))
        return false;
    if (amount == INT64_MIN) {
        reply_error_text(call->reply, "ERR decrement would overflow");
        return false;
    }
    *out_amount = -amount;
    return true;
}

int run_incr(struct call *call)
{
    return run_add(call, 1);
}

int run_decr(struct call *call)
{
    return run_add(call, -1);
}

int run_incrby(struct call *call)
{
    int64_t amount;
    if (!parse_amount(call, &amount))
        return 0;
    return has_token(call) ? COMMAND_E_POST : run_add(call, amount);
}

int run_decrby(struct call *call)
{
    int64_t amount;
    if (!parse_decrement(call, &amount))
        return 0;
    return has_token(call) ? COMMAND_E_POST : run_add(call, amount);
}

int apply_incr(struct call *call)
{
    return apply_add(call, 1);
}

int apply_decr(struct call *call)
{
    return apply_add(call, -1);
}

int apply_incrby(struct call *call)
{
    int64_t amount;
    return parse_amount(call, &amount) ? apply_add(call, amount) : 0;
}

int apply_decrby(struct call *call)
{
    int64_t amount;
    return parse_decrement(call, &amount) ? apply_add(call, amount) : 0;
}

// ---- reading

// GET answers counters and presence, which are one number; other types are WRONGTYPE. In an array
// (MGET) a key that has no number is nil, as in Redis.
void reply_count(struct call *call, const struct record *record, bool is_in_array)
{
    uint32_t flags = record ? record_flags(record) : 0;
    if (!(flags & RECORD_LIVE) || ((flags & RECORD_MORTAL) && key_is_over(call, record)))
        reply_nil(call->reply);
    else if (set_is_type(record_type(record)) && is_in_array)
        reply_nil(call->reply);
    else if (set_is_type(record_type(record)))
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
    else if (flags & RECORD_RANGE)
        reply_out_of_range(call);
    else
        reply_bulk_integer(call->reply, record_value(record));
}

int run_get(struct call *call)
{
    struct address address = {.kind = UNIT_KEY, .key = call->argv[1]};
    reply_count(call, keyspace_find(call->keyspace, &address, call->hash), false);
    return 0;
}

int run_mget(struct call *call)
{
    struct key_batch batch = {.next = 1};
    reply_array(call->reply, call->argc - 1);
    while (key_batch_next(call, &batch)) {
        for (uint32_t i = 0; i < batch.count; i++)
            reply_count(call, batch.record[i], true);
    }
    return 0;
}

// ---- setting

// All of it or nothing: what is wrong with any pair is found before the first is set.
static bool may_set(struct call *call)
{
    int64_t value;
    if (call->argc % 2 == 0) {
        reply_arity(call, "mset");
        return false;
    }
    for (uint32_t i = 1; i < call->argc; i += 2) {
        if (!decimal_parse(call->argv[i + 1], &value)) {
            reply_error_text(call->reply, only_integers);
            return false;
        }
        if (!key_is_allowed(call, call->argv[i]))
            return false;
        const struct record *record = key_find(call, call->argv[i]);
        if (record && record_type(record) != CELL_COUNTER) {
            reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
            return false;
        }
    }
    return true;
}

int apply_mset(struct call *call)
{
    if (!may_set(call))
        return 0;
    for (uint32_t i = 1; i < call->argc; i += 2) {
        int64_t value = 0;
        decimal_parse(call->argv[i + 1], &value);
        if (replica_set(call->replica, call->argv[i], value))
            return reply_out_of_memory(call);
    }
    reply_ok(call->reply);
    return 0;
}
