// SPDX-License-Identifier: Apache-2.0
// What happens within and between commits: bugs that the simulator found, kept as stories.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/lib/story.h"

struct requests {
    struct story *story;
    bool adds_after;
};

static void add(struct story *story, int64_t amount)
{
    struct replica *replica = story->world->node[0].replica;
    int64_t value;
    bool is_first;
    assert_int_equal(keyspace_add(replica_keyspace(replica), workload_record(replica, LIKES),
                                  amount, &value, &is_first),
                     0);
}

// A worker adds, the key is deleted, and perhaps the worker adds once more, all after the drain of
// one commit.
static void add_and_delete(void *ctx, struct replica *replica)
{
    struct requests *requests = ctx;
    bool was_live;
    add(requests->story, 5);
    assert_int_equal(replica_delete(replica, workload_address(LIKES).key, &was_live), 0);
    assert_true(was_live);
    if (requests->adds_after)
        add(requests->story, 2);
}

static void commit(struct story *story, bool adds_after)
{
    struct requests requests = {story, adds_after};
    struct commit_input input = {
        .now_ms = story->world->now_ms, .wall_ms = 1, .requests = add_and_delete, .ctx = &requests};
    struct replica *replica = story->world->node[0].replica;
    assert_int_equal(replica_commit_apply(replica, &input), 0);
    assert_int_equal(replica_commit_sync(replica), 0);
    input.requests = NULL;
    assert_int_equal(replica_commit_apply(replica, &input), 0);
    assert_int_equal(replica_commit_sync(replica), 0);
}

static void an_add_and_a_delete_in_one_commit_leave_nothing(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 1);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 1);
    commit(&story, false);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r1 INCRBY likes 1 -> 1\n"
                      "-- likes: r1 nothing\n");
}

static void an_add_after_the_delete_of_its_commit_counts_from_zero(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 1);
    story_start_all(&story);
    story_add(&story, 0, LIKES, 1);
    commit(&story, true);
    story_show(&story, LIKES);
    story_end(&story, "r1 starts as incarnation 0\n"
                      "r1 INCRBY likes 1 -> 1\n"
                      "-- likes: r1 2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_add_and_a_delete_in_one_commit_leave_nothing),
        cmocka_unit_test(an_add_after_the_delete_of_its_commit_counts_from_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
