// SPDX-License-Identifier: Apache-2.0
// A message as bytes, and a client's state in its file. v: varint, id: 16 bytes.
//
//   version, tier, slots told, id, v value, v below, v sck, v dck, six lists
//   list    v entries, entries
//   part    id, v amount                         slot      id, v sck, v dck
//   token   id source, id destination, v sck, v dck, v amount (of acks and left ones: 0)
//
// Reading trusts nothing: lists grow only with entries that were read.
#include "crdt/handoff.h"

static void put_id(struct buf *out, const struct handoff_id *id)
{
    buf_put(out, span_of(id->bytes, sizeof id->bytes));
}

static void put_tokens(struct buf *out, const struct handoff_token *list, uint32_t count)
{
    bytes_put_varint(out, count);
    for (uint32_t i = 0; i < count; i++) {
        put_id(out, &list[i].source);
        put_id(out, &list[i].destination);
        bytes_put_varint(out, list[i].sck);
        bytes_put_varint(out, list[i].dck);
        bytes_put_varint(out, list[i].amount);
    }
}

void handoff_write(const struct handoff_node *message, struct buf *out)
{
    buf_put_byte(out, HANDOFF_VERSION);
    buf_put_byte(out, message->tier);
    buf_put_byte(out, message->slots_told);
    put_id(out, &message->id);
    bytes_put_varint(out, message->value);
    bytes_put_varint(out, message->below);
    bytes_put_varint(out, message->sck);
    bytes_put_varint(out, message->dck);
    bytes_put_varint(out, message->parts_count);
    for (uint32_t i = 0; i < message->parts_count; i++) {
        put_id(out, &message->parts[i].id);
        bytes_put_varint(out, message->parts[i].amount);
    }
    bytes_put_varint(out, message->slots_count);
    for (uint32_t i = 0; i < message->slots_count; i++) {
        put_id(out, &message->slots[i].source);
        bytes_put_varint(out, message->slots[i].sck);
        bytes_put_varint(out, message->slots[i].dck);
    }
    put_tokens(out, message->tokens, message->tokens_count);
    put_tokens(out, message->acks, message->acks_count);
    bytes_put_varint(out, message->departed_count);
    for (uint32_t i = 0; i < message->departed_count; i++)
        put_id(out, &message->departed[i]);
    put_tokens(out, message->left, message->left_count);
}

// ---- reading

static void read_id(struct reader *reader, struct handoff_id *id)
{
    struct span bytes = reader_bytes(reader, sizeof id->bytes);
    if (bytes.len)
        memcpy(id->bytes, bytes.ptr, bytes.len);
}

static void read_part(struct reader *reader, void *item)
{
    struct handoff_part *part = item;
    read_id(reader, &part->id);
    part->amount = reader_varint(reader);
}

static void read_slot(struct reader *reader, void *item)
{
    struct handoff_slot *slot = item;
    read_id(reader, &slot->source);
    slot->sck = reader_varint(reader);
    slot->dck = reader_varint(reader);
}

static void read_token(struct reader *reader, void *item)
{
    struct handoff_token *token = item;
    read_id(reader, &token->source);
    read_id(reader, &token->destination);
    token->sck = reader_varint(reader);
    token->dck = reader_varint(reader);
    token->amount = reader_varint(reader);
}

static void read_departed(struct reader *reader, void *item)
{
    read_id(reader, item);
}

struct list_kind {
    void (*read)(struct reader *reader, void *item);
    size_t size;
};

static size_t room_of(uint32_t count) // as in handoff.c
{
    size_t room = 1;
    while (room < count)
        room *= 2;
    return count ? room : 0;
}

static int read_list(struct reader *reader, struct heap *heap, struct list_kind kind, void **list,
                     uint32_t *out_count)
{
    uint64_t count = reader_varint(reader);
    if (reader->failed || count > HANDOFF_LIST_MAX || count * 16 > reader_left(reader)) {
        reader->failed = true;
        return 0;
    }
    if (count == 0)
        return 0;
    uint8_t *items = heap_alloc(heap, room_of((uint32_t)count) * kind.size);
    if (!items)
        return -ENOMEM;
    *list = items;
    *out_count = (uint32_t)count;
    for (uint64_t i = 0; i < count; i++)
        kind.read(reader, items + i * kind.size);
    return 0;
}

#define READ(list, function)                                                                       \
    read_list(&reader, heap, (struct list_kind){function, sizeof *message.list},                   \
              (void **)&message.list, &message.list##_count)

int handoff_read(struct span bytes, struct heap *heap, struct handoff_node *out_message)
{
    struct reader reader = reader_of(bytes);
    struct handoff_node message = {.heap = heap};
    if (reader_u8(&reader) != HANDOFF_VERSION)
        return HANDOFF_E_MALFORMED;
    message.tier = reader_u8(&reader);
    message.slots_told = reader_u8(&reader);
    read_id(&reader, &message.id);
    message.value = reader_varint(&reader);
    message.below = reader_varint(&reader);
    message.sck = reader_varint(&reader);
    message.dck = reader_varint(&reader);
    int fault = READ(parts, read_part);
    fault = fault ? fault : READ(slots, read_slot);
    fault = fault ? fault : READ(tokens, read_token);
    fault = fault ? fault : READ(acks, read_token);
    fault = fault ? fault : READ(departed, read_departed);
    fault = fault ? fault : READ(left, read_token);
    bool is_malformed =
        reader.failed || reader_left(&reader) || message.slots_told > HANDOFF_SLOTS_NONE;
    if (fault || is_malformed) {
        handoff_deinit(&message);
        return fault ? fault : HANDOFF_E_MALFORMED;
    }
    *out_message = message;
    return 0;
}
