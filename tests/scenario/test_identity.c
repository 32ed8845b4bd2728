// SPDX-License-Identifier: Apache-2.0
// Who a directory is after a restart, a restore, a copy; and who is not let in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "tests/lib/story.h"

static void a_restart_keeps_the_identity_when_all_have_answered(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 3);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 1);
    story_kill(&story, 0);
    story_pass(&story, 1000);
    story_start(&story, 0);
    story_pass(&story, 1000);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 1000);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r3 starts as incarnation 2\n"
                      "r1 INCRBY likes 1 -> 1\n"
                      "r1 is killed\n"
                      "r1 starts as incarnation 0\n"
                      "r1 INCRBY likes 1 -> 2\n"
                      "-- likes: r1 2, r2 2, r3 2\n");
}

static void a_member_that_is_silent_at_a_start_costs_the_identity(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 3);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 100);
    story_kill(&story, 0);
    story_kill(&story, 2);
    story_start(&story, 0);
    story_pass(&story, 3000);
    story_add(&story, 0, LIKES, 1);
    story_start(&story, 2);
    story_pass(&story, 10000);
    story_show(&story, LIKES);
    story_end(
        &story,
        "r1 starts as incarnation 0\n"
        "r2 starts as incarnation 1\n"
        "r3 starts as incarnation 2\n"
        "r1 INCRBY likes 1 -> 1\n"
        "r1 is killed\n"
        "r3 is killed\n"
        "r1 starts as incarnation 0\n"
        "r1 goes on as incarnation 3\n"
        "r1 r3 did not answer within 2000 ms at this start: going on under a new incarnation\n"
        "r1 r3:1 did not answer within 2000 ms at this start: going on under a new incarnation\n"
        "r1 INCRBY likes 1 -> 2\n"
        "r3 starts as incarnation 2\n"
        "r1 an earlier incarnation of r1 is complete at all members: closed at change 1\n"
        "r2 an earlier incarnation of r1 is complete at all members: closed at change 1\n"
        "r3 an earlier incarnation of r1 is complete at all members: closed at change 1\n"
        "-- likes: r1 2, r2 2, r3 2\n");
}

static void a_restored_disk_renews_the_identity(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 100);
    story_keep_disk(&story, 0);
    story_add(&story, 0, LIKES, 10);
    story_pass(&story, 100);
    story_kill(&story, 0);
    story_restore_disk(&story, 0);
    story_start(&story, 0);
    story_pass(&story, 3000);
    story_add(&story, 0, LIKES, 100);
    story_pass(&story, 3000);
    story_show(&story, LIKES);
    story_end(
        &story,
        "r1 starts as incarnation 0\n"
        "r2 starts as incarnation 1\n"
        "r1 INCRBY likes 1 -> 1\n"
        "r1 is backed up\n"
        "r1 INCRBY likes 10 -> 11\n"
        "r1 is killed\n"
        "r1 finds the backup\n"
        "r1 starts as incarnation 0\n"
        "r1 r2 has seen this directory's incarnation up to 2, here it ends at 1: the directory is "
        "older than its history (restored or cloned); going on under a new incarnation\n"
        "r1 goes on as incarnation 2\n"
        "r2 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
        "r1 an earlier incarnation of r1 is complete at all members: closed at change 2\n"
        "r1 INCRBY likes 100 -> 111\n"
        "-- likes: r1 111, r2 111\n");
}

// The backup is from before the directory knew anybody: its own list of members is empty.
static void a_disk_from_before_the_first_meeting_renews_the_identity_too(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start(&story, 0);
    story_pass(&story, 100);
    story_keep_disk(&story, 0);
    story_start(&story, 1);
    story_pass(&story, 3000);
    story_add(&story, 0, LIKES, 10);
    story_pass(&story, 100);
    story_kill(&story, 0);
    story_restore_disk(&story, 0);
    story_start(&story, 0);
    story_pass(&story, 3000);
    story_add(&story, 0, LIKES, 100);
    story_pass(&story, 3000);
    story_show(&story, LIKES);
    story_end(
        &story,
        "r1 starts as incarnation 0\n"
        "r1 is backed up\n"
        "r2 starts as incarnation 1\n"
        "r1 INCRBY likes 10 -> 10\n"
        "r1 is killed\n"
        "r1 finds the backup\n"
        "r1 starts as incarnation 0\n"
        "r1 r2 has seen this directory's incarnation up to 1, here it ends at 0: the directory is "
        "older than its history (restored or cloned); going on under a new incarnation\n"
        "r1 goes on as incarnation 2\n"
        "r2 an earlier incarnation of r1 is complete at all members: closed at change 1\n"
        "r1 an earlier incarnation of r1 is complete at all members: closed at change 1\n"
        "r1 INCRBY likes 100 -> 110\n"
        "-- likes: r1 110, r2 110\n");
}

// r1 lost 10 with its disk, and nobody had seen it yet: the sequence is used again, for 100. The
// round that carries the 10 is still under way, and must not come in.
static void a_late_round_of_an_earlier_process_is_ignored(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 1000);
    story_keep_disk(&story, 0);
    story_delay(&story, 4000);
    story_add(&story, 0, LIKES, 10);
    story_delay(&story, 0);
    story_power_off(&story, 0);
    story_restore_disk(&story, 0);
    story_start(&story, 0);
    story_pass(&story, 1500);
    story_add(&story, 0, LIKES, 100);
    story_pass(&story, 8000);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r1 INCRBY likes 1 -> 1\n"
                      "r1 is backed up\n"
                      "r1 INCRBY likes 10 -> 11\n"
                      "r1 loses power\n"
                      "r1 finds the backup\n"
                      "r1 starts as incarnation 0\n"
                      "r1 INCRBY likes 100 -> 101\n"
                      "-- likes: r1 101, r2 101\n");
}

static void a_copy_of_a_living_directory_is_refused(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 1000);
    // The third machine gets a copy of the first one's directory, name and all.
    struct sim_node *copy = &story.world->node[2], *first = &story.world->node[0];
    sim_disk_free(copy->disk);
    copy->disk = sim_disk_clone(first->disk);
    copy->durable = first->durable;
    copy->incarnation = first->incarnation;
    memcpy(copy->name, first->name, sizeof copy->name);
    story_say(&story, "a copy of r1 starts at r3:1");
    story_join(&story, 2);
    story_pass(&story, 1000);
    assert_null(copy->replica); // told to stop
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 100);
    copy->is_member = false;
    story_show(&story, LIKES);
    story_end(
        &story,
        "r1 starts as incarnation 0\n"
        "r2 starts as incarnation 1\n"
        "r1 INCRBY likes 1 -> 1\n"
        "-- a copy of r1 starts at r3:1\n"
        "r1 starts as incarnation 0\n"
        "r1 refused a peer that dialed in: this incarnation is alive elsewhere: two processes run "
        "one data directory or a copy of it: r1:1\n"
        "r1 this incarnation is alive elsewhere: two processes run one data directory or a copy of "
        "it; it is alive at r1:1. Stop one of them, or start this one with --new-incarnation\n"
        "r1 refused by r1:1: this incarnation is alive elsewhere: two processes run one data "
        "directory or a copy of it: r1:1\n"
        "r2 refused r1: this incarnation is alive elsewhere: two processes run one data directory "
        "or a copy of it: r1:1\n"
        "r1 refused by r2:1: this incarnation is alive elsewhere: two processes run one data "
        "directory or a copy of it: r1:1\n"
        "r1 is killed\n"
        "r1 INCRBY likes 1 -> 2\n"
        "-- likes: r1 2, r2 2\n");
}

static void a_replica_of_another_cluster_is_refused_by_both_ends(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 2);
    memcpy(story.world->node[1].cluster, "other", 6);
    story_start(&story, 0);
    story_start(&story, 1);
    story_pass(&story, 30);
    story_add(&story, 0, LIKES, 1);
    story_pass(&story, 100);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r2 starts as incarnation 1\n"
                      "r2 refused a peer that dialed in: cluster name differs: r2:1\n"
                      "r1 refused a peer that dialed in: cluster name differs: r1:1\n"
                      "r1 refused by r2:1: cluster name differs: r2:1\n"
                      "r2 refused by r1:1: cluster name differs: r1:1\n"
                      "r1 INCRBY likes 1 -> 1\n"
                      "r2 refused a peer that dialed in: cluster name differs: r2:1\n"
                      "r1 refused a peer that dialed in: cluster name differs: r1:1\n"
                      "r1 refused by r2:1: cluster name differs: r2:1\n"
                      "r2 refused by r1:1: cluster name differs: r1:1\n"
                      "-- likes: r1 1, r2 nothing\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_keeps_the_identity_when_all_have_answered),
        cmocka_unit_test(a_member_that_is_silent_at_a_start_costs_the_identity),
        cmocka_unit_test(a_restored_disk_renews_the_identity),
        cmocka_unit_test(a_disk_from_before_the_first_meeting_renews_the_identity_too),
        cmocka_unit_test(a_late_round_of_an_earlier_process_is_ignored),
        cmocka_unit_test(a_copy_of_a_living_directory_is_refused),
        cmocka_unit_test(a_replica_of_another_cluster_is_refused_by_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
