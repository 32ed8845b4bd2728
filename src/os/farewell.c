// SPDX-License-Identifier: Apache-2.0
// Closing a TCP connection whose other end may still be sending: a plain close() would answer what
// arrives later with a reset, and that may destroy answers the other end has not read yet (RFC 9112
// section 9.6). So the write side is shut, and what arrives is dropped until the other end closes
// too, for a bounded time and a bounded number of connections.
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/owner.h"
#include "os/private.h"

#define FAREWELL_MS    2000
#define FAREWELL_READS 4 // a turn

struct farewell {
    struct watch watch;
    struct loop_timer timer;
    struct loop *loop;
    struct farewell *next;
    struct farewell **back;
};

static void end(struct farewell *farewell)
{
    struct loop *loop = farewell->loop;
    loop_timer_clear(loop, &farewell->timer);
    loop_remove(loop, &farewell->watch);
    close(farewell->watch.fd);
    *farewell->back = farewell->next;
    if (farewell->next)
        farewell->next->back = farewell->back;
    loop->farewells_count--;
    free(farewell);
}

static void on_due(struct loop_timer *timer)
{
    end(owner_of(timer, struct farewell, timer));
}

static void on_ready(struct watch *watch, uint32_t events)
{
    struct farewell *farewell = (struct farewell *)watch;
    (void)events;
    for (unsigned i = 0; i < FAREWELL_READS; i++) {
        ssize_t got = recv(watch->fd, farewell->loop->input, LOOP_INPUT_BYTES, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            end(farewell);
            return;
        }
    }
}

void farewell_start(struct loop *loop, int fd)
{
    struct farewell *farewell = NULL;
    if (shutdown(fd, SHUT_WR) == 0 && loop->farewells_count < LOOP_FAREWELLS_MAX)
        farewell = calloc(1, sizeof *farewell);
    if (!farewell) {
        close(fd);
        return;
    }
    *farewell = (struct farewell){.watch = {.fd = fd, .on_ready = on_ready},
                                  .timer = {.on_due = on_due},
                                  .loop = loop,
                                  .next = loop->farewell_first,
                                  .back = &loop->farewell_first};
    if (farewell->next)
        farewell->next->back = &farewell->next;
    loop->farewell_first = farewell;
    loop->farewells_count++;
    if (loop_add(loop, &farewell->watch, EPOLLIN | EPOLLRDHUP))
        end(farewell);
    else
        loop_timer_set(loop, &farewell->timer, loop->now_ms + FAREWELL_MS);
}

void farewell_end_all(struct loop *loop)
{
    while (loop->farewell_first)
        end(loop->farewell_first);
}
