// SPDX-License-Identifier: Apache-2.0
// Retries with a token: at the same replica and at another one, before and after it has heard, over
// restarts, with resets in between: counted once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/lib/story.h"

static void a_retry_is_known_where_the_first_was_heard_of_and_after_a_restart(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_once(&story, 0, LIKES);
    story_once(&story, 0, LIKES);
    story_pass(&story, 100);
    story_once(&story, 1, LIKES);
    story_kill(&story, 0);
    story_start(&story, 0);
    story_pass(&story, 1000);
    story_once(&story, 0, LIKES);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r1 INCRBY likes 3 ID t0: added\n"
                      "r1 INCRBY likes 3 ID t0: a duplicate\n"
                      "r2 INCRBY likes 1 ID t0: a duplicate\n"
                      "r1 is killed\n"
                      "r1 starts as incarnation 0\n"
                      "r1 INCRBY likes 3 ID t0: a duplicate\n"
                      "-- likes: r1 3, r2 3\n");
}

static void two_sides_of_a_cut_both_add_and_it_counts_once_after_it(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 10);
    story_pass(&story, 100);
    story_cut(&story, 0, 1);
    story_once(&story, 0, LIKES);
    story_once(&story, 1, LIKES);
    story_show(&story, LIKES);
    story_heal(&story);
    story_pass(&story, 4000);
    story_show(&story, LIKES);
    story_once(&story, 1, LIKES);
    story_kill(&story, 1);
    story_start(&story, 1);
    story_pass(&story, 1000);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r1 INCRBY likes 10 -> 10\n"
                      "r1 and r2 cannot reach each other\n"
                      "r1 INCRBY likes 2 ID t0: added\n"
                      "r2 INCRBY likes 1 ID t0: added\n"
                      "-- likes: r1 12, r2 11\n"
                      "-- the network is whole again\n"
                      "-- likes: r1 12, r2 12\n"
                      "r2 INCRBY likes 2 ID t0: a duplicate\n"
                      "r2 is killed\n"
                      "r2 starts as incarnation 1\n"
                      "-- likes: r1 12, r2 12\n");
}

static void a_delete_on_one_side_takes_what_it_saw_and_the_retry_with_it(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 10);
    story_pass(&story, 100);
    story_cut(&story, 0, 1);
    story_once(&story, 0, LIKES);
    story_once(&story, 1, LIKES);
    story_del(&story, 0, LIKES);
    story_show(&story, LIKES);
    story_heal(&story);
    story_pass(&story, 4000);
    story_show(&story, LIKES);
    story_add(&story, 1, LIKES, 3);
    story_pass(&story, 100);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r1 INCRBY likes 10 -> 10\n"
                      "r1 and r2 cannot reach each other\n"
                      "r1 INCRBY likes 2 ID t0: added\n"
                      "r2 INCRBY likes 1 ID t0: added\n"
                      "r1 DEL likes\n"
                      "-- likes: r1 nothing, r2 11\n"
                      "-- the network is whole again\n"
                      "-- likes: r1 0, r2 0\n"
                      "r2 INCRBY likes 3 -> 3\n"
                      "-- likes: r1 3, r2 3\n");
}

static void tokens_are_forgotten_when_their_window_has_passed(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_once(&story, 0, LIKES);
    story_pass(&story, 1000);
    story_show_records(&story);
    tokens_leap(story.world);
    story_add(&story, 1, LIKES, 1);
    story_pass(&story, 1000);
    story_show_records(&story);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r1 INCRBY likes 3 ID t0: added\n"
                      "-- records: r1 2, r2 2\n"
                      "r1 and all others: days pass\n"
                      "r2 INCRBY likes 1 -> 4\n"
                      "-- records: r1 1, r2 1\n"
                      "-- likes: r1 4, r2 4\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_retry_is_known_where_the_first_was_heard_of_and_after_a_restart),
        cmocka_unit_test(two_sides_of_a_cut_both_add_and_it_counts_once_after_it),
        cmocka_unit_test(a_delete_on_one_side_takes_what_it_saw_and_the_retry_with_it),
        cmocka_unit_test(tokens_are_forgotten_when_their_window_has_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
