// SPDX-License-Identifier: Apache-2.0
// Tier 0 of the handoff counters (crdt/handoff.h): a replica's amounts are its ordinary
// contribution to the key, and what a server keeps for clients are cells in children of the key, so
// that they are journaled, fed and known to everybody. Filling a slot and adding its amount are one
// commit. Sub-keys begin with a letter; owner, destination and deceased are incarnations, source a
// client:
//
//   s owner source         an open slot; content: sck. dck is the sequence that opened it
//   t destination source   a token kept for its destination; content: sck, dck, amount
//   b source               it has departed; content: the tokens that it left to others
//   h deceased             whoever writes it would be heir of a closed incarnation
//   x deceased source      the heir counted tokens of it up to this dck; content: dck
//
// A server's destination clock is its sequence, which never goes back. A closed incarnation's slots
// are honoured by one heir, as in bounded.c: one that is open in the sealed history when its token
// comes, and one that was opened beyond the seal, of which nobody knows any more; any other token
// had been counted. Until there is an heir the token stays with its client, or with the replicas
// that keep it.
#include "crdt/handoff.h"
#include "replica/private.h"

#define LOOK_MS   500
#define BURIED_MS 600000 // a departure is remembered as long as a message may be under way
#define SUB_BYTES 33u

struct sub {
    uint8_t bytes[SUB_BYTES];
    size_t len;
};

static struct sub sub_of(uint8_t letter, const uint8_t *first, const uint8_t *second)
{
    struct sub sub = {.bytes = {letter}, .len = 1};
    memcpy(sub.bytes + 1, first, 16);
    sub.len += 16;
    if (second) {
        memcpy(sub.bytes + 17, second, 16);
        sub.len += 16;
    }
    return sub;
}

static struct address address_of(struct span key, const struct sub *sub)
{
    return (struct address){.kind = UNIT_SLOT, .key = key, .sub = span_of(sub->bytes, sub->len)};
}

static struct record *find(struct replica *replica, struct span key, const struct sub *sub)
{
    struct address address = address_of(key, sub);
    struct record *record =
        keyspace_find(replica->keyspace, &address, keyspace_hash(replica->keyspace, &address));
    return record && (record_flags(record) & RECORD_LIVE) ? record : NULL;
}

static int put(struct replica *replica, struct span key, const struct sub *sub, struct span content)
{
    struct address address = address_of(key, sub);
    struct record *record = cells_record(replica, &address, CELL_HANDOFF);
    if (!record)
        return -ENOMEM;
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    struct cell *cell = unit ? unit_obtain(unit, replica->self) : NULL;
    if (!cell)
        return -ENOMEM;
    cell->type = CELL_HANDOFF;
    int fault = unit_write_content(unit, cell, cells_next(replica), content);
    if (!fault)
        fault = cells_store(replica, record);
    return fault ? fault : cells_settle(replica, record, before, CHANGE_ADD);
}

static int drop(struct replica *replica, struct record *record)
{
    int outcome = record ? change_reset(replica, record, CHANGE_RESET) : 0;
    return outcome < 0 ? outcome : 0;
}

static const uint8_t *own_id(const struct replica *replica)
{
    return replica->origins.list[replica->self].bytes;
}

static uint16_t origin_of(const struct replica *replica, const struct handoff_id *id)
{
    struct incarnation incarnation;
    memcpy(incarnation.bytes, id->bytes, sizeof incarnation.bytes);
    return origins_find(&replica->origins, &incarnation);
}

// ---- slots

struct open_slot {
    struct record *record; // NULL: none
    uint64_t sck, dck;
};

static struct open_slot slot_of(struct replica *replica, struct span key, uint16_t owner,
                                const struct handoff_id *source)
{
    struct sub sub = sub_of('s', replica->origins.list[owner].bytes, source->bytes);
    struct open_slot slot = {.record = find(replica, key, &sub)};
    const struct cell *cell =
        slot.record ? unit_find(cells_read(replica, slot.record), owner) : NULL;
    if (!cell || !cell_has_life(cell))
        return (struct open_slot){0};
    struct reader reader = reader_of(cell_content(cell));
    slot.sck = reader_varint(&reader);
    slot.dck = cell->birth;
    return slot;
}

static int open_slot(struct replica *replica, struct span key, const struct handoff_node *message)
{
    uint8_t content[VARINT_BYTES_MAX];
    struct sub departed = sub_of('b', message->id.bytes, NULL);
    if (handoff_own(message) == 0 || find(replica, key, &departed) ||
        slot_of(replica, key, replica->self, &message->id).record)
        return 0;
    struct sub sub = sub_of('s', own_id(replica), message->id.bytes);
    size_t len = (size_t)(bytes_write_varint(content, message->sck) - content);
    return put(replica, key, &sub, span_of(content, len));
}

static int discard_slot(struct replica *replica, struct span key,
                        const struct handoff_node *message)
{
    struct open_slot slot = slot_of(replica, key, replica->self, &message->id);
    return slot.record && message->sck > slot.sck ? drop(replica, slot.record) : 0;
}

// ---- heirs

static bool is_sealed(const struct replica *replica, uint16_t origin)
{
    const struct seal *seal = &replica->node.seals[origin];
    return seal->is_set && replica->vector.sequence[origin] >= seal->sequence;
}

// Of those that claim, the smallest incarnation; ORIGIN_NONE: nobody does.
static uint16_t heir_of(struct replica *replica, struct span key, uint16_t deceased,
                        bool *out_is_settled)
{
    const struct incarnation *list = replica->origins.list;
    struct sub sub = sub_of('h', list[deceased].bytes, NULL);
    const struct record *record = find(replica, key, &sub);
    const struct unit *unit = record ? cells_read(replica, record) : NULL;
    uint16_t heir = ORIGIN_NONE;
    for (uint16_t i = 0; unit && i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (!cell_has_life(cell) ||
            (heir != ORIGIN_NONE && incarnation_compare(&list[cell->origin], &list[heir]) > 0))
            continue;
        heir = cell->origin;
        *out_is_settled = cell->write <= node_stable(&replica->node)->sequence[heir];
    }
    return heir;
}

// Whether we are, for good, whoever counts for a closed incarnation; heirs have heirs. Claims it if
// nobody does.
static int become_heir(struct replica *replica, struct span key, uint16_t deceased,
                       bool *out_is_ours)
{
    *out_is_ours = false;
    for (unsigned steps = 0; steps < LIMIT_ORIGINS; steps++) {
        bool is_settled = false;
        uint16_t heir = heir_of(replica, key, deceased, &is_settled);
        if (heir == ORIGIN_NONE) {
            struct sub sub = sub_of('h', replica->origins.list[deceased].bytes, NULL);
            return put(replica, key, &sub, span_of(NULL, 0));
        }
        if (heir == replica->self || !is_sealed(replica, heir)) {
            *out_is_ours = heir == replica->self && is_settled;
            return 0;
        }
        deceased = heir;
    }
    return 0;
}

static uint64_t counted_upto(struct replica *replica, struct span key,
                             const struct handoff_token *token)
{
    struct sub sub = sub_of('x', token->destination.bytes, token->source.bytes);
    const struct record *record = find(replica, key, &sub);
    const struct unit *unit = record ? cells_read(replica, record) : NULL;
    uint64_t upto = 0;
    for (uint16_t i = 0; unit && i < unit->count; i++) {
        struct reader reader = reader_of(cell_content(&unit->cells[i]));
        uint64_t dck = reader_left(&reader) ? reader_varint(&reader) : 0;
        upto = dck > upto ? dck : upto;
    }
    return upto;
}

// ---- tokens: 0, an outcome of change_add, or -ENOMEM. out_is_settled: the token may be forgotten.

static int add(struct replica *replica, struct span key, uint64_t amount)
{
    int64_t value;
    if (amount > (uint64_t)LIMIT_TOTAL)
        return CHANGE_E_OVERFLOW;
    return change_add(replica, key, (int64_t)amount, CELL_HANDOFF, &value);
}

static bool is_for(const struct open_slot *slot, const struct handoff_token *token)
{
    return slot->record && slot->sck == token->sck && slot->dck == token->dck;
}

static int fill(struct replica *replica, struct span key, const struct handoff_token *token,
                bool *out_is_settled)
{
    struct open_slot slot = slot_of(replica, key, replica->self, &token->source);
    *out_is_settled = true;
    if (!is_for(&slot, token))
        return 0;
    int outcome = add(replica, key, token->amount);
    *out_is_settled = outcome == 0;
    return outcome ? outcome : drop(replica, slot.record);
}

static int inherit(struct replica *replica, struct span key, const struct handoff_token *token,
                   uint16_t deceased, bool *out_is_settled)
{
    uint64_t end = replica->node.seals[deceased].sequence;
    struct open_slot slot = slot_of(replica, key, deceased, &token->source);
    bool is_beyond = token->dck > end, is_ours;
    *out_is_settled =
        is_beyond ? counted_upto(replica, key, token) >= token->dck : !is_for(&slot, token);
    if (*out_is_settled)
        return 0;
    int outcome = become_heir(replica, key, deceased, &is_ours);
    if (outcome || !is_ours)
        return outcome;
    outcome = add(replica, key, token->amount);
    *out_is_settled = outcome == 0;
    if (outcome)
        return outcome;
    if (!is_beyond)
        return drop(replica, slot.record);
    uint8_t content[VARINT_BYTES_MAX];
    size_t len = (size_t)(bytes_write_varint(content, token->dck) - content);
    struct sub sub = sub_of('x', token->destination.bytes, token->source.bytes);
    return put(replica, key, &sub, span_of(content, len));
}

static int settle(struct replica *replica, struct span key, const struct handoff_token *token,
                  bool *out_is_settled)
{
    uint16_t destination = origin_of(replica, &token->destination);
    *out_is_settled = false;
    if (destination == ORIGIN_NONE)
        return 0;
    if (destination == replica->self)
        return fill(replica, key, token, out_is_settled);
    if (is_sealed(replica, destination))
        return inherit(replica, key, token, destination, out_is_settled);
    struct open_slot slot = slot_of(replica, key, destination, &token->source);
    *out_is_settled = replica->vector.sequence[destination] >= token->dck && !is_for(&slot, token);
    return 0;
}

static struct handoff_token kept_token(const struct address *address, const struct cell *cell)
{
    struct handoff_token token = {.amount = 0};
    struct reader reader = reader_of(cell_content(cell));
    memcpy(token.destination.bytes, address->sub.ptr + 1, 16);
    memcpy(token.source.bytes, address->sub.ptr + 17, 16);
    token.sck = reader_varint(&reader);
    token.dck = reader_varint(&reader);
    token.amount = reader_varint(&reader);
    return token;
}

// The newest that anybody keeps under this address. False: none.
static bool newest_kept(struct replica *replica, const struct record *record,
                        struct handoff_token *out_token)
{
    struct address address = record_address(record);
    const struct unit *unit = cells_read(replica, record);
    bool is_any = false;
    for (uint16_t i = 0; i < unit->count; i++) {
        if (!cell_has_life(&unit->cells[i]) || !unit->cells[i].content_len)
            continue;
        struct handoff_token token = kept_token(&address, &unit->cells[i]);
        if (!is_any || token.sck > out_token->sck)
            *out_token = token;
        is_any = true;
    }
    return is_any;
}

// A server keeps the tokens of the very client that speaks.
static int keep(struct replica *replica, struct span key, const struct handoff_token *token)
{
    uint8_t content[3 * VARINT_BYTES_MAX];
    struct handoff_token kept;
    struct sub sub = sub_of('t', token->destination.bytes, token->source.bytes);
    const struct record *record = find(replica, key, &sub);
    if (record && newest_kept(replica, record, &kept) && kept.sck >= token->sck)
        return 0;
    uint8_t *to = bytes_write_varint(content, token->sck);
    to = bytes_write_varint(to, token->dck);
    to = bytes_write_varint(to, token->amount);
    return put(replica, key, &sub, span_of(content, (size_t)(to - content)));
}

// ---- departures

static bool is_left(const struct handoff_node *message, const struct handoff_id *owner,
                    const struct open_slot *slot)
{
    for (uint32_t i = 0; i < message->left_count; i++) {
        const struct handoff_token *left = &message->left[i];
        if (handoff_id_is_equal(&left->destination, owner) && left->sck == slot->sck &&
            left->dck == slot->dck)
            return true;
    }
    return false;
}

static int bury(struct replica *replica, struct span key, const struct handoff_node *message)
{
    struct buf content;
    bool is_departed = false;
    struct sub sub = sub_of('b', message->id.bytes, NULL);
    for (uint32_t i = 0; i < message->departed_count; i++)
        is_departed |= handoff_id_is_equal(&message->departed[i], &message->id);
    if (!is_departed || find(replica, key, &sub))
        return 0;
    buf_init(&content, replica->heap);
    struct handoff_node certificate = {.heap = replica->heap,
                                       .id = message->id,
                                       .left = message->left,
                                       .left_count = message->left_count};
    handoff_write(&certificate, &content);
    int fault = -ENOMEM;
    if (!buf_has_failed(&content))
        fault = content.len > LIMIT_CONTENT_BYTES ? CHANGE_E_OVERFLOW
                                                  : put(replica, key, &sub, buf_span(&content));
    buf_deinit(&content);
    return fault;
}

// Its slots that nothing can fill any more: our own, and those of closed incarnations.
static int clear_slots(struct replica *replica, struct span key,
                       const struct handoff_node *certificate, unsigned *out_open)
{
    int fault = 0;
    for (uint16_t owner = 0; owner < replica->origins.count && !fault; owner++) {
        struct handoff_id id;
        struct open_slot slot = slot_of(replica, key, owner, &certificate->id);
        if (!slot.record)
            continue;
        memcpy(id.bytes, replica->origins.list[owner].bytes, sizeof id.bytes);
        bool is_ours = owner == replica->self || is_sealed(replica, owner);
        if (is_ours && !is_left(certificate, &id, &slot))
            fault = drop(replica, slot.record);
        else
            ++*out_open;
    }
    return fault;
}

// ---- what is looked at now and then: tokens that are kept, departures

int handoff_watch(struct replica *replica, struct record *child)
{
    struct handoffs *handoffs = &replica->handoffs;
    uint8_t letter = record_address(child).sub.len ? record_address(child).sub.ptr[0] : 0;
    uint32_t at;
    if ((letter != 't' && letter != 'b') || !(record_flags(child) & RECORD_LIVE))
        return 0;
    handoffs->due_ms = 0; // in this commit
    if (record_map_find(&handoffs->by_record, child, &at))
        return 0;
    if (handoffs->count == handoffs->cap) {
        size_t cap = handoffs->cap ? handoffs->cap * 2 : 8;
        struct handoff_watch *list = heap_resize(replica->heap, handoffs->list,
                                                 handoffs->cap * sizeof *list, cap * sizeof *list);
        if (!list)
            return -ENOMEM;
        handoffs->list = list;
        handoffs->cap = cap;
    }
    if (record_map_put(&handoffs->by_record, child, (uint32_t)handoffs->count))
        return -ENOMEM;
    handoffs->list[handoffs->count++] =
        (struct handoff_watch){child, replica->is_recovering ? 0 : replica->now_ms};
    return 0;
}

void handoff_forget(struct replica *replica, const struct record *child)
{
    struct handoffs *handoffs = &replica->handoffs;
    uint32_t at;
    if (!record_map_find(&handoffs->by_record, child, &at))
        return;
    record_map_remove(&handoffs->by_record, child);
    const struct handoff_watch *last = &handoffs->list[--handoffs->count];
    if (last == &handoffs->list[at])
        return;
    handoffs->list[at] = *last;
    // Its entry is there already: nothing is allocated.
    record_map_put(&handoffs->by_record, last->record, at);
}

static int look_at_token(struct replica *replica, struct record *record)
{
    struct handoff_token token;
    bool is_settled;
    if (!newest_kept(replica, record, &token))
        return 0;
    int outcome = settle(replica, record_address(record).key, &token, &is_settled);
    if (outcome > 0) // no room for the amount: the token stays
        return 0;
    return outcome || !is_settled ? outcome : drop(replica, record);
}

static int look_at_departure(struct replica *replica, const struct handoff_watch *watch)
{
    struct handoff_node certificate;
    const struct cell *cell = NULL;
    const struct unit *unit = cells_read(replica, watch->record);
    for (uint16_t i = 0; i < unit->count; i++) {
        if (cell_has_life(&unit->cells[i]) && (!cell || unit->cells[i].origin == replica->self))
            cell = &unit->cells[i];
    }
    if (!cell)
        return 0;
    bool is_ours = cell->origin == replica->self || is_sealed(replica, cell->origin);
    // Everybody has heard of it, and whatever slots they had for it are known here.
    bool is_stable = cell->write <= node_stable(&replica->node)->sequence[cell->origin];
    int outcome = handoff_read(cell_content(cell), replica->heap, &certificate);
    if (outcome)
        return outcome < 0 ? outcome : 0;
    unsigned open = 0;
    outcome = clear_slots(replica, record_address(watch->record).key, &certificate, &open);
    handoff_deinit(&certificate);
    if (!outcome && is_ours && is_stable && open == 0 &&
        replica->now_ms >= watch->since_ms + replica->buried_ms)
        outcome = drop(replica, watch->record);
    return outcome;
}

bool handoff_is_due(const struct replica *replica)
{
    return replica->is_serving && replica->handoffs.count &&
           replica->now_ms >= replica->handoffs.due_ms;
}

int handoff_look(struct replica *replica)
{
    int fault = 0;
    if (!handoff_is_due(replica))
        return 0;
    for (size_t i = replica->handoffs.count; i-- > 0 && !fault;) {
        struct handoff_watch watch = replica->handoffs.list[i];
        if (watch.since_ms == 0) // found by recovery: as if heard of at this start
            watch.since_ms = replica->handoffs.list[i].since_ms = replica->now_ms;
        if (!(record_flags(watch.record) & RECORD_LIVE))
            handoff_forget(replica, watch.record);
        else if (record_address(watch.record).sub.ptr[0] == 't')
            fault = look_at_token(replica, watch.record);
        else
            fault = look_at_departure(replica, &watch);
    }
    replica->handoffs.due_ms = replica->now_ms + LOOK_MS;
    return fault;
}

void handoff_set_up(struct replica *replica, uint64_t buried_ms)
{
    replica->buried_ms = buried_ms ? buried_ms : BURIED_MS;
}

// ---- a client's message

static bool can_hold(const struct record *record)
{
    enum cell_type type = record_type(record);
    return !(record_flags(record) & (RECORD_LIVE | RECORD_DIRTY)) || type <= CELL_GCOUNTER ||
           type == CELL_HANDOFF;
}

static int take_tokens(struct replica *replica, struct span key, const struct handoff_node *message,
                       struct handoff_node *answer)
{
    int outcome = 0;
    for (uint32_t i = 0; i < message->tokens_count && !outcome; i++) {
        const struct handoff_token *token = &message->tokens[i];
        bool is_settled;
        outcome = settle(replica, key, token, &is_settled);
        if (!outcome && is_settled)
            outcome = handoff_acknowledge(answer, token);
        else if (!outcome && handoff_id_is_equal(&token->source, &message->id))
            outcome = keep(replica, key, token);
    }
    return outcome;
}

// What is kept here of the client's, and what it may be asked for.
static int tell(struct replica *replica, struct span key, const struct handoff_node *message,
                struct handoff_node *answer)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    const struct record *record =
        keyspace_find(replica->keyspace, &address, keyspace_hash(replica->keyspace, &address));
    bool is_live = record && (record_flags(record) & RECORD_LIVE);
    int64_t value = is_live ? record_value(record) : 0;
    struct open_slot slot = slot_of(replica, key, replica->self, &message->id);
    answer->slots_told = HANDOFF_SLOTS_ONE;
    answer->value = value > 0 ? (uint64_t)value : 0;
    answer->dck = replica->vector.sequence[replica->self] + 1;
    int fault = slot.record ? handoff_put_slot(answer, &message->id, slot.sck, slot.dck) : 0;
    for (uint32_t i = 0; i < message->tokens_count && !fault; i++) {
        struct handoff_token kept;
        struct sub sub =
            sub_of('t', message->tokens[i].destination.bytes, message->tokens[i].source.bytes);
        struct record *child = find(replica, key, &sub);
        if (child && newest_kept(replica, child, &kept))
            fault = handoff_put_token(answer, &kept);
    }
    return fault;
}

int replica_handoff(struct replica *replica, struct span key, const struct handoff_node *message,
                    struct handoff_node *out_answer)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    struct record *record = cells_record(replica, &address, CELL_HANDOFF);
    struct handoff_id self;
    if (!record)
        return -ENOMEM;
    if (!can_hold(record) || message->tier == 0)
        return CHANGE_E_TYPE;
    memcpy(self.bytes, own_id(replica), sizeof self.bytes);
    handoff_init(out_answer, replica->heap, &self, 0);
    int outcome = take_tokens(replica, key, message, out_answer);
    if (!outcome)
        outcome = discard_slot(replica, key, message);
    if (!outcome)
        outcome = bury(replica, key, message);
    if (!outcome)
        outcome = open_slot(replica, key, message);
    if (!outcome)
        outcome = tell(replica, key, message, out_answer);
    if (outcome)
        handoff_deinit(out_answer);
    return outcome;
}
