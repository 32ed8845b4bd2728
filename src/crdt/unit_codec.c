// SPDX-License-Identifier: Apache-2.0
// A unit as bytes, the same in a feed, a journal frame and a snapshot. v: varint, z: zig-zag
// varint.
//
//   unit    head, key (v length, bytes), sub-key (the same; not for UNIT_KEY), cells
//   head    bits 0-2 kind, bits 3-7 cells - 1; 31 there: v (cells - 1) follows
//   cell    flags, [MORE: flags above bit 7], [TYPED: type], v origin, v sequence,
//           [FRESH: a life of 1, begun and last written at `sequence`]
//           [LIFE: [LATER: v sequence - write], v write - birth, z total,
//                  [CUT: v write - cut_write, [not 0: z total - cut_total]]]
//           [RECORD: v sequence - reset, v entries, entries]
//           [BASE: v sequence - base.sequence, u64 stamp, z value]
//           [BASE_CUT: v sequence - base.cut]
//           [LEASE: v epoch, v sequence, z count, v ttl_ms * 2 + ended]
//           [CONTENT: v length, bytes]
//   entry   v origin, v write, [not 0: v write - birth, z total], v base, v floor
//
// A part that is not there costs nothing: a plain counter cell is flags, origin, sequence, the age
// of its life, total. Differences are taken modulo 2^64. Reading trusts nothing: the invariants of
// cell.c are checked and memory grows only with cells that were read.
#include "crdt/cell_codec.h"

#define HEAD_KIND       7u
#define HEAD_SHIFT      3
#define HEAD_MORE       31u
#define CELL_BYTES_MAX  (3 + 8 + 17 * VARINT_BYTES_MAX) // without a record's entries, and content
#define CELL_BYTES_MIN  3
#define ENTRY_BYTES_MAX (6 * VARINT_BYTES_MAX)
#define ENTRY_BYTES_MIN 4

static bool is_fresh(const struct cell *cell)
{
    return cell->birth && cell->birth == cell->sequence && cell->write == cell->sequence &&
           cell->total == 1 && !cell->cut_write;
}

static unsigned flags_of(const struct cell *cell)
{
    unsigned flags = cell->type != CELL_COUNTER ? FLAG_TYPED : 0;
    if (is_fresh(cell))
        flags |= FLAG_FRESH;
    else if (cell->birth)
        flags |= FLAG_LIFE | (cell->sequence != cell->write ? FLAG_LATER : 0u) |
                 (cell->cut_write ? FLAG_CUT : 0u);
    if (cell->reset)
        flags |= FLAG_RECORD;
    if (cell->base.sequence)
        flags |= FLAG_BASE;
    if (cell->base.cut)
        flags |= FLAG_BASE_CUT;
    if (lease_is_set(&cell->lease))
        flags |= FLAG_LEASE;
    if (cell->content_len)
        flags |= FLAG_CONTENT;
    return flags > UINT8_MAX ? flags | FLAG_MORE : flags;
}

static uint8_t *write_life(uint8_t *to, const struct cell *cell, unsigned flags)
{
    if (flags & FLAG_LATER)
        to = bytes_write_varint(to, cell->sequence - cell->write);
    to = bytes_write_varint(to, cell->write - cell->birth);
    to = bytes_write_signed(to, cell->total);
    if (!(flags & FLAG_CUT))
        return to;
    to = bytes_write_varint(to, cell->write - cell->cut_write);
    if (cell->write != cell->cut_write)
        to = bytes_write_signed(to, (int64_t)((uint64_t)cell->total - (uint64_t)cell->cut_total));
    return to;
}

static uint8_t *write_base(uint8_t *to, const struct cell *cell)
{
    to = bytes_write_varint(to, cell->sequence - cell->base.sequence);
    bytes_write_u64(to, cell->base.stamp);
    return bytes_write_signed(to + 8, cell->base.value);
}

static uint8_t *write_lease(uint8_t *to, const struct lease *lease)
{
    to = bytes_write_varint(to, lease->epoch);
    to = bytes_write_varint(to, lease->sequence);
    to = bytes_write_signed(to, lease->count);
    return bytes_write_varint(to, (uint64_t)lease->ttl_ms << 1 | lease->ended);
}

static uint8_t *write_record(uint8_t *to, const struct cell *cell)
{
    to = bytes_write_varint(to, cell->sequence - cell->reset);
    to = bytes_write_varint(to, cell->cuts_count);
    for (uint32_t i = 0; i < cell->cuts_count; i++) {
        const struct cut *entry = &cell->cuts[i];
        to = bytes_write_varint(to, entry->origin);
        to = bytes_write_varint(to, entry->write);
        if (entry->write) {
            to = bytes_write_varint(to, entry->write - entry->birth);
            to = bytes_write_signed(to, entry->total);
        }
        to = bytes_write_varint(to, entry->base);
        to = bytes_write_varint(to, entry->floor);
    }
    return to;
}

void cell_put(struct buf *out, const struct cell *cell)
{
    uint8_t *start = buf_reserve(out, CELL_BYTES_MAX + cell->content_len +
                                          cell->cuts_count * (size_t)ENTRY_BYTES_MAX);
    if (!start)
        return;
    unsigned flags = flags_of(cell);
    uint8_t *to = start;
    *to++ = (uint8_t)flags;
    if (flags & FLAG_MORE)
        *to++ = (uint8_t)(flags >> 8);
    if (flags & FLAG_TYPED)
        *to++ = cell->type;
    to = bytes_write_varint(to, cell->origin);
    to = bytes_write_varint(to, cell->sequence);
    if (flags & FLAG_LIFE)
        to = write_life(to, cell, flags);
    if (flags & FLAG_RECORD)
        to = write_record(to, cell);
    if (flags & FLAG_BASE)
        to = write_base(to, cell);
    if (flags & FLAG_BASE_CUT)
        to = bytes_write_varint(to, cell->sequence - cell->base.cut);
    if (flags & FLAG_LEASE)
        to = write_lease(to, &cell->lease);
    if (flags & FLAG_CONTENT) {
        to = bytes_write_varint(to, cell->content_len);
        memcpy(to, cell->content, cell->content_len);
        to += cell->content_len;
    }
    buf_advance(out, (size_t)(to - start));
}

static uint8_t *write_string(uint8_t *to, struct span string)
{
    to = bytes_write_varint(to, string.len);
    if (string.len)
        memcpy(to, string.ptr, string.len);
    return to + string.len;
}

size_t unit_address_bytes_max(const struct address *address)
{
    return 1 + 3 * VARINT_BYTES_MAX + address->key.len + address->sub.len;
}

uint8_t *unit_write_address(uint8_t *to, const struct address *address, unsigned cells_count)
{
    unsigned rest = cells_count - 1;
    *to++ = (uint8_t)(address->kind | (rest < HEAD_MORE ? rest : HEAD_MORE) << HEAD_SHIFT);
    if (rest >= HEAD_MORE)
        to = bytes_write_varint(to, rest);
    to = write_string(to, address->key);
    return address->kind == UNIT_KEY ? to : write_string(to, address->sub);
}

// A cell that was obtained and never written has sequence 0 and is no news to anybody.
static bool is_news(const struct cell *cell, const struct vector *known)
{
    return cell->sequence > (known ? known->sequence[cell->origin] : 0);
}

unsigned unit_write(const struct unit *unit, const struct address *address,
                    const struct vector *known, struct buf *out)
{
    unsigned count = 0;
    for (uint16_t i = 0; i < unit->count; i++)
        count += is_news(&unit->cells[i], known);
    if (count == 0)
        return 0;
    uint8_t *to = buf_reserve(out, unit_address_bytes_max(address));
    if (!to)
        return count;
    buf_advance(out, (size_t)(unit_write_address(to, address, count) - to));
    for (uint16_t i = 0; i < unit->count; i++) {
        if (is_news(&unit->cells[i], known))
            cell_put(out, &unit->cells[i]);
    }
    return count;
}

// ---- reading: a violation marks the reader failed, and everything after it yields zeros

static void expect(struct reader *reader, bool is_right)
{
    if (!is_right)
        reader->failed = true;
}

// `from` minus a distance that may not lead below `floor`.
static uint64_t read_back(struct reader *reader, uint64_t from, uint64_t floor)
{
    uint64_t distance = reader_varint(reader);
    expect(reader, from >= floor && distance <= from - floor);
    return reader->failed ? 0 : from - distance;
}

// A written origin number as a local index, each at most once in `met`.
static uint16_t read_origin(struct reader *reader, const struct origin_map *map,
                            struct origin_set *met)
{
    uint64_t number = reader_varint(reader);
    expect(reader, number < (map ? map->count : LIMIT_ORIGINS));
    if (reader->failed)
        return 0;
    uint16_t origin = map ? map->local[number] : (uint16_t)number;
    uint64_t bit = (uint64_t)1 << origin % 64, *word = &met->bits[origin / 64];
    expect(reader, !(*word & bit));
    *word |= bit;
    return origin;
}

static void read_life(struct reader *reader, unsigned flags, struct cell *cell)
{
    cell->write = flags & FLAG_LATER ? read_back(reader, cell->sequence, 1) : cell->sequence;
    cell->birth = read_back(reader, cell->write, 1);
    cell->total = reader_signed(reader);
    if (!(flags & FLAG_CUT))
        return;
    cell->cut_write = read_back(reader, cell->write, cell->birth);
    uint64_t uncut = cell->cut_write != cell->write ? (uint64_t)reader_signed(reader) : 0;
    cell->cut_total = (int64_t)((uint64_t)cell->total - uncut);
}

static void read_base(struct reader *reader, struct cell *cell)
{
    cell->base.sequence = read_back(reader, cell->sequence, 1);
    cell->base.stamp = reader_u64(reader);
    cell->base.value = reader_signed(reader);
}

static void read_lease(struct reader *reader, struct lease *lease)
{
    lease->epoch = reader_varint(reader);
    lease->sequence = reader_varint(reader);
    lease->count = reader_signed(reader);
    uint64_t ttl = reader_varint(reader);
    expect(reader, ttl >> 1 <= UINT32_MAX && lease_is_set(lease));
    lease->ttl_ms = (uint32_t)(ttl >> 1);
    lease->ended = ttl & 1;
}

static void read_entry(struct reader *reader, struct cut *entry)
{
    entry->write = reader_varint(reader);
    if (entry->write) {
        entry->birth = read_back(reader, entry->write, 1);
        entry->total = reader_signed(reader);
    }
    entry->base = reader_varint(reader);
    entry->floor = reader_varint(reader);
    expect(reader, entry->write || entry->base || entry->floor);
}

static void pass_entries(struct reader *reader, const struct origin_map *map, uint64_t count)
{
    struct origin_set met = {{0}};
    for (uint64_t i = 0; i < count; i++) {
        struct cut entry = {.origin = read_origin(reader, map, &met)};
        read_entry(reader, &entry);
    }
}

static int read_record(struct reader *reader, const struct cell_source *source, struct heap *heap,
                       struct cell *cell)
{
    struct origin_set met = {{0}};
    cell->reset = read_back(reader, cell->sequence, 1);
    uint64_t count = reader_varint(reader);
    expect(reader, count > 0 && count <= (source->map ? source->map->count : LIMIT_ORIGINS) &&
                       count <= reader_left(reader) / ENTRY_BYTES_MIN);
    if (reader->failed)
        return 0;
    if (source->is_brief) {
        pass_entries(reader, source->map, count);
        return 0;
    }
    cell->cuts = heap_alloc(heap, count * sizeof *cell->cuts);
    if (!cell->cuts)
        return -ENOMEM;
    cell->cuts_count = (uint32_t)count;
    for (uint32_t i = 0; i < cell->cuts_count; i++) {
        cell->cuts[i] = (struct cut){.origin = read_origin(reader, source->map, &met)};
        read_entry(reader, &cell->cuts[i]);
    }
    return 0;
}

// Only a life that is not cut has any.
static int read_content(struct reader *reader, struct unit *unit, struct cell *cell)
{
    struct span content = reader_string(reader, LIMIT_CONTENT_BYTES);
    expect(reader, content.len > 0 && cell_has_life(cell));
    if (reader->failed)
        return 0;
    if (!unit->is_borrowing)
        return unit_put_content(unit, cell, content);
    cell->content = (uint8_t *)(uintptr_t)content.ptr;
    cell->content_len = (uint16_t)content.len;
    return 0;
}

int cell_read(struct reader *reader, struct cell_source *source, struct unit *unit)
{
    unsigned flags = reader_u8(reader);
    if (flags & FLAG_MORE)
        flags |= (unsigned)reader_u8(reader) << 8;
    uint8_t type = flags & FLAG_TYPED ? reader_u8(reader) : CELL_COUNTER;
    uint16_t origin = read_origin(reader, source->map, &source->met);
    uint64_t sequence = reader_varint(reader);
    expect(reader, type < CELL_TYPES_COUNT && sequence > 0);
    expect(reader, flags & FLAG_LIFE || !(flags & FLAG_CUT));
    expect(reader, flags <= FLAGS_ALL && !!(flags & FLAG_MORE) == (flags > UINT8_MAX));
    expect(reader, !(flags & FLAG_BASE) || !(flags & FLAG_BASE_CUT));
    if (reader->failed)
        return 0;
    struct cell *cell = unit_obtain(unit, origin);
    if (!cell)
        return -ENOMEM;
    cell->type = type;
    cell->sequence = sequence;
    if (flags & FLAG_LIFE)
        read_life(reader, flags, cell);
    else if (flags & FLAG_FRESH)
        cell_renew(cell, sequence);
    int fault = flags & FLAG_RECORD ? read_record(reader, source, unit->heap, cell) : 0;
    if (flags & FLAG_BASE)
        read_base(reader, cell);
    if (flags & FLAG_BASE_CUT)
        cell->base.cut = read_back(reader, cell->sequence, 1);
    if (flags & FLAG_LEASE)
        read_lease(reader, &cell->lease);
    if (flags & FLAG_CONTENT && !fault)
        fault = read_content(reader, unit, cell);
    return fault;
}

static uint64_t read_address(struct reader *reader, struct address *address)
{
    uint8_t head = reader_u8(reader);
    uint64_t rest = head >> HEAD_SHIFT;
    if (rest == HEAD_MORE)
        rest = reader_varint(reader);
    expect(reader, (head & HEAD_KIND) < UNIT_KINDS_COUNT && rest < LIMIT_ORIGINS);
    *address = (struct address){.kind = (enum unit_kind)(head & HEAD_KIND)};
    address->key = reader_string(reader, LIMIT_KEY_BYTES);
    if (address->kind != UNIT_KEY)
        address->sub = reader_string(reader, LIMIT_KEY_BYTES);
    expect(reader, rest < reader_left(reader) / CELL_BYTES_MIN);
    return rest + 1;
}

int unit_read(struct reader *reader, const struct origin_map *map, struct address *out_address,
              struct unit *out_unit)
{
    struct address address;
    struct cell_source source = {.map = map};
    unit_clear(out_unit);
    uint64_t count = read_address(reader, &address);
    int fault = 0;
    for (uint64_t i = 0; i < count && !fault && !reader->failed; i++)
        fault = cell_read(reader, &source, out_unit);
    if (fault || reader->failed) {
        unit_clear(out_unit);
        return fault ? fault : UNIT_E_MALFORMED;
    }
    *out_address = address;
    return 0;
}
