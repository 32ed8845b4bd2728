// SPDX-License-Identifier: Apache-2.0
// quipu service: options into service_run.
#include "cli/login.h"
#include "cli/main.h"
#include "cli/secret.h"
#include "cli/tls_option.h"
#include "service/service.h"

static const struct option rows[] = {
    {.name = "db",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7000",
     .help = "the database, RESP"},
    {.name = "listen",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7002",
     .is_listening = true,
     .help = "HTTP"},
    {.name = "heartbeat-listen",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7003",
     .is_listening = true,
     .help = "UDP, from real-time nodes"},
    {.name = "db-tls", .type = OPTION_FLAG, .help = "the database speaks TLS"},
    OPTION_ROWS_TLS,
    OPTION_ROW_DB_USER,
    OPTION_ROW_DB_PASSWORD,
    OPTION_ROW_SECRET,
    OPTION_ROW_CONFIG,
    {0},
};

static const struct command command = {
    .name = "service",
    .summary = "The counter service: counters by HTTP, heartbeats of real-time nodes into "
               "presence,\nchanges out to those nodes.",
    .options = rows,
};

static int run(const struct options *options)
{
    struct secret secret;
    struct login login;
    if (secret_load(&secret, options) || login_load(&login, options, secret_span(&secret)))
        return 1;
    struct service_options service = {
        .db = options_endpoint(options, "db"),
        .listen = options_endpoint(options, "listen"),
        .heartbeat_listen = options_endpoint(options, "heartbeat-listen"),
        .secret = secret_span(&secret),
        .tls = tls_options_of(options),
        .is_db_tls = options_number(options, "db-tls") != 0,
        .db_user = login.user,
        .db_password = login.password,
        .is_db_user_optional = login.is_from_secret,
    };
    return service_run(&service) ? 1 : 0;
}

int service_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
