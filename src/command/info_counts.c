// SPDX-License-Identifier: Apache-2.0
// INFO commandstats, errorstats and latencystats. usec is of the calls that were timed (see
// slowlog.h) and usec_per_call their mean: a fast command is counted, and timed only if asked for.
#include "command/counts.h"
#include "command/info.h"

typedef unsigned long long number;

static void write_lower(char to[COMMAND_NAME_MAX + 1], const char *name)
{
    size_t len = 0;
    for (; name[len] && len < COMMAND_NAME_MAX; len++)
        to[len] = (char)(name[len] >= 'A' && name[len] <= 'Z' ? name[len] + 32 : name[len]);
    to[len] = '\0';
}

void info_commandstats(struct info *info)
{
    char name[COMMAND_NAME_MAX + 1];
    struct command_count count;
    for (unsigned i = 0; i < command_count(); i++) {
        if (!counts_since(info->server, i, &count) || !(count.calls | count.rejected))
            continue;
        uint64_t timed = command_count_timed(&count);
        write_lower(name, command_at(i)->name);
        info_put(info,
                 "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
                 "failed_calls=%llu,timed_calls=%llu",
                 name, (number)count.calls, (number)count.took_us,
                 timed ? (double)count.took_us / (double)timed : 0.0, (number)count.rejected,
                 (number)count.failed, (number)timed);
    }
}

static uint64_t errors_before(const struct server *server, const char *name)
{
    for (unsigned i = 0; i < server->commands_base.errors_count; i++) {
        if (strcmp(server->commands_base.errors[i].name, name) == 0)
            return server->commands_base.errors[i].count;
    }
    return 0;
}

void info_errorstats(struct info *info)
{
    const struct counts *counts = &info->server->commands;
    for (unsigned i = 0; i < counts->errors_count; i++) {
        const struct error_count *error = &counts->errors[i];
        uint64_t since = error->count - errors_before(info->server, error->name);
        if (since)
            info_put(info, "errorstat_%s:count=%llu", error->name, (number)since);
    }
}

void info_latencystats(struct info *info)
{
    char name[COMMAND_NAME_MAX + 1];
    struct command_count count;
    for (unsigned i = 0; i < command_count(); i++) {
        if (!counts_since(info->server, i, &count) || !command_count_timed(&count))
            continue;
        write_lower(name, command_at(i)->name);
        info_put(info, "latency_percentiles_usec_%s:p50=%llu,p99=%llu,p99.9=%llu", name,
                 (number)command_count_below(&count, 0.5),
                 (number)command_count_below(&count, 0.99),
                 (number)command_count_below(&count, 0.999));
    }
}
