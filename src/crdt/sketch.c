// SPDX-License-Identifier: Apache-2.0
// The estimate reads only how many registers there are of each rank, so it costs the same for ten
// members and for ten billion. The hash is part of what is stored: it never changes, and does not
// depend on the machine.
#include "crdt/sketch.h"
#include <math.h>
#include "base/prng.h"

#define INDEX_BITS 14
#define RANK_BITS  6
#define RANK_MASK  ((1u << RANK_BITS) - 1)

static uint64_t hash_of(struct span member)
{
    uint64_t hash = 0x71756970750014u + member.len;
    const uint8_t *at = member.ptr;
    for (size_t i = 0; i < member.len; i += 8) {
        uint64_t word = 0;
        size_t left = member.len - i;
        for (size_t byte = 0; byte < 8 && byte < left; byte++)
            word |= (uint64_t)at[i + byte] << 8 * byte;
        hash = prng_mix(hash ^ word);
    }
    return prng_mix(hash);
}

struct sketch_hit sketch_hit(struct span member)
{
    uint64_t hash = hash_of(member);
    uint64_t rest = hash >> INDEX_BITS | (uint64_t)1 << (64 - INDEX_BITS);
    return (struct sketch_hit){.index = (uint16_t)(hash & (SKETCH_REGISTERS - 1)),
                               .rank = (uint8_t)(__builtin_ctzll(rest) + 1)};
}

void sketch_init(struct sketch *sketch)
{
    memset(sketch, 0, sizeof *sketch);
    sketch->count[0] = SKETCH_REGISTERS;
}

void sketch_raise(struct sketch *sketch, struct sketch_hit hit)
{
    uint8_t *rank = &sketch->rank[hit.index];
    if (hit.rank <= *rank)
        return;
    sketch->count[*rank]--;
    sketch->count[hit.rank]++;
    *rank = hit.rank;
}

// ---- Ertl's estimator

// x + x^2 + 2 x^4 + 4 x^8 + ..., which stands for the registers that are 0.
static double sigma(double x)
{
    double y = 1, z = x, before;
    if (x == 1)
        return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

// ... and for those that are full.
static double tau(double x)
{
    double y = 1, z = 1 - x, before;
    if (x == 0 || x == 1)
        return 0;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

uint64_t sketch_estimate(const struct sketch *sketch)
{
    const double m = SKETCH_REGISTERS;
    double z = m * tau((m - sketch->count[SKETCH_RANK_MAX]) / m);
    for (unsigned rank = SKETCH_RANK_MAX - 1; rank >= 1; rank--)
        z = 0.5 * (z + sketch->count[rank]);
    z += m * sigma(sketch->count[0] / m);
    return (uint64_t)llround(m * m / (2 * M_LN2 * z));
}

// ---- lists

// The next register of a list. False: the end, or malformed (reader->failed).
static bool next_hit(struct reader *reader, unsigned *index, uint8_t *out_rank)
{
    if (reader_left(reader) == 0)
        return false;
    uint64_t word = reader_varint(reader);
    uint64_t gap = word >> RANK_BITS;
    *out_rank = word & RANK_MASK;
    if (gap >= SKETCH_REGISTERS - *index || *out_rank == 0 || *out_rank > SKETCH_RANK_MAX)
        reader->failed = true;
    *index += (unsigned)gap;
    return !reader->failed;
}

bool sketch_join(struct sketch *sketch, struct span bytes, unsigned first)
{
    struct reader reader = reader_of(bytes);
    uint8_t rank;
    for (unsigned index = first; next_hit(&reader, &index, &rank); index++)
        sketch_raise(sketch, (struct sketch_hit){(uint16_t)index, rank});
    return !reader.failed;
}

uint8_t sketch_rank(struct span bytes, unsigned index)
{
    struct reader reader = reader_of(bytes);
    uint8_t rank;
    for (unsigned at = 0; next_hit(&reader, &at, &rank) && at <= index; at++) {
        if (at == index)
            return rank;
    }
    return 0;
}

size_t sketch_write(const struct sketch *sketch, unsigned first, unsigned count, uint8_t *out)
{
    uint8_t *to = out;
    unsigned next = first;
    for (unsigned index = first; index < first + count; index++) {
        if (sketch->rank[index] == 0)
            continue;
        to = bytes_write_varint(to, (uint64_t)(index - next) << RANK_BITS | sketch->rank[index]);
        next = index + 1;
    }
    return (size_t)(to - out);
}

// ---- blocks

static uint8_t packed_rank(const uint8_t *bytes, unsigned index)
{
    unsigned bit = index * RANK_BITS, shift = bit % 8;
    unsigned word = (unsigned)bytes[bit / 8] >> shift;
    if (shift > 8 - RANK_BITS)
        word |= (unsigned)bytes[bit / 8 + 1] << (8 - shift);
    return word & RANK_MASK;
}

bool sketch_join_block(struct sketch *sketch, struct span bytes, unsigned first)
{
    if (bytes.len != SKETCH_PACKED_BYTES)
        return sketch_join(sketch, bytes, first);
    for (unsigned i = 0; i < SKETCH_BLOCK; i++) {
        uint8_t rank = packed_rank(bytes.ptr, i);
        if (rank > SKETCH_RANK_MAX)
            return false;
        sketch_raise(sketch, (struct sketch_hit){(uint16_t)(first + i), rank});
    }
    return true;
}

uint8_t sketch_block_rank(struct span bytes, unsigned index)
{
    return bytes.len == SKETCH_PACKED_BYTES ? packed_rank(bytes.ptr, index)
                                            : sketch_rank(bytes, index);
}

static void write_packed(const struct sketch *sketch, unsigned first, uint8_t *out)
{
    memset(out, 0, SKETCH_PACKED_BYTES);
    for (unsigned i = 0; i < SKETCH_BLOCK; i++) {
        unsigned bit = i * RANK_BITS, shift = bit % 8;
        unsigned word = (unsigned)sketch->rank[first + i] << shift;
        out[bit / 8] |= (uint8_t)word;
        if (shift > 8 - RANK_BITS)
            out[bit / 8 + 1] |= (uint8_t)(word >> 8);
    }
}

size_t sketch_write_block(const struct sketch *sketch, unsigned first, uint8_t *out)
{
    size_t len = sketch_write(sketch, first, SKETCH_BLOCK, out);
    if (len < SKETCH_PACKED_BYTES)
        return len;
    write_packed(sketch, first, out);
    return SKETCH_PACKED_BYTES;
}
