// SPDX-License-Identifier: Apache-2.0
// An epoll loop: file descriptors, timers, and functions posted from other threads. One thread runs
// a loop; everything but loop_post and loop_stop belongs to that thread.
//
// Life: new -> add watches, set timers -> run (until loop_stop) -> free.
//
// A turn: wait; ready descriptors; posts, in order; due timers; input that streams had left over;
// on_turn_end; then the output that streams collected leaves. What those last two cause is done in
// the next turn, which then does not wait.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

struct watch { // embedded in its owner; zero it, then set fd and on_ready
    int fd;
    uint32_t events; // what epoll is asked for now; the loop's
    void (*on_ready)(struct watch *watch, uint32_t events);
};

struct loop_timer { // embedded in its owner; zero it, then set on_due
    uint64_t due_ms;
    struct loop_timer *child, *sibling; // the loop's
    struct loop_timer **back;           // what points here; NULL: not set
    void (*on_due)(struct loop_timer *timer);
};

struct loop_hooks {                 // each may be NULL
    void (*on_turn_end)(void *ctx); // every event of a turn has been given out
    void (*on_wait)(void *ctx);     // about to block
    void (*on_woken)(void *ctx);    // after it
    void *ctx;
};

// hooks may be NULL. 0 or -errno.
int loop_new(struct loop **out_loop, const struct loop_hooks *hooks);
void loop_free(struct loop *loop);
// Until loop_stop, at the end of that turn; 0 or -errno. May be run again.
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop); // any thread

int loop_add(struct loop *loop, struct watch *watch, uint32_t events); // EPOLLIN, EPOLLOUT, EPOLLET
int loop_change(struct loop *loop, struct watch *watch, uint32_t events);
// Also forgets what this turn had still to give to it, so the owner may be freed at once. Does not
// close the fd.
void loop_remove(struct loop *loop, struct watch *watch);

// Sets or moves. A due time in the past fires in this turn or the next; one set by a timer that
// fires now, in the next millisecond.
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ms);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);
static inline bool loop_timer_is_set(const struct loop_timer *timer)
{
    return timer->back != NULL;
}
uint64_t loop_now_ms(const struct loop *loop); // monotonic, read once a turn

// Runs `post->run(post)` on the loop's thread, in order of posting. The post is the loop's until it
// runs, then the caller's again (run may free or post it). Posts not run when the loop is freed are
// forgotten.
struct loop_post {
    struct loop_post *next;
    void (*run)(struct loop_post *post);
};
void loop_post(struct loop *loop, struct loop_post *post); // any thread
