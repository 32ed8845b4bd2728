// SPDX-License-Identifier: Apache-2.0
// Numbers about the process: collected when INFO asks for them, and the limits of this build.
#include <stdio.h>
#include "db/watch.h"
#include "os/usage.h"

static uint64_t sum(const struct db *db, enum tally which)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < db->workers_count; i++)
        total += tally_read(&db->workers[i].tallies, which);
    return total;
}

static void collect_commands(const struct db *db, struct server *server)
{
    struct counts *counts = &server->commands;
    memset(counts->commands, 0, command_count() * sizeof *counts->commands);
    memset(counts->errors, 0, sizeof counts->errors);
    counts->errors_count = 0;
    for (unsigned i = 0; i < db->workers_count; i++)
        stats_sum(&db->workers[i].stats, counts);
    stats_sum(&db->committer.stats, counts);
}

void facts_collect(struct db *db, struct server *server)
{
    struct pubsub_counts pubsub = pubsub_counts(db->pubsub);
    struct usage usage = usage_of_process();
    server->now_ms = loop_now_ms(db->loop);
    server->counts = (struct server_counts){.clients = gate_clients(&db->gate),
                                            .connections = sum(db, TALLY_CONNECTIONS),
                                            .rejected = sum(db, TALLY_REJECTED),
                                            .commands = sum(db, TALLY_COMMANDS),
                                            .input_bytes = sum(db, TALLY_INPUT),
                                            .output_bytes = sum(db, TALLY_OUTPUT),
                                            .errors = sum(db, TALLY_ERRORS),
                                            .posted = sum(db, TALLY_POSTED),
                                            .published = pubsub.published,
                                            .delivered = sum(db, TALLY_DELIVERED),
                                            .dropped = pubsub.dropped,
                                            .channels = pubsub.channels,
                                            .patterns = pubsub.patterns,
                                            .shards = pubsub.shards,
                                            .subscribers = sum(db, TALLY_SUBSCRIBERS),
                                            .monitors = watch_monitors_count(db),
                                            .resident_bytes = usage.resident_bytes,
                                            .cpu_user_us = usage.user_us,
                                            .cpu_system_us = usage.system_us};
    collect_commands(db, server);
    events_describe(db->events, server);
}

void facts_second(struct db *db, struct server *server)
{
    uint64_t now_ms = loop_now_ms(db->loop), commands = sum(db, TALLY_COMMANDS);
    if (now_ms > server->second_ms)
        server->ops_per_second =
            (commands - server->second_commands) * 1000 / (now_ms - server->second_ms);
    server->second_ms = now_ms;
    server->second_commands = commands;
}

void db_print_limits(void)
{
    static const struct {
        const char *what;
        unsigned long long limit;
        const char *unit;
    } rows[] = {
        {"a key, a member or an owner", LIMIT_KEY_BYTES, "bytes"},
        {"a retry token", LIMIT_TOKEN_BYTES, "bytes"},
        {"a request, all its arguments", LIMIT_REQUEST_BYTES, "bytes"},
        {"arguments of a request", LIMIT_REQUEST_ARGS, ""},
        {"what a transaction holds: queued, watched", LIMIT_QUEUED_BYTES, "bytes"},
        {"unsent answers of a client, then it is closed", LIMIT_OUTPUT_BYTES, "bytes"},
        {"clients", LIMIT_CLIENTS, ""},
        {"names that a client listens to", PUBSUB_SUBSCRIBED_MAX, ""},
        {"a glob", LIMIT_PATTERN_BYTES, "bytes"},
        {"a channel that is published to", LIMIT_CHANNEL_BYTES, "bytes"},
        {"messages under way to a worker", PUBSUB_QUEUED_MAX, "bytes"},
        {"bytes of a request before AUTH", LIMIT_EARLY_BYTES, "bytes"},
        {"users", LIMIT_USERS, ""},
        {"key patterns of a user; channels, commands, passwords", LIMIT_USER_RULES, ""},
        {"members that SPOP and SRANDMEMBER take at once", LIMIT_SET_PICK, ""},
        {"a piece of a backup", LIMIT_BACKUP_BYTES, "bytes"},
        {"peers", LIMIT_PEERS, ""},
        {"incarnations known", LIMIT_ORIGINS, ""},
        {"one replica's part of a counter, plus or minus", (unsigned long long)LIMIT_TOTAL, ""},
        {"changed keys remembered for peers", LIMIT_CHANGE_ORDER, ""},
        {"steps of a hook call", SCRIPT_STEPS_MAX, "VM instructions"},
        {"memory of the hook", SCRIPT_MEMORY_MAX, "bytes"},
        {"worker threads", DB_THREADS_MAX, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-50s %20llu %s\n", rows[i].what, rows[i].limit, rows[i].unit);
}
