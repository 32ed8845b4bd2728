// SPDX-License-Identifier: Apache-2.0
// Users on their way to the workers. The replica thread makes a new view; it visits one worker
// after the other, each of which lets its sessions follow and ends those that have lost their user
// or what they listen to; back home, what is older is freed and who waits for the change is
// answered.
#include <errno.h>
#include "base/hex.h"
#include "base/owner.h"
#include "db/private.h"
#include "os/file.h"
#include "wire/hmac.h"

#define FILE_BYTES_MAX (16u << 20)

// ---- a worker

static bool may_listen(const struct client *client)
{
    for (unsigned kind = 0; kind < TOPIC_MONITOR; kind++) {
        for (const struct subscription *at = client->subscriber[kind].first; at;
             at = at->own_next) {
            if (!acl_may_listen(client->session.user, (enum topic_kind)kind, topic_name(at->topic)))
                return false;
        }
    }
    return true;
}

// Whoever waits for an answer gets it before the end.
static void follow(struct client *client, const struct acl_view *view)
{
    bool is_known = acl_follow(&client->session, view);
    if (is_known && (!client->session.is_guarded || may_listen(client)))
        return;
    if (!is_known)
        acl_enter(&client->session, acl_default(view), false);
    deliver_leave_all(client);
    if (client->is_away)
        client->is_closing = true;
    else
        stream_abort(&client->stream, 0);
}

static void visit(struct worker *worker, const struct acl_view *view)
{
    worker->host.acl = view;
    for (struct client *client = worker->clients, *next; client; client = next) {
        next = client->next;
        follow(client, view);
    }
}

// ---- from thread to thread

static void arrive(struct loop_post *post)
{
    struct users *users = owner_of(post, struct users, post);
    struct db *db = users->db;
    if (users->at < db->workers_count) {
        visit(&db->workers[users->at++], users->view);
        struct loop *next = users->at < db->workers_count ? db->workers[users->at].loop : db->loop;
        loop_post(next, &users->post);
        return;
    }
    users->is_away = false;
    acl_settled(&users->acl, users->view->generation);
    committer_wake(&db->committer);
    users_spread(users);
}

void users_spread(struct users *users)
{
    struct db *db = users->db;
    if (users->is_away || users->acl.done >= users->acl.view->generation || db->state != DB_SERVING)
        return;
    users->view = users->acl.view;
    users->is_away = true;
    users->at = 0;
    loop_post(db->workers[0].loop, &users->post);
}

struct denial {
    struct loop_post post; // first
    struct worker *worker;
    enum acl_reason reason;
    const char *context;
    struct span part[3]; // object, user, client
    size_t size;
    uint8_t bytes[];
};

static void note(struct loop_post *post)
{
    struct denial *denial = (struct denial *)post;
    struct db *db = denial->worker->db;
    struct acl_denial row = {.reason = denial->reason,
                             .context = denial->context,
                             .object = denial->part[0],
                             .user = denial->part[1],
                             .client = denial->part[2]};
    acl_log_add(db->users.acl.log, &row, loop_now_ms(db->loop));
    gate_leave(&db->users.denials);
    heap_free(db->heap, denial, denial->size);
}

// At most so many are under way: who is refused in a loop must not fill the memory.
void users_deny(struct host *host, const struct acl_denial *row)
{
    struct worker *worker = (struct worker *)host;
    struct db *db = worker->db;
    struct span parts[] = {row->object, row->user, row->client};
    size_t size = sizeof(struct denial), at = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (parts[i].len > USERS_DENIAL_BYTES)
            parts[i].len = USERS_DENIAL_BYTES;
        size += parts[i].len;
    }
    if (!gate_enter(&db->users.denials, USERS_DENIALS_MAX))
        return;
    struct denial *denial = heap_alloc(db->heap, size);
    if (!denial) {
        gate_leave(&db->users.denials);
        return;
    }
    *denial = (struct denial){.post = {.run = note},
                              .worker = worker,
                              .reason = row->reason,
                              .context = row->context,
                              .size = size};
    for (unsigned i = 0; i < 3; i++) {
        if (parts[i].len)
            memcpy(denial->bytes + at, parts[i].ptr, parts[i].len);
        denial->part[i] = span_of(denial->bytes + at, parts[i].len);
        at += parts[i].len;
    }
    loop_post(db->loop, &denial->post);
}

// ---- at the start

static int read_users(const char *path, struct buf *out)
{
    return file_read(path, out, FILE_BYTES_MAX);
}

static const struct server_files files = {.read = read_users, .replace = file_replace};

static int load(struct db *db, const char *path)
{
    struct buf text, error;
    buf_init(&text, db->heap);
    buf_init(&error, db->heap);
    int outcome = read_users(path, &text);
    if (outcome)
        db_log(db, "cannot read the users from --aclfile %s: %s (an empty file is a start)", path,
               strerror(-outcome));
    else if (!acl_load(&db->users.acl, path, buf_span(&text), &error)) {
        outcome = -EINVAL;
        db_log(db, "--aclfile: %.*s", (int)error.len, (const char *)error.ptr);
    }
    buf_deinit(&text);
    buf_deinit(&error);
    return outcome;
}

static int set(struct db *db, const char *name, const struct span *rules, uint32_t count)
{
    struct acl_change change = {span_text(name), rules, count};
    uint32_t at;
    return acl_set(&db->users.acl, &change, &at);
}

static int set_password(struct db *db, const char *password)
{
    struct server *server = &db->committer.server;
    struct buf rule;
    if (strlen(password) > SERVER_PASSWORD_MAX)
        return -EINVAL;
    memcpy(server->password, password, strlen(password) + 1);
    buf_init(&rule, db->heap);
    buf_put_byte(&rule, '>');
    buf_put_text(&rule, password);
    struct span rules[] = {span_text("resetpass"), buf_span(&rule)};
    int outcome = buf_has_failed(&rule) ? -ENOMEM : set(db, "default", rules, 2);
    buf_deinit(&rule);
    return outcome;
}

// The parts that share the secret are a user whose password only who has it can say.
static int set_part(struct db *db)
{
    uint8_t password[1 + HMAC_HEX_BYTES] = {'>'};
    struct buf digits;
    if (!db->options->secret.len || acl_find(db->users.acl.view, span_text(HMAC_PART_USER)))
        return 0;
    buf_init(&digits, db->heap);
    hmac_put_hex(&digits, db->options->secret, span_text(HMAC_PART_MESSAGE));
    int outcome = buf_has_failed(&digits) ? -ENOMEM : 0;
    if (!outcome)
        memcpy(password + 1, digits.ptr, HMAC_HEX_BYTES);
    struct span rules[] = {
        span_text("on"),    span_text("allkeys"),     span_text("allchannels"),
        span_text("+@all"), span_text("-@admin"),     span_text("-@dangerous"),
        span_text("+info"), span_text("+quipu.link"), span_of(password, sizeof password)};
    if (!outcome)
        outcome = set(db, HMAC_PART_USER, rules, sizeof rules / sizeof *rules);
    buf_deinit(&digits);
    return outcome;
}

int users_open(struct users *users, struct db *db)
{
    const struct db_options *options = db->options;
    struct server *server = &db->committer.server;
    users->db = db;
    users->post.run = arrive;
    access_catalog_init(&users->catalog);
    int outcome = acl_init(&users->acl, db->heap, &users->catalog);
    server->acl = &users->acl;
    server->acl_path = options->acl_path;
    server->files = &files;
    if (!outcome && options->acl_path)
        outcome = load(db, options->acl_path);
    if (!outcome && options->password)
        outcome = set_password(db, options->password);
    if (!outcome)
        outcome = set_part(db);
    if (!outcome)
        acl_settled(&users->acl, users->acl.view->generation);
    return outcome;
}

void users_close(struct users *users)
{
    acl_deinit(&users->acl);
}
