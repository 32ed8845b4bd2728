// SPDX-License-Identifier: Apache-2.0
// Where commands are tried: a replica on a simulated disk, one session, a host that keeps a few
// subscriptions, a clock that the test moves. A command is written as one types it; what comes back
// is the bytes that a client would get.
#pragma once
#include "command/acl.h"
#include "command/client.h"
#include "command/command.h"
#include "tests/lib/heap_libc.h"

#define DESK_NAMES 8

struct desk {
    struct host host; // first
    struct heap_libc heap;
    struct disk *disk;
    struct replica *replica;
    struct command_index index;
    struct identity identity;
    struct server server;
    struct access_catalog catalog;
    struct acl acl;
    struct session session;
    struct client_query query;
    struct buf out, unescaped;
    uint64_t now_ms, random;
    char names[TOPIC_KINDS][DESK_NAMES][32]; // "" is free
    char published[200];                     // the last one: "channel message"
    char file[2000];                         // of the users, NUL-terminated
    unsigned commits;
    bool is_closed; // a command asked for it
};

void desk_open(struct desk *desk);
// Of another identity. One thread, so one desk at a time: keyspace_thread_stop in between.
void desk_open_as(struct desk *desk, uint8_t incarnation);
void desk_close(struct desk *desk); // asserts that no memory is left
void desk_commit(struct desk *desk);

// The answer, NUL-terminated; borrows until the next call.
const char *desk_run(struct desk *desk, const char *line);
const char *desk_run_argv(struct desk *desk, const struct span *argv, uint32_t argc);
void desk_assert(struct desk *desk, const char *line, const char *expected);
// The answer begins with this.
void desk_assert_begins(struct desk *desk, const char *line, const char *beginning);
