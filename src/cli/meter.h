// SPDX-License-Identifier: Apache-2.0
// What a stretch of a measurement cost: wall-clock, the measured process's CPU (user and system,
// all its threads, to the nanosecond), our own, and what everybody else on the machine used
// meanwhile, by which a disturbed sample is told.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct meter {
    bool has_process;
    clockid_t process;
    uint64_t wall_ns, process_ns, own_ns, machine_ns;
};

struct meter_reading {
    double seconds;
    double process_seconds; // 0 without a process
    double own_seconds;
    double others_cores; // cores kept busy by others
};

// pid 0: none. -errno when there is no such process.
int meter_init(struct meter *meter, pid_t pid);
void meter_begin(struct meter *meter);
struct meter_reading meter_read(const struct meter *meter); // since meter_begin
