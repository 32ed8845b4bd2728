// SPDX-License-Identifier: Apache-2.0
// Record -> small number: open addressing by the record's address. The records are somebody else's;
// whoever removes a record removes its entry first.
#pragma once
#include "keyspace/keyspace.h"

struct record_map {
    struct record_map_entry {
        const struct record *record; // NULL: free
        uint32_t number;
    } * list;
    uint32_t cap; // power of two, or 0
    uint32_t count;
    struct heap *heap;
};

void record_map_init(struct record_map *map, struct heap *heap);
void record_map_deinit(struct record_map *map);
// False: not there.
bool record_map_find(const struct record_map *map, const struct record *record,
                     uint32_t *out_number);
int record_map_put(struct record_map *map, const struct record *record, uint32_t number); // -ENOMEM
void record_map_remove(struct record_map *map, const struct record *record);
void record_map_clear(struct record_map *map); // keeps the memory
