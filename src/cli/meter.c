// SPDX-License-Identifier: Apache-2.0
// Reads the process CPU clock (clock_getcpuclockid) rather than /proc/PID/stat, whose tick of 10 ms
// is too coarse for a one-second sample. The machine's busy time can only be had from /proc/stat.
#include "cli/meter.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec at;
    if (clock_gettime(clock, &at))
        return 0;
    return (uint64_t)at.tv_sec * NS_PER_S + (uint64_t)at.tv_nsec;
}

// user nice system, then irq softirq steal: all but idle and waiting for a disk.
static uint64_t machine_busy_ns(void)
{
    FILE *stat = fopen("/proc/stat", "re");
    if (!stat)
        return 0;
    unsigned long long user = 0, nice = 0, kernel = 0, irq = 0, softirq = 0, steal = 0;
    int fields = fscanf(stat, "cpu %llu %llu %llu %*u %*u %llu %llu %llu", &user, &nice, &kernel,
                        &irq, &softirq, &steal);
    fclose(stat);
    if (fields != 6)
        return 0;
    uint64_t ticks = user + nice + kernel + irq + softirq + steal;
    return ticks * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

int meter_init(struct meter *meter, pid_t pid)
{
    *meter = (struct meter){.has_process = pid > 0};
    return pid > 0 ? -clock_getcpuclockid(pid, &meter->process) : 0;
}

void meter_begin(struct meter *meter)
{
    meter->machine_ns = machine_busy_ns();
    meter->own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    meter->process_ns = meter->has_process ? clock_ns(meter->process) : 0;
    meter->wall_ns = clock_ns(CLOCK_MONOTONIC);
}

struct meter_reading meter_read(const struct meter *meter)
{
    uint64_t wall = clock_ns(CLOCK_MONOTONIC) - meter->wall_ns;
    uint64_t process = meter->has_process ? clock_ns(meter->process) - meter->process_ns : 0;
    uint64_t own = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - meter->own_ns;
    double machine = (double)(machine_busy_ns() - meter->machine_ns);
    double others = machine - (double)process - (double)own;
    return (struct meter_reading){
        .seconds = (double)wall / 1e9,
        .process_seconds = (double)process / 1e9,
        .own_seconds = (double)own / 1e9,
        .others_cores = others > 0 && wall ? others / (double)wall : 0,
    };
}
