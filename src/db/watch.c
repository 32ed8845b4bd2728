// SPDX-License-Identifier: Apache-2.0
// A slow command becomes an entry where it ran and travels to the replica thread, which keeps the
// logs. A monitored one becomes a line, published like a message under a name of its own kind: so
// it is bounded like one, and a monitor that does not read is closed at its output limit.
#include <stdio.h>
#include "db/watch.h"
#include "os/clock.h"

#define LINE_ARGS_MAX  64
#define LINE_BYTES_MAX 65536

// ---- what is wanted

void watch_adopt(struct db *db)
{
    const struct server *server = &db->committer.server;
    struct watch_words *words = &db->watch;
    int64_t slow_us = server->slowlog.slower_than_us;
    uint64_t least_us = UINT64_MAX;
    bool is_all = server->is_latency_tracked;
    if (slow_us >= 0) {
        least_us = (uint64_t)slow_us;
        is_all |= slow_us < SLOWLOG_ALL_US;
    }
    if (server->latency.threshold_ms && server->latency.threshold_ms * 1000 < least_us)
        least_us = server->latency.threshold_ms * 1000;
    atomic_store_explicit(&words->least_us, least_us, memory_order_relaxed);
    if (is_all)
        atomic_fetch_or_explicit(&words->wanted, WATCH_ALL, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&words->wanted, ~(uint32_t)WATCH_ALL, memory_order_relaxed);
}

void watch_monitors(struct db *db, int difference)
{
    struct watch_words *words = &db->watch;
    uint32_t before =
        atomic_fetch_add_explicit(&words->monitors, (uint32_t)difference, memory_order_relaxed);
    if (before + (uint32_t)difference)
        atomic_fetch_or_explicit(&words->wanted, WATCH_MONITOR, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&words->wanted, ~(uint32_t)WATCH_MONITOR, memory_order_relaxed);
}

// ---- slow commands

struct slow_post {
    struct loop_post post; // first
    struct db *db;
    struct slow_entry *entry;
    uint64_t took_us;
    bool is_fast;
};

static bool is_slow(const struct db *db, uint64_t took_us)
{
    return took_us >= atomic_load_explicit(&db->watch.least_us, memory_order_relaxed);
}

// Secrets stay out of the log.
static bool is_secret(const struct ran *ran)
{
    const char *name = ran->command->name;
    return strcmp(name, "AUTH") == 0 || strcmp(name, "HELLO") == 0 || strcmp(name, "ACL") == 0 ||
           strcmp(name, "CONFIG") == 0;
}

static struct slow_entry *entry_of(struct db *db, const struct session *session,
                                   const struct ran *ran)
{
    struct span name = session ? span_of(session->name, session->name_len) : (struct span){0};
    struct slow_command command = {.argv = ran->argv,
                                   .argc = is_secret(ran) ? 1 : ran->argc,
                                   .address = session ? session->address : "",
                                   .name = name,
                                   .took_us = ran->took_us};
    return slow_entry_new(db->heap, &command);
}

static void keep(struct db *db, struct slow_entry *entry, uint64_t took_us, bool is_fast)
{
    struct server *server = &db->committer.server;
    uint64_t now_s = clock_wall_ms() / 1000;
    bool is_logged =
        server->slowlog.slower_than_us >= 0 && took_us >= (uint64_t)server->slowlog.slower_than_us;
    if (entry && is_logged)
        slowlog_put(&server->slowlog, entry, now_s);
    else if (entry)
        heap_free(db->heap, entry, entry->size);
    latency_note(&server->latency, is_fast ? LATENCY_FAST_COMMAND : LATENCY_COMMAND, now_s,
                 took_us);
}

static void arrive(struct loop_post *post)
{
    struct slow_post *slow = (struct slow_post *)post;
    struct db *db = slow->db;
    keep(db, slow->entry, slow->took_us, slow->is_fast);
    heap_free(db->heap, slow, sizeof *slow);
}

void watch_took(struct worker *worker, const struct client *client, const struct ran *ran)
{
    struct db *db = worker->db;
    stats_took(&worker->stats, ran->command, ran->took_us);
    if (!is_slow(db, ran->took_us))
        return;
    struct slow_post *slow = heap_alloc(db->heap, sizeof *slow);
    struct slow_entry *entry = slow ? entry_of(db, &client->session, ran) : NULL;
    if (!slow)
        return;
    *slow = (struct slow_post){.post = {.run = arrive},
                               .db = db,
                               .entry = entry,
                               .took_us = ran->took_us,
                               .is_fast = (ran->command->flags & COMMAND_FAST) != 0};
    loop_post(db->loop, &slow->post);
}

// The session belongs to the worker, which waits for the batch: its names do not change meanwhile.
void watch_took_posted(struct committer *committer, const struct batch *batch,
                       const struct ran *ran)
{
    struct db *db = committer->db;
    stats_took(&committer->stats, ran->command, ran->took_us);
    if (is_slow(db, ran->took_us))
        keep(db, entry_of(db, &batch->client->session, ran), ran->took_us, false);
}

// ---- MONITOR

static void put_quoted(struct buf *out, struct span bytes)
{
    static const char escapes[] = "\n\r\t\a\b\\\"", letters[] = "nrtab\\\"";
    char text[8];
    buf_put_byte(out, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.ptr[i];
        const char *at = byte ? strchr(escapes, byte) : NULL;
        if (at) {
            buf_put_byte(out, '\\');
            buf_put_byte(out, (uint8_t)letters[at - escapes]);
        } else if (byte >= ' ' && byte < 0x7f) {
            buf_put_byte(out, byte);
        } else {
            snprintf(text, sizeof text, "\\x%02x", byte);
            buf_put_text(out, text);
        }
    }
    buf_put_byte(out, '"');
}

// What an administrator does is not told, and no password.
static bool is_told(const struct worker *worker, const struct request *request)
{
    const struct access_catalog *catalog = worker->host.acl->catalog;
    const struct command *command = request->command;
    if (!command || strcmp(command->name, "AUTH") == 0 ||
        (strcmp(command->name, "HELLO") == 0 && request->argc > 2))
        return false;
    unsigned id = access_id_of(catalog, command, request->argv, request->argc);
    return !(command->flags & COMMAND_ADMIN) &&
           !(catalog->entry[id].categories & 1u << CATEGORY_ADMIN);
}

void watch_tell(struct worker *worker, const struct session *session, const struct request *request)
{
    char head[SESSION_TEXT_MAX + 64];
    uint64_t now_us = clock_wall_us();
    struct buf line;
    if (!is_told(worker, request))
        return;
    buf_init(&line, worker->db->heap);
    snprintf(head, sizeof head, "+%llu.%06llu [0 %s]", (unsigned long long)(now_us / 1000000),
             (unsigned long long)(now_us % 1000000), session->address);
    buf_put_text(&line, head);
    for (uint32_t i = 0; i < request->argc; i++) {
        struct span argument = request->argv[i];
        bool is_cut = i == LINE_ARGS_MAX || line.len + argument.len > LINE_BYTES_MAX;
        buf_put_text(&line, is_cut ? " ..." : " ");
        if (is_cut)
            break;
        put_quoted(&line, argument);
    }
    buf_put_text(&line, "\r\n");
    if (!buf_has_failed(&line))
        deliver_monitored(worker, buf_span(&line));
    buf_deinit(&line);
}
