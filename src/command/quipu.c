// SPDX-License-Identifier: Apache-2.0
// What Redis has no word for: creating a key of a type, its value with its version, its cells, and
// the digest of everything.
#include <stdio.h>
#include "command/expire.h"
#include "command/handlers.h"
#include "replica/change.h"

int apply_create(struct call *call)
{
    static const bool can_create[CELL_TYPES_COUNT] = {
        // presence is made by PRESENCE.SET alone
        [CELL_COUNTER] = true, [CELL_GCOUNTER] = true, [CELL_GSET] = true,
        [CELL_SET] = true,     [CELL_HLL] = true,      [CELL_BOUNDED] = true};
    enum cell_type type = CELL_COUNTER;
    while (type < CELL_TYPES_COUNT &&
           !(can_create[type] && span_is_word(call->argv[2], cell_type_name(type))))
        type++;
    if (type == CELL_TYPES_COUNT) {
        reply_error_with(call->reply, REPLY_ERROR_TYPE_NAME, call->argv[2]);
        return 0;
    }
    if (call->argc != (type == CELL_BOUNDED ? 4 : 3)) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return 0;
    }
    if (!key_is_allowed(call, call->argv[1]))
        return 0;
    if (type == CELL_BOUNDED)
        return create_bounded(call);
    int outcome = replica_create(call->replica, call->argv[1], type);
    if (outcome == CHANGE_E_TYPE)
        reply_error(call->reply, REPLY_ERROR_WRONG_TYPE);
    else if (outcome)
        return reply_out_of_memory(call);
    else
        reply_ok(call->reply);
    return 0;
}

int apply_digest(struct call *call)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)replica_digest(call->replica));
    reply_bulk_text(call->reply, text);
    return 0;
}

// The version is read before the value: what is told is at least as new as its version, so that the
// event of a later version always carries news.
static void put_value(struct call *call, const struct record *record)
{
    if (!key_is_shown(call, record)) {
        reply_nil(call->reply);
        return;
    }
    if (record_flags(record) & RECORD_RANGE) {
        reply_out_of_range(call);
        return;
    }
    uint64_t version = record_change(record);
    reply_array(call->reply, 3);
    reply_bulk_text(call->reply, cell_type_name(record_type(record)));
    reply_integer(call->reply, record_value(record));
    reply_integer(call->reply, (int64_t)version);
}

// QUIPU.VALUE key [key ...] -> [epoch, [type, value, version] | nil ...]
int run_value(struct call *call)
{
    struct key_batch batch = {.next = 1};
    reply_array(call->reply, call->argc);
    reply_bulk_text(call->reply, call->identity->epoch);
    while (key_batch_next(call, &batch)) {
        for (uint32_t i = 0; i < batch.count; i++)
            put_value(call, batch.record[i]);
    }
    return 0;
}

static void put_field(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, value);
}

// The base that is shown: of the live ones, the newest stamp; ties by incarnation.
static const struct cell *shown_base(const struct call *call, const struct unit *unit)
{
    const struct origins *origins = replica_origins(call->replica);
    const struct cell *shown = NULL;
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (cell->base.sequence <= cell->base.cut)
            continue;
        if (!shown || cell->base.stamp > shown->base.stamp ||
            (cell->base.stamp == shown->base.stamp &&
             incarnation_compare(&origins->list[cell->origin], &origins->list[shown->origin]) > 0))
            shown = cell;
    }
    return shown;
}

static void put_key(struct call *call, const struct unit *unit)
{
    struct reply *reply = call->reply;
    const struct record *record = key_find(call, call->argv[1]);
    const struct cell *base = shown_base(call, unit);
    bool is_bounded = record && record_type(record) == CELL_BOUNDED;
    reply_map(reply, 5 + is_bounded);
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, record ? cell_type_name(record_type(record)) : "none");
    reply_bulk_text(reply, "value");
    if (record)
        reply_integer(reply, record_value(record));
    else
        reply_nil(reply);
    put_field(reply, "base", base ? base->base.value : 0);
    if (is_bounded)
        put_field(reply, "rights", replica_bounded_left(call->replica, call->argv[1]));
    reply_bulk_text(reply, "deadline");
    int64_t at_ms = record ? keyspace_deadline(call->keyspace, record) : 0;
    if (at_ms && at_ms != DEADLINE_NEVER)
        reply_integer(reply, at_ms);
    else
        reply_nil(reply);
    reply_bulk_text(reply, "origins");
    reply_array(reply, unit->count);
    for (uint16_t i = 0; i < unit->count; i++)
        inspect_put_cell(call, &unit->cells[i]);
}

// QUIPU.INSPECT key [member]
int apply_inspect(struct call *call)
{
    struct unit unit;
    if (call->argc > 3) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return 0;
    }
    if (call->argc == 3) {
        inspect_put_child(call);
        return 0;
    }
    if (replica_inspect(call->replica, call->argv[1], &unit))
        put_key(call, &unit);
    else
        reply_nil(call->reply);
    unit_deinit(&unit);
    return 0;
}
