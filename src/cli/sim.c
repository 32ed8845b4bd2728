// SPDX-License-Identifier: Apache-2.0
// quipu sim: options into sim_run.
#include "cli/main.h"
#include "cli/options.h"
#include "sim/sim.h"

static const struct option rows[] = {
    {.name = "seed",
     .type = OPTION_INTEGER,
     .initial = "1",
     .smallest = 0,
     .largest = INT64_MAX,
     .help = "of the first run"},
    {.name = "seeds",
     .type = OPTION_INTEGER,
     .initial = "1",
     .smallest = 1,
     .largest = 100000000,
     .help = "how many runs, each with the next seed"},
    {.name = "steps",
     .type = OPTION_INTEGER,
     .smallest = 1,
     .largest = 1000000000,
     .help = "turns of a run before it heals"},
    {.name = "replay", .type = OPTION_FLAG, .help = "print what happens, and what the seed drew"},
    {0},
};

static const struct command command = {
    .name = "sim",
    .summary = "The simulator: clusters of real replicas over a simulated network, disk and clock, "
               "judged by\nan oracle that remembers every operation. Exit status 1: a promise was "
               "broken; the command\nthat replays it is printed.",
    .options = rows,
};

static int run(const struct options *options)
{
    struct sim_options sim = {
        .seed = (uint64_t)options_number(options, "seed"),
        .seeds = (uint64_t)options_number(options, "seeds"),
        .steps = (uint64_t)options_number(options, "steps"),
        .is_replay = options_number(options, "replay") != 0,
    };
    return sim_run(&sim);
}

int sim_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
