// SPDX-License-Identifier: Apache-2.0
// A packed cell is `v length, cell` (unit_codec.c has the cell). Writing it into a unit is a copy,
// and passing over it needs no knowledge of its parts.
#include <string.h>
#include "crdt/cell_codec.h"
#include "crdt/packed.h"

void packed_write(const struct unit *unit, struct buf *out)
{
    buf_clear(out);
    for (uint16_t i = 0; i < unit->count && !buf_has_failed(out); i++) {
        if (unit->cells[i].sequence == 0)
            continue; // obtained and never written
        size_t start = out->len;
        buf_put_byte(out, 0);
        cell_put(out, &unit->cells[i]);
        size_t len = out->len - start - 1;
        uint8_t head[VARINT_BYTES_MAX];
        size_t head_len = (size_t)(bytes_write_varint(head, len) - head);
        if (!buf_reserve(out, head_len))
            return;
        memmove(out->ptr + start + head_len, out->ptr + start + 1, len);
        memcpy(out->ptr + start, head, head_len);
        out->len = start + head_len + len;
    }
}

struct packed_cell {
    struct span bytes;
    uint64_t sequence;
    uint16_t origin;
};

static inline uint64_t take_varint(const uint8_t **at)
{
    uint64_t value = *(*at)++;
    if (value < 0x80)
        return value;
    value &= 0x7f;
    for (unsigned shift = 7;; shift += 7) {
        uint64_t byte = *(*at)++;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
}

static inline bool next_cell(struct span *rest, struct packed_cell *out)
{
    const uint8_t *at = rest->ptr, *end = at + rest->len;
    if (at == end || *at == 0)
        return false;
    size_t len = (size_t)take_varint(&at);
    out->bytes = span_of(at, len);
    *rest = span_of(at + len, (size_t)(end - at) - len);
    unsigned flags = *at++;
    at += (flags & FLAG_MORE) != 0;
    at += (flags & FLAG_TYPED) != 0;
    out->origin = (uint16_t)take_varint(&at);
    out->sequence = take_varint(&at);
    return true;
}

static int read_all(struct span packed, struct cell_source *source, struct unit *out_unit)
{
    struct packed_cell cell;
    int fault = 0;
    unit_clear(out_unit);
    out_unit->is_borrowing = source->is_brief;
    while (!fault && next_cell(&packed, &cell)) {
        struct reader reader = reader_of(cell.bytes);
        fault = cell_read(&reader, source, out_unit);
    }
    if (fault)
        unit_clear(out_unit);
    return fault;
}

int packed_read(struct span packed, struct unit *out_unit)
{
    struct cell_source source = {0};
    return read_all(packed, &source, out_unit);
}

int packed_read_brief(struct span packed, struct unit *out_unit)
{
    struct cell_source source = {.is_brief = true};
    return read_all(packed, &source, out_unit);
}

bool packed_is_empty(struct span packed)
{
    return packed.len == 0 || packed.ptr[0] == 0;
}

static bool is_news(const struct packed_cell *cell, const struct vector *known)
{
    return cell->sequence > (known ? known->sequence[cell->origin] : 0);
}

bool packed_has_news(struct span packed, const struct vector *known)
{
    struct packed_cell cell;
    while (next_cell(&packed, &cell)) {
        if (is_news(&cell, known))
            return true;
    }
    return false;
}

bool packed_read_plain(struct span packed, struct plain_cell *out_cell)
{
    const uint8_t *at = packed.ptr;
    size_t len = packed.len ? *at++ : 0;
    if (len == 0 || len >= PACKED_PLAIN_MAX || (len + 1 < packed.len && at[len] != 0))
        return false;
    unsigned flags = *at++;
    unsigned life = flags & ~(unsigned)FLAG_TYPED;
    if (life != FLAG_LIFE && life != FLAG_FRESH)
        return false;
    out_cell->type = flags & FLAG_TYPED ? (enum cell_type) * at++ : CELL_COUNTER;
    out_cell->origin = (uint16_t)take_varint(&at);
    out_cell->sequence = take_varint(&at);
    out_cell->birth = out_cell->sequence;
    out_cell->total = 1;
    if (life == FLAG_FRESH)
        return true;
    out_cell->birth -= take_varint(&at);
    uint64_t zigzag = take_varint(&at);
    out_cell->total = (int64_t)(zigzag >> 1 ^ (0 - (zigzag & 1)));
    return true;
}

static inline uint8_t *put_varint(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

size_t packed_write_plain(uint8_t to[PACKED_PLAIN_MAX], const struct plain_cell *cell)
{
    uint8_t *at = to + 1;
    *at++ = cell->type == CELL_COUNTER ? FLAG_LIFE : FLAG_LIFE | FLAG_TYPED;
    if (cell->type != CELL_COUNTER)
        *at++ = (uint8_t)cell->type;
    at = put_varint(at, cell->origin);
    at = put_varint(at, cell->sequence);
    at = put_varint(at, cell->sequence - cell->birth);
    at = put_varint(at, (uint64_t)cell->total << 1 ^ (0 - ((uint64_t)cell->total >> 63)));
    *to = (uint8_t)(at - to - 1);
    return (size_t)(at - to);
}

static unsigned put_only(struct span cell, const struct address *address, struct buf *out)
{
    uint8_t *to = buf_reserve(out, unit_address_bytes_max(address) + cell.len);
    if (!to)
        return 1;
    uint8_t *start = to;
    to = unit_write_address(to, address, 1);
    memcpy(to, cell.ptr, cell.len);
    buf_advance(out, (size_t)(to - start) + cell.len);
    return 1;
}

// True: there is one cell, of those bytes. What it says is not looked at.
static inline bool is_only(struct span packed, struct span *out_cell)
{
    const uint8_t *at = packed.ptr;
    if (packed_is_empty(packed))
        return false;
    size_t len = (size_t)take_varint(&at);
    size_t used = (size_t)(at - packed.ptr) + len;
    *out_cell = span_of(at, len);
    return used == packed.len || packed.ptr[used] == 0;
}

unsigned packed_put_unit(struct span packed, const struct address *address,
                         const struct vector *known, struct buf *out)
{
    struct packed_cell cell;
    struct span rest = packed, only;
    if (!known && is_only(packed, &only))
        return put_only(only, address, out);
    if (!next_cell(&rest, &cell))
        return 0;
    unsigned count = is_news(&cell, known);
    while (next_cell(&rest, &cell))
        count += is_news(&cell, known);
    uint8_t *to = count ? buf_reserve(out, unit_address_bytes_max(address)) : NULL;
    if (!to)
        return count;
    buf_advance(out, (size_t)(unit_write_address(to, address, count) - to));
    for (rest = packed; next_cell(&rest, &cell);) {
        if (is_news(&cell, known))
            buf_put(out, cell.bytes);
    }
    return count;
}
