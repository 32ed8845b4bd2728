// SPDX-License-Identifier: Apache-2.0
// The simulator: whole clusters of real replicas, journals and brains in one thread, over a
// simulated network, disk and clock, judged by an oracle that remembers every operation. One seed
// is one run, exactly; a run that breaks a promise is printed as the command that replays it.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sim_options {
    uint64_t seed;      // of the first run
    uint64_t seeds;     // how many runs, each with the next seed; 0: one
    uint64_t steps;     // scheduler turns of a run before it heals; 0: a default
    bool is_first_only; // no more runs after one that broke a promise
    bool is_replay;     // a readable trace of what happens, and what the seed drew
};

// Writes to standard output; the last line is
//   seeds N, steps N, simulated N s, violations N, trace HEX
// 0, or 1 when a promise was broken.
int sim_run(const struct sim_options *options);
