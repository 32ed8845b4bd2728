// SPDX-License-Identifier: Apache-2.0
// Relaxed throughout: a count orders nothing. Only an error's name is published, by its count.
#include <errno.h>
#include "db/stats.h"

int stats_init(struct stats *stats, struct heap *heap)
{
    size_t size = command_count() * sizeof *stats->commands;
    memset(stats, 0, sizeof *stats);
    stats->heap = heap;
    stats->first = command_at(0);
    stats->commands = heap_alloc(heap, size);
    if (!stats->commands)
        return -ENOMEM;
    memset(stats->commands, 0, size);
    return 0;
}

void stats_deinit(struct stats *stats)
{
    if (stats->commands)
        heap_free(stats->heap, stats->commands, command_count() * sizeof *stats->commands);
    stats->commands = NULL;
}

void stats_took(struct stats *stats, const struct command *command, uint64_t took_us)
{
    struct command_stats *at = stats_of(stats, command);
    stats_raise(&at->count[STAT_TOOK_US], took_us);
    stats_raise(&at->bucket[count_bucket(took_us)], 1);
}

// The last place is for whatever finds no other.
void stats_error(struct stats *stats, struct span code)
{
    if (code.len >= ERROR_NAME_MAX)
        code.len = ERROR_NAME_MAX - 1;
    for (unsigned i = 0; i < ERROR_COUNTS_MAX; i++) {
        struct error_stats *error = &stats->errors[i];
        uint64_t count = atomic_load_explicit(&error->count, memory_order_relaxed);
        if (count == 0 && i == ERROR_COUNTS_MAX - 1)
            memcpy(error->name, "others", 7);
        else if (count == 0)
            memcpy(error->name, code.ptr, code.len); // zeroed behind it
        else if (i < ERROR_COUNTS_MAX - 1 && !span_is_equal(span_text(error->name), code))
            continue;
        // Release: pairs with the acquire in stats_sum, which then reads the name.
        atomic_store_explicit(&error->count, count + 1, memory_order_release);
        return;
    }
}

static void sum_error(struct counts *counts, const char *name, uint64_t count)
{
    unsigned i = 0;
    while (i < counts->errors_count && strcmp(counts->errors[i].name, name) != 0)
        i++;
    if (i == ERROR_COUNTS_MAX)
        i--; // the last one takes the rest
    if (i == counts->errors_count) {
        memcpy(counts->errors[i].name, name, ERROR_NAME_MAX);
        counts->errors_count++;
    }
    counts->errors[i].count += count;
}

void stats_sum(const struct stats *stats, struct counts *counts)
{
    for (unsigned i = 0; i < command_count(); i++) {
        const struct command_stats *from = &stats->commands[i];
        struct command_count *to = &counts->commands[i];
        to->calls += atomic_load_explicit(&from->count[STAT_CALLS], memory_order_relaxed);
        to->rejected += atomic_load_explicit(&from->count[STAT_REJECTED], memory_order_relaxed);
        to->failed += atomic_load_explicit(&from->count[STAT_FAILED], memory_order_relaxed);
        to->took_us += atomic_load_explicit(&from->count[STAT_TOOK_US], memory_order_relaxed);
        for (unsigned at = 0; at < COUNT_BUCKETS; at++)
            to->bucket[at] += atomic_load_explicit(&from->bucket[at], memory_order_relaxed);
    }
    for (unsigned i = 0; i < ERROR_COUNTS_MAX; i++) {
        const struct error_stats *error = &stats->errors[i];
        uint64_t count = atomic_load_explicit(&error->count, memory_order_acquire);
        if (count == 0)
            break;
        sum_error(counts, error->name, count);
    }
}
