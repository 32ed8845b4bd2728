// SPDX-License-Identifier: Apache-2.0
// Directories that are older than what the others have deleted and dropped: a backup is found
// again, and what was deleted meanwhile must not come back with it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/lib/story.h"

// r1 is backed up with 7 likes and 5 views; then the likes are deleted, and no trace is left.
static void begin(struct story *story, unsigned nodes)
{
    story_begin(story, nodes);
    story_start_all(story);
    story_add(story, 0, LIKES, 7);
    story_add(story, 0, VIEWS, 5);
    story_pass(story, 1000);
    story_keep_disk(story, 0);
    story_del(story, 1, LIKES);
    story_pass(story, 3000);
    story_show_records(story);
    story_kill(story, 0);
    story_restore_disk(story, 0);
}

static void what_was_deleted_does_not_come_back_with_a_backup(void **state)
{
    (void)state;
    struct story story;
    begin(&story, 2);
    story_start(&story, 0);
    story_pass(&story, 3000);
    story_show(&story, LIKES);
    story_show(&story, VIEWS);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 3000);
    story_show(&story, LIKES);
    story_show_records(&story);
    story_end(&story,
              "r1 starts as incarnation 0\n"
              "r2 starts as incarnation 1\n"
              "r1 INCRBY likes 7 -> 7\n"
              "r1 INCRBY views 5 -> 5\n"
              "r1 is backed up\n"
              "r2 DEL likes\n"
              "-- records: r1 1, r2 1\n"
              "r1 is killed\n"
              "r1 finds the backup\n"
              "r1 starts as incarnation 0\n"
              "r1 goes on as incarnation 2\n"
              "r1 the directory is older than what r2 has deleted since (restored or cloned); what "
              "all members have is fetched anew, under a new incarnation\n"
              "r1 forgets what the others have\n"
              "r2 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
              "r1 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
              "-- likes: r1 nothing, r2 nothing\n"
              "-- views: r1 5, r2 5\n"
              "r1 INCRBY likes 1 -> 1\n"
              "-- likes: r1 1, r2 1\n"
              "-- records: r1 2, r2 2\n");
}

// The replica serves from the backup while it can reach nobody, as any that is cut off does. What
// it counts then is not lost when the backup turns out to be old.
static void what_was_counted_on_an_old_directory_stays(void **state)
{
    (void)state;
    struct story story;
    begin(&story, 2);
    story_isolate(&story, 0);
    story_start(&story, 0);
    story_pass(&story, 3000);
    story_add(&story, 0, LIKES, 1);
    story_add(&story, 0, VIEWS, 10);
    story_show(&story, LIKES);
    story_heal(&story);
    story_pass(&story, 5000);
    story_show(&story, LIKES);
    story_show(&story, VIEWS);
    story_end(
        &story,
        "r1 starts as incarnation 0\n"
        "r2 starts as incarnation 1\n"
        "r1 INCRBY likes 7 -> 7\n"
        "r1 INCRBY views 5 -> 5\n"
        "r1 is backed up\n"
        "r2 DEL likes\n"
        "-- records: r1 1, r2 1\n"
        "r1 is killed\n"
        "r1 finds the backup\n"
        "r1 cannot reach anybody\n"
        "r1 starts as incarnation 0\n"
        "r1 goes on as incarnation 2\n"
        "r1 r2 did not answer within 2000 ms at this start: going on under a new incarnation\n"
        "r1 r2:1 did not answer within 2000 ms at this start: going on under a new incarnation\n"
        "r1 INCRBY likes 1 -> 8\n"
        "r1 INCRBY views 10 -> 15\n"
        "-- likes: r1 8, r2 nothing\n"
        "-- the network is whole again\n"
        "r1 goes on as incarnation 3\n"
        "r1 the directory is older than what r2 has deleted since (restored or cloned); what all "
        "members have is fetched anew, under a new incarnation\n"
        "r1 forgets what the others have\n"
        "r1 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
        "r1 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
        "r2 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
        "r2 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
        "-- likes: r1 1, r2 1\n"
        "-- views: r1 15, r2 15\n");
}

// r2 knows what it has dropped from its disk: who speaks to it after a restart hears of it too.
static void who_has_dropped_something_knows_it_after_a_restart(void **state)
{
    (void)state;
    struct story story;
    begin(&story, 2);
    story_kill(&story, 1);
    story_start(&story, 0);
    story_start(&story, 1);
    story_pass(&story, 5000);
    story_show(&story, LIKES);
    story_show(&story, VIEWS);
    story_end(&story,
              "r1 starts as incarnation 0\n"
              "r2 starts as incarnation 1\n"
              "r1 INCRBY likes 7 -> 7\n"
              "r1 INCRBY views 5 -> 5\n"
              "r1 is backed up\n"
              "r2 DEL likes\n"
              "-- records: r1 1, r2 1\n"
              "r1 is killed\n"
              "r1 finds the backup\n"
              "r2 is killed\n"
              "r1 starts as incarnation 0\n"
              "r2 starts as incarnation 1\n"
              "r1 goes on as incarnation 2\n"
              "r1 the directory is older than what r2 has deleted since (restored or cloned); what "
              "all members have is fetched anew, under a new incarnation\n"
              "r1 forgets what the others have\n"
              "r2 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
              "r1 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
              "-- likes: r1 nothing, r2 nothing\n"
              "-- views: r1 5, r2 5\n");
}

// What is forgotten is forgotten on the disk as well.
static void a_replica_that_began_anew_may_crash(void **state)
{
    (void)state;
    struct story story;
    begin(&story, 2);
    story_start(&story, 0);
    story_pass(&story, 300);
    story_power_off(&story, 0);
    story_start(&story, 0);
    story_show(&story, LIKES);
    story_pass(&story, 5000);
    story_show(&story, LIKES);
    story_show(&story, VIEWS);
    story_end(&story,
              "r1 starts as incarnation 0\n"
              "r2 starts as incarnation 1\n"
              "r1 INCRBY likes 7 -> 7\n"
              "r1 INCRBY views 5 -> 5\n"
              "r1 is backed up\n"
              "r2 DEL likes\n"
              "-- records: r1 1, r2 1\n"
              "r1 is killed\n"
              "r1 finds the backup\n"
              "r1 starts as incarnation 0\n"
              "r1 goes on as incarnation 2\n"
              "r1 the directory is older than what r2 has deleted since (restored or cloned); what "
              "all members have is fetched anew, under a new incarnation\n"
              "r1 forgets what the others have\n"
              "r2 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
              "r1 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
              "r1 loses power\n"
              "r1 starts as incarnation 2\n"
              "-- likes: r1 nothing, r2 nothing\n"
              "-- likes: r1 nothing, r2 nothing\n"
              "-- views: r1 5, r2 5\n");
}

// r1 and r3 are backed up with 5 views; then the views are deleted, and both lose what came since.
static void begin_with_two(struct story *story)
{
    story_begin(story, 3);
    story_start_all(story);
    story_add(story, 0, VIEWS, 5);
    story_pass(story, 1000);
    story_keep_disk(story, 0);
    story_keep_disk(story, 2);
    story_del(story, 1, VIEWS);
    story_add(story, 1, STOCK, 3);
    story_pass(story, 3000);
    story_kill(story, 0);
    story_kill(story, 2);
    story_restore_disk(story, 0);
    story_restore_disk(story, 2);
}

// r1 has forgotten and is not filled yet when the only one who could fill it is gone. With r3 it
// has what the backups hold together, until somebody better is there.
static void two_old_directories_help_each_other(void **state)
{
    (void)state;
    struct story story;
    begin_with_two(&story);
    story_start(&story, 0);
    story_pass(&story, 40);
    story_kill(&story, 1);
    story_start(&story, 2);
    story_pass(&story, 5000);
    story_show(&story, STOCK);
    story_show(&story, VIEWS);
    story_start(&story, 1);
    story_pass(&story, 8000);
    story_show(&story, STOCK);
    story_show(&story, VIEWS);
    story_end(
        &story,
        "r1 starts as incarnation 0\n"
        "r2 starts as incarnation 1\n"
        "r3 starts as incarnation 2\n"
        "r1 INCRBY views 5 -> 5\n"
        "r1 is backed up\n"
        "r3 is backed up\n"
        "r2 DEL views\n"
        "r2 INCRBY stock 3 -> 3\n"
        "r1 is killed\n"
        "r3 is killed\n"
        "r1 finds the backup\n"
        "r3 finds the backup\n"
        "r1 starts as incarnation 0\n"
        "r1 goes on as incarnation 3\n"
        "r1 the directory is older than what r2 has deleted since (restored or cloned); what all "
        "members have is fetched anew, under a new incarnation\n"
        "r1 forgets what the others have\n"
        "r2 is killed\n"
        "r3 starts as incarnation 2\n"
        "r3 goes on as incarnation 4\n"
        "r3 r2 did not answer within 2000 ms at this start: going on under a new incarnation\n"
        "r3 r2:1 did not answer within 2000 ms at this start: going on under a new incarnation\n"
        "-- stock: r1 nothing, r2 down, r3 nothing\n"
        "-- views: r1 5, r2 down, r3 5\n"
        "r2 starts as incarnation 1\n"
        "r1 goes on as incarnation 5\n"
        "r1 the directory is older than what r2 has deleted since (restored or cloned); what all "
        "members have is fetched anew, under a new incarnation\n"
        "r3 goes on as incarnation 6\n"
        "r3 the directory is older than what r2 has deleted since (restored or cloned); what all "
        "members have is fetched anew, under a new incarnation\n"
        "r1 forgets what the others have\n"
        "r3 forgets what the others have\n"
        "r3 an earlier incarnation of r3 is complete at all members: closed at change 0\n"
        "r3 an earlier incarnation of r3 is complete at all members: closed at change 0\n"
        "r3 an earlier incarnation of r1 is complete at all members: closed at change 0\n"
        "r3 an earlier incarnation of r1 is complete at all members: closed at change 1\n"
        "r1 an earlier incarnation of r1 is complete at all members: closed at change 0\n"
        "r1 an earlier incarnation of r3 is complete at all members: closed at change 0\n"
        "r1 an earlier incarnation of r1 is complete at all members: closed at change 1\n"
        "r1 an earlier incarnation of r3 is complete at all members: closed at change 0\n"
        "r2 an earlier incarnation of r3 is complete at all members: closed at change 0\n"
        "r2 an earlier incarnation of r1 is complete at all members: closed at change 0\n"
        "r2 an earlier incarnation of r3 is complete at all members: closed at change 0\n"
        "r2 an earlier incarnation of r1 is complete at all members: closed at change 1\n"
        "-- stock: r1 3, r2 3, r3 3\n"
        "-- views: r1 nothing, r2 nothing, r3 nothing\n");
}

// Who joins is told what had been dropped before it takes anything: it is never taken for old.
static void who_joins_is_not_taken_for_old(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 3);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 7);
    story_add(&story, 0, VIEWS, 5);
    story_pass(&story, 1000);
    story_del(&story, 1, LIKES);
    story_pass(&story, 3000);
    story_join(&story, 3);
    story_cut(&story, 3, 1);
    story_cut(&story, 3, 2);
    story_add(&story, 3, VIEWS, 1);
    story_pass(&story, 300);
    story_isolate(&story, 3);
    story_pass(&story, 6000);
    story_heal(&story);
    story_pass(&story, 6000);
    story_show(&story, VIEWS);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r3 starts as incarnation 2\n"
                      "r1 INCRBY likes 7 -> 7\n"
                      "r1 INCRBY views 5 -> 5\n"
                      "r2 DEL likes\n"
                      "r4 starts as incarnation 3\n"
                      "r4 and r2 cannot reach each other\n"
                      "r4 and r3 cannot reach each other\n"
                      "r4 INCRBY views 1 -> 1\n"
                      "r4 cannot reach anybody\n"
                      "r1 link with r4: silent for 5000 ms, closed\n"
                      "r1 link with r4: silent for 5000 ms, closed\n"
                      "r4 link with r1: silent for 5000 ms, closed\n"
                      "r4 link with r1: silent for 5000 ms, closed\n"
                      "-- the network is whole again\n"
                      "-- views: r1 6, r2 6, r3 6, r4 6\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_deleted_does_not_come_back_with_a_backup),
        cmocka_unit_test(what_was_counted_on_an_old_directory_stays),
        cmocka_unit_test(who_has_dropped_something_knows_it_after_a_restart),
        cmocka_unit_test(a_replica_that_began_anew_may_crash),
        cmocka_unit_test(two_old_directories_help_each_other),
        cmocka_unit_test(who_joins_is_not_taken_for_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
