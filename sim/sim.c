// SPDX-License-Identifier: Apache-2.0
// Runs seeds and sums up. Every run is independent of the others, so a violation is replayed by its
// own seed alone.
#include <stdio.h>
#include <stdlib.h>
#include "sim/sim.h"
#include "sim/world.h"

#define STEPS_DEFAULT 6000

struct total {
    uint64_t runs, steps, simulated_ms, violations, trace;
    struct world_counts counts;
};

static void sum_up(struct total *total, const struct world *world)
{
    struct world_counts *sum = &total->counts;
    const struct world_counts *one = &world->counts;
    total->runs++;
    total->steps += one->steps;
    total->simulated_ms += world->now_ms;
    total->trace = prng_mix(total->trace ^ world->trace);
    const uint64_t *from = (const uint64_t *)(const void *)one;
    uint64_t *to = (uint64_t *)(void *)sum;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void print_counts(const struct world_counts *counts)
{
    printf("did: %llu adds, %llu resets, %llu sets, %llu members, %llu visits, %llu sales, %llu "
           "refused, %llu counted, %llu token adds, %llu retries, %llu tokens forgotten, %llu "
           "leaps, %llu "
           "expiries, %llu expired, "
           "%llu heartbeats, "
           "%llu commits, "
           "%llu snapshots, "
           "%llu walks, %llu collected, %llu starts, %llu joins, %llu renewals, %llu refusals, "
           "%llu forgettings\n",
           (unsigned long long)counts->adds, (unsigned long long)counts->resets,
           (unsigned long long)counts->sets, (unsigned long long)counts->members,
           (unsigned long long)counts->visits, (unsigned long long)counts->sales,
           (unsigned long long)counts->refused, (unsigned long long)counts->counted,
           (unsigned long long)counts->tokens, (unsigned long long)counts->retries,
           (unsigned long long)counts->forgotten, (unsigned long long)counts->leaps,
           (unsigned long long)counts->expiries, (unsigned long long)counts->expired,
           (unsigned long long)counts->heartbeats, (unsigned long long)counts->commits,
           (unsigned long long)counts->snapshots, (unsigned long long)counts->walks,
           (unsigned long long)counts->collected, (unsigned long long)counts->restarts,
           (unsigned long long)counts->joins, (unsigned long long)counts->renewals,
           (unsigned long long)counts->refusals, (unsigned long long)counts->forgettings);
    printf("faults: %llu lost, %llu doubled, %llu overtaken", (unsigned long long)counts->drops,
           (unsigned long long)counts->duplicates, (unsigned long long)counts->reorders);
    for (unsigned fault = 0; fault < FAULTS_COUNT; fault++)
        printf(", %llu %s", (unsigned long long)counts->faults[fault], fault_names[fault]);
    printf("\n");
}

static bool run_one(struct world *world, const struct world_options *options, struct total *total)
{
    world_init(world, options);
    world_run(world);
    world_deinit(world); // which looks for leaks
    bool is_good = !world->violation[0];
    if (!is_good) {
        total->violations++;
        printf("seed %llu at %llu.%03llu s: %s\n  replay: quipu sim --seed %llu --steps %llu "
               "--replay\n",
               (unsigned long long)options->seed, (unsigned long long)world->now_ms / 1000,
               (unsigned long long)world->now_ms % 1000, world->violation,
               (unsigned long long)options->seed, (unsigned long long)options->steps);
        fflush(stdout);
    }
    sum_up(total, world);
    return is_good;
}

int sim_run(const struct sim_options *options)
{
    struct world *world = malloc(sizeof *world);
    if (!world) {
        printf("not enough memory for a simulated world\n");
        return 1;
    }
    struct total total = {0};
    uint64_t runs = options->seeds ? options->seeds : 1;
    keyspace_thread_start();
    for (uint64_t i = 0; i < runs && !(options->is_first_only && total.violations); i++) {
        struct world_options one = {.seed = options->seed + i,
                                    .steps = options->steps ? options->steps : STEPS_DEFAULT,
                                    .is_verbose = options->is_replay};
        run_one(world, &one, &total);
    }
    keyspace_thread_stop();
    free(world);
    print_counts(&total.counts);
    printf("seeds %llu, steps %llu, simulated %llu s, violations %llu, trace %016llx\n",
           (unsigned long long)total.runs, (unsigned long long)total.steps,
           (unsigned long long)(total.simulated_ms / 1000), (unsigned long long)total.violations,
           (unsigned long long)total.trace);
    return total.violations ? 1 : 0;
}
