// SPDX-License-Identifier: Apache-2.0
// The receiving end: N sockets on one epoll, each with room for a few small frames (RFC 6455
// section 5.2; a server's frames are not masked). A subscriber has arrived when a text frame shows
// it the wanted value, or a later one.
#include "cli/bench_fanout.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES   2048u
#define HANDSHAKE_MS   5000
#define FIRST_VALUE_MS 10000u
#define EVENTS_MAX     256
#define OPCODE_TEXT    1
#define OPCODE_CLOSE   8
#define OPCODE_PING    9

struct subscriber {
    int fd;
    bool has_value;
    int64_t value;
    size_t len;
    uint8_t buffer[BUFFER_BYTES];
};

static const char handshake[] = "GET /v1/stream HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: cXVpcHUtYmVuY2gtY3Jvdw==\r\n"
                                "Sec-WebSocket-Protocol: quipu.v1.json\r\n\r\n";

static int complain(const char *what)
{
    fprintf(stderr, "quipu bench fanout: %s\n", what);
    return 1;
}

// Frames of a client must be masked; a mask of zeros is one.
static bool send_text(int fd, const char *text)
{
    size_t len = strlen(text);
    uint8_t frame[6 + 125];
    if (len > 125)
        return false;
    frame[0] = 0x80 | OPCODE_TEXT;
    frame[1] = (uint8_t)(0x80 | len);
    memset(frame + 2, 0, 4);
    memcpy(frame + 6, text, len);
    return bench_send(fd, span_of(frame, 6 + len));
}

static void answer_ping(int fd)
{
    static const uint8_t pong[] = {0x8a, 0x80, 0, 0, 0, 0};
    bench_send(fd, span_of(pong, sizeof pong));
}

// Reads to the empty line of the answer; nothing follows it before the client speaks.
static int upgrade(struct subscriber *subscriber, const char *address)
{
    char request[512];
    int len = snprintf(request, sizeof request, handshake, address);
    if (!bench_send(subscriber->fd, span_of(request, (size_t)len)))
        return complain("the server closed a connection during the handshake");
    char answer[2048];
    size_t got = 0;
    answer[0] = 0;
    while (!strstr(answer, "\r\n\r\n")) {
        struct pollfd readable = {.fd = subscriber->fd, .events = POLLIN};
        ssize_t more = -1;
        if (poll(&readable, 1, HANDSHAKE_MS) > 0)
            more = recv(subscriber->fd, answer + got, sizeof answer - 1 - got, 0);
        if (more <= 0)
            return complain("no answer to the WebSocket handshake");
        got += (size_t)more;
        answer[got] = 0;
    }
    if (strncmp(answer, "HTTP/1.1 101", 12)) {
        answer[strcspn(answer, "\r")] = 0;
        fprintf(stderr, "quipu bench fanout: the handshake was answered: %s\n", answer);
        return 1;
    }
    return 0;
}

static int open_socket(struct crowd *crowd, struct subscriber *subscriber, const char *address)
{
    subscriber->fd = bench_connect(address);
    if (subscriber->fd < 0)
        return 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = subscriber};
    epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, subscriber->fd, &event);
    return 0;
}

static int crowd_init(struct crowd *crowd, uint32_t count)
{
    crowd->count = count;
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    crowd->subscribers = calloc(count, sizeof *crowd->subscribers);
    if (crowd->epoll < 0 || !crowd->subscribers)
        return complain("out of memory");
    for (uint32_t i = 0; i < count; i++)
        crowd->subscribers[i].fd = -1;
    return bench_raise_files(count + 64u) ? 0 : complain("too few open files allowed (ulimit -n)");
}

int crowd_open(struct crowd *crowd, const char *address, uint32_t count, const char *key)
{
    char track[126];
    crowd->key = key;
    if (snprintf(track, sizeof track, "{\"track\":[\"%s\"]}", key) >= (int)sizeof track)
        return complain("the key is too long");
    if (crowd_init(crowd, count))
        return 1;
    crowd_expect(crowd, INT64_MIN); // whatever comes first
    for (uint32_t i = 0; i < count; i++) {
        struct subscriber *subscriber = &crowd->subscribers[i];
        if (open_socket(crowd, subscriber, address) || upgrade(subscriber, address))
            return 1;
        if (!send_text(subscriber->fd, track))
            return complain("cannot track");
    }
    return crowd_wait(crowd, FIRST_VALUE_MS);
}

int crowd_open_plain(struct crowd *crowd, const char *address, uint32_t count)
{
    crowd->key = "floor";
    if (crowd_init(crowd, count))
        return 1;
    for (uint32_t i = 0; i < count; i++) {
        if (open_socket(crowd, &crowd->subscribers[i], address))
            return 1;
    }
    return 0;
}

void crowd_close(struct crowd *crowd)
{
    for (uint32_t i = 0; crowd->subscribers && i < crowd->count; i++) {
        if (crowd->subscribers[i].fd >= 0)
            close(crowd->subscribers[i].fd);
    }
    free(crowd->subscribers);
    if (crowd->epoll > 0)
        close(crowd->epoll);
    crowd->subscribers = NULL;
}

void crowd_expect(struct crowd *crowd, int64_t value)
{
    crowd->wanted = value;
    crowd->arrived = 0;
    crowd->begun_ns = bench_now_ns();
}

// The number after ["key", in the text.
static bool find_value(const struct crowd *crowd, const uint8_t *text, size_t len, int64_t *out)
{
    char name[160];
    int name_len = snprintf(name, sizeof name, "[\"%s\",", crowd->key);
    const char *at = memmem(text, len, name, (size_t)name_len);
    if (!at)
        return false;
    char number[32] = {0};
    at += name_len;
    size_t left = len - (size_t)((const uint8_t *)at - text);
    memcpy(number, at, left < sizeof number - 1 ? left : sizeof number - 1);
    char *end;
    *out = strtoll(number, &end, 10);
    return end != number;
}

static void take_text(struct crowd *crowd, struct subscriber *subscriber, const uint8_t *text,
                      size_t len)
{
    int64_t value;
    crowd->frames++;
    if (!find_value(crowd, text, len, &value))
        return;
    if (subscriber->has_value && subscriber->value >= crowd->wanted) {
        crowd->surplus++;
        return;
    }
    subscriber->has_value = true;
    subscriber->value = value;
    if (value < crowd->wanted)
        return;
    crowd->arrived++;
    if (crowd->latency)
        histogram_add(crowd->latency, bench_now_ns() - crowd->begun_ns, 1);
}

// Every whole frame of the buffer. False: the server closed.
static bool take_frames(struct crowd *crowd, struct subscriber *subscriber)
{
    uint8_t *at = subscriber->buffer;
    uint8_t *end = at + subscriber->len;
    while (end - at >= 2) {
        size_t len = at[1] & 0x7f;
        size_t head = 2;
        if (len == 126) {
            head = 4;
            if (end - at < 4)
                break;
            len = (size_t)at[2] << 8 | at[3];
        }
        if ((size_t)(end - at) < head + len)
            break;
        unsigned opcode = at[0] & 0x0f;
        if (opcode == OPCODE_CLOSE)
            return false;
        if (opcode == OPCODE_PING)
            answer_ping(subscriber->fd);
        if (opcode == OPCODE_TEXT)
            take_text(crowd, subscriber, at + head, len);
        at += head + len;
    }
    subscriber->len = (size_t)(end - at);
    memmove(subscriber->buffer, at, subscriber->len);
    return true;
}

int crowd_wait(struct crowd *crowd, uint64_t within_ms)
{
    uint64_t deadline_ns = bench_now_ns() + within_ms * 1000000u;
    struct epoll_event events[EVENTS_MAX];
    while (crowd->arrived < crowd->count) {
        if (bench_now_ns() > deadline_ns) {
            fprintf(stderr, "quipu bench fanout: after %llu ms %u of %u have the value\n",
                    (unsigned long long)within_ms, crowd->arrived, crowd->count);
            return 1;
        }
        int count = epoll_wait(crowd->epoll, events, EVENTS_MAX, 50);
        for (int i = 0; i < count; i++) {
            struct subscriber *subscriber = events[i].data.ptr;
            ssize_t got = recv(subscriber->fd, subscriber->buffer + subscriber->len,
                               BUFFER_BYTES - subscriber->len, 0);
            if (got < 0 && errno == EAGAIN)
                continue;
            if (got <= 0)
                return complain("the server closed a connection");
            subscriber->len += (size_t)got;
            if (!take_frames(crowd, subscriber))
                return complain("the server closed a subscriber");
        }
    }
    return 0;
}
