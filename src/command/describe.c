// SPDX-License-Identifier: Apache-2.0
// COMMAND: the table, told in the forms of Redis 7. Flags, categories, key specifications and
// subcommands all come from the rows; nothing is written down twice.
#include <stdio.h>
#include "base/glob.h"
#include "command/acl.h"
#include "command/handlers.h"

#define NAME_MAX (2 * COMMAND_NAME_MAX + 8)

// Names in lower case, as Redis tells them; a subcommand behind a bar.
static struct span write_name(uint8_t text[NAME_MAX], const char *name, const char *sub)
{
    size_t len = 0;
    for (const char *at = name; *at; at++)
        text[len++] = (uint8_t)*at;
    if (sub)
        text[len++] = '|';
    for (const char *at = sub ? sub : ""; *at && len < NAME_MAX; at++)
        text[len++] = (uint8_t)*at;
    for (size_t i = 0; i < len; i++)
        text[i] = text[i] >= 'A' && text[i] <= 'Z' ? (uint8_t)(text[i] + 32) : text[i];
    return span_of(text, len);
}

static void put_name(struct reply *reply, const char *name, const char *sub)
{
    uint8_t text[NAME_MAX];
    reply_bulk(reply, write_name(text, name, sub));
}

static const struct flag_name {
    uint32_t flag;
    const char *name;
} flag_names[] = {
    {COMMAND_WRITE, "write"},        {COMMAND_READ, "readonly"},     {COMMAND_FAST, "fast"},
    {COMMAND_ADMIN, "admin"},        {COMMAND_PUBSUB, "pubsub"},     {COMMAND_STALE, "stale"},
    {COMMAND_NO_SCRIPT, "noscript"}, {COMMAND_NO_MULTI, "no_multi"},
};
#define FLAG_NAMES (sizeof flag_names / sizeof *flag_names)

static void put_flags(struct reply *reply, uint32_t flags)
{
    size_t count = 0;
    for (size_t i = 0; i < FLAG_NAMES; i++)
        count += (flags & flag_names[i].flag) != 0;
    reply_set(reply, count);
    for (size_t i = 0; i < FLAG_NAMES; i++) {
        if (flags & flag_names[i].flag)
            reply_simple(reply, flag_names[i].name);
    }
}

static void put_categories(struct reply *reply, uint32_t categories)
{
    char name[ACCESS_NAME];
    size_t count = 0;
    for (unsigned i = 0; i < CATEGORIES; i++)
        count += (categories & 1u << i) != 0;
    reply_set(reply, count);
    for (unsigned i = 0; i < CATEGORIES; i++) {
        if (!(categories & 1u << i))
            continue;
        snprintf(name, sizeof name, "@%s", access_category_name((enum access_category)i));
        reply_simple(reply, name);
    }
}

// The row of the catalog: the subcommand's, or the command's.
static const struct access_entry *entry_of(const struct call *call, const struct command *command,
                                           const struct subcommand *sub)
{
    struct span argv[] = {span_text(command->name), span_text(sub ? sub->name : "")};
    const struct access_catalog *catalog = call->host->acl->catalog;
    return &catalog->entry[access_id_of(catalog, command, argv, sub ? 2 : 1)];
}

static const char *access_of(uint32_t flags)
{
    return flags & COMMAND_WRITE ? "RW" : "RO";
}

static void put_field(struct reply *reply, const char *name, const char *value)
{
    reply_bulk_text(reply, name);
    reply_bulk_text(reply, value);
}

static void put_number(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, value);
}

static void put_key_specification(struct reply *reply, const struct command *command)
{
    reply_map(reply, 3);
    reply_bulk_text(reply, "flags");
    reply_set(reply, 2);
    reply_simple(reply, access_of(command->flags));
    reply_simple(reply, command->flags & COMMAND_WRITE ? "update" : "access");
    reply_bulk_text(reply, "begin_search");
    reply_map(reply, 2);
    put_field(reply, "type", "index");
    reply_bulk_text(reply, "spec");
    reply_map(reply, 1);
    put_number(reply, "index", command->key_first);
    reply_bulk_text(reply, "find_keys");
    reply_map(reply, 2);
    put_field(reply, "type", "range");
    reply_bulk_text(reply, "spec");
    reply_map(reply, 3);
    put_number(reply, "lastkey",
               command->key_last < 0 ? command->key_last : command->key_last - command->key_first);
    put_number(reply, "keystep", command->key_step);
    put_number(reply, "limit", 0);
}

static bool is_sub_of(const struct subcommand *sub, const struct command *command)
{
    return strcmp(sub->command, command->name) == 0;
}

static size_t subcommands_of(const struct command *command)
{
    size_t count = 0;
    for (unsigned i = 0; i < subcommand_count(); i++)
        count += is_sub_of(subcommand_at(i), command);
    return count;
}

static void put_head(struct call *call, const struct command *command, const struct subcommand *sub)
{
    struct reply *reply = call->reply;
    uint32_t flags = sub ? sub->flags : command->flags;
    reply_array(reply, 10);
    put_name(reply, command->name, sub ? sub->name : NULL);
    reply_integer(reply, sub ? sub->arity : command->arity);
    put_flags(reply, flags);
    reply_integer(reply, command->key_first);
    reply_integer(reply, command->key_last);
    reply_integer(reply, command->key_step);
    put_categories(reply, entry_of(call, command, sub)->categories);
    reply_array(reply, 0); // tips
    reply_array(reply, command->key_first > 0);
    if (command->key_first > 0)
        put_key_specification(reply, command);
}

static void put_info(struct call *call, const struct command *command)
{
    put_head(call, command, NULL);
    reply_array(call->reply, subcommands_of(command));
    for (unsigned i = 0; i < subcommand_count(); i++) {
        if (!is_sub_of(subcommand_at(i), command))
            continue;
        put_head(call, command, subcommand_at(i));
        reply_array(call->reply, 0);
    }
}

static void put_doc_fields(struct reply *reply, const char *summary, const char *group)
{
    put_field(reply, "summary", summary);
    put_field(reply, "since", QUIPU_VERSION);
    put_field(reply, "group", group);
}

static void put_docs(struct call *call, const struct command *command)
{
    struct reply *reply = call->reply;
    size_t subs = subcommands_of(command);
    put_name(reply, command->name, NULL);
    reply_map(reply, subs ? 4 : 3);
    put_doc_fields(reply, command->summary, command->group);
    if (!subs)
        return;
    reply_bulk_text(reply, "subcommands");
    reply_map(reply, subs);
    for (unsigned i = 0; i < subcommand_count(); i++) {
        const struct subcommand *sub = subcommand_at(i);
        if (!is_sub_of(sub, command))
            continue;
        put_name(reply, command->name, sub->name);
        reply_map(reply, 3);
        put_doc_fields(reply, sub->summary, command->group);
    }
}

int command_tell_info(struct call *call)
{
    bool is_all = call->argc <= 2;
    size_t count = is_all ? command_count() : call->argc - 2;
    reply_array(call->reply, count);
    for (unsigned i = 0; i < count; i++) {
        const struct command *command = is_all ? command_at(i) : command_named(call->argv[i + 2]);
        if (command)
            put_info(call, command);
        else
            reply_nil_array(call->reply);
    }
    return 0;
}

int command_tell_docs(struct call *call)
{
    bool is_all = call->argc <= 2;
    size_t asked = is_all ? command_count() : call->argc - 2, found = 0;
    for (unsigned i = 0; i < asked; i++)
        found += is_all || command_named(call->argv[i + 2]);
    reply_map(call->reply, found);
    for (unsigned i = 0; i < asked; i++) {
        const struct command *command = is_all ? command_at(i) : command_named(call->argv[i + 2]);
        if (command)
            put_docs(call, command);
    }
    return 0;
}

int command_tell_count(struct call *call)
{
    reply_integer(call->reply, command_count());
    return 0;
}

// ---- LIST [FILTERBY MODULE m | ACLCAT c | PATTERN p]

struct filter {
    enum { FILTER_NONE, FILTER_PATTERN, FILTER_CATEGORY, FILTER_MODULE } kind;
    struct span value;
};

// False: the error is written.
static bool parse_filter(struct call *call, struct filter *filter)
{
    if (call->argc == 2)
        return true;
    if (call->argc != 5 || !span_is_word(call->argv[2], "FILTERBY")) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return false;
    }
    filter->value = call->argv[4];
    if (span_is_word(call->argv[3], "PATTERN")) {
        filter->kind = FILTER_PATTERN;
        return pattern_is_allowed(call, filter->value);
    }
    if (span_is_word(call->argv[3], "ACLCAT"))
        filter->kind = FILTER_CATEGORY;
    else if (span_is_word(call->argv[3], "MODULE"))
        filter->kind = FILTER_MODULE;
    else
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
    return filter->kind != FILTER_NONE;
}

static bool is_category_match(const struct access_entry *entry, struct span name)
{
    enum access_category category;
    return access_category_find(name, &category) && entry->categories & 1u << category;
}

// In any case, as Redis does here.
static bool is_pattern_match(const char *name, const char *sub, struct span pattern)
{
    uint8_t text[NAME_MAX], lower[LIMIT_PATTERN_BYTES];
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t byte = pattern.ptr[i];
        lower[i] = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
    }
    return glob_is_match(span_of(lower, pattern.len), write_name(text, name, sub));
}

static bool is_listed(const struct call *call, const struct filter *filter,
                      const struct command *command, const struct subcommand *sub)
{
    switch (filter->kind) {
    case FILTER_PATTERN:
        return is_pattern_match(command->name, sub ? sub->name : NULL, filter->value);
    case FILTER_CATEGORY:
        return is_category_match(entry_of(call, command, sub), filter->value);
    case FILTER_MODULE:
        return false;
    case FILTER_NONE:
        break;
    }
    return true;
}

int command_tell_list(struct call *call)
{
    struct filter filter = {0};
    if (!parse_filter(call, &filter))
        return 0;
    size_t mark = reply_open_array(call->reply), count = 0;
    for (unsigned i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        if (is_listed(call, &filter, command, NULL)) {
            put_name(call->reply, command->name, NULL);
            count++;
        }
        for (unsigned at = 0; at < subcommand_count(); at++) {
            const struct subcommand *sub = subcommand_at(at);
            if (!is_sub_of(sub, command) || !is_listed(call, &filter, command, sub))
                continue;
            put_name(call->reply, command->name, sub->name);
            count++;
        }
    }
    reply_close_array(call->reply, mark, count);
    return 0;
}

// ---- GETKEYS and GETKEYSANDFLAGS

struct key_list {
    struct call *call;
    bool is_with_flags;
    size_t count;
};

static bool put_key(void *ctx, uint32_t at, unsigned access)
{
    struct key_list *list = ctx;
    struct reply *reply = list->call->reply;
    list->count++;
    if (list->is_with_flags)
        reply_array(reply, 2);
    reply_bulk(reply, list->call->argv[2 + at]);
    if (!list->is_with_flags)
        return true;
    reply_set(reply, 1u + ((access & ACCESS_READ) != 0) + ((access & ACCESS_WRITE) != 0));
    reply_simple(reply, access & ACCESS_WRITE ? "RW" : "RO");
    if (access & ACCESS_READ)
        reply_simple(reply, "access");
    if (access & ACCESS_WRITE)
        reply_simple(reply, "update");
    return true;
}

static int tell_keys(struct call *call, bool is_with_flags)
{
    const struct access_catalog *catalog = call->host->acl->catalog;
    const struct command *command = command_named(call->argv[2]);
    const struct span *argv = call->argv + 2;
    uint32_t argc = call->argc - 2;
    struct key_list list = {.call = call, .is_with_flags = is_with_flags};
    if (!command) {
        reply_error_text(call->reply, "ERR Invalid command specified");
        return 0;
    }
    const struct access_entry *entry = &catalog->entry[access_id_of(catalog, command, argv, argc)];
    if (!access_has_keys(entry)) {
        reply_error_text(call->reply, "ERR The command has no key arguments");
        return 0;
    }
    if (!command_takes(command, argc)) {
        reply_error_text(call->reply, "ERR Invalid number of arguments specified for command");
        return 0;
    }
    size_t begun = call->reply->out->len, mark = reply_open_array(call->reply);
    access_keys(entry, argv, argc, put_key, &list);
    reply_close_array(call->reply, mark, list.count);
    if (list.count)
        return 0;
    call->reply->out->len = begun;
    reply_error_text(call->reply, "ERR Invalid arguments specified for command");
    return 0;
}

int command_tell_keys(struct call *call)
{
    return tell_keys(call, false);
}

int command_tell_keys_and_flags(struct call *call)
{
    return tell_keys(call, true);
}
