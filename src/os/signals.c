// SPDX-License-Identifier: Apache-2.0
// signalfd: no code runs in a signal's context.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "os/signals.h"

static void on_ready(struct watch *watch, uint32_t events)
{
    struct signals *signals = (struct signals *)watch;
    (void)events;
    struct signalfd_siginfo info;
    while (watch->fd >= 0 && read(watch->fd, &info, sizeof info) == sizeof info)
        signals->on_signal(signals, (int)info.ssi_signo);
}

int signals_start(struct signals *signals, struct loop *loop)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    int fault = -pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (fault)
        return fault;
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    signals->loop = loop;
    signals->watch = (struct watch){.fd = fd, .on_ready = on_ready};
    fault = loop_add(loop, &signals->watch, EPOLLIN);
    if (fault) {
        close(fd);
        signals->watch.fd = -1;
    }
    return fault;
}

void signals_stop(struct signals *signals)
{
    if (!signals->loop || signals->watch.fd < 0)
        return;
    loop_remove(signals->loop, &signals->watch);
    close(signals->watch.fd);
    signals->watch.fd = -1;
}
