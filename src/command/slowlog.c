// SPDX-License-Identifier: Apache-2.0
// The log is a list, newest first, as short as it may be; SLOWLOG tells it in Redis's form.
#include <stdio.h>
#include "base/decimal.h"
#include "command/handlers.h"
#include "command/slowlog.h"

#define GET_DEFAULT 10

static struct span shown(struct span argument)
{
    return span_of(argument.ptr, argument.len < SLOWLOG_ARG_MAX ? argument.len : SLOWLOG_ARG_MAX);
}

static size_t more_bytes(char text[64], struct span argument)
{
    if (argument.len <= SLOWLOG_ARG_MAX)
        return 0;
    return (size_t)snprintf(text, 64, "... (%zu more bytes)", argument.len - SLOWLOG_ARG_MAX);
}

static size_t more_arguments(char text[64], uint32_t argc)
{
    return (size_t)snprintf(text, 64, "... (%u more arguments)", argc - SLOWLOG_ARGS_MAX + 1);
}

static size_t size_of(const struct slow_command *command, uint32_t whole)
{
    char text[64];
    size_t size = sizeof(struct slow_entry) + sizeof text;
    for (uint32_t i = 0; i < whole; i++)
        size += shown(command->argv[i]).len + more_bytes(text, command->argv[i]);
    return size;
}

static void copy_text(char *to, struct span from)
{
    size_t len = from.len < SESSION_TEXT_MAX - 1 ? from.len : SESSION_TEXT_MAX - 1;
    if (len)
        memcpy(to, from.ptr, len);
    to[len] = '\0';
}

struct slow_entry *slow_entry_new(struct heap *heap, const struct slow_command *command)
{
    char text[64];
    bool is_cut = command->argc > SLOWLOG_ARGS_MAX;
    uint32_t whole = is_cut ? SLOWLOG_ARGS_MAX - 1 : command->argc;
    size_t size = size_of(command, whole);
    struct slow_entry *entry = heap_alloc(heap, size);
    if (!entry)
        return NULL;
    *entry = (struct slow_entry){.took_us = command->took_us, .size = size};
    copy_text(entry->address, span_text(command->address));
    copy_text(entry->name, command->name);
    uint8_t *at = entry->bytes;
    for (uint32_t i = 0; i < whole; i++) {
        struct span from = shown(command->argv[i]);
        size_t more = more_bytes(text, command->argv[i]);
        if (from.len)
            memcpy(at, from.ptr, from.len);
        memcpy(at + from.len, text, more);
        entry->argv[entry->argc++] = span_of(at, from.len + more);
        at += from.len + more;
    }
    if (!is_cut)
        return entry;
    size_t len = more_arguments(text, command->argc);
    memcpy(at, text, len);
    entry->argv[entry->argc++] = span_of(at, len);
    return entry;
}

void slowlog_init(struct slowlog *slowlog, struct heap *heap)
{
    *slowlog = (struct slowlog){.heap = heap, .len_max = 128, .slower_than_us = 10000};
}

void slowlog_deinit(struct slowlog *slowlog)
{
    slowlog_trim(slowlog, 0);
}

void slowlog_put(struct slowlog *slowlog, struct slow_entry *entry, uint64_t time_s)
{
    entry->id = slowlog->next_id++;
    entry->time_s = time_s;
    entry->next = slowlog->newest;
    slowlog->newest = entry;
    slowlog->count++;
    slowlog_trim(slowlog, slowlog->len_max);
}

void slowlog_trim(struct slowlog *slowlog, uint64_t count_max)
{
    if (slowlog->count <= count_max)
        return;
    struct slow_entry **at = &slowlog->newest;
    for (uint64_t i = 0; i < count_max; i++)
        at = &(*at)->next;
    struct slow_entry *entry = *at, *next;
    for (*at = NULL; entry; entry = next) {
        next = entry->next;
        heap_free(slowlog->heap, entry, entry->size);
        slowlog->count--;
    }
}

// ---- the command

static void put_entry(struct reply *reply, const struct slow_entry *entry)
{
    reply_array(reply, 6);
    reply_integer(reply, (int64_t)entry->id);
    reply_integer(reply, (int64_t)entry->time_s);
    reply_integer(reply, (int64_t)entry->took_us);
    reply_array(reply, entry->argc);
    for (uint32_t i = 0; i < entry->argc; i++)
        reply_bulk(reply, entry->argv[i]);
    reply_bulk_text(reply, entry->address);
    reply_bulk_text(reply, entry->name);
}

int slowlog_get(struct call *call)
{
    const struct slowlog *slowlog = &call->server->slowlog;
    int64_t count = GET_DEFAULT;
    if (call->argc > 3)
        return reply_subcommand(call);
    if (call->argc == 3 && (!decimal_parse(call->argv[2], &count) || count < -1)) {
        reply_error_text(call->reply, "ERR count should be greater than or equal to -1");
        return 0;
    }
    if (count < 0 || (uint64_t)count > slowlog->count)
        count = (int64_t)slowlog->count;
    reply_array(call->reply, (size_t)count);
    for (const struct slow_entry *entry = slowlog->newest; count > 0; count--) {
        put_entry(call->reply, entry);
        entry = entry->next;
    }
    return 0;
}

int slowlog_len(struct call *call)
{
    reply_integer(call->reply, (int64_t)call->server->slowlog.count);
    return 0;
}

int slowlog_reset(struct call *call)
{
    slowlog_trim(&call->server->slowlog, 0);
    reply_ok(call->reply);
    return 0;
}
