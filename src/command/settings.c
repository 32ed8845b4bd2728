// SPDX-License-Identifier: Apache-2.0
// CONFIG SET: what can be changed while the database runs. A setting is a row: its name, whether a
// value will do, and what it then does. All of a command's values are looked at before the first is
// set, so it does all or nothing.
#include <stdio.h>
#include "base/decimal.h"
#include "command/acl.h"
#include "command/handlers.h"
#include "command/notify.h"

#define COMMIT_INTERVAL_MAX 10000
#define SCRIPT_MS_MAX       (24 * 3600 * 1000)
#define LOG_MAX             100000
#define CLIENTS_MAX         1000000
#define LATENCY_MS_MAX      86400000

static const char *check_number(struct span value, int64_t smallest, int64_t largest)
{
    int64_t number;
    if (!decimal_parse(value, &number))
        return "argument couldn't be parsed into an integer";
    return number < smallest || number > largest ? "argument is out of range" : NULL;
}

static int64_t number_of(struct span value)
{
    int64_t number = 0;
    decimal_parse(value, &number); // it was checked
    return number;
}

// ---- commit-interval

static const char *check_commit_interval(struct span value)
{
    return check_number(value, 1, COMMIT_INTERVAL_MAX)
               ? "argument must be between 1 and 10000 milliseconds"
               : NULL;
}

static int set_commit_interval(struct call *call, struct span value)
{
    call->server->commit_interval_ms = (uint32_t)number_of(value);
    return 0;
}

// ---- scripts

static const char *check_script_ms(struct span value)
{
    return check_number(value, 0, SCRIPT_MS_MAX);
}

static int set_script_time(struct call *call, struct span value)
{
    call->server->script_time_ms = (uint32_t)number_of(value);
    return 0;
}

// 0 is "never" to Redis.
static int set_script_busy(struct call *call, struct span value)
{
    call->server->script_busy_ms = number_of(value) ? (uint32_t)number_of(value) : UINT32_MAX;
    return 0;
}

// ---- users

static const char *check_password(struct span value)
{
    return value.len > SERVER_PASSWORD_MAX ||
                   memchr(value.ptr ? value.ptr : (const uint8_t *)"", '\0', value.len)
               ? "argument must be a text of at most 512 bytes"
               : NULL;
}

static int set_password(struct call *call, struct span value)
{
    struct buf rule;
    uint32_t at;
    buf_init(&rule, call->reply->out->heap);
    buf_put_byte(&rule, '>');
    buf_put(&rule, value);
    struct span rules[] = {span_text("resetpass"),
                           value.len ? buf_span(&rule) : span_text("nopass")};
    struct acl_change change = {span_text("default"), rules, 2};
    int outcome = buf_has_failed(&rule) ? -ENOMEM : acl_set(call->server->acl, &change, &at);
    buf_deinit(&rule);
    if (outcome)
        return outcome;
    if (value.len)
        memcpy(call->server->password, value.ptr, value.len);
    call->server->password[value.len] = '\0';
    call->later = call->server->acl->view->generation;
    return 0;
}

static const char *check_channels(struct span value)
{
    return span_is_word(value, "allchannels") || span_is_word(value, "resetchannels")
               ? NULL
               : "argument(s) must be one of the following: allchannels, resetchannels";
}

static int set_channels(struct call *call, struct span value)
{
    call->server->acl->is_channels_open = span_is_word(value, "allchannels");
    return 0;
}

static const char *check_log_max(struct span value)
{
    return check_number(value, 0, LOG_MAX) ? "argument must be between 0 and 100000" : NULL;
}

static int set_log_max(struct call *call, struct span value)
{
    acl_log_limit(call->server->acl->log, (uint32_t)number_of(value));
    return 0;
}

static int set_protected(struct call *call, struct span value)
{
    if (acl_protect(call->server->acl, span_is_word(value, "yes")))
        return -ENOMEM;
    call->later = call->server->acl->view->generation;
    return 0;
}

// ---- bounds

static const char *check_clients_max(struct span value)
{
    return check_number(value, 1, CLIENTS_MAX) ? "argument must be between 1 and 1000000" : NULL;
}

static int set_clients_max(struct call *call, struct span value)
{
    struct bounds *bounds = &call->server->bounds;
    bounds->clients_max = (uint32_t)number_of(value);
    bounds->version++;
    return 0;
}

static const char *check_bytes(struct span value)
{
    uint64_t bytes;
    return bounds_parse_bytes(value, &bytes) ? NULL : "argument must be a memory value";
}

static int set_memory_max(struct call *call, struct span value)
{
    struct bounds *bounds = &call->server->bounds;
    bounds_parse_bytes(value, &bounds->memory_max); // it was checked
    bounds->version++;
    return 0;
}

static const char *check_seconds(struct span value)
{
    return check_number(value, 0, INT32_MAX) ? "argument must be between 0 and 2147483647" : NULL;
}

static int set_timeout(struct call *call, struct span value)
{
    call->server->bounds.idle_s = (uint32_t)number_of(value);
    call->server->bounds.version++;
    return 0;
}

static int set_keepalive(struct call *call, struct span value)
{
    call->server->bounds.keepalive_s = (uint32_t)number_of(value);
    call->server->bounds.version++;
    return 0;
}

static const char *check_output(struct span value)
{
    struct output_bound output[OUTPUT_CLASSES];
    return bounds_parse_output(value, output);
}

static int set_output(struct call *call, struct span value)
{
    bounds_parse_output(value, call->server->bounds.output); // it was checked
    call->server->bounds.version++;
    return 0;
}

// ---- what is watched

static const char *check_slow_us(struct span value)
{
    return check_number(value, -1, INT64_MAX) ? "argument must be -1 or more microseconds" : NULL;
}

static int set_slow_us(struct call *call, struct span value)
{
    call->server->slowlog.slower_than_us = number_of(value);
    return 0;
}

static const char *check_slow_len(struct span value)
{
    return check_number(value, 0, SLOWLOG_LEN_MAX) ? "argument must be between 0 and 10000" : NULL;
}

static int set_slow_len(struct call *call, struct span value)
{
    struct slowlog *slowlog = &call->server->slowlog;
    slowlog->len_max = (uint64_t)number_of(value);
    slowlog_trim(slowlog, slowlog->len_max);
    return 0;
}

static const char *check_latency_threshold(struct span value)
{
    return check_number(value, 0, LATENCY_MS_MAX) ? "argument must be between 0 and 86400000"
                                                  : NULL;
}

static int set_latency_threshold(struct call *call, struct span value)
{
    call->server->latency.threshold_ms = (uint64_t)number_of(value);
    return 0;
}

static const char *check_switch(struct span value)
{
    return span_is_word(value, "yes") || span_is_word(value, "no")
               ? NULL
               : "argument must be 'yes' or 'no'";
}

static int set_latency_tracking(struct call *call, struct span value)
{
    call->server->is_latency_tracked = span_is_word(value, "yes");
    return 0;
}

static const char *check_notify(struct span value)
{
    uint32_t flags;
    return notify_parse(value, &flags) ? NULL
                                       : "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
}

static int set_notify(struct call *call, struct span value)
{
    notify_parse(value, &call->server->notify); // it was checked
    return 0;
}

static const struct setting {
    const char *name;
    const char *(*check)(struct span value);          // NULL: it will do
    int (*set)(struct call *call, struct span value); // 0 or -ENOMEM
} settings[] = {
    {"commit-interval", check_commit_interval, set_commit_interval},
    {"script-time-limit", check_script_ms, set_script_time},
    {"busy-reply-threshold", check_script_ms, set_script_busy},
    {"lua-time-limit", check_script_ms, set_script_busy},
    {"requirepass", check_password, set_password},
    {"acl-pubsub-default", check_channels, set_channels},
    {"acllog-max-len", check_log_max, set_log_max},
    {"protected-mode", check_switch, set_protected},
    {"maxclients", check_clients_max, set_clients_max},
    {"maxmemory", check_bytes, set_memory_max},
    {"timeout", check_seconds, set_timeout},
    {"tcp-keepalive", check_seconds, set_keepalive},
    {"client-output-buffer-limit", check_output, set_output},
    {"slowlog-log-slower-than", check_slow_us, set_slow_us},
    {"slowlog-max-len", check_slow_len, set_slow_len},
    {"latency-monitor-threshold", check_latency_threshold, set_latency_threshold},
    {"latency-tracking", check_switch, set_latency_tracking},
    {"notify-keyspace-events", check_notify, set_notify},
};

static const struct setting *find_setting(struct span name)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (span_is_word(name, settings[i].name))
            return &settings[i];
    }
    return NULL;
}

static void refuse(struct call *call, struct span name, const char *why)
{
    char text[300];
    snprintf(text, sizeof text, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
             (int)name.len, (const char *)name.ptr, why);
    reply_error_text(call->reply, text);
}

static bool is_before(const struct call *call, uint32_t at, const struct setting *setting)
{
    for (uint32_t i = 2; setting && i < at; i += 2) {
        if (find_setting(call->argv[i]) == setting)
            return true;
    }
    return false;
}

static bool check_all(struct call *call)
{
    for (uint32_t i = 2; i < call->argc; i += 2) {
        const struct setting *setting = find_setting(call->argv[i]);
        const char *why = setting ? setting->check(call->argv[i + 1]) : NULL;
        if (is_before(call, i, setting))
            why = "duplicate parameter";
        if (why)
            refuse(call, call->argv[i], why);
        else if (!setting && config_is_known(call->argv[i]))
            refuse(call, call->argv[i], "can't set immutable config: it is an option of the start");
        else if (!setting)
            reply_error_with(call->reply, REPLY_ERROR_CONFIG, call->argv[i]);
        if (why || !setting)
            return false;
    }
    return true;
}

const char *settings_start(struct server *server, struct heap *heap, const char *name,
                           const char *value)
{
    struct buf scratch;
    buf_init(&scratch, heap);
    struct reply reply = reply_to(&scratch, 2);
    struct call call = {.server = server, .reply = &reply};
    const struct setting *setting = find_setting(span_text(name));
    const char *why = setting->check(span_text(value));
    if (!why && setting->set(&call, span_text(value)))
        why = "out of memory";
    buf_deinit(&scratch);
    return why;
}

// As far as the operating system lets it.
static bool is_possible(struct call *call)
{
    const struct bounds *bounds = &call->server->bounds;
    for (uint32_t i = 2; bounds->clients_possible && i < call->argc; i += 2) {
        if (!span_is_word(call->argv[i], "maxclients") ||
            number_of(call->argv[i + 1]) <= bounds->clients_possible)
            continue;
        char text[160];
        snprintf(text, sizeof text,
                 "The operating system is not able to handle the specified number of clients, try "
                 "with %u",
                 bounds->clients_possible);
        refuse(call, call->argv[i], text);
        return false;
    }
    return true;
}

int config_set(struct call *call)
{
    if (call->argc < 4 || call->argc % 2)
        return reply_arity(call, "config|set");
    if (!call->later) {
        if (!check_all(call) || !is_possible(call))
            return 0;
        for (uint32_t i = 2; i < call->argc; i += 2) {
            if (find_setting(call->argv[i])->set(call, call->argv[i + 1]))
                return reply_out_of_memory(call);
        }
    }
    if (call->later > call->server->acl->done && !call->server->is_draining)
        return COMMAND_E_LATER;
    reply_ok(call->reply);
    return 0;
}
