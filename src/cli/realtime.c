// SPDX-License-Identifier: Apache-2.0
// quipu realtime: options into realtime_run.
#include <stdlib.h>
#include "cli/main.h"
#include "cli/secret.h"
#include "cli/tls_option.h"
#include "realtime/realtime.h"

static const struct option rows[] = {
    {.name = "listen",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7004",
     .is_listening = true,
     .help = "WebSocket, the dashboard, PUTs of the service"},
    {.name = "advertise",
     .type = OPTION_ENDPOINT,
     .help = "where the service PUTs to, if not as --listen says"},
    {.name = "service",
     .type = OPTION_URL,
     .initial = "http://127.0.0.1:7002",
     .help = "the counter service"},
    {.name = "heartbeat-to",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7003",
     .help = "its --heartbeat-listen"},
    {.name = "heartbeat-interval",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(REALTIME_HEARTBEAT_INTERVAL_MS),
     .smallest = 20,
     .largest = 60000,
     .help = "three missed ones end a node's presence"},
    {.name = "tick",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(REALTIME_TICK_MS),
     .smallest = 1,
     .largest = 60000,
     .help = "newest values leave once a tick"},
    {.name = "origin",
     .type = OPTION_TEXT,
     .value = "ORIGIN",
     .is_repeated = true,
     .help = "pages that may open a stream, as https://example.org; * for any"},
    {.name = "region",
     .type = OPTION_TEXT,
     .value = "NAME=URL,URL",
     .is_repeated = true,
     .help = "for the dashboard: name, service, real-time part"},
    {.name = "here", .type = OPTION_TEXT, .value = "NAME", .help = "this part's own region"},
    {.name = "node-id",
     .type = OPTION_TEXT,
     .value = "HEX",
     .help = "in heartbeats: 1 to 16 hexadecimal digits; random if not given"},
    {.name = "token-key-file",
     .type = OPTION_PATH,
     .value = "FILE",
     .is_repeated = true,
     .help = "streams need a token (JWT, HS256) signed with this; two for a change of keys"},
    {.name = "drain",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(REALTIME_DRAIN_MS),
     .smallest = 1,
     .largest = 600000,
     .help = "at the end clients are told to reconnect, spread over this time"},
    {.name = "reconnect-spread",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(REALTIME_SPREAD_MS),
     .smallest = 1,
     .largest = 600000,
     .help = "and each to wait a part of this, by chance, before it comes back"},
    OPTION_ROWS_TLS,
    OPTION_ROW_SECRET,
    OPTION_ROW_CONFIG,
    {0},
};

static const struct command command = {
    .name = "realtime",
    .summary = "The real-time part: browsers track counts and publish pages over WebSocket or "
               "server-sent events; the dashboard.",
    .options = rows,
};

struct lists { // what realtime_options borrows
    char *texts[OPTIONS_VALUES_MAX];
    struct realtime_region regions[OPTIONS_VALUES_MAX];
    unsigned regions_count;
    const char *origins[OPTIONS_VALUES_MAX];
    struct secret token_keys[2];
};

static int refuse(const char *option, const char *text, const char *expected)
{
    fprintf(stderr, "quipu realtime: --%s \"%.200s\": expected %s\n", option, text, expected);
    return 2;
}

static int add_region(struct lists *lists, const char *text)
{
    char *copy = strdup(text);
    if (!copy) {
        fprintf(stderr, "quipu realtime: out of memory\n");
        return 1;
    }
    lists->texts[lists->regions_count] = copy;
    struct realtime_region *region = &lists->regions[lists->regions_count++];
    region->name = strsep(&copy, "=");
    region->service = strsep(&copy, ",");
    region->realtime = copy;
    if (!*region->name || !region->service || !region->realtime)
        return refuse("region", text, "NAME=SERVICE-URL,REALTIME-URL");
    return 0;
}

static int fill_lists(struct lists *lists, const struct options *options)
{
    for (unsigned i = 0; i < options_count(options, "region"); i++) {
        int status = add_region(lists, options_text_at(options, "region", i));
        if (status)
            return status;
    }
    for (unsigned i = 0; i < options_count(options, "origin"); i++)
        lists->origins[i] = options_text_at(options, "origin", i);
    return 0;
}

static int load_token_keys(struct lists *lists, const struct options *options,
                           struct token_keys *out_keys)
{
    unsigned count = options_count(options, "token-key-file");
    if (count > 2)
        return refuse("token-key-file", options_text_at(options, "token-key-file", 2),
                      "at most two of it");
    for (unsigned i = 0; i < count; i++) {
        if (secret_read(&lists->token_keys[i], options, "token-key-file", i))
            return 1;
        out_keys->keys[i] = secret_span(&lists->token_keys[i]);
    }
    out_keys->count = count;
    return 0;
}

static int parse_node_id(const char *text, uint64_t *out_id)
{
    size_t len = strlen(text);
    if (len > 16 || strspn(text, "0123456789abcdefABCDEF") != len || strtoull(text, NULL, 16) == 0)
        return refuse("node-id", text, "1 to 16 hexadecimal digits, not all zero");
    *out_id = strtoull(text, NULL, 16);
    return 0;
}

static int serve(const struct options *options, struct lists *lists)
{
    struct realtime_options realtime = {
        .listen = options_endpoint(options, "listen"),
        .advertise = options_text(options, "advertise"),
        .tls = tls_options_of(options),
        .service = options_text(options, "service"),
        .heartbeat_to = options_endpoint(options, "heartbeat-to"),
        .here = options_text(options, "here"),
        .tick_ms = (uint32_t)options_number(options, "tick"),
        .heartbeat_interval_ms = (uint32_t)options_number(options, "heartbeat-interval"),
        .drain_ms = (uint32_t)options_number(options, "drain"),
        .spread_ms = (uint32_t)options_number(options, "reconnect-spread"),
        .regions = lists->regions,
        .origins = lists->origins,
        .origins_count = options_count(options, "origin"),
    };
    int status = fill_lists(lists, options);
    if (!status && options_has(options, "node-id"))
        status = parse_node_id(options_text(options, "node-id"), &realtime.node_id);
    if (!status)
        status = load_token_keys(lists, options, &realtime.token_keys);
    struct secret secret;
    if (!status && secret_load(&secret, options))
        status = 1;
    if (status)
        return status;
    realtime.regions_count = lists->regions_count;
    realtime.secret = secret_span(&secret);
    return realtime_run(&realtime) ? 1 : 0;
}

static int run(const struct options *options)
{
    struct lists lists = {0};
    int status = serve(options, &lists);
    for (unsigned i = 0; i < lists.regions_count; i++)
        free(lists.texts[i]);
    return status;
}

int realtime_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
