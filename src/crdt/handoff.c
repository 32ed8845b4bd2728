// SPDX-License-Identifier: Apache-2.0
// The steps of a merge, in the paper's order: fill slots, discard slot, create slot, merge vectors,
// aggregate, discard tokens, create token, cache tokens. Lists are short and searched in order.
#include "crdt/handoff.h"

bool handoff_id_is_equal(const struct handoff_id *a, const struct handoff_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

// ---- lists: grown one by one, in steps of powers of two

static bool is_power(uint32_t count)
{
    return (count & (count - 1)) == 0;
}

static size_t room_of(uint32_t count)
{
    size_t room = 1;
    while (room < count)
        room *= 2;
    return count ? room : 0;
}

static int append(struct heap *heap, void **list, uint32_t *count, size_t size, const void *item)
{
    if (*count == 0 || is_power(*count)) {
        size_t room = room_of(*count);
        void *more = heap_resize(heap, *list, room * size, room_of(*count + 1) * size);
        if (!more)
            return -ENOMEM;
        *list = more;
    }
    memcpy((uint8_t *)*list + *count * size, item, size);
    ++*count;
    return 0;
}

// The memory stays as large as room_of(count) says: it shrinks with the list.
static void drop_at(struct heap *heap, void **list, uint32_t *count, size_t size, uint32_t at)
{
    uint8_t *bytes = *list;
    size_t before = room_of(*count), after = room_of(*count - 1);
    memmove(bytes + at * size, bytes + (at + 1) * size, (*count - at - 1) * size);
    --*count;
    if (before == after)
        return;
    void *less = heap_resize(heap, *list, before * size, after * size);
    if (less || after == 0)
        *list = less;
    else
        *list = bytes;
}

#define APPEND(node, list, item)                                                                   \
    append((node)->heap, (void **)&(node)->list, &(node)->list##_count, sizeof *(node)->list, item)
#define DROP(node, list, at)                                                                       \
    drop_at((node)->heap, (void **)&(node)->list, &(node)->list##_count, sizeof *(node)->list, at)
#define FREE(node, list)                                                                           \
    heap_free((node)->heap, (node)->list, room_of((node)->list##_count) * sizeof *(node)->list)

// ---- a node

void handoff_init(struct handoff_node *node, struct heap *heap, const struct handoff_id *id,
                  uint8_t tier)
{
    *node = (struct handoff_node){.heap = heap, .id = *id, .tier = tier};
}

void handoff_deinit(struct handoff_node *node)
{
    FREE(node, parts);
    FREE(node, slots);
    FREE(node, tokens);
    FREE(node, debts);
    FREE(node, acks);
    FREE(node, departed);
    FREE(node, left);
}

static struct handoff_part *part_of(const struct handoff_node *node, const struct handoff_id *id)
{
    for (uint32_t i = 0; i < node->parts_count; i++) {
        if (handoff_id_is_equal(&node->parts[i].id, id))
            return &node->parts[i];
    }
    return NULL;
}

static uint64_t amount_of(const struct handoff_node *node, const struct handoff_id *id)
{
    const struct handoff_part *part = part_of(node, id);
    return part ? part->amount : 0;
}

uint64_t handoff_own(const struct handoff_node *node)
{
    return amount_of(node, &node->id);
}

static int raise_part(struct handoff_node *node, const struct handoff_id *id, uint64_t amount)
{
    struct handoff_part *part = part_of(node, id);
    struct handoff_part fresh = {*id, amount};
    if (!part)
        return APPEND(node, parts, &fresh);
    if (part->amount < amount)
        part->amount = amount;
    return 0;
}

int handoff_add(struct handoff_node *node, uint64_t amount)
{
    int fault = raise_part(node, &node->id, handoff_own(node) + amount);
    if (!fault)
        node->value += amount;
    return fault;
}

static int find_slot(const struct handoff_node *node, const struct handoff_id *source)
{
    for (uint32_t i = 0; i < node->slots_count; i++) {
        if (handoff_id_is_equal(&node->slots[i].source, source))
            return (int)i;
    }
    return -1;
}

static int find_departed(const struct handoff_node *node, const struct handoff_id *id)
{
    for (uint32_t i = 0; i < node->departed_count; i++) {
        if (handoff_id_is_equal(&node->departed[i], id))
            return (int)i;
    }
    return -1;
}

static bool is_about(const struct handoff_token *a, const struct handoff_token *b)
{
    return handoff_id_is_equal(&a->source, &b->source) &&
           handoff_id_is_equal(&a->destination, &b->destination);
}

static bool is_same(const struct handoff_token *a, const struct handoff_token *b)
{
    return is_about(a, b) && a->sck == b->sck && a->dck == b->dck;
}

static bool is_listed(const struct handoff_token *list, uint32_t count,
                      const struct handoff_token *token)
{
    for (uint32_t i = 0; i < count; i++) {
        if (is_same(&list[i], token))
            return true;
    }
    return false;
}

// ---- the steps; `a` is the node, `b` the message

// A token that names us is settled once a message with it was taken in, whatever became of its
// slot; whoever sent it is told so, until its next message.
static int owe(struct handoff_node *a, const struct handoff_node *b)
{
    for (uint32_t i = a->debts_count; i-- > 0;) {
        if (handoff_id_is_equal(&a->debts[i].peer, &b->id))
            DROP(a, debts, i);
    }
    for (uint32_t i = 0; i < b->tokens_count; i++) {
        struct handoff_debt debt = {b->id, b->tokens[i]};
        debt.token.amount = 0;
        if (handoff_id_is_equal(&debt.token.destination, &a->id) && APPEND(a, debts, &debt))
            return -ENOMEM;
    }
    return 0;
}

static int fill_slots(struct handoff_node *a, const struct handoff_node *b)
{
    for (uint32_t i = 0; i < b->tokens_count; i++) {
        const struct handoff_token *token = &b->tokens[i];
        int at = find_slot(a, &token->source);
        if (!handoff_id_is_equal(&token->destination, &a->id) || at < 0 ||
            a->slots[at].sck != token->sck || a->slots[at].dck != token->dck)
            continue;
        if (raise_part(a, &a->id, handoff_own(a) + token->amount))
            return -ENOMEM;
        DROP(a, slots, (uint32_t)at);
    }
    return owe(a, b);
}

static void discard_slot(struct handoff_node *a, const struct handoff_node *b)
{
    int at = find_slot(a, &b->id);
    if (at >= 0 && b->sck > a->slots[at].sck)
        DROP(a, slots, (uint32_t)at);
}

// A departed source fills no slot but those for which others keep a token.
static int bury(struct handoff_node *a, const struct handoff_node *b)
{
    for (uint32_t i = 0; i < b->departed_count; i++) {
        if (find_departed(a, &b->departed[i]) < 0 && APPEND(a, departed, &b->departed[i]))
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < b->left_count; i++) {
        if (!is_listed(a->left, a->left_count, &b->left[i]) && APPEND(a, left, &b->left[i]))
            return -ENOMEM;
    }
    for (uint32_t i = a->slots_count; i-- > 0;) {
        struct handoff_token filler = {a->slots[i].source, a->id, a->slots[i].sck, a->slots[i].dck,
                                       0};
        if (find_departed(a, &filler.source) >= 0 && !is_listed(a->left, a->left_count, &filler))
            DROP(a, slots, i);
    }
    return 0;
}

static int create_slot(struct handoff_node *a, const struct handoff_node *b)
{
    if (a->tier >= b->tier || handoff_own(b) == 0 || find_slot(a, &b->id) >= 0 ||
        find_departed(a, &b->id) >= 0)
        return 0;
    struct handoff_slot slot = {b->id, b->sck, a->dck};
    if (APPEND(a, slots, &slot))
        return -ENOMEM;
    a->dck++;
    return 0;
}

static int merge_vectors(struct handoff_node *a, const struct handoff_node *b)
{
    int fault = 0;
    for (uint32_t i = 0; i < b->parts_count && a->tier == 0 && b->tier == 0 && !fault; i++)
        fault = raise_part(a, &b->parts[i].id, b->parts[i].amount);
    return fault;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t sum_of_parts(const struct handoff_node *node)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < node->parts_count; i++)
        sum += node->parts[i].amount;
    return sum;
}

// Among equals the paper adds both nodes' amounts to the larger of what they know to lie below; but
// an old message's amount may be in what we know by now. Ours adds it to what that one knew.
static void aggregate(struct handoff_node *a, const struct handoff_node *b,
                      enum handoff_estimate estimate)
{
    uint64_t own = handoff_own(a), other = handoff_own(b);
    uint64_t theirs = a->tier == b->tier ? b->below : a->tier > b->tier ? b->value : 0;
    uint64_t below = larger(a->below, theirs);
    a->below = below;
    if (a->tier == 0) {
        a->value = sum_of_parts(a);
    } else if (a->tier != b->tier) {
        a->value = larger(a->value, below + own);
    } else {
        a->value = larger(a->value, b->value);
        if (estimate == HANDOFF_PUBLISHED)
            a->value = larger(a->value, below + own + other);
        else
            a->value = larger(larger(a->value, below + own), b->below + other + own);
    }
}

static bool is_settled(const struct handoff_node *a, const struct handoff_node *b,
                       const struct handoff_token *token)
{
    if (is_listed(b->acks, b->acks_count, token))
        return true;
    if (!handoff_id_is_equal(&token->destination, &b->id))
        return false;
    int at = find_slot(b, &token->source);
    if (at >= 0)
        return b->slots[at].dck > token->dck;
    bool would_be_told =
        b->slots_told == HANDOFF_SLOTS_ALL ||
        (b->slots_told == HANDOFF_SLOTS_ONE && handoff_id_is_equal(&token->source, &a->id));
    return would_be_told && b->dck > token->dck;
}

static void discard_tokens(struct handoff_node *a, const struct handoff_node *b)
{
    for (uint32_t i = a->tokens_count; i-- > 0;) {
        if (is_settled(a, b, &a->tokens[i]))
            DROP(a, tokens, i);
    }
}

static int put_token(struct handoff_node *a, const struct handoff_token *token)
{
    for (uint32_t i = 0; i < a->tokens_count; i++) {
        if (is_about(&a->tokens[i], token)) {
            a->tokens[i] = *token;
            return 0;
        }
    }
    return APPEND(a, tokens, token);
}

static int create_token(struct handoff_node *a, const struct handoff_node *b)
{
    int at = find_slot(b, &a->id);
    if (at < 0 || b->slots[at].sck != a->sck)
        return 0;
    struct handoff_token token = {a->id, b->id, a->sck, b->slots[at].dck, handoff_own(a)};
    if (put_token(a, &token))
        return -ENOMEM;
    struct handoff_part *own = part_of(a, &a->id);
    if (own)
        own->amount = 0;
    a->sck++;
    return 0;
}

static int cache_tokens(struct handoff_node *a, const struct handoff_node *b)
{
    int fault = 0;
    for (uint32_t i = 0; i < b->tokens_count && a->tier < b->tier && !fault; i++) {
        const struct handoff_token *token = &b->tokens[i], *held = NULL;
        for (uint32_t at = 0; at < a->tokens_count && !held; at++)
            held = is_about(&a->tokens[at], token) ? &a->tokens[at] : NULL;
        if (handoff_id_is_equal(&token->source, &b->id) &&
            !handoff_id_is_equal(&token->destination, &a->id) && (!held || held->sck < token->sck))
            fault = put_token(a, token);
    }
    return fault;
}

int handoff_merge(struct handoff_node *node, const struct handoff_node *message,
                  enum handoff_estimate estimate)
{
    if (handoff_id_is_equal(&node->id, &message->id))
        return 0; // our own echo
    int fault = fill_slots(node, message);
    if (fault)
        return fault;
    discard_slot(node, message);
    if (node->tier < 2)
        fault = bury(node, message);
    if (!fault)
        fault = create_slot(node, message);
    if (!fault)
        fault = merge_vectors(node, message);
    if (fault)
        return fault;
    aggregate(node, message, estimate);
    discard_tokens(node, message);
    fault = create_token(node, message);
    return fault ? fault : cache_tokens(node, message);
}

// ---- messages

static int tell(const struct handoff_node *node, enum handoff_slots slots,
                const struct handoff_id *to, struct handoff_node *out)
{
    struct handoff_part own = {node->id, handoff_own(node)};
    int fault = 0;
    handoff_init(out, node->heap, &node->id, node->tier);
    out->slots_told = (uint8_t)slots;
    out->value = node->value;
    out->below = node->below;
    out->sck = node->sck;
    out->dck = node->dck;
    for (uint32_t i = 0; i < node->parts_count && node->tier == 0 && !fault; i++)
        fault = APPEND(out, parts, &node->parts[i]);
    if (node->tier != 0)
        fault = APPEND(out, parts, &own);
    for (uint32_t i = 0; i < node->slots_count && !fault; i++) {
        bool is_told =
            slots == HANDOFF_SLOTS_ALL ||
            (slots == HANDOFF_SLOTS_ONE && handoff_id_is_equal(&node->slots[i].source, to));
        fault = is_told ? APPEND(out, slots, &node->slots[i]) : 0;
    }
    for (uint32_t i = 0; i < node->tokens_count && !fault; i++)
        fault = APPEND(out, tokens, &node->tokens[i]);
    for (uint32_t i = 0; i < node->departed_count && node->tier < 2 && !fault; i++)
        fault = APPEND(out, departed, &node->departed[i]);
    for (uint32_t i = 0; i < node->left_count && node->tier < 2 && !fault; i++)
        fault = APPEND(out, left, &node->left[i]);
    if (fault)
        handoff_deinit(out);
    return fault;
}

int handoff_tell_all(const struct handoff_node *node, struct handoff_node *out_message)
{
    return tell(node, HANDOFF_SLOTS_ALL, NULL, out_message);
}

int handoff_tell(const struct handoff_node *node, const struct handoff_id *to, uint8_t tier,
                 struct handoff_node *out_message)
{
    enum handoff_slots slots = node->tier == tier  ? HANDOFF_SLOTS_ALL
                               : node->tier < tier ? HANDOFF_SLOTS_ONE
                                                   : HANDOFF_SLOTS_NONE;
    int fault = tell(node, slots, to, out_message);
    if (fault)
        return fault;
    for (uint32_t i = 0; i < node->debts_count && !fault; i++) {
        if (handoff_id_is_equal(&node->debts[i].peer, to))
            fault = APPEND(out_message, acks, &node->debts[i].token);
    }
    if (fault)
        handoff_deinit(out_message);
    return fault;
}

bool handoff_can_leave(const struct handoff_node *node, const struct handoff_node *heard)
{
    if (handoff_own(node))
        return false;
    for (uint32_t i = 0; i < node->tokens_count; i++) {
        if (heard->tier >= node->tier ||
            !is_listed(heard->tokens, heard->tokens_count, &node->tokens[i]))
            return false;
    }
    return true;
}

int handoff_leave(const struct handoff_node *node, struct handoff_node *out_message)
{
    int fault = tell(node, HANDOFF_SLOTS_NONE, NULL, out_message);
    if (fault)
        return fault;
    fault = APPEND(out_message, departed, &node->id);
    for (uint32_t i = 0; i < node->tokens_count && !fault; i++) {
        struct handoff_token left = node->tokens[i];
        left.amount = 0;
        fault = APPEND(out_message, left, &left);
    }
    if (fault)
        handoff_deinit(out_message);
    return fault;
}

int handoff_acknowledge(struct handoff_node *message, const struct handoff_token *token)
{
    struct handoff_token ack = *token;
    ack.amount = 0;
    return APPEND(message, acks, &ack);
}

int handoff_put_slot(struct handoff_node *message, const struct handoff_id *source, uint64_t sck,
                     uint64_t dck)
{
    struct handoff_slot slot = {*source, sck, dck};
    return APPEND(message, slots, &slot);
}

int handoff_put_token(struct handoff_node *message, const struct handoff_token *token)
{
    return APPEND(message, tokens, token);
}
