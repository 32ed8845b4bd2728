// SPDX-License-Identifier: Apache-2.0
// MULTI: what a session has queued until EXEC, and what it watches. Both belong to the session's
// worker, except while EXEC or WATCH is with the replica thread: then the session waits, and that
// thread has them.
#pragma once
#include "command/command.h"

// One command, in a block of memory of its own: so that nothing moves when more are queued.
struct queued {
    struct queued *next;
    const struct command *command;
    size_t size; // of the block
    uint32_t argc;
    struct span argv[];
};

// A key as it was when it was watched.
struct watched {
    struct watched *next;
    size_t size;
    uint64_t change; // the newest one of the key, 0: none in this process
    bool is_there;   // the key existed
    struct span key;
};

struct transaction {
    struct heap *heap;
    struct queued *first, **last;
    struct watched *watched;
    uint32_t count;    // of the queued
    size_t bytes;      // of both; within LIMIT_QUEUED_BYTES
    bool is_open;      // MULTI has been said
    bool is_abandoned; // something could not be queued: EXEC will refuse
};

// Between MULTI and EXEC. True: the command is queued or refused, and answered. False: it is one of
// those that run at once (COMMAND_AT_ONCE).
bool transaction_take(struct call *call);
// As transaction_take's refusals: EXEC will refuse, the caller has answered.
void transaction_abandon(struct session *session);
// BUSY, which EXEC says in its own way; either way nothing of the transaction will run.
void transaction_refuse_busy(struct call *call, bool is_function);
// Forgets all of it: the session is as one that never said MULTI or WATCH.
void transaction_end(struct session *session);

// Runs a command within another one, on the replica thread: `call` says command, arguments and
// reply, and the rest is as the outer one's. What the command asks for beyond an answer is refused.
void command_perform(struct call *call);
