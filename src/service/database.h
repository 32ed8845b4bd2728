// SPDX-License-Identifier: Apache-2.0
// The service's database, over two connections: commands, and subscriptions. A session is both
// connections to the same life of the database (its epoch, told on each); when either is lost the
// session ends and a new one is sought, with back-off.
#pragma once
#include "base/prng.h"
#include "service/metrics.h"
#include "service/resp_client.h"

#define DATABASE_NAME_MAX 128

struct database;
struct database_ops {
    void (*on_up)(struct database *database);
    void (*on_message)(struct database *database, const struct answer_token *push);
};

enum database_state { DATABASE_AWAY, DATABASE_JOINING, DATABASE_UP };

struct database_side { // one of the two connections
    struct resp_client client;
    struct resp_call auth, hello, info, ping;
    struct database *database;
    char epoch[DATABASE_NAME_MAX];
    bool is_pinging;
};

struct database { // embedded in its owner; zero it, set what comes before commands
    struct loop *loop;
    struct endpoint endpoint;
    struct span user, password; // borrows; user empty: no AUTH
    bool is_user_optional;      // the database may not know it, and ask for none
    const struct database_ops *ops;
    struct metrics *metrics;

    struct database_side commands, subscriptions;
    enum database_state state;
    char replica[DATABASE_NAME_MAX];
    struct loop_timer timer; // the next try, or the next look at whether it still answers
    struct prng prng;
    unsigned failures; // in a row
};

void database_start(struct database *database); // seeks a session at once
void database_stop(struct database *database);
static inline bool database_is_up(const struct database *database)
{
    return database->state == DATABASE_UP;
}
static inline const char *database_epoch(const struct database *database)
{
    return database->commands.epoch;
}
// 0: the call will be answered. -ENOTCONN, or -EAGAIN when SERVICE_CALLS_MAX wait: it will not.
int database_send(struct database *database, struct resp_call *call, const struct span *argv,
                  uint32_t argc);
// SUBSCRIBE and UNSUBSCRIBE: their answers come to on_message. Nothing while it is away.
void database_subscribe(struct database *database, const struct span *argv, uint32_t argc);
