// SPDX-License-Identifier: Apache-2.0
// CONFIG GET, RESETSTAT, REWRITE. A parameter is a row: its name as Redis or we have it, and how it
// is read. What can be changed while running is in settings.c; everything else is an option of the
// start, and is said to be.
#include <stdio.h>
#include "base/decimal.h"
#include "base/glob.h"
#include "command/acl.h"
#include "command/handlers.h"
#include "command/notify.h"

static void put_number(struct buf *out, uint64_t value)
{
    decimal_put_unsigned(out, value);
}

static void get_script_time(const struct call *call, struct buf *out)
{
    put_number(out, call->server->script_time_ms);
}

static void get_script_busy(const struct call *call, struct buf *out)
{
    uint32_t busy_ms = call->server->script_busy_ms;
    put_number(out, busy_ms == UINT32_MAX ? 0 : busy_ms);
}

static void get_commit_interval(const struct call *call, struct buf *out)
{
    put_number(out, call->server->commit_interval_ms);
}

static void get_durability(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->is_strict ? "strict" : "relaxed");
}

static void get_appendfsync(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->is_strict ? "always" : "everysec");
}

static void get_port(const struct call *call, struct buf *out)
{
    put_number(out, call->server->port);
}

static void get_peer_port(const struct call *call, struct buf *out)
{
    put_number(out, call->server->peer_port);
}

static void get_bind(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->listen_host);
}

static void get_directory(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->directory);
}

static void get_replica(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->identity->replica);
}

static void get_cluster(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->identity->cluster);
}

static void get_hook(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->hook);
}

static void get_threads(const struct call *call, struct buf *out)
{
    put_number(out, call->server->threads);
}

static void get_allow_cut(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->is_cut_allowed ? "yes" : "no");
}

static void get_clients_max(const struct call *call, struct buf *out)
{
    put_number(out, call->server->bounds.clients_max);
}

static void get_memory_max(const struct call *call, struct buf *out)
{
    put_number(out, call->server->bounds.memory_max);
}

static void get_timeout(const struct call *call, struct buf *out)
{
    put_number(out, call->server->bounds.idle_s);
}

static void get_keepalive(const struct call *call, struct buf *out)
{
    put_number(out, call->server->bounds.keepalive_s);
}

static void get_protected(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->acl->is_protected ? "yes" : "no");
}

static void get_request_max(const struct call *call, struct buf *out)
{
    (void)call;
    put_number(out, LIMIT_REQUEST_BYTES);
}

static void get_output_max(const struct call *call, struct buf *out)
{
    static const char *const names[] = {
        [OUTPUT_NORMAL] = "normal ", [OUTPUT_PUBSUB] = " slave 0 0 0 pubsub "};
    for (unsigned i = 0; i < OUTPUT_CLASSES; i++) {
        const struct output_bound *bound = &call->server->bounds.output[i];
        buf_put_text(out, names[i]);
        put_number(out, bound->hard);
        buf_put_byte(out, ' ');
        put_number(out, bound->soft);
        buf_put_byte(out, ' ');
        put_number(out, bound->soft_s);
    }
}

static void get_slow_us(const struct call *call, struct buf *out)
{
    decimal_put(out, call->server->slowlog.slower_than_us);
}

static void get_slow_len(const struct call *call, struct buf *out)
{
    put_number(out, call->server->slowlog.len_max);
}

static void get_latency_threshold(const struct call *call, struct buf *out)
{
    put_number(out, call->server->latency.threshold_ms);
}

static void get_latency_tracking(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->is_latency_tracked ? "yes" : "no");
}

static void get_notify(const struct call *call, struct buf *out)
{
    notify_write(call->server->notify, out);
}

static void get_password(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->password);
}

static void get_acl_path(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->acl_path ? call->server->acl_path : "");
}

static void get_acl_channels(const struct call *call, struct buf *out)
{
    buf_put_text(out, call->server->acl->is_channels_open ? "allchannels" : "resetchannels");
}

static void get_acl_log_max(const struct call *call, struct buf *out)
{
    put_number(out, acl_log_max(call->server->acl->log));
}

static const struct parameter {
    const char *name;
    const char *fixed; // the answer, when `get` is NULL
    void (*get)(const struct call *call, struct buf *out);
} parameters[] = {
    {"commit-interval", NULL, get_commit_interval},
    {"script-time-limit", NULL, get_script_time},
    {"busy-reply-threshold", NULL, get_script_busy},
    {"lua-time-limit", NULL, get_script_busy},
    {"durability", NULL, get_durability},
    {"replica", NULL, get_replica},
    {"cluster", NULL, get_cluster},
    {"hook", NULL, get_hook},
    {"allow-cut", NULL, get_allow_cut},
    {"peer-port", NULL, get_peer_port},
    // as Redis has them
    {"slowlog-log-slower-than", NULL, get_slow_us},
    {"slowlog-max-len", NULL, get_slow_len},
    {"latency-monitor-threshold", NULL, get_latency_threshold},
    {"latency-tracking", NULL, get_latency_tracking},
    {"notify-keyspace-events", NULL, get_notify},
    // what tools written for Redis ask for
    {"port", NULL, get_port},
    {"bind", NULL, get_bind},
    {"dir", NULL, get_directory},
    {"io-threads", NULL, get_threads},
    {"maxclients", NULL, get_clients_max},
    {"proto-max-bulk-len", NULL, get_request_max},
    {"client-output-buffer-limit", NULL, get_output_max},
    {"appendfsync", NULL, get_appendfsync},
    {"appendonly", "yes", NULL},
    {"save", "", NULL},
    {"databases", "1", NULL},
    {"maxmemory", NULL, get_memory_max},
    {"maxmemory-policy", "noeviction", NULL},
    {"timeout", NULL, get_timeout},
    {"tcp-keepalive", NULL, get_keepalive},
    {"protected-mode", NULL, get_protected},
    {"daemonize", "no", NULL},
    {"replicaof", "", NULL},
    {"slaveof", "", NULL},
    {"replica-read-only", "no", NULL},
    {"slave-read-only", "no", NULL},
    {"requirepass", NULL, get_password},
    {"aclfile", NULL, get_acl_path},
    {"acl-pubsub-default", NULL, get_acl_channels},
    {"acllog-max-len", NULL, get_acl_log_max},
    {"cluster-enabled", "no", NULL},
};
#define PARAMETERS (sizeof parameters / sizeof *parameters)

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

static bool is_asked(const struct call *call, const char *name)
{
    for (uint32_t i = 2; i < call->argc; i++) {
        uint8_t pattern[64];
        size_t len = call->argv[i].len;
        if (len > sizeof pattern)
            continue;
        for (size_t at = 0; at < len; at++)
            pattern[at] = lower(call->argv[i].ptr[at]);
        if (glob_is_match(span_of(pattern, len), span_text(name)))
            return true;
    }
    return false;
}

int config_get(struct call *call)
{
    struct buf value;
    size_t count = 0;
    buf_init(&value, call->reply->out->heap);
    for (size_t i = 0; i < PARAMETERS; i++)
        count += is_asked(call, parameters[i].name);
    reply_map(call->reply, count);
    for (size_t i = 0; i < PARAMETERS; i++) {
        if (!is_asked(call, parameters[i].name))
            continue;
        buf_clear(&value);
        if (parameters[i].get)
            parameters[i].get(call, &value);
        else
            buf_put_text(&value, parameters[i].fixed);
        reply_bulk_text(call->reply, parameters[i].name);
        reply_bulk(call->reply, buf_span(&value));
    }
    buf_deinit(&value);
    return 0;
}

// Whether CONFIG GET knows it: an option of the start then.
bool config_is_known(struct span name)
{
    for (size_t i = 0; i < PARAMETERS; i++) {
        if (span_is_word(name, parameters[i].name))
            return true;
    }
    return false;
}

int config_resetstat(struct call *call)
{
    struct server *server = call->server;
    server->counts_base = server->counts;
    struct command_count *to = server->commands_base.commands;
    if (to)
        memcpy(to, server->commands.commands, command_count() * sizeof *to);
    server->commands_base.errors_count = server->commands.errors_count;
    memcpy(server->commands_base.errors, server->commands.errors,
           sizeof server->commands_base.errors);
    reply_ok(call->reply);
    return 0;
}

int config_rewrite(struct call *call)
{
    reply_error_text(call->reply, "ERR The server is running without a config file");
    return 0;
}
