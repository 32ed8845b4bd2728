// SPDX-License-Identifier: Apache-2.0
// What this process has used so far, for INFO and metrics and for budgets.
#pragma once
#include <stdint.h>

struct usage {
    uint64_t user_us, system_us;
    uint64_t resident_bytes;
};
struct usage usage_of_process(void);
uint64_t usage_of_thread_ns(void); // CPU time of the calling thread
