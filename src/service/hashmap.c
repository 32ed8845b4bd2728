// SPDX-License-Identifier: Apache-2.0
// Doubles when there are as many entries as slots; when memory for that is missing, chains grow
// instead.
#include <errno.h>
#include "base/hash.h"
#include "service/hashmap.h"

#define SLOTS_MIN 64

void hashmap_init(struct hashmap *map, struct heap *heap, uint64_t seed)
{
    *map = (struct hashmap){.heap = heap, .seed = seed};
}

void hashmap_deinit(struct hashmap *map)
{
    heap_free(map->heap, map->slots, map->slots_count * sizeof *map->slots);
    *map = (struct hashmap){.heap = map->heap, .seed = map->seed};
}

uint64_t hashmap_hash(const struct hashmap *map, struct span key)
{
    return hash_bytes(key, map->seed);
}

static struct hashmap_entry **slot_of(const struct hashmap *map, uint64_t hash)
{
    return &map->slots[hash & (map->slots_count - 1)];
}

static struct hashmap_entry *with_hash(struct hashmap_entry *entry, uint64_t hash)
{
    while (entry && entry->hash != hash)
        entry = entry->next;
    return entry;
}

struct hashmap_entry *hashmap_first(const struct hashmap *map, uint64_t hash)
{
    return map->slots_count ? with_hash(*slot_of(map, hash), hash) : NULL;
}

struct hashmap_entry *hashmap_next(const struct hashmap_entry *entry)
{
    return with_hash(entry->next, entry->hash);
}

static int grow(struct hashmap *map)
{
    struct hashmap bigger = *map;
    bigger.slots_count = map->slots_count ? map->slots_count * 2 : SLOTS_MIN;
    size_t bytes = bigger.slots_count * sizeof *bigger.slots;
    bigger.slots = heap_alloc(map->heap, bytes);
    if (!bigger.slots)
        return -ENOMEM;
    memset(bigger.slots, 0, bytes);
    for (size_t i = 0; i < map->slots_count; i++) {
        struct hashmap_entry *entry = map->slots[i];
        while (entry) {
            struct hashmap_entry *next = entry->next;
            struct hashmap_entry **slot = slot_of(&bigger, entry->hash);
            entry->next = *slot;
            *slot = entry;
            entry = next;
        }
    }
    heap_free(map->heap, map->slots, map->slots_count * sizeof *map->slots);
    *map = bigger;
    return 0;
}

int hashmap_put(struct hashmap *map, struct hashmap_entry *entry, uint64_t hash)
{
    if (map->count >= map->slots_count) {
        int fault = grow(map);
        if (fault && map->slots_count == 0)
            return fault;
    }
    struct hashmap_entry **slot = slot_of(map, hash);
    entry->hash = hash;
    entry->next = *slot;
    *slot = entry;
    map->count++;
    return 0;
}

void hashmap_remove(struct hashmap *map, struct hashmap_entry *entry)
{
    struct hashmap_entry **at = slot_of(map, entry->hash);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    map->count--;
}
