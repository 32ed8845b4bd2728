// SPDX-License-Identifier: Apache-2.0
// The stream of counts to one real-time node: PUT /v1/topics over one connection that is kept, one
// request in flight. What changes meanwhile is only marked, and the value is read when the next
// request is written: a node that is slow gets fewer, newer values.
#pragma once
#include "base/prng.h"
#include "os/stream.h"
#include "os/tcp.h"
#include "service/database.h"
#include "wire/http.h"

struct share;
struct share_list {
    struct share *first, *last;
};

struct outlets { // what all of them need; zero it, set what comes before prng
    struct loop *loop;
    const struct database *database;
    struct metrics *metrics;
    struct span secret;
    struct tls *tls;     // for nodes whose address begins with https://
    const char *service; // this life of the service, told in each request
    struct prng prng;
    struct outlet *due; // to be written at the end of this turn
    struct buf body, headers, answer;
};

struct outlet { // embedded in a platform
    struct outlets *outlets;
    struct endpoint address;
    bool has_address, is_tls;
    bool is_open, is_asked, is_waiting, is_due, is_refused;
    struct stream stream;
    struct http_parser parser;
    struct loop_timer timer;           // the end of patience with an answer, or of a back-off
    struct share_list pending, flying; // marked; in the request under way
    unsigned failures;                 // in a row
    struct outlet *due_next, **due_back;
};

void outlets_init(struct outlets *outlets);
void outlets_deinit(struct outlets *outlets);
void outlets_flush(struct outlets *outlets); // at the end of a turn, while the database is up

void outlet_init(struct outlet *outlet, struct outlets *outlets);
// Where the node takes PUTs, "HOST:PORT" or "https://HOST:PORT"; empty or not understood: nowhere.
void outlet_aim(struct outlet *outlet, struct span address);
void outlet_stop(struct outlet *outlet); // closes; what is marked stays so
// The share's count has changed, or is wanted anew.
void outlet_mark(struct share *share);
void outlet_forget(struct share *share);
