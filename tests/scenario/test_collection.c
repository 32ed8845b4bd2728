// SPDX-License-Identifier: Apache-2.0
// What was deleted leaves nothing behind, and nothing of it comes back, whoever is away or joins
// meanwhile.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/lib/story.h"

static void a_deleted_key_leaves_no_record_anywhere(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 3);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 1);
    story_add(&story, 1, LIKES, 2);
    story_gadd(&story, 2, ADA);
    story_pass(&story, 1000);
    story_show_records(&story);
    story_del(&story, 2, LIKES);
    story_del(&story, 0, FANS);
    story_pass(&story, 3000);
    story_show_records(&story);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r3 starts as incarnation 2\n"
                      "r1 INCRBY likes 1 -> 1\n"
                      "r2 INCRBY likes 2 -> 2\n"
                      "r3 GADD fans ada\n"
                      "-- records: r1 3, r2 3, r3 3\n"
                      "r3 DEL likes\n"
                      "r1 DEL fans\n"
                      "-- records: r1 0, r2 0, r3 0\n");
}

static void one_silent_member_stops_collection_and_not_service(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 3);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 1000);
    story_kill(&story, 2);
    story_del(&story, 0, LIKES);
    story_pass(&story, 5000);
    story_show(&story, LIKES);
    story_show_records(&story);
    story_start(&story, 2);
    story_pass(&story, 5000);
    story_show(&story, LIKES);
    story_show_records(&story);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r3 starts as incarnation 2\n"
                      "r1 INCRBY likes 1 -> 1\n"
                      "r3 is killed\n"
                      "r1 DEL likes\n"
                      "-- likes: r1 nothing, r2 nothing, r3 down\n"
                      "-- records: r1 1, r2 1, r3 0\n"
                      "r3 starts as incarnation 2\n"
                      "-- likes: r1 nothing, r2 nothing, r3 nothing\n"
                      "-- records: r1 0, r2 0, r3 0\n");
}

// r4 gets the old value from r1, is cut off, and must not keep it: the delete is collected only
// when r4 has acknowledged it as well.
static void a_member_that_joins_while_a_delete_is_collected_gets_the_delete(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 3);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 7);
    story_pass(&story, 1000);
    story_join(&story, 3);
    story_cut(&story, 3, 1);
    story_cut(&story, 3, 2);
    story_pass(&story, 300);
    story_show(&story, LIKES);
    story_isolate(&story, 3);
    story_del(&story, 1, LIKES);
    story_pass(&story, 6000);
    story_show(&story, LIKES);
    story_show_records(&story);
    story_heal(&story);
    story_pass(&story, 6000);
    story_show(&story, LIKES);
    story_show_records(&story);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r3 starts as incarnation 2\n"
                      "r1 INCRBY likes 7 -> 7\n"
                      "r4 starts as incarnation 3\n"
                      "r4 and r2 cannot reach each other\n"
                      "r4 and r3 cannot reach each other\n"
                      "-- likes: r1 7, r2 7, r3 7, r4 7\n"
                      "r4 cannot reach anybody\n"
                      "r2 DEL likes\n"
                      "r1 link with r4: silent for 5000 ms, closed\n"
                      "r1 link with r4: silent for 5000 ms, closed\n"
                      "r4 link with r1: silent for 5000 ms, closed\n"
                      "r4 link with r1: silent for 5000 ms, closed\n"
                      "-- likes: r1 nothing, r2 nothing, r3 nothing, r4 7\n"
                      "-- records: r1 1, r2 1, r3 1, r4 1\n"
                      "-- the network is whole again\n"
                      "-- likes: r1 nothing, r2 nothing, r3 nothing, r4 nothing\n"
                      "-- records: r1 0, r2 0, r3 0, r4 0\n");
}

// An old message about a key that was collected everywhere: its round is out of turn by then, and
// its cells are known to be gone.
static void a_key_that_was_collected_counts_anew(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 7);
    story_pass(&story, 1000);
    story_del(&story, 1, LIKES);
    story_pass(&story, 3000);
    story_show_records(&story);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 1000);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r1 INCRBY likes 7 -> 7\n"
                      "r2 DEL likes\n"
                      "-- records: r1 0, r2 0\n"
                      "r1 INCRBY likes 1 -> 1\n"
                      "-- likes: r1 1, r2 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deleted_key_leaves_no_record_anywhere),
        cmocka_unit_test(one_silent_member_stops_collection_and_not_service),
        cmocka_unit_test(a_member_that_joins_while_a_delete_is_collected_gets_the_delete),
        cmocka_unit_test(a_key_that_was_collected_counts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
