// SPDX-License-Identifier: Apache-2.0
// Reads the seed that a failing test printed.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/lib/seed.h"

struct seeds seeds_of(uint64_t count)
{
    const char *text = getenv("QUIPU_SEED"), *more = getenv("QUIPU_SEEDS");
    if (!text)
        return (struct seeds){1, 1 + (more ? strtoull(more, NULL, 0) : count)};
    uint64_t seed = strtoull(text, NULL, 0);
    return (struct seeds){seed, seed + 1};
}

void seed_print(uint64_t seed)
{
    fprintf(stderr, "replay: QUIPU_SEED=%" PRIu64 " %s\n", seed, program_invocation_name);
}
