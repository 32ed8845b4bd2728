// SPDX-License-Identifier: Apache-2.0
// SSCAN key cursor [MATCH pattern] [COUNT n]. The cursor is how many members are still to come:
// they lie in an array that is walked from its end to its beginning, and of which the last one
// takes the place of one that goes. So what is there from the first call to the last is told at
// least once, however much the set grows and shrinks meanwhile; what moved may be told twice.
#include "base/decimal.h"
#include "base/glob.h"
#include "command/set.h"

#define COUNT_DEFAULT 10
#define COUNT_MAX     10000

struct scan_options {
    const struct span *pattern; // NULL: all
    uint64_t count;
};

static bool parse(struct call *call, struct scan_options *options)
{
    for (uint32_t i = 3; i < call->argc; i += 2) {
        bool is_count = span_is_word(call->argv[i], "COUNT");
        if (i + 1 == call->argc || (!is_count && !span_is_word(call->argv[i], "MATCH"))) {
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
            return false;
        }
        int64_t count = 1;
        if (!is_count)
            options->pattern = &call->argv[i + 1];
        else if (!decimal_parse(call->argv[i + 1], &count))
            reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
        else if (count < 1)
            reply_error(call->reply, REPLY_ERROR_SYNTAX);
        if (call->reply->errors_count || count < 1)
            return false;
        if (is_count)
            options->count = count < COUNT_MAX ? (uint64_t)count : COUNT_MAX;
    }
    return true;
}

static void put_cursor(struct reply *reply, uint64_t cursor)
{
    uint8_t digits[DECIMAL_LEN_MAX];
    reply_bulk(reply, span_of(digits, (size_t)(decimal_write_unsigned(digits, cursor) - digits)));
}

int apply_sscan(struct call *call)
{
    uint64_t cursor, found = 0;
    struct scan_options options = {.count = COUNT_DEFAULT};
    if (!decimal_parse_unsigned(call->argv[2], &cursor)) {
        reply_error(call->reply, REPLY_ERROR_CURSOR);
        return 0;
    }
    struct record *set = key_find(call, call->argv[1]);
    if (!set_find(call, set) || !parse(call, &options))
        return 0;
    uint64_t there = set ? record_children_count(set) : 0;
    uint64_t from = cursor == 0 || cursor > there ? there : cursor;
    uint64_t to = from > options.count ? from - options.count : 0;
    reply_array(call->reply, 2);
    put_cursor(call->reply, to);
    size_t mark = reply_open_array(call->reply);
    while (from-- > to) {
        struct address address = record_address(record_child_at(set, (uint32_t)from));
        if (address.kind != UNIT_MEMBER ||
            (options.pattern && !glob_is_match(*options.pattern, address.sub)))
            continue;
        reply_bulk(call->reply, address.sub);
        found++;
    }
    reply_close_array(call->reply, mark, found);
    return 0;
}
