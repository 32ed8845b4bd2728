// SPDX-License-Identifier: Apache-2.0
// getrusage, /proc/self/statm and the thread's CPU clock.
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "os/usage.h"

static uint64_t resident_bytes(void)
{
    unsigned long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t microseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

struct usage usage_of_process(void)
{
    struct rusage rusage;
    struct usage usage = {.resident_bytes = resident_bytes()};
    if (getrusage(RUSAGE_SELF, &rusage) == 0) {
        usage.user_us = microseconds(rusage.ru_utime);
        usage.system_us = microseconds(rusage.ru_stime);
    }
    return usage;
}

uint64_t usage_of_thread_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}
