// SPDX-License-Identifier: Apache-2.0
// One thread's counts of commands and errors: that thread alone changes them, any thread reads
// them. A block of one command is one addition, whatever its length.
#pragma once
#include <stdatomic.h>
#include "base/heap.h"
#include "base/span.h"
#include "command/command.h"
#include "command/counts.h"

enum stat { STAT_CALLS, STAT_REJECTED, STAT_FAILED, STAT_TOOK_US, STATS };

struct command_stats {
    _Atomic uint64_t count[STATS];
    _Atomic uint64_t bucket[COUNT_BUCKETS];
};

struct error_stats {
    char name[ERROR_NAME_MAX]; // written before the count is first above 0
    _Atomic uint64_t count;
};

struct stats {
    struct heap *heap;
    struct command_stats *commands; // by the table's order
    const struct command *first;    // of the table
    struct error_stats errors[ERROR_COUNTS_MAX];
};

int stats_init(struct stats *stats, struct heap *heap); // 0 or -ENOMEM
void stats_deinit(struct stats *stats);

// Its own thread.
static inline void stats_raise(_Atomic uint64_t *count, uint64_t amount)
{
    uint64_t before = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, before + amount, memory_order_relaxed);
}

static inline struct command_stats *stats_of(struct stats *stats, const struct command *command)
{
    return &stats->commands[command - stats->first];
}

static inline void stats_add(struct stats *stats, const struct command *command, enum stat which,
                             uint64_t amount)
{
    stats_raise(&stats_of(stats, command)->count[which], amount);
}

void stats_took(struct stats *stats, const struct command *command, uint64_t took_us);
void stats_error(struct stats *stats, struct span code);

// Any thread: adds them to the sums.
void stats_sum(const struct stats *stats, struct counts *counts);
