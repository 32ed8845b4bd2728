// SPDX-License-Identifier: Apache-2.0
// Fan-out: newest wins, one entry a key a tick, one encoding for all who are owed the same, and
// what a subscriber that cannot take more is owed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "realtime/fanout.h"
#include "tests/lib/heap_libc.h"
#include "wire/deflate.h"

#define CLIENTS 40

struct client { // notes what it is sent, without the frame's head
    struct subscriber subscriber;
    struct fanout *fanout;
    bool is_busy, is_packed;
    unsigned frames, epochs;
    size_t last_len;
    const uint8_t *last_bytes;
    char last[4096];
};

struct fixture {
    struct heap_libc heap;
    struct board board;
    struct fanout fanout;
    struct client clients[CLIENTS];
};

static bool take(struct subscriber *subscriber, const struct fanout_frame *told)
{
    struct client *client = (struct client *)subscriber;
    if (client->is_busy)
        return false;
    struct span frame = told->whole;
    size_t head = frame.ptr[1] < 126 ? 2 : frame.ptr[1] == 126 ? 4 : 10;
    assert_int_equal(frame.ptr[0], 0x81);
    assert_int_equal(head, told->head_len);
    client->frames++;
    client->epochs += told->is_new_epoch;
    if (client->is_packed)
        frame = fanout_packed(client->fanout, told);
    client->last_len = frame.len;
    client->last_bytes = frame.ptr;
    size_t len = frame.len - head < sizeof(client->last) ? frame.len - head : 0;
    memcpy(client->last, frame.ptr + head, len);
    client->last[len] = '\0';
    return true;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof(fixture));
    heap_libc_init(&fixture.heap);
    board_init(&fixture.board, &fixture.heap.heap, 7);
    fanout_init(&fixture.fanout, &fixture.heap.heap, take);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < CLIENTS; i++) {
        fanout_forget(&fixture->fanout, &fixture->clients[i].subscriber);
        while (fixture->clients[i].subscriber.first)
            board_unsubscribe(&fixture->board, fixture->clients[i].subscriber.first);
    }
    fanout_deinit(&fixture->fanout);
    board_deinit(&fixture->board);
    return fixture->heap.bytes != 0; // a leak
}

static struct topic *obtain(struct fixture *fixture, const char *key)
{
    struct topic *topic = NULL;
    assert_int_equal(board_obtain(&fixture->board, span_text(key), &topic), 0);
    return topic;
}

static struct subscription *track(struct fixture *fixture, int client, const char *key)
{
    struct subscription *subscription = NULL;
    assert_int_equal(board_subscribe(&fixture->board, &fixture->clients[client].subscriber,
                                     obtain(fixture, key), &subscription),
                     0);
    return subscription;
}

static void change(struct fixture *fixture, const char *key, int64_t value)
{
    struct topic *topic = obtain(fixture, key);
    struct topic_update update = {
        .epoch = span_text("e"), .value = value, .version = topic->version + 1};
    assert_int_equal(board_apply(&fixture->board, topic, &update), 0);
    fanout_change(&fixture->fanout, topic);
}

static void a_key_changed_many_times_is_told_once_with_its_newest_value(void **state)
{
    struct fixture *fixture = *state;
    struct client *client = &fixture->clients[0];
    track(fixture, 0, "likes");
    for (int i = 1; i <= 1000; i++)
        change(fixture, "likes", i);
    assert_int_equal(client->frames, 0);
    fanout_tick(&fixture->fanout);
    assert_int_equal(client->frames, 1);
    assert_string_equal(client->last, "{\"c\":[[\"likes\",1000,1000]]}");
    fanout_tick(&fixture->fanout);
    assert_int_equal(client->frames, 1);
}

static void values_beyond_53_bits_and_missing_ones_have_their_forms(void **state)
{
    struct fixture *fixture = *state;
    track(fixture, 0, "big");
    change(fixture, "big", INT64_MIN);
    fanout_tick(&fixture->fanout);
    assert_string_equal(fixture->clients[0].last, "{\"c\":[[\"big\",\"-9223372036854775808\",1]]}");
    struct topic_update gone = {.epoch = span_text("e"), .is_missing = true, .version = 2};
    assert_int_equal(board_apply(&fixture->board, obtain(fixture, "big"), &gone), 0);
    fanout_change(&fixture->fanout, obtain(fixture, "big"));
    fanout_tick(&fixture->fanout);
    assert_string_equal(fixture->clients[0].last, "{\"c\":[[\"big\",null,2]]}");
}

static void all_subscribers_of_one_key_are_sent_the_same_bytes(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < CLIENTS; i++)
        track(fixture, i, "likes");
    change(fixture, "likes", 5);
    fanout_tick(&fixture->fanout);
    assert_int_equal(fixture->fanout.frames_encoded, 1);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(fixture->clients[i].frames, 1);
        assert_ptr_equal(fixture->clients[i].last_bytes, fixture->clients[0].last_bytes);
    }
}

static void subscribers_of_the_same_keys_share_one_frame(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < CLIENTS; i++) {
        track(fixture, i, "likes");
        track(fixture, i, "views");
        if (i % 2)
            track(fixture, i, "stock");
    }
    change(fixture, "likes", 5);
    change(fixture, "views", 6);
    change(fixture, "stock", 7);
    fanout_tick(&fixture->fanout);
    assert_int_equal(fixture->fanout.frames_encoded, 3 + 2); // each key's, each set's
    assert_string_equal(fixture->clients[0].last, "{\"c\":[[\"likes\",5,1],[\"views\",6,1]]}");
    assert_string_equal(fixture->clients[1].last,
                        "{\"c\":[[\"likes\",5,1],[\"views\",6,1],[\"stock\",7,1]]}");
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(fixture->clients[i].frames, 1);
        assert_string_equal(fixture->clients[i].last, fixture->clients[i % 2].last);
    }
}

static void only_what_changed_is_told(void **state)
{
    struct fixture *fixture = *state;
    track(fixture, 0, "likes");
    track(fixture, 0, "views");
    change(fixture, "likes", 1);
    change(fixture, "views", 2);
    fanout_tick(&fixture->fanout);
    change(fixture, "views", 3);
    fanout_tick(&fixture->fanout);
    assert_string_equal(fixture->clients[0].last, "{\"c\":[[\"views\",3,2]]}");
}

static void who_begins_to_track_is_told_the_latest_without_a_tick(void **state)
{
    struct fixture *fixture = *state;
    track(fixture, 0, "likes");
    change(fixture, "likes", 9);
    fanout_tick(&fixture->fanout);
    fanout_owe(&fixture->fanout, track(fixture, 1, "likes"));
    fanout_flush(&fixture->fanout);
    assert_string_equal(fixture->clients[1].last, "{\"c\":[[\"likes\",9,1]]}");
    assert_int_equal(fixture->clients[0].frames, 1);
}

static void a_slow_subscriber_is_owed_one_value_a_key(void **state)
{
    struct fixture *fixture = *state;
    struct client *slow = &fixture->clients[0];
    track(fixture, 0, "likes");
    track(fixture, 0, "views");
    slow->is_busy = true;
    for (int i = 1; i <= 50; i++) {
        change(fixture, "likes", i);
        change(fixture, "views", -i);
        fanout_tick(&fixture->fanout);
    }
    assert_int_equal(slow->frames, 0);
    assert_int_equal(slow->subscriber.pending_count, 2);
    assert_int_equal(fixture->fanout.busy_count, 1); // asked once, then left alone
    slow->is_busy = false;
    fanout_resume(&fixture->fanout, &slow->subscriber);
    fanout_flush(&fixture->fanout);
    assert_int_equal(slow->frames, 1);
    assert_string_equal(slow->last, "{\"c\":[[\"likes\",50,50],[\"views\",-50,50]]}");
    assert_int_equal(slow->subscriber.pending_count, 0);
}

static void a_busy_single_key_subscriber_is_told_after_it_drains(void **state)
{
    struct fixture *fixture = *state;
    struct client *slow = &fixture->clients[0];
    track(fixture, 0, "likes");
    slow->is_busy = true;
    change(fixture, "likes", 1);
    fanout_tick(&fixture->fanout);
    change(fixture, "likes", 2);
    fanout_tick(&fixture->fanout);
    slow->is_busy = false;
    fanout_resume(&fixture->fanout, &slow->subscriber);
    fanout_flush(&fixture->fanout);
    assert_string_equal(slow->last, "{\"c\":[[\"likes\",2,2]]}");
    assert_int_equal(slow->frames, 1);
}

static void who_stops_tracking_is_told_nothing_more(void **state)
{
    struct fixture *fixture = *state;
    struct subscription *views = track(fixture, 0, "views");
    track(fixture, 0, "likes");
    fixture->clients[0].is_busy = true;
    change(fixture, "views", 1);
    change(fixture, "likes", 2);
    fanout_tick(&fixture->fanout);
    board_unsubscribe(&fixture->board, views);
    fixture->clients[0].is_busy = false;
    fanout_resume(&fixture->fanout, &fixture->clients[0].subscriber);
    fanout_flush(&fixture->fanout);
    assert_string_equal(fixture->clients[0].last, "{\"c\":[[\"likes\",2,1]]}");
}

static void an_unknown_value_is_never_told(void **state)
{
    struct fixture *fixture = *state;
    struct subscription *first = track(fixture, 0, "likes");
    change(fixture, "likes", 4);
    board_unsubscribe(&fixture->board, first);
    obtain(fixture, "likes")->is_known = false;
    track(fixture, 1, "likes");
    fanout_tick(&fixture->fanout);
    assert_int_equal(fixture->clients[1].frames, 0);
}

static void a_key_is_told_as_json_text(void **state)
{
    struct fixture *fixture = *state;
    track(fixture, 0, "a\"\n\xc3\xa9");
    change(fixture, "a\"\n\xc3\xa9", 1);
    fanout_tick(&fixture->fanout);
    assert_string_equal(fixture->clients[0].last, "{\"c\":[[\"a\\\"\\n\xc3\xa9\",1,1]]}");
}

static void many_keys_leave_in_frames_of_bounded_size(void **state)
{
    enum { KEYS = SUBSCRIBER_KEYS_MAX < 500 ? SUBSCRIBER_KEYS_MAX : 500 };
    struct fixture *fixture = *state;
    char key[400];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "%0300d", i);
        track(fixture, 0, key);
        change(fixture, key, i);
    }
    fanout_tick(&fixture->fanout);
    size_t bytes = (size_t)KEYS * 310;
    assert_true(fixture->clients[0].frames >= bytes / FANOUT_FRAME_BYTES_MAX);
    assert_true(fixture->clients[0].frames <= bytes / FANOUT_FRAME_BYTES_MAX + 2);
    assert_int_equal(fixture->clients[0].subscriber.pending_count, 0);
}

static void update(struct fixture *fixture, const char *key, const char *epoch, uint64_t version)
{
    struct topic *topic = obtain(fixture, key);
    struct topic_update newer = {.epoch = span_text(epoch), .value = 7, .version = version};
    assert_int_equal(board_apply(&fixture->board, topic, &newer), 0);
    fanout_change(&fixture->fanout, topic);
}

static void values_of_two_epochs_are_not_in_one_frame(void **state)
{
    struct fixture *fixture = *state;
    struct client *client = &fixture->clients[0];
    track(fixture, 0, "a");
    track(fixture, 0, "b");
    update(fixture, "a", "one", 5);
    update(fixture, "b", "one", 6);
    fanout_tick(&fixture->fanout);
    assert_int_equal(client->frames, 1);
    assert_int_equal(client->epochs, 1);
    update(fixture, "a", "two", 1);
    update(fixture, "b", "one", 7);
    fanout_tick(&fixture->fanout);
    assert_int_equal(client->frames, 3);
    assert_int_equal(client->epochs, 3);
    update(fixture, "b", "two", 2);
    update(fixture, "a", "two", 3);
    fanout_tick(&fixture->fanout);
    assert_int_equal(client->frames, 4);
    assert_int_equal(client->epochs, 4);
}

static void who_says_what_it_has_is_not_told_it_again(void **state)
{
    struct fixture *fixture = *state;
    struct client *client = &fixture->clients[0];
    client->subscriber.epoch_mark = board_epoch_mark(&fixture->board, span_text("e"));
    track(fixture, 0, "same")->told = 4 + 1;
    track(fixture, 0, "newer")->told = 4 + 1;
    update(fixture, "same", "e", 4);
    update(fixture, "newer", "e", 5);
    fanout_owe_all(&fixture->fanout, obtain(fixture, "same"));
    fanout_owe_all(&fixture->fanout, obtain(fixture, "newer"));
    fanout_flush(&fixture->fanout);
    assert_int_equal(client->frames, 1);
    assert_string_equal(client->last, "{\"c\":[[\"newer\",7,5]]}");
    client = &fixture->clients[1]; // the same versions of another epoch are none
    client->subscriber.epoch_mark = board_epoch_mark(&fixture->board, span_text("before"));
    struct subscription *other = track(fixture, 1, "same");
    other->told = 4 + 1;
    fanout_owe(&fixture->fanout, other);
    fanout_flush(&fixture->fanout);
    assert_string_equal(client->last, "{\"c\":[[\"same\",7,4]]}");
}

static void a_frame_of_many_is_packed_once_for_all_who_want_it_so(void **state)
{
    struct fixture *fixture = *state;
    char key[32];
    assert_int_equal(deflate_new(&fixture->fanout.deflate, &fixture->heap.heap), 0);
    for (int i = 0; i < CLIENTS; i++) {
        fixture->clients[i].fanout = &fixture->fanout;
        fixture->clients[i].is_packed = i % 2;
        for (int k = 0; k < 10; k++) {
            snprintf(key, sizeof key, "page:/article/%d", k);
            track(fixture, i, key);
        }
    }
    for (int k = 0; k < 10; k++) {
        snprintf(key, sizeof key, "page:/article/%d", k);
        change(fixture, key, 1000 + k);
    }
    fanout_tick(&fixture->fanout);
    assert_int_equal(fixture->fanout.frames_packed, 1);
    for (int i = 2; i < CLIENTS; i++) {
        assert_int_equal(fixture->clients[i].last_len, fixture->clients[i % 2].last_len);
        assert_ptr_equal(fixture->clients[i].last_bytes, fixture->clients[i % 2].last_bytes);
    }
    assert_true(fixture->clients[1].last_len * 2 < fixture->clients[0].last_len);
    deflate_free(fixture->fanout.deflate);
    fixture->fanout.deflate = NULL;
}

static void a_failed_allocation_loses_no_newest_value(void **state)
{
    struct fixture *fixture = *state;
    char expected[64];
    for (int fail = 0; fail < 6; fail++) {
        struct client *client = &fixture->clients[fail];
        char key[] = {'k', (char)('0' + fail), '\0'};
        char other[] = {'o', (char)('0' + fail), '\0'};
        track(fixture, fail, key);
        track(fixture, fail, other);
        change(fixture, key, 1);
        change(fixture, other, 1);
        fanout_deinit(&fixture->fanout); // its buffers are to grow again
        fanout_init(&fixture->fanout, &fixture->heap.heap, take);
        obtain(fixture, key)->is_changed = false;
        obtain(fixture, other)->is_changed = false;
        fanout_change(&fixture->fanout, obtain(fixture, key));
        fanout_change(&fixture->fanout, obtain(fixture, other));
        fixture->heap.fail_after = fail;
        fanout_tick(&fixture->fanout);
        fixture->heap.fail_after = -1;
        change(fixture, key, 2);
        change(fixture, other, 2);
        fanout_tick(&fixture->fanout);
        snprintf(expected, sizeof(expected), "{\"c\":[[\"%s\",2,2],[\"%s\",2,2]]}", key, other);
        assert_string_equal(client->last, expected);
        assert_int_equal(client->subscriber.pending_count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_changed_many_times_is_told_once_with_its_newest_value,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_beyond_53_bits_and_missing_ones_have_their_forms,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_subscribers_of_one_key_are_sent_the_same_bytes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(subscribers_of_the_same_keys_share_one_frame, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_what_changed_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_begins_to_track_is_told_the_latest_without_a_tick,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_subscriber_is_owed_one_value_a_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_busy_single_key_subscriber_is_told_after_it_drains,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_stops_tracking_is_told_nothing_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_value_is_never_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_is_told_as_json_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_keys_leave_in_frames_of_bounded_size, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(values_of_two_epochs_are_not_in_one_frame, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_says_what_it_has_is_not_told_it_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_frame_of_many_is_packed_once_for_all_who_want_it_so,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_allocation_loses_no_newest_value, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("fanout", tests, NULL, NULL);
}
