// SPDX-License-Identifier: Apache-2.0
// One cell as bytes, between the files of this room that write units and packed cells. Layout:
// unit_codec.c.
#pragma once
#include "crdt/unit.h"

enum {
    FLAG_LIFE = 1u << 0,
    FLAG_LATER = 1u << 1,    // the last write of the cell was not one of the life; without LIFE, a
                             // FLAG_FRESH one
    FLAG_FRESH = FLAG_LATER, // begun by the last write, of 1, uncut: nothing follows
    FLAG_CUT = 1u << 2,
    FLAG_RECORD = 1u << 3,
    FLAG_BASE = 1u << 4,
    FLAG_BASE_CUT = 1u << 5,
    FLAG_TYPED = 1u << 6, // not a CELL_COUNTER
    FLAG_MORE = 1u << 7,  // a byte with the flags from here on follows
    FLAG_LEASE = 1u << 8,
    FLAG_CONTENT = 1u << 9,
    FLAGS_ALL = (1u << 10) - 1,
};

struct origin_set {
    uint64_t bits[(LIMIT_ORIGINS + 63) / 64];
};

struct cell_source {              // what a reader of cells knows beside the bytes
    const struct origin_map *map; // NULL: origins are local indexes already
    struct origin_set met;        // of this unit: one cell an origin
    bool is_brief;                // without the entries of reset records; contents are borrowed
};

void cell_put(struct buf *out, const struct cell *cell);
// Appends to the unit. 0 or -ENOMEM; what is malformed marks the reader failed.
int cell_read(struct reader *reader, struct cell_source *source, struct unit *unit);
// Address and number of cells, which then follow, into memory that is large enough.
uint8_t *unit_write_address(uint8_t *to, const struct address *address, unsigned cells_count);
size_t unit_address_bytes_max(const struct address *address);
