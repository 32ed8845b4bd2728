// SPDX-License-Identifier: Apache-2.0
// Linear probing at most half full; removal shifts back what follows, so there are no tombstones.
#include <errno.h>
#include "base/prng.h"
#include "replica/record_map.h"

#define FIRST_CAP 64u

void record_map_init(struct record_map *map, struct heap *heap)
{
    *map = (struct record_map){.heap = heap};
}

void record_map_deinit(struct record_map *map)
{
    heap_free(map->heap, map->list, map->cap * sizeof *map->list);
}

static uint32_t home_of(const struct record_map *map, const struct record *record)
{
    return (uint32_t)prng_mix((uint64_t)(uintptr_t)record) & (map->cap - 1);
}

static struct record_map_entry *slot_of(const struct record_map *map, const struct record *record)
{
    uint32_t at = home_of(map, record);
    while (map->list[at].record && map->list[at].record != record)
        at = (at + 1) & (map->cap - 1);
    return &map->list[at];
}

bool record_map_find(const struct record_map *map, const struct record *record,
                     uint32_t *out_number)
{
    if (map->count == 0)
        return false;
    const struct record_map_entry *entry = slot_of(map, record);
    *out_number = entry->number;
    return entry->record != NULL;
}

static int grow(struct record_map *map)
{
    struct record_map larger = {.heap = map->heap, .cap = map->cap ? map->cap * 2 : FIRST_CAP};
    larger.list = heap_alloc(map->heap, larger.cap * sizeof *larger.list);
    if (!larger.list)
        return -ENOMEM;
    memset(larger.list, 0, larger.cap * sizeof *larger.list);
    for (uint32_t i = 0; i < map->cap; i++) {
        if (map->list[i].record)
            *slot_of(&larger, map->list[i].record) = map->list[i];
    }
    larger.count = map->count;
    record_map_deinit(map);
    *map = larger;
    return 0;
}

int record_map_put(struct record_map *map, const struct record *record, uint32_t number)
{
    if (2 * (map->count + 1) > map->cap && grow(map))
        return -ENOMEM;
    struct record_map_entry *entry = slot_of(map, record);
    map->count += !entry->record;
    *entry = (struct record_map_entry){record, number};
    return 0;
}

void record_map_remove(struct record_map *map, const struct record *record)
{
    uint32_t mask = map->cap - 1;
    if (map->count == 0)
        return;
    struct record_map_entry *entry = slot_of(map, record);
    if (!entry->record)
        return;
    map->count--;
    uint32_t hole = (uint32_t)(entry - map->list);
    for (uint32_t at = (hole + 1) & mask; map->list[at].record; at = (at + 1) & mask) {
        uint32_t home = home_of(map, map->list[at].record);
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        map->list[hole] = map->list[at];
        hole = at;
    }
    map->list[hole].record = NULL;
}

void record_map_clear(struct record_map *map)
{
    if (map->count)
        memset(map->list, 0, map->cap * sizeof *map->list);
    map->count = 0;
}
