// SPDX-License-Identifier: Apache-2.0
// A user told again: as a line of ACL LIST and of the file, and part by part for ACL GETUSER. What
// is told here makes the same user when it is applied to a new one.
#include "command/acl.h"

static void put_words(struct buf *out, const char *before, const struct acl_words *words)
{
    for (uint32_t i = 0; i < words->count; i++) {
        if (i)
            buf_put_byte(out, ' ');
        buf_put_text(out, before);
        buf_put(out, span_of(words->list[i].ptr, words->list[i].len));
    }
}

void acl_put_commands(struct buf *out, const struct acl_selector *selector)
{
    // Every list of rules begins with nothing or all; which of them, the last "+@all" or "-@all"
    // said, and a subtraction from all leaves `is_rest_allowed`.
    buf_put_text(out, selector->is_rest_allowed ? "+@all" : "-@all");
    if (selector->rules.count)
        buf_put_byte(out, ' ');
    put_words(out, "", &selector->rules);
}

void acl_put_keys(struct buf *out, const struct acl_selector *selector)
{
    static const char *const heads[] = {
        [ACCESS_READ] = "%R~", [ACCESS_WRITE] = "%W~", [ACCESS_READ | ACCESS_WRITE] = "~"};
    if (selector->is_all_keys)
        buf_put_text(out, "~*");
    for (uint32_t i = 0; i < selector->keys.count; i++) {
        const struct acl_word *word = &selector->keys.list[i];
        if (i)
            buf_put_byte(out, ' ');
        buf_put_text(out, heads[word->access]);
        buf_put(out, span_of(word->ptr, word->len));
    }
}

void acl_put_channels(struct buf *out, const struct acl_selector *selector)
{
    if (selector->is_all_channels)
        buf_put_text(out, "&*");
    put_words(out, "&", &selector->channels);
}

static void put_selector(struct buf *out, const struct acl_selector *selector)
{
    if (selector->is_all_keys || selector->keys.count) {
        acl_put_keys(out, selector);
        buf_put_byte(out, ' ');
    }
    if (!selector->is_all_channels) {
        buf_put_text(out, "resetchannels");
        buf_put_text(out, selector->channels.count ? " " : "");
    }
    acl_put_channels(out, selector);
    buf_put_byte(out, ' ');
    acl_put_commands(out, selector);
}

void acl_put_user(struct buf *out, const struct acl_user *user)
{
    buf_put_text(out, "user ");
    buf_put(out, acl_user_name(user));
    buf_put_text(out, user->flags & ACL_ON ? " on" : " off");
    if (user->flags & ACL_NO_PASSWORD)
        buf_put_text(out, " nopass");
    if (user->flags & ACL_SKIP_SANITIZE)
        buf_put_text(out, " skip-sanitize-payload");
    if (user->flags & ACL_SANITIZE)
        buf_put_text(out, " sanitize-payload");
    buf_put_byte(out, ' ');
    put_words(out, "#", &user->passwords);
    if (user->passwords.count)
        buf_put_byte(out, ' ');
    for (uint32_t i = 0; i < user->selectors_count; i++) {
        buf_put_text(out, i ? " (" : "");
        put_selector(out, &user->selectors[i]);
        buf_put_text(out, i ? ")" : "");
    }
}
