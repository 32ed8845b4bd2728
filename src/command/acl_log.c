// SPDX-License-Identifier: Apache-2.0
// What was denied, the newest first. The same thing again within a minute only counts.
#include <errno.h>
#include "command/acl.h"
#include "wire/reply.h"

#define SAME_MS    60000
#define LOOKED_AT  10 // entries that may be the same
#define LOG_MAX    128
#define OBJECT_MAX 1024

struct entry {
    struct entry *next;
    uint64_t count, at_ms;
    enum acl_reason reason;
    const char *context;
    struct buf object, user, client;
};

struct acl_log {
    struct heap *heap;
    struct entry *first;
    uint32_t count, max;
};

struct acl_log *acl_log_new(struct heap *heap)
{
    struct acl_log *log = heap_alloc(heap, sizeof *log);
    if (log)
        *log = (struct acl_log){.heap = heap, .max = LOG_MAX};
    return log;
}

static void entry_free(struct acl_log *log, struct entry *entry)
{
    buf_deinit(&entry->object);
    buf_deinit(&entry->user);
    buf_deinit(&entry->client);
    heap_free(log->heap, entry, sizeof *entry);
}

static void trim(struct acl_log *log, uint32_t max)
{
    struct entry **at = &log->first;
    for (uint32_t i = 0; i < max && *at; i++)
        at = &(*at)->next;
    while (*at) {
        struct entry *entry = *at;
        *at = entry->next;
        entry_free(log, entry);
        log->count--;
    }
}

void acl_log_free(struct acl_log *log)
{
    if (!log)
        return;
    trim(log, 0);
    heap_free(log->heap, log, sizeof *log);
}

void acl_log_reset(struct acl_log *log)
{
    trim(log, 0);
}

void acl_log_limit(struct acl_log *log, uint32_t max)
{
    log->max = max;
    trim(log, max);
}

uint32_t acl_log_max(const struct acl_log *log)
{
    return log->max;
}

static struct span object_of(const struct acl_denial *denial)
{
    size_t len = denial->object.len < OBJECT_MAX ? denial->object.len : OBJECT_MAX;
    return span_of(denial->object.ptr, len);
}

static bool is_same(const struct entry *entry, const struct acl_denial *denial, uint64_t now_ms)
{
    return entry->reason == denial->reason && entry->context == denial->context &&
           now_ms - entry->at_ms <= SAME_MS &&
           span_is_equal(buf_span(&entry->object), object_of(denial)) &&
           span_is_equal(buf_span(&entry->user), denial->user);
}

// The entry of the same, taken out of the list; or NULL.
static struct entry *take_same(struct acl_log *log, const struct acl_denial *denial,
                               uint64_t now_ms)
{
    struct entry **at = &log->first;
    for (unsigned i = 0; i < LOOKED_AT && *at; i++, at = &(*at)->next) {
        struct entry *entry = *at;
        if (!is_same(entry, denial, now_ms))
            continue;
        *at = entry->next;
        log->count--;
        return entry;
    }
    return NULL;
}

static struct entry *entry_new(struct acl_log *log, const struct acl_denial *denial)
{
    struct entry *entry = heap_alloc(log->heap, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct entry){.reason = denial->reason, .context = denial->context};
    buf_init(&entry->object, log->heap);
    buf_init(&entry->user, log->heap);
    buf_init(&entry->client, log->heap);
    buf_put(&entry->object, object_of(denial));
    buf_put(&entry->user, denial->user);
    return entry;
}

void acl_log_add(struct acl_log *log, const struct acl_denial *denial, uint64_t now_ms)
{
    struct entry *entry = take_same(log, denial, now_ms);
    if (!entry)
        entry = entry_new(log, denial);
    if (!entry)
        return;
    buf_clear(&entry->client);
    buf_put(&entry->client, denial->client);
    entry->at_ms = now_ms;
    entry->count++;
    entry->next = log->first;
    log->first = entry;
    log->count++;
    trim(log, log->max);
}

static void put_entry(struct reply *reply, const struct entry *entry, uint64_t now_ms)
{
    static const char *const reasons[] = {[ACL_FINE] = "unknown",
                                          [ACL_NO_COMMAND] = "command",
                                          [ACL_NO_KEY] = "key",
                                          [ACL_NO_CHANNEL] = "channel",
                                          [ACL_NO_AUTH] = "auth"};
    reply_map(reply, 7);
    reply_bulk_text(reply, "count");
    reply_integer(reply, (int64_t)entry->count);
    reply_bulk_text(reply, "reason");
    reply_bulk_text(reply, reasons[entry->reason]);
    reply_bulk_text(reply, "context");
    reply_bulk_text(reply, entry->context);
    reply_bulk_text(reply, "object");
    reply_bulk(reply, buf_span(&entry->object));
    reply_bulk_text(reply, "username");
    reply_bulk(reply, buf_span(&entry->user));
    reply_bulk_text(reply, "age-seconds");
    reply_double(reply, (double)(now_ms - entry->at_ms) / 1000);
    reply_bulk_text(reply, "client-info");
    reply_bulk(reply, buf_span(&entry->client));
}

void acl_log_reply(const struct acl_log *log, struct reply *reply, uint32_t count, uint64_t now_ms)
{
    uint32_t shown = count < log->count ? count : log->count;
    const struct entry *entry = log->first;
    reply_array(reply, shown);
    for (uint32_t i = 0; i < shown; i++, entry = entry->next)
        put_entry(reply, entry, now_ms);
}
