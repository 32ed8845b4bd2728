// SPDX-License-Identifier: Apache-2.0
// Composes the part, and ends it. A drain lets clients go one by one, spread over its time, so that
// they do not come back in one crowd; those still here are told counts until they go, and the
// service hears of them until the last, so that no count dips while they move.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include "base/owner.h"
#include "os/clock.h"
#include "os/heap_system.h"
#include "os/log.h"
#include "realtime/part.h"
#include "realtime/site.h"
#include "wire/url.h"

#define DRAIN_STEP_MS 20
#define DRAIN_LAST_MS 500 // for the last Close frames

// ---- values

static void arm_tick(struct realtime *realtime)
{
    if (loop_timer_is_set(&realtime->tick))
        return;
    uint64_t now_ms = loop_now_ms(realtime->loop);
    uint64_t due_ms = realtime->ticked_ms + realtime->options->tick_ms;
    loop_timer_set(realtime->loop, &realtime->tick, due_ms > now_ms ? due_ms : now_ms);
}

static void on_tick(struct loop_timer *timer)
{
    struct realtime *realtime = owner_of(timer, struct realtime, tick);
    realtime->ticked_ms = loop_now_ms(realtime->loop);
    realtime->gauges.ticks++;
    fanout_tick(&realtime->fanout);
}

int realtime_apply(struct realtime *realtime, struct topic *topic,
                   const struct topic_update *update)
{
    bool was_known = topic->is_known;
    int outcome = board_apply(&realtime->board, topic, update);
    if (outcome)
        return outcome;
    if (!was_known) {
        fanout_owe_all(&realtime->fanout, topic);
        return 0;
    }
    fanout_change(&realtime->fanout, topic);
    arm_tick(realtime);
    return 0;
}

static void on_value(struct upstream *upstream, struct topic *topic,
                     const struct topic_update *update)
{
    struct realtime *realtime = owner_of(upstream, struct realtime, upstream);
    realtime_apply(realtime, topic, update);
}

static void on_turn_end(void *ctx)
{
    struct realtime *realtime = ctx;
    if (fanout_is_ready(&realtime->fanout))
        fanout_flush(&realtime->fanout);
    upstream_flush(&realtime->upstream);
}

// ---- the end

static void drain_some(struct realtime *realtime, uint64_t elapsed_ms)
{
    uint64_t drain_ms = realtime->options->drain_ms;
    size_t gone = realtime->drain_total;
    if (elapsed_ms < drain_ms)
        gone = (size_t)((double)realtime->drain_total * (double)elapsed_ms / (double)drain_ms);
    for (; realtime->drain_gone < gone; realtime->drain_gone++)
        visitors_end_one(realtime, WEBSOCKET_CODE_RESTART, "restarting: reconnect");
}

static void on_drain(struct loop_timer *timer)
{
    struct realtime *realtime = owner_of(timer, struct realtime, drain);
    uint64_t now_ms = loop_now_ms(realtime->loop);
    uint64_t elapsed_ms = now_ms - realtime->drain_since_ms;
    drain_some(realtime, elapsed_ms);
    if (realtime->visitors.live_count == 0 ||
        elapsed_ms > realtime->options->drain_ms + DRAIN_LAST_MS) {
        loop_stop(realtime->loop);
        return;
    }
    loop_timer_set(realtime->loop, timer, now_ms + DRAIN_STEP_MS);
}

static void reload_tls(struct realtime *realtime)
{
    char error[TLS_TEXT_MAX];
    if (tls_reload(realtime->tls, error))
        log_line("realtime", NULL, "certificates not read again, the ones before stay: %s", error);
    else
        log_line("realtime", NULL, "certificates read again");
}

static void on_signal(struct signals *signals, int number)
{
    struct realtime *realtime = owner_of(signals, struct realtime, signals);
    if (number == SIGHUP && realtime->options->tls.cert_file)
        reload_tls(realtime);
    if (number != SIGTERM && number != SIGINT)
        return;
    if (realtime->is_draining) {
        loop_stop(realtime->loop);
        return;
    }
    realtime->is_draining = true;
    realtime->drain_since_ms = loop_now_ms(realtime->loop);
    realtime->drain_total = realtime->visitors.live_count;
    listener_stop(&realtime->listener);
    loop_timer_set(realtime->loop, &realtime->drain, realtime->drain_since_ms);
}

// ---- the start

static void on_accepted(struct listener *listener, int fd)
{
    struct realtime *realtime = owner_of(listener, struct realtime, listener);
    visitor_accept(realtime, fd);
}

// Thousands of clients need descriptors; the soft limit is often 1024.
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int start_upstream(struct realtime *realtime)
{
    struct upstream *upstream = &realtime->upstream;
    struct url url;
    if (!url_parse(span_text(realtime->options->service), &url) ||
        url.host.len >= sizeof(upstream->service.host)) {
        log_line("realtime", NULL, "--service %s: not of the form http[s]://HOST:PORT",
                 realtime->options->service);
        return -EINVAL;
    }
    memcpy(upstream->service.host, url.host.ptr, url.host.len);
    upstream->service.port = url.port;
    upstream->tls = url.is_tls ? realtime->tls : NULL;
    const char *authority = strstr(realtime->options->service, "://") + strlen("://");
    upstream->host = span_of(authority, strcspn(authority, "/"));
    upstream->prefix = url.path;
    while (upstream->prefix.len && upstream->prefix.ptr[upstream->prefix.len - 1] == '/')
        upstream->prefix.len--;
    upstream->on_value = on_value;
    upstream_start(upstream, realtime->loop, &realtime->board);
    return 0;
}

static int start_pulse(struct realtime *realtime, const char *address)
{
    const struct realtime_options *options = realtime->options;
    int fd = udp_connect(&options->heartbeat_to);
    if (fd < 0) {
        log_line("realtime", NULL, "cannot send heartbeats to %s:%u: %s",
                 options->heartbeat_to.host, (unsigned)options->heartbeat_to.port, strerror(-fd));
        return fd;
    }
    struct pulse_options pulse = {.node = options->node_id,
                                  .boot = clock_wall_ms(),
                                  .interval_ms = options->heartbeat_interval_ms,
                                  .address = span_text(address),
                                  .secret = options->secret};
    while (pulse.node == 0)
        random_bytes(&pulse.node, sizeof(pulse.node));
    pulse_start(&realtime->pulse, realtime->loop, &realtime->board, fd, &pulse);
    return 0;
}

static int start_listener(struct realtime *realtime, char out_text[ENDPOINT_TEXT_MAX])
{
    const struct endpoint *listen = &realtime->options->listen;
    struct endpoint bound;
    realtime->listener.on_accepted = on_accepted;
    int fault = listener_start(&realtime->listener, realtime->loop, listen);
    if (!fault)
        fault = endpoint_of_socket(realtime->listener.watch.fd, &bound);
    if (fault) {
        log_line("realtime", NULL, "cannot listen on %s:%u: %s", listen->host,
                 (unsigned)listen->port, strerror(-fault));
        listener_stop(&realtime->listener);
        return fault;
    }
    endpoint_write(&bound, out_text);
    if (!realtime->options->advertise &&
        (strcmp(bound.host, "0.0.0.0") == 0 || strcmp(bound.host, "::") == 0))
        log_line("realtime", NULL, "the service is told to PUT to %s: give --advertise", out_text);
    return 0;
}

static void init(struct realtime *realtime)
{
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    realtime->is_loopback = endpoint_is_loopback(&realtime->options->listen);
    realtime->tick.on_due = on_tick;
    realtime->drain.on_due = on_drain;
    buf_init(&realtime->answer, realtime->heap);
    buf_init(&realtime->scratch, realtime->heap);
    board_init(&realtime->board, realtime->heap, seed);
    fanout_init(&realtime->fanout, realtime->heap, visitor_tell);
    occupancy_start(&realtime->occupancy, realtime->heap);
    site_start(realtime);
}

static void deinit(struct realtime *realtime)
{
    site_stop(realtime);
    occupancy_stop(&realtime->occupancy);
    fanout_deinit(&realtime->fanout);
    deflate_free(realtime->deflate);
    board_deinit(&realtime->board);
    buf_deinit(&realtime->answer);
    buf_deinit(&realtime->scratch);
}

static int serve(struct realtime *realtime)
{
    char address[ENDPOINT_TEXT_MAX], told[ENDPOINT_TEXT_MAX + 8];
    const char *advertise = realtime->options->advertise;
    visitors_start(realtime);
    int fault = start_listener(realtime, address);
    if (fault)
        goto end_visitors;
    fault = start_upstream(realtime);
    if (fault)
        goto end_listener;
    snprintf(told, sizeof told, "%s%s", realtime->options->tls.cert_file ? "https://" : "",
             advertise ? advertise : address);
    fault = start_pulse(realtime, told);
    if (fault)
        goto end_upstream;
    fprintf(stderr, "quipu realtime: ready on %s\n", address);
    fault = loop_run(realtime->loop);
    pulse_bye(&realtime->pulse);
    visitors_stop(realtime);
    pulse_stop(&realtime->pulse);
end_upstream:
    upstream_stop(&realtime->upstream);
end_listener:
    listener_stop(&realtime->listener);
end_visitors:
    visitors_stop(realtime);
    return fault;
}

int realtime_run(const struct realtime_options *options)
{
    struct realtime_options whole = *options;
    if (!whole.tick_ms)
        whole.tick_ms = REALTIME_TICK_MS;
    if (!whole.heartbeat_interval_ms)
        whole.heartbeat_interval_ms = REALTIME_HEARTBEAT_INTERVAL_MS;
    if (!whole.drain_ms)
        whole.drain_ms = REALTIME_DRAIN_MS;
    if (!whole.spread_ms)
        whole.spread_ms = REALTIME_SPREAD_MS;
    struct realtime realtime = {.options = &whole, .heap = heap_system()};
    char error[TLS_TEXT_MAX];
    if (tls_new(&realtime.tls, &whole.tls, error)) {
        log_line("realtime", NULL, "%s", error);
        return -EINVAL;
    }
    struct loop_hooks hooks = {.on_turn_end = on_turn_end, .ctx = &realtime};
    raise_descriptors();
    int fault = loop_new(&realtime.loop, &hooks);
    if (fault) {
        tls_free(realtime.tls);
        return fault;
    }
    realtime.signals.on_signal = on_signal;
    fault = signals_start(&realtime.signals, realtime.loop);
    if (!fault) {
        init(&realtime);
        fault = serve(&realtime);
        deinit(&realtime);
        signals_stop(&realtime.signals);
    }
    loop_free(realtime.loop);
    tls_free(realtime.tls);
    return fault;
}
