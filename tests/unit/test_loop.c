// SPDX-License-Identifier: Apache-2.0
// The loop: timers in order, posts from threads, removal within a turn. Every test ends by an event
// of its own; a guard timer fails one that would hang.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/prng.h"
#include "os/loop.h"

#define GUARD_MS 20000

struct guard {
    struct loop_timer timer;
};

static void on_guard(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("nothing happened for %d ms", GUARD_MS);
}

static struct loop *loop_of_test(struct guard *guard, const struct loop_hooks *hooks)
{
    struct loop *loop;
    assert_int_equal(loop_new(&loop, hooks), 0);
    *guard = (struct guard){.timer.on_due = on_guard};
    loop_timer_set(loop, &guard->timer, loop_now_ms(loop) + GUARD_MS);
    return loop;
}

// ---- timers

struct alarm {
    struct loop_timer timer;
    struct alarm_log *log;
    uint64_t expected_ms;
};

struct alarm_log {
    struct loop *loop;
    uint64_t last_ms;
    unsigned fired, expected;
};

static void on_alarm(struct loop_timer *timer)
{
    struct alarm *alarm = (struct alarm *)timer;
    struct alarm_log *log = alarm->log;
    assert_false(loop_timer_is_set(timer));
    assert_true(alarm->expected_ms >= log->last_ms);
    assert_true(loop_now_ms(log->loop) >= alarm->expected_ms);
    log->last_ms = alarm->expected_ms;
    if (++log->fired == log->expected)
        loop_stop(log->loop);
}

static void timers_fire_in_order_whatever_was_set_moved_and_cleared(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct guard guard;
    struct alarm *alarms = calloc(COUNT, sizeof *alarms);
    struct alarm_log log = {.loop = loop_of_test(&guard, NULL)};
    struct prng prng;
    prng_init(&prng, 7);
    uint64_t now_ms = loop_now_ms(log.loop);
    for (unsigned round = 0; round < 3 * COUNT; round++) {
        struct alarm *alarm = &alarms[prng_below(&prng, COUNT)];
        alarm->timer.on_due = on_alarm;
        alarm->log = &log;
        alarm->expected_ms = now_ms + prng_below(&prng, 50);
        if (prng_below(&prng, 4) == 0)
            loop_timer_clear(log.loop, &alarm->timer);
        else
            loop_timer_set(log.loop, &alarm->timer, alarm->expected_ms);
    }
    for (unsigned i = 0; i < COUNT; i++)
        log.expected += loop_timer_is_set(&alarms[i].timer);
    assert_int_equal(loop_run(log.loop), 0);
    assert_int_equal(log.fired, log.expected);
    loop_timer_clear(log.loop, &guard.timer);
    loop_free(log.loop);
    free(alarms);
}

struct again {
    struct loop_timer timer;
    struct loop *loop;
    unsigned left, turns;
};

static void on_again(struct loop_timer *timer)
{
    struct again *again = (struct again *)timer;
    if (--again->left == 0)
        loop_stop(again->loop);
    else
        loop_timer_set(again->loop, timer, 0);
}

static void count_turn(void *ctx)
{
    ((struct again *)ctx)->turns++;
}

static void timer_that_sets_itself_to_the_past_fires_once_a_turn(void **state)
{
    (void)state;
    struct guard guard;
    struct again again = {.timer.on_due = on_again, .left = 5};
    struct loop_hooks hooks = {.on_turn_end = count_turn, .ctx = &again};
    again.loop = loop_of_test(&guard, &hooks);
    loop_timer_set(again.loop, &again.timer, 0);
    assert_int_equal(loop_run(again.loop), 0);
    assert_true(again.turns >= 5);
    loop_free(again.loop);
}

// ---- posts

enum { POSTERS = 4, POSTS = 5000 };

struct numbered {
    struct loop_post post;
    struct tally *tally;
    unsigned poster, number;
};

struct tally {
    struct loop *loop;
    unsigned next[POSTERS];
    unsigned total;
};

struct poster {
    pthread_t thread;
    struct loop *loop;
    struct numbered *posts;
};

static void on_post(struct loop_post *post)
{
    struct numbered *numbered = (struct numbered *)post;
    struct tally *tally = numbered->tally;
    assert_int_equal(numbered->number, tally->next[numbered->poster]++);
    if (++tally->total == POSTERS * POSTS)
        loop_stop(tally->loop);
}

static void *post_all(void *ctx)
{
    struct poster *poster = ctx;
    for (unsigned i = 0; i < POSTS; i++)
        loop_post(poster->loop, &poster->posts[i].post);
    return NULL;
}

static void posts_of_each_thread_run_in_their_order(void **state)
{
    (void)state;
    struct guard guard;
    struct tally tally = {.loop = loop_of_test(&guard, NULL)};
    struct poster posters[POSTERS];
    for (unsigned p = 0; p < POSTERS; p++) {
        struct numbered *posts = calloc(POSTS, sizeof *posts);
        for (unsigned i = 0; i < POSTS; i++)
            posts[i] = (struct numbered){{NULL, on_post}, &tally, p, i};
        posters[p] = (struct poster){.loop = tally.loop, .posts = posts};
        pthread_create(&posters[p].thread, NULL, post_all, &posters[p]);
    }
    assert_int_equal(loop_run(tally.loop), 0);
    for (unsigned p = 0; p < POSTERS; p++) {
        pthread_join(posters[p].thread, NULL);
        free(posters[p].posts);
    }
    loop_free(tally.loop);
}

struct chain {
    struct loop_post post;
    struct loop *loop;
    unsigned left;
};

static void on_chain(struct loop_post *post)
{
    struct chain *chain = (struct chain *)post;
    if (--chain->left == 0)
        loop_stop(chain->loop);
    else
        loop_post(chain->loop, post);
}

static void post_may_post_itself_again(void **state)
{
    (void)state;
    struct guard guard;
    struct chain chain = {.post.run = on_chain, .loop = loop_of_test(&guard, NULL), .left = 100};
    loop_post(chain.loop, &chain.post);
    assert_int_equal(loop_run(chain.loop), 0);
    assert_int_equal(chain.left, 0);
    loop_free(chain.loop);
}

// ---- watches

struct pair;
struct bell {
    struct watch watch;
    struct pair *pair;
};

struct pair {
    struct loop *loop;
    struct bell *bells[2];
    unsigned rung;
};

static void silence(struct pair *pair, unsigned index)
{
    loop_remove(pair->loop, &pair->bells[index]->watch);
    close(pair->bells[index]->watch.fd);
    free(pair->bells[index]);
    pair->bells[index] = NULL;
}

static void on_bell(struct watch *watch, uint32_t events)
{
    (void)events;
    struct pair *pair = ((struct bell *)watch)->pair;
    pair->rung++;
    silence(pair, 0);
    silence(pair, 1);
    loop_stop(pair->loop);
}

static void removed_watch_is_forgotten_in_the_same_turn(void **state)
{
    (void)state;
    struct guard guard;
    struct pair pair = {.loop = loop_of_test(&guard, NULL)};
    for (unsigned i = 0; i < 2; i++) {
        pair.bells[i] = calloc(1, sizeof *pair.bells[i]);
        *pair.bells[i] = (struct bell){
            .watch = {.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), .on_ready = on_bell},
            .pair = &pair};
        assert_int_equal(loop_add(pair.loop, &pair.bells[i]->watch, EPOLLIN), 0);
    }
    assert_int_equal(loop_run(pair.loop), 0);
    assert_int_equal(pair.rung, 1);
    loop_free(pair.loop);
}

struct hook_log {
    unsigned waits, wakes;
};

static void on_wait(void *ctx)
{
    struct hook_log *log = ctx;
    assert_int_equal(log->waits++, log->wakes);
}

static void on_woken(void *ctx)
{
    struct hook_log *log = ctx;
    assert_int_equal(++log->wakes, log->waits);
}

static void hooks_surround_each_wait(void **state)
{
    (void)state;
    struct guard guard;
    struct hook_log hook_log = {0};
    struct loop_hooks hooks = {.on_wait = on_wait, .on_woken = on_woken, .ctx = &hook_log};
    struct alarm_log log = {.loop = loop_of_test(&guard, &hooks), .expected = 1};
    struct alarm alarm = {.timer.on_due = on_alarm, .log = &log};
    alarm.expected_ms = loop_now_ms(log.loop) + 3;
    loop_timer_set(log.loop, &alarm.timer, alarm.expected_ms);
    assert_int_equal(loop_run(log.loop), 0);
    assert_true(hook_log.waits >= 1);
    assert_int_equal(hook_log.waits, hook_log.wakes);
    loop_free(log.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_whatever_was_set_moved_and_cleared),
        cmocka_unit_test(timer_that_sets_itself_to_the_past_fires_once_a_turn),
        cmocka_unit_test(posts_of_each_thread_run_in_their_order),
        cmocka_unit_test(post_may_post_itself_again),
        cmocka_unit_test(removed_watch_is_forgotten_in_the_same_turn),
        cmocka_unit_test(hooks_surround_each_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
