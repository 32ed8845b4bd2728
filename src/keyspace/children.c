// SPDX-License-Identifier: Apache-2.0
// The members, leases and so on of a key: how many records there are, and, in an array without
// holes, the live members and all others, so that the number, any one at random, and a walk cost
// what they should. A child knows its place; the last one takes the place of one that goes. The
// array is in chunks: it grows without a copy of itself.
//
// A whole set goes at once: the array is put aside as it is and the key's generation moves on. A
// child is live only in the generation of its key, so everything that was shown is gone for every
// thread with one store; the sweep takes what was put aside apart, a part at a time.
//
// Replica thread only, but for generations.
#include <assert.h>
#include "keyspace/private.h"

#define CHUNK       512u // places
#define CHUNK_FIRST 4u   // of the first chunk, which doubles until it is as large as the others
#define NOWHERE     UINT32_MAX

struct child_list {
    struct record **first; // chunk 0
    struct record ***rest; // the others
    uint32_t first_cap, rest_count, rest_cap;
    uint32_t count;
};

struct stale_list { // live in an earlier generation; taken ones leave holes
    struct stale_list *next;
    struct child_list list;
    uint32_t generation;
};

struct children {
    struct child_list list;
    struct stale_list *stale;
    uint64_t records;                // listed or not
    uint64_t tokens;                 // of them
    uint32_t live[UNIT_KINDS_COUNT]; // by kind; of members: listed ones
    uint32_t gsets;                  // of the live members
    int64_t sum, noted;
    struct member_owner *owners;
    uint16_t owners_count, owners_cap;
};

// ---- a list

static struct record **place_of(const struct child_list *list, uint32_t at)
{
    return at < CHUNK ? &list->first[at] : &list->rest[at / CHUNK - 1][at % CHUNK];
}

static int reserve_first(struct child_list *list, struct heap *heap)
{
    uint32_t cap = list->first_cap ? 2 * list->first_cap : CHUNK_FIRST;
    struct record **first =
        heap_resize(heap, list->first, list->first_cap * sizeof *first, cap * sizeof *first);
    if (!first)
        return -ENOMEM;
    list->first = first;
    list->first_cap = cap;
    return 0;
}

static int reserve_rest(struct child_list *list, struct heap *heap)
{
    if (list->rest_count == list->rest_cap) {
        uint32_t cap = list->rest_cap ? 2 * list->rest_cap : 8;
        struct record ***rest =
            heap_resize(heap, list->rest, list->rest_cap * sizeof *rest, cap * sizeof *rest);
        if (!rest)
            return -ENOMEM;
        list->rest = rest;
        list->rest_cap = cap;
    }
    struct record **chunk = heap_alloc(heap, CHUNK * sizeof *chunk);
    if (!chunk)
        return -ENOMEM;
    list->rest[list->rest_count++] = chunk;
    return 0;
}

// Room for one more.
static int reserve(struct child_list *list, struct heap *heap)
{
    if (list->count < list->first_cap)
        return 0;
    if (list->first_cap < CHUNK)
        return reserve_first(list, heap);
    return list->count < (1 + list->rest_count) * CHUNK ? 0 : reserve_rest(list, heap);
}

static void free_list(struct child_list *list, struct heap *heap)
{
    heap_free(heap, list->first, list->first_cap * sizeof(struct record *));
    for (uint32_t i = 0; i < list->rest_count; i++)
        heap_free(heap, list->rest[i], CHUNK * sizeof(struct record *));
    heap_free(heap, list->rest, list->rest_cap * sizeof(struct record **));
    *list = (struct child_list){0};
}

// A chunk is kept in reserve, so that a set that breathes around a border does not churn.
static void give_back(struct child_list *list, struct heap *heap)
{
    while (list->rest_count && list->count + CHUNK < list->rest_count * CHUNK)
        heap_free(heap, list->rest[--list->rest_count], CHUNK * sizeof(struct record *));
}

// ---- life

static struct children *children_of(const struct record *parent)
{
    const struct family *family = record_family(parent);
    return family ? family->children : NULL;
}

bool record_is_parent(const struct record *record)
{
    return children_of(record) != NULL;
}

static int obtain(struct keyspace *keyspace, struct record *parent)
{
    if (children_of(parent))
        return 0;
    struct children *children = heap_alloc(keyspace->heap, sizeof *children);
    if (!children)
        return -ENOMEM;
    *children = (struct children){0};
    if (record_found_family(keyspace, parent)) {
        heap_free(keyspace->heap, children, sizeof *children);
        return -ENOMEM;
    }
    record_family(parent)->children = children;
    return 0;
}

void record_drop_children(struct keyspace *keyspace, struct record *parent)
{
    struct heap *heap = keyspace->heap;
    struct children *children = children_of(parent);
    if (!children)
        return;
    free_list(&children->list, heap);
    while (children->stale) {
        struct stale_list *stale = children->stale;
        children->stale = stale->next;
        free_list(&stale->list, heap);
        heap_free(heap, stale, sizeof *stale);
    }
    heap_free(heap, children->owners, children->owners_cap * sizeof *children->owners);
    heap_free(heap, children, sizeof *children);
    record_family(parent)->children = NULL;
}

void record_trim_children(struct keyspace *keyspace, struct record *parent)
{
    const struct children *children = children_of(parent);
    if (!children || children->records)
        return;
    for (uint16_t i = 0; i < children->owners_count; i++) {
        if (children->owners[i].floor)
            return;
    }
    record_drop_children(keyspace, parent);
}

int record_found_children(struct keyspace *keyspace, struct record *parent)
{
    int fault = obtain(keyspace, parent);
    return fault ? fault : record_children_reserve(keyspace, parent);
}

static void list(struct children *children, struct record *child)
{
    struct child_list *all = &children->list;
    *record_place(child) = all->count;
    *place_of(all, all->count++) = child;
}

static void unlist(struct keyspace *keyspace, struct children *children, struct record *child)
{
    struct child_list *all = &children->list;
    struct record *last = *place_of(all, --all->count);
    uint32_t place = *record_place(child);
    *place_of(all, place) = last;
    *record_place(last) = place;
    *record_place(child) = NOWHERE;
    give_back(all, keyspace->heap);
}

void record_link(struct record *parent, struct record *child)
{
    struct children *children = children_of(parent);
    children->records++;
    if (kind_is_attached(record_kind(child))) {
        children->tokens += record_kind(child) == UNIT_TOKEN;
        return;
    }
    *record_place(child) = NOWHERE;
    if (record_kind(child) != UNIT_MEMBER)
        list(children, child);
}

void record_unlink(struct keyspace *keyspace, struct record *child)
{
    struct record *parent = *record_parent_link(child);
    struct children *children = children_of(parent);
    bool is_attached = kind_is_attached(record_kind(child));
    if (record_kind(child) != UNIT_MEMBER && !is_attached)
        unlist(keyspace, children, child);
    assert(is_attached || *record_place(child) == NOWHERE);
    children->tokens -= record_kind(child) == UNIT_TOKEN;
    children->records--;
    record_trim_children(keyspace, parent);
}

struct record *record_parent(const struct record *record)
{
    return record_kind(record) == UNIT_KEY ? NULL : *record_parent_link(record);
}

// ---- what there is

bool record_has_tokens(const struct record *parent)
{
    const struct children *children = children_of(parent);
    return children && children->tokens != 0;
}

uint32_t record_children_count(const struct record *parent)
{
    const struct children *children = children_of(parent);
    return children ? children->list.count : 0;
}

struct record *record_child_at(const struct record *parent, uint32_t at)
{
    const struct child_list *all = &children_of(parent)->list;
    assert(at < all->count);
    return *place_of(all, at);
}

struct record *record_first_child(const struct record *parent)
{
    return record_children_count(parent) ? record_child_at(parent, 0) : NULL;
}

struct record *record_next_child(const struct record *child)
{
    const struct record *parent = *record_parent_link(child);
    uint32_t next = *record_place(child) + 1;
    bool is_any = next < record_children_count(parent);
    return is_any ? record_child_at(parent, next) : NULL;
}

uint32_t record_members_count(const struct record *parent)
{
    const struct children *children = children_of(parent);
    return children ? children->live[UNIT_MEMBER] : 0;
}

bool record_has_live_child(const struct record *parent)
{
    const struct children *children = children_of(parent);
    bool is_any = false;
    for (unsigned kind = 0; children && kind < UNIT_KINDS_COUNT && !is_any; kind++)
        is_any = children->live[kind] != 0;
    return is_any;
}

enum cell_type record_members_type(const struct record *parent)
{
    return children_of(parent)->gsets ? CELL_GSET : CELL_SET;
}

int64_t record_children_sum(const struct record *parent)
{
    const struct children *children = children_of(parent);
    return children ? children->sum : 0;
}

void record_children_add(struct record *parent, int64_t difference)
{
    struct children *children = children_of(parent);
    children->sum = (int64_t)((uint64_t)children->sum + (uint64_t)difference);
}

int record_children_reserve(struct keyspace *keyspace, struct record *parent)
{
    return reserve(&children_of(parent)->list, keyspace->heap);
}

int64_t record_noted(const struct record *parent)
{
    const struct children *children = children_of(parent);
    return children ? children->noted : 0;
}

void record_note(struct record *parent, int64_t number)
{
    children_of(parent)->noted = number;
}

static void count_live(struct children *children, uint32_t state, uint32_t difference)
{
    if (!(state & RECORD_LIVE))
        return;
    children->live[state_kind(state)] += difference;
    if (state_kind(state) == UNIT_MEMBER && state_type(state) == CELL_GSET)
        children->gsets += difference;
}

void record_child_marked(struct keyspace *keyspace, struct record *child, uint32_t before,
                         uint32_t after)
{
    struct children *children = children_of(*record_parent_link(child));
    count_live(children, before, (uint32_t)-1);
    count_live(children, after, 1);
    if (state_kind(after) != UNIT_MEMBER || !((before ^ after) & RECORD_LIVE))
        return;
    if (after & RECORD_LIVE)
        list(children, child);
    else
        unlist(keyspace, children, child);
}

// ---- generations

uint32_t record_generation(const struct record *record)
{
    // Acquire: pairs with record_release, so that whoever finds a key empty finds its members gone.
    return atomic_load_explicit(&record->state, memory_order_acquire) >> STATE_GENERATION_SHIFT;
}

bool record_is_stale(const struct record *record)
{
    uint32_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    return state_kind(state) != UNIT_KEY && (state & RECORD_LIVE) &&
           state >> STATE_GENERATION_SHIFT != record_generation(*record_parent_link(record));
}

static struct stale_list *stale_of(const struct children *children, uint32_t generation)
{
    struct stale_list *stale = children->stale;
    while (stale && stale->generation != generation)
        stale = stale->next;
    return stale;
}

// What is no member stays: moved over one by one. A key that has both is two replicas' conflict.
static void move_others(struct record *parent, struct child_list *from, struct child_list *to)
{
    for (uint32_t i = 0; i < from->count; i++) {
        struct record *child = *place_of(from, i);
        if (record_kind(child) == UNIT_MEMBER)
            continue;
        *place_of(from, i) = NULL;
        *record_place(child) = to->count;
        *place_of(to, to->count++) = child;
        uint32_t state = atomic_load(&child->state), moved;
        do {
            moved = state_in_generation(state, record_generation(parent));
        } while (!atomic_compare_exchange_weak(&child->state, &state, moved));
    }
}

int record_release(struct keyspace *keyspace, struct record *parent)
{
    struct children *children = children_of(parent);
    uint32_t generation = record_generation(parent);
    uint32_t next = (generation + 1) & STATE_GENERATION_MASK;
    uint32_t others = children->list.count - children->live[UNIT_MEMBER];
    struct stale_list *stale = heap_alloc(keyspace->heap, sizeof *stale);
    struct child_list fresh = {0};
    int fault = stale ? 0 : -ENOMEM;
    // As many places as there are others: reserve() looks at the count, which is set back after.
    for (uint32_t i = 0; i < others && !fault; i++, fresh.count++)
        fault = reserve(&fresh, keyspace->heap);
    fresh.count = 0;
    if (fault) {
        free_list(&fresh, keyspace->heap);
        heap_free(keyspace->heap, stale, sizeof *stale);
        return -ENOMEM;
    }
    *stale = (struct stale_list){children->stale, children->list, generation};
    children->stale = stale;
    children->list = fresh;
    children->gsets = children->live[UNIT_MEMBER] = 0;
    uint32_t state = atomic_load(&parent->state);
    while (!atomic_compare_exchange_weak(&parent->state, &state, state_in_generation(state, next)))
        continue;
    if (others)
        move_others(parent, &stale->list, &children->list);
    return 0;
}

bool record_is_release_due(const struct record *parent)
{
    uint32_t next = (record_generation(parent) + 1) & STATE_GENERATION_MASK;
    return stale_of(children_of(parent), next) == NULL;
}

// Not live for anybody since its generation passed: the mark goes, and its place on the list.
static void take(struct record *child, struct record **place)
{
    *place = NULL;
    *record_place(child) = NOWHERE;
    atomic_fetch_and(&child->state, ~(uint32_t)RECORD_LIVE);
}

void record_unstale(struct record *child)
{
    struct children *children = children_of(*record_parent_link(child));
    struct stale_list *stale = stale_of(children, record_generation(child));
    take(child, place_of(&stale->list, *record_place(child)));
}

bool record_has_stale(const struct record *parent)
{
    const struct children *children = children_of(parent);
    return children && children->stale;
}

struct record *record_take_stale(struct keyspace *keyspace, struct record *parent)
{
    struct children *children = children_of(parent);
    while (children && children->stale) {
        struct stale_list **last = &children->stale; // the oldest one first
        while ((*last)->next)
            last = &(*last)->next;
        struct child_list *list = &(*last)->list;
        while (list->count) {
            struct record **place = place_of(list, --list->count), *child = *place;
            if (!child)
                continue;
            take(child, place);
            return child;
        }
        struct stale_list *empty = *last;
        *last = NULL;
        free_list(list, keyspace->heap);
        heap_free(keyspace->heap, empty, sizeof *empty);
    }
    return NULL;
}

// ---- owners

struct member_owner *record_owners(const struct record *parent, uint16_t *out_count)
{
    const struct children *children = children_of(parent);
    *out_count = children ? children->owners_count : 0;
    return children ? children->owners : NULL;
}

struct member_owner *record_owner(struct keyspace *keyspace, struct record *parent, uint16_t origin)
{
    if (obtain(keyspace, parent))
        return NULL;
    struct children *children = children_of(parent);
    for (uint16_t i = 0; i < children->owners_count; i++) {
        if (children->owners[i].origin == origin)
            return &children->owners[i];
    }
    if (children->owners_count == children->owners_cap) {
        uint16_t cap = children->owners_cap ? (uint16_t)(2 * children->owners_cap) : 2;
        struct member_owner *owners =
            heap_resize(keyspace->heap, children->owners, children->owners_cap * sizeof *owners,
                        cap * sizeof *owners);
        if (!owners)
            return NULL;
        children->owners = owners;
        children->owners_cap = cap;
    }
    struct member_owner *owner = &children->owners[children->owners_count++];
    *owner = (struct member_owner){.origin = origin};
    return owner;
}
