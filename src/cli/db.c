// SPDX-License-Identifier: Apache-2.0
// quipu db: options into db_run.
#include "cli/main.h"
#include "cli/secret.h"
#include "cli/tls_option.h"
#include "db/db.h"

static const struct option rows[] = {
    {.name = "replica",
     .type = OPTION_TEXT,
     .value = "NAME",
     .help = "this replica's name, unique in its cluster (required)"},
    {.name = "cluster",
     .type = OPTION_TEXT,
     .value = "NAME",
     .initial = "local",
     .help = "peers of another cluster are refused"},
    {.name = "data", .type = OPTION_PATH, .value = "DIR", .help = "made when missing (required)"},
    {.name = "listen",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7000",
     .is_listening = true,
     .help = "RESP"},
    {.name = "peer-listen",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7001",
     .is_listening = true,
     .help = "other replicas"},
    {.name = "advertise",
     .type = OPTION_ENDPOINT,
     .help = "where peers reach this one, if not as --peer-listen says"},
    {.name = "peer",
     .type = OPTION_ENDPOINT,
     .is_repeated = true,
     .help = "another replica's --peer-listen"},
    {.name = "durability",
     .type = OPTION_CHOICE,
     .choices = "relaxed|strict",
     .initial = "relaxed",
     .help = "strict: on disk before the reply"},
    {.name = "commit-interval",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(DB_COMMIT_INTERVAL_MS),
     .smallest = 1,
     .largest = DB_COMMIT_INTERVAL_MAX,
     .help = "relaxed: on disk within this time"},
    {.name = "script-time-limit",
     .type = OPTION_DURATION,
     .initial = "100",
     .smallest = 0,
     .largest = 86400000,
     .help = "a script that takes longer is stopped; 0: never"},
    {.name = "threads",
     .type = OPTION_INTEGER,
     .initial = "1",
     .smallest = 1,
     .largest = DB_THREADS_MAX,
     .help = "worker threads"},
    {.name = "hook",
     .type = OPTION_PATH,
     .value = "FILE",
     .help = "Lua run on each applied change, in place of the built-in one"},
    OPTION_ROW_SECRET,
    {.name = "maxclients",
     .type = OPTION_INTEGER,
     .initial = OPTION_INITIAL(LIMIT_CLIENTS),
     .smallest = 1,
     .largest = 1000000,
     .help = "connections of clients; further ones are refused"},
    {.name = "maxmemory",
     .type = OPTION_TEXT,
     .value = "BYTES",
     .help = "as 512mb or 2gb; at it no new key or member is taken, the rest goes on"},
    {.name = "timeout",
     .type = OPTION_INTEGER,
     .initial = "0",
     .largest = 86400 * 365,
     .help = "seconds after which a silent client is closed; 0: never"},
    {.name = "tcp-keepalive",
     .type = OPTION_INTEGER,
     .initial = "60",
     .largest = 86400,
     .help = "seconds until a silent connection is probed; 0: never"},
    {.name = "client-output-buffer-limit",
     .type = OPTION_TEXT,
     .value = "TEXT",
     .help = "\"normal HARD SOFT SECONDS pubsub HARD SOFT SECONDS\": who does not read is closed"},
    {.name = "protected-mode",
     .type = OPTION_CHOICE,
     .choices = "yes|no",
     .initial = "yes",
     .help = "without a password, only clients of this machine are let in"},
    {.name = "requirepass",
     .type = OPTION_TEXT,
     .value = "PASSWORD",
     .help = "clients say AUTH first; better in --config or QUIPU_REQUIREPASS"},
    {.name = "aclfile",
     .type = OPTION_PATH,
     .value = "FILE",
     .help = "users, a line each, for ACL LOAD and ACL SAVE"},
    {.name = "tls-listen",
     .type = OPTION_ENDPOINT,
     .is_listening = true,
     .help = "RESP by TLS here, and plainly at --listen; else --listen speaks TLS"},
    OPTION_ROWS_TLS,
    {.name = "start-wait",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(DB_START_WAIT_MS),
     .smallest = 1,
     .largest = 3600000,
     .help = "how long a member may be silent at the start"},
    {.name = "silence",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(DB_SILENCE_MS),
     .smallest = 1000,
     .largest = 86400000,
     .help = "after it a replica's presence is hidden"},
    {.name = "token-window",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(DB_TOKEN_WINDOW_MS),
     .smallest = 60000,
     .largest = 2592000000,
     .help = "a retry with its ID is known so long; the same at every replica"},
    {.name = "max-clock-skew",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(DB_CLOCK_SKEW_MS),
     .smallest = 1000,
     .largest = 3600000,
     .help = "how far apart the replicas' wall clocks may be"},
    {.name = "allow-cut", .type = OPTION_FLAG, .help = "QUIPU.LINK CUT and HEAL, for drills"},
    {.name = "new-incarnation",
     .type = OPTION_FLAG,
     .help = "begin a new identity: always after restoring a backup"},
    {.name = "limits", .type = OPTION_FLAG, .help = "print the limits of this build and end"},
    OPTION_ROW_CONFIG,
    {0},
};

static const struct command command = {
    .name = "db",
    .summary = "One replica of the counter database: RESP for clients, a peer protocol for the "
               "other replicas.",
    .options = rows,
};

static struct db_options db_options_of(const struct options *options)
{
    struct db_options db = {
        .replica = options_text(options, "replica"),
        .cluster = options_text(options, "cluster"),
        .listen = options_endpoint(options, "listen"),
        .peer_listen = options_endpoint(options, "peer-listen"),
        .tls = tls_options_of(options),
        .advertise = options_text(options, "advertise"),
        .directory = options_text(options, "data"),
        .durability = options_number(options, "durability") ? DB_STRICT : DB_RELAXED,
        .commit_interval_ms = (uint32_t)options_number(options, "commit-interval"),
        .script_time_ms = (uint32_t)options_number(options, "script-time-limit"),
        .threads = (unsigned)options_number(options, "threads"),
        .password = options_text(options, "requirepass"),
        .acl_path = options_text(options, "aclfile"),
        .hook_path = options_text(options, "hook"),
        .start_wait_ms = (uint64_t)options_number(options, "start-wait"),
        .silence_ms = (uint64_t)options_number(options, "silence"),
        .token_window_ms = (uint64_t)options_number(options, "token-window"),
        .clock_skew_ms = (uint64_t)options_number(options, "max-clock-skew"),
        .is_cut_allowed = options_number(options, "allow-cut") != 0,
        .is_new_incarnation = options_number(options, "new-incarnation") != 0,
        .peers_count = options_count(options, "peer"),
    };
    for (unsigned i = 0; i < db.peers_count && i < LIMIT_PEERS; i++)
        db.peers[i] = options_text_at(options, "peer", i);
    return db;
}

// Those that CONFIG SET knows too, with its texts and checks.
static void add_settings(struct db_options *db, const struct options *options)
{
    static const char *const names[] = {"maxclients",     "maxmemory",
                                        "timeout",        "tcp-keepalive",
                                        "protected-mode", "client-output-buffer-limit"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (options_has(options, names[i]))
            db->settings[db->settings_count++] =
                (struct db_setting){names[i], options_text(options, names[i])};
    }
}

static int refuse(const char *what)
{
    fprintf(stderr, "quipu db: %s\n(quipu db --help lists the options)\n", what);
    return 2;
}

static int run(const struct options *options)
{
    if (options_number(options, "limits")) {
        db_print_limits();
        return 0;
    }
    struct db_options db = db_options_of(options);
    if (!db.replica || !db.directory)
        return refuse(db.replica ? "--data DIR is missing" : "--replica NAME is missing");
    if (db.peers_count > LIMIT_PEERS)
        return refuse("--peer: at most " OPTION_INITIAL(LIMIT_PEERS) " of them");
    if (db.password && db.acl_path)
        return refuse("--requirepass and --aclfile: the file says the password of \"default\"");
    add_settings(&db, options);
    if (options_has(options, "tls-listen"))
        db.tls_listen = options_endpoint(options, "tls-listen");
    if (!db.tls.cert_file &&
        (db.tls.key_file || db.tls.ca_file || db.tls.clients || options_has(options, "tls-listen")))
        return refuse("--tls-cert-file is missing beside the other TLS options");
    struct secret secret;
    if (secret_load(&secret, options))
        return 1;
    db.secret = secret_span(&secret);
    return db_run(&db);
}

int db_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
