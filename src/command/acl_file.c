// SPDX-License-Identifier: Apache-2.0
// Users as a text, a line each: "user NAME rule rule ...". Either every line is right and all users
// are replaced, or nothing changes and each line that is wrong is named.
#include <errno.h>
#include <stdio.h>
#include "base/decimal.h"
#include "command/acl.h"

struct load {
    struct acl fresh; // its view is what the file makes
    const char *path;
    uint64_t line;
    struct buf *error;
};

static void put_place(struct load *load)
{
    buf_put_text(load->error, load->path);
    buf_put_byte(load->error, ':');
    decimal_put_unsigned(load->error, load->line);
}

static void put_rule_fault(struct load *load, struct span rule, int outcome)
{
    put_place(load);
    if (outcome == ACL_E_UNKNOWN) { // nothing secret in it
        buf_put_text(load->error, ": Error in applying operation '");
        buf_put(load->error, rule);
        buf_put_byte(load->error, '\'');
    }
    buf_put_text(load->error, ": ");
    buf_put_text(load->error, outcome < 0 ? strerrordesc_np(-outcome) : acl_rule_text(outcome));
    buf_put_text(load->error, ". ");
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

// Splits at blanks. False: more words than a line may have.
static bool split(struct span line, struct span *words, uint32_t max, uint32_t *out_count)
{
    size_t at = 0;
    *out_count = 0;
    for (;;) {
        while (at < line.len && is_blank(line.ptr[at]))
            at++;
        if (at == line.len)
            return true;
        if (*out_count == max)
            return false;
        size_t from = at;
        while (at < line.len && !is_blank(line.ptr[at]))
            at++;
        words[(*out_count)++] = span_of(line.ptr + from, at - from);
    }
}

#define LINE_WORDS_MAX (4 * LIMIT_USER_RULES)

static void load_user(struct load *load, const struct span *words, uint32_t count)
{
    struct acl *fresh = &load->fresh;
    struct acl_change change = {words[1], words + 2, count - 2};
    uint32_t at;
    const struct acl_user *old = acl_find(fresh->view, words[1]);
    bool is_default = span_is_equal(words[1], span_text("default"));
    if (old && (!is_default || old->id)) {
        buf_put_text(load->error, "WARNING: Duplicate user '");
        buf_put(load->error, words[1]);
        buf_put_text(load->error, "' found on line ");
        decimal_put_unsigned(load->error, load->line);
        buf_put_text(load->error, ". ");
        return;
    }
    if (is_default) { // the one that is there by itself makes room
        uint32_t removed;
        if (acl_delete(fresh, words + 1, 1, &removed))
            buf_put_text(load->error, "out of memory. ");
    }
    int outcome = acl_set(fresh, &change, &at);
    acl_settled(fresh, fresh->view->generation);
    if (outcome)
        put_rule_fault(load, at < change.rules_count ? change.rules[at] : words[1], outcome);
}

static void load_line(struct load *load, struct span line, struct span *words)
{
    uint32_t count;
    if (!split(line, words, LINE_WORDS_MAX, &count)) {
        put_place(load);
        buf_put_text(load->error, ": Too many rules for one user. ");
    } else if (count == 0 || words[0].ptr[0] == '#') {
        return;
    } else if (count < 2 || !span_is_equal(words[0], span_text("user"))) {
        put_place(load);
        buf_put_text(load->error, " should start with user keyword followed by the username. ");
    } else if (!acl_name_is_valid(words[1])) {
        put_place(load);
        buf_put_text(load->error, ": username '");
        buf_put(load->error, words[1]);
        buf_put_text(load->error, "' contains invalid characters. ");
    } else {
        load_user(load, words, count);
    }
}

static void load_lines(struct load *load, struct span text, struct span *words)
{
    size_t at = 0;
    while (at < text.len) {
        const uint8_t *from = text.ptr + at;
        const uint8_t *end = memchr(from, '\n', text.len - at);
        size_t len = end ? (size_t)(end - from) : text.len - at;
        load->line++;
        load_line(load, span_of(from, len), words);
        at += len + 1;
    }
}

bool acl_load(struct acl *acl, const char *path, struct span text, struct buf *out_error)
{
    struct load load = {.path = path, .error = out_error};
    size_t size = LINE_WORDS_MAX * sizeof(struct span);
    struct span *words = heap_alloc(acl->heap, size);
    size_t before = out_error->len;
    if (!words || acl_init(&load.fresh, acl->heap, acl->catalog)) {
        heap_free(acl->heap, words, size);
        buf_put_text(out_error, "out of memory");
        return false;
    }
    load.fresh.next_id = acl->next_id;
    load.fresh.is_channels_open = acl->is_channels_open;
    load_lines(&load, text, words);
    heap_free(acl->heap, words, size);
    bool is_right = out_error->len == before && !buf_has_failed(out_error);
    if (is_right)
        acl_take(acl, &load.fresh);
    else
        buf_put_text(out_error, "WARNING: ACL errors detected, no change to the previously active "
                                "ACL rules was performed");
    acl_deinit(&load.fresh);
    return is_right;
}

void acl_save(const struct acl *acl, struct buf *out)
{
    for (uint32_t i = 0; i < acl->view->count; i++) {
        acl_put_user(out, acl->view->user[i]);
        buf_put_byte(out, '\n');
    }
}
