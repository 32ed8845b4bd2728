// SPDX-License-Identifier: Apache-2.0
// Names and subscribers, and which workers a message goes to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "db/pubsub.h"
#include "tests/lib/heap_libc.h"

struct fixture {
    struct heap_libc heap;
    struct pubsub *pubsub;
};

static int set_up(void **state)
{
    struct fixture *fixture = malloc(sizeof *fixture);
    heap_libc_init(&fixture->heap);
    fixture->pubsub = pubsub_new(&fixture->heap.heap, 1, 3);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    pubsub_free(fixture->pubsub);
    assert_int_equal(fixture->heap.bytes, 0);
    free(fixture);
    return 0;
}

static void add(struct fixture *fixture, unsigned worker, enum topic_kind kind, const char *name)
{
    assert_int_equal(pubsub_add(fixture->pubsub, worker, kind, span_text(name)), 0);
}

static void drop(struct fixture *fixture, unsigned worker, enum topic_kind kind, const char *name)
{
    pubsub_remove(fixture->pubsub, worker, kind, span_text(name));
}

static void assert_match(struct fixture *fixture, const char *channel, int64_t receivers,
                         uint64_t workers)
{
    uint64_t matched;
    assert_int_equal(pubsub_match(fixture->pubsub, span_text(channel), &matched), receivers);
    assert_int_equal(matched, workers);
}

static void a_message_goes_to_the_workers_that_have_subscribers(void **state)
{
    struct fixture *fixture = *state;
    assert_match(fixture, "a", 0, 0);
    add(fixture, 0, TOPIC_CHANNEL, "a");
    add(fixture, 2, TOPIC_CHANNEL, "a");
    add(fixture, 2, TOPIC_CHANNEL, "a");
    add(fixture, 1, TOPIC_CHANNEL, "b");
    assert_match(fixture, "a", 3, 5);
    assert_match(fixture, "b", 1, 2);
    assert_int_equal(pubsub_receivers(fixture->pubsub, TOPIC_CHANNEL, span_text("a")), 3);
    drop(fixture, 2, TOPIC_CHANNEL, "a");
    assert_match(fixture, "a", 2, 5);
    drop(fixture, 2, TOPIC_CHANNEL, "a");
    drop(fixture, 2, TOPIC_CHANNEL, "a"); // again: nothing
    assert_match(fixture, "a", 1, 1);
    drop(fixture, 0, TOPIC_CHANNEL, "a");
    assert_match(fixture, "a", 0, 0);
    assert_int_equal(pubsub_counts(fixture->pubsub).channels, 1);
}

static void patterns_match_beside_channels(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, 0, TOPIC_CHANNEL, "quipu:update:a");
    add(fixture, 1, TOPIC_PATTERN, "quipu:update:*");
    add(fixture, 1, TOPIC_PATTERN, "quipu:*:a");
    add(fixture, 2, TOPIC_PATTERN, "other*");
    assert_match(fixture, "quipu:update:a", 3, 3);
    assert_match(fixture, "quipu:update:b", 1, 2);
    assert_int_equal(pubsub_receivers(fixture->pubsub, TOPIC_CHANNEL, span_text("quipu:update:a")),
                     1);
    assert_int_equal(pubsub_counts(fixture->pubsub).patterns, 3);
}

static void a_worker_that_does_not_keep_up_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    uint64_t workers;
    add(fixture, 0, TOPIC_CHANNEL, "a");
    add(fixture, 1, TOPIC_CHANNEL, "a");
    size_t half = PUBSUB_QUEUED_MAX / 2;
    struct publication publication = {
        .kind = TOPIC_CHANNEL, .channel = span_text("a"), .bytes = half, .self = 1};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pubsub_publish(fixture->pubsub, &publication, &workers), 2);
    assert_int_equal(pubsub_publish(fixture->pubsub, &publication, &workers), 1);
    assert_int_equal(workers, 1); // the publisher's own is never queued for
    assert_int_equal(pubsub_counts(fixture->pubsub).dropped, 1);
    pubsub_arrived(fixture->pubsub, 1, half);
    assert_int_equal(pubsub_publish(fixture->pubsub, &publication, &workers), 2);
    assert_int_equal(workers, 3);
    assert_int_equal(pubsub_counts(fixture->pubsub).published, 4);
}

struct names {
    unsigned count;
};

static void count_name(void *ctx, struct span name)
{
    (void)name;
    ((struct names *)ctx)->count++;
}

static void thousands_of_names_come_and_go(void **state)
{
    struct fixture *fixture = *state;
    char name[32];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "channel-%u", i);
        add(fixture, i % 3, TOPIC_CHANNEL, name);
    }
    struct names names = {0};
    pubsub_channels(fixture->pubsub, TOPIC_CHANNEL, count_name, &names);
    assert_int_equal(names.count, 5000);
    assert_match(fixture, "channel-4999", 1, 1 << 4999 % 3);
    for (unsigned i = 0; i < 5000; i += 2) {
        snprintf(name, sizeof name, "channel-%u", i);
        drop(fixture, i % 3, TOPIC_CHANNEL, name);
    }
    assert_match(fixture, "channel-4998", 0, 0);
    assert_match(fixture, "channel-4997", 1, 1 << 4997 % 3);
    assert_int_equal(pubsub_counts(fixture->pubsub).channels, 2500);
}

static void names_may_be_any_bytes_up_to_a_limit(void **state)
{
    struct fixture *fixture = *state;
    uint64_t workers;
    char *name = calloc(1, TOPIC_NAME_MAX + 1);
    struct span longest = span_of(name, TOPIC_NAME_MAX), longer = span_of(name, longest.len + 1);
    assert_int_equal(pubsub_add(fixture->pubsub, 0, TOPIC_CHANNEL, longest), 0);
    assert_int_equal(pubsub_add(fixture->pubsub, 0, TOPIC_CHANNEL, longer), TOPICS_E_LONG);
    assert_int_equal(pubsub_match(fixture->pubsub, longest, &workers), 1);
    assert_int_equal(pubsub_add(fixture->pubsub, 0, TOPIC_CHANNEL, span_of("", 0)), 0);
    assert_match(fixture, "", 1, 1);
    free(name);
}

static void a_failed_allocation_leaves_everything_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, 0, TOPIC_CHANNEL, "a");
    for (long n = 0;; n++) {
        fixture->heap.fail_after = n;
        int outcome = pubsub_add(fixture->pubsub, 1, TOPIC_PATTERN, span_text("p*"));
        if (outcome == 0)
            break;
        assert_int_equal(outcome, -ENOMEM);
        assert_match(fixture, "px", 0, 0);
    }
    fixture->heap.fail_after = -1;
    assert_match(fixture, "px", 1, 2);
}

static void subscribers_leave_all_their_names(void **state)
{
    struct fixture *fixture = *state;
    struct topics topics;
    struct subscriber one = {0}, two = {0};
    struct subscription *subscription;
    topics_init(&topics, &fixture->heap.heap, 3);
    assert_int_equal(topics_add(&topics, span_text("a"), &one, &subscription), 0);
    assert_int_equal(topics_add(&topics, span_text("a"), &two, &subscription), 0);
    assert_int_equal(topics_add(&topics, span_text("b"), &one, &subscription), 0);
    assert_int_equal(topics_add(&topics, span_text("a"), &one, &subscription), TOPICS_E_ALREADY);
    assert_int_equal(one.count, 2);
    while (one.first)
        topics_remove(&topics, one.first);
    assert_null(topics_find(&topics, span_text("b")));
    assert_int_equal(topics_find(&topics, span_text("a"))->subscribers, 1);
    assert_null(topics_subscription(&topics, span_text("a"), &one));
    assert_non_null(topics_subscription(&topics, span_text("a"), &two));
    topics_remove(&topics, two.first);
    assert_int_equal(topics.count, 0);
    topics_deinit(&topics);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_message_goes_to_the_workers_that_have_subscribers),
        TEST(patterns_match_beside_channels),
        TEST(a_worker_that_does_not_keep_up_is_left_out),
        TEST(thousands_of_names_come_and_go),
        TEST(names_may_be_any_bytes_up_to_a_limit),
        TEST(a_failed_allocation_leaves_everything_as_it_was),
        TEST(subscribers_leave_all_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
