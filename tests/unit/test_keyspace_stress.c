// SPDX-License-Identifier: Apache-2.0
// Threads against one keyspace: adders on one hot counter and on many, makers of new keys (so that
// shards grow), readers and scanners, and a replica thread that drains, empties and removes. At the
// end every amount that an add acknowledged must have been drained or stand in a value: the sums
// are exact. Of a key that is removed at times, an amount whose add met DEAD may have been drained
// before it was added again (in the database it is cut by then: only what a reset has emptied is
// removed), so there the sum lies within what was added again. Run it under thread sanitizer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <cmocka.h>
#include "base/prng.h"
#include "keyspace/keyspace.h"

enum { ADDERS = 3, ADDS = 200000, ADDS_MAX = 20 * ADDS, KEYS = 300, CHURN = 20, REMOVALS = 100 };

static void *libc_resize(struct heap *heap, void *ptr, size_t size_old, size_t size_new)
{
    (void)heap;
    (void)size_old;
    if (size_new == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size_new);
}

struct stress {
    struct heap heap;
    struct keyspace *keyspace;
    _Atomic int64_t added[KEYS]; // what adds acknowledged
    _Atomic int64_t again[KEYS]; // what met DEAD first
    int64_t drained[KEYS];       // what the replica thread took out of the values
    _Atomic unsigned running;
    _Atomic uint64_t removed;
};

struct adder {
    pthread_t thread;
    struct stress *stress;
    uint64_t seed;
};

static struct address address_of(char text[32], unsigned number)
{
    int len = snprintf(text, 32, "counter:%08u", number);
    return (struct address){.kind = UNIT_KEY, .key = span_of(text, (size_t)len)};
}

static void add_one(struct stress *stress, unsigned number, int64_t amount)
{
    char text[32];
    struct address address = address_of(text, number);
    uint64_t hash = keyspace_hash(stress->keyspace, &address);
    for (;;) {
        struct record *record = keyspace_obtain(stress->keyspace, &address, hash, CELL_COUNTER);
        int64_t value;
        bool is_first;
        int outcome = keyspace_add(stress->keyspace, record, amount, &value, &is_first);
        if (outcome == 0)
            break;
        if (outcome != RECORD_E_DEAD)
            abort();
        atomic_fetch_add(&stress->again[number], amount);
    }
    atomic_fetch_add(&stress->added[number], amount);
}

static void *run_adder(void *ctx)
{
    struct adder *adder = ctx;
    struct stress *stress = adder->stress;
    struct prng prng;
    prng_init(&prng, adder->seed);
    keyspace_thread_start();
    // On, until enough was removed beside the adds.
    for (unsigned i = 0; i < ADDS || (i < ADDS_MAX && atomic_load(&stress->removed) < REMOVALS);
         i++) {
        unsigned number = prng_below(&prng, 2) ? 0 : (unsigned)prng_below(&prng, KEYS);
        add_one(stress, number, 1 + (int64_t)prng_below(&prng, 3));
        if (i % 64 == 0)
            keyspace_quiesce();
        if (i % 1000 == 0) {
            keyspace_offline();
            keyspace_online();
        }
    }
    keyspace_thread_stop();
    atomic_fetch_sub(&stress->running, 1);
    return NULL;
}

// New keys all the time, so that shards grow and their arrays are replaced.
static void *run_maker(void *ctx)
{
    struct stress *stress = ctx;
    char text[32];
    keyspace_thread_start();
    for (unsigned number = 1000; atomic_load(&stress->running) > 1 && number < 60000; number++) {
        struct address address = address_of(text, number);
        keyspace_obtain(stress->keyspace, &address, keyspace_hash(stress->keyspace, &address),
                        CELL_COUNTER);
        keyspace_quiesce();
    }
    keyspace_thread_stop();
    atomic_fetch_sub(&stress->running, 1);
    return NULL;
}

static void look(void *ctx, struct record *record)
{
    uint64_t *sum = ctx;
    *sum += (uint64_t)record_value(record) + record_address(record).key.len + record_flags(record);
}

static void *run_reader(void *ctx)
{
    struct stress *stress = ctx;
    uint64_t cursor = 0, sum = 0;
    int64_t last = 0;
    char text[32];
    keyspace_thread_start();
    while (atomic_load(&stress->running)) {
        cursor = keyspace_scan(stress->keyspace, cursor, 100, look, &sum);
        struct address address = address_of(text, 0);
        struct record *record =
            keyspace_find(stress->keyspace, &address, keyspace_hash(stress->keyspace, &address));
        // Number 0 is never emptied: its value only rises.
        if (record && record_value(record) < last)
            abort();
        last = record ? record_value(record) : last;
        keyspace_quiesce();
    }
    keyspace_thread_stop();
    return NULL;
}

static unsigned number_of(const struct record *record)
{
    struct span key = record_address(record).key;
    char text[9] = {0};
    memcpy(text, key.ptr + 8, 8);
    return (unsigned)strtoul(text, NULL, 10);
}

// What a commit and a collection do to a record: take its amount out, and remove it when it is
// idle.
static void take(struct stress *stress, struct record *record, bool may_remove)
{
    unsigned number = number_of(record);
    int64_t value = record_value_now(record);
    if (number == 0 || number >= KEYS)
        return;
    record_shift(record, -value);
    stress->drained[number] += value;
    if (!may_remove)
        return;
    uint32_t flags = record_mark(stress->keyspace, record, 0, RECORD_LIVE, CELL_COUNTER);
    if (flags & RECORD_DIRTY)
        record_mark(stress->keyspace, record, RECORD_LIVE, 0, CELL_COUNTER);
    else if (keyspace_remove(stress->keyspace, record, 0))
        atomic_fetch_add(&stress->removed, 1);
}

static void drain(struct stress *stress, struct prng *prng)
{
    for (struct record *record; (record = keyspace_drain(stress->keyspace));)
        take(stress, record, number_of(record) % CHURN == 1 && prng_below(prng, 4));
    keyspace_reclaim(stress->keyspace);
}

static void sums_are_exact_after_everything_at_once(void **state)
{
    (void)state;
    static struct stress stress;
    struct adder adders[ADDERS];
    pthread_t maker, reader;
    struct prng prng;
    prng_init(&prng, 1);
    stress.heap.resize = libc_resize;
    struct keyspace_options options = {.hash_seed = 3, .shards_count = 4};
    stress.keyspace = keyspace_new(&stress.heap, &options);
    atomic_store(&stress.running, ADDERS + 1);
    pthread_create(&reader, NULL, run_reader, &stress);
    pthread_create(&maker, NULL, run_maker, &stress);
    for (unsigned i = 0; i < ADDERS; i++) {
        adders[i] = (struct adder){.stress = &stress, .seed = 100 + i};
        pthread_create(&adders[i].thread, NULL, run_adder, &adders[i]);
    }
    keyspace_thread_start();
    while (atomic_load(&stress.running)) {
        drain(&stress, &prng);
        keyspace_quiesce();
    }
    keyspace_offline();
    for (unsigned i = 0; i < ADDERS; i++)
        pthread_join(adders[i].thread, NULL);
    pthread_join(maker, NULL);
    pthread_join(reader, NULL);
    keyspace_online();
    drain(&stress, &prng);
    drain(&stress, &prng);
    char text[32];
    for (unsigned number = 0; number < KEYS; number++) {
        struct address address = address_of(text, number);
        struct record *record =
            keyspace_find(stress.keyspace, &address, keyspace_hash(stress.keyspace, &address));
        int64_t left = record ? record_value(record) : 0;
        int64_t sum = left + stress.drained[number], added = atomic_load(&stress.added[number]);
        assert_true(sum >= added && sum <= added + atomic_load(&stress.again[number]));
        if (number % CHURN != 1)
            assert_int_equal(sum, added);
    }
    assert_true(atomic_load(&stress.removed) >= REMOVALS);
    keyspace_thread_stop();
    keyspace_free(stress.keyspace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_exact_after_everything_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
