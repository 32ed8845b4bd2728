// SPDX-License-Identifier: Apache-2.0
// The simulator alone, linked against nothing it does not need: what tools/mutants/run builds. Runs
// seeds until one breaks a promise.
#include <stdlib.h>
#include "sim/sim.h"

int main(int argc, char **argv)
{
    struct sim_options options = {.seed = 1, .is_first_only = true};
    options.seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    return sim_run(&options);
}
