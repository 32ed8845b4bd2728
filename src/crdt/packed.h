// SPDX-License-Identifier: Apache-2.0
// Cells as they rest in memory: each in its wire form behind its length, local origin indexes, a
// zero where the bytes go on behind the last. Most counters hold one small cell an origin: 8 to 12
// bytes, where a struct cell has 136. What is packed here is trusted: only this file wrote it.
#pragma once
#include "crdt/unit.h"

// A cell that is a life and nothing else, last written at `sequence`: nearly all of them.
struct plain_cell {
    uint64_t sequence, birth;
    int64_t total;
    uint16_t origin;
    enum cell_type type;
};

// All cells of the unit, in place of what `out` held.
void packed_write(const struct unit *unit, struct buf *out);
// 0 or -ENOMEM (the unit is empty then).
int packed_read(struct span packed, struct unit *out_unit);
// The same without the entries of reset records, contents being borrowed from `packed`: allocates
// nothing but cells.
int packed_read_brief(struct span packed, struct unit *out_unit);
bool packed_is_empty(struct span packed);
bool packed_has_news(struct span packed, const struct vector *known); // a cell above it

// True: there is one cell, and it is a plain one.
bool packed_read_plain(struct span packed, struct plain_cell *out_cell);
#define PACKED_PLAIN_MAX 36
size_t packed_write_plain(uint8_t to[PACKED_PLAIN_MAX], const struct plain_cell *cell);

// The unit of these cells as unit_write writes it.
unsigned packed_put_unit(struct span packed, const struct address *address,
                         const struct vector *known, struct buf *out);
