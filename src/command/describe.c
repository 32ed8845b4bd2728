// SPDX-License-Identifier: Apache-2.0
// COMMAND: the table, told in the forms of Redis 7. Flags, categories, key specifications and
// subcommands all come from the rows; nothing is written down twice.
#include "base/glob.h"
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
    uint16_t flag;
    const char *name;
} flag_names[] = {
    {COMMAND_WRITE, "write"}, {COMMAND_READ, "readonly"}, {COMMAND_FAST, "fast"},
    {COMMAND_ADMIN, "admin"}, {COMMAND_PUBSUB, "pubsub"}, {COMMAND_STALE, "stale"},
};
#define FLAG_NAMES (sizeof flag_names / sizeof *flag_names)

static void put_flags(struct reply *reply, uint16_t flags)
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

// A category holds what has the flag, or what is of the group.
static const struct category {
    const char *name;
    uint16_t flag, without;
    const char *group;
} categories[] = {
    {"@write", COMMAND_WRITE, 0, NULL},     {"@read", COMMAND_READ, 0, NULL},
    {"@admin", COMMAND_ADMIN, 0, NULL},     {"@dangerous", COMMAND_ADMIN, 0, NULL},
    {"@pubsub", COMMAND_PUBSUB, 0, NULL},   {"@fast", COMMAND_FAST, 0, NULL},
    {"@slow", 0, COMMAND_FAST, NULL},       {"@keyspace", 0, 0, "generic"},
    {"@string", 0, 0, "counter"},           {"@set", 0, 0, "set"},
    {"@connection", 0, 0, "connection"},    {"@scripting", 0, 0, "scripting"},
    {"@transaction", 0, 0, "transactions"}, {"@hyperloglog", 0, 0, "hyperloglog"},
};
#define CATEGORIES (sizeof categories / sizeof *categories)

static bool is_in(const struct category *category, const char *group, uint16_t flags)
{
    if (category->group)
        return strcmp(category->group, group) == 0;
    return category->flag ? (flags & category->flag) != 0 : !(flags & category->without);
}

static void put_categories(struct reply *reply, const char *group, uint16_t flags)
{
    size_t count = 0;
    for (size_t i = 0; i < CATEGORIES; i++)
        count += is_in(&categories[i], group, flags);
    reply_set(reply, count);
    for (size_t i = 0; i < CATEGORIES; i++) {
        if (is_in(&categories[i], group, flags))
            reply_simple(reply, categories[i].name);
    }
}

static const char *access_of(uint16_t flags)
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
    uint16_t flags = sub ? sub->flags : command->flags;
    reply_array(reply, 10);
    put_name(reply, command->name, sub ? sub->name : NULL);
    reply_integer(reply, sub ? sub->arity : command->arity);
    put_flags(reply, flags);
    reply_integer(reply, command->key_first);
    reply_integer(reply, command->key_last);
    reply_integer(reply, command->key_step);
    put_categories(reply, command->group, flags);
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

static bool is_category_match(const struct command *command, uint16_t flags, struct span name)
{
    for (size_t i = 0; i < CATEGORIES; i++) {
        if (span_is_word(name, categories[i].name + 1) &&
            is_in(&categories[i], command->group, flags))
            return true;
    }
    return false;
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

static bool is_listed(const struct filter *filter, const struct command *command,
                      const struct subcommand *sub)
{
    switch (filter->kind) {
    case FILTER_PATTERN:
        return is_pattern_match(command->name, sub ? sub->name : NULL, filter->value);
    case FILTER_CATEGORY:
        return is_category_match(command, sub ? sub->flags : command->flags, filter->value);
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
        if (is_listed(&filter, command, NULL)) {
            put_name(call->reply, command->name, NULL);
            count++;
        }
        for (unsigned at = 0; at < subcommand_count(); at++) {
            const struct subcommand *sub = subcommand_at(at);
            if (!is_sub_of(sub, command) || !is_listed(&filter, command, sub))
                continue;
            put_name(call->reply, command->name, sub->name);
            count++;
        }
    }
    reply_close_array(call->reply, mark, count);
    return 0;
}

// ---- GETKEYS and GETKEYSANDFLAGS

struct keys {
    const struct command *command;
    uint32_t first, end, step; // in call->argv
};

// False: the error is written.
static bool find_keys(struct call *call, struct keys *keys)
{
    const struct command *command = keys->command = command_named(call->argv[2]);
    uint32_t argc = call->argc - 2;
    if (!command) {
        reply_error_text(call->reply, "ERR Invalid command specified");
        return false;
    }
    if (command->key_first == 0) {
        reply_error_text(call->reply, "ERR The command has no key arguments");
        return false;
    }
    if (!command_takes(command, argc)) {
        reply_error_text(call->reply, "ERR Invalid number of arguments specified for command");
        return false;
    }
    keys->first = 2 + (uint32_t)command->key_first;
    keys->end = command->key_last < 0 ? call->argc + 1 - (uint32_t)-command->key_last
                                      : 3 + (uint32_t)command->key_last;
    keys->step = (uint32_t)command->key_step;
    if (keys->end > call->argc)
        keys->end = call->argc;
    if (keys->first < keys->end)
        return true;
    reply_error_text(call->reply, "ERR Invalid arguments specified for command");
    return false;
}

static size_t count_keys(const struct keys *keys)
{
    return (keys->end - keys->first + keys->step - 1) / keys->step;
}

int command_tell_keys(struct call *call)
{
    struct keys keys;
    if (!find_keys(call, &keys))
        return 0;
    reply_array(call->reply, count_keys(&keys));
    for (uint32_t i = keys.first; i < keys.end; i += keys.step)
        reply_bulk(call->reply, call->argv[i]);
    return 0;
}

int command_tell_keys_and_flags(struct call *call)
{
    struct keys keys;
    if (!find_keys(call, &keys))
        return 0;
    uint16_t flags = keys.command->flags;
    reply_array(call->reply, count_keys(&keys));
    for (uint32_t i = keys.first; i < keys.end; i += keys.step) {
        reply_array(call->reply, 2);
        reply_bulk(call->reply, call->argv[i]);
        reply_set(call->reply, 2);
        reply_simple(call->reply, access_of(flags));
        reply_simple(call->reply, flags & COMMAND_WRITE ? "update" : "access");
    }
    return 0;
}
