// SPDX-License-Identifier: Apache-2.0
// QUIPU.ADVANCE mark from to [key n ...]: the counter `mark` stands at `from`, so it is moved to
// `to` and every key gets its n, all in this commit; or it stands elsewhere and nothing happens.
//
// Whoever reads a sequence (a log, a queue) and counts it is exact with this over every failure:
// the mark and the counts are in one journal frame, so after a crash or a lost answer the mark
// tells what is in, and a repeated command finds it moved. The mark is one replica's business: at
// another one it may lag behind, so a sequence is carried on where it was begun.
#include <errno.h>
#include "base/decimal.h"
#include "command/handlers.h"
#include "replica/change.h"

#define FIRST_PAIR 4

// Amounts and keys are checked before anything is added. False: the error is written.
static bool is_well_formed(struct call *call, int64_t *out_from, int64_t *out_to)
{
    if (call->argc % 2 != 0) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return false;
    }
    int64_t amount;
    bool are_integers =
        decimal_parse(call->argv[2], out_from) && decimal_parse(call->argv[3], out_to);
    for (uint32_t i = FIRST_PAIR; are_integers && i < call->argc; i += 2)
        are_integers = decimal_parse(call->argv[i + 1], &amount);
    if (!are_integers || *out_from < 0 || *out_to <= *out_from) {
        reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
        return false;
    }
    for (uint32_t i = FIRST_PAIR; i < call->argc; i += 2) {
        if (!key_is_allowed(call, call->argv[i]))
            return false;
    }
    return key_is_allowed(call, call->argv[1]);
}

static const char *refusal_text(int outcome)
{
    if (outcome == CHANGE_E_TYPE)
        return "the key holds another type, or only grows";
    if (outcome == CHANGE_E_OVERFLOW)
        return "the counter would overflow";
    return "out of memory";
}

static void add_pairs(struct call *call)
{
    size_t refused = 0;
    size_t mark = reply_open_array(call->reply);
    for (uint32_t i = FIRST_PAIR; i < call->argc; i += 2) {
        int64_t amount = 0, value;
        decimal_parse(call->argv[i + 1], &amount);
        int outcome = replica_add(call->replica, call->argv[i], amount, &value);
        if (!outcome)
            continue;
        reply_integer(call->reply, (i - FIRST_PAIR) / 2);
        reply_bulk_text(call->reply, refusal_text(outcome));
        refused += 2;
    }
    reply_close_array(call->reply, mark, refused);
}

enum { ADVANCE_E_ELSEWHERE = 1, ADVANCE_E_REFUSED };

// 0: moved. ADVANCE_E_ELSEWHERE: it stands at *out_value. ADVANCE_E_REFUSED: the error is written.
static int move_mark(struct call *call, int64_t from, int64_t to, int64_t *out_value)
{
    struct record *record = key_find(call, call->argv[1]);
    if (record && record_type(record) > CELL_GCOUNTER) {
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
        return ADVANCE_E_REFUSED;
    }
    *out_value = record ? record_value(record) : 0;
    if (*out_value != from)
        return ADVANCE_E_ELSEWHERE;
    int outcome = replica_add(call->replica, call->argv[1], to - from, out_value);
    if (outcome == -ENOMEM)
        reply_out_of_memory(call);
    else if (outcome)
        reply_error(call->reply, REPLY_ERROR_OVERFLOW);
    return outcome ? ADVANCE_E_REFUSED : 0;
}

int apply_advance(struct call *call)
{
    int64_t from, to, value;
    if (!is_well_formed(call, &from, &to))
        return 0;
    int outcome = move_mark(call, from, to, &value);
    if (outcome == ADVANCE_E_REFUSED)
        return 0;
    reply_array(call->reply, 3);
    reply_integer(call->reply, value);
    reply_integer(call->reply, outcome == 0);
    if (outcome == 0)
        add_pairs(call);
    else
        reply_array(call->reply, 0);
    return 0;
}
