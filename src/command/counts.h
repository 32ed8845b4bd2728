// SPDX-License-Identifier: Apache-2.0
// What is counted of each command and each kind of error, as sums over the threads at one moment:
// the server fills them in before INFO and LATENCY look. Times are of the commands that are timed,
// see slowlog.h; the others have calls only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define COUNT_BUCKETS    24 // of microseconds: below 1, 2, 4, ... the last takes the rest
#define ERROR_NAME_MAX   24
#define ERROR_COUNTS_MAX 64 // kinds; beyond, they are counted as "others"

struct command_count {
    uint64_t calls, rejected, failed;
    uint64_t took_us;
    uint64_t bucket[COUNT_BUCKETS];
};

struct error_count {
    char name[ERROR_NAME_MAX];
    uint64_t count;
};

struct counts {
    struct command_count *commands; // command_count() of them, in the table's order; NULL: none
    struct error_count errors[ERROR_COUNTS_MAX];
    unsigned errors_count;
};

struct server;
// Since the last CONFIG RESETSTAT. False: nothing is counted here.
bool counts_since(const struct server *server, unsigned i, struct command_count *out_count);
unsigned count_bucket(uint64_t took_us);
uint64_t command_count_timed(const struct command_count *count); // how many of the calls were
// The time below which `share` (0 to 1) of the timed calls were, in microseconds.
uint64_t command_count_below(const struct command_count *count, double share);
