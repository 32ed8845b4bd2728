// SPDX-License-Identifier: Apache-2.0
// What a seed draws. Each run has only some of the faults, at rates of its own, and sizes that are
// small enough for every boundary to be met: a run with everything at once explores little.
#include <stdio.h>
#include "sim/world.h"

const char *const fault_names[FAULTS_COUNT] = {
    [FAULT_KILL] = "kill",
    [FAULT_POWER] = "power",
    [FAULT_POWER_SILENT] = "power-silent",
    [FAULT_KILL_COMMIT] = "kill-in-commit",
    [FAULT_DISK] = "disk",
    [FAULT_MEMORY] = "memory",
    [FAULT_RESTORE] = "restore",
    [FAULT_WIPE] = "wipe",
    [FAULT_RENEW] = "renew",
    [FAULT_PAUSE] = "pause",
    [FAULT_CUT] = "cut",
    [FAULT_CUT_ONE_WAY] = "cut-one-way",
    [FAULT_ISOLATE] = "isolate",
    [FAULT_HEAL] = "heal",
    [FAULT_HEAL_ALL] = "heal-all",
    [FAULT_RESET] = "reset",
    [FAULT_CLOCK] = "clock",
    [FAULT_DRILL] = "drill",
};

static uint64_t pick(struct prng *prng, const uint64_t *choices, unsigned count)
{
    return choices[prng_below(prng, count)];
}

#define PICK(prng, ...)                                                                            \
    pick(prng, (const uint64_t[]){__VA_ARGS__},                                                    \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static bool is_healing(enum fault fault)
{
    return fault == FAULT_HEAL || fault == FAULT_HEAL_ALL;
}

// What changes an incarnation. Half of the runs have none of it: there a start waits for everybody,
// and collection is never held up by a history that has to be closed first.
static bool is_renewing(enum fault fault)
{
    return fault == FAULT_RESTORE || fault == FAULT_WIPE || fault == FAULT_RENEW;
}

static void draw_faults(struct plan *plan, struct prng *prng)
{
    plan->weights_sum = 0;
    for (unsigned fault = 0; fault < FAULTS_COUNT; fault++) {
        unsigned weight = (unsigned)PICK(prng, 0, 0, 1, 2, 4);
        if (is_healing(fault))
            weight += 3;
        if (is_renewing(fault))
            weight = plan->is_patient ? 0 : fault == FAULT_RESTORE ? weight : weight / 2;
        plan->weight[fault] = weight;
        plan->weights_sum += weight;
    }
}

void plan_draw(struct plan *plan, struct prng *prng)
{
    *plan = (struct plan){.nodes_count = (unsigned)PICK(prng, 2, 2, 3, 3, 4),
                          .joiners_count = (unsigned)PICK(prng, 0, 0, 1, 1),
                          .is_join_narrow = prng_below(prng, 2),
                          .has_owners = prng_below(prng, 2),
                          .has_clients = prng_below(prng, 2),
                          .is_cleared = prng_below(prng, 2),
                          .commit_ms = PICK(prng, 1, 10, 10, 100),
                          .delay_ms = PICK(prng, 1, 5, 40),
                          .slow_per_mille = (unsigned)PICK(prng, 0, 30, 200, 500),
                          .lossy_per_mille = (unsigned)PICK(prng, 0, 0, 3, 20),
                          .silence_ms = PICK(prng, 4000, 8000),
                          .round_bytes = PICK(prng, 1, 60, 200, 1 << 20),
                          .scan_step = (unsigned)PICK(prng, 1, 1, 4, 64),
                          .segment_bytes = PICK(prng, 4096, 16384, 65536),
                          .snapshot_after_bytes = PICK(prng, 500, 2000, 20000, 100000),
                          .op_ms = PICK(prng, 2, 10, 50, 200),
                          .fault_ms = PICK(prng, 100, 400, 1500),
                          .reset_per_mille = (unsigned)PICK(prng, 0, 20, 80, 200),
                          .set_per_mille = (unsigned)PICK(prng, 0, 10, 60),
                          .member_per_mille = (unsigned)PICK(prng, 0, 20, 100),
                          .removal_per_mille = (unsigned)PICK(prng, 0, 200, 400),
                          .visit_per_mille = (unsigned)PICK(prng, 0, 20, 100),
                          .stock_per_mille = (unsigned)PICK(prng, 0, 100, 400),
                          .sketch_bytes = PICK(prng, 1, 8, 24, 512),
                          .expire_per_mille = (unsigned)PICK(prng, 0, 0, 30, 150),
                          .token_per_mille = (unsigned)PICK(prng, 0, 30, 150, 400),
                          .leap_per_mille = (unsigned)PICK(prng, 0, 0, 200, 500),
                          .token_window_ms = PICK(prng, 1000000, 3000000)};
    plan->is_patient = prng_below(prng, 2);
    plan->start_wait_ms = plan->is_patient ? WORLD_NEVER / 4 : PICK(prng, 500, 2000);
    draw_faults(plan, prng);
    // What was lost for good with an empty disk, and closed without it, an older disk may still
    // have: it is refused in the end, but shows it until then. So the two are not mixed.
    if (plan->weight[FAULT_RESTORE]) {
        plan->weights_sum -= plan->weight[FAULT_WIPE];
        plan->weight[FAULT_WIPE] = 0;
    }
}

void plan_print(const struct plan *plan)
{
    printf(
        "nodes %u, joiners %u%s, commit %llu ms, delay %llu ms, slow %u, lossy %u, start-wait %s, "
        "round %zu B, step %u, segment %llu B, snapshot %llu B, operation %llu ms, fault %llu "
        "ms, reset %u, set %u, member %u, removal %u, visit %u, stock %u, sketch %zu B, token %u, "
        "leap %u, expire %u\nfaults:",
        plan->nodes_count, plan->joiners_count, plan->is_join_narrow ? " narrow" : "",
        (unsigned long long)plan->commit_ms, (unsigned long long)plan->delay_ms,
        plan->slow_per_mille, plan->lossy_per_mille, plan->is_patient ? "forever" : "short",
        plan->round_bytes, plan->scan_step, (unsigned long long)plan->segment_bytes,
        (unsigned long long)plan->snapshot_after_bytes, (unsigned long long)plan->op_ms,
        (unsigned long long)plan->fault_ms, plan->reset_per_mille, plan->set_per_mille,
        plan->member_per_mille, plan->removal_per_mille, plan->visit_per_mille,
        plan->stock_per_mille, plan->sketch_bytes, plan->token_per_mille, plan->leap_per_mille,
        plan->expire_per_mille);
    for (unsigned fault = 0; fault < FAULTS_COUNT; fault++) {
        if (plan->weight[fault])
            printf(" %s %u", fault_names[fault], plan->weight[fault]);
    }
    printf("\n");
}
