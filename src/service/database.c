// SPDX-License-Identifier: Apache-2.0
// Each connection begins with HELLO and INFO; a session is up when both told the same epoch. One
// loss is logged when a row of them begins, and its end. A database that accepts commands but does
// not answer is left after ANSWER_TIMEOUT_MS.
#include <errno.h>
#include "base/backoff.h"
#include "base/owner.h"
#include "os/clock.h"
#include "os/log.h"
#include "service/database.h"
#include "service/limits.h"

#define RETRY_MIN_MS      50
#define RETRY_MAX_MS      2000
#define LOOK_MS           1000
#define ANSWER_TIMEOUT_MS 5000
#define PING_AFTER_MS     5000

static struct database_side *side_of(struct resp_client *client)
{
    return (struct database_side *)client;
}

// ---- losing it

static uint64_t back_off_ms(struct database *database)
{
    struct backoff retry = {RETRY_MIN_MS, RETRY_MAX_MS};
    return backoff_ms(retry, database->failures, &database->prng);
}

// Closing one side comes back here for it and for the other one: the state is set first.
static void lose(struct database *database, const char *why)
{
    if (database->state == DATABASE_AWAY)
        return;
    database->state = DATABASE_AWAY;
    resp_client_abort(&database->commands.client, -ECONNRESET);
    resp_client_abort(&database->subscriptions.client, -ECONNRESET);
    if (database->failures == 0)
        log_line("service", NULL, "no database at %s:%u: %s; trying again", database->endpoint.host,
                 (unsigned)database->endpoint.port, why);
    loop_timer_set(database->loop, &database->timer,
                   loop_now_ms(database->loop) + back_off_ms(database));
    database->failures++;
}

static void on_closed(struct resp_client *client, int fault)
{
    char why[STREAM_WHY_MAX];
    lose(side_of(client)->database, stream_why(&client->stream, fault, why));
}

// ---- joining

static bool is_line(struct span line, const char *name, struct span *out_value)
{
    size_t len = strlen(name);
    if (line.len <= len || memcmp(line.ptr, name, len) != 0 || line.ptr[len] != ':')
        return false;
    *out_value = span_of(line.ptr + len + 1, line.len - len - 1);
    return true;
}

static void copy_name(char to[DATABASE_NAME_MAX], struct span name)
{
    size_t len = name.len < DATABASE_NAME_MAX ? name.len : DATABASE_NAME_MAX - 1;
    memcpy(to, name.ptr, len);
    to[len] = '\0';
}

static void read_info(struct database_side *side, struct span text)
{
    while (text.len) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        size_t shown = len && text.ptr[len - 1] == '\r' ? len - 1 : len;
        struct span line = span_of(text.ptr, shown), value;
        if (is_line(line, "epoch", &value))
            copy_name(side->epoch, value);
        else if (is_line(line, "replica", &value) || is_line(line, "replica_name", &value))
            copy_name(side->database->replica, value);
        len += end ? 1 : 0;
        text = span_of(text.ptr + len, text.len - len);
    }
}

static void join(struct database *database)
{
    if (!*database->commands.epoch || !*database->subscriptions.epoch)
        return;
    if (strcmp(database->commands.epoch, database->subscriptions.epoch) != 0) {
        lose(database, "it restarted");
        return;
    }
    database->state = DATABASE_UP;
    database->metrics->database_sessions++;
    if (database->failures)
        log_line("service", NULL, "the database at %s:%u answers", database->endpoint.host,
                 (unsigned)database->endpoint.port);
    database->failures = 0;
    database->ops->on_up(database);
}

static void on_info(struct resp_call *call, const struct answer_token *answer)
{
    struct database_side *side = owner_of(call, struct database_side, info);
    if (!answer)
        return;
    if (answer->kind == ANSWER_BULK || answer->kind == ANSWER_VERBATIM)
        read_info(side, answer->text);
    if (*side->epoch)
        join(side->database);
    else
        lose(side->database, "it loads, or it is no quipu database");
}

static bool is_no_auth(struct span text)
{
    return text.len > 6 && memcmp(text.ptr, "NOAUTH", 6) == 0;
}

static void on_auth(struct resp_call *call, const struct answer_token *answer)
{
    struct database_side *side = owner_of(call, struct database_side, auth);
    if (answer && answer->kind == ANSWER_ERROR && !side->database->is_user_optional)
        lose(side->database, "it refuses the password");
}

static void on_hello(struct resp_call *call, const struct answer_token *answer)
{
    struct database_side *side = owner_of(call, struct database_side, hello);
    if (answer && answer->kind == ANSWER_ERROR)
        lose(side->database,
             is_no_auth(answer->text)
                 ? "it wants a password: the --secret-file it has, or --db-password-file"
                 : "it refuses HELLO");
}

static void on_connected(struct resp_client *client)
{
    struct database_side *side = side_of(client);
    const struct span hello[] = {span_text("HELLO"), span_text("3"), span_text("SETNAME"),
                                 span_text("quipu-service")};
    const struct span info[] = {span_text("INFO")};
    const struct database *database = side->database;
    const struct span auth[] = {span_text("AUTH"), database->user, database->password};
    side->auth.on_answer = on_auth;
    if (database->user.len)
        resp_client_send(client, &side->auth, auth, 3);
    side->hello.on_answer = on_hello;
    side->info.on_answer = on_info;
    resp_client_send(client, &side->hello, hello, 4);
    resp_client_send(client, &side->info, info, 1);
}

static void on_push(struct resp_client *client, const struct answer_token *push)
{
    struct database *database = side_of(client)->database;
    if (database->state == DATABASE_UP)
        database->ops->on_message(database, push);
}

static const struct resp_client_ops client_ops = {
    .on_connected = on_connected, .on_push = on_push, .on_closed = on_closed};

static void seek(struct database *database)
{
    database->state = DATABASE_JOINING;
    database->commands.epoch[0] = database->subscriptions.epoch[0] = '\0';
    int fault = resp_client_dial(&database->commands.client, database->loop, &database->endpoint,
                                 &client_ops);
    if (!fault)
        fault = resp_client_dial(&database->subscriptions.client, database->loop,
                                 &database->endpoint, &client_ops);
    if (fault)
        lose(database, strerror(-fault));
    else
        loop_timer_set(database->loop, &database->timer,
                       loop_now_ms(database->loop) + ANSWER_TIMEOUT_MS);
}

// ---- looking after it

static void on_pong(struct resp_call *call, const struct answer_token *answer)
{
    struct database_side *side = owner_of(call, struct database_side, ping);
    (void)answer;
    side->is_pinging = false;
}

// False: it does not answer.
static bool is_answering(struct database_side *side, uint64_t now_ms)
{
    struct resp_client *client = &side->client;
    if (client->waiting && now_ms >= client->progress_ms + ANSWER_TIMEOUT_MS)
        return false;
    if (client->waiting || side->is_pinging || now_ms < client->sent_ms + PING_AFTER_MS)
        return true;
    const struct span ping[] = {span_text("PING")};
    side->ping.on_answer = on_pong;
    side->is_pinging = true;
    resp_client_send(client, &side->ping, ping, 1);
    return true;
}

static void on_due(struct loop_timer *timer)
{
    struct database *database = owner_of(timer, struct database, timer);
    uint64_t now_ms = loop_now_ms(database->loop);
    if (database->state == DATABASE_AWAY)
        seek(database);
    else if (database->state == DATABASE_JOINING || !is_answering(&database->commands, now_ms) ||
             !is_answering(&database->subscriptions, now_ms))
        lose(database, "no answer");
    else
        loop_timer_set(database->loop, timer, now_ms + LOOK_MS);
}

void database_start(struct database *database)
{
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    prng_init(&database->prng, seed);
    database->timer.on_due = on_due;
    database->commands.database = database->subscriptions.database = database;
    seek(database);
}

void database_stop(struct database *database)
{
    database->state = DATABASE_AWAY;
    loop_timer_clear(database->loop, &database->timer);
    resp_client_abort(&database->commands.client, 0);
    resp_client_abort(&database->subscriptions.client, 0);
    resp_client_deinit(&database->commands.client);
    resp_client_deinit(&database->subscriptions.client);
}

int database_send(struct database *database, struct resp_call *call, const struct span *argv,
                  uint32_t argc)
{
    struct resp_client *client = &database->commands.client;
    int fault = database->state != DATABASE_UP ? -ENOTCONN : 0;
    if (!fault && client->waiting >= SERVICE_CALLS_MAX)
        fault = -EAGAIN;
    if (fault) {
        database->metrics->database_failures++;
        return fault;
    }
    database->metrics->database_commands++;
    resp_client_send(client, call, argv, argc);
    return 0;
}

void database_subscribe(struct database *database, const struct span *argv, uint32_t argc)
{
    if (database->state == DATABASE_UP)
        resp_client_send(&database->subscriptions.client, NULL, argv, argc);
}
