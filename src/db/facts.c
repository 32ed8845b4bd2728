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
    scripts_describe(db, server);
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
        const char *unit, *past;
    } rows[] = {
        {"a key, a member or an owner", LIMIT_KEY_BYTES, "bytes", "the command is refused"},
        {"a retry token", LIMIT_TOKEN_BYTES, "bytes", "the command is refused"},
        {"a request, all its arguments", LIMIT_REQUEST_BYTES, "bytes", "the client is closed"},
        {"a request before AUTH", LIMIT_EARLY_BYTES, "bytes", "the client is closed"},
        {"arguments of a request", LIMIT_REQUEST_ARGS, "", "the client is closed"},
        {"what a transaction holds: queued, watched", LIMIT_QUEUED_BYTES, "bytes",
         "the command is refused, EXEC too"},
        {"clients, at most --maxclients", LIMIT_CLIENTS, "by default", "refused with an error"},
        {"unsent answers of a client, at most", LIMIT_OUTPUT_BYTES, "bytes",
         "the client is closed (--client-output-buffer-limit)"},
        {"names that a client listens to", PUBSUB_SUBSCRIBED_MAX, "", "the command is refused"},
        {"a glob", LIMIT_PATTERN_BYTES, "bytes", "the command is refused"},
        {"connections with a feed", LIMIT_FEEDS, "", "QUIPU.FEED is refused"},
        {"a channel that is published to", LIMIT_CHANNEL_BYTES, "bytes", "the command is refused"},
        {"messages under way to a worker", PUBSUB_QUEUED_MAX, "bytes",
         "the message is dropped and counted"},
        {"members that SPOP and SRANDMEMBER take at once", LIMIT_SET_PICK, "",
         "the command is refused"},
        {"a piece of a backup", LIMIT_BACKUP_BYTES, "bytes", "it comes in several"},
        {"users", LIMIT_USERS, "", "ACL SETUSER is refused"},
        {"a user's key patterns; channels, rules, passwords", LIMIT_USER_RULES, "each",
         "ACL SETUSER is refused"},
        {"a user's selectors", LIMIT_SELECTORS, "", "ACL SETUSER is refused"},
        {"a user's name", LIMIT_USER_NAME, "bytes", "ACL SETUSER is refused"},
        {"a TLS handshake", 10, "s", "the connection is closed"},
        {"TLS handshakes under way", TLS_GREETINGS_MAX, "a worker", "the oldest is closed"},
        {"other members of a cluster", LIMIT_PEERS, "", "a further one is refused"},
        {"incarnations known", LIMIT_ORIGINS, "", "a further one is refused"},
        {"one replica's part of a counter, plus or minus", (unsigned long long)LIMIT_TOTAL, "",
         "the command is refused as an overflow"},
        {"changed keys remembered for peers", LIMIT_CHANGE_ORDER, "",
         "a peer behind is fed by a walk"},
        {"a script's time, at most script-time-limit", SCRIPT_TIME_MS, "ms by default",
         "it is stopped; what it wrote stays"},
        {"scripts that only EVAL brought", ENGINE_EVALED_MAX, "",
         "the longest unused is forgotten"},
        {"scripts of SCRIPT LOAD", ENGINE_LOADED_MAX, "", "the command is refused"},
        {"code of all functions", FUNCTIONS_BYTES_MAX, "bytes", "FUNCTION LOAD is refused"},
        {"functions of a library", FUNCTIONS_MAX, "", "FUNCTION LOAD is refused"},
        {"memory of all scripts; of all functions", VM_MEMORY_MAX, "bytes", "the script ends"},
        {"a string that cjson and the like make", VM_TEXT_MAX, "bytes", "an error in the script"},
        {"steps of a hook call", SCRIPT_STEPS_MAX, "VM instructions", "the call ends, logged"},
        {"memory of the hook", SCRIPT_MEMORY_MAX, "bytes", "the call ends, logged"},
        {"worker threads", DB_THREADS_MAX, "", "--threads is refused"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-50s %20llu %-15s %s\n", rows[i].what, rows[i].limit, rows[i].unit, rows[i].past);
    printf("\nWhile it runs, by CONFIG SET: maxclients, maxmemory (no new key or member: -OOM), "
           "timeout,\ntcp-keepalive, client-output-buffer-limit, protected-mode.\n");
}
