// SPDX-License-Identifier: Apache-2.0
// LATENCY's commands. HISTOGRAM tells of the commands that are timed, see slowlog.h.
#include <stdio.h>
#include "command/counts.h"
#include "command/handlers.h"
#include "command/latency.h"

static const char *const event_names[LATENCY_EVENTS] = {
    [LATENCY_COMMAND] = "command",
    [LATENCY_FAST_COMMAND] = "fast-command",
    [LATENCY_COMMIT] = "commit",
};

const char *latency_event_name(enum latency_event event)
{
    return event_names[event];
}

static struct latency_sample *newest(struct latency_series *series)
{
    return &series->sample[(series->count - 1) % LATENCY_SAMPLES];
}

void latency_note(struct latency *latency, enum latency_event event, uint64_t time_s,
                  uint64_t took_us)
{
    struct latency_series *series = &latency->series[event];
    uint64_t took_ms = took_us / 1000;
    if (!latency->threshold_ms || took_ms < latency->threshold_ms)
        return;
    if (took_ms > series->max_ms)
        series->max_ms = took_ms;
    if (series->count && newest(series)->time_s == time_s) {
        if (newest(series)->took_ms < took_ms)
            newest(series)->took_ms = took_ms;
        return;
    }
    series->count++;
    *newest(series) = (struct latency_sample){time_s, took_ms};
}

// NULL: no such event, which is one that was never noted.
static struct latency_series *find(struct call *call, struct span name)
{
    for (unsigned i = 0; i < LATENCY_EVENTS; i++) {
        if (span_is_equal(name, span_text(event_names[i])))
            return &call->server->latency.series[i];
    }
    return NULL;
}

int latency_latest(struct call *call)
{
    struct latency *latency = &call->server->latency;
    size_t mark = reply_open_array(call->reply), count = 0;
    for (unsigned i = 0; i < LATENCY_EVENTS; i++) {
        struct latency_series *series = &latency->series[i];
        if (!series->count)
            continue;
        reply_array(call->reply, 4);
        reply_bulk_text(call->reply, event_names[i]);
        reply_integer(call->reply, (int64_t)newest(series)->time_s);
        reply_integer(call->reply, (int64_t)newest(series)->took_ms);
        reply_integer(call->reply, (int64_t)series->max_ms);
        count++;
    }
    reply_close_array(call->reply, mark, count);
    return 0;
}

int latency_history(struct call *call)
{
    const struct latency_series *series = find(call, call->argv[2]);
    uint64_t count = series ? series->count : 0;
    uint64_t first = count > LATENCY_SAMPLES ? count - LATENCY_SAMPLES : 0;
    reply_array(call->reply, count - first);
    for (uint64_t i = first; i < count; i++) {
        const struct latency_sample *sample = &series->sample[i % LATENCY_SAMPLES];
        reply_array(call->reply, 2);
        reply_integer(call->reply, (int64_t)sample->time_s);
        reply_integer(call->reply, (int64_t)sample->took_ms);
    }
    return 0;
}

int latency_reset(struct call *call)
{
    int64_t count = 0;
    for (unsigned i = 0; i < LATENCY_EVENTS; i++) {
        struct latency_series *series = &call->server->latency.series[i];
        bool is_asked = call->argc == 2;
        for (uint32_t at = 2; at < call->argc; at++)
            is_asked |= find(call, call->argv[at]) == series;
        if (!is_asked || !series->count)
            continue;
        *series = (struct latency_series){0};
        count++;
    }
    reply_integer(call->reply, count);
    return 0;
}

static const char *const advice[LATENCY_EVENTS] = {
    [LATENCY_COMMAND] = "commands that walk over much: see SLOWLOG GET; prefer SCAN to KEYS, and "
                        "few members to a call.",
    [LATENCY_FAST_COMMAND] = "fast commands were slow: the machine has too few cores for "
                             "--threads, or swaps.",
    [LATENCY_COMMIT] = "commits were slow: the disk of --data syncs slowly; see commit_max_us in "
                       "INFO persistence.",
};

int latency_doctor(struct call *call)
{
    const struct latency *latency = &call->server->latency;
    struct buf text;
    char line[320];
    buf_init(&text, call->reply->out->heap);
    if (!latency->threshold_ms)
        buf_put_text(&text, "Nothing is noted: CONFIG SET latency-monitor-threshold to the "
                            "milliseconds from which on moments are.\n");
    for (unsigned i = 0; i < LATENCY_EVENTS; i++) {
        const struct latency_series *series = &latency->series[i];
        if (!series->count)
            continue;
        snprintf(line, sizeof line, "%s: %llu moments, at most %llu ms; %s\n", event_names[i],
                 (unsigned long long)series->count, (unsigned long long)series->max_ms, advice[i]);
        buf_put_text(&text, line);
    }
    if (latency->threshold_ms && !text.len)
        buf_put_text(&text, "No moment was slower than the threshold.\n");
    reply_verbatim(call->reply, "txt", buf_span(&text));
    buf_deinit(&text);
    return 0;
}

int latency_graph(struct call *call)
{
    reply_error_text(call->reply,
                     "ERR LATENCY GRAPH is refused: a drawing for a terminal; see LATENCY HISTORY");
    return 0;
}

// ---- HISTOGRAM [command ...]

static void put_histogram(struct call *call, const struct command *command,
                          const struct command_count *count)
{
    struct reply *reply = call->reply;
    uint64_t sum = 0;
    reply_bulk_text(reply, command->name);
    reply_map(reply, 2);
    reply_bulk_text(reply, "calls");
    reply_integer(reply, (int64_t)command_count_timed(count));
    reply_bulk_text(reply, "histogram_usec");
    size_t buckets = 0;
    for (unsigned i = 0; i < COUNT_BUCKETS; i++)
        buckets += count->bucket[i] > 0;
    reply_map(reply, buckets);
    for (unsigned i = 0; i < COUNT_BUCKETS; i++) {
        sum += count->bucket[i];
        if (!count->bucket[i])
            continue;
        reply_integer(reply, (int64_t)1 << i);
        reply_integer(reply, (int64_t)sum);
    }
}

static bool is_asked(const struct call *call, const struct command *command)
{
    bool is_asked = call->argc == 2;
    for (uint32_t i = 2; i < call->argc; i++)
        is_asked |= span_is_word(call->argv[i], command->name);
    return is_asked;
}

int latency_histogram(struct call *call)
{
    struct command_count count;
    size_t found = 0;
    for (unsigned i = 0; i < command_count(); i++) {
        found += is_asked(call, command_at(i)) && counts_since(call->server, i, &count) &&
                 command_count_timed(&count);
    }
    reply_map(call->reply, found);
    for (unsigned i = 0; i < command_count(); i++) {
        if (is_asked(call, command_at(i)) && counts_since(call->server, i, &count) &&
            command_count_timed(&count))
            put_histogram(call, command_at(i), &count);
    }
    return 0;
}
