// SPDX-License-Identifier: Apache-2.0
// Members and links: what QUIPU.LINKS, MEMBERS, FRESH and LINK answer. "Behind" is counted in
// sequences, which are changed cells: what a vector that the other end acknowledged lacks of ours,
// or ours of the newest that it told.
#include "base/hex.h"
#include "command/handlers.h"
#include "command/links.h"
#include "replica/change.h"

#define CHANGE_BYTES_GUESS 32 // before anything was sent

static const char *cluster_name(const struct node *node, uint16_t origin)
{
    if (origin == node->self)
        return node->name;
    int16_t member = node_member_of(node, origin);
    return member < 0 ? "?" : node->members[member].name;
}

const char *replica_name_of(const struct call *call, uint16_t origin)
{
    return cluster_name(replica_node(call->replica), origin);
}

static uint64_t lacking(const struct node *node, const struct vector *theirs,
                        const struct vector *ours)
{
    uint64_t count = 0;
    for (uint16_t i = 0; i < node->origins->count; i++) {
        if (ours->sequence[i] > theirs->sequence[i])
            count += ours->sequence[i] - theirs->sequence[i];
    }
    return count;
}

static int64_t heard_ms(const struct node *node, const struct member *member)
{
    return member->is_heard ? (int64_t)(node->now_ms - member->heard_ms) : -1;
}

static bool is_any_link(const struct node *node, uint16_t member)
{
    for (unsigned i = 0; i < NODE_LINKS_MAX; i++) {
        const struct link *link = &node->links[i];
        if (link->state != LINK_FREE && link->state != LINK_CLOSING &&
            link->state != LINK_DIALING && link->member == (int16_t)member)
            return true;
    }
    return false;
}

static const char *state_of(const struct node *node, uint16_t member, const struct link *link)
{
    if (node_is_cut(node, node->members[member].name))
        return "cut";
    if (link)
        return link->is_walking || !link->is_cursor_set ? "joining" : "up";
    return is_any_link(node, member) ? "joining" : "down";
}

static struct link_row member_row(const struct replica *replica, uint16_t index)
{
    const struct node *node = replica_node(replica);
    const struct member *member = &node->members[index];
    int to = node_link_to(node, index);
    const struct link *link = to < 0 ? NULL : &node->links[to];
    uint64_t change_bytes =
        link && link->changes_sent ? link->bytes_sent / link->changes_sent : CHANGE_BYTES_GUESS;
    struct link_row row = {.replica = member->name,
                           .address = member->address,
                           .state = state_of(node, index, link),
                           .changes_behind =
                               lacking(node, &member->latest, replica_vector(replica)),
                           .heard_ms = heard_ms(node, member)};
    row.bytes_behind = row.changes_behind * change_bytes;
    return row;
}

static bool is_members_address(const struct node *node, const char *address)
{
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (!node->members[i].is_former && strcmp(node->members[i].address, address) == 0)
            return true;
    }
    return false;
}

void links_each(const struct replica *replica, link_visit visit, void *ctx)
{
    const struct node *node = replica_node(replica);
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (node->members[i].is_former || node->members[i].origin == node->self)
            continue;
        struct link_row row = member_row(replica, i);
        visit(ctx, &row);
    }
    for (uint16_t i = 0; i < node->peers_count; i++) {
        const struct peer *peer = &node->peers[i];
        if (peer->is_self || is_members_address(node, peer->address))
            continue;
        struct link_row row = {.replica = "",
                               .address = peer->address,
                               .state = node->is_cut_all ? "cut" : "down",
                               .heard_ms = -1};
        visit(ctx, &row);
    }
}

struct rows {
    struct reply *reply;
    size_t count;
};

static void put_link(void *ctx, const struct link_row *row)
{
    struct rows *rows = ctx;
    reply_array(rows->reply, 6);
    reply_bulk_text(rows->reply, row->replica);
    reply_bulk_text(rows->reply, row->address);
    reply_bulk_text(rows->reply, row->state);
    reply_integer(rows->reply, (int64_t)row->changes_behind);
    reply_integer(rows->reply, (int64_t)row->bytes_behind);
    reply_integer(rows->reply, row->heard_ms);
    rows->count++;
}

int apply_links(struct call *call)
{
    struct rows rows = {call->reply, 0};
    size_t mark = reply_open_array(call->reply);
    links_each(call->replica, put_link, &rows);
    reply_close_array(call->reply, mark, rows.count);
    return 0;
}

int apply_link(struct call *call)
{
    bool is_cut = span_is_word(call->argv[1], "CUT"), is_known;
    if (!call->server->is_cut_allowed) {
        reply_error(call->reply, REPLY_ERROR_CUT_OFF);
        return 0;
    }
    if (!is_cut && !span_is_word(call->argv[1], "HEAL")) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return 0;
    }
    replica_cut(call->replica, call->argv[2], is_cut, &is_known);
    if (is_known)
        reply_ok(call->reply);
    else
        reply_error_with(call->reply, REPLY_ERROR_NO_REPLICA, call->argv[2]);
    return 0;
}

// ---- members

void put_incarnation(struct call *call, uint16_t origin)
{
    const struct incarnation *incarnation = &replica_origins(call->replica)->list[origin];
    uint8_t text[2 * sizeof incarnation->bytes];
    hex_write(text, span_of(incarnation->bytes, sizeof incarnation->bytes));
    reply_bulk(call->reply, span_of(text, sizeof text));
}

static void put_member(struct call *call, uint16_t origin, const char *name, const char *address,
                       const char *state)
{
    reply_array(call->reply, 4);
    reply_bulk_text(call->reply, name);
    reply_bulk_text(call->reply, address);
    put_incarnation(call, origin);
    reply_bulk_text(call->reply, state);
}

// [[replica, address, incarnation, self|member|former]...]
int apply_members(struct call *call)
{
    const struct node *node = replica_node(call->replica);
    size_t mark = reply_open_array(call->reply), count = 1;
    put_member(call, node->self, node->name, node->address, "self");
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        if (member->origin == node->self)
            continue;
        put_member(call, member->origin, member->name, member->address,
                   member->is_former ? "former" : "member");
        count++;
    }
    reply_close_array(call->reply, mark, count);
    return 0;
}

// ---- freshness

static bool is_in_unit(const struct unit *unit, uint16_t origin)
{
    return !unit || unit_find(unit, origin) != NULL;
}

static size_t put_fresh(struct call *call, const struct unit *unit)
{
    const struct node *node = replica_node(call->replica);
    const struct vector *seen = replica_vector(call->replica);
    size_t count = 0;
    if (is_in_unit(unit, node->self)) {
        reply_array(call->reply, 3);
        reply_bulk_text(call->reply, node->name);
        reply_integer(call->reply, 0);
        reply_integer(call->reply, 0);
        count++;
    }
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        if (member->is_former || member->origin == node->self || !is_in_unit(unit, member->origin))
            continue;
        uint64_t newest = member->latest.sequence[member->origin];
        uint64_t held = seen->sequence[member->origin];
        reply_array(call->reply, 3);
        reply_bulk_text(call->reply, member->name);
        reply_integer(call->reply, heard_ms(node, member));
        reply_integer(call->reply, newest > held ? (int64_t)(newest - held) : 0);
        count++;
    }
    return count;
}

// With a key: only the replicas that have a part in it.
int apply_fresh(struct call *call)
{
    struct unit unit;
    if (call->argc > 2)
        return reply_arity(call, "quipu.fresh");
    size_t mark = reply_open_array(call->reply), count = 0;
    if (call->argc == 1) {
        count = put_fresh(call, NULL);
    } else {
        if (replica_inspect(call->replica, call->argv[1], &unit))
            count = put_fresh(call, &unit);
        unit_deinit(&unit);
    }
    reply_close_array(call->reply, mark, count);
    return 0;
}
