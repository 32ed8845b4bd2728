// SPDX-License-Identifier: Apache-2.0
// What commands need of the process around them, beyond keyspace and replica: publish and
// subscribe, the wall clock (`host`, on a worker; the server and the tests implement it), and plain
// facts and settings (`identity`, never changed; `server`, of the replica thread).
#pragma once
#include "base/buf.h"
#include "command/counts.h"
#include "command/latency.h"
#include "command/bounds.h"
#include "command/session.h"
#include "command/slowlog.h"

#define QUIPU_VERSION "0.1.0"
#define REDIS_VERSION "7.0.15" // the Redis whose commands and texts are followed

struct acl;
struct acl_denial;
struct acl_view;

struct host {
    const struct host_ops *ops;
    const struct acl_view *acl; // the users, as this worker knows them
};

#define SERVER_PASSWORD_MAX 512

enum { HOST_E_ALREADY = 1, HOST_E_FULL };

typedef void (*topic_visit)(void *ctx, struct span name);

// A script that runs for long, for FUNCTION STATS: its name, and its command cut short.
struct running {
    bool is_function;
    uint8_t words_count;
    uint8_t word_len[8];
    char name[64], word[8][64];
    uint64_t started_ms, libraries, functions;
};

struct host_ops {
    // To a channel or a shard channel; returns how many receive it.
    int64_t (*publish)(struct host *host, enum topic_kind kind, struct span channel,
                       struct span message);
    // Keep session->topics. 0, HOST_E_ALREADY, HOST_E_FULL, -ENOMEM.
    int (*subscribe)(struct host *host, struct session *session, enum topic_kind kind,
                     struct span name);
    bool (*unsubscribe)(struct host *host, struct session *session, enum topic_kind kind,
                        struct span name);
    // Ends one of the session's subscriptions, if there is any, and tells its name.
    bool (*unsubscribe_any)(struct host *host, struct session *session, enum topic_kind kind,
                            struct buf *out_name);
    // Names of the kind with subscribers, anywhere in the process.
    void (*channels)(struct host *host, enum topic_kind kind, topic_visit visit, void *ctx);
    uint64_t (*receivers)(struct host *host, enum topic_kind kind, struct span channel);
    uint64_t (*patterns)(struct host *host);
    void (*load)(struct host *host, const struct session *session, struct session_load *out_load);
    void (*feed_off)(struct host *host, struct session *session); // ends its feed, if any
    uint64_t (*wall_us)(struct host *host);
    // Ends the script that runs for long: enum script_kill (scripting.h).
    int (*kill_script)(struct host *host, bool is_function);
    // Of what runs for long. False: nothing does.
    bool (*tell_script)(struct host *host, struct running *out_running);
    uint64_t (*random)(struct host *host);
    void (*deny)(struct host *host, const struct acl_denial *denial); // for ACL LOG
};

struct server_files { // of the users; 0 or -errno
    int (*read)(const char *path, struct buf *out);
    int (*replace)(const char *path, struct span text);
};

struct identity {
    char epoch[17]; // new at each start
    char run_id[41];
    const char *replica, *cluster;
};

struct server_counts { // a moment's sums over the workers
    uint64_t clients, connections, rejected, commands, input_bytes, output_bytes;
    uint64_t errors, posted, published, delivered, dropped, channels, patterns, shards;
    uint64_t subscribers, monitors; // clients that are
    uint64_t resident_bytes;
    uint64_t cpu_user_us, cpu_system_us;
};

struct command;
struct feed_request;
struct heap;
struct server;

// As CONFIG SET at the start, by settings.c: NULL, or what is wrong with the value.
const char *settings_start(struct server *server, struct heap *heap, const char *name,
                           const char *value);

struct server {
    struct scripts *scripts;                // who runs them (scripting.h)
    void (*collect)(struct server *server); // makes counts and state fresh; or NULL
    // A feed for the session, which waits. 0, HOST_E_FULL, -ENOMEM. NULL: there are none.
    int (*feed_on)(struct server *server, struct session *session,
                   const struct feed_request *request);
    // A command within a command ran; or NULL.
    void (*performed)(struct server *server, const struct command *command);
    struct acl *acl;      // the users
    const char *acl_path; // NULL: no file
    const struct server_files *files;
    char password[SERVER_PASSWORD_MAX + 1]; // requirepass, "" when there is none
    struct bounds bounds;
    // settings
    const char *directory, *hook; // hook: "default" or its path
    const char *listen_host;
    uint16_t port, peer_port;
    unsigned threads;
    bool is_strict, is_cut_allowed;
    uint32_t commit_interval_ms; // CONFIG SET changes it, and these two
    uint32_t script_time_ms;     // a script is stopped after it; 0: never
    uint32_t script_busy_ms;     // others are told BUSY after it
    // state
    uint64_t process_id, started_ms, now_ms;
    struct server_counts counts, counts_base; // base: as at CONFIG RESETSTAT
    uint64_t commits_started, commits_done;
    uint64_t commit_us_last, commit_us_max;
    uint64_t durable_wall_ms; // when the last commit was
    uint64_t ops_per_second;  // over the last second, from what had been counted then
    uint64_t second_ms, second_commands;
    uint64_t changes_seen; // by the event thread
    struct {
        uint64_t calls, failures, skipped;
        uint64_t memory_bytes;
        bool is_disabled;
        char error[200];
    } hook_state;
    struct {
        uint64_t cached, libraries, functions;
        uint64_t eval_bytes, function_bytes;
    } script_state;
    // what is watched, all of it changed by CONFIG SET
    struct slowlog slowlog;
    struct latency latency;
    struct counts commands, commands_base; // base: as at CONFIG RESETSTAT
    bool is_latency_tracked;               // every command is timed
    uint32_t notify;                       // notify-keyspace-events, see notify.h
    bool is_draining;                      // whoever waits is answered now
    bool has_failed;
    char failure[400]; // how the journal failed
};
