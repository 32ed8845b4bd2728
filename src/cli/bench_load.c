// SPDX-License-Identifier: Apache-2.0
// One thread, one epoll. A connection's requests are consecutive in the ring, so what is due goes
// out as one piece; the times they were due wait in a small queue of (time, how many) beside it.
#include "cli/bench_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECEIVE_BYTES   (256u * 1024)
#define EVENTS_MAX      256
#define BATCHES_MAX     4096u // power of two: times remembered a connection
#define OVERHANG_MIN    64u
#define STALL_NS        10000000000ull
#define LONGEST_WAIT_NS 100000000ull

struct batch {
    uint64_t due_ns;
    uint32_t requests;
};

struct connection {
    int fd;
    bool is_blocked; // waits for room in the socket
    uint32_t at;     // next request of the ring to send
    uint32_t due;    // requests due and not sent
    uint64_t flying; // requests sent, not answered, plus those due
    struct span unsent;
    struct reply_counter counter;
    struct batch *batches;
    uint32_t batches_head, batches_tail;
};

struct load {
    const struct load_options *options;
    struct load_result *result;
    struct request_ring ring;
    struct connection *connections;
    struct batch *batches;
    uint8_t *received;
    int epoll;
    bool is_measuring;
    uint64_t started_ns, next_due_ns, scheduled, answered, heard_ns;
};

static bool fault(const char *what)
{
    fprintf(stderr, "quipu bench: %s: %s\n", what, strerror(errno));
    return false;
}

static void watch(struct load *load, struct connection *connection, bool wants_room)
{
    struct epoll_event event = {.events = EPOLLIN | (wants_room ? EPOLLOUT : 0),
                                .data.ptr = connection};
    epoll_ctl(load->epoll, connection->is_blocked == wants_room ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
              connection->fd, &event);
    connection->is_blocked = wants_room;
}

// Sends what is due until it is out or the socket is full.
static bool send_due(struct load *load, struct connection *connection)
{
    while (connection->unsent.len || connection->due) {
        if (!connection->unsent.len) {
            uint32_t run = connection->due;
            if (run > load->ring.overhang)
                run = load->ring.overhang;
            connection->unsent = request_ring_run(&load->ring, connection->at, run);
            connection->at = (connection->at + run) % load->ring.count;
            connection->due -= run;
        }
        ssize_t sent =
            send(connection->fd, connection->unsent.ptr, connection->unsent.len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return fault("send");
        if (sent < 0) {
            if (!connection->is_blocked)
                watch(load, connection, true);
            return true;
        }
        connection->unsent =
            span_of(connection->unsent.ptr + sent, connection->unsent.len - (size_t)sent);
    }
    if (connection->is_blocked)
        watch(load, connection, false);
    return true;
}

static void schedule(struct connection *connection, uint64_t due_ns, uint32_t requests)
{
    connection->due += requests;
    connection->flying += requests;
    struct batch *newest = &connection->batches[(connection->batches_tail - 1) % BATCHES_MAX];
    bool is_full = connection->batches_tail - connection->batches_head == BATCHES_MAX;
    if (is_full) { // thousands behind: the older time stands for this one too
        newest->requests += requests;
        return;
    }
    connection->batches[connection->batches_tail++ % BATCHES_MAX] =
        (struct batch){.due_ns = due_ns, .requests = requests};
}

static void take_answers(struct load *load, struct connection *connection, uint64_t replies,
                         uint64_t now_ns)
{
    connection->flying -= replies;
    load->answered += replies;
    load->heard_ns = now_ns;
    if (load->is_measuring)
        load->result->operations += replies;
    while (replies) {
        struct batch *oldest = &connection->batches[connection->batches_head % BATCHES_MAX];
        uint32_t taken = replies < oldest->requests ? (uint32_t)replies : oldest->requests;
        if (load->is_measuring)
            histogram_add(load->result->latency_ns, now_ns - oldest->due_ns, taken);
        oldest->requests -= taken;
        replies -= taken;
        if (!oldest->requests)
            connection->batches_head++;
    }
}

// The next batch of a closed loop; nothing when each request is to be sent once and all are.
static bool send_next(struct load *load, struct connection *connection, uint64_t now_ns)
{
    uint32_t run = load->options->pipeline;
    if (load->options->is_once) {
        uint64_t left = load->ring.count - load->scheduled;
        if (!left)
            return true;
        if (left < run)
            run = (uint32_t)left;
        connection->at = (uint32_t)load->scheduled;
    }
    load->scheduled += run;
    schedule(connection, now_ns, run);
    return send_due(load, connection);
}

static bool receive(struct load *load, struct connection *connection)
{
    ssize_t got = recv(connection->fd, load->received, RECEIVE_BYTES, 0);
    if (got < 0 && errno == EAGAIN)
        return true;
    if (got <= 0) {
        errno = got ? errno : ECONNRESET;
        return fault("the server closed the connection");
    }
    uint64_t before = load->result->tally.replies;
    reply_counter_feed(&connection->counter, span_of(load->received, (size_t)got),
                       &load->result->tally);
    uint64_t replies = load->result->tally.replies - before;
    if (replies > connection->flying) {
        fprintf(stderr, "quipu bench: more replies than requests\n");
        return false;
    }
    uint64_t now_ns = bench_now_ns();
    take_answers(load, connection, replies, now_ns);
    if (!load->options->rate && !connection->flying)
        return send_next(load, connection, now_ns);
    return true;
}

// Open loop: everything that is due by now, in turn over the connections.
static bool send_scheduled(struct load *load, uint64_t now_ns)
{
    const struct load_options *options = load->options;
    uint64_t should = (uint64_t)((double)(now_ns - load->started_ns) * (double)options->rate / 1e9);
    for (; load->scheduled <= should; load->scheduled++) {
        struct connection *connection = &load->connections[load->scheduled % options->connections];
        uint64_t due_ns =
            load->started_ns + (uint64_t)((double)load->scheduled * 1e9 / (double)options->rate);
        schedule(connection, due_ns, 1);
    }
    load->next_due_ns =
        load->started_ns + (uint64_t)((double)load->scheduled * 1e9 / (double)options->rate);
    for (uint32_t i = 0; i < options->connections; i++) {
        struct connection *connection = &load->connections[i];
        if (connection->due && !connection->is_blocked && !send_due(load, connection))
            return false;
    }
    return true;
}

static bool turn(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t wait_ns = LONGEST_WAIT_NS;
    if (load->options->rate) {
        uint64_t now_ns = bench_now_ns();
        wait_ns = load->next_due_ns > now_ns ? load->next_due_ns - now_ns : 0;
    }
    struct timespec wait = {.tv_nsec =
                                (long)(wait_ns < LONGEST_WAIT_NS ? wait_ns : LONGEST_WAIT_NS)};
    int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) && !send_due(load, connection))
            return false;
        if ((events[i].events & ~(uint32_t)EPOLLOUT) && !receive(load, connection))
            return false;
    }
    return !load->options->rate || send_scheduled(load, bench_now_ns());
}

static void begin_measuring(struct load *load)
{
    load->is_measuring = true;
    load->result->operations = 0;
    load->result->tally = (struct reply_tally){0};
    histogram_clear(load->result->latency_ns);
    meter_begin(load->options->meter);
}

static bool run(struct load *load)
{
    const struct load_options *options = load->options;
    load->started_ns = load->heard_ns = bench_now_ns();
    uint64_t begin_ns = load->started_ns + options->warm_ns;
    if (options->is_once)
        begin_measuring(load);
    for (uint32_t i = 0; !options->rate && i < options->connections; i++) {
        if (!send_next(load, &load->connections[i], load->started_ns))
            return false;
    }
    for (;;) {
        uint64_t now_ns = bench_now_ns();
        if (options->is_once && load->answered == load->ring.count)
            break;
        if (!load->is_measuring && now_ns >= begin_ns)
            begin_measuring(load);
        if (!options->is_once && now_ns >= begin_ns + options->measure_ns)
            break;
        if (now_ns > load->heard_ns && now_ns - load->heard_ns > STALL_NS) {
            fprintf(stderr, "quipu bench: no reply for %llu s\n", STALL_NS / 1000000000u);
            return false;
        }
        if (!turn(load))
            return false;
    }
    load->result->reading = meter_read(options->meter);
    return true;
}

static bool open_connections(struct load *load)
{
    const struct load_options *options = load->options;
    for (uint32_t i = 0; i < options->connections; i++) {
        struct connection *connection = &load->connections[i];
        connection->batches = load->batches + (size_t)i * BATCHES_MAX;
        connection->at = (uint32_t)((uint64_t)load->ring.count * i / options->connections);
        connection->fd = bench_connect(options->address);
        if (connection->fd < 0)
            return false;
        watch(load, connection, false);
    }
    return true;
}

int load_run(const struct load_options *options, struct load_result *result)
{
    struct load load = {.options = options, .result = result};
    struct request_options requests = {
        .op = options->op,
        .keys = options->keys,
        .keys_a_mget = options->keys_a_mget,
        .overhang = options->pipeline > OVERHANG_MIN ? options->pipeline : OVERHANG_MIN};
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.received = malloc(RECEIVE_BYTES);
    load.connections = calloc(options->connections, sizeof *load.connections);
    load.batches = calloc((size_t)options->connections * BATCHES_MAX, sizeof *load.batches);
    bool is_done = false;
    if (load.epoll < 0 || !load.received || !load.connections || !load.batches ||
        !request_ring_init(&load.ring, &requests))
        fprintf(stderr, "quipu bench: out of memory\n");
    else
        is_done = open_connections(&load) && run(&load);
    for (uint32_t i = 0; load.connections && i < options->connections; i++) {
        if (load.connections[i].fd > 0)
            close(load.connections[i].fd);
    }
    request_ring_deinit(&load.ring);
    free(load.batches);
    free(load.connections);
    free(load.received);
    close(load.epoll);
    return is_done ? 0 : 1;
}
