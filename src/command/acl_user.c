// SPDX-License-Identifier: Apache-2.0
// Rules applied one after the other, as ACL SETUSER and the file have them. A rule is looked up in
// two tables, whole words and first letters; whatever fits neither is a syntax error.
#include <errno.h>
#include <stdio.h>
#include "base/hex.h"
#include "command/acl.h"
#include "wire/hmac.h"

#define HASH_DIGITS 64

// ---- lists of words

static void words_clear(struct heap *heap, struct acl_words *words)
{
    for (uint32_t i = 0; i < words->count; i++)
        heap_free(heap, words->list[i].ptr, words->list[i].len + 1u);
    heap_free(heap, words->list, words->cap * sizeof *words->list);
    *words = (struct acl_words){0};
}

static struct span word_span(const struct acl_word *word)
{
    return span_of(word->ptr, word->len);
}

static struct acl_word *words_find(const struct acl_words *words, struct span text)
{
    for (uint32_t i = 0; i < words->count; i++) {
        if (span_is_equal(word_span(&words->list[i]), text))
            return &words->list[i];
    }
    return NULL;
}

static int words_grow(struct heap *heap, struct acl_words *words)
{
    uint32_t cap = words->cap ? 2 * words->cap : 4;
    if (words->count == LIMIT_USER_RULES)
        return ACL_E_FULL;
    if (words->count < words->cap)
        return 0;
    struct acl_word *list =
        heap_resize(heap, words->list, words->cap * sizeof *list, cap * sizeof *list);
    if (!list)
        return -ENOMEM;
    words->list = list;
    words->cap = cap;
    return 0;
}

static int words_add(struct heap *heap, struct acl_words *words, struct span text, unsigned access)
{
    int outcome = words_grow(heap, words);
    if (outcome)
        return outcome;
    uint8_t *copy = heap_alloc(heap, text.len + 1);
    if (!copy)
        return -ENOMEM;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    words->list[words->count++] =
        (struct acl_word){.ptr = copy, .len = (uint32_t)text.len, .access = (uint8_t)access};
    return 0;
}

static void words_remove(struct heap *heap, struct acl_words *words, struct acl_word *word)
{
    heap_free(heap, word->ptr, word->len + 1u);
    size_t after = (size_t)(words->list + words->count - word) - 1;
    memmove(word, word + 1, after * sizeof *word);
    words->count--;
}

static int words_copy(struct heap *heap, struct acl_words *to, const struct acl_words *from)
{
    int outcome = 0;
    for (uint32_t i = 0; !outcome && i < from->count; i++)
        outcome = words_add(heap, to, word_span(&from->list[i]), from->list[i].access);
    return outcome;
}

// ---- life

static void selector_deinit(struct heap *heap, struct acl_selector *selector)
{
    words_clear(heap, &selector->keys);
    words_clear(heap, &selector->channels);
    words_clear(heap, &selector->rules);
    words_clear(heap, &selector->firsts);
}

void acl_user_free(struct acl_user *user)
{
    if (!user)
        return;
    struct heap *heap = user->heap;
    for (uint32_t i = 0; i < user->selectors_count; i++)
        selector_deinit(heap, &user->selectors[i]);
    heap_free(heap, user->selectors, user->selectors_count * sizeof *user->selectors);
    words_clear(heap, &user->passwords);
    heap_free(heap, user, sizeof *user + user->name_len);
}

static struct acl_selector *add_selector(struct acl_user *user)
{
    size_t size = user->selectors_count * sizeof *user->selectors;
    struct acl_selector *list =
        heap_resize(user->heap, user->selectors, size, size + sizeof *user->selectors);
    if (!list)
        return NULL;
    user->selectors = list;
    list[user->selectors_count] = (struct acl_selector){0};
    return &list[user->selectors_count++];
}

struct acl_user *acl_user_new(struct heap *heap, const struct access_catalog *catalog,
                              struct span name, bool is_channels_open)
{
    struct acl_user *user = heap_alloc(heap, sizeof *user + name.len);
    if (!user)
        return NULL;
    *user = (struct acl_user){.heap = heap,
                              .catalog = catalog,
                              .is_channels_open = is_channels_open,
                              .name_len = name.len};
    memcpy(user->name, name.ptr, name.len);
    struct acl_selector *own = add_selector(user);
    if (!own) {
        acl_user_free(user);
        return NULL;
    }
    own->is_all_channels = is_channels_open;
    return user;
}

static int selector_copy(struct heap *heap, struct acl_selector *to,
                         const struct acl_selector *from)
{
    *to = (struct acl_selector){.is_all_keys = from->is_all_keys,
                                .is_all_channels = from->is_all_channels,
                                .is_all_commands = from->is_all_commands,
                                .is_rest_allowed = from->is_rest_allowed};
    memcpy(to->allowed, from->allowed, sizeof to->allowed);
    int outcome = words_copy(heap, &to->keys, &from->keys);
    if (!outcome)
        outcome = words_copy(heap, &to->channels, &from->channels);
    if (!outcome)
        outcome = words_copy(heap, &to->rules, &from->rules);
    return outcome ? outcome : words_copy(heap, &to->firsts, &from->firsts);
}

struct acl_user *acl_user_copy(const struct acl_user *user, struct span name)
{
    struct acl_user *copy = acl_user_new(user->heap, user->catalog, name, user->is_channels_open);
    if (!copy)
        return NULL;
    copy->id = user->id;
    copy->flags = user->flags;
    int outcome = words_copy(user->heap, &copy->passwords, &user->passwords);
    for (uint32_t i = 0; !outcome && i < user->selectors_count; i++) {
        struct acl_selector *selector = i == 0 ? copy->selectors : add_selector(copy);
        outcome = selector ? selector_copy(user->heap, selector, &user->selectors[i]) : -ENOMEM;
    }
    if (!outcome)
        return copy;
    acl_user_free(copy);
    return NULL;
}

// ---- commands

struct scope { // what a rule is applied to
    struct acl_user *user;
    struct acl_selector *selector;
};

// Whether that changed anything.
static bool set_bit(struct acl_selector *selector, unsigned id, bool is_on)
{
    uint64_t bit = 1ull << id % 64;
    bool was_on = (selector->allowed[id / 64] & bit) != 0;
    if (is_on) {
        selector->allowed[id / 64] |= bit;
    } else {
        selector->allowed[id / 64] &= ~bit;
        selector->is_all_commands = false;
    }
    return was_on != is_on;
}

// Forgets "select|0" and the like for a command: it is allowed or denied as a whole.
static void drop_firsts(struct scope scope, const char *name)
{
    struct acl_words *firsts = &scope.selector->firsts;
    size_t len = strlen(name);
    for (uint32_t i = firsts->count; i-- > 0;) {
        struct acl_word *word = &firsts->list[i];
        if (word->len > len && memcmp(word->ptr, name, len) == 0 && word->ptr[len] == '|')
            words_remove(scope.user->heap, firsts, word);
    }
}

static bool set_command(struct scope scope, unsigned id, bool is_on)
{
    const struct access_entry *entry = &scope.user->catalog->entry[id];
    uint32_t firsts = scope.selector->firsts.count;
    bool is_changed = set_bit(scope.selector, id, is_on);
    for (unsigned i = entry->first; i < entry->end; i++)
        is_changed |= set_bit(scope.selector, i, is_on);
    drop_firsts(scope, entry->name);
    return is_changed || scope.selector->firsts.count != firsts;
}

// What "-@all" or "+@all" says of it already, if no rule about more than it stands between.
static bool is_implied(const struct acl_selector *selector, char sign, const char *name)
{
    size_t len = strcspn(name, "|");
    if (*name == '@' || (sign == '+') != selector->is_rest_allowed)
        return false;
    for (uint32_t i = 0; i < selector->rules.count; i++) {
        const struct acl_word *word = &selector->rules.list[i];
        bool is_of_parent =
            name[len] && word->len == len + 1 && memcmp(word->ptr + 1, name, len) == 0;
        if (word->ptr[1] == '@' || is_of_parent)
            return false;
    }
    return true;
}

// Keeps the list of rules as short as what it says: a rule replaces those about the same thing, and
// one about a command those about its subcommands.
static int note_rule(struct scope scope, char sign, const char *name)
{
    struct acl_words *rules = &scope.selector->rules;
    size_t len = strlen(name);
    char text[2 * ACCESS_NAME] = {sign};
    for (uint32_t i = rules->count; i-- > 0;) {
        struct acl_word *word = &rules->list[i];
        bool is_of = word->len > len && memcmp(word->ptr + 1, name, len) == 0 &&
                     (word->len == len + 1 || word->ptr[len + 1] == '|');
        if (is_of)
            words_remove(scope.user->heap, rules, word);
    }
    if (len + 1 > sizeof text)
        return ACL_E_SYNTAX;
    if (is_implied(scope.selector, sign, name))
        return 0;
    memcpy(text + 1, name, len);
    return words_add(scope.user->heap, rules, span_of(text, len + 1), 0);
}

static int set_all_commands(struct scope scope, bool is_on)
{
    memset(scope.selector->allowed, is_on ? 0xff : 0, sizeof scope.selector->allowed);
    scope.selector->is_all_commands = scope.selector->is_rest_allowed = is_on;
    words_clear(scope.user->heap, &scope.selector->rules);
    words_clear(scope.user->heap, &scope.selector->firsts);
    return 0;
}

static int set_category(struct scope scope, struct span name, char sign)
{
    const struct access_catalog *catalog = scope.user->catalog;
    enum access_category category;
    char text[ACCESS_NAME];
    if (span_is_word(name, "all"))
        return set_all_commands(scope, sign == '+');
    if (!access_category_find(name, &category))
        return ACL_E_UNKNOWN;
    for (unsigned i = 0; i < catalog->count; i++) {
        if (catalog->entry[i].categories & 1u << category)
            set_bit(scope.selector, i, sign == '+');
    }
    snprintf(text, sizeof text, "@%s", access_category_name(category));
    return note_rule(scope, sign, text);
}

// "+select|0": a command is allowed with one first argument only.
static int set_first(struct scope scope, unsigned id, struct span first)
{
    char text[2 * ACCESS_NAME];
    const char *name = scope.user->catalog->entry[id].name;
    size_t len = strlen(name);
    if (first.len == 0 || len + 1 + first.len >= sizeof text)
        return ACL_E_SYNTAX;
    memcpy(text, name, len);
    text[len] = '|';
    for (size_t i = 0; i < first.len; i++) {
        uint8_t byte = first.ptr[i];
        text[len + 1 + i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    }
    len += 1 + first.len;
    text[len] = '\0';
    if (words_find(&scope.selector->firsts, span_of(text, len)))
        return 0;
    int outcome = words_add(scope.user->heap, &scope.selector->firsts, span_of(text, len), 0);
    return outcome ? outcome : note_rule(scope, '+', text);
}

static int set_named(struct scope scope, struct span name, char sign)
{
    const struct access_catalog *catalog = scope.user->catalog;
    unsigned id;
    const uint8_t *bar = name.len ? memrchr(name.ptr, '|', name.len) : NULL;
    if (!bar || sign == '-') {
        if (!access_find(catalog, name, &id))
            return ACL_E_UNKNOWN;
        return set_command(scope, id, sign == '+') ? note_rule(scope, sign, catalog->entry[id].name)
                                                   : 0;
    }
    struct span head = span_of(name.ptr, (size_t)(bar - name.ptr));
    if (!access_find(catalog, head, &id))
        return ACL_E_UNKNOWN;
    const struct access_entry *entry = &catalog->entry[id];
    if (entry->parent != id)
        return ACL_E_FIRST_ARG;
    struct span tail = span_of(bar + 1, name.len - head.len - 1);
    if (entry->first == entry->end || tail.len == 0)
        return set_first(scope, id, tail);
    if (!access_find(catalog, name, &id))
        return ACL_E_UNKNOWN;
    return set_command(scope, id, true) ? note_rule(scope, '+', catalog->entry[id].name) : 0;
}

// ---- keys, channels, passwords

static bool is_plain(struct span text) // no blank, no NUL
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '\0' || byte == ' ' || (byte >= '\t' && byte <= '\r'))
            return false;
    }
    return true;
}

bool acl_name_is_valid(struct span name)
{
    return name.len > 0 && name.len <= LIMIT_USER_NAME && is_plain(name);
}

static int add_pattern(struct scope scope, struct acl_words *words, struct span pattern,
                       unsigned access)
{
    if (!is_plain(pattern))
        return ACL_E_SYNTAX;
    if (pattern.len > LIMIT_PATTERN_BYTES)
        return ACL_E_FULL;
    struct acl_word *same = words_find(words, pattern);
    if (!same)
        return words_add(scope.user->heap, words, pattern, access);
    same->access |= (uint8_t)access;
    return 0;
}

static int rule_key(struct scope scope, struct span rule)
{
    if (rule.len == 2 && rule.ptr[1] == '*') {
        scope.selector->is_all_keys = true;
        words_clear(scope.user->heap, &scope.selector->keys);
        return 0;
    }
    if (scope.selector->is_all_keys)
        return ACL_E_ALL_KEYS;
    return add_pattern(scope, &scope.selector->keys, span_of(rule.ptr + 1, rule.len - 1),
                       ACCESS_READ | ACCESS_WRITE);
}

// %R~pattern, %W~pattern, %RW~pattern
static int rule_key_access(struct scope scope, struct span rule)
{
    unsigned access = 0;
    size_t at = 1;
    if (scope.selector->is_all_keys)
        return ACL_E_ALL_KEYS;
    for (; at < rule.len && rule.ptr[at] != '~'; at++) {
        uint8_t letter = rule.ptr[at] | 0x20;
        unsigned bit = letter == 'r' ? ACCESS_READ : letter == 'w' ? ACCESS_WRITE : 0;
        if (!bit || access & bit)
            return ACL_E_SYNTAX;
        access |= bit;
    }
    if (at == rule.len || !access)
        return ACL_E_SYNTAX;
    return add_pattern(scope, &scope.selector->keys, span_of(rule.ptr + at + 1, rule.len - at - 1),
                       access);
}

static int rule_channel(struct scope scope, struct span rule)
{
    if (rule.len == 2 && rule.ptr[1] == '*') {
        scope.selector->is_all_channels = true;
        words_clear(scope.user->heap, &scope.selector->channels);
        return 0;
    }
    if (scope.selector->is_all_channels)
        return ACL_E_ALL_CHANNELS;
    return add_pattern(scope, &scope.selector->channels, span_of(rule.ptr + 1, rule.len - 1), 0);
}

static bool hash_of(struct span rule, uint8_t digits[HASH_DIGITS])
{
    struct span text = span_of(rule.ptr + 1, rule.len - 1);
    if (*rule.ptr == '>' || *rule.ptr == '<') {
        uint8_t hash[HMAC_BYTES];
        sha256(text, hash);
        hex_write(digits, span_of(hash, sizeof hash));
        return true;
    }
    if (text.len != HASH_DIGITS)
        return false;
    for (size_t i = 0; i < HASH_DIGITS; i++) {
        if (hex_value(text.ptr[i]) < 0 || (text.ptr[i] >= 'A' && text.ptr[i] <= 'F'))
            return false;
    }
    memcpy(digits, text.ptr, HASH_DIGITS);
    return true;
}

static int rule_password(struct scope scope, struct span rule)
{
    uint8_t digits[HASH_DIGITS];
    if (!hash_of(rule, digits))
        return ACL_E_HASH;
    scope.user->flags &= (uint8_t)~ACL_NO_PASSWORD;
    struct span text = span_of(digits, sizeof digits);
    if (words_find(&scope.user->passwords, text))
        return 0;
    return words_add(scope.user->heap, &scope.user->passwords, text, 0);
}

static int rule_password_off(struct scope scope, struct span rule)
{
    uint8_t digits[HASH_DIGITS];
    if (!hash_of(rule, digits))
        return ACL_E_HASH;
    struct acl_word *word = words_find(&scope.user->passwords, span_of(digits, sizeof digits));
    if (!word)
        return ACL_E_NO_PASSWORD;
    words_remove(scope.user->heap, &scope.user->passwords, word);
    return 0;
}

static int rule_command(struct scope scope, struct span rule)
{
    char sign = (char)rule.ptr[0];
    if (rule.len > 1 && rule.ptr[1] == '@')
        return set_category(scope, span_of(rule.ptr + 2, rule.len - 2), sign);
    return set_named(scope, span_of(rule.ptr + 1, rule.len - 1), sign);
}

// ---- whole words

static int word_on(struct scope scope)
{
    scope.user->flags |= ACL_ON;
    return 0;
}

static int word_off(struct scope scope)
{
    scope.user->flags &= (uint8_t)~ACL_ON;
    return 0;
}

static int word_nopass(struct scope scope)
{
    scope.user->flags |= ACL_NO_PASSWORD;
    words_clear(scope.user->heap, &scope.user->passwords);
    return 0;
}

static int word_resetpass(struct scope scope)
{
    scope.user->flags &= (uint8_t)~ACL_NO_PASSWORD;
    words_clear(scope.user->heap, &scope.user->passwords);
    return 0;
}

static int word_sanitize(struct scope scope)
{
    scope.user->flags |= ACL_SANITIZE;
    scope.user->flags &= (uint8_t)~ACL_SKIP_SANITIZE;
    return 0;
}

static int word_skip_sanitize(struct scope scope)
{
    scope.user->flags |= ACL_SKIP_SANITIZE;
    scope.user->flags &= (uint8_t)~ACL_SANITIZE;
    return 0;
}

static int word_allkeys(struct scope scope)
{
    return rule_key(scope, span_text("~*"));
}

static int word_resetkeys(struct scope scope)
{
    scope.selector->is_all_keys = false;
    words_clear(scope.user->heap, &scope.selector->keys);
    return 0;
}

static int word_allchannels(struct scope scope)
{
    return rule_channel(scope, span_text("&*"));
}

static int word_resetchannels(struct scope scope)
{
    scope.selector->is_all_channels = false;
    words_clear(scope.user->heap, &scope.selector->channels);
    return 0;
}

static int word_allcommands(struct scope scope)
{
    return set_all_commands(scope, true);
}

static int word_nocommands(struct scope scope)
{
    return set_all_commands(scope, false);
}

static int word_clearselectors(struct scope scope)
{
    struct acl_user *user = scope.user;
    while (user->selectors_count > 1) {
        selector_deinit(user->heap, &user->selectors[--user->selectors_count]);
        size_t size = user->selectors_count * sizeof *user->selectors;
        // Smaller cannot fail here: the block would only stay as it is, and its size is told.
        struct acl_selector *list =
            heap_resize(user->heap, user->selectors, size + sizeof *user->selectors, size);
        if (!list) {
            user->selectors[user->selectors_count++] = (struct acl_selector){0};
            return -ENOMEM;
        }
        user->selectors = list;
    }
    return 0;
}

static int word_reset(struct scope scope)
{
    word_resetpass(scope);
    word_resetkeys(scope);
    word_resetchannels(scope);
    scope.selector->is_all_channels = scope.user->is_channels_open;
    word_off(scope);
    word_sanitize(scope);
    word_nocommands(scope);
    return word_clearselectors(scope);
}

static const struct {
    const char *name;
    bool is_of_user; // not in a selector
    int (*apply)(struct scope scope);
} whole_words[] = {
    {"on", true, word_on},
    {"off", true, word_off},
    {"nopass", true, word_nopass},
    {"resetpass", true, word_resetpass},
    {"sanitize-payload", true, word_sanitize},
    {"skip-sanitize-payload", true, word_skip_sanitize},
    {"reset", true, word_reset},
    {"clearselectors", true, word_clearselectors},
    {"allkeys", false, word_allkeys},
    {"resetkeys", false, word_resetkeys},
    {"allchannels", false, word_allchannels},
    {"resetchannels", false, word_resetchannels},
    {"allcommands", false, word_allcommands},
    {"nocommands", false, word_nocommands},
};

static const struct {
    char letter;
    bool is_of_user;
    int (*apply)(struct scope scope, struct span rule);
} letters[] = {
    {'>', true, rule_password},     {'#', true, rule_password}, {'<', true, rule_password_off},
    {'!', true, rule_password_off}, {'~', false, rule_key},     {'%', false, rule_key_access},
    {'&', false, rule_channel},     {'+', false, rule_command}, {'-', false, rule_command},
};

static int apply_in(struct scope scope, struct span rule, bool is_of_user)
{
    for (size_t i = 0; i < sizeof whole_words / sizeof *whole_words; i++) {
        if (span_is_word(rule, whole_words[i].name) && (is_of_user || !whole_words[i].is_of_user))
            return whole_words[i].apply(scope);
    }
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        if (*rule.ptr == (uint8_t)letters[i].letter && (is_of_user || !letters[i].is_of_user))
            return letters[i].apply(scope, rule);
    }
    return ACL_E_SYNTAX;
}

// "(~key +get)": further permissions, apart from the user's own.
static int rule_selector(struct acl_user *user, struct span rule)
{
    if (user->selectors_count > LIMIT_SELECTORS)
        return ACL_E_FULL;
    struct acl_selector *selector = add_selector(user);
    if (!selector)
        return -ENOMEM;
    selector->is_all_channels = user->is_channels_open;
    size_t at = 1, end = rule.len - 1;
    while (at < end) {
        size_t from = at;
        while (at < end && rule.ptr[at] != ' ')
            at++;
        struct span word = span_of(rule.ptr + from, at - from);
        struct scope scope = {user, selector};
        int outcome = word.len ? apply_in(scope, word, false) : 0;
        if (outcome)
            return outcome;
        at++;
    }
    return 0;
}

int acl_user_apply(struct acl_user *user, struct span rule)
{
    struct scope own = {user, user->selectors};
    if (rule.len == 0)
        return 0;
    if (rule.ptr[0] == '(' && rule.ptr[rule.len - 1] == ')' && rule.len > 1)
        return rule_selector(user, rule);
    return apply_in(own, rule, true);
}

const char *acl_rule_text(int outcome)
{
    static const char *const texts[] = {
        [ACL_E_SYNTAX] = "Syntax error",
        [ACL_E_UNKNOWN] = "Unknown command or category name in ACL",
        [ACL_E_ALL_KEYS] = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not "
                           "valid and does not have any effect. Try 'resetkeys' to start with an "
                           "empty list of patterns",
        [ACL_E_ALL_CHANNELS] =
            "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and "
            "does not have any effect. Try 'resetchannels' to start with an empty list of channels",
        [ACL_E_NO_PASSWORD] = "The password you are trying to remove from the user does not exist",
        [ACL_E_HASH] = "The password hash must be exactly 64 characters and contain only "
                       "lowercase hexadecimal characters",
        [ACL_E_FIRST_ARG] = "Allowing first-arg of a subcommand is not supported",
        [ACL_E_PARENTHESIS] = "Unmatched parenthesis in acl selector",
        [ACL_E_FULL] = "Too many rules for one user, or too long a pattern",
    };
    return texts[outcome];
}

// ---- questions

bool acl_user_takes(const struct acl_user *user, struct span password)
{
    uint8_t hash[HMAC_BYTES], digits[HASH_DIGITS];
    bool is_right = false;
    if (!(user->flags & ACL_ON))
        return false;
    if (user->flags & ACL_NO_PASSWORD)
        return true;
    sha256(password, hash);
    hex_write(digits, span_of(hash, sizeof hash));
    for (uint32_t i = 0; i < user->passwords.count; i++)
        is_right |= hmac_is_equal(word_span(&user->passwords.list[i]), span_of(digits, 64));
    return is_right;
}

bool acl_user_is_free(const struct acl_user *user)
{
    const struct acl_selector *own = user->selectors;
    return own->is_all_commands && own->is_all_keys && own->is_all_channels;
}
