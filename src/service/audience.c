// SPDX-License-Identifier: Apache-2.0
// Three hash tables and the lists between their entries.
#include <assert.h>
#include "base/hash.h"
#include "os/heap_system.h"
#include "service/audience.h"

#define ENTRY_OWNER(type, entry) ((type *)(entry)) // it is the first member of each

void audience_init(struct audience *audience, struct metrics *metrics, struct outlets *outlets,
                   uint64_t seed)
{
    struct heap *heap = heap_system();
    *audience = (struct audience){.heap = heap, .metrics = metrics, .outlets = outlets};
    hashmap_init(&audience->platforms, heap, seed);
    hashmap_init(&audience->tallies, heap, seed);
    hashmap_init(&audience->shares, heap, seed);
}

static void free_tallies(struct audience *audience)
{
    for (size_t i = 0; i < audience->tallies.slots_count; i++) {
        struct hashmap_entry *entry = audience->tallies.slots[i];
        while (entry) {
            struct tally *tally = ENTRY_OWNER(struct tally, entry);
            entry = entry->next;
            heap_free(audience->heap, tally, sizeof *tally + tally->key_len);
        }
    }
}

void audience_deinit(struct audience *audience)
{
    while (audience->first) {
        struct platform *platform = audience->first;
        while (platform->first) {
            struct share *share = platform->first;
            outlet_forget(share);
            share->has_subscribers = share->is_lease_asked = false;
            audience_end(audience, share);
            audience_release(audience, share);
        }
        audience_remove_platform(audience, platform);
    }
    free_tallies(audience);
    hashmap_deinit(&audience->platforms);
    hashmap_deinit(&audience->tallies);
    hashmap_deinit(&audience->shares);
}

// ---- platforms

static uint64_t platform_hash(const struct audience *audience, uint64_t id)
{
    return hash_fold(id ^ audience->platforms.seed, 0x9fb21c651e98df25u);
}

struct platform *audience_find_platform(const struct audience *audience, uint64_t id)
{
    struct hashmap_entry *entry = hashmap_first(&audience->platforms, platform_hash(audience, id));
    while (entry && ENTRY_OWNER(struct platform, entry)->id != id)
        entry = hashmap_next(entry);
    return ENTRY_OWNER(struct platform, entry);
}

struct platform *audience_platform(struct audience *audience, uint64_t id)
{
    struct platform *platform = audience_find_platform(audience, id);
    if (platform || audience->platforms.count >= SERVICE_PLATFORMS_MAX)
        return platform;
    platform = heap_alloc(audience->heap, sizeof *platform);
    if (!platform)
        return NULL;
    *platform = (struct platform){.id = id};
    outlet_init(&platform->outlet, audience->outlets);
    if (hashmap_put(&audience->platforms, &platform->entry, platform_hash(audience, id))) {
        heap_free(audience->heap, platform, sizeof *platform);
        return NULL;
    }
    platform->next = audience->first;
    if (audience->first)
        audience->first->prev = platform;
    audience->first = platform;
    audience->metrics->platforms_now = audience->platforms.count;
    return platform;
}

void audience_remove_platform(struct audience *audience, struct platform *platform)
{
    assert(!platform->first);
    outlet_stop(&platform->outlet);
    hashmap_remove(&audience->platforms, &platform->entry);
    if (platform->next)
        platform->next->prev = platform->prev;
    if (platform->prev)
        platform->prev->next = platform->next;
    else
        audience->first = platform->next;
    heap_free(audience->heap, platform, sizeof *platform);
    audience->metrics->platforms_now = audience->platforms.count;
}

// ---- tallies

struct tally *audience_find_tally(const struct audience *audience, struct span key)
{
    struct hashmap_entry *entry =
        hashmap_first(&audience->tallies, hashmap_hash(&audience->tallies, key));
    while (entry && !span_is_equal(tally_key(ENTRY_OWNER(struct tally, entry)), key))
        entry = hashmap_next(entry);
    return ENTRY_OWNER(struct tally, entry);
}

static struct tally *tally_of(struct audience *audience, struct span key)
{
    struct tally *tally = audience_find_tally(audience, key);
    if (tally || audience->tallies.count >= SERVICE_TALLIES_MAX)
        return tally;
    tally = heap_alloc(audience->heap, sizeof *tally + key.len);
    if (!tally)
        return NULL;
    *tally = (struct tally){.key_len = (uint32_t)key.len};
    memcpy(tally->key, key.ptr, key.len);
    if (hashmap_put(&audience->tallies, &tally->entry, hashmap_hash(&audience->tallies, key))) {
        heap_free(audience->heap, tally, sizeof *tally + key.len);
        return NULL;
    }
    audience->metrics->tallies_now = audience->tallies.count;
    return tally;
}

void audience_release_tally(struct audience *audience, struct tally *tally)
{
    if (tally->shares || tally->is_watched || tally->is_queued || tally->is_reading)
        return;
    hashmap_remove(&audience->tallies, &tally->entry);
    heap_free(audience->heap, tally, sizeof *tally + tally->key_len);
    audience->metrics->tallies_now = audience->tallies.count;
}

// ---- shares

static uint64_t share_hash(const struct platform *platform, const struct tally *tally)
{
    return hash_fold(tally->entry.hash ^ platform->entry.hash, 0xd6e8feb86659fd93u);
}

struct share *audience_find_share(const struct audience *audience, const struct platform *platform,
                                  const struct tally *tally)
{
    struct hashmap_entry *entry = hashmap_first(&audience->shares, share_hash(platform, tally));
    for (; entry; entry = hashmap_next(entry)) {
        struct share *share = ENTRY_OWNER(struct share, entry);
        if (share->platform == platform && share->tally == tally)
            return share;
    }
    return NULL;
}

static void append_heard(struct platform *platform, struct share *share)
{
    share->heard_prev = platform->last;
    share->heard_next = NULL;
    if (platform->last)
        platform->last->heard_next = share;
    else
        platform->first = share;
    platform->last = share;
}

static void unlink_heard(struct platform *platform, struct share *share)
{
    if (share->heard_prev)
        share->heard_prev->heard_next = share->heard_next;
    else
        platform->first = share->heard_next;
    if (share->heard_next)
        share->heard_next->heard_prev = share->heard_prev;
    else
        platform->last = share->heard_prev;
}

struct share *audience_share(struct audience *audience, struct platform *platform, struct span key)
{
    struct tally *tally = tally_of(audience, key);
    struct share *share = tally ? audience_find_share(audience, platform, tally) : NULL;
    if (share || !tally)
        return share;
    if (audience->shares.count < SERVICE_SHARES_MAX)
        share = heap_alloc(audience->heap, sizeof *share);
    if (!share) {
        audience_release_tally(audience, tally);
        return NULL;
    }
    *share = (struct share){
        .platform = platform, .tally = tally, .tally_next = tally->shares, .owner = platform->id};
    if (hashmap_put(&audience->shares, &share->entry, share_hash(platform, tally))) {
        heap_free(audience->heap, share, sizeof *share);
        audience_release_tally(audience, tally);
        return NULL;
    }
    if (tally->shares)
        tally->shares->tally_prev = share;
    tally->shares = share;
    append_heard(platform, share);
    platform->shares_count++;
    audience->metrics->shares_now = audience->shares.count;
    return share;
}

void audience_heard(struct share *share, uint64_t now_ms)
{
    share->heard_ms = now_ms;
    unlink_heard(share->platform, share);
    append_heard(share->platform, share);
}

void audience_end(struct audience *audience, struct share *share)
{
    struct platform *platform = share->platform;
    assert(!share->has_subscribers && !share->outlet_list && !share->is_ended);
    if (share->boot == platform->boot && share->sequence > platform->floor)
        platform->floor = share->sequence;
    hashmap_remove(&audience->shares, &share->entry);
    unlink_heard(platform, share);
    platform->shares_count--;
    share->platform = NULL;
    share->is_ended = true;
    audience->metrics->shares_now = audience->shares.count;
}

void audience_release(struct audience *audience, struct share *share)
{
    struct tally *tally = share->tally;
    if (!share->is_ended || share->is_lease_asked)
        return;
    if (share->tally_prev)
        share->tally_prev->tally_next = share->tally_next;
    else
        tally->shares = share->tally_next;
    if (share->tally_next)
        share->tally_next->tally_prev = share->tally_prev;
    heap_free(audience->heap, share, sizeof *share);
    audience_release_tally(audience, tally);
}
