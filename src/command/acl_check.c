// SPDX-License-Identifier: Apache-2.0
// Whether a user may run a command. Selectors are tried one after the other; when none allows it,
// what is told is the furthest that any of them came, as in Redis: the command, then the last key
// or channel.
#include "base/glob.h"
#include "command/acl.h"

static struct span word_span(const struct acl_word *word)
{
    return span_of(word->ptr, word->len);
}

static bool is_key_allowed(const struct acl_selector *selector, struct span key, unsigned access)
{
    for (uint32_t i = 0; i < selector->keys.count; i++) {
        const struct acl_word *word = &selector->keys.list[i];
        if ((word->access & access) == access && glob_is_match(word_span(word), key))
            return true;
    }
    return selector->is_all_keys;
}

static bool may_read_all(const struct acl_selector *selector)
{
    for (uint32_t i = 0; i < selector->keys.count; i++) {
        const struct acl_word *word = &selector->keys.list[i];
        if (word->access & ACCESS_READ && span_is_equal(word_span(word), span_text("*")))
            return true;
    }
    return selector->is_all_keys;
}

// A pattern that somebody listens to is not matched: it must be in the list as it is.
static bool is_channel_allowed(const struct acl_selector *selector, enum topic_kind kind,
                               struct span name)
{
    for (uint32_t i = 0; i < selector->channels.count; i++) {
        struct span pattern = word_span(&selector->channels.list[i]);
        if (kind == TOPIC_PATTERN ? span_is_equal(pattern, name) : glob_is_match(pattern, name))
            return true;
    }
    return selector->is_all_channels;
}

bool acl_may_listen(const struct acl_user *user, enum topic_kind kind, struct span name)
{
    for (uint32_t i = 0; i < user->selectors_count; i++) {
        if (is_channel_allowed(&user->selectors[i], kind, name))
            return true;
    }
    return false;
}

struct check {
    const struct acl_selector *selector;
    const struct access_entry *entry;
    const struct span *argv;
    uint32_t argc, at;
};

static bool check_key(void *ctx, uint32_t at, unsigned access)
{
    struct check *check = ctx;
    check->at = at;
    return is_key_allowed(check->selector, check->argv[at], access);
}

static bool check_channels(struct check *check)
{
    uint32_t end;
    enum access_channels channels = access_channels_of(check->entry, &end);
    if (channels == ACCESS_NO_CHANNELS || check->selector->is_all_channels)
        return true;
    enum topic_kind kind = channels == ACCESS_PATTERNS ? TOPIC_PATTERN : TOPIC_CHANNEL;
    for (check->at = 1; check->at < end && check->at < check->argc; check->at++) {
        if (!is_channel_allowed(check->selector, kind, check->argv[check->at]))
            return false;
    }
    return true;
}

static bool has_first(const struct check *check)
{
    const struct acl_words *firsts = &check->selector->firsts;
    size_t len = strlen(check->entry->name);
    for (uint32_t i = 0; check->argc > 1 && i < firsts->count; i++) {
        const struct acl_word *word = &firsts->list[i];
        if (word->len > len && memcmp(word->ptr, check->entry->name, len) == 0 &&
            word->ptr[len] == '|' &&
            span_is_word(check->argv[1], (const char *)word->ptr + len + 1))
            return true;
    }
    return false;
}

static enum acl_reason check_selector(struct check *check, unsigned id)
{
    const struct acl_selector *selector = check->selector;
    bool is_allowed = selector->is_all_commands || selector->allowed[id / 64] & 1ull << id % 64 ||
                      check->entry->command->flags & COMMAND_NO_AUTH || has_first(check);
    check->at = 0;
    if (!is_allowed)
        return ACL_NO_COMMAND;
    if (!selector->is_all_keys && access_is_every_key(check->entry) && !may_read_all(selector))
        return ACL_NO_KEY;
    if (!selector->is_all_keys &&
        !access_keys(check->entry, check->argv, check->argc, check_key, check))
        return ACL_NO_KEY;
    return check_channels(check) ? ACL_FINE : ACL_NO_CHANNEL;
}

struct acl_verdict acl_check(const struct acl_user *user, const struct command *command,
                             const struct span *argv, uint32_t argc)
{
    unsigned id = access_id_of(user->catalog, command, argv, argc);
    struct acl_verdict verdict = {.reason = ACL_NO_COMMAND, .id = id};
    for (uint32_t i = 0; i < user->selectors_count; i++) {
        struct check check = {.selector = &user->selectors[i],
                              .entry = &user->catalog->entry[id],
                              .argv = argv,
                              .argc = argc};
        enum acl_reason reason = check_selector(&check, id);
        if (reason == ACL_FINE)
            return (struct acl_verdict){.reason = ACL_FINE, .id = id};
        if (reason > verdict.reason || (reason == verdict.reason && check.at > verdict.at)) {
            verdict.reason = reason;
            verdict.at = check.at;
        }
    }
    return verdict;
}
