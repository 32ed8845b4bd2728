// SPDX-License-Identifier: Apache-2.0
// clock_gettime and getrandom. The monotonic clock is CLOCK_BOOTTIME's cheaper sister on purpose:
// leases measured across a suspended machine are renewed by their owners anyway.
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include "os/clock.h"

static uint64_t read_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000;
}

uint64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

uint64_t clock_wall_us(void)
{
    return read_ns(CLOCK_REALTIME) / 1000;
}

uint64_t clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

void random_bytes(void *to, size_t len)
{
    uint8_t *at = to;
    while (len) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) // identities made without chance would collide silently
            abort();
        at += got;
        len -= (size_t)got;
    }
}
