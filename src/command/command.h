// SPDX-License-Identifier: Apache-2.0
// The command table: one row a command, looked up by its name in any case. A row says where the
// command runs:
//
//   on a worker, at once: `run`. It finds, reads and adds to records of the keyspace, and knows the
//   session it serves.
//   on the replica thread: `apply`, with everything that only that thread may touch. A command with
//   COMMAND_COMMIT runs inside a commit, others between commits.
//
// A command has either, or both: then `run` hands over to `apply` by COMMAND_E_POST.
#pragma once
#include "command/host.h"
#include "command/session.h"
#include "keyspace/keyspace.h"
#include "replica/replica.h"
#include "wire/reply.h"

enum command_flag {
    COMMAND_WRITE = 1u << 0, // refused once the journal has failed; held back in strict mode
    COMMAND_READ = 1u << 1,
    COMMAND_FAST = 1u << 2,
    COMMAND_ADMIN = 1u << 3,
    COMMAND_PUBSUB = 1u << 4,
    COMMAND_KEY = 1u << 5,         // argv[1] is a key: call->hash is its hash
    COMMAND_SUBSCRIBED = 1u << 6,  // allowed to a RESP2 session that is subscribed
    COMMAND_ALONE = 1u << 7,       // writes several replies: nothing may be held back before it
    COMMAND_COMMIT = 1u << 8,      // `apply` only inside a commit
    COMMAND_DURABLE = 1u << 9,     // its answer waits for the disk in relaxed mode too
    COMMAND_STALE = 1u << 10,      // a connection's own business, in no need of data
    COMMAND_LONG = 1u << 12,       // its answer may be as long as the data: the client's next waits
    COMMAND_TIMED = 1u << 18,      // may be slow: timed, see slowlog.h
    COMMAND_FACTS = 1u << 11,      // reads server->counts and state: they are to be fresh
    COMMAND_NO_AUTH = 1u << 20,    // also before AUTH, and whatever the user may do
    COMMAND_SESSION = 1u << 17,    // its `apply` has the session, which waits
    COMMAND_ATOMIC = 1u << 13,     // `apply` while no worker touches the keyspace; has the host too
    COMMAND_AT_ONCE = 1u << 14,    // runs within MULTI too, instead of being queued
    COMMAND_NO_MULTI = 1u << 15,   // refused within MULTI
    COMMAND_NO_SCRIPT = 1u << 16,  // refused within a script
    COMMAND_ALLOW_BUSY = 1u << 22, // also while a script takes long; touches no key
};

struct call { // one command under way
    const struct command *command;
    const struct span *argv; // argv[0] is the name
    uint32_t argc;
    uint64_t hash;
    struct record *record; // of the key, as the command before found it for the same; or NULL
    uint64_t now_ms;       // monotonic
    struct reply *reply;
    struct keyspace *keyspace;
    const struct identity *identity;
    // on a worker:
    struct session *session;
    struct host *host;
    bool is_first;              // out: something waits for the replica thread that did not before
    struct client_query *query; // out, with COMMAND_E_TOUR
    // on the replica thread:
    struct replica *replica;
    struct server *server;
    bool is_full;      // memory is at its bound: nothing new
    bool is_nested;    // within a transaction or a script: nothing may be waited for
    bool is_scripted;  // within a script
    bool is_durable;   // out: the answer waits for the disk, as after COMMAND_DURABLE
    uint64_t later;    // what a command that waits keeps between its runs, 0 at the first
    uint64_t until_ms; // likewise
};

enum {
    COMMAND_E_POST = 1, // from run: continue with `apply`; nothing was written
    COMMAND_E_TOUR,     // from run: visit every worker with call->query (client.h)
    COMMAND_E_CLOSE,    // from run: close the connection after the answer
    COMMAND_E_BREAK,    // from run: done, and what follows is to be looked at anew
    COMMAND_E_LATER,    // from apply: nothing was written, run again after the next commit
    COMMAND_E_MORE,     // from apply: a part was written, run again soon, for however long it takes
};

struct command {
    const char *name;
    int8_t arity; // arguments with the name; negative: at least that many
    int8_t key_first, key_last, key_step;
    uint32_t flags;
    const char *group;
    const char *summary;
    int (*run)(struct call *call);
    int (*apply)(struct call *call);
};

// One word below a command: OBJECT ENCODING. HELP is answered from these rows.
struct subcommand {
    const char *command, *name; // upper case; rows of one command stand together
    int8_t arity;               // as a command's: both names count
    uint32_t flags;             // as a command's, for COMMAND INFO
    const char *usage;          // of the arguments behind it, "" when there are none
    const char *summary;
    int (*run)(struct call *call); // NULL: the command's `apply` comes at once
    int (*apply)(struct call *call);
};
unsigned subcommand_count(void);
const struct subcommand *subcommand_at(unsigned i);

// What Redis has and quipu does not: why, in words that end an error. NULL: nothing is known of it.
const char *refusal_of(struct span name);
unsigned refusal_count(void);
struct refusal {
    const char *name, *why;
};
const struct refusal *refusal_at(unsigned i); // in order of name

#define COMMAND_NAME_MAX 16

// The table's index: built once, then only read, by any thread.
#define COMMAND_SLOTS 1024u
struct command_index {
    struct command_slot {
        uint64_t low, high; // the name in upper case, zeros behind it
        const struct command *command;
        size_t len;
    } slot[COMMAND_SLOTS];
};
void command_index_init(struct command_index *index);
const struct command *command_find(const struct command_index *index, struct span name);

unsigned command_count(void);
const struct command *command_at(unsigned i); // in order of name
// By a walk over the table, for COMMAND INFO and the like.
const struct command *command_named(struct span name);

// An error that names the command, in lower case.
void command_refuse_as(struct call *call, enum reply_error_code code);
bool command_takes(const struct command *command, uint32_t argc); // the right number of arguments
// Whether it may not run at all: unknown, the wrong number of arguments, not allowed to the user or
// in the session's state (session NULL: not asked). True: the error is written.
bool command_refuse(struct call *call);
// On the replica thread: whether the session's user may not run it.
bool command_is_denied(const struct call *call);

static inline bool command_is_posted(const struct command *command)
{
    return command->run == NULL;
}
