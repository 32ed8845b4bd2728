// SPDX-License-Identifier: Apache-2.0
// Between the files of the db room. Three kinds of thread: workers (worker.c, client.c, execute.c),
// the replica thread, which is the one that called db_run (committer.c, batch.c, peers.c), and the
// event thread (events.c). They meet in posts, bells and the gate; a struct belongs to the thread
// of the file that is named after it.
#pragma once
#include <pthread.h>
#include "command/acl.h"
#include "command/client.h"
#include "command/feed.h"
#include "command/transaction.h"
#include "db/db.h"
#include "db/gate.h"
#include "db/held.h"
#include "db/pubsub.h"
#include "db/stats.h"
#include "os/signals.h"
#include "os/stream.h"
#include "os/tcp.h"
#include "script/engine.h"
#include "script/script.h"
#include "wire/resp.h"

#define DB_BLOCK_BYTES  (1u << 20) // of output, behind which the client's limit is looked at
#define DB_PREFETCH_LAG 12u        // requests between the two misses of one
#define DB_AHEAD        64u        // requests parsed before the first of them runs
#define DB_ARGUMENTS    1024u      // of all of them together, at first

// ---- a client: worker.c opens, client.c

struct client {
    struct stream stream; // first
    struct worker *worker;
    struct client *next, **back;           // the worker's list
    struct client *held_next, **held_back; // those with something held
    struct session session;
    struct subscriber subscriber[TOPIC_KINDS];
    struct resp_parser parser;
    struct held held;
    struct feed *feed; // NULL: none
    bool is_silent;    // CLIENT REPLY: what is under way is not answered
    uint64_t over_ms;  // since when more is unsent than the soft bound; 0: it is not
    bool is_counted;   // among the maxclients
    bool is_away;      // a batch or a tour of it is under way
    bool is_gone;      // its connection has ended; freed when what is away returns
    bool is_closing;
};

void client_open(struct worker *worker, int fd, struct tls *tls); // NULL: plain
void client_free(struct client *client);
// Answers that were made elsewhere, in their place behind what is held.
void client_answer(struct client *client, struct span bytes, uint32_t answers);
void client_leave(struct client *client); // something of it goes elsewhere
// What was away is back: goes on with the input, or frees the client if its connection is gone.
void client_return(struct client *client);
void client_release(struct client *client, uint64_t done); // held answers that may go
void client_fail_held(struct client *client);              // the journal has failed
void client_load(const struct client *client, struct session_load *out_load);
bool client_is_idle(const struct client *client);   // may be closed in a drain
void client_close(struct client *client);           // after what was answered
void client_fail(struct client *client, int fault); // whatever is still owed to it

// ---- execute.c: requests, a block at a time

// Runs what is whole in `input`; returns the bytes used. Stops early when something is sent away.
size_t execute(struct client *client, struct span input);

// ---- a worker

struct request {
    const struct command *command; // NULL: unknown
    struct span *argv;
    uint32_t argc;
    size_t start; // in the input
    uint64_t hash;
    bool is_same_key; // as the request before it
};

struct worker {
    struct host host; // first: what commands see of it
    struct db *db;
    unsigned index;
    pthread_t thread;
    struct loop *loop;
    struct listener listener, tls_listener;
    struct client *clients;
    size_t clients_count;
    size_t away_count;   // clients with something under way elsewhere, gone ones too
    struct client *held; // clients with something held
    struct request request[DB_AHEAD];
    struct span *argv;
    uint32_t argv_cap;
    struct buf unescaped;
    struct buf silenced; // answers that are not sent
    struct client_query query;
    struct topics topics[TOPIC_KINDS]; // subscribers are clients
    struct buf encoded[2];             // the message being delivered, for RESP2 and RESP3
    bool is_kick_wanted;
    struct bell kick;    // heard by the replica thread
    bool is_waiting;     // the replica thread's: ring `release` after the next commit
    struct bell release; // heard here
    struct tallies tallies;
    struct stats stats;
    uint64_t next_id;
    bool is_draining, is_started;
    unsigned drain_turns;
    struct loop_timer drain_timer, sweep_timer;
    struct bell drain, stopped; // heard here; heard by the replica thread
};

int worker_init(struct worker *worker, struct db *db, unsigned index);
void worker_deinit(struct worker *worker);
int worker_start(struct worker *worker); // its thread
void worker_adopt(struct worker *worker, struct client *client);
void worker_forget(struct worker *worker, struct client *client);
void worker_hold(struct worker *worker, struct client *client); // among those with something held
void worker_unhold(struct client *client);
uint64_t worker_next_id(struct worker *worker);
bool worker_room(struct worker *worker, uint32_t arguments); // false: -ENOMEM, as before

// ---- deliver.c: a worker's side of publish and subscribe

extern const struct host_ops worker_host_ops;
void deliver_leave_all(struct client *client);
// Publishes from another thread than a worker's.
int64_t deliver_publish(struct db *db, struct span channel, struct span message);
void deliver_monitored(struct worker *worker, struct span line); // to everybody who monitors

// ---- tour.c: a query that visits every worker

int tour_start(struct client *client, const struct client_query *query);

// ---- a batch: commands of one client on their way to the replica thread and back

struct posted {
    const struct command *command;
    struct span *argv;
    uint32_t argc;
    uint64_t later, until_ms;
};

struct batch {
    struct loop_post post; // first
    struct batch *next;    // in one of the committer's lists
    struct client *client;
    uint64_t client_id;
    struct worker *worker;
    struct buf reply;
    uint8_t protocol;
    bool is_silent;  // it is not answered
    bool is_durable; // its answers wait for the disk whatever the mode
    uint32_t count, at;
    uint32_t errors;
    size_t size;
    struct feed *feed; // that a command of it began
    struct posted list[];
};

// Takes the requests (spans are copied) to the replica thread. 0 or -ENOMEM.
int batch_send(struct client *client, const struct request *requests, uint32_t count);
// The client is gone: what it waits for need not be waited for.
void batch_cancel(const struct client *client);

struct batch_list {
    struct batch *first, **last;
};
void batch_list_init(struct batch_list *list);
void batch_list_put(struct batch_list *list, struct batch *batch);
struct batch *batch_list_take(struct batch_list *list);    // the first, or NULL
void batch_release(struct batch *batch);                   // back to its worker
void batch_fail(struct batch *batch, const char *failure); // likewise; each answer is the error

// ---- committer.c: the replica thread

struct committer {
    struct db *db;
    struct loop *loop;
    struct replica *replica;
    struct server server;
    struct stats stats;
    uint64_t due_ms; // of the next commit; UINT64_MAX: none is wanted
    uint64_t ended_ms;
    struct loop_timer commit_timer, tick_timer;
    struct batch_list arrived; // to be looked at in this turn
    struct batch_list going;   // an answer is made in parts
    struct batch_list due;     // next command needs a commit
    struct batch_list applied; // run in the commit under way; answers wait for the disk
    struct batch_list parked;  // next command waits for something (COMMAND_E_LATER)
    size_t parked_count;
    bool is_committing;
    bool is_alone;     // the workers stand still
    uint64_t alone_ns; // since when
    uint32_t ticks;
    bool is_heard; // a peer has spoken since what is parked was looked at
    struct feed *feeds;
    unsigned feeds_count;
    struct batch *running; // whose command runs
};

void committer_init(struct committer *committer, struct db *db);
void committer_start(struct committer *committer);
void committer_take(struct batch *batch); // a batch has arrived
void committer_turn(struct committer *committer);
void committer_kicked(struct worker *worker);
void committer_cancel(struct committer *committer, uint64_t client_id);
void committer_event(struct committer *committer, const struct event *event);
void committer_fail(struct committer *committer, int fault); // for good
void committer_wake(struct committer *committer);            // who waits looks again
void committer_hurry(struct committer *committer);           // a commit now
bool committer_is_quiet(const struct committer *committer);  // nothing waits for a commit

// ---- feeds.c: QUIPU.FEED

int feed_on(struct server *server, struct session *session, const struct feed_request *request);
void feeds_turn(struct committer *committer); // sends what is new to whoever has taken the last
void feeds_free(struct committer *committer); // no worker is left
void feed_adopt(struct client *client, struct feed *feed); // on its worker
void feed_leave(struct client *client);                    // likewise; if it has one

// ---- peers.c: sockets of the replica thread

struct peer_conn {
    struct stream stream; // first
    struct db *db;
    uint32_t link;
    bool is_used;
};

struct peers {
    struct db *db;
    struct listener listener;
    struct peer_conn conn[NODE_LINKS_MAX];
    uint64_t said_ms; // when a refused connection was last logged
    bool is_carrying;
};

int peers_start(struct peers *peers, struct db *db, const struct endpoint *endpoint);
void peers_carry(struct peers *peers); // the node's effects
void peers_stop(struct peers *peers, bool is_orderly);
bool peers_are_gone(const struct peers *peers);

// ---- events.c: the event thread

struct events;

int events_new(struct events **out_events, struct db *db, struct buf *out_error);
int events_start(struct events *events);
void events_stop(struct events *events); // waits for the thread
void events_free(struct events *events);
void events_offer(struct events *events); // the replica thread, after a commit
void events_describe(const struct events *events, struct server *server);

// ---- bounds.c

int bounds_open(struct db *db);           // 0, or it is told what is wrong
void bounds_publish(struct db *db);       // what has changed, to the workers
void bounds_look(struct db *db);          // whether memory is at its bound
void bounds_apply(struct client *client); // to its stream
void bounds_sweep(struct worker *worker); // once a second from now on

// ---- users.c: of the replica thread

#define USERS_DENIALS_MAX  1024 // under way to the log
#define USERS_DENIAL_BYTES 1024 // of each part that is kept

struct users {
    struct db *db;
    struct access_catalog catalog;
    struct acl acl;
    struct loop_post post; // with the view on its way
    const struct acl_view *view;
    unsigned at; // the worker it is at
    bool is_away;
    struct gate denials; // a count
};

int users_open(struct users *users, struct db *db); // 0, or it is told why not
void users_close(struct users *users);
void users_spread(struct users *users); // the newest view to every worker, if they lack it
void users_deny(struct host *host, const struct acl_denial *denial); // a worker

// ---- scripts.c: clients' scripts, on the replica thread

int scripts_open(struct db *db); // 0, or what is wrong is logged
void scripts_describe(const struct db *db, struct server *server);

// ---- db.c

struct watch_words { // watch.h
    _Atomic uint32_t wanted, monitors;
    _Atomic uint64_t least_us; // shorter commands are not told of
};

enum db_state { DB_STARTING, DB_SERVING, DB_DRAINING, DB_ENDING };

struct db {
    const struct db_options *options;
    struct heap *heap;
    struct loop *loop; // the replica thread's
    struct signals signals;
    struct disk *disk;
    struct identity identity;
    struct command_index index;
    struct gate gate;
    struct watch_words watch;
    struct tls *tls; // NULL: no certificate
    struct keyspace *keyspace;
    struct pubsub *pubsub;
    struct committer committer;
    struct peers peers;
    struct users users;
    uint64_t bounds_version; // published
    uint64_t full_ms;        // when it was last said that memory is full
    struct events *events;
    struct engine *engine;
    struct {
        uint64_t second;
        unsigned lines;
    } script_log;
    struct worker *workers;
    unsigned workers_count, workers_draining;
    bool is_strict;
    bool is_restored; // the directory
    enum db_state state;
    struct loop_timer farewell;
    uint64_t seed; // of tables that users fill
    int status;
    char tls_text[ENDPOINT_TEXT_MAX]; // "" without a port of its own for TLS
    char resp_text[ENDPOINT_TEXT_MAX], peer_text[ENDPOINT_TEXT_MAX];
};

__attribute__((format(printf, 2, 3))) void db_log(const struct db *db, const char *format, ...);
void db_serve(struct db *db);                                // the identity is settled
void db_refuse(struct db *db, const char *why, int why_len); // ends, status 1
void db_drain(struct db *db);
void db_worker_stopped(struct db *db);

// facts.c
void facts_collect(struct db *db, struct server *server);
void facts_second(struct db *db, struct server *server); // once a second
