// SPDX-License-Identifier: Apache-2.0
// Times of life, and what goes with them: EXPIRE and its kin, TTL and its kin, PERSIST, SET with
// its options, GETEX, GETSET, GETDEL. A deadline is a point of the wall clock, the same at every
// replica, and each hides the key by its own.
//
// SET ... NX and XX are refused: they promise to see the key's one current state, which a replica
// among others does not have. EXPIRE's conditions look at the deadline that is known here.
#include "base/decimal.h"
#include "command/expire.h"
#include "command/handlers.h"
#include "command/set.h"
#include "replica/change.h"

static const char only_integers[] =
    "ERR quipu holds counters: the value of SET must be an integer (sets: GADD, presence: "
    "PRESENCE.SET)";
static const char no_conditions[] =
    "ERR SET with NX or XX needs one leader, counters at many replicas have none; use SET key "
    "value, INCRBY, or INCRBY with an ID";
static const char no_such_pair[] =
    "ERR NX and XX, GT or LT options at the same time are not compatible";
static const char no_such_range[] = "ERR GT and LT options at the same time are not compatible";

uint64_t call_clock_ms(const struct call *call)
{
    if (call->replica)
        return replica_clock_ms(call->replica);
    return call->host->ops->wall_us(call->host) / 1000;
}

bool key_is_over(const struct call *call, const struct record *record)
{
    int64_t at_ms = keyspace_deadline(call->keyspace, record);
    return at_ms && at_ms != DEADLINE_NEVER && (uint64_t)at_ms <= call_clock_ms(call);
}

// ---- reading times

enum { IN_SECONDS = 1, ABSOLUTE = 2 };

static int refuse_time(struct call *call)
{
    command_refuse_as(call, REPLY_ERROR_EXPIRE_TIME);
    return 0;
}

// A deadline from an argument. False: the error is written.
static bool parse_time(struct call *call, struct span text, unsigned form, int64_t *out_at_ms)
{
    int64_t at_ms, now_ms = form & ABSOLUTE ? 0 : (int64_t)call_clock_ms(call);
    if (!decimal_parse(text, &at_ms)) {
        reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
        return false;
    }
    if ((form & IN_SECONDS && __builtin_mul_overflow(at_ms, 1000, &at_ms)) ||
        __builtin_add_overflow(at_ms, now_ms, &at_ms) || at_ms == DEADLINE_NEVER) {
        refuse_time(call);
        return false;
    }
    *out_at_ms = at_ms > 0 ? at_ms : 1; // long ago
    return true;
}

static bool parse_conditions(struct call *call, unsigned *out_conditions)
{
    static const struct {
        const char *word;
        unsigned condition;
    } words[] = {{"NX", EXPIRE_NX}, {"XX", EXPIRE_XX}, {"GT", EXPIRE_GT}, {"LT", EXPIRE_LT}};
    *out_conditions = 0;
    for (uint32_t i = 3; i < call->argc; i++) {
        unsigned condition = 0;
        for (size_t at = 0; at < sizeof words / sizeof *words; at++) {
            if (span_is_word(call->argv[i], words[at].word))
                condition = words[at].condition;
        }
        if (!condition) {
            reply_error_with(call->reply, REPLY_ERROR_OPTION, call->argv[i]);
            return false;
        }
        *out_conditions |= condition;
    }
    unsigned others = *out_conditions & (EXPIRE_XX | EXPIRE_GT | EXPIRE_LT);
    bool is_pair = *out_conditions & EXPIRE_NX && others;
    if (is_pair || (others & (EXPIRE_GT | EXPIRE_LT)) == (EXPIRE_GT | EXPIRE_LT)) {
        reply_error_text(call->reply, is_pair ? no_such_pair : no_such_range);
        return false;
    }
    return true;
}

// ---- EXPIRE

static int expire(struct call *call, unsigned form)
{
    struct expire_request request = {.key = call->argv[1]};
    bool is_done;
    if (!parse_time(call, call->argv[2], form, &request.at_ms) ||
        !parse_conditions(call, &request.conditions))
        return 0;
    if (replica_expire(call->replica, &request, &is_done))
        return reply_out_of_memory(call);
    reply_integer(call->reply, is_done);
    return 0;
}

int apply_expire(struct call *call)
{
    return expire(call, IN_SECONDS);
}

int apply_pexpire(struct call *call)
{
    return expire(call, 0);
}

int apply_expireat(struct call *call)
{
    return expire(call, IN_SECONDS | ABSOLUTE);
}

int apply_pexpireat(struct call *call)
{
    return expire(call, ABSOLUTE);
}

int apply_persist(struct call *call)
{
    struct expire_request request = {.key = call->argv[1], .at_ms = DEADLINE_NEVER};
    bool is_done;
    if (replica_expire(call->replica, &request, &is_done))
        return reply_out_of_memory(call);
    reply_integer(call->reply, is_done);
    return 0;
}

// ---- TTL

// -2: no key, -1: no deadline.
static int tell_time(struct call *call, unsigned form)
{
    const struct record *record = key_first(call);
    int64_t at_ms = record ? keyspace_deadline(call->keyspace, record) : 0;
    if (!record || at_ms == 0 || at_ms == DEADLINE_NEVER) {
        reply_integer(call->reply, record ? -1 : -2);
        return 0;
    }
    if (!(form & ABSOLUTE))
        at_ms -= (int64_t)call_clock_ms(call);
    if (form & IN_SECONDS)
        at_ms = (at_ms + (form & ABSOLUTE ? 0 : 500)) / 1000;
    reply_integer(call->reply, at_ms);
    return 0;
}

int run_ttl(struct call *call)
{
    return tell_time(call, IN_SECONDS);
}

int run_pttl(struct call *call)
{
    return tell_time(call, 0);
}

int run_expiretime(struct call *call)
{
    return tell_time(call, IN_SECONDS | ABSOLUTE);
}

int run_pexpiretime(struct call *call)
{
    return tell_time(call, ABSOLUTE);
}

// ---- SET and GET with more

struct options {
    int64_t at_ms; // 0: none; DEADLINE_NEVER: PERSIST
    bool is_get, is_keeping;
};

static const struct time_option {
    const char *word;
    unsigned form;
} times[] = {{"EX", IN_SECONDS}, {"PX", 0}, {"EXAT", IN_SECONDS | ABSOLUTE}, {"PXAT", ABSOLUTE}};

// EX, PX, EXAT, PXAT at argv[*at]. out_is_one: it was one of them. False: the error is written.
static bool parse_time_option(struct call *call, uint32_t *at, struct options *options,
                              bool *out_is_one)
{
    *out_is_one = false;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        if (!span_is_word(call->argv[*at], times[i].word))
            continue;
        *out_is_one = true;
        int64_t number;
        if (options->at_ms || options->is_keeping || *at + 1 == call->argc) {
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
            return false;
        }
        struct span text = call->argv[++*at];
        if (decimal_parse(text, &number) && number <= 0) {
            refuse_time(call);
            return false;
        }
        return parse_time(call, text, times[i].form, &options->at_ms);
    }
    return true;
}

static bool parse_set(struct call *call, struct options *options)
{
    for (uint32_t i = 3; i < call->argc; i++) {
        bool is_time;
        if (!parse_time_option(call, &i, options, &is_time))
            return false;
        struct span word = call->argv[i];
        if (is_time)
            continue;
        if (span_is_word(word, "GET")) {
            options->is_get = true;
        } else if (span_is_word(word, "KEEPTTL") && !options->at_ms) {
            options->is_keeping = true;
        } else if (span_is_word(word, "NX") || span_is_word(word, "XX")) {
            reply_error_text(call->reply, no_conditions);
            return false;
        } else {
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
            return false;
        }
    }
    return true;
}

static int put_deadline(struct call *call, int64_t at_ms)
{
    struct expire_request request = {.key = call->argv[1], .at_ms = at_ms};
    bool is_done;
    return at_ms ? replica_expire(call->replica, &request, &is_done) : 0;
}

// Sets argv[1]; answers OK, or what it was.
static int set(struct call *call, struct span text, const struct options *options)
{
    int64_t value;
    if (!decimal_parse(text, &value)) {
        reply_error_text(call->reply, only_integers);
        return 0;
    }
    if (!key_is_allowed(call, call->argv[1]))
        return 0;
    const struct record *record = key_find(call, call->argv[1]);
    if (record && record_type(record) != CELL_COUNTER) {
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
        return 0;
    }
    if (options->is_get)
        reply_count(call, record, false);
    int fault = options->is_keeping ? replica_set_keeping(call->replica, call->argv[1], value)
                                    : replica_set(call->replica, call->argv[1], value);
    if (!fault)
        fault = put_deadline(call, options->at_ms);
    if (options->is_get)
        return 0;
    if (fault)
        return reply_out_of_memory(call);
    reply_ok(call->reply);
    return 0;
}

int apply_set(struct call *call)
{
    struct options options = {0};
    return parse_set(call, &options) ? set(call, call->argv[2], &options) : 0;
}

int apply_getset(struct call *call)
{
    struct options options = {.is_get = true};
    return set(call, call->argv[2], &options);
}

static int set_for(struct call *call, unsigned form)
{
    struct options options = {0};
    int64_t number;
    if (decimal_parse(call->argv[2], &number) && number <= 0)
        return refuse_time(call);
    if (!parse_time(call, call->argv[2], form, &options.at_ms))
        return 0;
    return set(call, call->argv[3], &options);
}

int apply_setex(struct call *call)
{
    return set_for(call, IN_SECONDS);
}

int apply_psetex(struct call *call)
{
    return set_for(call, 0);
}

// What has a value for GET, or NULL with the answer written.
static const struct record *find_count(struct call *call)
{
    const struct record *record = key_find(call, call->argv[1]);
    bool is_count = record && !set_is_type(record_type(record));
    reply_count(call, record, false);
    return is_count ? record : NULL;
}

int apply_getdel(struct call *call)
{
    bool was_live;
    if (find_count(call))
        replica_delete(call->replica, call->argv[1], &was_live);
    return 0;
}

int apply_getex(struct call *call)
{
    struct options options = {0};
    for (uint32_t i = 2; i < call->argc; i++) {
        bool is_time;
        if (!parse_time_option(call, &i, &options, &is_time))
            return 0;
        if (is_time)
            continue;
        if (options.at_ms || !span_is_word(call->argv[i], "PERSIST")) {
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
            return 0;
        }
        options.at_ms = DEADLINE_NEVER;
    }
    if (find_count(call))
        put_deadline(call, options.at_ms);
    return 0;
}
