// SPDX-License-Identifier: Apache-2.0
// Topics: the newest value by (epoch, version), subscriptions from both ends, limits, memory.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/prng.h"
#include "realtime/topics.h"
#include "tests/lib/heap_libc.h"

struct fixture {
    struct heap_libc heap;
    struct topics topics;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    heap_libc_init(&fixture.heap);
    topics_init(&fixture.topics, &fixture.heap.heap, 7);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    topics_deinit(&fixture->topics);
    return fixture->heap.bytes != 0; // a leak
}

static struct topic *obtain(struct topics *topics, const char *key)
{
    struct topic *topic = NULL;
    assert_int_equal(topics_obtain(topics, span_text(key), &topic), 0);
    return topic;
}

static int apply(struct topics *topics, struct topic *topic, const char *epoch, uint64_t version)
{
    struct topic_update update = {
        .epoch = span_text(epoch), .value = (int64_t)version * 10, .version = version};
    return topics_apply(topics, topic, &update);
}

static void a_key_has_one_topic(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    char key[32];
    for (int i = 0; i < TOPICS_MAX && i < 5000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        obtain(topics, key);
    }
    size_t count = topics->count;
    for (int i = 0; i < TOPICS_MAX && i < 5000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        struct topic *topic = topics_find(topics, span_text(key));
        assert_non_null(topic);
        assert_ptr_equal(obtain(topics, key), topic);
        assert_true(span_is_equal(topic_key(topic), span_text(key)));
    }
    assert_int_equal(topics->count, count);
    assert_null(topics_find(topics, span_text("other")));
}

static void a_removed_topic_is_gone(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = obtain(topics, "a");
    obtain(topics, "b");
    topics_remove(topics, topic);
    assert_null(topics_find(topics, span_text("a")));
    assert_non_null(topics_find(topics, span_text("b")));
    assert_int_equal(topics->count, 1);
}

static void a_key_longer_than_the_limit_is_refused(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    static uint8_t key[TOPIC_KEY_BYTES_MAX + 1];
    struct topic *topic;
    assert_int_equal(topics_obtain(topics, span_of(key, sizeof(key)), &topic), TOPICS_E_FULL);
    assert_int_equal(topics_obtain(topics, span_of(key, sizeof(key) - 1), &topic), 0);
}

static void a_higher_version_wins_whatever_the_order(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = obtain(topics, "likes");
    assert_int_equal(apply(topics, topic, "e1", 5), 0);
    assert_int_equal(apply(topics, topic, "e1", 5), TOPICS_E_STALE);
    assert_int_equal(apply(topics, topic, "e1", 4), TOPICS_E_STALE);
    assert_int_equal(topic->value, 50);
    assert_int_equal(apply(topics, topic, "e1", 6), 0);
    assert_int_equal(topic->value, 60);
}

static void a_new_epoch_replaces_and_the_old_one_stays_stale(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = obtain(topics, "likes");
    assert_int_equal(apply(topics, topic, "e1", 900), 0);
    assert_int_equal(apply(topics, topic, "e2", 3), 0);
    assert_int_equal(topic->value, 30);
    assert_int_equal(apply(topics, topic, "e1", 901), TOPICS_E_STALE);
    assert_int_equal(apply(topics, topic, "e2", 4), 0);
    assert_int_equal(topic->value, 40);
}

static void many_epochs_keep_their_order(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = obtain(topics, "likes");
    char epoch[16];
    for (int i = 0; i < 3 * TOPICS_EPOCHS_MAX; i++) {
        snprintf(epoch, sizeof(epoch), "e%d", i);
        assert_int_equal(apply(topics, topic, epoch, 1), 0);
    }
    snprintf(epoch, sizeof(epoch), "e%d", 3 * TOPICS_EPOCHS_MAX - 2);
    assert_int_equal(apply(topics, topic, epoch, 99), TOPICS_E_STALE);
}

static void a_value_without_an_epoch_only_fills_what_is_unknown(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = obtain(topics, "likes");
    struct topic_update missing = {.is_missing = true, .value = 77};
    assert_int_equal(topics_apply(topics, topic, &missing), 0);
    assert_true(topic->is_known && topic->is_missing);
    assert_int_equal(topic->value, 0);
    assert_int_equal(apply(topics, topic, "e1", 1), 0);
    assert_false(topic->is_missing);
    assert_int_equal(topics_apply(topics, topic, &missing), TOPICS_E_STALE);
    assert_int_equal(topic->value, 10);
}

static void an_epoch_of_too_many_bytes_is_refused(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = obtain(topics, "likes");
    char epoch[TOPIC_EPOCH_BYTES_MAX + 2];
    memset(epoch, 'e', sizeof(epoch));
    epoch[sizeof(epoch) - 1] = '\0';
    assert_int_equal(apply(topics, topic, epoch, 1), TOPICS_E_EPOCH);
    assert_false(topic->is_known);
}

static void a_pair_is_subscribed_once(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = obtain(topics, "likes");
    struct subscriber subscriber = {0};
    struct subscription *subscription, *again;
    assert_int_equal(topics_subscribe(topics, &subscriber, topic, &subscription), 0);
    assert_int_equal(topics_subscribe(topics, &subscriber, topic, &again), TOPICS_E_ALREADY);
    assert_ptr_equal(topics_subscription(&subscriber, topic), subscription);
    assert_int_equal(topic->subscribers_count, 1);
    topics_unsubscribe(topics, subscription);
    assert_null(topics_subscription(&subscriber, topic));
    assert_true(topic_is_idle(topic));
}

static void a_subscriber_has_a_limit_of_keys(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscriber subscriber = {0};
    struct subscription *subscription;
    char key[32];
    for (int i = 0; i < SUBSCRIBER_KEYS_MAX; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        assert_int_equal(topics_subscribe(topics, &subscriber, obtain(topics, key), &subscription),
                         0);
    }
    assert_int_equal(topics_subscribe(topics, &subscriber, obtain(topics, "more"), &subscription),
                     TOPICS_E_FULL);
    while (subscriber.first)
        topics_unsubscribe(topics, subscriber.first);
    assert_int_equal(subscriber.keys_count, 0);
    assert_int_equal(topics->subscriptions_count, 0);
}

// Random subscribing and leaving against a matrix of what must hold.
static void both_ends_always_agree(void **state)
{
    enum { SUBSCRIBERS = 12, TOPICS = 9 };
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscriber subscribers[SUBSCRIBERS] = {0};
    struct topic *all[TOPICS];
    bool expected[SUBSCRIBERS][TOPICS] = {0};
    struct subscription *subscription;
    struct prng prng;
    prng_init(&prng, 11);
    for (int i = 0; i < TOPICS; i++)
        all[i] = obtain(topics, (char[]){(char)('a' + i), '\0'});
    for (int round = 0; round < 20000; round++) {
        size_t s = prng_below(&prng, SUBSCRIBERS), t = prng_below(&prng, TOPICS);
        subscription = topics_subscription(&subscribers[s], all[t]);
        assert_int_equal(subscription != NULL, expected[s][t]);
        if (subscription)
            topics_unsubscribe(topics, subscription);
        else
            assert_int_equal(topics_subscribe(topics, &subscribers[s], all[t], &subscription), 0);
        expected[s][t] = !expected[s][t];
        for (uint32_t i = 0; i < all[t]->subscribers_count; i++) {
            assert_int_equal(all[t]->subscribers[i]->index, i);
            assert_true(expected[all[t]->subscribers[i]->subscriber - subscribers][t]);
        }
    }
    for (int s = 0; s < SUBSCRIBERS; s++) {
        while (subscribers[s].first)
            topics_unsubscribe(topics, subscribers[s].first);
    }
}

static void a_failed_allocation_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct topics *topics = &fixture->topics;
    struct topic *topic;
    for (long fail = 0; fail < 2; fail++) {
        fixture->heap.fail_after = fail;
        assert_int_equal(topics_obtain(topics, span_text("a"), &topic), -ENOMEM);
        assert_int_equal(topics->count, 0);
    }
    topic = obtain(topics, "a");
    struct subscriber subscriber = {0};
    struct subscription *subscription;
    for (long fail = 0; fail < 2; fail++) {
        fixture->heap.fail_after = fail;
        assert_int_equal(topics_subscribe(topics, &subscriber, topic, &subscription), -ENOMEM);
        fixture->heap.fail_after = -1;
        assert_int_equal(topic->subscribers_count, 0);
        assert_int_equal(subscriber.keys_count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_has_one_topic, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removed_topic_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_longer_than_the_limit_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_higher_version_wins_whatever_the_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_new_epoch_replaces_and_the_old_one_stays_stale, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(many_epochs_keep_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_without_an_epoch_only_fills_what_is_unknown, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_epoch_of_too_many_bytes_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pair_is_subscribed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_subscriber_has_a_limit_of_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both_ends_always_agree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_allocation_changes_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("topics", tests, NULL, NULL);
}
