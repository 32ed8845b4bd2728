// SPDX-License-Identifier: Apache-2.0
// Views and changes. A user is in as many views as it counts; the last view that goes takes it
// along. Everything that changes here is the replica thread's.
#include <errno.h>
#include "command/acl.h"
#include "command/session.h"

// ---- views

static size_t view_size(uint32_t count)
{
    return sizeof(struct acl_view) + count * sizeof(struct acl_user *);
}

static struct acl_view *view_new(const struct acl *acl, uint32_t count)
{
    struct acl_view *view = heap_alloc(acl->heap, view_size(count));
    if (view)
        *view = (struct acl_view){.catalog = acl->catalog, .count = count};
    return view;
}

static void view_free(struct heap *heap, struct acl_view *view)
{
    for (uint32_t i = 0; i < view->count; i++) {
        if (view->user[i] && --view->user[i]->views == 0)
            acl_user_free(view->user[i]);
    }
    heap_free(heap, view, view_size(view->count));
}

// Where `name` is, or would be.
static uint32_t place_of(const struct acl_view *view, struct span name, bool *out_is_there)
{
    uint32_t low = 0, high = view->count;
    *out_is_there = false;
    while (low < high) {
        uint32_t at = low + (high - low) / 2;
        struct span other = acl_user_name(view->user[at]);
        size_t len = name.len < other.len ? name.len : other.len;
        int order = memcmp(name.ptr, other.ptr, len);
        if (order == 0 && name.len == other.len) {
            *out_is_there = true;
            return at;
        }
        if (order < 0 || (order == 0 && name.len < other.len))
            high = at;
        else
            low = at + 1;
    }
    return low;
}

const struct acl_user *acl_find(const struct acl_view *view, struct span name)
{
    bool is_there;
    uint32_t at = name.len ? place_of(view, name, &is_there) : 0;
    return name.len && is_there ? view->user[at] : NULL;
}

const struct acl_user *acl_find_id(const struct acl_view *view, uint64_t id)
{
    for (uint32_t i = 0; i < view->count; i++) {
        if (view->user[i]->id == id)
            return view->user[i];
    }
    return NULL;
}

const struct acl_user *acl_default(const struct acl_view *view)
{
    return acl_find(view, span_text("default"));
}

// The newest view from now on; takes it.
static void show(struct acl *acl, struct acl_view *view)
{
    view->older = acl->view;
    view->is_protected = acl->is_protected;
    view->generation = acl->view ? acl->view->generation + 1 : 1;
    for (uint32_t i = 0; i < view->count; i++)
        view->user[i]->views++;
    acl->view = view;
}

void acl_settled(struct acl *acl, uint64_t generation)
{
    struct acl_view *kept = acl->view;
    if (generation > acl->done)
        acl->done = generation;
    while (kept->generation > generation && kept->older)
        kept = kept->older;
    while (kept->older) {
        struct acl_view *older = kept->older;
        kept->older = older->older;
        view_free(acl->heap, older);
    }
}

// ---- life

static struct acl_user *default_new(struct acl *acl)
{
    static const char *const rules[] = {"allcommands", "allkeys", "allchannels", "on", "nopass"};
    struct acl_user *user = acl_user_new(acl->heap, acl->catalog, span_text("default"), true);
    for (size_t i = 0; user && i < sizeof rules / sizeof *rules; i++)
        acl_user_apply(user, span_text(rules[i])); // of these none allocates
    return user;
}

int acl_init(struct acl *acl, struct heap *heap, const struct access_catalog *catalog)
{
    *acl = (struct acl){.heap = heap, .catalog = catalog, .next_id = 1};
    acl->log = acl_log_new(heap);
    struct acl_view *view = view_new(acl, 1);
    struct acl_user *user = default_new(acl);
    if (!acl->log || !view || !user) {
        acl_log_free(acl->log);
        acl_user_free(user);
        heap_free(heap, view, view_size(1));
        *acl = (struct acl){0};
        return -ENOMEM;
    }
    view->user[0] = user;
    show(acl, view);
    acl->done = view->generation;
    return 0;
}

void acl_deinit(struct acl *acl)
{
    if (acl->view) {
        acl_settled(acl, acl->view->generation);
        view_free(acl->heap, acl->view);
    }
    acl_log_free(acl->log);
    *acl = (struct acl){0};
}

void acl_take(struct acl *acl, struct acl *other)
{
    acl_settled(other, other->view->generation);
    other->view->older = acl->view;
    other->view->is_protected = acl->is_protected;
    other->view->generation = acl->view->generation + 1;
    acl->view = other->view;
    acl->next_id = other->next_id;
    other->view = NULL;
    for (uint32_t i = 0; i < acl->view->count; i++) {
        if (span_is_equal(acl_user_name(acl->view->user[i]), span_text("default")))
            acl->view->user[i]->id = 0; // who is it, stays it
    }
}

// ---- changes

// A rule that was given in several arguments, "(~key", "+get)", is one.
struct rules {
    struct buf text;
    const struct span *list;
    uint32_t count, at;
};

static bool next_rule(struct rules *rules, struct span *out_rule, int *out_outcome)
{
    *out_outcome = 0;
    if (rules->at == rules->count)
        return false;
    struct span rule = rules->list[rules->at];
    if (rule.len == 0 || rule.ptr[0] != '(' || rule.ptr[rule.len - 1] == ')') {
        *out_rule = rule;
        rules->at++;
        return true;
    }
    buf_clear(&rules->text);
    buf_put(&rules->text, rule);
    for (uint32_t i = rules->at + 1; i < rules->count; i++) {
        struct span more = rules->list[i];
        buf_put_byte(&rules->text, ' ');
        buf_put(&rules->text, more);
        if (more.len && more.ptr[more.len - 1] == ')') {
            rules->at = i + 1;
            *out_rule = buf_span(&rules->text);
            *out_outcome = buf_has_failed(&rules->text) ? -ENOMEM : 0;
            return true;
        }
    }
    return false; // is_matched was asked
}

// Before anything else is: a parenthesis without its other one spoils all that follows.
static bool is_matched(const struct acl_change *change, uint32_t *out_at)
{
    bool is_open = false;
    for (uint32_t i = 0; i < change->rules_count; i++) {
        struct span rule = change->rules[i];
        bool is_end = rule.len && rule.ptr[rule.len - 1] == ')';
        if (is_open) {
            is_open = !is_end;
        } else if (rule.len && rule.ptr[0] == '(' && !is_end) {
            is_open = true;
            *out_at = i;
        }
    }
    return !is_open;
}

static int apply_all(struct acl_user *user, const struct acl_change *change, uint32_t *out_at)
{
    if (!is_matched(change, out_at))
        return ACL_E_PARENTHESIS;
    struct rules rules = {.list = change->rules, .count = change->rules_count};
    struct span rule = {0};
    int outcome;
    buf_init(&rules.text, user->heap);
    *out_at = 0;
    while (next_rule(&rules, &rule, &outcome)) {
        if (!outcome)
            outcome = acl_user_apply(user, rule);
        if (outcome)
            break;
        *out_at = rules.at;
    }
    buf_deinit(&rules.text);
    return outcome;
}

static int put_user(struct acl *acl, struct acl_user *user)
{
    bool is_there;
    const struct acl_view *old = acl->view;
    uint32_t at = place_of(old, acl_user_name(user), &is_there);
    struct acl_view *view = view_new(acl, old->count + !is_there);
    if (!view)
        return -ENOMEM;
    memcpy(view->user, old->user, at * sizeof *view->user);
    view->user[at] = user;
    memcpy(view->user + at + 1, old->user + at + is_there,
           (old->count - at - is_there) * sizeof *view->user);
    show(acl, view);
    return 0;
}

int acl_set(struct acl *acl, const struct acl_change *change, uint32_t *out_at)
{
    const struct acl_user *old = acl_find(acl->view, change->name);
    *out_at = 0;
    if (!old && acl->view->count >= LIMIT_USERS)
        return ACL_E_FULL;
    struct acl_user *user =
        old ? acl_user_copy(old, change->name)
            : acl_user_new(acl->heap, acl->catalog, change->name, acl->is_channels_open);
    if (!user)
        return -ENOMEM;
    if (!old)
        user->id = acl->next_id++;
    user->is_channels_open = acl->is_channels_open;
    int outcome = apply_all(user, change, out_at);
    if (!outcome)
        outcome = put_user(acl, user);
    if (outcome)
        acl_user_free(user);
    return outcome;
}

int acl_protect(struct acl *acl, bool is_protected)
{
    struct acl_view *view = view_new(acl, acl->view->count);
    if (!view)
        return -ENOMEM;
    memcpy(view->user, acl->view->user, view->count * sizeof *view->user);
    acl->is_protected = is_protected;
    show(acl, view);
    return 0;
}

int acl_delete(struct acl *acl, const struct span *names, uint32_t count, uint32_t *out_count)
{
    struct acl_view *view = view_new(acl, acl->view->count);
    *out_count = 0;
    if (!view)
        return -ENOMEM;
    for (uint32_t i = 0; i < acl->view->count; i++)
        view->user[i] = acl->view->user[i];
    for (uint32_t i = 0; i < count; i++) {
        bool is_there = false;
        uint32_t at = names[i].len ? place_of(view, names[i], &is_there) : 0;
        if (!is_there)
            continue;
        view->count--;
        memmove(view->user + at, view->user + at + 1, (view->count - at) * sizeof *view->user);
        ++*out_count;
    }
    struct acl_view *fitting = view_new(acl, view->count);
    if (fitting)
        memcpy(fitting->user, view->user, view->count * sizeof *view->user);
    heap_free(acl->heap, view, view_size(acl->view->count));
    if (!fitting)
        return -ENOMEM;
    show(acl, fitting);
    return 0;
}

// ---- sessions

static void set_user(struct session *session, const struct acl_user *user)
{
    session->user = user;
    session->user_id = user->id;
    session->is_guarded = !session->is_authenticated || !acl_user_is_free(user);
}

void acl_enter(struct session *session, const struct acl_user *user, bool is_authenticated)
{
    session->is_authenticated = is_authenticated;
    set_user(session, user);
}

void acl_enter_default(struct session *session, const struct acl_view *view)
{
    const struct acl_user *user = acl_default(view);
    acl_enter(session, user, acl_user_is_open(user) && !acl_is_denied(session, view));
}

bool acl_is_denied(const struct session *session, const struct acl_view *view)
{
    return session->is_remote && view->is_protected && acl_user_is_open(acl_default(view));
}

bool acl_follow(struct session *session, const struct acl_view *view)
{
    const struct acl_user *user = acl_find(view, acl_user_name(session->user));
    if (!user || user->id != session->user_id)
        return false;
    set_user(session, user);
    return true;
}
