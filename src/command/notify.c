// SPDX-License-Identifier: Apache-2.0
// Letters and names, in two tables.
#include "command/notify.h"

#define NOTIFY_CLASSES                                                                             \
    (NOTIFY_GENERIC | NOTIFY_STRING | NOTIFY_LIST | NOTIFY_SET | NOTIFY_HASH | NOTIFY_SORTED |     \
     NOTIFY_EXPIRED | NOTIFY_EVICTED | NOTIFY_STREAM | NOTIFY_MODULE)

static const struct letter {
    char letter;
    uint32_t flags;
} letters[] = {
    // In Redis's order of telling them.
    {'A', NOTIFY_CLASSES},  {'g', NOTIFY_GENERIC},  {'$', NOTIFY_STRING}, {'l', NOTIFY_LIST},
    {'s', NOTIFY_SET},      {'h', NOTIFY_HASH},     {'z', NOTIFY_SORTED}, {'x', NOTIFY_EXPIRED},
    {'e', NOTIFY_EVICTED},  {'t', NOTIFY_STREAM},   {'d', NOTIFY_MODULE}, {'n', NOTIFY_NEW},
    {'K', NOTIFY_KEYSPACE}, {'E', NOTIFY_KEYEVENT}, {'m', NOTIFY_MISS},
};
#define LETTERS (sizeof letters / sizeof *letters)

static uint32_t flags_of(uint8_t byte)
{
    for (size_t i = 0; i < LETTERS; i++) {
        if (letters[i].letter == (char)byte)
            return letters[i].flags;
    }
    return 0;
}

bool notify_parse(struct span text, uint32_t *out_flags)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint32_t more = flags_of(text.ptr[i]);
        if (!more)
            return false;
        flags |= more;
    }
    *out_flags = flags;
    return true;
}

void notify_write(uint32_t flags, struct buf *out)
{
    uint32_t left = flags;
    for (size_t i = 0; i < LETTERS; i++) {
        if ((left & letters[i].flags) != letters[i].flags)
            continue;
        buf_put_byte(out, (uint8_t)letters[i].letter);
        left &= ~letters[i].flags;
    }
}

static bool is_number(enum cell_type type)
{
    return type == CELL_COUNTER || type == CELL_GCOUNTER;
}

// What a set or a presence has more or less of.
static const char *member_event(const struct change *change)
{
    if (change->type == CELL_PRESENCE)
        return "presence";
    return change->has_previous && change->value < change->previous ? "srem" : "sadd";
}

static const char *end_event(const struct change *change, uint32_t *out_class)
{
    bool is_expiry = change->origin == CHANGE_EXPIRY;
    *out_class = is_expiry ? NOTIFY_EXPIRED : NOTIFY_GENERIC;
    return is_expiry ? "expired" : "del";
}

const char *notify_event(const struct change *change, uint32_t *out_class)
{
    if (!change->is_live)
        return end_event(change, out_class);
    if (!is_number(change->type)) {
        *out_class = NOTIFY_SET;
        return member_event(change);
    }
    *out_class = NOTIFY_STRING;
    return change->op == CHANGE_SET ? "set" : "incrby";
}
