// SPDX-License-Identifier: Apache-2.0
// Seeds of property tests: a fixed run of them, or the one in QUIPU_SEED. A property that fails
// prints the command that replays it.
#pragma once
#include <stdint.h>

struct seeds {
    uint64_t first, end;
};

struct seeds seeds_of(uint64_t count);
void seed_print(uint64_t seed);
