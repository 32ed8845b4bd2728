// SPDX-License-Identifier: Apache-2.0
// Heartbeats out: what is told when. Time is the caller's: the loop gives the start and never runs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "realtime/pages.h"
#include "realtime/pulse.h"
#include "tests/lib/heap_libc.h"

#define INTERVAL_MS 1000

struct fixture {
    struct heap_libc heap;
    struct board board;
    struct loop *loop;
    struct pulse pulse;
    int service_fd;
    uint64_t start_ms;
    uint64_t sequence; // of the last datagram
    char said[8192];   // "page=publishers,yes ..." of the datagrams read last
    unsigned datagrams, byes;
    struct publisher publishers[8];
    struct subscriber subscribers[8];
};

static int set_up(void **state)
{
    static struct fixture fixture;
    static const struct pulse_options options = {
        .node = 7, .boot = 3, .interval_ms = INTERVAL_MS, .address = {(const uint8_t *)"a:1", 3}};
    int fds[2];
    memset(&fixture, 0, sizeof(fixture));
    heap_libc_init(&fixture.heap);
    board_init(&fixture.board, &fixture.heap.heap, 7);
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) || loop_new(&fixture.loop, NULL))
        return 1;
    fixture.service_fd = fds[1];
    pulse_start(&fixture.pulse, fixture.loop, &fixture.board, fds[0], &options);
    fixture.start_ms = loop_now_ms(fixture.loop);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 8; i++) {
        while (pages_leave(&fixture->heap.heap, &fixture->publishers[i]))
            continue;
        while (fixture->subscribers[i].first)
            board_unsubscribe(&fixture->board, fixture->subscribers[i].first);
    }
    pulse_stop(&fixture->pulse);
    loop_free(fixture->loop);
    board_deinit(&fixture->board);
    close(fixture->service_fd);
    return fixture->heap.bytes != 0; // a leak
}

static void note(struct fixture *fixture, struct heartbeat *heartbeat)
{
    struct heartbeat_entry entry;
    assert_int_equal(heartbeat->node, 7);
    assert_int_equal(heartbeat->boot, 3);
    assert_true(heartbeat->sequence > fixture->sequence);
    assert_true(span_is_equal(heartbeat->address, span_text("a:1")));
    fixture->sequence = heartbeat->sequence;
    fixture->datagrams++;
    fixture->byes += heartbeat->is_bye;
    while (heartbeat_next(heartbeat, &entry)) {
        size_t len = strlen(fixture->said);
        snprintf(fixture->said + len, sizeof(fixture->said) - len, "%.*s=%llu,%s ",
                 (int)entry.page.len, (const char *)entry.page.ptr,
                 (unsigned long long)entry.publishers, entry.has_subscribers ? "yes" : "no");
    }
}

static void read_datagrams(struct fixture *fixture)
{
    uint8_t bytes[2 * HEARTBEAT_BYTES_MAX];
    struct heartbeat heartbeat;
    fixture->said[0] = '\0';
    fixture->datagrams = 0;
    for (;;) {
        ssize_t len = recv(fixture->service_fd, bytes, sizeof(bytes), 0);
        if (len < 0)
            return;
        assert_true(len <= HEARTBEAT_BYTES_MAX);
        assert_int_equal(heartbeat_parse(span_of(bytes, (size_t)len), NULL, 0, &heartbeat), 0);
        note(fixture, &heartbeat);
    }
}

// Beats at `after_ms` from the start; what was said.
static const char *beat(struct fixture *fixture, uint64_t after_ms)
{
    pulse_beat(&fixture->pulse, fixture->start_ms + after_ms);
    read_datagrams(fixture);
    return fixture->said;
}

static struct topic *publish(struct fixture *fixture, int publisher, const char *page)
{
    struct topic *topic;
    assert_int_equal(board_obtain(&fixture->board, span_text(page), &topic), 0);
    assert_int_equal(pages_publish(&fixture->heap.heap, &fixture->publishers[publisher], topic), 0);
    pulse_raise(&fixture->pulse, topic);
    return topic;
}

static struct topic *track(struct fixture *fixture, int subscriber, const char *key)
{
    struct topic *topic;
    struct subscription *subscription;
    assert_int_equal(board_obtain(&fixture->board, span_text(key), &topic), 0);
    assert_int_equal(
        board_subscribe(&fixture->board, &fixture->subscribers[subscriber], topic, &subscription),
        0);
    pulse_raise(&fixture->pulse, topic);
    return topic;
}

static void untrack(struct fixture *fixture, int subscriber)
{
    struct topic *topic = fixture->subscribers[subscriber].first->topic;
    board_unsubscribe(&fixture->board, fixture->subscribers[subscriber].first);
    if (topic->subscribers_count == 0)
        pulse_untracked(&fixture->pulse, topic);
}

static void a_node_with_nothing_to_tell_says_that_it_lives(void **state)
{
    struct fixture *fixture = *state;
    assert_string_equal(beat(fixture, 0), "");
    assert_int_equal(fixture->datagrams, 1);
    beat(fixture, INTERVAL_MS / 2);
    assert_int_equal(fixture->datagrams, 0);
    beat(fixture, INTERVAL_MS);
    assert_int_equal(fixture->datagrams, 1);
}

static void more_publishers_are_told_soon_together(void **state)
{
    struct fixture *fixture = *state;
    beat(fixture, 0);
    publish(fixture, 0, "front");
    publish(fixture, 1, "front");
    publish(fixture, 1, "news");
    assert_string_equal(beat(fixture, PULSE_PROMPT_MS - 1), "");
    assert_string_equal(beat(fixture, PULSE_PROMPT_MS), "front=2,no news=1,no ");
    assert_int_equal(fixture->datagrams, 1);
}

static void every_page_is_told_once_an_interval(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 0, "front");
    beat(fixture, PULSE_PROMPT_MS);
    unsigned told = 0;
    for (uint64_t ms = PULSE_PROMPT_MS + 10; ms <= 10 * INTERVAL_MS + PULSE_PROMPT_MS; ms += 10)
        told += strcmp(beat(fixture, ms), "front=1,no ") == 0;
    assert_int_equal(told, 10);
}

static void fewer_publishers_wait_for_the_rotation(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 0, "front");
    publish(fixture, 1, "front");
    beat(fixture, PULSE_PROMPT_MS);
    pages_leave(&fixture->heap.heap, &fixture->publishers[1]);
    assert_string_equal(beat(fixture, 3 * PULSE_PROMPT_MS), "");
    publish(fixture, 1, "front"); // back after a reload: the count has not dipped
    assert_string_equal(beat(fixture, 4 * PULSE_PROMPT_MS), "front=2,no ");
    pages_leave(&fixture->heap.heap, &fixture->publishers[1]);
    assert_string_equal(beat(fixture, 4 * PULSE_PROMPT_MS + INTERVAL_MS), "front=1,no ");
}

static void a_first_subscriber_is_told_soon_and_a_last_one_lingers(void **state)
{
    struct fixture *fixture = *state;
    struct topic *topic = track(fixture, 0, "likes");
    topic->is_known = true;
    assert_string_equal(beat(fixture, PULSE_PROMPT_MS), "likes=0,yes ");
    untrack(fixture, 0);
    assert_string_equal(beat(fixture, PULSE_LINGER_MS / 2), "");
    assert_true(topic->is_known);
    assert_string_equal(beat(fixture, PULSE_LINGER_MS + INTERVAL_MS), "likes=0,no ");
    assert_false(topic->is_known); // nobody keeps it up to date any more
    track(fixture, 1, "likes");
    assert_string_equal(beat(fixture, PULSE_LINGER_MS + 2 * INTERVAL_MS), "likes=0,yes ");
}

static void an_unneeded_page_is_told_as_empty_a_few_times_then_forgotten(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 0, "front");
    beat(fixture, PULSE_PROMPT_MS);
    pages_leave(&fixture->heap.heap, &fixture->publishers[0]);
    uint64_t ms = PULSE_PROMPT_MS;
    for (int i = 0; i < PULSE_FAREWELLS; i++) {
        assert_int_equal(fixture->board.count, 1);
        ms += INTERVAL_MS;
        assert_string_equal(beat(fixture, ms), "front=0,no ");
    }
    assert_int_equal(fixture->board.count, 0);
    assert_string_equal(beat(fixture, ms + INTERVAL_MS), "");
    assert_int_equal(fixture->datagrams, 1); // still alive
}

static void a_topic_that_others_hold_is_not_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct topic *topic = publish(fixture, 0, "front");
    beat(fixture, PULSE_PROMPT_MS);
    pages_leave(&fixture->heap.heap, &fixture->publishers[0]);
    topic->is_wanted = true; // an answer is under way
    for (uint64_t i = 1; i <= PULSE_FAREWELLS + 2; i++)
        beat(fixture, PULSE_PROMPT_MS + i * INTERVAL_MS);
    assert_int_equal(fixture->board.count, 1);
    topic->is_wanted = false;
    beat(fixture, PULSE_PROMPT_MS + (PULSE_FAREWELLS + 3) * INTERVAL_MS);
    assert_int_equal(fixture->board.count, 0);
}

static void many_pages_take_several_datagrams_and_none_is_left_out(void **state)
{
    enum { PAGES = BOARD_TOPICS_MAX < 200 ? BOARD_TOPICS_MAX : 200 };
    struct fixture *fixture = *state;
    char page[64], expected[80];
    for (int i = 0; i < PAGES; i++) {
        snprintf(page, sizeof(page), "page:%025d", i);
        track(fixture, 0, page);
        if (fixture->subscribers[0].keys_count == SUBSCRIBER_KEYS_MAX)
            break;
    }
    beat(fixture, PULSE_PROMPT_MS);
    size_t bytes = fixture->subscribers[0].keys_count * (size_t)33;
    assert_true(fixture->datagrams >= bytes / HEARTBEAT_BYTES_MAX);
    assert_true(fixture->datagrams <= bytes / (HEARTBEAT_BYTES_MAX - 200) + 1);
    for (int i = 0; i < fixture->subscribers[0].keys_count; i++) {
        snprintf(expected, sizeof(expected), "page:%025d=0,yes ", i);
        assert_non_null(strstr(fixture->said, expected));
    }
}

static void very_many_pages_leave_in_bursts_with_pauses(void **state)
{
    enum { PAGES = BOARD_TOPICS_MAX < 3000 ? BOARD_TOPICS_MAX : 3000 };
    struct fixture *fixture = *state;
    char page[64];
    struct topic *topic;
    for (int i = 0; i < PAGES; i++) {
        snprintf(page, sizeof(page), "page:%025d", i);
        assert_int_equal(board_obtain(&fixture->board, span_text(page), &topic), 0);
        topic->publishers_count = 1;
        pulse_raise(&fixture->pulse, topic);
    }
    uint64_t now_ms = fixture->start_ms + PULSE_PROMPT_MS;
    for (int beats = 0; fixture->pulse.prompt.first; beats++) {
        assert_true(beats < 100);
        uint64_t next_ms = pulse_beat(&fixture->pulse, now_ms);
        read_datagrams(fixture);
        assert_in_range(fixture->datagrams, 1, PULSE_BURST + 1);
        assert_true(next_ms > now_ms);
        now_ms = next_ms;
    }
    for (int i = 0; i < PAGES; i++) {
        snprintf(page, sizeof(page), "page:%025d", i);
        topic = board_find(&fixture->board, span_text(page));
        assert_true(topic->due_ms >= now_ms); // told, and its next turn is set
        topic->publishers_count = 0;
    }
}

static void a_bye_is_said_more_than_once(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 0, "front");
    pulse_bye(&fixture->pulse);
    read_datagrams(fixture);
    assert_string_equal(fixture->said, "");
    assert_int_equal(fixture->byes, PULSE_FAREWELLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_with_nothing_to_tell_says_that_it_lives, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_publishers_are_told_soon_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_page_is_told_once_an_interval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fewer_publishers_wait_for_the_rotation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_first_subscriber_is_told_soon_and_a_last_one_lingers,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            an_unneeded_page_is_told_as_empty_a_few_times_then_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_topic_that_others_hold_is_not_forgotten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(many_pages_take_several_datagrams_and_none_is_left_out,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(very_many_pages_leave_in_bursts_with_pauses, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_bye_is_said_more_than_once, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("pulse", tests, NULL, NULL);
}
