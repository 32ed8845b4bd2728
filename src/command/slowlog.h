// SPDX-License-Identifier: Apache-2.0
// The slow log: the newest commands that took long, each with its first arguments. An entry is made
// where the command ran and given to the log, which belongs to the replica thread.
//
// What is timed: a command without the flag "fast", where it runs. With a threshold below
// SLOWLOG_ALL_US every command is, which costs two looks at the clock each.
#pragma once
#include "command/session.h"

#define SLOWLOG_ARGS_MAX 32  // of an entry, the last one says how many more there were
#define SLOWLOG_ARG_MAX  128 // bytes of one
#define SLOWLOG_LEN_MAX  10000
#define SLOWLOG_ALL_US   1000

struct slow_entry {
    struct slow_entry *next; // older
    uint64_t id, time_s, took_us;
    char address[SESSION_TEXT_MAX], name[SESSION_TEXT_MAX + 1];
    uint32_t argc;
    struct span argv[SLOWLOG_ARGS_MAX]; // into `bytes`
    size_t size;
    uint8_t bytes[];
};

struct slow_command { // what an entry is made of; borrows
    const struct span *argv;
    uint32_t argc;
    const char *address; // the client's, and its name
    struct span name;
    uint64_t took_us;
};
// NULL: -ENOMEM. time and id are set by slowlog_put.
struct slow_entry *slow_entry_new(struct heap *heap, const struct slow_command *command);

struct slowlog {
    struct heap *heap;
    struct slow_entry *newest;
    uint64_t count, next_id;
    uint64_t len_max;       // slowlog-max-len
    int64_t slower_than_us; // slowlog-log-slower-than; negative: nothing is noted
};

void slowlog_init(struct slowlog *slowlog, struct heap *heap);
void slowlog_deinit(struct slowlog *slowlog);
void slowlog_put(struct slowlog *slowlog, struct slow_entry *entry, uint64_t time_s); // takes it
void slowlog_trim(struct slowlog *slowlog, uint64_t count_max); // drops the oldest
