// SPDX-License-Identifier: Apache-2.0
// The change order: a ring of the records that changed last, each at its newest number only. A link
// to a peer, and the hook, are cursors in it. It grows to LIMIT_CHANGE_ORDER as it is used; from
// then on a record that has not changed for so long falls out, and `oldest` tells whoever is behind
// that only a walk over the keyspace finds it. A hot key alone never pushes anything out: its
// earlier places are empty. Replica thread only.
#include <errno.h>
#include "keyspace/private.h"

#define ORDER_FIRST 64u

int order_init(struct order *order, struct heap *heap)
{
    *order = (struct order){.ring = heap_alloc(heap, ORDER_FIRST * sizeof *order->ring),
                            .cap = ORDER_FIRST,
                            .oldest = 1};
    if (!order->ring)
        return -ENOMEM;
    memset(order->ring, 0, ORDER_FIRST * sizeof *order->ring);
    return 0;
}

// Out of memory: it stays as small as it is and forgets sooner.
static void grow(struct order *order, struct heap *heap)
{
    uint64_t cap = order->cap * 2;
    struct record **ring = heap_alloc(heap, cap * sizeof *ring);
    if (!ring)
        return;
    memset(ring, 0, cap * sizeof *ring);
    for (uint64_t i = 0; i < order->cap && i < order->newest; i++) {
        uint64_t number = order->newest - i;
        ring[number & (cap - 1)] = order->ring[number & (order->cap - 1)];
    }
    heap_free(heap, order->ring, order->cap * sizeof *ring);
    order->ring = ring;
    order->cap = cap;
}

void order_forget(struct order *order, struct record *record)
{
    uint64_t number = record_change(record);
    struct record **at = &order->ring[number & (order->cap - 1)];
    if (*at == record)
        *at = NULL;
}

uint64_t keyspace_change_put(struct keyspace *keyspace, struct record *record)
{
    struct order *order = &keyspace->order;
    order_forget(order, record);
    if (order->ring[(order->newest + 1) & (order->cap - 1)] && order->cap < LIMIT_CHANGE_ORDER)
        grow(order, keyspace->heap);
    uint64_t number = ++order->newest;
    struct record **at = &order->ring[number & (order->cap - 1)];
    if (*at)
        order->oldest = number - order->cap + 1;
    *at = record;
    // Relaxed: a worker reads it as a version only; any recent number of the record is true.
    atomic_store_explicit(&record->change, number << 16 | record_len(record), memory_order_relaxed);
    return number;
}

uint64_t keyspace_change_newest(const struct keyspace *keyspace)
{
    return keyspace->order.newest;
}

uint64_t keyspace_change_oldest(const struct keyspace *keyspace)
{
    return keyspace->order.oldest;
}

uint64_t keyspace_change_skip(const struct keyspace *keyspace, uint64_t number)
{
    const struct order *order = &keyspace->order;
    uint64_t first = order->newest < order->cap ? 1 : order->newest - order->cap + 1;
    return number < first ? first : number;
}

struct record *keyspace_change_at(const struct keyspace *keyspace, uint64_t number)
{
    const struct order *order = &keyspace->order;
    if (number == 0 || number > order->newest || number + order->cap <= order->newest)
        return NULL;
    return order->ring[number & (order->cap - 1)];
}

uint64_t record_change(const struct record *record)
{
    return atomic_load_explicit(&record->change, memory_order_relaxed) >> 16;
}
