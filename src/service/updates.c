// SPDX-License-Identifier: Apache-2.0
// A tally is watched from the first listener until a check finds none. Versions decide what is
// newer; a key that is gone is told by a version in the event, but not in a read: there it gets the
// version after the one known, which is no later than that of its end, and only if no event came
// in between.
#include "base/owner.h"
#include "os/heap_system.h"
#include "os/log.h"
#include "service/updates.h"
#include "wire/json_in.h"

#define CHECK_EVERY_MS     10000
#define CHECK_TICK_MS      100
#define CHECKS_A_TICK      500
#define CHANNELS_A_COMMAND 256

// ---- lists

static void watch_append(struct updates *updates, struct tally *tally)
{
    tally->watch_prev = updates->watch_last;
    tally->watch_next = NULL;
    if (updates->watch_last)
        updates->watch_last->watch_next = tally;
    else
        updates->watch_first = tally;
    updates->watch_last = tally;
}

static void watch_remove(struct updates *updates, struct tally *tally)
{
    if (tally->watch_prev)
        tally->watch_prev->watch_next = tally->watch_next;
    else
        updates->watch_first = tally->watch_next;
    if (tally->watch_next)
        tally->watch_next->watch_prev = tally->watch_prev;
    else
        updates->watch_last = tally->watch_prev;
}

static void queue_append(struct updates *updates, struct tally *tally)
{
    if (tally->is_queued)
        return;
    tally->is_queued = true;
    tally->queue_next = NULL;
    *updates->queue_last = tally;
    updates->queue_last = &tally->queue_next;
}

static struct tally *queue_take(struct updates *updates)
{
    struct tally *tally = updates->queue_first;
    if (!tally)
        return NULL;
    updates->queue_first = tally->queue_next;
    if (!updates->queue_first)
        updates->queue_last = &updates->queue_first;
    tally->is_queued = false;
    return tally;
}

// ---- values

static void mark_all(struct tally *tally)
{
    for (struct share *share = tally->shares; share; share = share->tally_next) {
        if (share->has_subscribers)
            outlet_mark(share);
    }
}

struct news {
    bool is_missing;
    int64_t value;
    uint64_t version;
};

static void take_news(struct tally *tally, const struct news *news)
{
    if (tally->is_known && news->version <= tally->version)
        return;
    tally->is_known = true;
    tally->is_missing = news->is_missing;
    tally->value = news->value;
    tally->version = news->version;
    mark_all(tally);
}

static void read_tally(struct updates *updates, struct tally *tally);

static void take_missing(struct updates *updates, struct tally *tally)
{
    if (tally->is_known && tally->is_missing)
        return;
    if (tally->is_known && tally->version != tally->read_version) {
        read_tally(updates, tally);
        return;
    }
    struct news news = {.is_missing = true, .version = tally->is_known ? tally->version + 1 : 0};
    take_news(tally, &news);
}

static void on_value(struct value_call *call, const struct value *value)
{
    struct tally *tally = owner_of(call, struct tally, read);
    struct updates *updates = tally->updates;
    tally->is_reading = false;
    bool is_ours = (value->outcome == VALUE_HERE || value->outcome == VALUE_MISSING) &&
                   span_is_equal(value->epoch, span_text(updates->epoch));
    if (is_ours && value->outcome == VALUE_HERE) {
        struct news news = {.value = value->value, .version = value->version};
        take_news(tally, &news);
    } else if (is_ours) {
        take_missing(updates, tally);
    }
    if (tally->is_read_due)
        read_tally(updates, tally);
    audience_release_tally(updates->audience, tally);
}

static void read_tally(struct updates *updates, struct tally *tally)
{
    tally->is_read_due = tally->is_reading;
    if (tally->is_reading)
        return;
    tally->is_reading = true;
    tally->read_version = tally->version;
    tally->updates = updates;
    tally->read.key = tally_key(tally);
    tally->read.on_value = on_value;
    updates->metrics->rereads++;
    values_get(updates->values, &tally->read);
}

// ---- messages

static bool read_event(struct updates *updates, struct span payload, struct news *out_news)
{
    bool has_value = false, has_version = false;
    struct json_reader reader = json_reader_of(payload);
    json_open(&reader, JSON_OBJECT);
    while (json_next(&reader)) {
        struct span name = json_name(&reader, &updates->scratch);
        if (span_is_equal(name, span_text("value"))) {
            has_value = true;
            out_news->is_missing = json_peek(&reader) == JSON_NULL;
            if (out_news->is_missing)
                json_null(&reader);
            else
                out_news->value = json_integer(&reader);
        } else if (span_is_equal(name, span_text("version"))) {
            has_version = true;
            out_news->version = (uint64_t)json_integer(&reader);
        } else {
            json_skip(&reader);
        }
    }
    return json_is_done(&reader) && has_value && has_version;
}

static struct tally *tally_of_channel(const struct updates *updates, struct span channel)
{
    const struct span prefix = span_text(UPDATES_CHANNEL_PREFIX);
    if (channel.len < prefix.len || memcmp(channel.ptr, prefix.ptr, prefix.len) != 0)
        return NULL;
    return audience_find_tally(updates->audience,
                               span_of(channel.ptr + prefix.len, channel.len - prefix.len));
}

// A text of the hook's own that is not understood still says that something has changed.
static void take_event(struct updates *updates, struct tally *tally, struct span payload)
{
    struct news news = {0};
    updates->metrics->events++;
    if (read_event(updates, payload, &news)) {
        take_news(tally, &news);
        return;
    }
    updates->metrics->events_malformed++;
    read_tally(updates, tally);
}

void updates_message(struct updates *updates, const struct answer_token *push)
{
    if (push->kind == ANSWER_ERROR) {
        log_line("service", NULL, "the database refuses a subscription: %.*s", (int)push->text.len,
                 (const char *)push->text.ptr);
        return;
    }
    if (push->count < 3 || push[1].size != 1 || push[2].size != 1)
        return;
    struct tally *tally = tally_of_channel(updates, push[2].text);
    if (!tally || !tally->is_watched)
        return;
    if (span_is_word(push[1].text, "message"))
        take_event(updates, tally, push[3].text);
    else if (span_is_word(push[1].text, "subscribe"))
        read_tally(updates, tally);
}

// ---- subscriptions

void updates_listen(struct updates *updates, struct share *share, bool has_subscribers)
{
    struct tally *tally = share->tally;
    if (share->has_subscribers == has_subscribers)
        return;
    share->has_subscribers = has_subscribers;
    if (!has_subscribers) {
        tally->listeners_count--;
        outlet_forget(share);
        return;
    }
    tally->listeners_count++;
    if (tally->is_known)
        outlet_mark(share);
    if (tally->is_watched)
        return;
    tally->is_watched = true;
    tally->checked_ms = loop_now_ms(updates->loop);
    watch_append(updates, tally);
    queue_append(updates, tally);
}

// Channel names lie behind one another in one buffer; their spans are made once it has stopped
// moving.
static void send_channels(struct updates *updates, const char *command, const uint32_t *lens,
                          uint32_t count)
{
    struct span argv[CHANNELS_A_COMMAND + 1] = {span_text(command)};
    const uint8_t *at = updates->channels.ptr;
    if (buf_has_failed(&updates->channels))
        return; // no memory: the next check reads the values
    for (uint32_t i = 0; i < count; i++) {
        argv[i + 1] = span_of(at, lens[i]);
        at += lens[i];
    }
    database_subscribe(updates->database, argv, count + 1);
}

static void put_channel(struct updates *updates, const struct tally *tally, uint32_t *out_len)
{
    size_t before = updates->channels.len;
    buf_put_text(&updates->channels, UPDATES_CHANNEL_PREFIX);
    buf_put(&updates->channels, tally_key(tally));
    *out_len = (uint32_t)(updates->channels.len - before);
}

void updates_flush(struct updates *updates)
{
    uint32_t lens[CHANNELS_A_COMMAND];
    while (updates->queue_first && database_is_up(updates->database)) {
        uint32_t count = 0;
        buf_clear(&updates->channels);
        while (updates->queue_first && count < CHANNELS_A_COMMAND)
            put_channel(updates, queue_take(updates), &lens[count++]);
        send_channels(updates, "SUBSCRIBE", lens, count);
    }
}

static void unwatch(struct updates *updates, struct tally *tally)
{
    uint32_t len;
    buf_clear(&updates->channels);
    put_channel(updates, tally, &len);
    send_channels(updates, "UNSUBSCRIBE", &len, 1);
    watch_remove(updates, tally);
    tally->is_watched = tally->is_known = false;
    audience_release_tally(updates->audience, tally);
}

static void check(struct updates *updates, struct tally *tally, uint64_t now_ms)
{
    tally->checked_ms = now_ms;
    watch_remove(updates, tally);
    watch_append(updates, tally);
    if (tally->listeners_count == 0 && !tally->is_queued)
        unwatch(updates, tally);
    else if (database_is_up(updates->database))
        read_tally(updates, tally);
}

static void on_due(struct loop_timer *timer)
{
    struct updates *updates = owner_of(timer, struct updates, timer);
    uint64_t now_ms = loop_now_ms(updates->loop);
    for (unsigned i = 0; i < CHECKS_A_TICK && updates->watch_first; i++) {
        if (now_ms < updates->watch_first->checked_ms + CHECK_EVERY_MS)
            break;
        check(updates, updates->watch_first, now_ms);
    }
    loop_timer_set(updates->loop, timer, now_ms + CHECK_TICK_MS);
}

void updates_database_up(struct updates *updates)
{
    const char *epoch = database_epoch(updates->database);
    bool is_same = strcmp(updates->epoch, epoch) == 0;
    memcpy(updates->epoch, epoch, sizeof updates->epoch);
    for (struct tally *tally = updates->watch_first; tally; tally = tally->watch_next) {
        if (!is_same)
            tally->is_known = false;
        queue_append(updates, tally);
    }
}

void updates_start(struct updates *updates)
{
    updates->queue_last = &updates->queue_first;
    updates->timer.on_due = on_due;
    buf_init(&updates->channels, heap_system());
    buf_init(&updates->scratch, heap_system());
    loop_timer_set(updates->loop, &updates->timer, loop_now_ms(updates->loop) + CHECK_TICK_MS);
}

void updates_stop(struct updates *updates)
{
    loop_timer_clear(updates->loop, &updates->timer);
    buf_deinit(&updates->channels);
    buf_deinit(&updates->scratch);
}
