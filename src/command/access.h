// SPDX-License-Identifier: Apache-2.0
// What the command table says about access: the categories of each command and subcommand, which
// arguments are keys and what is done with them, which are channels. Made from the table's flags
// and groups once, then only read; what they do not say is a row in access.c.
//
// Commands and subcommands have ids, by which a user's permissions are bits.
#pragma once
#include "command/command.h"

#define ACCESS_IDS  1024u
#define ACCESS_NAME 40

enum access_category { // in Redis's order; ours last
    CATEGORY_KEYSPACE,
    CATEGORY_READ,
    CATEGORY_WRITE,
    CATEGORY_SET,
    CATEGORY_SORTEDSET,
    CATEGORY_LIST,
    CATEGORY_HASH,
    CATEGORY_STRING,
    CATEGORY_BITMAP,
    CATEGORY_HYPERLOGLOG,
    CATEGORY_GEO,
    CATEGORY_STREAM,
    CATEGORY_PUBSUB,
    CATEGORY_ADMIN,
    CATEGORY_FAST,
    CATEGORY_SLOW,
    CATEGORY_BLOCKING,
    CATEGORY_DANGEROUS,
    CATEGORY_CONNECTION,
    CATEGORY_TRANSACTION,
    CATEGORY_SCRIPTING,
    CATEGORY_QUIPU,
    CATEGORIES,
};
const char *access_category_name(enum access_category category); // "keyspace"
bool access_category_find(struct span name, enum access_category *out_category);

enum { ACCESS_READ = 1u << 0, ACCESS_WRITE = 1u << 1 }; // what is done with a key; 0: is it there?

enum access_channels { ACCESS_NO_CHANNELS, ACCESS_CHANNELS, ACCESS_PATTERNS };

struct access_entry {              // a command, or a subcommand
    char name[ACCESS_NAME];        // in lower case: "client|kill"
    const struct command *command; // NULL: Redis has it, quipu refuses it to everybody
    uint32_t categories;           // bits by enum access_category
    uint16_t parent;               // of a subcommand; else its own id
    uint16_t first, end;           // ids of its subcommands
    const struct access_row *row;
};

struct access_catalog {
    struct access_entry entry[ACCESS_IDS];
    unsigned count, commands_count; // commands first, by their place in the table
};
void access_catalog_init(struct access_catalog *catalog);

// The id of what a request runs: the subcommand's if it names one that there is.
unsigned access_id_of(const struct access_catalog *catalog, const struct command *command,
                      const struct span *argv, uint32_t argc);
// By full name, in any case: "get", "client|kill". False: there is none.
bool access_find(const struct access_catalog *catalog, struct span name, unsigned *out_id);

// The arguments that are keys, or channels, until `visit` says false. False then.
typedef bool (*access_visit)(void *ctx, uint32_t at, unsigned access);
bool access_is_every_key(const struct access_entry *entry); // read, without naming them
bool access_has_keys(const struct access_entry *entry);
bool access_keys(const struct access_entry *entry, const struct span *argv, uint32_t argc,
                 access_visit visit, void *ctx);
enum access_channels access_channels_of(const struct access_entry *entry, uint32_t *out_end);
