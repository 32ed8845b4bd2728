// SPDX-License-Identifier: Apache-2.0
// The epoch may stand after the counts it belongs to, so a body is read for its epoch first and for
// its counts then.
#include "realtime/intake.h"
#include "realtime/part.h"
#include "wire/json_in.h"

struct reading {
    struct realtime *realtime;
    struct json_reader json;
    struct topic_update update;
    uint8_t epoch[TOPIC_EPOCH_BYTES_MAX];
    bool has_epoch, has_value, has_version, has_key;
    struct span key; // of the path, for a body of one
    struct intake intake;
};

static void apply(struct reading *reading, struct span key)
{
    struct realtime *realtime = reading->realtime;
    struct gauges *gauges = &realtime->gauges;
    struct topic *topic = board_find(&realtime->board, key);
    // A topic that the service was told nobody tracks is not kept up to date: do not begin to.
    if (!topic || (topic->subscribers_count == 0 && !topic->is_told_subscribed)) {
        reading->intake.untracked++;
        gauges->updates_untracked++;
    } else if (realtime_apply(realtime, topic, &reading->update) == 0) {
        reading->intake.applied++;
        gauges->updates_applied++;
    } else {
        reading->intake.stale++;
        gauges->updates_stale++;
    }
}

static void read_value(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    reading->update.is_missing = json_peek(json) == JSON_NULL;
    if (reading->update.is_missing)
        json_null(json);
    else
        reading->update.value = json_integer(json);
    reading->has_value = true;
}

static void read_version(struct reading *reading)
{
    int64_t version = json_integer(&reading->json);
    reading->json.failed |= version < 0;
    reading->update.version = (uint64_t)version;
    reading->has_version = true;
}

static void read_epoch(struct reading *reading)
{
    struct span text = json_string(&reading->json, &reading->realtime->scratch);
    if (text.len == 0 || text.len > sizeof(reading->epoch)) {
        reading->json.failed = true;
        return;
    }
    memcpy(reading->epoch, text.ptr, text.len);
    reading->update.epoch = span_of(reading->epoch, text.len);
    reading->has_epoch = true;
}

static void read_key(struct reading *reading)
{
    struct span key = json_string(&reading->json, &reading->realtime->scratch);
    reading->has_key = span_is_equal(key, reading->key);
    reading->json.failed |= !reading->has_key;
}

// [key,value,version]
static void read_count(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    struct buf *scratch = &reading->realtime->scratch;
    json_open(json, JSON_ARRAY);
    json_next(json);
    struct span key = json_string(json, scratch); // numbers leave the scratch alone
    json_next(json);
    read_value(reading);
    json_next(json);
    read_version(reading);
    if (json_next(json))
        json->failed = true;
    if (!json->failed)
        apply(reading, key);
}

static bool is_member(struct reading *reading, struct span name, const char *word)
{
    return !reading->json.failed && span_is_equal(name, span_text(word));
}

// Everything but the counts, which are only checked to be JSON.
static bool read_head(struct reading *reading, struct span body)
{
    reading->json = json_reader_of(body);
    json_open(&reading->json, JSON_OBJECT);
    while (json_next(&reading->json)) {
        struct span name = json_name(&reading->json, &reading->realtime->scratch);
        if (is_member(reading, name, "epoch"))
            read_epoch(reading);
        else if (is_member(reading, name, "value"))
            read_value(reading);
        else if (is_member(reading, name, "version"))
            read_version(reading);
        else if (is_member(reading, name, "key"))
            read_key(reading);
        else
            json_skip(&reading->json);
    }
    return json_is_done(&reading->json);
}

static bool read_counts(struct reading *reading, struct span body)
{
    bool has_counts = false;
    reading->json = json_reader_of(body);
    json_open(&reading->json, JSON_OBJECT);
    while (json_next(&reading->json)) {
        struct span name = json_name(&reading->json, &reading->realtime->scratch);
        if (!is_member(reading, name, "counts")) {
            json_skip(&reading->json);
            continue;
        }
        has_counts = true;
        json_open(&reading->json, JSON_ARRAY);
        while (json_next(&reading->json))
            read_count(reading);
    }
    return json_is_done(&reading->json) && has_counts;
}

bool intake_batch(struct realtime *realtime, struct span body, struct intake *out_intake,
                  const char **out_wrong)
{
    struct reading reading = {.realtime = realtime};
    if (!read_head(&reading, body)) {
        *out_wrong = "the body is no JSON object of the form {\"epoch\",\"counts\"}";
        return false;
    }
    if (!reading.has_epoch) {
        *out_wrong = "\"epoch\" is missing";
        return false;
    }
    if (!read_counts(&reading, body)) {
        *out_wrong = "\"counts\" is missing, or has an entry that is not [key,value,version]";
        return false;
    }
    *out_intake = reading.intake;
    return true;
}

bool intake_one(struct realtime *realtime, struct span key, struct span body,
                struct intake *out_intake, const char **out_wrong)
{
    struct reading reading = {.realtime = realtime, .key = key};
    if (!read_head(&reading, body) || !reading.has_epoch || !reading.has_value ||
        !reading.has_version) {
        *out_wrong = "the body is no JSON object of the form {\"epoch\",\"value\",\"version\"}";
        return false;
    }
    if (realtime->options->secret.len && !reading.has_key) {
        *out_wrong = "a signed body must have the \"key\" too";
        return false;
    }
    apply(&reading, key);
    *out_intake = reading.intake;
    return true;
}
