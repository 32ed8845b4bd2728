// SPDX-License-Identifier: Apache-2.0
// Accepting on a loop. Level-triggered: what a turn leaves waits for the next one, so connections
// that come in numbers do not starve those that are there.
#include <errno.h>
#include <unistd.h>
#include "base/owner.h"
#include "os/tcp.h"

#define ACCEPTS_A_TURN   64
#define LISTENER_HOLD_MS 50

static void on_retry(struct loop_timer *timer)
{
    struct listener *listener = owner_of(timer, struct listener, retry);
    loop_change(listener->loop, &listener->watch, EPOLLIN);
}

static void on_ready(struct watch *watch, uint32_t events)
{
    struct listener *listener = (struct listener *)watch;
    (void)events;
    for (unsigned i = 0; i < ACCEPTS_A_TURN && watch->fd >= 0; i++) {
        int fd = tcp_accept(watch->fd);
        if (fd == -EAGAIN)
            return;
        if (fd < 0) { // no descriptor, no memory: it will pass, or it will not
            loop_change(listener->loop, watch, 0);
            loop_timer_set(listener->loop, &listener->retry,
                           loop_now_ms(listener->loop) + LISTENER_HOLD_MS);
            return;
        }
        listener->on_accepted(listener, fd);
    }
}

int listener_start(struct listener *listener, struct loop *loop, const struct endpoint *endpoint)
{
    int fd = listener->is_again ? tcp_listen_again(endpoint) : tcp_listen(endpoint);
    listener->loop = loop;
    listener->watch = (struct watch){.fd = fd, .on_ready = on_ready};
    listener->retry = (struct loop_timer){.on_due = on_retry};
    if (fd < 0)
        return fd;
    int fault = loop_add(loop, &listener->watch, EPOLLIN);
    if (fault)
        listener_stop(listener);
    return fault;
}

void listener_stop(struct listener *listener)
{
    if (!listener->loop || listener->watch.fd < 0)
        return;
    loop_timer_clear(listener->loop, &listener->retry);
    loop_remove(listener->loop, &listener->watch);
    close(listener->watch.fd);
    listener->watch.fd = -1;
}
