// SPDX-License-Identifier: Apache-2.0
// Level-triggered epoll. Timers are an intrusive pairing heap (Fredman, Sedgewick, Sleator, Tarjan
// 1986): setting one allocates nothing and so cannot fail. Posts are a list under a mutex that is
// held for a few instructions; the eventfd is written once per batch of posts.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "os/clock.h"
#include "os/heap_system.h"
#include "os/private.h"

// ---- timers

// Both are roots without siblings; either may be NULL. The result's `back` is the caller's to set.
static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->due_ms < a->due_ms) {
        struct loop_timer *earlier = b;
        b = a;
        a = earlier;
    }
    b->sibling = a->child;
    if (a->child)
        a->child->back = &b->sibling;
    a->child = b;
    b->back = &a->child;
    return a;
}

// Two passes: pairs from the left, then all of them from the right.
static struct loop_timer *meld_siblings(struct loop_timer *first)
{
    struct loop_timer *pairs = NULL;
    while (first) {
        struct loop_timer *a = first, *b = first->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = NULL;
        if (b)
            b->sibling = NULL;
        struct loop_timer *pair = meld(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    struct loop_timer *root = NULL;
    while (pairs) {
        struct loop_timer *next = pairs->sibling;
        pairs->sibling = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void set_root(struct loop *loop, struct loop_timer *root)
{
    loop->timers = root;
    if (root)
        root->back = &loop->timers;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    if (!timer->back)
        return;
    *timer->back = timer->sibling;
    if (timer->sibling)
        timer->sibling->back = timer->back;
    struct loop_timer *rest = meld_siblings(timer->child);
    set_root(loop, meld(loop->timers, rest));
    timer->child = timer->sibling = NULL;
    timer->back = NULL;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ms)
{
    loop_timer_clear(loop, timer);
    timer->due_ms = loop->is_firing && due_ms <= loop->now_ms ? loop->now_ms + 1 : due_ms;
    set_root(loop, meld(loop->timers, timer));
}

static void fire_due(struct loop *loop)
{
    loop->is_firing = true;
    while (loop->timers && loop->timers->due_ms <= loop->now_ms) {
        struct loop_timer *timer = loop->timers;
        loop_timer_clear(loop, timer);
        timer->on_due(timer);
    }
    loop->is_firing = false;
}

// ---- posts

static void wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->wake.fd, &one, sizeof one);
    (void)written; // it can only fail when the count is full, and then the loop wakes anyway
}

static void on_wake(struct watch *watch, uint32_t events)
{
    (void)events;
    uint64_t count;
    ssize_t got = read(watch->fd, &count, sizeof count);
    (void)got;
}

// The eventfd is read in the loop's turn before the posts are taken, so a post made in between
// wakes the loop once too often, never too seldom.
static bool run_posts(struct loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    struct loop_post *post = loop->post_first;
    loop->post_first = NULL;
    loop->post_last = &loop->post_first;
    loop->is_woken = false;
    bool is_stopping = loop->is_stopping;
    loop->is_stopping = false;
    pthread_mutex_unlock(&loop->mutex);
    while (post) {
        struct loop_post *next = post->next;
        post->run(post);
        post = next;
    }
    return is_stopping;
}

static void put_post(struct loop *loop, struct loop_post *post)
{
    pthread_mutex_lock(&loop->mutex);
    if (post) {
        post->next = NULL;
        *loop->post_last = post;
        loop->post_last = &post->next;
    } else {
        loop->is_stopping = true;
    }
    bool is_first = !loop->is_woken;
    loop->is_woken = true;
    pthread_mutex_unlock(&loop->mutex);
    if (is_first)
        wake(loop);
}

void loop_post(struct loop *loop, struct loop_post *post)
{
    put_post(loop, post);
}

void loop_stop(struct loop *loop)
{
    put_post(loop, NULL);
}

// ---- watches

static int control(struct loop *loop, int operation, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) < 0)
        return -errno;
    watch->events = events;
    return 0;
}

int loop_add(struct loop *loop, struct watch *watch, uint32_t events)
{
    return control(loop, EPOLL_CTL_ADD, watch, events);
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
    if (watch->events == events)
        return 0;
    return control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_remove(struct loop *loop, struct watch *watch)
{
    control(loop, EPOLL_CTL_DEL, watch, 0);
    for (int i = loop->event_at; i < loop->events_count; i++) {
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
    }
}

// ---- turns

static int timeout_of(const struct loop *loop)
{
    if (loop->show_first || loop->flush_first)
        return 0;
    if (!loop->timers)
        return -1;
    uint64_t now_ms = clock_monotonic_ms();
    if (loop->timers->due_ms <= now_ms)
        return 0;
    uint64_t wait_ms = loop->timers->due_ms - now_ms;
    return wait_ms > 3600000 ? 3600000 : (int)wait_ms;
}

static int wait_events(struct loop *loop)
{
    int timeout = timeout_of(loop);
    if (timeout && loop->hooks.on_wait)
        loop->hooks.on_wait(loop->hooks.ctx);
    int count = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, timeout);
    int fault = count < 0 && errno != EINTR ? -errno : 0;
    if (timeout && loop->hooks.on_woken)
        loop->hooks.on_woken(loop->hooks.ctx);
    loop->events_count = count < 0 ? 0 : count;
    loop->event_at = 0;
    loop->now_ms = clock_monotonic_ms();
    return fault;
}

static void give_events(struct loop *loop)
{
    while (loop->event_at < loop->events_count) {
        const struct epoll_event *event = &loop->events[loop->event_at++];
        struct watch *watch = event->data.ptr;
        if (watch)
            watch->on_ready(watch, event->events);
    }
}

int loop_run(struct loop *loop)
{
    for (bool is_stopping = false; !is_stopping;) {
        int fault = wait_events(loop);
        if (fault)
            return fault;
        give_events(loop);
        is_stopping = run_posts(loop);
        fire_due(loop);
        stream_show_due(loop);
        if (loop->hooks.on_turn_end)
            loop->hooks.on_turn_end(loop->hooks.ctx);
        stream_flush_due(loop);
    }
    return 0;
}

int loop_new(struct loop **out_loop, const struct loop_hooks *hooks)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;
    int fault = -ENOMEM;
    loop->input = malloc(LOOP_INPUT_BYTES);
    if (!loop->input)
        goto free_loop;
    if (hooks)
        loop->hooks = *hooks;
    loop->post_last = &loop->post_first;
    loop->now_ms = clock_monotonic_ms();
    pthread_mutex_init(&loop->mutex, NULL);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = (struct watch){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .on_ready = on_wake};
    fault = loop->epoll_fd < 0 || loop->wake.fd < 0 ? -errno : 0;
    if (!fault)
        fault = loop_add(loop, &loop->wake, EPOLLIN);
    if (fault)
        goto close_all;
    *out_loop = loop;
    return 0;

close_all:
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    if (loop->wake.fd >= 0)
        close(loop->wake.fd);
    pthread_mutex_destroy(&loop->mutex);
    free(loop->input);
free_loop:
    free(loop);
    return fault;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    farewell_end_all(loop);
    for (unsigned i = 0; i < loop->spares_count; i++)
        buf_deinit(&loop->spares[i]);
    close(loop->epoll_fd);
    close(loop->wake.fd);
    pthread_mutex_destroy(&loop->mutex);
    free(loop->input);
    free(loop);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}
