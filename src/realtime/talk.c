// SPDX-License-Identifier: Apache-2.0
// A row a verb. Saying the same twice is no error: a client that is not sure may repeat itself, and
// who tracks again what it tracks is sent the latest value again.
#include <errno.h>
#include <stdio.h>
#include "realtime/grant.h"
#include "realtime/part.h"
#include "realtime/talk.h"
#include "wire/json.h"
#include "wire/json_in.h"

static const struct wrong no_memory = {"busy", "the server is out of memory, try again later", 503};
static const struct wrong topics_full = {"busy", "the server holds too many keys", 503};
static const struct wrong forbidden = {"forbidden", "the token does not allow this key", 403};
static const struct wrong key_length = {"bad_key", "a key has 1 to 512 bytes", 400};

static bool is_key(struct span key)
{
    return key.len > 0 && key.len <= TOPIC_KEY_BYTES_MAX;
}

static const struct wrong *outcome_of_topic(int outcome)
{
    return outcome < 0 ? &no_memory : &topics_full;
}

const struct wrong *talk_track(struct visitor *visitor, struct span key, uint64_t told)
{
    static const struct wrong keys_full = {"too_many_keys", "a client tracks at most 1000 keys",
                                           400};
    struct realtime *realtime = visitor->realtime;
    struct topic *topic;
    struct subscription *subscription;
    if (!is_key(key))
        return &key_length;
    if (!grant_allows(visitor, "track", key))
        return &forbidden;
    if (visitor->subscriber.keys_count == SUBSCRIBER_KEYS_MAX)
        return &keys_full;
    int outcome = board_obtain(&realtime->board, key, &topic);
    if (outcome)
        return outcome_of_topic(outcome);
    outcome = board_subscribe(&realtime->board, &visitor->subscriber, topic, &subscription);
    if (topic->due_ms == 0 || (outcome == 0 && topic->subscribers_count == 1))
        pulse_raise(&realtime->pulse, topic);
    if (outcome < 0)
        return &no_memory;
    if (outcome == BOARD_E_ALREADY)
        subscription = board_subscription(&visitor->subscriber, topic);
    subscription->told = told;
    if (topic->is_known)
        fanout_owe(&realtime->fanout, subscription);
    else
        upstream_want(&realtime->upstream, topic);
    return NULL;
}

static void end_subscription(struct realtime *realtime, struct subscription *subscription)
{
    struct topic *topic = subscription->topic;
    board_unsubscribe(&realtime->board, subscription);
    if (topic->subscribers_count == 0)
        pulse_untracked(&realtime->pulse, topic);
}

static const struct wrong *untrack(struct visitor *visitor, struct span key)
{
    struct realtime *realtime = visitor->realtime;
    struct topic *topic = board_find(&realtime->board, key);
    struct subscription *subscription =
        topic ? board_subscription(&visitor->subscriber, topic) : NULL;
    if (subscription)
        end_subscription(realtime, subscription);
    return NULL;
}

const struct wrong *talk_publish(struct visitor *visitor, struct span page)
{
    static const struct wrong pages_full = {"too_many_pages",
                                            "a client publishes at most 100 pages", 400};
    struct realtime *realtime = visitor->realtime;
    struct topic *topic;
    if (!is_key(page))
        return &key_length;
    if (!grant_allows(visitor, "publish", page))
        return &forbidden;
    int outcome = board_obtain(&realtime->board, page, &topic);
    if (outcome)
        return outcome_of_topic(outcome);
    outcome = pages_publish(realtime->heap, &visitor->publisher, topic);
    if (topic->due_ms == 0 || outcome == 0)
        pulse_raise(&realtime->pulse, topic);
    if (outcome < 0)
        return &no_memory;
    return outcome == PAGES_E_FULL ? &pages_full : NULL;
}

static const struct wrong *unpublish(struct visitor *visitor, struct span page)
{
    struct realtime *realtime = visitor->realtime;
    struct topic *topic = board_find(&realtime->board, page);
    if (topic)
        pages_unpublish(realtime->heap, &visitor->publisher, topic);
    return NULL;
}

static const struct wrong *track(struct visitor *visitor, struct span key)
{
    return talk_track(visitor, key, 0);
}

static const struct verb {
    const char *name;
    const struct wrong *(*obey)(struct visitor *visitor, struct span key);
} verbs[] = {
    {"track", track},
    {"untrack", untrack},
    {"publish", talk_publish},
    {"unpublish", unpublish},
};

static const struct verb *verb_find(struct span name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (span_is_equal(name, span_text(verbs[i].name)))
            return &verbs[i];
    }
    return NULL;
}

// {"error":{"code":"..","message":".."}}; `subject` may be empty.
static void answer_wrong(struct visitor *visitor, const struct wrong *wrong, struct span subject)
{
    struct buf *out = &visitor->realtime->answer;
    buf_clear(out);
    buf_put_text(out, "{\"error\":{\"code\":");
    json_put_text(out, wrong->code);
    buf_put_text(out, ",\"message\":");
    json_put_text(out, wrong->message);
    if (subject.len) {
        buf_put_text(out, ",\"subject\":");
        json_put_string(out, subject);
    }
    buf_put_text(out, "}}");
    visitor->realtime->gauges.messages_refused++;
    visitor_say(visitor, WEBSOCKET_TEXT, buf_span(out));
}

// An element of a list: a key, or for track a key with the version that the client has.
struct word {
    struct span key;
    uint64_t told;
};

static struct word read_word(struct json_reader *json, bool may_have_version, struct buf *scratch)
{
    struct word word = {0};
    if (!may_have_version || json_peek(json) != JSON_ARRAY) {
        word.key = json_string(json, scratch);
        return word;
    }
    json_open(json, JSON_ARRAY);
    json_next(json);
    word.key = json_string(json, scratch); // a number leaves the scratch alone
    json_next(json);
    int64_t version = json_integer(json);
    json->failed |= version < 0 || json_next(json);
    word.told = (uint64_t)version + 1;
    return word;
}

// The first thing wrong is told, the rest of the list is passed over.
static void take_list(struct visitor *visitor, const struct verb *verb, struct json_reader *json)
{
    bool is_wrong = false, is_track = verb->obey == track;
    json_open(json, JSON_ARRAY);
    while (json_next(json)) {
        struct word word = read_word(json, is_track, &visitor->realtime->scratch);
        if (json->failed || is_wrong)
            continue;
        if (!visitor_spend(visitor, 1))
            return;
        const struct wrong *wrong =
            is_track ? talk_track(visitor, word.key, word.told) : verb->obey(visitor, word.key);
        if (!wrong)
            continue;
        is_wrong = true;
        answer_wrong(visitor, wrong, span_of(word.key.ptr, word.key.len < 64 ? word.key.len : 64));
    }
}

// Of which epoch the versions are that follow.
static void take_epoch(struct visitor *visitor, struct json_reader *json)
{
    struct realtime *realtime = visitor->realtime;
    struct span epoch = json_string(json, &realtime->scratch);
    if (!json->failed && visitor->subscriber.keys_count == 0)
        visitor->subscriber.epoch_mark = board_epoch_mark(&realtime->board, epoch);
}

static void take_token(struct visitor *visitor, struct json_reader *json)
{
    struct span token = json_string(json, &visitor->realtime->scratch);
    const char *refused = json->failed ? NULL : grant_take(visitor, token);
    if (refused)
        answer_wrong(visitor, &(struct wrong){"bad_token", refused, 401}, span_of(NULL, 0));
}

static void take_member(struct visitor *visitor, struct json_reader *json)
{
    static const struct wrong unknown = {"unknown_verb",
                                         "known are \"track\", \"untrack\", \"publish\", "
                                         "\"unpublish\", \"epoch\" and \"token\"",
                                         400};
    struct span name = json_name(json, &visitor->realtime->scratch);
    const struct verb *verb = json->failed ? NULL : verb_find(name);
    if (verb) {
        take_list(visitor, verb, json);
    } else if (span_is_equal(name, span_text("epoch"))) {
        take_epoch(visitor, json);
    } else if (span_is_equal(name, span_text("token"))) {
        take_token(visitor, json);
    } else {
        if (!json->failed)
            answer_wrong(visitor, &unknown, span_of(name.ptr, name.len < 64 ? name.len : 64));
        json_skip(json);
    }
}

void talk_take(struct visitor *visitor, struct span message)
{
    static const struct wrong malformed = {
        "malformed", "a message is a JSON object like {\"track\":[\"key\"]}", 400};
    struct json_reader json = json_reader_of(message);
    json_open(&json, JSON_OBJECT);
    while (!visitor->stream.is_closing && json_next(&json))
        take_member(visitor, &json);
    if (!visitor->stream.is_closing && !json_is_done(&json))
        answer_wrong(visitor, &malformed, span_of(NULL, 0));
}

void talk_end(struct visitor *visitor)
{
    struct realtime *realtime = visitor->realtime;
    while (visitor->subscriber.first)
        end_subscription(realtime, visitor->subscriber.first);
    while (pages_leave(realtime->heap, &visitor->publisher))
        continue;
}
