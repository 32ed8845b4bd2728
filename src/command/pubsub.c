// SPDX-License-Identifier: Apache-2.0
// Publish and subscribe, local to this replica. What is said to a subscriber is Redis's: one answer
// a channel, with the number of subscriptions left.
#include "base/glob.h"
#include "command/handlers.h"

static int publish(struct call *call, enum topic_kind kind)
{
    struct host *host = call->host;
    if (call->argv[1].len > LIMIT_CHANNEL_BYTES)
        reply_error_with(call->reply, REPLY_ERROR_TOO_LONG, span_text("channel"));
    else
        reply_integer(call->reply, host->ops->publish(host, kind, call->argv[1], call->argv[2]));
    return 0;
}

int run_publish(struct call *call)
{
    return publish(call, TOPIC_CHANNEL);
}

int run_spublish(struct call *call)
{
    return publish(call, TOPIC_SHARD);
}

// `name` without bytes: nil, the answer to leaving when there is nothing to leave.
static void tell(struct call *call, enum topic_kind kind, const char *what, struct span name)
{
    const uint32_t *topics = call->session->topics;
    uint32_t count =
        kind == TOPIC_SHARD ? topics[TOPIC_SHARD] : topics[TOPIC_CHANNEL] + topics[TOPIC_PATTERN];
    reply_push(call->reply, 3);
    reply_bulk_text(call->reply, what);
    if (name.ptr)
        reply_bulk(call->reply, name);
    else
        reply_nil(call->reply);
    reply_integer(call->reply, count);
}

static int subscribe(struct call *call, enum topic_kind kind, const char *what)
{
    for (uint32_t i = 1; i < call->argc; i++) {
        struct host *host = call->host;
        if (kind == TOPIC_PATTERN && !pattern_is_allowed(call, call->argv[i]))
            return 0;
        int outcome = host->ops->subscribe(host, call->session, kind, call->argv[i]);
        if (outcome == HOST_E_FULL) {
            reply_error_text(call->reply, "ERR too many subscriptions, or too long a name");
            return 0;
        }
        if (outcome < 0)
            return reply_out_of_memory(call);
        tell(call, kind, what, call->argv[i]);
    }
    return 0;
}

static int unsubscribe(struct call *call, enum topic_kind kind, const char *what)
{
    struct host *host = call->host;
    for (uint32_t i = 1; i < call->argc; i++) {
        host->ops->unsubscribe(host, call->session, kind, call->argv[i]);
        tell(call, kind, what, call->argv[i]);
    }
    if (call->argc > 1)
        return 0;
    struct buf name;
    buf_init(&name, call->reply->out->heap);
    bool is_any = false;
    while (host->ops->unsubscribe_any(host, call->session, kind, &name)) {
        is_any = true;
        tell(call, kind, what, buf_span(&name));
    }
    if (!is_any)
        tell(call, kind, what, (struct span){0});
    buf_deinit(&name);
    return 0;
}

int run_subscribe(struct call *call)
{
    return subscribe(call, TOPIC_CHANNEL, "subscribe");
}

int run_unsubscribe(struct call *call)
{
    return unsubscribe(call, TOPIC_CHANNEL, "unsubscribe");
}

int run_psubscribe(struct call *call)
{
    return subscribe(call, TOPIC_PATTERN, "psubscribe");
}

int run_punsubscribe(struct call *call)
{
    return unsubscribe(call, TOPIC_PATTERN, "punsubscribe");
}

int run_ssubscribe(struct call *call)
{
    return subscribe(call, TOPIC_SHARD, "ssubscribe");
}

int run_sunsubscribe(struct call *call)
{
    return unsubscribe(call, TOPIC_SHARD, "sunsubscribe");
}

void pubsub_leave_all(struct call *call)
{
    struct host *host = call->host;
    struct buf name;
    buf_init(&name, call->reply->out->heap);
    for (unsigned kind = 0; kind < TOPIC_KINDS; kind++) {
        while (host->ops->unsubscribe_any(host, call->session, (enum topic_kind)kind, &name))
            continue;
    }
    buf_deinit(&name);
}

int run_monitor(struct call *call)
{
    struct host *host = call->host;
    struct span all = span_text("");
    int outcome = host->ops->subscribe(host, call->session, TOPIC_MONITOR, all);
    if (outcome < 0)
        return reply_out_of_memory(call);
    if (outcome == HOST_E_FULL)
        reply_error_text(call->reply, "ERR too many subscriptions");
    else
        reply_ok(call->reply);
    return 0;
}

struct listing {
    struct reply *reply;
    const struct span *pattern; // NULL: all
    size_t count;
};

static void put_channel(void *ctx, struct span name)
{
    struct listing *listing = ctx;
    if (listing->pattern && !glob_is_match(*listing->pattern, name))
        return;
    reply_bulk(listing->reply, name);
    listing->count++;
}

static int list_channels(struct call *call, enum topic_kind kind)
{
    struct host *host = call->host;
    struct listing listing = {.reply = call->reply,
                              .pattern = call->argc == 3 ? &call->argv[2] : NULL};
    if (call->argc > 3)
        return reply_subcommand(call);
    if (listing.pattern && !pattern_is_allowed(call, *listing.pattern))
        return 0;
    size_t mark = reply_open_array(call->reply);
    host->ops->channels(host, kind, put_channel, &listing);
    reply_close_array(call->reply, mark, listing.count);
    return 0;
}

static int count_subscribers(struct call *call, enum topic_kind kind)
{
    struct host *host = call->host;
    reply_array(call->reply, 2 * (size_t)(call->argc - 2));
    for (uint32_t i = 2; i < call->argc; i++) {
        reply_bulk(call->reply, call->argv[i]);
        reply_integer(call->reply, (int64_t)host->ops->receivers(host, kind, call->argv[i]));
    }
    return 0;
}

int pubsub_list(struct call *call)
{
    return list_channels(call, TOPIC_CHANNEL);
}

int pubsub_shard_list(struct call *call)
{
    return list_channels(call, TOPIC_SHARD);
}

int pubsub_numsub(struct call *call)
{
    return count_subscribers(call, TOPIC_CHANNEL);
}

int pubsub_shardnumsub(struct call *call)
{
    return count_subscribers(call, TOPIC_SHARD);
}

int pubsub_numpat(struct call *call)
{
    struct host *host = call->host;
    reply_integer(call->reply, (int64_t)host->ops->patterns(host));
    return 0;
}
