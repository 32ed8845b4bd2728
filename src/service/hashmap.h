// SPDX-License-Identifier: Apache-2.0
// A chained hash table of entries that are embedded in their owners: one word a slot, nothing to
// allocate for an entry. The hash is seeded, so collisions cannot be prepared from outside.
#pragma once
#include "base/heap.h"
#include "base/span.h"

struct hashmap_entry {
    struct hashmap_entry *next; // the map's
    uint64_t hash;
};

struct hashmap {
    struct heap *heap;
    struct hashmap_entry **slots;
    size_t slots_count; // a power of two, or 0
    size_t count;
    uint64_t seed;
};

void hashmap_init(struct hashmap *map, struct heap *heap, uint64_t seed);
void hashmap_deinit(struct hashmap *map); // the entries are their owners'
uint64_t hashmap_hash(const struct hashmap *map, struct span key);
// Walks the entries with this hash; the caller compares keys. NULL at the end.
struct hashmap_entry *hashmap_first(const struct hashmap *map, uint64_t hash);
struct hashmap_entry *hashmap_next(const struct hashmap_entry *entry);
// 0 or -ENOMEM.
int hashmap_put(struct hashmap *map, struct hashmap_entry *entry, uint64_t hash);
void hashmap_remove(struct hashmap *map, struct hashmap_entry *entry);
