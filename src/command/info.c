// SPDX-License-Identifier: Apache-2.0
// INFO, section by section: a section is a row of a table and a function that writes its lines.
// Names that Redis has are Redis's; what only quipu has is in the section "quipu".
#include <stdarg.h>
#include <stdio.h>
#include "base/hex.h"
#include "command/info.h"
#include "command/links.h"

void info_put(struct info *info, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (len > 0)
        buf_put(info->out,
                span_of(line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1));
    buf_put_text(info->out, "\r\n");
}

typedef unsigned long long number;

static void put_server(struct info *info)
{
    const struct server *server = info->server;
    uint64_t up_s = (server->now_ms - server->started_ms) / 1000;
    info_put(info, "redis_version:%s", REDIS_VERSION);
    info_put(info, "quipu_version:%s", QUIPU_VERSION);
    info_put(info, "redis_mode:standalone");
    info_put(info, "os:Linux");
    info_put(info, "monotonic_clock:POSIX clock_gettime");
    info_put(info, "process_supervised:no");
    info_put(info, "config_file:");
    info_put(info, "configured_hz:20");
    info_put(info, "hz:20");
    info_put(info, "arch_bits:64");
    info_put(info, "multiplexing_api:epoll");
    info_put(info, "process_id:%llu", (number)server->process_id);
    info_put(info, "run_id:%s", info->call->identity->run_id);
    info_put(info, "tcp_port:%u", server->port);
    info_put(info, "uptime_in_seconds:%llu", (number)up_s);
    info_put(info, "uptime_in_days:%llu", (number)(up_s / 86400));
    info_put(info, "io_threads_active:%d", server->threads > 1);
}

static void put_clients(struct info *info)
{
    const struct server_counts *counts = &info->server->counts;
    info_put(info, "connected_clients:%llu", (number)counts->clients);
    info_put(info, "cluster_connections:0");
    const struct bounds *bounds = &info->server->bounds;
    info_put(info, "maxclients:%u", bounds->clients_max);
    info_put(info, "client_output_limit:%llu", (number)output_hard(&bounds->output[OUTPUT_NORMAL]));
    info_put(info, "client_request_limit:%d", LIMIT_REQUEST_BYTES);
    info_put(info, "blocked_clients:0");
    info_put(info, "tracking_clients:0");
    info_put(info, "pubsub_clients:%llu", (number)counts->subscribers);
    info_put(info, "watching_clients:%llu", (number)counts->monitors);
}

static void put_human(struct info *info, const char *name, uint64_t bytes)
{
    info_put(info, "%s:%llu", name, (number)bytes);
    info_put(info, "%s_human:%.2fM", name, (double)bytes / 1048576.0);
}

static void put_memory(struct info *info)
{
    struct keyspace_memory memory = keyspace_memory(info->call->keyspace);
    uint64_t used = memory.records_bytes + memory.tables_bytes + memory.order_bytes;
    uint64_t keys = keyspace_keys_count(info->call->keyspace);
    put_human(info, "used_memory", memory.in_use_bytes);
    put_human(info, "used_memory_rss", info->server->counts.resident_bytes);
    info_put(info, "keyspace_records_bytes:%llu", (number)memory.records_bytes);
    info_put(info, "keyspace_tables_bytes:%llu", (number)memory.tables_bytes);
    info_put(info, "keyspace_order_bytes:%llu", (number)memory.order_bytes);
    info_put(info, "bytes_per_key:%llu", (number)(keys ? used / keys : 0));
    info_put(info, "used_memory_overhead:%llu", (number)(memory.tables_bytes + memory.order_bytes));
    info_put(info, "used_memory_dataset:%llu", (number)memory.records_bytes);
    const struct server *server = info->server;
    info_put(info, "used_memory_lua:%llu", (number)server->script_state.eval_bytes);
    info_put(info, "used_memory_vm_eval:%llu", (number)server->script_state.eval_bytes);
    info_put(info, "used_memory_vm_functions:%llu", (number)server->script_state.function_bytes);
    info_put(info, "number_of_cached_scripts:%llu", (number)server->script_state.cached);
    info_put(info, "number_of_functions:%llu", (number)server->script_state.functions);
    info_put(info, "number_of_libraries:%llu", (number)server->script_state.libraries);
    info_put(info, "mem_allocator:libc");
    put_human(info, "maxmemory", info->server->bounds.memory_max);
    info_put(info, "maxmemory_reached:%d", info->server->bounds.is_full);
    info_put(info, "maxmemory_policy:noeviction");
}

static void put_persistence(struct info *info)
{
    const struct server *server = info->server;
    struct replica_counts counts = replica_counts(info->call->replica);
    info_put(info, "loading:0");
    info_put(info, "async_loading:0");
    info_put(info, "durability:%s", server->is_strict ? "strict" : "relaxed");
    info_put(info, "commit_interval_ms:%u", server->commit_interval_ms);
    info_put(info, "journal:%s", server->has_failed ? "failed" : "ok");
    if (server->has_failed)
        info_put(info, "journal_error:%s", server->failure);
    info_put(info, "commits:%llu", (number)counts.commits);
    info_put(info, "commits_started:%llu", (number)server->commits_started);
    info_put(info, "commits_durable:%llu", (number)server->commits_done);
    info_put(info, "commit_last_us:%llu", (number)server->commit_us_last);
    info_put(info, "commit_max_us:%llu", (number)server->commit_us_max);
    info_put(info, "journal_bytes:%llu", (number)counts.frames_bytes);
    info_put(info, "snapshots:%llu", (number)counts.snapshots);
    info_put(info, "rdb_last_save_time:%llu", (number)(server->durable_wall_ms / 1000));
    info_put(info, "rdb_last_bgsave_status:ok");
    info_put(info, "aof_enabled:1");
    info_put(info, "aof_rewrite_in_progress:0");
    info_put(info, "aof_last_write_status:%s", server->has_failed ? "err" : "ok");
    info_put(info, "rdb_changes_since_last_save:0");
    info_put(info, "rdb_bgsave_in_progress:0");
}

static void put_stats(struct info *info)
{
    const struct server_counts *since = &info->since;
    info_put(info, "total_connections_received:%llu", (number)since->connections);
    info_put(info, "total_commands_processed:%llu", (number)since->commands);
    info_put(info, "instantaneous_ops_per_sec:%llu", (number)info->server->ops_per_second);
    info_put(info, "total_posted_commands:%llu", (number)since->posted);
    info_put(info, "total_net_input_bytes:%llu", (number)since->input_bytes);
    info_put(info, "total_net_output_bytes:%llu", (number)since->output_bytes);
    info_put(info, "total_error_replies:%llu", (number)since->errors);
    info_put(info, "rejected_connections:%llu", (number)since->rejected);
    info_put(info, "pubsub_channels:%llu", (number)info->server->counts.channels);
    info_put(info, "pubsub_patterns:%llu", (number)info->server->counts.patterns);
    info_put(info, "pubsubshard_channels:%llu", (number)info->server->counts.shards);
    info_put(info, "pubsub_published:%llu", (number)since->published);
    info_put(info, "pubsub_delivered:%llu", (number)since->delivered);
    info_put(info, "pubsub_dropped:%llu", (number)since->dropped);
    info_put(info, "expired_keys:%llu", (number)replica_counts(info->call->replica).expired);
    info_put(info, "evicted_keys:0");
}

static void put_link_line(void *ctx, const struct link_row *row)
{
    struct info *info = ctx;
    info_put(
        info,
        "link%u:replica=%s,address=%s,state=%s,changes_behind=%llu,bytes_behind=%llu,heard_ms=%lld",
        info->links++, row->replica, row->address, row->state, (number)row->changes_behind,
        (number)row->bytes_behind, (long long)row->heard_ms);
}

static void put_replication(struct info *info)
{
    struct replica_counts counts = replica_counts(info->call->replica);
    info_put(info, "role:master");
    info_put(info, "connected_slaves:0");
    info_put(info, "master_failover_state:no-failover");
    info_put(info, "master_replid:%s", info->call->identity->run_id);
    info_put(info, "master_repl_offset:%llu", (number)keyspace_change_newest(info->call->keyspace));
    info_put(info, "rounds_sent:%llu", (number)counts.rounds_sent);
    info_put(info, "rounds_joined:%llu", (number)counts.rounds_joined);
    info_put(info, "rounds_refused:%llu", (number)counts.rounds_refused);
    info_put(info, "changes_sent:%llu", (number)counts.units_sent);
    info_put(info, "changes_joined:%llu", (number)counts.units_joined);
    info_put(info, "walks:%llu", (number)counts.walks);
    info->links = 0;
    links_each(info->call->replica, put_link_line, info);
    info_put(info, "links:%u", info->links);
}

static void put_cpu(struct info *info)
{
    const struct server_counts *counts = &info->server->counts;
    info_put(info, "used_cpu_sys:%.6f", (double)counts->cpu_system_us / 1e6);
    info_put(info, "used_cpu_user:%.6f", (double)counts->cpu_user_us / 1e6);
}

static void put_keyspace(struct info *info)
{
    uint64_t keys = keyspace_keys_count(info->call->keyspace);
    if (keys)
        info_put(info, "db0:keys=%llu,expires=%llu,avg_ttl=0", (number)keys,
                 (number)replica_deadlines(info->call->replica));
}

static void put_quipu(struct info *info)
{
    const struct server *server = info->server;
    const struct node *node = replica_node(info->call->replica);
    const struct incarnation *incarnation = &replica_origins(info->call->replica)->list[node->self];
    struct replica_counts counts = replica_counts(info->call->replica);
    const char *blocker = node_stability_blocker(node);
    char hex[2 * sizeof incarnation->bytes + 1] = {0};
    hex_write(hex, span_of(incarnation->bytes, sizeof incarnation->bytes));
    info_put(info, "epoch:%s", info->call->identity->epoch);
    info_put(info, "replica:%s", info->call->identity->replica);
    info_put(info, "cluster:%s", info->call->identity->cluster);
    info_put(info, "incarnation:%s", hex);
    info_put(info, "incarnation_renewals:%llu", (number)counts.renewals);
    info_put(info, "directory_too_old:%llu", (number)counts.forgettings);
    info_put(info, "incarnations_known:%u", replica_origins(info->call->replica)->count);
    info_put(info, "address:%s", node->address);
    info_put(info, "version:%llu", (number)keyspace_change_newest(info->call->keyspace));
    info_put(info, "records:%llu", (number)keyspace_memory(info->call->keyspace).records_count);
    info_put(info, "collected:%llu", (number)counts.collected);
    struct token_counts tokens = replica_tokens(info->call->replica);
    info_put(info, "retry_tokens:%llu", (number)tokens.tokens);
    info_put(info, "retry_tokens_taken_twice:%llu", (number)tokens.twins);
    info_put(info, "collection_blocked_by:%s", blocker ? blocker : "");
    info_put(info, "script_time_limit_ms:%u", server->script_time_ms);
    info_put(info, "hook:%s", server->hook);
    info_put(info, "hook_state:%s", server->hook_state.is_disabled ? "disabled" : "on");
    info_put(info, "hook_calls:%llu", (number)server->hook_state.calls);
    info_put(info, "hook_skipped:%llu", (number)server->hook_state.skipped);
    info_put(info, "hook_failures:%llu", (number)server->hook_state.failures);
    info_put(info, "hook_error:%s", server->hook_state.error);
    info_put(info, "hook_memory:%llu", (number)server->hook_state.memory_bytes);
    info_put(info, "cut_allowed:%d", server->is_cut_allowed);
}

static void put_cluster(struct info *info)
{
    info_put(info, "cluster_enabled:0");
}

static const struct section {
    const char *name;
    const char *title;
    bool is_default;
    void (*put)(struct info *info);
} sections[] = {
    {"server", "Server", true, put_server},
    {"clients", "Clients", true, put_clients},
    {"memory", "Memory", true, put_memory},
    {"persistence", "Persistence", true, put_persistence},
    {"stats", "Stats", true, put_stats},
    {"replication", "Replication", true, put_replication},
    {"cpu", "CPU", true, put_cpu},
    {"commandstats", "Commandstats", false, info_commandstats},
    {"errorstats", "Errorstats", true, info_errorstats},
    {"latencystats", "Latencystats", false, info_latencystats},
    {"cluster", "Cluster", true, put_cluster},
    {"keyspace", "Keyspace", true, put_keyspace},
    {"quipu", "Quipu", true, put_quipu},
};

static bool is_asked(const struct call *call, const struct section *section)
{
    bool is_asked = call->argc == 1 && section->is_default;
    for (uint32_t i = 1; i < call->argc; i++) {
        struct span asked = call->argv[i];
        is_asked |= span_is_word(asked, section->name) || span_is_word(asked, "all") ||
                    span_is_word(asked, "everything") ||
                    (section->is_default && span_is_word(asked, "default"));
    }
    return is_asked;
}

static struct server_counts server_since(const struct server *server)
{
    struct server_counts since = server->counts;
    const struct server_counts *base = &server->counts_base;
    since.connections -= base->connections;
    since.rejected -= base->rejected;
    since.commands -= base->commands;
    since.posted -= base->posted;
    since.input_bytes -= base->input_bytes;
    since.output_bytes -= base->output_bytes;
    since.errors -= base->errors;
    since.published -= base->published;
    since.delivered -= base->delivered;
    since.dropped -= base->dropped;
    return since;
}

int apply_info(struct call *call)
{
    struct buf text;
    buf_init(&text, call->reply->out->heap);
    struct info info = {
        .call = call, .server = call->server, .since = server_since(call->server), .out = &text};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        if (!is_asked(call, &sections[i]))
            continue;
        if (text.len)
            buf_put_text(&text, "\r\n");
        info_put(&info, "# %s", sections[i].title);
        sections[i].put(&info);
    }
    reply_verbatim(call->reply, "txt", buf_span(&text));
    buf_deinit(&text);
    return 0;
}
