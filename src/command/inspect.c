// SPDX-License-Identifier: Apache-2.0
// One cell as QUIPU.INSPECT shows it, in one letter or two: s sequence, b birth, w write, T total,
// cs and cT of the cut; then whether it is live, as what, its base register, the reset record it
// holds with every cut in it, its lease and the size of its content.
#include "command/handlers.h"
#include "replica/change.h"

static void put_number(struct reply *reply, const char *name, uint64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, (int64_t)value);
}

// [sequence, cut, milliseconds of its stamp, value]; nil: it never had one.
static void put_base(struct reply *reply, const struct base *base)
{
    reply_bulk_text(reply, "base");
    if (base_newest(base) == 0) {
        reply_nil(reply);
        return;
    }
    reply_array(reply, 4);
    reply_integer(reply, (int64_t)base->sequence);
    reply_integer(reply, (int64_t)base->cut);
    reply_integer(reply, (int64_t)(base->stamp >> 16));
    reply_integer(reply, base->value);
}

// [[replica, incarnation, b, w, T, base, floor], ...]
static void put_cuts(struct call *call, const struct cell *cell)
{
    struct reply *reply = call->reply;
    reply_bulk_text(reply, "cuts");
    reply_array(reply, cell->cuts_count);
    for (uint32_t i = 0; i < cell->cuts_count; i++) {
        const struct cut *cut = &cell->cuts[i];
        reply_array(reply, 7);
        reply_bulk_text(reply, replica_name_of(call, cut->origin));
        put_incarnation(call, cut->origin);
        reply_integer(reply, (int64_t)cut->birth);
        reply_integer(reply, (int64_t)cut->write);
        reply_integer(reply, cut->total);
        reply_integer(reply, (int64_t)cut->base);
        reply_integer(reply, (int64_t)cut->floor);
    }
}

// [count, ttl-ms, epoch, sequence, ended]; nil: none.
static void put_lease(struct reply *reply, const struct lease *lease)
{
    reply_bulk_text(reply, "lease");
    if (!lease_is_set(lease)) {
        reply_nil(reply);
        return;
    }
    reply_array(reply, 5);
    reply_integer(reply, lease->count);
    reply_integer(reply, lease->ttl_ms);
    reply_integer(reply, (int64_t)lease->epoch);
    reply_integer(reply, (int64_t)lease->sequence);
    reply_integer(reply, lease->ended);
}

void inspect_put_cell(struct call *call, const struct cell *cell)
{
    struct reply *reply = call->reply;
    reply_map(reply, 15);
    reply_bulk_text(reply, "replica");
    reply_bulk_text(reply, replica_name_of(call, cell->origin));
    reply_bulk_text(reply, "incarnation");
    put_incarnation(call, cell->origin);
    put_number(reply, "s", cell->sequence);
    put_number(reply, "b", cell->birth);
    put_number(reply, "w", cell->write);
    put_number(reply, "T", (uint64_t)cell->total);
    put_number(reply, "cs", cell->cut_write);
    put_number(reply, "cT", (uint64_t)cell->cut_total);
    put_number(reply, "live", cell_is_live(cell));
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, cell_type_name((enum cell_type)cell->type));
    put_base(reply, &cell->base);
    put_number(reply, "reset", cell->reset);
    put_cuts(call, cell);
    put_lease(reply, &cell->lease);
    put_number(reply, "content", cell->content_len);
}

// Of a member, or of an owner of presence: {kind, live, origins}.
static void put_child(struct call *call, const struct address *address, const struct unit *unit)
{
    struct reply *reply = call->reply;
    uint64_t hash = keyspace_hash(call->keyspace, address);
    const struct record *record = keyspace_find(call->keyspace, address, hash);
    reply_map(reply, 3);
    reply_bulk_text(reply, "kind");
    reply_bulk_text(reply, address->kind == UNIT_LEASE ? "lease" : "member");
    put_number(reply, "live", record && (record_flags(record) & RECORD_LIVE));
    reply_bulk_text(reply, "origins");
    reply_array(reply, unit->count);
    for (uint16_t i = 0; i < unit->count; i++)
        inspect_put_cell(call, &unit->cells[i]);
}

void inspect_put_child(struct call *call)
{
    static const enum unit_kind kinds[] = {UNIT_MEMBER, UNIT_LEASE};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct unit unit;
        struct address address = {.kind = kinds[i], .key = call->argv[1], .sub = call->argv[2]};
        bool is_there = replica_inspect_at(call->replica, &address, &unit);
        if (is_there)
            put_child(call, &address, &unit);
        unit_deinit(&unit);
        if (is_there)
            return;
    }
    reply_nil(call->reply);
}
