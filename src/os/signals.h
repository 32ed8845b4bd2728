// SPDX-License-Identifier: Apache-2.0
// Signals as events of a loop: SIGTERM, SIGINT, SIGHUP (stop, in order) and SIGCHLD (a child
// changed). SIGPIPE is ignored for the process.
#pragma once
#include "os/loop.h"

struct signals { // embedded in its owner; zero it, then set on_signal
    struct watch watch;
    struct loop *loop;
    void (*on_signal)(struct signals *signals, int number);
};

// Blocks the signals for the calling thread and those it starts from then on: call it first. 0 or
// -errno.
int signals_start(struct signals *signals, struct loop *loop);
// The signals stay blocked.
void signals_stop(struct signals *signals);
