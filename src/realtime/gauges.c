// SPDX-License-Identifier: Apache-2.0
// One row a metric. Counts since the start end in _total; no key and no address is ever a label.
#include "realtime/gauges.h"
#include "base/decimal.h"
#include "realtime/part.h"

struct gauge {
    const char *name, *type, *help;
    uint64_t value;
};

static void put_gauge(struct buf *out, const struct gauge *gauge)
{
    buf_put_text(out, "# HELP quipu_realtime_");
    buf_put_text(out, gauge->name);
    buf_put_text(out, " ");
    buf_put_text(out, gauge->help);
    buf_put_text(out, "\n# TYPE quipu_realtime_");
    buf_put_text(out, gauge->name);
    buf_put_text(out, " ");
    buf_put_text(out, gauge->type);
    buf_put_text(out, "\nquipu_realtime_");
    buf_put_text(out, gauge->name);
    buf_put_text(out, " ");
    decimal_put_unsigned(out, gauge->value);
    buf_put_text(out, "\n");
}

void gauges_put(struct buf *out, const struct realtime *realtime)
{
    const struct gauges *own = &realtime->gauges;
    const struct fanout *fanout = &realtime->fanout;
    const struct pulse *pulse = &realtime->pulse;
    const struct upstream *upstream = &realtime->upstream;
    const struct gauge rows[] = {
        {"connections", "gauge", "Open connections.", realtime->visitors.count},
        {"streams", "gauge", "Open streams, WebSocket and events, and polls.",
         realtime->visitors.live_count},
        {"topics", "gauge", "Keys tracked or published here.", realtime->board.count},
        {"subscriptions", "gauge", "Keys tracked, summed over streams.",
         realtime->board.subscriptions_count},
        {"connections_total", "counter", "Connections accepted.", own->connections_accepted},
        {"connections_refused_total", "counter", "Connections over the limit.",
         own->connections_refused},
        {"http_requests_total", "counter", "HTTP requests.", own->requests},
        {"upgrades_total", "counter", "WebSocket streams opened.", own->upgrades},
        {"events_total", "counter", "Streams of server-sent events opened.", own->events},
        {"polls_total", "counter", "Polls.", own->polls},
        {"upgrades_refused_total", "counter", "Streams and polls refused.", own->upgrades_refused},
        {"tokens_refused_total", "counter", "Tokens missing, wrong or expired.",
         own->tokens_refused},
        {"messages_received_total", "counter", "Messages of clients.", own->messages_received},
        {"messages_refused_total", "counter", "Messages answered with an error.",
         own->messages_refused},
        {"updates_applied_total", "counter", "Newer values taken in.", own->updates_applied},
        {"updates_stale_total", "counter", "Values not newer than what is held.",
         own->updates_stale},
        {"updates_untracked_total", "counter", "Values nobody here tracks.",
         own->updates_untracked},
        {"updates_refused_total", "counter", "PUTs malformed or wrongly signed.",
         own->updates_refused},
        {"ticks_total", "counter", "Ticks with changes.", own->ticks},
        {"frames_encoded_total", "counter", "Frames encoded.", fanout->frames_encoded},
        {"frames_packed_total", "counter", "Frames deflated.", fanout->frames_packed},
        {"frames_sent_total", "counter", "Frames sent.", fanout->frames_sent},
        {"bytes_sent_total", "counter", "Bytes of frames sent.", fanout->bytes_sent},
        {"choked_total", "counter", "Times a subscriber could take no frame.", fanout->busy_count},
        {"closed_slow_total", "counter", "Streams closed for not reading.", own->closed_slow},
        {"closed_silent_total", "counter", "Streams closed for silence.", own->closed_silent},
        {"closed_protocol_total", "counter", "Streams closed for bad frames.",
         own->closed_protocol},
        {"closed_rate_total", "counter", "Streams closed for too many messages.", own->closed_rate},
        {"closed_expired_total", "counter", "Streams closed because their token expired.",
         own->closed_expired},
        {"heartbeats_sent_total", "counter", "Datagrams sent to the service.",
         pulse->datagrams_sent},
        {"heartbeats_failed_total", "counter", "Datagrams that could not be sent.",
         pulse->datagrams_failed},
        {"upstream_requests_total", "counter", "Requests for first values.",
         upstream->requests_sent},
        {"upstream_failures_total", "counter", "Requests for first values that failed.",
         upstream->requests_failed},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        put_gauge(out, &rows[i]);
}
