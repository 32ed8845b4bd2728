// SPDX-License-Identifier: Apache-2.0
// The members of a set as they are at one moment, to be told in parts while the set goes on
// changing. Only pointers are copied; until the list is freed no removed record is given back
// (replica->lists_count), so what they point to keeps its name.
#include "replica/private.h"

#define AHEAD 8u

static int list_alloc(struct replica *replica, uint32_t count, struct set_list *out_list)
{
    *out_list = (struct set_list){0};
    if (count == 0)
        return 0;
    struct record **member = heap_alloc(replica->heap, count * sizeof(struct record *));
    if (!member)
        return -ENOMEM;
    *out_list = (struct set_list){.member = member, .cap = count};
    replica->lists_count++;
    return 0;
}

void replica_set_list_free(struct replica *replica, struct set_list *list)
{
    if (!list->member)
        return;
    heap_free(replica->heap, list->member, list->cap * sizeof(struct record *));
    *list = (struct set_list){0};
    replica->lists_count--;
}

void replica_set_list_ahead(const struct set_list *list, uint32_t at)
{
    if (at + AHEAD < list->count)
        __builtin_prefetch(list->member[at + AHEAD]);
}

int replica_set_list(struct replica *replica, const struct record *set, struct set_list *out_list)
{
    uint32_t count = record_children_count(set);
    bool is_mixed = record_members_count(set) != count;
    if (list_alloc(replica, count, out_list))
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct record *child = record_child_at(set, i);
        if (!is_mixed || record_address(child).kind == UNIT_MEMBER)
            out_list->member[out_list->count++] = child;
    }
    return 0;
}

// Floyd's choice of `count` out of list->count, each once: marks them in `is_chosen`.
static void choose(struct replica *replica, uint32_t total, uint32_t count, uint8_t *is_chosen)
{
    for (uint32_t i = total - count; i < total; i++) {
        uint32_t at = (uint32_t)prng_below(&replica->prng, i + 1);
        if (is_chosen[at / 8] & 1u << at % 8)
            at = i;
        is_chosen[at / 8] |= (uint8_t)(1u << at % 8);
    }
}

static int pick_distinct(struct replica *replica, uint32_t count, struct set_list *list)
{
    size_t bytes = list->count / 8 + 1;
    if (count >= list->count)
        return 0; // all
    uint8_t *is_chosen = heap_alloc(replica->heap, bytes);
    if (!is_chosen)
        return -ENOMEM;
    memset(is_chosen, 0, bytes);
    choose(replica, list->count, count, is_chosen);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        if (is_chosen[i / 8] & 1u << i % 8)
            list->member[kept++] = list->member[i];
    }
    list->count = kept;
    heap_free(replica->heap, is_chosen, bytes);
    return 0;
}

int replica_set_pick(struct replica *replica, const struct record *set, int64_t count,
                     struct set_list *out_list)
{
    if (count < 0) {
        if (list_alloc(replica, (uint32_t)-count, out_list))
            return -ENOMEM;
        struct record *member;
        while (out_list->count < out_list->cap && (member = replica_set_random(replica, set)))
            out_list->member[out_list->count++] = member;
        return 0;
    }
    int fault = replica_set_list(replica, set, out_list);
    if (!fault)
        fault = pick_distinct(replica, (uint32_t)count, out_list);
    if (fault)
        replica_set_list_free(replica, out_list);
    return fault;
}
