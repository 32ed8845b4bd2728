// SPDX-License-Identifier: Apache-2.0
// Pages: a publisher counts once on each, and not at all once it has ended.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "realtime/pages.h"
#include "tests/lib/heap_libc.h"

struct fixture {
    struct heap_libc heap;
    struct board board;
    struct topic *front, *news;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    heap_libc_init(&fixture.heap);
    board_init(&fixture.board, &fixture.heap.heap, 7);
    if (board_obtain(&fixture.board, span_text("front"), &fixture.front) ||
        board_obtain(&fixture.board, span_text("news"), &fixture.news))
        return 1;
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    board_deinit(&fixture->board);
    return fixture->heap.bytes != 0; // a leak
}

static void publishing_twice_counts_once(void **state)
{
    struct fixture *fixture = *state;
    struct heap *heap = &fixture->heap.heap;
    struct publisher publisher = {0};
    assert_int_equal(pages_publish(heap, &publisher, fixture->front), 0);
    assert_int_equal(pages_publish(heap, &publisher, fixture->front), PAGES_E_ALREADY);
    assert_int_equal(fixture->front->publishers_count, 1);
    assert_int_equal(pages_unpublish(heap, &publisher, fixture->front), 0);
    assert_int_equal(pages_unpublish(heap, &publisher, fixture->front), PAGES_E_ALREADY);
    assert_int_equal(fixture->front->publishers_count, 0);
}

static void a_page_counts_every_publisher(void **state)
{
    struct fixture *fixture = *state;
    struct heap *heap = &fixture->heap.heap;
    struct publisher a = {0}, b = {0};
    assert_int_equal(pages_publish(heap, &a, fixture->front), 0);
    assert_int_equal(pages_publish(heap, &b, fixture->front), 0);
    assert_int_equal(pages_publish(heap, &b, fixture->news), 0);
    assert_int_equal(fixture->front->publishers_count, 2);
    assert_int_equal(fixture->news->publishers_count, 1);
    assert_ptr_equal(pages_leave(heap, &a), fixture->front);
    assert_null(pages_leave(heap, &a));
    assert_int_equal(fixture->front->publishers_count, 1);
    while (pages_leave(heap, &b))
        continue;
    assert_true(topic_is_idle(fixture->front) && topic_is_idle(fixture->news));
}

static void a_publisher_has_a_limit_of_pages(void **state)
{
    struct fixture *fixture = *state;
    struct heap *heap = &fixture->heap.heap;
    struct publisher publisher = {0};
    struct topic *topic;
    char key[32];
    for (int i = 0; i < PUBLISHER_PAGES_MAX; i++) {
        snprintf(key, sizeof(key), "page:%d", i);
        assert_int_equal(board_obtain(&fixture->board, span_text(key), &topic), 0);
        assert_int_equal(pages_publish(heap, &publisher, topic), 0);
    }
    assert_int_equal(pages_publish(heap, &publisher, fixture->front), PAGES_E_FULL);
    assert_int_equal(pages_unpublish(heap, &publisher, topic), 0);
    assert_int_equal(pages_publish(heap, &publisher, fixture->front), 0);
    while (pages_leave(heap, &publisher))
        continue;
    assert_int_equal(publisher.pages_count, 0);
}

static void a_failed_allocation_counts_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct publisher publisher = {0};
    fixture->heap.fail_after = 0;
    assert_int_equal(pages_publish(&fixture->heap.heap, &publisher, fixture->front), -ENOMEM);
    fixture->heap.fail_after = -1;
    assert_int_equal(fixture->front->publishers_count, 0);
    assert_null(pages_leave(&fixture->heap.heap, &publisher));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(publishing_twice_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_counts_every_publisher, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_publisher_has_a_limit_of_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_allocation_counts_nobody, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
