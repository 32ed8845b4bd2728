// SPDX-License-Identifier: Apache-2.0
// Publish and subscribe, local to this replica. What is said to a subscriber is Redis's: one answer
// a channel, with the number of subscriptions left.
#include "base/glob.h"
#include "command/handlers.h"

int run_publish(struct call *call)
{
    struct host *host = call->host;
    reply_integer(call->reply, host->ops->publish(host, call->argv[1], call->argv[2]));
    return 0;
}

// `name` without bytes: nil, the answer to leaving when there is nothing to leave.
static void tell(struct call *call, const char *what, struct span name)
{
    reply_push(call->reply, 3);
    reply_bulk_text(call->reply, what);
    if (name.ptr)
        reply_bulk(call->reply, name);
    else
        reply_nil(call->reply);
    reply_integer(call->reply, (int64_t)call->session->channels + call->session->patterns);
}

static int subscribe(struct call *call, enum topic_kind kind, const char *what)
{
    for (uint32_t i = 1; i < call->argc; i++) {
        struct host *host = call->host;
        int outcome = host->ops->subscribe(host, call->session, kind, call->argv[i]);
        if (outcome == HOST_E_FULL) {
            reply_error_text(call->reply, "ERR too many subscriptions, or too long a name");
            return 0;
        }
        if (outcome < 0)
            return reply_out_of_memory(call);
        tell(call, what, call->argv[i]);
    }
    return 0;
}

static int unsubscribe(struct call *call, enum topic_kind kind, const char *what)
{
    struct host *host = call->host;
    for (uint32_t i = 1; i < call->argc; i++) {
        host->ops->unsubscribe(host, call->session, kind, call->argv[i]);
        tell(call, what, call->argv[i]);
    }
    if (call->argc > 1)
        return 0;
    struct buf name;
    buf_init(&name, call->reply->out->heap);
    bool is_any = false;
    while (host->ops->unsubscribe_any(host, call->session, kind, &name)) {
        is_any = true;
        tell(call, what, buf_span(&name));
    }
    if (!is_any)
        tell(call, what, (struct span){0});
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

void pubsub_leave_all(struct call *call)
{
    struct host *host = call->host;
    struct buf name;
    buf_init(&name, call->reply->out->heap);
    while (host->ops->unsubscribe_any(host, call->session, TOPIC_CHANNEL, &name) ||
           host->ops->unsubscribe_any(host, call->session, TOPIC_PATTERN, &name))
        continue;
    buf_deinit(&name);
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

static int list_channels(struct call *call)
{
    if (call->argc > 3)
        return reply_arity(call, "pubsub|channels");
    struct host *host = call->host;
    struct listing listing = {.reply = call->reply,
                              .pattern = call->argc == 3 ? &call->argv[2] : NULL};
    size_t mark = reply_open_array(call->reply);
    host->ops->channels(host, put_channel, &listing);
    reply_close_array(call->reply, mark, listing.count);
    return 0;
}

static int count_subscribers(struct call *call)
{
    struct host *host = call->host;
    reply_array(call->reply, 2 * (size_t)(call->argc - 2));
    for (uint32_t i = 2; i < call->argc; i++) {
        reply_bulk(call->reply, call->argv[i]);
        reply_integer(call->reply, (int64_t)host->ops->receivers(host, call->argv[i]));
    }
    return 0;
}

int run_pubsub(struct call *call)
{
    struct host *host = call->host;
    if (span_is_word(call->argv[1], "CHANNELS"))
        return list_channels(call);
    if (span_is_word(call->argv[1], "NUMSUB"))
        return count_subscribers(call);
    if (!span_is_word(call->argv[1], "NUMPAT"))
        return reply_subcommand(call);
    if (call->argc != 2)
        return reply_arity(call, "pubsub|numpat");
    reply_integer(call->reply, (int64_t)host->ops->patterns(host));
    return 0;
}
