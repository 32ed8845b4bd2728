// SPDX-License-Identifier: Apache-2.0
// The event thread: runs the hook once for each changed key. Changes come a batch at a time from
// the replica thread, which keeps the cursor: while a batch is here, further changes of a key
// coalesce there, so being slow costs newness, never a change.
//
// The thread may use a tenth of a core in the long run, with some credit for bursts; beyond, the
// next batch is asked for later. Of the built-in hook nothing can be observed but its messages: it
// is not run for keys that nobody listens to.
#include <errno.h>
#include <stdio.h>
#include "base/owner.h"
#include "command/notify.h"
#include "db/private.h"
#include "os/clock.h"
#include "os/usage.h"

#define BATCH_CHANGES  4096
#define CHANGES_A_LOOK 16 // at the thread's clock
#define CPU_SHARE      10 // one tenth
#define CREDIT_NS_MAX  20000000
#define KEYS_KEPT_MAX  (1u << 20)
#define HOOK_BYTES_MAX (1u << 20)
#define LOG_LINES_MAX  10 // a second

struct events {
    struct db *db;
    struct loop *loop;
    pthread_t thread;
    struct script *script;
    bool is_default, is_started;

    // the replica thread's
    struct change_cursor cursor;
    bool is_out; // the batch is at the event thread
    uint64_t skipped, seen;
    struct script_counts counts;
    char error[200];

    // the batch; of the thread that has it
    struct loop_post post;
    unsigned count, at;
    struct change change[BATCH_CHANGES];
    struct buf keys;
    uint32_t notify; // NOTIFY_* as when the batch left

    // the event thread's
    struct buf channel;
    int64_t credit_ns;
    uint64_t credited_ns;
    struct loop_timer timer;
    uint64_t logged_s, logged;
    struct script_counts counts_here;
    char error_here[200];
};

// ---- the event thread

static const char *op_name(enum change_op op)
{
    static const char *const names[] = {
        [CHANGE_ADD] = "add",       [CHANGE_RESET] = "reset",   [CHANGE_SET] = "set",
        [CHANGE_CREATE] = "create", [CHANGE_REMOVE] = "remove", [CHANGE_LEASE] = "lease",
    };
    return names[op];
}

static const char *origin_name(enum change_origin origin)
{
    static const char *const names[] = {
        [CHANGE_LOCAL] = "local", [CHANGE_PEER] = "peer", [CHANGE_EXPIRY] = "expiry"};
    return names[origin];
}

static int64_t on_publish(void *ctx, struct span channel, struct span message)
{
    struct events *events = ctx;
    return deliver_publish(events->db, channel, message);
}

static bool may_log(struct events *events)
{
    uint64_t now_s = clock_monotonic_ms() / 1000;
    if (now_s != events->logged_s) {
        events->logged_s = now_s;
        events->logged = 0;
    }
    return events->logged++ < LOG_LINES_MAX;
}

static void on_log(void *ctx, struct span message)
{
    struct events *events = ctx;
    if (may_log(events))
        db_log(events->db, "hook: %.*s", (int)(message.len < 900 ? message.len : 900),
               (const char *)message.ptr);
}

static bool is_heard(struct events *events, struct span key)
{
    static const char prefix[] = SCRIPT_DEFAULT_CHANNEL;
    uint8_t channel[sizeof prefix + 512];
    uint64_t workers;
    size_t head = sizeof prefix - 1;
    if (!events->is_default || key.len > 512)
        return true;
    memcpy(channel, prefix, head);
    if (key.len)
        memcpy(channel + head, key.ptr, key.len);
    return pubsub_match(events->db->pubsub, span_of(channel, head + key.len), &workers) > 0;
}

static void run_hook(struct events *events, const struct change *change, uint64_t time_ms)
{
    struct script_event event = {.key = change->key,
                                 .member = change->member,
                                 .type = cell_type_name(change->type),
                                 .op = op_name(change->op),
                                 .origin = origin_name(change->origin),
                                 .is_live = change->is_live,
                                 .has_previous = change->has_previous,
                                 .value = change->value,
                                 .previous = change->previous,
                                 .amount = change->amount,
                                 .version = change->version,
                                 .time_ms = time_ms};
    int outcome = script_change(events->script, &event);
    if (outcome == SCRIPT_E_FAILED && may_log(events))
        db_log(events->db, "hook failed: %s", script_error(events->script));
    if (outcome == SCRIPT_E_FAILED && script_counts(events->script).is_disabled)
        db_log(events->db, "hook failed %d times in a row: it is off until the next start",
               SCRIPT_FAILURES_MAX);
}

// Keyspace notifications. Only what somebody hears is written down.
static void notify_on(struct events *events, const char *kind, struct span name,
                      struct span message)
{
    uint64_t workers;
    struct buf *channel = &events->channel;
    buf_clear(channel);
    buf_put_text(channel, kind);
    buf_put(channel, name);
    if (!buf_has_failed(channel) &&
        pubsub_match(events->db->pubsub, buf_span(channel), &workers) > 0)
        deliver_publish(events->db, buf_span(channel), message);
}

static void notify(struct events *events, const struct change *change)
{
    uint32_t class;
    const char *event = notify_event(change, &class);
    if (!(events->notify & class))
        return;
    if (events->notify & NOTIFY_KEYSPACE)
        notify_on(events, "__keyspace@0__:", change->key, span_text(event));
    if (events->notify & NOTIFY_KEYEVENT)
        notify_on(events, "__keyevent@0__:", span_text(event), change->key);
}

static void on_home(struct loop_post *post);

static void go_home(struct events *events)
{
    events->counts_here = script_counts(events->script);
    snprintf(events->error_here, sizeof events->error_here, "%s", script_error(events->script));
    events->post.run = on_home;
    loop_post(events->db->loop, &events->post);
}

// Takes what was used from the credit; how long to wait until there is some again.
static uint64_t settle(struct events *events, uint64_t used_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    events->credit_ns += (int64_t)((now_ns - events->credited_ns) / CPU_SHARE);
    if (events->credit_ns > CREDIT_NS_MAX)
        events->credit_ns = CREDIT_NS_MAX;
    events->credited_ns = now_ns;
    events->credit_ns -= (int64_t)used_ns;
    return events->credit_ns < 0 ? (uint64_t)-events->credit_ns * CPU_SHARE / 1000000 + 1 : 0;
}

// Goes on with the batch, a few changes between two looks at the clock, until it or the credit
// ends.
static void go_on(struct events *events)
{
    uint64_t time_ms = clock_wall_ms(), wait_ms = 0;
    uint64_t begun_ns = usage_of_thread_ns();
    while (events->at < events->count && wait_ms == 0) {
        for (unsigned i = 0; i < CHANGES_A_LOOK && events->at < events->count; i++) {
            const struct change *change = &events->change[events->at++];
            if (events->notify)
                notify(events, change);
            if (is_heard(events, change->key))
                run_hook(events, change, time_ms);
        }
        uint64_t now_ns = usage_of_thread_ns();
        wait_ms = settle(events, now_ns - begun_ns);
        begun_ns = now_ns;
    }
    if (wait_ms)
        loop_timer_set(events->loop, &events->timer, clock_monotonic_ms() + wait_ms);
    else
        go_home(events);
}

static void on_credit(struct loop_timer *timer)
{
    go_on(owner_of(timer, struct events, timer));
}

static void on_batch(struct loop_post *post)
{
    go_on(owner_of(post, struct events, post));
}

static void *run(void *ctx)
{
    struct events *events = ctx;
    pthread_setname_np(pthread_self(), "quipu-events");
    events->credited_ns = clock_monotonic_ns();
    events->credit_ns = CREDIT_NS_MAX;
    loop_run(events->loop);
    return NULL;
}

// ---- the replica thread

static void on_home(struct loop_post *post)
{
    struct events *events = owner_of(post, struct events, post);
    events->is_out = false;
    events->counts = events->counts_here;
    memcpy(events->error, events->error_here, sizeof events->error);
    events_offer(events);
}

static void put_names(struct buf *out, const struct change *change)
{
    buf_put(out, change->key);
    buf_put(out, change->member);
}

static const uint8_t *take_name(struct span *name, const uint8_t *at)
{
    if (name->ptr)
        name->ptr = at;
    return at + name->len;
}

// The keys are copied, the change order's are only there until the next commit. False: no memory.
static bool copy_keys(struct events *events)
{
    buf_clear(&events->keys);
    buf_shrink(&events->keys, KEYS_KEPT_MAX);
    for (unsigned i = 0; i < events->count; i++)
        put_names(&events->keys, &events->change[i]);
    if (buf_has_failed(&events->keys))
        return false;
    const uint8_t *at = events->keys.ptr;
    for (unsigned i = 0; i < events->count; i++) {
        at = take_name(&events->change[i].key, at);
        at = take_name(&events->change[i].member, at);
    }
    return true;
}

static bool is_anybody_there(struct events *events)
{
    struct pubsub_counts counts = pubsub_counts(events->db->pubsub);
    bool is_heard = counts.channels || counts.patterns;
    if (events->db->committer.server.notify && is_heard)
        return true;
    return !events->counts.is_disabled && (!events->is_default || is_heard);
}

void events_offer(struct events *events)
{
    struct replica *replica = events->db->committer.replica;
    if (events->is_out || !events->is_started || !replica_has_changes(replica, &events->cursor))
        return;
    if (!is_anybody_there(events)) {
        replica_changes_skip(replica, &events->cursor);
        events->skipped++;
        return;
    }
    struct change_cursor before = events->cursor;
    events->count = replica_changes(replica, &events->cursor, events->change, BATCH_CHANGES);
    if (!copy_keys(events)) {
        events->cursor = before; // later
        return;
    }
    events->notify = events->db->committer.server.notify;
    events->seen += events->count;
    events->at = 0;
    events->is_out = true;
    events->post.run = on_batch;
    loop_post(events->loop, &events->post);
}

void events_describe(const struct events *events, struct server *server)
{
    server->changes_seen = events->seen;
    server->hook_state.calls = events->counts.calls;
    server->hook_state.failures = events->counts.failures;
    server->hook_state.memory_bytes = events->counts.memory_bytes;
    server->hook_state.is_disabled = events->counts.is_disabled;
    server->hook_state.skipped = events->skipped;
    memcpy(server->hook_state.error, events->error, sizeof server->hook_state.error);
}

// ---- life

static int read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    uint8_t *to = buf_reserve(out, HOOK_BYTES_MAX);
    if (to)
        buf_advance(out, fread(to, 1, HOOK_BYTES_MAX, file));
    int fault = !to ? -ENOMEM : ferror(file) ? -EIO : fgetc(file) != EOF ? -EFBIG : 0;
    fclose(file);
    return fault;
}

static int load(struct events *events, struct buf *out_error)
{
    struct db *db = events->db;
    const char *path = db->options->hook_path;
    struct buf text;
    buf_init(&text, db->heap);
    int fault = path ? read_file(path, &text) : 0;
    if (fault) {
        buf_put_text(out_error, path);
        buf_put_text(out_error, ": ");
        buf_put_text(out_error, strerror(-fault));
    } else {
        struct script_options options = {.name = path ? path : "built-in hook",
                                         .text = path ? buf_span(&text) : script_default(),
                                         .on_publish = on_publish,
                                         .on_log = on_log,
                                         .ctx = events};
        fault = script_new(&events->script, db->heap, &options, out_error);
    }
    buf_deinit(&text);
    return fault;
}

int events_new(struct events **out_events, struct db *db, struct buf *out_error)
{
    struct events *events = heap_alloc(db->heap, sizeof *events);
    if (!events)
        return -ENOMEM;
    memset(events, 0, sizeof *events);
    events->db = db;
    events->is_default = !db->options->hook_path;
    events->timer.on_due = on_credit;
    buf_init(&events->keys, db->heap);
    buf_init(&events->channel, db->heap);
    int outcome = loop_new(&events->loop, NULL);
    if (!outcome)
        outcome = load(events, out_error);
    if (outcome)
        events_free(events);
    else
        *out_events = events;
    return outcome;
}

int events_start(struct events *events)
{
    int fault = pthread_create(&events->thread, NULL, run, events);
    events->is_started = fault == 0;
    return -fault;
}

void events_stop(struct events *events)
{
    if (!events || !events->is_started)
        return;
    loop_stop(events->loop);
    pthread_join(events->thread, NULL);
    events->is_started = false;
}

void events_free(struct events *events)
{
    if (!events)
        return;
    script_free(events->script);
    loop_free(events->loop);
    buf_deinit(&events->keys);
    buf_deinit(&events->channel);
    heap_free(events->db->heap, events, sizeof *events);
}
