// SPDX-License-Identifier: Apache-2.0
// Two lists, each in order of due time because what joins one waits equally long: no heap, no scan.
// A datagram is filled with what is due, then with what will be due within an eighth of an
// interval, so that many pages share few datagrams. Many datagrams leave in bursts with pauses; as
// each page's next turn counts from its last, they stay spread.
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/owner.h"
#include "realtime/pulse.h"

// ---- lists

static void list_append(struct topic_list *list, struct topic *topic)
{
    topic->told_prev = list->last;
    topic->told_next = NULL;
    if (list->last)
        list->last->told_next = topic;
    else
        list->first = topic;
    list->last = topic;
}

static void list_remove(struct topic_list *list, struct topic *topic)
{
    if (topic->told_prev)
        topic->told_prev->told_next = topic->told_next;
    else
        list->first = topic->told_next;
    if (topic->told_next)
        topic->told_next->told_prev = topic->told_prev;
    else
        list->last = topic->told_prev;
    topic->told_prev = topic->told_next = NULL;
}

// ---- datagrams

// A connected UDP socket answers a send with the refusal of an earlier datagram, and then sends
// nothing: once more, then it is the network's.
static void send_datagram(struct pulse *pulse, struct span datagram)
{
    for (int i = 0; i < 2; i++) {
        if (send(pulse->fd, datagram.ptr, datagram.len, MSG_NOSIGNAL) >= 0) {
            pulse->datagrams_sent++;
            return;
        }
        if (errno != ECONNREFUSED && errno != EINTR)
            break;
    }
    pulse->datagrams_failed++;
}

static void begin_datagram(struct pulse *pulse, const struct heartbeat *kind)
{
    struct heartbeat head = *kind;
    head.node = pulse->options.node;
    head.boot = pulse->options.boot;
    head.sequence = ++pulse->sequence;
    head.interval_ms = pulse->options.interval_ms;
    head.address = pulse->options.address;
    struct heartbeat_key key = {.id = 1, .secret = pulse->options.secret};
    pulse->is_writing = heartbeat_begin(&pulse->writer, &head, key.secret.len ? &key : NULL) == 0;
}

static void end_datagram(struct pulse *pulse, uint64_t now_ms)
{
    if (!pulse->is_writing)
        return;
    pulse->is_writing = false;
    send_datagram(pulse, heartbeat_end(&pulse->writer));
    pulse->sent_ms = now_ms;
    pulse->burst++;
}

static void put_entry(struct pulse *pulse, const struct heartbeat_entry *entry, uint64_t now_ms)
{
    struct heartbeat kind = {.is_rotation = pulse->is_rotating};
    if (!pulse->is_writing)
        begin_datagram(pulse, &kind);
    if (!pulse->is_writing || heartbeat_add(&pulse->writer, entry) != HEARTBEAT_E_FULL)
        return;
    end_datagram(pulse, now_ms);
    begin_datagram(pulse, &kind);
    if (pulse->is_writing)
        heartbeat_add(&pulse->writer, entry);
}

// ---- topics

static bool is_tracked(const struct topic *topic, uint64_t now_ms)
{
    return topic->subscribers_count > 0 || (topic->untracked_ms && topic->is_told_subscribed &&
                                            now_ms < topic->untracked_ms + PULSE_LINGER_MS);
}

// The service stops telling this node of a key without subscribers, so what is held goes stale.
static void note_told(struct topic *topic, bool has_subscribers)
{
    topic->is_told_subscribed = has_subscribers;
    if (!has_subscribers)
        topic->is_known = false;
    if (has_subscribers || !topic_is_idle(topic))
        topic->farewells = 0;
    else if (topic->farewells < PULSE_FAREWELLS)
        topic->farewells++;
}

// Says the topic's part and gives it its next turn, or its memory back.
static void tell(struct pulse *pulse, struct topic_list *list, uint64_t now_ms)
{
    struct topic *topic = list->first;
    struct heartbeat_entry entry = {.page = topic_key(topic),
                                    .publishers = topic->publishers_count,
                                    .has_subscribers = is_tracked(topic, now_ms)};
    put_entry(pulse, &entry, now_ms);
    note_told(topic, entry.has_subscribers);
    list_remove(list, topic);
    topic->is_prompt = false;
    if (topic->farewells == PULSE_FAREWELLS && !topic->is_changed && !topic->is_wanted) {
        board_remove(pulse->board, topic);
        return;
    }
    topic->due_ms = now_ms + pulse->options.interval_ms;
    list_append(&pulse->rotation, topic);
}

static void tell_until(struct pulse *pulse, struct topic_list *list, uint64_t now_ms,
                       uint64_t until_ms)
{
    if (!list->first || list->first->due_ms > now_ms)
        return;
    while (list->first && list->first->due_ms <= until_ms && pulse->burst < PULSE_BURST)
        tell(pulse, list, now_ms);
}

static uint64_t next_due_ms(const struct pulse *pulse, uint64_t now_ms)
{
    uint64_t next_ms = pulse->sent_ms + pulse->options.interval_ms;
    if (pulse->prompt.first && pulse->prompt.first->due_ms < next_ms)
        next_ms = pulse->prompt.first->due_ms;
    if (pulse->rotation.first && pulse->rotation.first->due_ms < next_ms)
        next_ms = pulse->rotation.first->due_ms;
    return pulse->burst >= PULSE_BURST && next_ms < now_ms + PULSE_PAUSE_MS
               ? now_ms + PULSE_PAUSE_MS
               : next_ms;
}

uint64_t pulse_beat(struct pulse *pulse, uint64_t now_ms)
{
    uint64_t interval_ms = pulse->options.interval_ms;
    pulse->burst = 0;
    pulse->is_rotating = false;
    tell_until(pulse, &pulse->prompt, now_ms, now_ms);
    end_datagram(pulse, now_ms);
    pulse->is_rotating = true;
    tell_until(pulse, &pulse->rotation, now_ms, now_ms + interval_ms / 8);
    if (now_ms >= pulse->sent_ms + interval_ms && !pulse->is_writing) {
        struct heartbeat alive = {.is_rotation = true};
        begin_datagram(pulse, &alive);
    }
    end_datagram(pulse, now_ms);
    return next_due_ms(pulse, now_ms);
}

void pulse_raise(struct pulse *pulse, struct topic *topic)
{
    topic->farewells = 0;
    if (topic->is_prompt)
        return;
    if (topic->due_ms)
        list_remove(&pulse->rotation, topic);
    topic->is_prompt = true;
    topic->due_ms = loop_now_ms(pulse->loop) + PULSE_PROMPT_MS;
    list_append(&pulse->prompt, topic);
    if (!loop_timer_is_set(&pulse->timer) || topic->due_ms < pulse->timer.due_ms)
        loop_timer_set(pulse->loop, &pulse->timer, topic->due_ms);
}

void pulse_untracked(struct pulse *pulse, struct topic *topic)
{
    topic->untracked_ms = loop_now_ms(pulse->loop);
}

// ---- life

static void on_due(struct loop_timer *timer)
{
    struct pulse *pulse = owner_of(timer, struct pulse, timer);
    uint64_t next_ms = pulse_beat(pulse, loop_now_ms(pulse->loop));
    loop_timer_set(pulse->loop, &pulse->timer, next_ms);
}

void pulse_start(struct pulse *pulse, struct loop *loop, struct board *board, int fd,
                 const struct pulse_options *options)
{
    *pulse = (struct pulse){
        .options = *options, .board = board, .loop = loop, .timer.on_due = on_due, .fd = fd};
    loop_timer_set(loop, &pulse->timer, loop_now_ms(loop));
}

void pulse_bye(struct pulse *pulse)
{
    struct heartbeat bye = {.is_bye = true};
    for (int i = 0; i < PULSE_FAREWELLS; i++) { // a datagram may be lost
        begin_datagram(pulse, &bye);
        end_datagram(pulse, loop_now_ms(pulse->loop));
    }
}

void pulse_stop(struct pulse *pulse)
{
    loop_timer_clear(pulse->loop, &pulse->timer);
    close(pulse->fd);
    pulse->fd = -1;
}
