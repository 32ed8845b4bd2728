// SPDX-License-Identifier: Apache-2.0
// The counter database as a process: workers that serve RESP, the replica thread that commits and
// talks to peers, the event thread that runs the hook. This is its whole door: fill in options,
// run.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/limits.h"
#include "base/span.h"
#include "os/tcp.h"
#include "os/tls.h"

#define DB_RESTORED            "restored" // a file of a directory that a backup was made into
#define DB_THREADS_MAX         64
#define DB_COMMIT_INTERVAL_MS  10
#define DB_COMMIT_INTERVAL_MAX 10000
#define DB_START_WAIT_MS       3000
#define DB_SILENCE_MS          30000
#define DB_TOKEN_WINDOW_MS     86400000
#define DB_CLOCK_SKEW_MS       60000

enum db_durability { DB_RELAXED, DB_STRICT };

struct db_setting { // as CONFIG SET at the start
    const char *name, *value;
};
#define DB_SETTINGS_MAX 8

struct db_options {         // zero it, then set; texts and spans are borrowed until db_run returns
    const char *replica;    // --replica
    const char *cluster;    // --cluster
    struct endpoint listen; // RESP; port 0: any, told by the ready line
    struct endpoint tls_listen;  // RESP by TLS there, and plainly at `listen`; port and host empty:
                                 // `listen` speaks TLS when there is a certificate
    struct tls_options tls;      // with a certificate; peers then speak TLS
    struct endpoint peer_listen; // peers; port 0: any
    const char *advertise; // "HOST:PORT" that peers dial; NULL: peer_listen's, with its real port
    const char *peers[LIMIT_PEERS]; // "HOST:PORT" each
    unsigned peers_count;
    const char *directory; // --data; made when missing
    enum db_durability durability;
    uint32_t commit_interval_ms; // 0: DB_COMMIT_INTERVAL_MS
    uint32_t script_time_ms;     // after which a script is stopped; 0: never
    unsigned threads;            // 0: 1
    const char *hook_path;       // --hook; NULL: the built-in one
    struct span secret;          // empty: none
    struct db_setting settings[DB_SETTINGS_MAX];
    unsigned settings_count;
    const char *password;     // --requirepass; NULL: none
    const char *acl_path;     // --aclfile; NULL: none
    uint64_t start_wait_ms;   // 0: DB_START_WAIT_MS
    uint64_t silence_ms;      // 0: DB_SILENCE_MS
    uint64_t token_window_ms; // 0: DB_TOKEN_WINDOW_MS
    uint64_t clock_skew_ms;   // 0: DB_CLOCK_SKEW_MS
    bool is_cut_allowed;      // QUIPU.LINK CUT and HEAL
    bool is_new_incarnation;  // --new-incarnation
};

// Serves until SIGTERM or SIGINT, then drains: stops accepting, finishes what was received,
// commits, closes. Returns the exit status: 0 done, 1 failed (why, and what to do, on stderr). On
// stderr when it serves:  quipu db r1: ready, RESP on HOST:PORT, peers on HOST:PORT, N keys
int db_run(const struct db_options *options);

// The limits of this build, for `quipu db --limits`, on stdout.
void db_print_limits(void);
