// SPDX-License-Identifier: Apache-2.0
// The table: shards by the hash's top bits, each an open-addressed array in hash order (the home of
// a hash is its fraction of the array, then linear probing), so that a scan can go by hash and does
// not care how often a shard grew meanwhile. A slot is a record's address with 16 bits of its hash.
//
// Readers take no lock: slots and array are published by release stores, removed slots stay marked
// until the end of their cluster goes, replaced arrays and removed records wait for a grace period.
// Creating, removing and growing take the shard's lock.
#include <assert.h>
#include <errno.h>
#include "base/wide.h"
#include "keyspace/private.h"

#define SLOT_EMPTY     0u
#define SLOT_REMOVED   1u
#define SLOT_TAG_SHIFT 48
#define SCAN_AHEAD     8u
#define TABLE_FULL(n)  ((n) / 16 * 13 + (n) % 16 * 13 / 16) // 13/16; then a half more

size_t table_size(uint64_t slots_count)
{
    return sizeof(struct table) + slots_count * sizeof(uint64_t);
}

static uint64_t slot_of(const struct record *record, uint64_t hash)
{
    return hash << SLOT_TAG_SHIFT | (uint64_t)(uintptr_t)record;
}

static struct record *slot_record(uint64_t slot)
{
    return (struct record *)(uintptr_t)(slot & (((uint64_t)1 << SLOT_TAG_SHIFT) - 1));
}

static bool slot_may_be(uint64_t slot, uint64_t hash)
{
    return slot >> SLOT_TAG_SHIFT == (hash & 0xffff) && slot > SLOT_REMOVED;
}

static uint64_t within_shard(const struct keyspace *keyspace, uint64_t hash)
{
    return hash << keyspace->shard_bits;
}

static uint64_t home_of(const struct keyspace *keyspace, uint64_t hash, uint64_t slots_count)
{
    return (uint64_t)((wide_unsigned)within_shard(keyspace, hash) * slots_count >> 64);
}

static uint64_t shard_index(const struct keyspace *keyspace, uint64_t hash)
{
    return keyspace->shard_bits ? hash >> (64 - keyspace->shard_bits) : 0;
}

// Acquire: pairs with the release of set_slot; the record's bytes come with it.
static uint64_t get_slot(const struct table *table, uint64_t at)
{
    return atomic_load_explicit(&table->slot[at], memory_order_acquire);
}

static void set_slot(struct table *table, uint64_t at, uint64_t slot)
{
    atomic_store_explicit(&table->slot[at], slot, memory_order_release);
}

static uint64_t next_of(const struct table *table, uint64_t at)
{
    return at + 1 == table->slots_count ? 0 : at + 1;
}

static void prefetch_ahead(const struct table *table, uint64_t at)
{
    if (at + SCAN_AHEAD < table->slots_count)
        record_prefetch(
            slot_record(atomic_load_explicit(&table->slot[at + SCAN_AHEAD], memory_order_relaxed)));
}

static bool is_dead(const struct record *record)
{
    return (record_flags(record) & RECORD_DEAD) != 0;
}

static uint64_t size_of(const struct keyspace *keyspace, uint64_t index, uint64_t step)
{
    return keyspace->table_sizes[index % (TABLE_FIRST / 2)][step];
}

void table_sizes_init(struct keyspace *keyspace)
{
    for (unsigned i = 0; i < TABLE_FIRST / 2; i++) {
        uint64_t size = TABLE_FIRST + i;
        for (unsigned step = 0; step < TABLE_STEPS; step++) {
            keyspace->table_sizes[i][step] = size;
            size += size / 2;
        }
    }
}

struct home {
    const struct table *table; // NULL: none yet
    uint64_t at;
    uint64_t slots_count;
};

static inline struct home home_in_shard(const struct keyspace *keyspace, uint64_t hash)
{
    uint64_t index = shard_index(keyspace, hash);
    // Acquire: pairs with the release in grow().
    uint64_t table = atomic_load_explicit(&keyspace->shard[index].table, memory_order_acquire);
    uint64_t count = size_of(keyspace, index, table >> TABLE_STEP_SHIFT);
    uint64_t address = table & (((uint64_t)1 << TABLE_STEP_SHIFT) - 1);
    return (struct home){.table = (const struct table *)(uintptr_t)address,
                         .at = home_of(keyspace, hash, count),
                         .slots_count = count};
}

void keyspace_prefetch(const struct keyspace *keyspace, uint64_t hash)
{
    struct home home = home_in_shard(keyspace, hash);
    if (home.table)
        __builtin_prefetch(&home.table->slot[home.at]);
}

void keyspace_prefetch_record(const struct keyspace *keyspace, uint64_t hash)
{
    struct home home = home_in_shard(keyspace, hash);
    for (unsigned i = 0; home.table && i < 8; i++) {
        uint64_t slot = atomic_load_explicit(&home.table->slot[home.at], memory_order_relaxed);
        if (slot == SLOT_EMPTY)
            return;
        if (slot_may_be(slot, hash)) {
            record_prefetch(slot_record(slot));
            return;
        }
        home.at = home.at + 1 == home.slots_count ? 0 : home.at + 1;
    }
}

struct record *keyspace_find(const struct keyspace *keyspace, const struct address *address,
                             uint64_t hash)
{
    struct home home = home_in_shard(keyspace, hash);
    if (!home.table)
        return NULL;
    for (uint64_t slot; (slot = get_slot(home.table, home.at)) != SLOT_EMPTY;
         home.at = home.at + 1 == home.slots_count ? 0 : home.at + 1) {
        if (!slot_may_be(slot, hash))
            continue;
        struct record *record = slot_record(slot);
        if (record_is_at(record, address) && !is_dead(record))
            return record;
    }
    return NULL;
}

// ---- under the shard's lock

static void place(const struct keyspace *keyspace, struct table *table, struct record *record,
                  uint64_t hash)
{
    uint64_t at = home_of(keyspace, hash, table->slots_count);
    while (get_slot(table, at) > SLOT_REMOVED)
        at = next_of(table, at);
    set_slot(table, at, slot_of(record, hash));
}

// The same records in an array with room for one more. Readers of the old one finish there.
static int grow(struct keyspace *keyspace, struct shard *shard)
{
    struct table *old = shard_table(shard);
    uint64_t index = (uint64_t)(shard - keyspace->shard);
    uint64_t step = atomic_load_explicit(&shard->table, memory_order_relaxed) >> TABLE_STEP_SHIFT;
    while (shard->live_count + 1 > TABLE_FULL(size_of(keyspace, index, step)))
        step++;
    assert(step < TABLE_STEPS);
    uint64_t count = size_of(keyspace, index, step);
    struct table *table = slab_alloc_array(&keyspace->slab, table_size(count));
    if (!table)
        return -ENOMEM;
    memset(table, 0, table_size(count));
    table->slots_count = count;
    for (uint64_t i = 0; old && i < old->slots_count; i++) {
        prefetch_ahead(old, i);
        uint64_t slot = get_slot(old, i);
        if (slot > SLOT_REMOVED)
            place(keyspace, table, slot_record(slot), record_hash(keyspace, slot_record(slot)));
    }
    shard->used_count = shard->live_count;
    atomic_fetch_add_explicit(&keyspace->tables_bytes, table_size(count), memory_order_relaxed);
    // Release: pairs with shard_table and home_in_shard.
    atomic_store_explicit(&shard->table, (uint64_t)(uintptr_t)table | step << TABLE_STEP_SHIFT,
                          memory_order_release);
    if (old)
        grace_retire_table(keyspace, old);
    return 0;
}

static int make_room(struct keyspace *keyspace, struct shard *shard)
{
    const struct table *table = shard_table(shard);
    if (table && shard->used_count + 1 <= TABLE_FULL(table->slots_count))
        return 0;
    return grow(keyspace, shard);
}

static struct record *create(struct keyspace *keyspace, const struct address *address,
                             struct record *parent, enum cell_type type)
{
    uint64_t hash = keyspace_hash(keyspace, address);
    struct shard *shard = &keyspace->shard[shard_index(keyspace, hash)];
    if (make_room(keyspace, shard))
        return NULL;
    struct record *record = record_new(keyspace, address, parent, type);
    if (!record)
        return NULL;
    place(keyspace, shard_table(shard), record, hash);
    shard->used_count++; // perhaps a removed slot was filled: then it only grows a little sooner
    shard->live_count++;
    return record;
}

// A child's parent is there, and ready to have one, before the child is.
static int obtain_parent(struct keyspace *keyspace, const struct address *address,
                         enum cell_type type, struct record **out_parent)
{
    *out_parent = NULL;
    if (address->kind == UNIT_KEY)
        return 0;
    struct address key = {.kind = UNIT_KEY, .key = address->key};
    struct record *parent = keyspace_obtain(keyspace, &key, keyspace_hash(keyspace, &key), type);
    if (!parent || record_found_children(keyspace, parent))
        return -ENOMEM;
    *out_parent = parent;
    return 0;
}

struct record *keyspace_obtain(struct keyspace *keyspace, const struct address *address,
                               uint64_t hash, enum cell_type type)
{
    struct record *record = keyspace_find(keyspace, address, hash), *parent;
    if (record)
        return record;
    if (obtain_parent(keyspace, address, type, &parent))
        return NULL;
    struct shard *shard = &keyspace->shard[shard_index(keyspace, hash)];
    pthread_mutex_lock(&shard->lock);
    record = keyspace_find(keyspace, address, hash);
    bool is_new = !record;
    if (is_new)
        record = create(keyspace, address, parent, type);
    pthread_mutex_unlock(&shard->lock);
    if (is_new && record && parent)
        record_link(parent, record);
    return record;
}

// Marks the slot removed; what lies between it and an empty slot behind it can be emptied.
static void unplace(struct shard *shard, struct table *table, uint64_t at)
{
    set_slot(table, at, SLOT_REMOVED);
    shard->live_count--;
    if (get_slot(table, next_of(table, at)) != SLOT_EMPTY)
        return;
    while (get_slot(table, at) == SLOT_REMOVED) {
        set_slot(table, at, SLOT_EMPTY);
        if (shard->used_count > shard->live_count)
            shard->used_count--;
        at = at == 0 ? table->slots_count - 1 : at - 1;
    }
}

static uint64_t place_of(const struct keyspace *keyspace, const struct table *table,
                         const struct record *record, uint64_t hash)
{
    uint64_t at = home_of(keyspace, hash, table->slots_count);
    while (slot_record(get_slot(table, at)) != record)
        at = next_of(table, at);
    return at;
}

// Sequentially consistent, against keyspace_add: see there.
static bool kill(struct record *record, int64_t expected)
{
    if (record_is_parent(record) || record_value_now(record) != expected)
        return false;
    uint32_t state = atomic_load(&record->state);
    do {
        if (state & (RECORD_DIRTY | RECORD_QUEUED | RECORD_LIVE | RECORD_DEAD))
            return false;
    } while (!atomic_compare_exchange_weak(&record->state, &state, state | RECORD_DEAD));
    return true;
}

bool keyspace_remove(struct keyspace *keyspace, struct record *record, int64_t expected)
{
    uint64_t hash = record_hash(keyspace, record);
    struct shard *shard = &keyspace->shard[shard_index(keyspace, hash)];
    pthread_mutex_lock(&shard->lock);
    bool is_killed = kill(record, expected);
    if (is_killed)
        unplace(shard, shard_table(shard), place_of(keyspace, shard_table(shard), record, hash));
    pthread_mutex_unlock(&shard->lock);
    if (!is_killed)
        return false;
    if (record_kind(record) != UNIT_KEY)
        record_unlink(keyspace, record);
    order_forget(&keyspace->order, record);
    record_drop_cells(keyspace, record);
    grace_retire_record(keyspace, record);
    return true;
}

// ---- scan

struct window { // hashes within a shard: [from, to), to 0: the shard's end
    uint64_t from, to;
    uint64_t first, end; // home slots of them
};

// `to` is rounded up to what a cursor can hold; no hash lies in between.
static struct window window_of(const struct table *table, uint64_t from, unsigned count,
                               unsigned shard_bits)
{
    uint64_t grain = ((uint64_t)1 << shard_bits) - 1;
    struct window window = {.from = from};
    window.first = (uint64_t)((wide_unsigned)from * table->slots_count >> 64);
    window.end = window.first + (count ? count : 1);
    if (window.end < table->slots_count) {
        // The least hash whose home is `end`.
        wide_unsigned edge = ((wide_unsigned)window.end << 64) + table->slots_count - 1;
        window.to = ((uint64_t)(edge / table->slots_count) + grain) & ~grain;
    } else {
        window.end = table->slots_count;
    }
    return window;
}

static bool is_in_window(const struct window *window, uint64_t within)
{
    return within >= window->from && (window->to == 0 || within < window->to);
}

// Records of a window lie between its first home slot and the first empty slot at or after its end.
static unsigned visit_window(const struct keyspace *keyspace, const struct table *table,
                             const struct window *window, keyspace_visit visit, void *ctx)
{
    unsigned visited = 0;
    uint64_t at = window->first;
    for (uint64_t i = window->first; i < window->first + table->slots_count; i++) {
        uint64_t slot = get_slot(table, at);
        if (slot == SLOT_EMPTY && i >= window->end)
            break;
        prefetch_ahead(table, at);
        at = next_of(table, at);
        if (slot <= SLOT_REMOVED)
            continue;
        struct record *record = slot_record(slot);
        if (is_dead(record) ||
            !is_in_window(window, within_shard(keyspace, record_hash(keyspace, record))))
            continue;
        visit(ctx, record);
        visited++;
    }
    return visited;
}

uint64_t keyspace_scan(const struct keyspace *keyspace, uint64_t cursor, unsigned count,
                       keyspace_visit visit, void *ctx)
{
    uint64_t shards_count = (uint64_t)1 << keyspace->shard_bits;
    uint64_t index = shard_index(keyspace, cursor), from = within_shard(keyspace, cursor);
    unsigned visited = 0;
    while (index < shards_count && visited < count) {
        const struct table *table = shard_table(&keyspace->shard[index]);
        struct window window = {0};
        if (table) {
            window = window_of(table, from, count - visited, keyspace->shard_bits);
            visited += visit_window(keyspace, table, &window, visit, ctx);
        }
        from = window.to;
        index += from == 0;
    }
    if (index == shards_count)
        return 0;
    return keyspace->shard_bits
               ? index << (64 - keyspace->shard_bits) | from >> keyspace->shard_bits
               : from;
}
