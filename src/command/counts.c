// SPDX-License-Identifier: Apache-2.0
// Differences and percentiles of the counts.
#include "command/counts.h"
#include "command/host.h"

bool counts_since(const struct server *server, unsigned i, struct command_count *out_count)
{
    if (!server->commands.commands)
        return false;
    *out_count = server->commands.commands[i];
    if (!server->commands_base.commands)
        return true;
    const struct command_count *base = &server->commands_base.commands[i];
    out_count->calls -= base->calls;
    out_count->rejected -= base->rejected;
    out_count->failed -= base->failed;
    out_count->took_us -= base->took_us;
    for (unsigned at = 0; at < COUNT_BUCKETS; at++)
        out_count->bucket[at] -= base->bucket[at];
    return true;
}

unsigned count_bucket(uint64_t took_us)
{
    unsigned bucket = 0;
    while (took_us >> bucket && bucket < COUNT_BUCKETS - 1)
        bucket++;
    return bucket;
}

uint64_t command_count_timed(const struct command_count *count)
{
    uint64_t timed = 0;
    for (unsigned i = 0; i < COUNT_BUCKETS; i++)
        timed += count->bucket[i];
    return timed;
}

uint64_t command_count_below(const struct command_count *count, double share)
{
    double wanted = share * (double)command_count_timed(count);
    uint64_t sum = 0;
    unsigned i = 0;
    for (; i < COUNT_BUCKETS - 1; i++) {
        sum += count->bucket[i];
        if ((double)sum >= wanted)
            break;
    }
    return (uint64_t)1 << i;
}
