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
#include "realtime/board.h"
#include "tests/lib/heap_libc.h"

struct fixture {
    struct heap_libc heap;
    struct board board;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    heap_libc_init(&fixture.heap);
    board_init(&fixture.board, &fixture.heap.heap, 7);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    board_deinit(&fixture->board);
    return fixture->heap.bytes != 0; // a leak
}

static struct topic *obtain(struct board *board, const char *key)
{
    struct topic *topic = NULL;
    assert_int_equal(board_obtain(board, span_text(key), &topic), 0);
    return topic;
}

static int apply(struct board *board, struct topic *topic, const char *epoch, uint64_t version)
{
    struct topic_update update = {
        .epoch = span_text(epoch), .value = (int64_t)version * 10, .version = version};
    return board_apply(board, topic, &update);
}

static void a_key_has_one_topic(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    char key[32];
    for (int i = 0; i < BOARD_TOPICS_MAX && i < 5000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        obtain(board, key);
    }
    size_t count = board->count;
    for (int i = 0; i < BOARD_TOPICS_MAX && i < 5000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        struct topic *topic = board_find(board, span_text(key));
        assert_non_null(topic);
        assert_ptr_equal(obtain(board, key), topic);
        assert_true(span_is_equal(topic_key(topic), span_text(key)));
    }
    assert_int_equal(board->count, count);
    assert_null(board_find(board, span_text("other")));
}

static void a_removed_topic_is_gone(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    struct topic *topic = obtain(board, "a");
    obtain(board, "b");
    board_remove(board, topic);
    assert_null(board_find(board, span_text("a")));
    assert_non_null(board_find(board, span_text("b")));
    assert_int_equal(board->count, 1);
}

static void a_key_longer_than_the_limit_is_refused(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    static uint8_t key[TOPIC_KEY_BYTES_MAX + 1];
    struct topic *topic;
    assert_int_equal(board_obtain(board, span_of(key, sizeof(key)), &topic), BOARD_E_FULL);
    assert_int_equal(board_obtain(board, span_of(key, sizeof(key) - 1), &topic), 0);
}

static void a_higher_version_wins_whatever_the_order(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    struct topic *topic = obtain(board, "likes");
    assert_int_equal(apply(board, topic, "e1", 5), 0);
    assert_int_equal(apply(board, topic, "e1", 5), BOARD_E_STALE);
    assert_int_equal(apply(board, topic, "e1", 4), BOARD_E_STALE);
    assert_int_equal(topic->value, 50);
    assert_int_equal(apply(board, topic, "e1", 6), 0);
    assert_int_equal(topic->value, 60);
}

static void a_new_epoch_replaces_and_the_old_one_stays_stale(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    struct topic *topic = obtain(board, "likes");
    assert_int_equal(apply(board, topic, "e1", 900), 0);
    assert_int_equal(apply(board, topic, "e2", 3), 0);
    assert_int_equal(topic->value, 30);
    assert_int_equal(apply(board, topic, "e1", 901), BOARD_E_STALE);
    assert_int_equal(apply(board, topic, "e2", 4), 0);
    assert_int_equal(topic->value, 40);
}

static void many_epochs_keep_their_order(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    struct topic *topic = obtain(board, "likes");
    char epoch[16];
    for (int i = 0; i < 3 * BOARD_EPOCHS_MAX; i++) {
        snprintf(epoch, sizeof(epoch), "e%d", i);
        assert_int_equal(apply(board, topic, epoch, 1), 0);
    }
    snprintf(epoch, sizeof(epoch), "e%d", 3 * BOARD_EPOCHS_MAX - 2);
    assert_int_equal(apply(board, topic, epoch, 99), BOARD_E_STALE);
}

static void a_value_without_an_epoch_only_fills_what_is_unknown(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    struct topic *topic = obtain(board, "likes");
    struct topic_update missing = {.is_missing = true, .value = 77};
    assert_int_equal(board_apply(board, topic, &missing), 0);
    assert_true(topic->is_known && topic->is_missing);
    assert_int_equal(topic->value, 0);
    assert_int_equal(apply(board, topic, "e1", 1), 0);
    assert_false(topic->is_missing);
    assert_int_equal(board_apply(board, topic, &missing), BOARD_E_STALE);
    assert_int_equal(topic->value, 10);
}

static void an_epoch_of_too_many_bytes_is_refused(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    struct topic *topic = obtain(board, "likes");
    char epoch[TOPIC_EPOCH_BYTES_MAX + 2];
    memset(epoch, 'e', sizeof(epoch));
    epoch[sizeof(epoch) - 1] = '\0';
    assert_int_equal(apply(board, topic, epoch, 1), BOARD_E_EPOCH);
    assert_false(topic->is_known);
}

static void a_pair_is_subscribed_once(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    struct topic *topic = obtain(board, "likes");
    struct subscriber subscriber = {0};
    struct subscription *subscription, *again;
    assert_int_equal(board_subscribe(board, &subscriber, topic, &subscription), 0);
    assert_int_equal(board_subscribe(board, &subscriber, topic, &again), BOARD_E_ALREADY);
    assert_ptr_equal(board_subscription(&subscriber, topic), subscription);
    assert_int_equal(topic->subscribers_count, 1);
    board_unsubscribe(board, subscription);
    assert_null(board_subscription(&subscriber, topic));
    assert_true(topic_is_idle(topic));
}

static void a_subscriber_has_a_limit_of_keys(void **state)
{
    struct board *board = &((struct fixture *)*state)->board;
    struct subscriber subscriber = {0};
    struct subscription *subscription;
    char key[32];
    for (int i = 0; i < SUBSCRIBER_KEYS_MAX; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        assert_int_equal(board_subscribe(board, &subscriber, obtain(board, key), &subscription), 0);
    }
    assert_int_equal(board_subscribe(board, &subscriber, obtain(board, "more"), &subscription),
                     BOARD_E_FULL);
    while (subscriber.first)
        board_unsubscribe(board, subscriber.first);
    assert_int_equal(subscriber.keys_count, 0);
    assert_int_equal(board->subscriptions_count, 0);
}

// Random subscribing and leaving against a matrix of what must hold.
static void both_ends_always_agree(void **state)
{
    enum { SUBSCRIBERS = 12, TOPICS = 9 };
    struct board *board = &((struct fixture *)*state)->board;
    struct subscriber subscribers[SUBSCRIBERS] = {0};
    struct topic *all[TOPICS];
    bool expected[SUBSCRIBERS][TOPICS] = {0};
    struct subscription *subscription;
    struct prng prng;
    prng_init(&prng, 11);
    for (int i = 0; i < TOPICS; i++)
        all[i] = obtain(board, (char[]){(char)('a' + i), '\0'});
    for (int round = 0; round < 20000; round++) {
        size_t s = prng_below(&prng, SUBSCRIBERS), t = prng_below(&prng, TOPICS);
        subscription = board_subscription(&subscribers[s], all[t]);
        assert_int_equal(subscription != NULL, expected[s][t]);
        if (subscription)
            board_unsubscribe(board, subscription);
        else
            assert_int_equal(board_subscribe(board, &subscribers[s], all[t], &subscription), 0);
        expected[s][t] = !expected[s][t];
        for (uint32_t i = 0; i < all[t]->subscribers_count; i++) {
            assert_int_equal(all[t]->subscribers[i]->index, i);
            assert_true(expected[all[t]->subscribers[i]->subscriber - subscribers][t]);
        }
    }
    for (int s = 0; s < SUBSCRIBERS; s++) {
        while (subscribers[s].first)
            board_unsubscribe(board, subscribers[s].first);
    }
}

static void a_failed_allocation_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct board *board = &fixture->board;
    struct topic *topic;
    for (long fail = 0; fail < 2; fail++) {
        fixture->heap.fail_after = fail;
        assert_int_equal(board_obtain(board, span_text("a"), &topic), -ENOMEM);
        assert_int_equal(board->count, 0);
    }
    topic = obtain(board, "a");
    struct subscriber subscriber = {0};
    struct subscription *subscription;
    for (long fail = 0; fail < 2; fail++) {
        fixture->heap.fail_after = fail;
        assert_int_equal(board_subscribe(board, &subscriber, topic, &subscription), -ENOMEM);
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
    return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
