// SPDX-License-Identifier: Apache-2.0
// Users and what they may do, in Redis 7's words.
//
// Users never change: changing one makes another in a new *view*, the sorted list of all of them.
// The replica thread owns `struct acl`, makes the views and frees those that nobody looks at any
// more; a worker holds the view that it was given last, and its sessions point to users of it. So a
// check costs no lock, and a session whose user may do everything costs one flag (is_guarded).
#pragma once
#include "base/buf.h"
#include "base/limits.h"
#include "command/access.h"

enum { // outcomes of a rule; acl_rule_text says each in Redis's words
    ACL_E_SYNTAX = 1,
    ACL_E_UNKNOWN,  // no such command or category
    ACL_E_ALL_KEYS, // a key pattern after "all keys"
    ACL_E_ALL_CHANNELS,
    ACL_E_NO_PASSWORD, // to be removed, but not there
    ACL_E_HASH,
    ACL_E_FIRST_ARG, // of a subcommand
    ACL_E_PARENTHESIS,
    ACL_E_FULL, // LIMIT_USER_RULES
};

enum acl_flag {
    ACL_ON = 1u << 0,
    ACL_NO_PASSWORD = 1u << 1, // any will do
    ACL_SKIP_SANITIZE = 1u << 2,
    ACL_SANITIZE = 1u << 3, // kept for files of Redis; there is no payload to look at
};

struct acl_word {
    uint8_t *ptr; // owned
    uint32_t len;
    uint8_t access; // of a key pattern
};
struct acl_words {
    struct acl_word *list;
    uint32_t count, cap;
};

#define ACL_WORDS (ACCESS_IDS / 64)
struct acl_selector { // one set of permissions; a user's are: this, or this, or this
    bool is_all_keys, is_all_channels;
    bool is_all_commands; // without exception
    bool is_rest_allowed; // what no rule names
    uint64_t allowed[ACL_WORDS];
    struct acl_words keys, channels;
    struct acl_words rules;  // of commands, as they were said: "+@read", "-get"
    struct acl_words firsts; // "select|0": a command with this first argument
};

struct acl_user {
    struct heap *heap;
    const struct access_catalog *catalog;
    uint64_t id;              // of this name from its creation to its end
    uint32_t views;           // that hold it; the replica thread's
    uint32_t selectors_count; // at least 1: the first is the user's own
    struct acl_selector *selectors;
    struct acl_words passwords; // SHA-256, 64 hexadecimal digits
    uint8_t flags;              // enum acl_flag
    bool is_channels_open;      // as "reset" makes it
    size_t name_len;
    uint8_t name[];
};

static inline struct span acl_user_name(const struct acl_user *user)
{
    return span_of(user->name, user->name_len);
}

// ---- acl_user.c: a user and its rules

// Off, without a password or a permission. NULL: -ENOMEM.
struct acl_user *acl_user_new(struct heap *heap, const struct access_catalog *catalog,
                              struct span name, bool is_channels_open);
struct acl_user *acl_user_copy(const struct acl_user *user, struct span name);
void acl_user_free(struct acl_user *user);
// One rule. 0, ACL_E_*, -ENOMEM; then the user is to be thrown away.
int acl_user_apply(struct acl_user *user, struct span rule);
const char *acl_rule_text(int outcome);
bool acl_user_takes(const struct acl_user *user, struct span password); // and is on
bool acl_user_is_free(const struct acl_user *user);                     // may do everything
// What a new connection is allowed without AUTH.
static inline bool acl_user_is_open(const struct acl_user *user)
{
    return (user->flags & ACL_ON) && (user->flags & ACL_NO_PASSWORD);
}

// ---- acl_text.c: told again, in words that make the same user

void acl_put_user(struct buf *out, const struct acl_user *user); // "user NAME on nopass ~* ..."
void acl_put_commands(struct buf *out, const struct acl_selector *selector);
void acl_put_keys(struct buf *out, const struct acl_selector *selector);
void acl_put_channels(struct buf *out, const struct acl_selector *selector);

// ---- acl_check.c

enum acl_reason { ACL_FINE, ACL_NO_COMMAND, ACL_NO_KEY, ACL_NO_CHANNEL, ACL_NO_AUTH };

struct acl_verdict {
    enum acl_reason reason;
    unsigned id; // of the command or subcommand
    uint32_t at; // the argument that is not allowed
};
struct acl_verdict acl_check(const struct acl_user *user, const struct command *command,
                             const struct span *argv, uint32_t argc);
bool acl_may_listen(const struct acl_user *user, enum topic_kind kind, struct span name);

// ---- acl_view.c

struct acl_view {
    const struct access_catalog *catalog;
    uint64_t generation;
    bool is_protected;      // connections from elsewhere need a user with a password
    struct acl_view *older; // still looked at, perhaps
    uint32_t count;
    struct acl_user *user[]; // by name
};
const struct acl_user *acl_find(const struct acl_view *view, struct span name); // NULL: none
const struct acl_user *acl_find_id(const struct acl_view *view, uint64_t id);
const struct acl_user *acl_default(const struct acl_view *view);

struct acl {
    struct heap *heap;
    const struct access_catalog *catalog;
    struct acl_view *view; // the newest
    uint64_t done;         // every worker looks at this generation, or a newer one
    uint64_t next_id;
    bool is_protected;     // protected-mode, as the next views say
    bool is_channels_open; // acl-pubsub-default allchannels
    struct acl_log *log;
};
// With the user "default", who may do everything and needs no password. 0 or -ENOMEM.
int acl_init(struct acl *acl, struct heap *heap, const struct access_catalog *catalog);
void acl_deinit(struct acl *acl); // nobody looks any more
// Every worker looks at `generation`: what is older is freed.
void acl_settled(struct acl *acl, uint64_t generation);

// Each makes a new view, or leaves all as it is. 0; ACL_E_* with *out_at the rule at fault;
// -ENOMEM.
struct acl_change {
    struct span name;
    const struct span *rules;
    uint32_t rules_count;
};
int acl_set(struct acl *acl, const struct acl_change *change, uint32_t *out_at);
int acl_delete(struct acl *acl, const struct span *names, uint32_t count, uint32_t *out_count);
// All users anew, from a file's text. False: `out_error` says all that is wrong with it.
bool acl_load(struct acl *acl, const char *path, struct span text, struct buf *out_error);
// `acl` is what `other` is from now on; every user is a new one, but "default".
void acl_take(struct acl *acl, struct acl *other);
int acl_protect(struct acl *acl, bool is_protected); // protected-mode. 0 or -ENOMEM
void acl_save(const struct acl *acl, struct buf *out);
bool acl_name_is_valid(struct span name);

// ---- acl_log.c: what was denied

struct acl_denial {
    enum acl_reason reason;
    const char *context;              // "toplevel", "multi", "lua"
    struct span object, user, client; // client: its line in CLIENT LIST
};
struct acl_log *acl_log_new(struct heap *heap); // NULL: -ENOMEM
void acl_log_free(struct acl_log *log);
void acl_log_add(struct acl_log *log, const struct acl_denial *denial, uint64_t now_ms);
void acl_log_reset(struct acl_log *log);
void acl_log_limit(struct acl_log *log, uint32_t max);
uint32_t acl_log_max(const struct acl_log *log);
struct reply;
void acl_log_reply(const struct acl_log *log, struct reply *reply, uint32_t count, uint64_t now_ms);

// ---- sessions

struct session;
// The session is `user` from now on.
void acl_enter(struct session *session, const struct acl_user *user, bool is_authenticated);
// As a new connection: "default", authenticated if that needs no password.
void acl_enter_default(struct session *session, const struct acl_view *view);
// It comes from elsewhere, and only a default user without a password could let it in.
bool acl_is_denied(const struct session *session, const struct acl_view *view);
// The session's user as `view` has it. False: there is none any more.
bool acl_follow(struct session *session, const struct acl_view *view);
