// SPDX-License-Identifier: Apache-2.0
// Answers that wait for the disk: none leaves before its commit, none out of order, none is lost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/prng.h"
#include "db/held.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/seed.h"

static void hold(struct held *held, const char *text, uint32_t answers, uint64_t commit)
{
    buf_put_text(&held->bytes, text);
    held_add(held, answers, commit);
}

static void assert_due(struct held *held, uint64_t done, const char *expected)
{
    struct span due = held_due(held, done);
    assert_int_equal(due.len, strlen(expected));
    if (due.len)
        assert_memory_equal(due.ptr, expected, due.len);
    held_drop(held, done);
}

static void answers_leave_with_their_commit(void **state)
{
    (void)state;
    struct heap_libc heap;
    struct held held;
    heap_libc_init(&heap);
    held_init(&held, &heap.heap);
    assert_true(held_is_empty(&held));
    hold(&held, "one ", 1, 5);
    hold(&held, "read ", 1, 0);
    hold(&held, "two ", 1, 6);
    hold(&held, "read ", 1, 0);
    assert_due(&held, 4, "");
    assert_due(&held, 5, "one read ");
    assert_false(held_is_empty(&held));
    hold(&held, "three ", 1, 7);
    assert_due(&held, 6, "two read ");
    assert_due(&held, 9, "three ");
    assert_true(held_is_empty(&held));
    held_deinit(&held);
    assert_int_equal(heap.bytes, 0);
}

static void a_third_commit_joins_the_second(void **state)
{
    (void)state;
    struct heap_libc heap;
    struct held held;
    heap_libc_init(&heap);
    held_init(&held, &heap.heap);
    hold(&held, "one ", 1, 5);
    hold(&held, "two ", 1, 6);
    hold(&held, "three ", 2, 7);
    assert_due(&held, 5, "one ");
    assert_due(&held, 6, "");
    assert_int_equal(held_discard(&held), 3);
    assert_true(held_is_empty(&held));
    held_deinit(&held);
}

// Random runs against the rule itself: an answer may leave once its commit is done and all before
// it have left.
static void nothing_leaves_early_out_of_order_or_never(void **state)
{
    (void)state;
    struct seeds seeds = seeds_of(200);
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        struct prng prng;
        struct heap_libc heap;
        struct held held;
        uint64_t commit_of[256] = {0}, done = 0, started = 0;
        unsigned added = 0, left = 0;
        prng_init(&prng, seed);
        heap_libc_init(&heap);
        held_init(&held, &heap.heap);
        for (unsigned step = 0; step < 400; step++) {
            uint64_t roll = prng_below(&prng, 4);
            if (roll == 0 && done == started)
                started++;
            else if (roll == 1)
                done = started;
            else if (roll == 2 && added < 256) {
                bool is_write = held_is_empty(&held) || prng_below(&prng, 2);
                commit_of[added] = is_write ? started + 1 : 0;
                buf_put_byte(&held.bytes, (uint8_t)added);
                held_add(&held, 1, commit_of[added++]);
            }
            struct span due = held_due(&held, done);
            for (size_t i = 0; i < due.len; i++) {
                if (due.ptr[i] != left || commit_of[left] > done)
                    seed_print(seed);
                assert_int_equal(due.ptr[i], left);
                assert_true(commit_of[left++] <= done);
            }
            held_drop(&held, done);
            assert_int_equal(held.answers, added - left);
        }
        started += 2;
        assert_int_equal(held_due(&held, started).len, added - left);
        held_deinit(&held);
        assert_int_equal(heap.bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_leave_with_their_commit),
        cmocka_unit_test(a_third_commit_joins_the_second),
        cmocka_unit_test(nothing_leaves_early_out_of_order_or_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
