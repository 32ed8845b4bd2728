// SPDX-License-Identifier: Apache-2.0
// A datagram is ordered by (boot, sequence) for each key it tells of, not as a whole: two datagrams
// of one interval tell of different keys, and one that was overtaken still counts for its own. A
// later boot ends what earlier ones told.
#include <sys/socket.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include "base/decimal.h"
#include "base/owner.h"
#include "os/log.h"
#include "service/heartbeats.h"

#define DATAGRAMS_A_TURN 256
#define INTERVAL_MIN_MS  50
#define INTERVAL_MAX_MS  60000
#define PUBLISHERS_MAX   ((uint64_t)1 << 40)
#define SWEEP_MS         50
#define GONE_MS          10000 // a node that said bye is remembered for so long
#define LOG_EVERY_MS     10000

// ---- leases

static void set_lease(struct share *share);

static void note_refusal(struct share *share, const struct answer_token *answer)
{
    struct heartbeats *heartbeats = share->heartbeats;
    struct tally *tally = share->tally;
    struct span text = answer->text;
    heartbeats->metrics->presence_refused++;
    if (text.len >= 9 && memcmp(text.ptr, "WRONGTYPE", 9) == 0)
        share->leased = 0; // none is held
    if (tally->is_refused)
        return;
    tally->is_refused = true;
    log_line("service", NULL, "presence of page '%.*s' is not counted: %.*s",
             tally->key_len < 200 ? (int)tally->key_len : 200, (const char *)tally->key,
             text.len < 200 ? (int)text.len : 200, (const char *)text.ptr);
}

static void on_lease(struct resp_call *call, const struct answer_token *answer)
{
    struct share *share = owner_of(call, struct share, lease);
    struct audience *audience = share->heartbeats->audience;
    share->is_lease_asked = false;
    if (answer && answer->kind == ANSWER_ERROR)
        note_refusal(share, answer);
    else if (answer)
        share->tally->is_refused = false;
    if (answer && share->is_lease_due)
        set_lease(share);
    audience_release(audience, share);
}

static void send_lease(struct share *share, uint64_t ttl_ms)
{
    struct heartbeats *heartbeats = share->heartbeats;
    char owner[17], text[4][24];
    snprintf(owner, sizeof owner, "%016" PRIx64, share->owner);
    const uint64_t numbers[] = {(uint64_t)share->publishers, ttl_ms, share->boot, share->sequence};
    struct span number[4];
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *end = decimal_write_unsigned((uint8_t *)text[i], numbers[i]);
        number[i] = span_of(text[i], (size_t)(end - (uint8_t *)text[i]));
    }
    const struct span argv[] = {span_text("PRESENCE.SET"),
                                tally_key(share->tally),
                                span_text(owner),
                                number[0],
                                number[1],
                                span_text("EPOCH"),
                                number[2],
                                span_text("SEQ"),
                                number[3]};
    share->lease.on_answer = on_lease;
    if (database_send(heartbeats->database, &share->lease, argv, 9))
        return; // away: the session's begin sends it again
    share->is_lease_asked = true;
    share->leased = share->publishers;
    heartbeats->metrics->presence_sets++;
}

// A key that has subscribers here but neither has nor had publishers may be a counter: it is left
// alone.
static void set_lease(struct share *share)
{
    share->is_lease_due = share->is_lease_asked;
    if (share->is_lease_asked || (share->publishers == 0 && share->leased == 0))
        return;
    uint64_t interval_ms = share->platform ? share->platform->interval_ms : INTERVAL_MIN_MS;
    send_lease(share, 3 * interval_ms);
}

void heartbeats_database_up(struct heartbeats *heartbeats)
{
    for (struct platform *platform = heartbeats->audience->first; platform;
         platform = platform->next) {
        for (struct share *share = platform->first; share; share = share->heard_next)
            set_lease(share);
    }
}

// ---- ends

// `is_told`: the node itself ended it, so its lease ends now, not by its time of life.
static void end_share(struct heartbeats *heartbeats, struct share *share, bool is_told)
{
    updates_listen(heartbeats->updates, share, false);
    outlet_forget(share);
    audience_end(heartbeats->audience, share);
    share->publishers = 0;
    if (is_told)
        set_lease(share);
    audience_release(heartbeats->audience, share);
}

static void end_before_boot(struct heartbeats *heartbeats, struct platform *platform)
{
    struct share *share = platform->first;
    while (share) {
        struct share *next = share->heard_next;
        if (share->boot != platform->boot)
            end_share(heartbeats, share, true);
        share = next;
    }
}

static void end_all(struct heartbeats *heartbeats, struct platform *platform)
{
    while (platform->first)
        end_share(heartbeats, platform->first, true);
}

void heartbeats_sweep(struct heartbeats *heartbeats, uint64_t now_ms)
{
    struct platform *platform = heartbeats->audience->first;
    while (platform) {
        struct platform *next = platform->next;
        uint64_t patience_ms = platform_patience_ms(platform);
        while (platform->first && now_ms >= platform->first->heard_ms + patience_ms)
            end_share(heartbeats, platform->first, false);
        if (platform->is_gone)
            patience_ms = GONE_MS;
        if (!platform->first && now_ms >= platform->heard_ms + patience_ms)
            audience_remove_platform(heartbeats->audience, platform);
        platform = next;
    }
}

// ---- datagrams

static void log_dropped(struct heartbeats *heartbeats, const char *why)
{
    uint64_t now_ms = loop_now_ms(heartbeats->loop);
    if (heartbeats->logged_ms && now_ms < heartbeats->logged_ms + LOG_EVERY_MS)
        return;
    heartbeats->logged_ms = now_ms;
    log_line("service", NULL, "a heartbeat is dropped: %s", why);
}

static void note_outcome(struct heartbeats *heartbeats, int outcome)
{
    if (outcome == HEARTBEAT_E_SECRET) {
        heartbeats->metrics->heartbeats_unproven++;
        log_dropped(heartbeats, heartbeats->secret.len
                                    ? "its signature is missing or wrong"
                                    : "it is signed, but this service has no --secret-file");
        return;
    }
    heartbeats->metrics->heartbeats_malformed++;
    log_dropped(heartbeats,
                outcome == HEARTBEAT_E_VERSION ? "another version of its format" : "malformed");
}

// False: there is no room for it.
static bool take_entry(struct heartbeats *heartbeats, struct platform *platform,
                       const struct heartbeat *heartbeat, const struct heartbeat_entry *entry)
{
    struct audience *audience = heartbeats->audience;
    struct tally *tally = audience_find_tally(audience, entry->page);
    struct share *share = tally ? audience_find_share(audience, platform, tally) : NULL;
    if (!share && heartbeat->sequence <= platform->floor)
        return true;
    if (!share)
        share = audience_share(audience, platform, entry->page);
    if (!share)
        return false;
    if (share->boot == heartbeat->boot && heartbeat->sequence <= share->sequence)
        return true;
    share->boot = heartbeat->boot;
    share->sequence = heartbeat->sequence;
    share->heartbeats = heartbeats;
    share->publishers =
        (int64_t)(entry->publishers < PUBLISHERS_MAX ? entry->publishers : PUBLISHERS_MAX);
    audience_heard(share, loop_now_ms(heartbeats->loop));
    updates_listen(heartbeats->updates, share, entry->has_subscribers);
    set_lease(share);
    return true;
}

// What a datagram says of its node as a whole. False: it is of an earlier life.
static bool take_head(struct heartbeats *heartbeats, struct platform *platform,
                      const struct heartbeat *heartbeat)
{
    bool is_newer_boot = heartbeat->boot > platform->boot;
    if (heartbeat->boot < platform->boot || (platform->is_gone && !is_newer_boot))
        return false;
    if (is_newer_boot) {
        platform->boot = heartbeat->boot;
        platform->sequence = platform->floor = 0;
        platform->is_gone = false;
    } else if (heartbeat->sequence <= platform->sequence) {
        return true; // overtaken, or a duplicate: only its entries may tell something
    }
    platform->sequence = heartbeat->sequence;
    platform->heard_ms = loop_now_ms(heartbeats->loop);
    platform->interval_ms = heartbeat->interval_ms;
    if (platform->interval_ms < INTERVAL_MIN_MS)
        platform->interval_ms = INTERVAL_MIN_MS;
    if (platform->interval_ms > INTERVAL_MAX_MS)
        platform->interval_ms = INTERVAL_MAX_MS;
    outlet_aim(&platform->outlet, heartbeat->address);
    return true;
}

static void take_heartbeat(struct heartbeats *heartbeats, struct heartbeat *heartbeat)
{
    struct platform *platform = audience_platform(heartbeats->audience, heartbeat->node);
    if (!platform) {
        heartbeats->metrics->heartbeats_over_limit++;
        log_dropped(heartbeats, "too many nodes");
        return;
    }
    bool was_known = platform->boot != 0;
    if (!take_head(heartbeats, platform, heartbeat)) {
        heartbeats->metrics->heartbeats_stale++;
        return;
    }
    heartbeats->metrics->heartbeats++;
    if (heartbeat->is_bye) {
        end_all(heartbeats, platform);
        platform->is_gone = true;
        outlet_stop(&platform->outlet);
        return;
    }
    struct heartbeat_entry entry;
    bool has_room = true;
    while (heartbeat_next(heartbeat, &entry))
        has_room = take_entry(heartbeats, platform, heartbeat, &entry) && has_room;
    if (was_known)
        end_before_boot(heartbeats, platform);
    if (!has_room) {
        heartbeats->metrics->heartbeats_over_limit++;
        log_dropped(heartbeats, "too many keys");
    }
}

void heartbeats_take(struct heartbeats *heartbeats, struct span datagram)
{
    struct heartbeat_key key = {.id = 1, .secret = heartbeats->secret};
    struct heartbeat heartbeat;
    int outcome = heartbeat_parse(datagram, &key, key.secret.len ? 1 : 0, &heartbeat);
    if (outcome)
        note_outcome(heartbeats, outcome);
    else
        take_heartbeat(heartbeats, &heartbeat);
}

static void on_ready(struct watch *watch, uint32_t events)
{
    struct heartbeats *heartbeats = owner_of(watch, struct heartbeats, watch);
    uint8_t bytes[HEARTBEAT_BYTES_MAX + 1]; // one more, so that a longer one is seen to be
    (void)events;
    for (unsigned i = 0; i < DATAGRAMS_A_TURN; i++) {
        ssize_t got = recv(watch->fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return;
        heartbeats_take(heartbeats, span_of(bytes, (size_t)got));
    }
}

static void on_due(struct loop_timer *timer)
{
    struct heartbeats *heartbeats = owner_of(timer, struct heartbeats, timer);
    uint64_t now_ms = loop_now_ms(heartbeats->loop);
    heartbeats_sweep(heartbeats, now_ms);
    loop_timer_set(heartbeats->loop, timer, now_ms + SWEEP_MS);
}

int heartbeats_start(struct heartbeats *heartbeats, const struct endpoint *endpoint)
{
    int fd = udp_bind(endpoint);
    heartbeats->watch = (struct watch){.fd = fd, .on_ready = on_ready};
    if (fd < 0)
        return fd;
    int fault = loop_add(heartbeats->loop, &heartbeats->watch, EPOLLIN);
    if (fault) {
        close(fd);
        heartbeats->watch.fd = -1;
        return fault;
    }
    heartbeats->timer.on_due = on_due;
    loop_timer_set(heartbeats->loop, &heartbeats->timer, loop_now_ms(heartbeats->loop) + SWEEP_MS);
    return 0;
}

void heartbeats_stop(struct heartbeats *heartbeats)
{
    if (!heartbeats->timer.on_due || heartbeats->watch.fd < 0)
        return;
    loop_timer_clear(heartbeats->loop, &heartbeats->timer);
    loop_remove(heartbeats->loop, &heartbeats->watch);
    close(heartbeats->watch.fd);
    heartbeats->watch.fd = -1;
}
