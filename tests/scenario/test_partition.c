// SPDX-License-Identifier: Apache-2.0
// Cuts and what heals after them: values, resets, members.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/lib/story.h"

static void two_sides_of_a_cut_count_on_and_add_up_after_it(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 3);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 5);
    story_pass(&story, 100);
    story_show(&story, LIKES);
    story_isolate(&story, 0);
    story_add(&story, 0, LIKES, 10);
    story_add(&story, 1, LIKES, 100);
    story_add(&story, 2, LIKES, -1);
    story_pass(&story, 8000);
    story_show(&story, LIKES);
    story_heal(&story);
    story_pass(&story, 4000);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r3 starts as incarnation 2\n"
                      "r1 INCRBY likes 5 -> 5\n"
                      "-- likes: r1 5, r2 5, r3 5\n"
                      "r1 cannot reach anybody\n"
                      "r1 INCRBY likes 10 -> 15\n"
                      "r2 INCRBY likes 100 -> 105\n"
                      "r3 INCRBY likes -1 -> 4\n"
                      "r1 link with r2: silent for 5000 ms, closed\n"
                      "r1 link with r3: silent for 5000 ms, closed\n"
                      "r1 link with r2: silent for 5000 ms, closed\n"
                      "r1 link with r3: silent for 5000 ms, closed\n"
                      "r2 link with r1: silent for 5000 ms, closed\n"
                      "r2 link with r1: silent for 5000 ms, closed\n"
                      "r3 link with r1: silent for 5000 ms, closed\n"
                      "r3 link with r1: silent for 5000 ms, closed\n"
                      "-- likes: r1 15, r2 104, r3 104\n"
                      "-- the network is whole again\n"
                      "-- likes: r1 114, r2 114, r3 114\n");
}

static void an_increment_that_a_delete_had_not_seen_survives_it(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 7);
    story_add(&story, 1, LIKES, 4);
    story_pass(&story, 100);
    story_cut(&story, 0, 1);
    story_add(&story, 1, LIKES, 3);
    story_del(&story, 0, LIKES);
    story_show(&story, LIKES);
    story_heal(&story);
    story_pass(&story, 4000);
    story_show(&story, LIKES);
    story_del(&story, 1, LIKES);
    story_pass(&story, 100);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r1 INCRBY likes 7 -> 7\n"
                      "r2 INCRBY likes 4 -> 4\n"
                      "r1 and r2 cannot reach each other\n"
                      "r2 INCRBY likes 3 -> 14\n"
                      "r1 DEL likes\n"
                      "-- likes: r1 nothing, r2 14\n"
                      "-- the network is whole again\n"
                      "-- likes: r1 3, r2 3\n"
                      "r2 DEL likes\n"
                      "-- likes: r1 nothing, r2 nothing\n");
}

static void the_later_of_two_concurrent_sets_is_shown_and_increments_add_to_it(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_add(&story, 0, STOCK, 1);
    story_pass(&story, 100);
    story_cut(&story, 0, 1);
    story_set(&story, 0, STOCK, 50);
    story_pass(&story, 10);
    story_set(&story, 1, STOCK, 80);
    story_add(&story, 0, STOCK, -3);
    story_show(&story, STOCK);
    story_heal(&story);
    story_pass(&story, 4000);
    story_show(&story, STOCK);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r1 INCRBY stock 1 -> 1\n"
                      "r1 and r2 cannot reach each other\n"
                      "r1 SET stock 50\n"
                      "r2 SET stock 80\n"
                      "r1 INCRBY stock -3 -> 47\n"
                      "-- stock: r1 47, r2 80\n"
                      "-- the network is whole again\n"
                      "-- stock: r1 77, r2 77\n");
}

static void a_member_added_during_a_cut_survives_the_delete_of_the_set(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_gadd(&story, 0, ADA);
    story_pass(&story, 100);
    story_cut(&story, 0, 1);
    story_gadd(&story, 1, BOB);
    story_del(&story, 0, FANS);
    story_heal(&story);
    story_pass(&story, 4000);
    story_show(&story, FANS);
    story_show(&story, ADA);
    story_show(&story, BOB);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r1 GADD fans ada\n"
                      "r1 and r2 cannot reach each other\n"
                      "r2 GADD fans bob\n"
                      "r1 DEL fans\n"
                      "-- the network is whole again\n"
                      "-- fans: r1 1, r2 1\n"
                      "-- ada: r1 nothing, r2 nothing\n"
                      "-- bob: r1 1, r2 1\n");
}

static void a_member_that_came_and_went_does_not_stop_what_flows_among_the_others(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_delay(&story, 50); // it is gone before it could say whom it knows
    story_join(&story, 2);
    story_pass(&story, 60);
    story_kill(&story, 2);
    story_delay(&story, 1);
    story_pass(&story, 3000);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 3000);
    story.world->node[2].is_member = false;
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r3 starts as incarnation 2\n"
                      "r3 is killed\n"
                      "r1 INCRBY likes 1 -> 1\n"
                      "-- likes: r1 1, r2 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_sides_of_a_cut_count_on_and_add_up_after_it),
        cmocka_unit_test(an_increment_that_a_delete_had_not_seen_survives_it),
        cmocka_unit_test(the_later_of_two_concurrent_sets_is_shown_and_increments_add_to_it),
        cmocka_unit_test(a_member_that_came_and_went_does_not_stop_what_flows_among_the_others),
        cmocka_unit_test(a_member_added_during_a_cut_survives_the_delete_of_the_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
