// SPDX-License-Identifier: Apache-2.0
// A journal frame: format, dictionary of incarnations, which of them is ours, our wall clock, V;
// members, and how far what was dead has been dropped, when they changed; then units. Origin
// numbers in it are positions in its own dictionary, so a frame can be read by a process that knows
// the incarnations in another order. One kind of frame asks for order: the one that says that all
// up to there is forgotten.
#include "replica/private.h"

#define FRAME_FORMAT 4u

static void put_members(const struct replica *replica, struct buf *out)
{
    const struct node *node = &replica->node;
    bytes_put_varint(out, node->members_count);
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        bytes_put_varint(out, member->origin);
        bytes_put_string(out, span_text(member->name));
        bytes_put_string(out, span_text(member->address));
        buf_put_byte(out, (uint8_t)(member->is_former | member->is_joined << 1));
    }
}

static void put_seals(const struct replica *replica, struct buf *out)
{
    const struct seal *seals = replica->node.seals;
    uint64_t count = 0;
    for (uint16_t i = 0; i < replica->origins.count; i++)
        count += seals[i].is_set;
    bytes_put_varint(out, count);
    for (uint16_t i = 0; i < replica->origins.count; i++) {
        if (!seals[i].is_set)
            continue;
        bytes_put_varint(out, i);
        bytes_put_varint(out, seals[i].sequence);
    }
}

static void put_sequences(const struct replica *replica, const struct vector *vector,
                          struct buf *out)
{
    for (uint16_t i = 0; i < replica->origins.count; i++)
        bytes_put_varint(out, vector->sequence[i]);
}

void frame_open(struct replica *replica, struct buf *out, unsigned parts)
{
    const struct origins *origins = &replica->origins;
    buf_put_byte(out, FRAME_FORMAT);
    bytes_put_varint(out, origins->count);
    for (uint16_t i = 0; i < origins->count; i++)
        buf_put(out, span_of(origins->list[i].bytes, 16));
    bytes_put_varint(out, replica->self);
    bytes_put_varint(out, replica->clock_ms);
    put_sequences(replica, &replica->vector, out);
    buf_put_byte(out, (uint8_t)parts);
    if (parts & FRAME_DROPPED)
        put_sequences(replica, &replica->node.dropped, out);
    if (parts & FRAME_MEMBERS) {
        put_members(replica, out);
        put_seals(replica, out);
    }
}

static int read_dictionary(struct replica *replica, struct reader *reader, struct origin_map *map)
{
    uint64_t count = reader_varint(reader);
    if (reader->failed || count > LIMIT_ORIGINS)
        return REPLICA_E_FRAME;
    map->count = (uint16_t)count;
    for (uint64_t i = 0; i < count; i++) {
        struct incarnation incarnation;
        struct span bytes = reader_bytes(reader, sizeof incarnation.bytes);
        if (bytes.len == 0)
            return REPLICA_E_FRAME;
        memcpy(incarnation.bytes, bytes.ptr, sizeof incarnation.bytes);
        if (origins_obtain(&replica->origins, &incarnation, &map->local[i]))
            return REPLICA_E_FULL;
    }
    return 0;
}

static int read_members(struct replica *replica, struct reader *reader,
                        const struct origin_map *map)
{
    uint64_t count = reader_varint(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        struct kept_member kept;
        uint64_t number = reader_varint(reader);
        kept.name = reader_string(reader, NODE_TEXT_BYTES - 1);
        kept.address = reader_string(reader, NODE_TEXT_BYTES - 1);
        uint8_t flags = reader_u8(reader);
        kept.is_former = flags & 1;
        kept.is_joined = flags & 2;
        if (reader->failed || number >= map->count)
            return REPLICA_E_FRAME;
        kept.origin = map->local[number];
        if (node_restore_member(&replica->node, &kept))
            return REPLICA_E_FULL;
    }
    return reader->failed ? REPLICA_E_FRAME : 0;
}

// A member that an earlier frame brought is dropped again: frames may come in any order.
static int read_seals(struct replica *replica, struct reader *reader, const struct origin_map *map)
{
    uint64_t count = reader_varint(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        uint64_t number = reader_varint(reader), end = reader_varint(reader);
        if (reader->failed || number >= map->count)
            return REPLICA_E_FRAME;
        node_restore_seal(&replica->node, map->local[number], end);
        replica->is_hidden[map->local[number]] = replica->is_hiding_changed = true;
    }
    return reader->failed ? REPLICA_E_FRAME : 0;
}

static struct vector read_sequences(struct reader *reader, const struct origin_map *map)
{
    struct vector vector = {0};
    for (uint16_t i = 0; i < map->count; i++)
        vector.sequence[map->local[i]] = reader_varint(reader);
    return vector;
}

static int recover_dropped(struct replica *replica, struct reader *reader,
                           const struct origin_map *map, bool is_forgotten)
{
    struct vector dropped = read_sequences(reader, map);
    if (reader->failed)
        return REPLICA_E_FRAME;
    replica->node.dropped = dropped; // it may have fallen
    if (!is_forgotten)
        return 0;
    replica->vector = (struct vector){0};
    return forget_cells(replica, &dropped);
}

// V, and the parts behind it.
static int recover_parts(struct replica *replica, struct reader *reader,
                         const struct origin_map *map)
{
    struct vector vector = read_sequences(reader, map);
    uint8_t parts = reader_u8(reader);
    int outcome = 0;
    if (parts & FRAME_DROPPED)
        outcome = recover_dropped(replica, reader, map, parts & FRAME_FORGETS);
    if (!outcome && (parts & FRAME_MEMBERS))
        outcome = read_members(replica, reader, map);
    if (!outcome && (parts & FRAME_MEMBERS))
        outcome = read_seals(replica, reader, map);
    if (!outcome && !reader->failed)
        vector_join(&replica->vector, &vector);
    return reader->failed ? REPLICA_E_FRAME : outcome;
}

int frame_recover(void *ctx, struct span frame)
{
    struct replica *replica = ctx;
    struct reader reader = reader_of(frame);
    struct origin_map map;
    if (reader_u8(&reader) != FRAME_FORMAT)
        return REPLICA_E_FRAME;
    int outcome = read_dictionary(replica, &reader, &map);
    if (outcome)
        return outcome;
    uint64_t self = reader_varint(&reader), clock_ms = reader_varint(&reader);
    if (reader.failed || self >= map.count)
        return REPLICA_E_FRAME;
    replica->self = map.local[self];
    if (clock_ms > replica->clock_ms)
        replica->clock_ms = clock_ms;
    outcome = recover_parts(replica, &reader, &map);
    if (outcome)
        return outcome;
    static const struct vector nothing_seen;
    outcome = join_units(replica, span_of(reader.at, reader_left(&reader)), &map, &nothing_seen);
    keyspace_reclaim(replica->keyspace); // what shards outgrew serves the records that follow
    return outcome > 0 ? REPLICA_E_FRAME : outcome; // apart from what the journal itself says
}
