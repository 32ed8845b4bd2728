// SPDX-License-Identifier: Apache-2.0
// COMMAND: the table, told in the forms of Redis 7.
#include "base/glob.h"
#include "command/handlers.h"

// Names in lower case, as Redis tells them.
static void put_name(struct reply *reply, const char *name)
{
    uint8_t text[COMMAND_NAME_MAX];
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    reply_bulk(reply, span_of(text, len));
}

static const struct flag_name {
    uint16_t flag;
    const char *name, *category;
} flag_names[] = {
    {COMMAND_WRITE, "write", "@write"},    {COMMAND_READ, "readonly", "@read"},
    {COMMAND_FAST, "fast", "@fast"},       {COMMAND_ADMIN, "admin", "@admin"},
    {COMMAND_PUBSUB, "pubsub", "@pubsub"}, {COMMAND_STALE, "stale", NULL},
};
#define FLAG_NAMES (sizeof flag_names / sizeof *flag_names)

static void put_flags(struct reply *reply, const struct command *command, bool is_category)
{
    size_t count = 0;
    for (size_t i = 0; i < FLAG_NAMES; i++)
        count += (command->flags & flag_names[i].flag) && (!is_category || flag_names[i].category);
    reply_set(reply, count);
    for (size_t i = 0; i < FLAG_NAMES; i++) {
        if (!(command->flags & flag_names[i].flag))
            continue;
        if (!is_category)
            reply_simple(reply, flag_names[i].name);
        else if (flag_names[i].category)
            reply_simple(reply, flag_names[i].category);
    }
}

static void put_info(struct reply *reply, const struct command *command)
{
    reply_array(reply, 10);
    put_name(reply, command->name);
    reply_integer(reply, command->arity);
    put_flags(reply, command, false);
    reply_integer(reply, command->key_first);
    reply_integer(reply, command->key_last);
    reply_integer(reply, command->key_step);
    put_flags(reply, command, true);
    for (unsigned i = 0; i < 3; i++) // tips, key specifications, subcommands
        reply_array(reply, 0);
}

static void put_docs(struct reply *reply, const struct command *command)
{
    put_name(reply, command->name);
    reply_map(reply, 3);
    reply_bulk_text(reply, "summary");
    reply_bulk_text(reply, command->summary);
    reply_bulk_text(reply, "since");
    reply_bulk_text(reply, QUIPU_VERSION);
    reply_bulk_text(reply, "group");
    reply_bulk_text(reply, command->group);
}

static int tell_info(struct call *call)
{
    bool is_all = call->argc <= 2;
    size_t count = is_all ? command_count() : call->argc - 2;
    reply_array(call->reply, count);
    for (unsigned i = 0; i < count; i++) {
        const struct command *command = is_all ? command_at(i) : command_named(call->argv[i + 2]);
        if (command)
            put_info(call->reply, command);
        else
            reply_nil_array(call->reply);
    }
    return 0;
}

static int tell_docs(struct call *call)
{
    bool is_all = call->argc <= 2;
    size_t asked = is_all ? command_count() : call->argc - 2, found = 0;
    for (unsigned i = 0; i < asked; i++)
        found += is_all || command_named(call->argv[i + 2]);
    reply_map(call->reply, found);
    for (unsigned i = 0; i < asked; i++) {
        const struct command *command = is_all ? command_at(i) : command_named(call->argv[i + 2]);
        if (command)
            put_docs(call->reply, command);
    }
    return 0;
}

// LIST [FILTERBY PATTERN p | ACLCAT c | MODULE m]
static int tell_list(struct call *call)
{
    bool is_filtered = call->argc == 5 && span_is_word(call->argv[2], "FILTERBY");
    bool is_pattern = is_filtered && span_is_word(call->argv[3], "PATTERN");
    if (call->argc != 2 && !is_filtered) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return 0;
    }
    size_t mark = reply_open_array(call->reply), count = 0;
    for (unsigned i = 0; i < command_count(); i++) {
        const char *name = command_at(i)->name;
        if (is_filtered && !(is_pattern && glob_is_match(call->argv[4], span_text(name))))
            continue;
        put_name(call->reply, name);
        count++;
    }
    reply_close_array(call->reply, mark, count);
    return 0;
}

static int tell_keys(struct call *call)
{
    const struct command *command = call->argc > 2 ? command_named(call->argv[2]) : NULL;
    uint32_t argc = call->argc - 2;
    if (!command || command->key_first == 0 ||
        (command->arity > 0 ? argc != (uint32_t)command->arity
                            : argc < (uint32_t)-command->arity)) {
        reply_error_text(call->reply, "ERR The command has no key arguments");
        return 0;
    }
    uint32_t first = (uint32_t)command->key_first;
    uint32_t last = command->key_last < 0 ? argc - 1 : (uint32_t)command->key_last;
    if (last >= argc)
        last = argc - 1;
    reply_array(call->reply, first > last ? 0 : last - first + 1);
    for (uint32_t i = first; i <= last; i++)
        reply_bulk(call->reply, call->argv[2 + i]);
    return 0;
}

int run_command(struct call *call)
{
    if (call->argc == 1 || span_is_word(call->argv[1], "INFO"))
        return tell_info(call);
    if (span_is_word(call->argv[1], "DOCS"))
        return tell_docs(call);
    if (span_is_word(call->argv[1], "LIST"))
        return tell_list(call);
    if (span_is_word(call->argv[1], "GETKEYS"))
        return tell_keys(call);
    if (!span_is_word(call->argv[1], "COUNT"))
        return reply_subcommand(call);
    reply_integer(call->reply, command_count());
    return 0;
}
