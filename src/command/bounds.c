// SPDX-License-Identifier: Apache-2.0
// Memory at its bound: a look-up tells whether the keys that a command writes, and the members it
// adds, are there already. Nothing is asked while there is room.
#include "base/decimal.h"
#include "command/acl.h"
#include "command/bounds.h"
#include "command/handlers.h"

#define KEEPALIVE_S   60
#define PUBSUB_SOFT   (8u << 20)
#define PUBSUB_SOFT_S 60

void bounds_init(struct bounds *bounds)
{
    *bounds = (struct bounds){
        .clients_max = LIMIT_CLIENTS,
        .keepalive_s = KEEPALIVE_S,
        .output = {[OUTPUT_NORMAL] = {.hard = LIMIT_OUTPUT_BYTES},
                   [OUTPUT_PUBSUB] = {LIMIT_OUTPUT_BYTES, PUBSUB_SOFT, PUBSUB_SOFT_S}}};
}

// ---- memory

// What takes away, or runs others that are looked at one by one.
static const char *const never_grow[] = {
    "DEL",        "UNLINK",  "SREM",     "SPOP",       "FLUSHALL",     "FLUSHDB",
    "EXPIRE",     "PEXPIRE", "EXPIREAT", "PERSIST",    "PEXPIREAT",    "GETDEL",
    "GETEX",      "EXEC",    "EVAL",     "EVALSHA",    "FCALL",        "FUNCTION",
    "QUIPU.LINK", "SCRIPT",  "HANDOFF",  "QUIPU.MEET", "QUIPU.RETIRE",
};

static const struct {
    const char *name;
    enum unit_kind kind;
    uint32_t first, end; // arguments that are members
} with_members[] = {
    {"GADD", UNIT_MEMBER, 2, UINT32_MAX},
    {"SADD", UNIT_MEMBER, 2, UINT32_MAX},
    {"PRESENCE.SET", UNIT_LEASE, 2, 3},
};

static bool is_member(const struct call *call, enum unit_kind kind, struct span member)
{
    struct address address = {.kind = kind, .key = call->argv[1], .sub = member};
    const struct record *record =
        keyspace_find(call->keyspace, &address, keyspace_hash(call->keyspace, &address));
    return record && (record_flags(record) & RECORD_LIVE);
}

static bool has_new_member(const struct call *call)
{
    for (size_t row = 0; row < sizeof with_members / sizeof *with_members; row++) {
        if (strcmp(with_members[row].name, call->command->name) != 0)
            continue;
        for (uint32_t i = with_members[row].first; i < call->argc && i < with_members[row].end;
             i++) {
            if (!is_member(call, with_members[row].kind, call->argv[i]))
                return true;
        }
    }
    return false;
}

static bool is_there(void *ctx, uint32_t at, unsigned access)
{
    const struct call *call = ctx;
    return !(access & ACCESS_WRITE) || key_find(call, call->argv[at]) != NULL;
}

bool bounds_refuse(struct call *call)
{
    const struct command *command = call->command;
    const struct access_catalog *catalog =
        call->server ? call->server->acl->catalog : call->host->acl->catalog;
    if (!(command->flags & COMMAND_WRITE))
        return false;
    for (size_t i = 0; i < sizeof never_grow / sizeof *never_grow; i++) {
        if (strcmp(never_grow[i], command->name) == 0)
            return false;
    }
    const struct access_entry *entry =
        &catalog->entry[access_id_of(catalog, command, call->argv, call->argc)];
    if (access_keys(entry, call->argv, call->argc, is_there, call) && !has_new_member(call))
        return false;
    reply_error(call->reply, REPLY_ERROR_FULL);
    return true;
}

// ---- texts

bool bounds_parse_bytes(struct span text, uint64_t *out_bytes)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {{"", 1},        {"b", 1},         {"k", 1000},       {"kb", 1u << 10},
                 {"m", 1000000}, {"mb", 1u << 20}, {"g", 1000000000}, {"gb", 1u << 30}};
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    uint64_t number;
    if (!decimal_parse_unsigned(span_of(text.ptr, digits), &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (span_is_word(span_of(text.ptr + digits, text.len - digits), units[i].name))
            return !__builtin_mul_overflow(number, units[i].factor, out_bytes) &&
                   *out_bytes <= INT64_MAX;
    }
    return false;
}

static bool next_word(struct span *text, struct span *out_word)
{
    while (text->len && *text->ptr == ' ')
        *text = span_of(text->ptr + 1, text->len - 1);
    size_t len = 0;
    while (len < text->len && text->ptr[len] != ' ')
        len++;
    *out_word = span_of(text->ptr, len);
    *text = span_of(text->ptr + len, text->len - len);
    return len > 0;
}

static bool parse_class(struct span word, int *out_class) // -1: one that there are no clients of
{
    static const struct {
        const char *name;
        int class;
    } rows[] = {
        {"normal", OUTPUT_NORMAL}, {"pubsub", OUTPUT_PUBSUB}, {"slave", -1}, {"replica", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (span_is_word(word, rows[i].name)) {
            *out_class = rows[i].class;
            return true;
        }
    }
    return false;
}

const char *bounds_parse_output(struct span text, struct output_bound output[OUTPUT_CLASSES])
{
    struct output_bound made[OUTPUT_CLASSES];
    struct span word[4];
    memcpy(made, output, sizeof made);
    while (next_word(&text, &word[0])) {
        struct output_bound bound;
        uint64_t soft_s;
        int class;
        bool is_whole =
            next_word(&text, &word[1]) && next_word(&text, &word[2]) && next_word(&text, &word[3]);
        if (!is_whole)
            return "Wrong number of arguments in buffer limit configuration.";
        if (!parse_class(word[0], &class))
            return "Invalid client class specified in buffer limit configuration.";
        if (!bounds_parse_bytes(word[1], &bound.hard) ||
            !bounds_parse_bytes(word[2], &bound.soft) ||
            !decimal_parse_unsigned(word[3], &soft_s) || soft_s > UINT32_MAX)
            return "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
        bound.soft_s = (uint32_t)soft_s;
        if (class >= 0)
            made[class] = bound;
    }
    memcpy(output, made, sizeof made);
    return NULL;
}
