// SPDX-License-Identifier: Apache-2.0
// The text format of Prometheus (exposition format 0.0.4): HELP, TYPE, sample.
#include <stddef.h>
#include "base/decimal.h"
#include "service/metrics.h"

struct row {
    const char *name;
    const char *labels; // NULL: none; then HELP and TYPE are the row's before it of that name
    const char *help;   // NULL: same name as the row before
    const char *type;
    size_t offset;
};

#define COUNTER(field, name, help)                                                                 \
    {                                                                                              \
        name, NULL, help, "counter", offsetof(struct metrics, field)                               \
    }
#define LABELLED(field, name, labels, help)                                                        \
    {                                                                                              \
        name, labels, help, "counter", offsetof(struct metrics, field)                             \
    }
#define GAUGE(field, name, help)                                                                   \
    {                                                                                              \
        name, NULL, help, "gauge", offsetof(struct metrics, field)                                 \
    }

static const struct row rows[] = {
    COUNTER(connections, "quipu_service_connections_total", "HTTP connections accepted."),
    COUNTER(connections_refused, "quipu_service_connections_refused_total",
            "HTTP connections refused at the limit."),
    GAUGE(connections_now, "quipu_service_connections", "HTTP connections open."),
    COUNTER(requests, "quipu_service_requests_total", "HTTP requests read."),
    LABELLED(answers_2xx, "quipu_service_answers_total", "{class=\"2xx\"}",
             "HTTP answers by class of status."),
    LABELLED(answers_3xx, "quipu_service_answers_total", "{class=\"3xx\"}", NULL),
    LABELLED(answers_4xx, "quipu_service_answers_total", "{class=\"4xx\"}", NULL),
    LABELLED(answers_5xx, "quipu_service_answers_total", "{class=\"5xx\"}", NULL),
    GAUGE(database_up, "quipu_service_database_up", "1 while the database answers."),
    COUNTER(database_sessions, "quipu_service_database_sessions_total",
            "Times the database was reached."),
    COUNTER(database_commands, "quipu_service_database_commands_total",
            "Commands sent to the database."),
    COUNTER(database_failures, "quipu_service_database_failures_total",
            "Commands not sent or not answered."),
    COUNTER(heartbeats, "quipu_service_heartbeats_total", "Heartbeats taken."),
    LABELLED(heartbeats_malformed, "quipu_service_heartbeats_dropped_total",
             "{reason=\"malformed\"}", "Heartbeats dropped by reason."),
    LABELLED(heartbeats_unproven, "quipu_service_heartbeats_dropped_total", "{reason=\"secret\"}",
             NULL),
    LABELLED(heartbeats_stale, "quipu_service_heartbeats_dropped_total", "{reason=\"stale\"}",
             NULL),
    LABELLED(heartbeats_over_limit, "quipu_service_heartbeats_dropped_total", "{reason=\"limit\"}",
             NULL),
    GAUGE(platforms_now, "quipu_service_nodes", "Real-time nodes heard."),
    GAUGE(tallies_now, "quipu_service_keys", "Keys that real-time nodes told of."),
    GAUGE(shares_now, "quipu_service_shares", "Pairs of node and key."),
    COUNTER(presence_sets, "quipu_service_presence_sets_total", "Presence leases set or renewed."),
    COUNTER(presence_refused, "quipu_service_presence_refused_total",
            "Presence leases refused by the database."),
    COUNTER(events, "quipu_service_events_total", "Changes heard from the database."),
    COUNTER(events_malformed, "quipu_service_events_malformed_total",
            "Changes not understood, and read again."),
    COUNTER(rereads, "quipu_service_rereads_total", "Values read for subscribers."),
    COUNTER(puts, "quipu_service_puts_total", "PUTs taken by real-time nodes."),
    COUNTER(puts_failed, "quipu_service_puts_failed_total", "PUTs refused or not answered."),
    COUNTER(put_counts, "quipu_service_put_counts_total", "Counts in the PUTs taken."),
};

static void put_head(struct buf *out, const char *what, const char *name, const char *text)
{
    buf_put_text(out, what);
    buf_put_text(out, name);
    buf_put_byte(out, ' ');
    buf_put_text(out, text);
    buf_put_byte(out, '\n');
}

void metrics_write(const struct metrics *metrics, struct buf *out)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        if (row->help) {
            put_head(out, "# HELP ", row->name, row->help);
            put_head(out, "# TYPE ", row->name, row->type);
        }
        uint64_t value;
        memcpy(&value, (const char *)metrics + row->offset, sizeof value);
        buf_put_text(out, row->name);
        buf_put_text(out, row->labels ? row->labels : "");
        buf_put_byte(out, ' ');
        decimal_put_unsigned(out, value);
        buf_put_byte(out, '\n');
    }
}
