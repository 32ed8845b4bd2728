// SPDX-License-Identifier: Apache-2.0
// Categories follow Redis's rule: a write is @write, what is not fast is @slow, an administrator's
// command is @admin and @dangerous; a group adds its own. A command with subcommands is only
// @slow: each subcommand is judged by itself.
#include <assert.h>
#include "base/decimal.h"
#include "command/access.h"

static const char *const names[CATEGORIES] = {
    [CATEGORY_KEYSPACE] = "keyspace",
    [CATEGORY_READ] = "read",
    [CATEGORY_WRITE] = "write",
    [CATEGORY_SET] = "set",
    [CATEGORY_SORTEDSET] = "sortedset",
    [CATEGORY_LIST] = "list",
    [CATEGORY_HASH] = "hash",
    [CATEGORY_STRING] = "string",
    [CATEGORY_BITMAP] = "bitmap",
    [CATEGORY_HYPERLOGLOG] = "hyperloglog",
    [CATEGORY_GEO] = "geo",
    [CATEGORY_STREAM] = "stream",
    [CATEGORY_PUBSUB] = "pubsub",
    [CATEGORY_ADMIN] = "admin",
    [CATEGORY_FAST] = "fast",
    [CATEGORY_SLOW] = "slow",
    [CATEGORY_BLOCKING] = "blocking",
    [CATEGORY_DANGEROUS] = "dangerous",
    [CATEGORY_CONNECTION] = "connection",
    [CATEGORY_TRANSACTION] = "transaction",
    [CATEGORY_SCRIPTING] = "scripting",
    [CATEGORY_QUIPU] = "quipu",
};

#define BIT(category) (1u << (category))
#define ADMIN         (BIT(CATEGORY_ADMIN) | BIT(CATEGORY_DANGEROUS))
#define KEYSPACE      BIT(CATEGORY_KEYSPACE)
#define DANGEROUS     BIT(CATEGORY_DANGEROUS)
#define CONNECTION    BIT(CATEGORY_CONNECTION)
#define SCRIPTING     BIT(CATEGORY_SCRIPTING)
#define PUBSUB        BIT(CATEGORY_PUBSUB)
#define READ          BIT(CATEGORY_READ)
#define WRITE         BIT(CATEGORY_WRITE)

static const struct {
    const char *group;
    uint32_t categories;
} groups[] = {
    {"generic", KEYSPACE},
    {"counter", BIT(CATEGORY_STRING)},
    {"string", BIT(CATEGORY_STRING)},
    {"set", BIT(CATEGORY_SET)},
    {"hyperloglog", BIT(CATEGORY_HYPERLOGLOG)},
    {"connection", CONNECTION},
    {"transactions", BIT(CATEGORY_TRANSACTION)},
    {"transaction", BIT(CATEGORY_TRANSACTION)},
    {"scripting", SCRIPTING},
    {"presence", BIT(CATEGORY_QUIPU)},
    {"quipu", BIT(CATEGORY_QUIPU)},
};

// What flags and group do not say. Keys of a read are read, keys of a write are written, unless a
// row says otherwise; NONE: it only asks whether or what they are.
enum { BY_FLAGS, NONE, R, W, RW, SET_GET };
// COUNTED: argv[1] keys from argv[2] on; NUMBERED: argv[2] from argv[3] on.
enum form { FORM_TABLE, FORM_COUNTED, FORM_NUMBERED, FORM_PAIRS };
static const struct access_row {
    const char *name;
    uint8_t first, rest; // of the first key, of the others
    enum form form;      // PAIRS: beside argv[1], each second one from argv[4] on
    enum access_channels channels;
    bool is_one_channel;
    bool is_every_key;            // it tells of keys that it does not name
    uint32_t categories, without; // beside those of flags and group; not even with those
} rows[] = {
    {"INCR", .first = RW, .rest = RW},
    {"DECR", .first = RW, .rest = RW},
    {"INCRBY", .first = RW, .rest = RW},
    {"DECRBY", .first = RW, .rest = RW},
    {"SET", .first = SET_GET},
    {"GETSET", .first = RW},
    {"GETDEL", .first = RW},
    {"GETEX", .first = RW},
    {"SPOP", .first = RW},
    {"SMOVE", .first = RW, .rest = W},
    {"SINTERCARD", .first = R, .rest = R, .form = FORM_COUNTED},
    {"PFMERGE", .first = RW, .rest = R},
    {"EXISTS", .first = NONE, .rest = NONE},
    {"TYPE", .first = NONE},
    {"TOUCH", .first = NONE, .rest = NONE},
    {"SCARD", .first = NONE},
    {"SISMEMBER", .first = NONE},
    {"STRLEN", .first = NONE},
    {"OBJECT", .first = NONE},
    {"MEMORY", .first = NONE},
    {"WATCH", .first = NONE, .rest = NONE},
    {"QUIPU.ADVANCE", .first = RW, .rest = W, .form = FORM_PAIRS},
    {"QUIPU.TRANSFER", .first = W},
    {"HANDOFF", .first = RW},
    {"EVAL", .first = RW, .rest = RW, .form = FORM_NUMBERED},
    {"EVALSHA", .first = RW, .rest = RW, .form = FORM_NUMBERED},
    {"FCALL", .first = RW, .rest = RW, .form = FORM_NUMBERED},
    {"EVAL_RO", .first = R, .rest = R, .form = FORM_NUMBERED},
    {"EVALSHA_RO", .first = R, .rest = R, .form = FORM_NUMBERED},
    {"FCALL_RO", .first = R, .rest = R, .form = FORM_NUMBERED},
    {"PUBLISH", .channels = ACCESS_CHANNELS, .is_one_channel = true},
    {"SPUBLISH", .channels = ACCESS_CHANNELS, .is_one_channel = true},
    {"SUBSCRIBE", .channels = ACCESS_CHANNELS},
    {"SSUBSCRIBE", .channels = ACCESS_CHANNELS},
    {"PSUBSCRIBE", .channels = ACCESS_PATTERNS},
    {"DBSIZE", .categories = KEYSPACE},
    {"FLUSHALL", .categories = KEYSPACE | DANGEROUS},
    {"FLUSHDB", .categories = KEYSPACE | DANGEROUS},
    {"KEYS", .categories = DANGEROUS},
    {"INFO", .categories = DANGEROUS},
    {"LASTSAVE", .categories = ADMIN},
    {"MONITOR", .categories = ADMIN},
    {"ROLE", .categories = ADMIN},
    {"SHUTDOWN", .categories = ADMIN},
    {"READONLY", .categories = CONNECTION},
    {"READWRITE", .categories = CONNECTION},
    {"WAIT", .categories = CONNECTION, .without = KEYSPACE | READ},
    {"QUIPU.FEED", .categories = DANGEROUS, .is_every_key = true},
    {"QUIPU.BACKUP", .categories = ADMIN, .is_every_key = true},
};

static const struct access_row plain = {"", .first = BY_FLAGS};

const char *access_category_name(enum access_category category)
{
    return names[category];
}

bool access_category_find(struct span name, enum access_category *out_category)
{
    for (unsigned i = 0; i < CATEGORIES; i++) {
        if (span_is_word(name, names[i])) {
            *out_category = (enum access_category)i;
            return true;
        }
    }
    return false;
}

// ---- the catalog

static uint32_t categories_of(const char *group, uint32_t flags)
{
    static const struct {
        uint32_t flag, categories;
    } by_flag[] = {
        {COMMAND_WRITE, WRITE},
        {COMMAND_READ, READ},
        {COMMAND_ADMIN, ADMIN},
        {COMMAND_PUBSUB, PUBSUB},
    };
    uint32_t categories = BIT(flags & COMMAND_FAST ? CATEGORY_FAST : CATEGORY_SLOW);
    for (size_t i = 0; i < sizeof by_flag / sizeof *by_flag; i++)
        categories |= flags & by_flag[i].flag ? by_flag[i].categories : 0;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (strcmp(groups[i].group, group) == 0)
            categories |= groups[i].categories;
    }
    // Who may read may not run scripts for it.
    return categories & SCRIPTING ? categories & ~READ : categories;
}

// What Redis calls fast, though here it waits for a commit: rules that are written for Redis mean
// the same here.
static bool is_fast_in_redis(const char *name)
{
    static const char *const fast[] = {"SADD",    "SREM",     "SPOP",      "SMOVE",   "EXPIRE",
                                       "PEXPIRE", "EXPIREAT", "PEXPIREAT", "PERSIST", "GETSET",
                                       "GETDEL",  "GETEX",    "PFADD",     "UNLINK",  "WATCH",
                                       "UNWATCH", "MULTI",    "DISCARD",   "TOUCH",   "LASTSAVE"};
    for (size_t i = 0; i < sizeof fast / sizeof *fast; i++) {
        if (strcmp(fast[i], name) == 0)
            return true;
    }
    return false;
}

static const struct access_row *row_of(const struct command *command)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, command->name) == 0)
            return &rows[i];
    }
    return &plain;
}

static void put_name(struct access_entry *entry, const char *name)
{
    size_t len = strlen(entry->name);
    assert(len + strlen(name) < ACCESS_NAME);
    for (size_t i = 0; name[i]; i++)
        entry->name[len + i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
}

static void add_subcommands(struct access_catalog *catalog, unsigned parent)
{
    struct access_entry *of = &catalog->entry[parent];
    of->first = (uint16_t)catalog->count;
    for (unsigned i = 0; i < subcommand_count(); i++) {
        const struct subcommand *sub = subcommand_at(i);
        if (strcmp(sub->command, of->command->name) != 0)
            continue;
        assert(catalog->count < ACCESS_IDS);
        struct access_entry *entry = &catalog->entry[catalog->count++];
        put_name(entry, of->command->name);
        put_name(entry, "|");
        put_name(entry, sub->name);
        entry->command = of->command;
        entry->categories = categories_of(of->command->group, sub->flags);
        entry->parent = (uint16_t)parent;
        entry->row = of->row;
    }
    if (of->first != catalog->count) { // each of them has HELP
        of->categories = BIT(CATEGORY_SLOW);
        struct access_entry *help = &catalog->entry[catalog->count++];
        *help = catalog->entry[of->first];
        memset(help->name, 0, sizeof help->name);
        put_name(help, of->command->name);
        put_name(help, "|help");
        help->categories = categories_of(of->command->group, 0);
    }
    of->end = (uint16_t)catalog->count;
}

// So that rules that were written for Redis are understood.
static void add_refused(struct access_catalog *catalog)
{
    for (unsigned i = 0; i < refusal_count(); i++) {
        assert(catalog->count < ACCESS_IDS);
        struct access_entry *entry = &catalog->entry[catalog->count];
        entry->parent = (uint16_t)catalog->count++;
        entry->row = &plain;
        put_name(entry, refusal_at(i)->name);
    }
}

void access_catalog_init(struct access_catalog *catalog)
{
    memset(catalog, 0, sizeof *catalog);
    catalog->commands_count = catalog->count = command_count();
    assert(catalog->count < ACCESS_IDS);
    for (unsigned i = 0; i < catalog->commands_count; i++) {
        struct access_entry *entry = &catalog->entry[i];
        entry->command = command_at(i);
        put_name(entry, entry->command->name);
        entry->parent = (uint16_t)i;
        entry->row = row_of(entry->command);
        uint32_t flags = entry->command->flags;
        if (is_fast_in_redis(entry->command->name))
            flags |= COMMAND_FAST;
        entry->categories = (entry->row->categories | categories_of(entry->command->group, flags)) &
                            ~entry->row->without;
    }
    for (unsigned i = 0; i < catalog->commands_count; i++)
        add_subcommands(catalog, i);
    add_refused(catalog);
}

unsigned access_id_of(const struct access_catalog *catalog, const struct command *command,
                      const struct span *argv, uint32_t argc)
{
    unsigned id = (unsigned)(command - command_at(0));
    const struct access_entry *entry = &catalog->entry[id];
    if (entry->first == entry->end || argc < 2)
        return id;
    size_t skip = strlen(entry->name) + 1;
    for (unsigned i = entry->first; i < entry->end; i++) {
        if (span_is_word(argv[1], catalog->entry[i].name + skip))
            return i;
    }
    return id;
}

bool access_find(const struct access_catalog *catalog, struct span name, unsigned *out_id)
{
    for (unsigned i = 0; i < catalog->count; i++) {
        if (span_is_word(name, catalog->entry[i].name)) {
            *out_id = i;
            return true;
        }
    }
    return false;
}

// ---- keys and channels

static bool has_get(const struct span *argv, uint32_t argc)
{
    for (uint32_t i = 3; i < argc; i++) {
        if (span_is_word(argv[i], "GET"))
            return true;
    }
    return false;
}

static unsigned access_of(uint8_t kind, const struct access_entry *entry, const struct span *argv,
                          uint32_t argc)
{
    static const uint8_t by_kind[] = {
        [R] = ACCESS_READ, [W] = ACCESS_WRITE, [RW] = ACCESS_READ | ACCESS_WRITE};
    if (kind == BY_FLAGS)
        return entry->command->flags & COMMAND_WRITE ? ACCESS_WRITE : ACCESS_READ;
    if (kind == SET_GET)
        return has_get(argv, argc) ? ACCESS_READ | ACCESS_WRITE : ACCESS_WRITE;
    return by_kind[kind];
}

struct range {
    uint32_t first, end, step;
};

static struct range range_of(const struct access_entry *entry, const struct span *argv,
                             uint32_t argc)
{
    const struct command *command = entry->command;
    enum form form = entry->row->form;
    uint64_t count;
    if (form == FORM_NUMBERED || form == FORM_COUNTED) {
        uint32_t first = form == FORM_COUNTED ? 2 : 3, left = argc > first ? argc - first : 0;
        if (left == 0 || !decimal_parse_unsigned(argv[first - 1], &count))
            return (struct range){first, first, 1};
        return (struct range){first, first + (count < left ? (uint32_t)count : left), 1};
    }
    if (command->key_first <= 0)
        return (struct range){1, 0, 1};
    uint32_t end = command->key_last < 0 ? argc + 1 - (uint32_t)-command->key_last
                                         : (uint32_t)command->key_last + 1;
    return (struct range){(uint32_t)command->key_first, end < argc ? end : argc,
                          command->key_step > 0 ? (uint32_t)command->key_step : 1};
}

bool access_is_every_key(const struct access_entry *entry)
{
    return entry->row->is_every_key;
}

bool access_has_keys(const struct access_entry *entry)
{
    enum form form = entry->row->form;
    return entry->command->key_first > 0 || form == FORM_NUMBERED || form == FORM_COUNTED;
}

bool access_keys(const struct access_entry *entry, const struct span *argv, uint32_t argc,
                 access_visit visit, void *ctx)
{
    const struct access_row *row = entry->row;
    struct range range = range_of(entry, argv, argc);
    unsigned first = access_of(row->first, entry, argv, argc);
    unsigned rest = access_of(row->rest, entry, argv, argc);
    for (uint32_t at = range.first; at < range.end; at += range.step) {
        if (!visit(ctx, at, at == range.first ? first : rest))
            return false;
    }
    for (uint32_t at = 4; row->form == FORM_PAIRS && at < argc; at += 2) {
        if (!visit(ctx, at, rest))
            return false;
    }
    return true;
}

enum access_channels access_channels_of(const struct access_entry *entry, uint32_t *out_end)
{
    *out_end = entry->row->is_one_channel ? 2 : UINT32_MAX;
    return entry->row->channels;
}
