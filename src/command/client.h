// SPDX-License-Identifier: Apache-2.0
// CLIENT LIST and CLIENT KILL ask every worker, each about its own sessions. A query is what
// travels: the worker that got the command fills it in, each worker in turn applies it, and at home
// the answer is written.
#pragma once
#include "command/command.h"

#define CLIENT_IDS_MAX 32

struct client_query {
    bool is_kill;
    bool is_plain;                // CLIENT KILL addr:port: answers OK or that there is none
    bool has_no_self;             // SKIPME yes
    uint64_t self;                // who asks
    uint64_t user_id;             // 0: any
    size_t self_bytes;            // of its request
    uint64_t ids[CLIENT_IDS_MAX]; // ids_count 0: any
    unsigned ids_count;
    enum { CLIENT_ANY, CLIENT_NORMAL, CLIENT_PUBSUB, CLIENT_NONE } type;
    char address[SESSION_TEXT_MAX], local_address[SESSION_TEXT_MAX]; // "": any
    // what came together
    struct buf *lines; // of LIST; borrows
    uint64_t killed;
};

bool client_query_is_match(const struct client_query *query, const struct session *session);
// The answer, once every worker has been asked.
void client_query_reply(const struct client_query *query, struct reply *reply);
