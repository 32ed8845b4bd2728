// SPDX-License-Identifier: Apache-2.0
// A version vector in memory is dense (an array by origin index); written, it is sparse and names
// the incarnations, because an index means nothing to another process.
#include "crdt/vector.h"

#define ENTRY_BYTES_MIN 17 // an incarnation and a varint of one byte

bool vector_join(struct vector *self, const struct vector *other)
{
    bool has_risen = false;
    for (size_t i = 0; i < LIMIT_ORIGINS; i++) {
        if (other->sequence[i] > self->sequence[i]) {
            self->sequence[i] = other->sequence[i];
            has_risen = true;
        }
    }
    return has_risen;
}

bool vector_meet(struct vector *self, const struct vector *other)
{
    bool has_fallen = false;
    for (size_t i = 0; i < LIMIT_ORIGINS; i++) {
        if (other->sequence[i] < self->sequence[i]) {
            self->sequence[i] = other->sequence[i];
            has_fallen = true;
        }
    }
    return has_fallen;
}

bool vector_is_covering(const struct vector *self, const struct vector *other)
{
    for (size_t i = 0; i < LIMIT_ORIGINS; i++) {
        if (self->sequence[i] < other->sequence[i])
            return false;
    }
    return true;
}

void vector_write(const struct vector *self, const struct origins *origins, struct buf *out)
{
    uint64_t count = 0;
    for (uint16_t i = 0; i < origins->count; i++)
        count += self->sequence[i] != 0;
    bytes_put_varint(out, count);
    for (uint16_t i = 0; i < origins->count; i++) {
        if (self->sequence[i] == 0)
            continue;
        buf_put(out, span_of(origins->list[i].bytes, sizeof origins->list[i].bytes));
        bytes_put_varint(out, self->sequence[i]);
    }
}

static int read_entry(struct reader *reader, struct origins *origins, struct vector *vector)
{
    struct incarnation incarnation;
    struct span bytes = reader_bytes(reader, sizeof incarnation.bytes);
    uint64_t sequence = reader_varint(reader);
    if (reader->failed || sequence == 0)
        return VECTOR_E_MALFORMED;
    memcpy(incarnation.bytes, bytes.ptr, sizeof incarnation.bytes);
    uint16_t index;
    if (incarnation_is_zero(&incarnation))
        return VECTOR_E_MALFORMED;
    if (origins_obtain(origins, &incarnation, &index))
        return VECTOR_E_FULL;
    if (vector->sequence[index] != 0)
        return VECTOR_E_MALFORMED;
    vector->sequence[index] = sequence;
    return 0;
}

int vector_read(struct reader *reader, struct origins *origins, struct vector *out_vector)
{
    struct vector vector = {{0}};
    uint16_t known = origins->count;
    uint64_t count = reader_varint(reader);
    int outcome = 0;
    if (reader->failed || count > reader_left(reader) / ENTRY_BYTES_MIN)
        outcome = VECTOR_E_MALFORMED;
    for (uint64_t i = 0; i < count && !outcome; i++)
        outcome = read_entry(reader, origins, &vector);
    if (outcome) {
        origins->count = known; // made known by this reading alone: nobody holds their indexes
        return outcome;
    }
    *out_vector = vector;
    return 0;
}
