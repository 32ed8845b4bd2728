// SPDX-License-Identifier: Apache-2.0
// The parts of the service put together on one loop, their start, and their end: SIGTERM or SIGINT
// closes the doors, lets what is under way be answered for DRAIN_MS at most, and stops.
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/owner.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/process.h"
#include "service/private.h"

#define DRAIN_MS      5000
#define DRAIN_LOOK_MS 10

// ---- one turn

void service_turn_end(struct service *service)
{
    updates_flush(&service->updates);
    values_flush(&service->values);
    if (database_is_up(&service->database))
        outlets_flush(&service->outlets);
}

static void on_up(struct database *database)
{
    struct service *service = owner_of(database, struct service, database);
    updates_database_up(&service->updates);
    heartbeats_database_up(&service->heartbeats);
}

static void on_message(struct database *database, const struct answer_token *push)
{
    struct service *service = owner_of(database, struct service, database);
    updates_message(&service->updates, push);
}

static void on_turn_end(void *ctx)
{
    service_turn_end(ctx);
}

static const struct database_ops database_ops = {.on_up = on_up, .on_message = on_message};

// ---- the end

static void on_drain(struct loop_timer *timer)
{
    struct service *service = owner_of(timer, struct service, drain_timer);
    uint64_t now_ms = loop_now_ms(service->loop);
    if (http_door_is_empty(&service->door) || now_ms >= service->drain_end_ms)
        loop_stop(service->loop);
    else
        loop_timer_set(service->loop, timer, now_ms + DRAIN_LOOK_MS);
}

static void reload_tls(struct service *service)
{
    char error[TLS_TEXT_MAX];
    if (tls_reload(service->tls, error))
        log_line("service", NULL, "certificates not read again, the ones before stay: %s", error);
    else
        log_line("service", NULL, "certificates read again");
}

static void on_signal(struct signals *signals, int number)
{
    struct service *service = owner_of(signals, struct service, signals);
    if (number == SIGHUP && service->options->tls.cert_file) {
        reload_tls(service);
        return;
    }
    if (number == SIGCHLD)
        return;
    if (service->is_draining) {
        loop_stop(service->loop);
        return;
    }
    service->is_draining = true;
    http_door_drain(&service->door);
    heartbeats_stop(&service->heartbeats);
    service->drain_end_ms = loop_now_ms(service->loop) + DRAIN_MS;
    service->drain_timer.on_due = on_drain;
    loop_timer_set(service->loop, &service->drain_timer, loop_now_ms(service->loop));
}

// ---- the start

static void init(struct service *service, const struct service_options *options, struct loop *loop)
{
    uint64_t chance[2];
    random_bytes(chance, sizeof chance);
    service->options = options;
    service->loop = loop;
    snprintf(service->boot, sizeof service->boot, "%016" PRIx64, chance[0]);
    struct metrics *metrics = &service->metrics;
    service->database = (struct database){.loop = loop,
                                          .endpoint = options->db,
                                          .user = options->db_user,
                                          .password = options->db_password,
                                          .is_user_optional = options->is_db_user_optional,
                                          .ops = &database_ops,
                                          .metrics = metrics};
    service->outlets = (struct outlets){.loop = loop,
                                        .database = &service->database,
                                        .metrics = metrics,
                                        .secret = options->secret,
                                        .tls = service->tls,
                                        .service = service->boot};
    service->updates = (struct updates){.loop = loop,
                                        .database = &service->database,
                                        .values = &service->values,
                                        .audience = &service->audience,
                                        .metrics = metrics};
    service->heartbeats = (struct heartbeats){.loop = loop,
                                              .database = &service->database,
                                              .audience = &service->audience,
                                              .updates = &service->updates,
                                              .metrics = metrics,
                                              .secret = options->secret};
    service->door = (struct http_door){.loop = loop,
                                       .service = service,
                                       .metrics = metrics,
                                       .tls = options->tls.cert_file ? service->tls : NULL};
    if (options->is_db_tls)
        service->database.commands.client.tls = service->database.subscriptions.client.tls =
            service->tls;
    values_init(&service->values, &service->database);
    outlets_init(&service->outlets);
    audience_init(&service->audience, metrics, &service->outlets, chance[1]);
    updates_start(&service->updates);
}

static int refuse(const char *what, const struct endpoint *endpoint, int fault)
{
    char text[ENDPOINT_TEXT_MAX];
    endpoint_write(endpoint, text);
    log_line("service", NULL, "cannot listen for %s on %s: %s", what, text, strerror(-fault));
    return fault;
}

int service_start(struct service *service, const struct service_options *options, struct loop *loop)
{
    init(service, options, loop);
    int fault = http_door_open(&service->door, &options->listen);
    if (fault)
        return refuse("HTTP", &options->listen, fault);
    fault = heartbeats_start(&service->heartbeats, &options->heartbeat_listen);
    if (fault)
        return refuse("heartbeats", &options->heartbeat_listen, fault);
    database_start(&service->database);
    return 0;
}

// Closing the database answers what is under way, so everything that may be waiting is still there
// then.
void service_stop(struct service *service)
{
    http_door_close(&service->door);
    heartbeats_stop(&service->heartbeats);
    database_stop(&service->database);
    values_flush(&service->values);
    audience_deinit(&service->audience);
    outlets_deinit(&service->outlets);
    updates_stop(&service->updates);
    http_door_free(&service->door);
}

static void say_ready(const struct service *service)
{
    char http[ENDPOINT_TEXT_MAX], heartbeats[ENDPOINT_TEXT_MAX];
    struct endpoint endpoint = service->options->listen;
    endpoint_of_socket(service->door.listener.watch.fd, &endpoint);
    endpoint_write(&endpoint, http);
    endpoint = service->options->heartbeat_listen;
    endpoint_of_socket(service->heartbeats.watch.fd, &endpoint);
    endpoint_write(&endpoint, heartbeats);
    log_line("service", NULL, "ready, HTTP on %s, heartbeats on %s", http, heartbeats);
}

static int serve(struct service *service, const struct service_options *options, struct loop *loop)
{
    service->signals.on_signal = on_signal;
    int fault = signals_start(&service->signals, loop);
    if (fault) {
        log_line("service", NULL, "cannot receive signals: %s", strerror(-fault));
        return fault;
    }
    fault = service_start(service, options, loop);
    if (!fault) {
        say_ready(service);
        fault = loop_run(loop);
    }
    service_stop(service);
    signals_stop(&service->signals);
    return fault;
}

int service_run(const struct service_options *options)
{
    struct service *service = calloc(1, sizeof *service);
    struct loop *loop = NULL;
    char error[TLS_TEXT_MAX];
    process_raise_files_limit();
    if (service && tls_new(&service->tls, &options->tls, error)) {
        log_line("service", NULL, "%s", error);
        free(service);
        return -EINVAL;
    }
    struct loop_hooks hooks = {.on_turn_end = on_turn_end, .ctx = service};
    int fault = service ? loop_new(&loop, &hooks) : -ENOMEM;
    if (fault) {
        log_line("service", NULL, "cannot start: %s", strerror(-fault));
        if (service)
            tls_free(service->tls);
        free(service);
        return fault;
    }
    fault = serve(service, options, loop);
    loop_free(loop);
    tls_free(service->tls);
    free(service);
    return fault;
}
