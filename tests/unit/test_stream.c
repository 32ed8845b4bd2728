// SPDX-License-Identifier: Apache-2.0
// Streams over loopback, both ends on one loop, ports chosen by the kernel. Every test ends by an
// event; a guard timer fails one that would hang.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "os/stream.h"
#include "os/tcp.h"

#define GUARD_MS  20000
#define ENDS_MAX  64
#define CROWD     8
#define ECHO_SIZE (8u << 20)

struct world;

// One end of a connection, and what was seen at it.
struct end {
    struct stream stream;
    struct world *world;
    uint64_t received;
    unsigned inputs, drained, closed;
    int fault;
    bool is_connected, is_ended;
    uint64_t written;
    struct end *victim;
};

struct world {
    struct loop *loop;
    struct loop_timer guard;
    struct listener listener;
    struct endpoint endpoint;
    const struct stream_ops *ops; // of accepted ends
    struct stream_limits limits;
    struct end *ends[ENDS_MAX]; // accepted
    unsigned ends_count, closed_count;
};

static struct end *end_of(struct stream *stream)
{
    return (struct end *)stream;
}

static void on_guard(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("nothing happened for %d ms", GUARD_MS);
}

static void on_accepted(struct listener *listener, int fd)
{
    struct world *world = (struct world *)((char *)listener - offsetof(struct world, listener));
    struct end *end = calloc(1, sizeof *end);
    end->world = world;
    assert_true(world->ends_count < ENDS_MAX);
    world->ends[world->ends_count++] = end;
    assert_int_equal(stream_accept(&end->stream, world->loop, fd, world->ops, &world->limits), 0);
}

static void on_closed(struct stream *stream, int fault)
{
    struct end *end = end_of(stream);
    end->closed++;
    end->fault = fault;
    end->world->closed_count++;
}

static void on_closed_stop(struct stream *stream, int fault)
{
    on_closed(stream, fault);
    loop_stop(end_of(stream)->world->loop);
}

static void start(struct world *world, const struct stream_ops *ops, struct stream_limits limits)
{
    *world = (struct world){.ops = ops, .limits = limits, .guard.on_due = on_guard};
    assert_int_equal(loop_new(&world->loop, NULL), 0);
    loop_timer_set(world->loop, &world->guard, loop_now_ms(world->loop) + GUARD_MS);
    world->listener.on_accepted = on_accepted;
    struct endpoint any = {.host = "127.0.0.1"};
    assert_int_equal(listener_start(&world->listener, world->loop, &any), 0);
    assert_int_equal(endpoint_of_socket(world->listener.watch.fd, &world->endpoint), 0);
}

static void finish(struct world *world)
{
    for (unsigned i = 0; i < world->ends_count; i++) {
        stream_abort(&world->ends[i]->stream, 0);
        assert_int_equal(world->ends[i]->closed, 1);
        free(world->ends[i]);
    }
    listener_stop(&world->listener);
    loop_free(world->loop);
}

static void dial(struct world *world, struct end *end, const struct stream_ops *ops)
{
    *end = (struct end){.world = world};
    struct stream_limits limits = {.in_max = 1u << 20, .out_max = 64u << 20};
    assert_int_equal(stream_dial(&end->stream, world->loop, &world->endpoint, ops, &limits), 0);
}

// A plain blocking socket, for ends that misbehave.
static int raw_socket(const struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(world->endpoint.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static const struct stream_limits wide = {.in_max = 1u << 20, .out_max = 64u << 20};

// ---- echo

static size_t echo_all(struct stream *stream, struct span input)
{
    stream_send(stream, input);
    return input.len;
}

static const struct stream_ops echo_ops = {.on_input = echo_all, .on_closed = on_closed};

static void send_pattern(struct stream *stream)
{
    struct end *end = end_of(stream);
    uint8_t chunk[10007];
    while (end->written < ECHO_SIZE && stream_unsent(stream) < 1u << 20) {
        for (size_t i = 0; i < sizeof chunk; i++)
            chunk[i] = (uint8_t)((end->written + i) % 251);
        stream_send(stream, span_of(chunk, sizeof chunk));
        end->written += sizeof chunk;
    }
}

static size_t check_pattern(struct stream *stream, struct span input)
{
    struct end *end = end_of(stream);
    for (size_t i = 0; i < input.len; i++)
        assert_int_equal(input.ptr[i], (end->received + i) % 251);
    end->received += input.len;
    if (end->written >= ECHO_SIZE && end->received == end->written)
        stream_close(stream, 0);
    return input.len;
}

static const struct stream_ops pattern_ops = {.on_input = check_pattern,
                                              .on_connected = send_pattern,
                                              .on_drained = send_pattern,
                                              .on_closed = on_closed_stop};

static void megabytes_come_back_as_sent(void **state)
{
    (void)state;
    struct world world;
    struct end client;
    start(&world, &echo_ops, wide);
    dial(&world, &client, &pattern_ops);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(client.fault, 0);
    assert_true(client.received >= ECHO_SIZE);
    finish(&world);
}

static void name_is_resolved_without_blocking_the_loop(void **state)
{
    (void)state;
    struct world world;
    struct end client;
    start(&world, &echo_ops, wide);
    world.endpoint =
        (struct endpoint){"127.1", world.endpoint.port}; // only a resolver knows that form
    dial(&world, &client, &pattern_ops);
    assert_true(client.stream.is_resolving);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(client.fault, 0);
    finish(&world);
}

static void unknown_name_fails_and_dial_may_be_given_up(void **state)
{
    (void)state;
    struct world world;
    struct end client, second;
    start(&world, &echo_ops, wide);
    world.endpoint.port = 1;
    memset(world.endpoint.host, 'a', 100); // too long a label: refused without asking the network
    dial(&world, &client, &pattern_ops);
    dial(&world, &second, &echo_ops);
    stream_abort(&second.stream, -ECANCELED);
    assert_int_equal(second.closed, 1);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(client.fault, -EHOSTUNREACH);
    finish(&world);
}

// ---- messages that arrive in parts

#define MESSAGE_BYTES 300000u

// Uses whole messages only: the rest is to be kept and shown again.
static size_t take_whole(struct stream *stream, struct span input)
{
    struct end *end = end_of(stream);
    end->inputs++;
    if (input.len < MESSAGE_BYTES)
        return 0;
    for (size_t i = 0; i < MESSAGE_BYTES; i++)
        assert_int_equal(input.ptr[i], (end->received + i) % 251);
    end->received += MESSAGE_BYTES;
    if (end->received == 10u * MESSAGE_BYTES)
        stream_close(stream, 0);
    return MESSAGE_BYTES;
}

static const struct stream_ops whole_ops = {.on_input = take_whole, .on_closed = on_closed_stop};
static const struct stream_ops source_ops = {.on_input = echo_all,
                                             .on_connected = send_pattern,
                                             .on_drained = send_pattern,
                                             .on_closed = on_closed};

static void incomplete_message_is_kept_and_shown_longer(void **state)
{
    (void)state;
    struct world world;
    struct end client;
    start(&world, &whole_ops, wide);
    dial(&world, &client, &source_ops);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(world.ends[0]->received, 10u * MESSAGE_BYTES);
    assert_int_equal(world.ends[0]->fault, 0);
    stream_abort(&client.stream, 0);
    finish(&world);
}

static size_t take_nothing(struct stream *stream, struct span input)
{
    end_of(stream)->inputs++;
    (void)input;
    return 0;
}

static const struct stream_ops nothing_ops = {.on_input = take_nothing,
                                              .on_closed = on_closed_stop};

static void too_long_a_message_closes_the_stream(void **state)
{
    (void)state;
    struct world world;
    struct end client;
    start(&world, &nothing_ops, (struct stream_limits){.in_max = 100, .out_max = 100});
    dial(&world, &client, &source_ops);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(world.ends[0]->fault, -EMSGSIZE);
    stream_abort(&client.stream, 0);
    finish(&world);
}

static size_t take_bytewise(struct stream *stream, struct span input)
{
    struct end *end = end_of(stream);
    assert_true(stream->in.cap <= 65536);
    if (input.len < 1000)
        return 0;
    end->received += input.len;
    stream_close(stream, 0);
    return input.len;
}

static const struct stream_ops bytewise_ops = {.on_input = take_bytewise,
                                               .on_closed = on_closed_stop};

struct trickle {
    struct loop_timer timer;
    struct world *world;
    int fd;
};

static void on_trickle(struct loop_timer *timer)
{
    struct trickle *trickle = (struct trickle *)timer;
    if (send(trickle->fd, "x", 1, MSG_NOSIGNAL) == 1)
        loop_timer_set(trickle->world->loop, timer, 0);
}

static void trickling_connection_holds_little_memory(void **state)
{
    (void)state;
    struct world world;
    start(&world, &bytewise_ops, wide);
    struct trickle trickle = {{.on_due = on_trickle}, &world, raw_socket(&world)};
    loop_timer_set(world.loop, &trickle.timer, 0);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(world.ends[0]->received, 1000);
    close(trickle.fd);
    finish(&world);
}

// ---- slow and hostile readers

static size_t flood(struct stream *stream, struct span input)
{
    uint8_t chunk[4096] = {0};
    for (unsigned i = 0; i < 4096; i++)
        stream_send(stream, span_of(chunk, sizeof chunk));
    return input.len;
}

static const struct stream_ops flood_ops = {.on_input = flood, .on_closed = on_closed_stop};

static void reader_that_does_not_read_is_closed_at_the_output_limit(void **state)
{
    (void)state;
    struct world world;
    start(&world, &flood_ops, (struct stream_limits){.in_max = 100, .out_max = 1u << 20});
    int fd = raw_socket(&world);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(world.ends[0]->fault, -ENOBUFS);
    assert_true(world.ends[0]->stream.out.cap == 0);
    close(fd);
    finish(&world);
}

struct slow {
    struct watch watch;
    struct world *world;
    uint64_t received;
};

static void on_slow(struct watch *watch, uint32_t events)
{
    struct slow *slow = (struct slow *)watch;
    uint8_t bytes[3000]; // a little a turn
    (void)events;
    ssize_t got = recv(watch->fd, bytes, sizeof bytes, 0);
    if (got > 0) {
        slow->received += (uint64_t)got;
        return;
    }
    assert_int_equal(got, 0);
    loop_stop(slow->world->loop);
}

static size_t flood_and_close(struct stream *stream, struct span input)
{
    flood(stream, input);
    stream_close(stream, 0);
    return input.len;
}

static const struct stream_ops last_words_ops = {.on_input = flood_and_close,
                                                 .on_closed = on_closed};

static void slow_reader_gets_everything_before_the_close(void **state)
{
    (void)state;
    struct world world;
    start(&world, &last_words_ops, wide);
    struct slow slow = {{.fd = raw_socket(&world), .on_ready = on_slow}, &world, 0};
    assert_int_equal(send(slow.watch.fd, "x", 1, 0), 1);
    assert_int_equal(loop_add(world.loop, &slow.watch, EPOLLIN), 0);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(slow.received, 4096u * 4096u);
    assert_int_equal(world.ends[0]->fault, 0);
    loop_remove(world.loop, &slow.watch);
    close(slow.watch.fd);
    finish(&world);
}

static void reader_that_takes_nothing_is_ended_by_its_patience(void **state)
{
    (void)state;
    struct world world;
    start(&world, &flood_ops, wide);
    tcp_set_patience(world.listener.watch.fd, 300);
    int fd = raw_socket(&world);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(world.ends[0]->fault, -ETIMEDOUT);
    close(fd);
    finish(&world);
}

static size_t refuse(struct stream *stream, struct span input)
{
    stream_send(stream, span_text("too much"));
    stream_close(stream, -EPROTO);
    return input.len;
}

static const struct stream_ops refuse_ops = {.on_input = refuse, .on_closed = on_closed};

static void answer_survives_input_that_is_still_coming(void **state)
{
    (void)state;
    struct world world;
    start(&world, &refuse_ops, wide);
    struct slow slow = {{.fd = raw_socket(&world), .on_ready = on_slow}, &world, 0};
    uint8_t bytes[100000] = {0}; // more than one read takes
    assert_int_equal(send(slow.watch.fd, bytes, sizeof bytes, 0), sizeof bytes);
    assert_int_equal(loop_add(world.loop, &slow.watch, EPOLLIN), 0);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(slow.received, strlen("too much"));
    assert_int_equal(world.ends[0]->fault, -EPROTO);
    loop_remove(world.loop, &slow.watch);
    close(slow.watch.fd);
    finish(&world);
}

static size_t take_all(struct stream *stream, struct span input)
{
    end_of(stream)->received += input.len;
    return input.len;
}

static const struct stream_ops sink_ops = {.on_input = take_all, .on_closed = on_closed_stop};

static void reset_by_the_other_end_closes_with_its_errno(void **state)
{
    (void)state;
    struct world world;
    start(&world, &sink_ops, wide);
    int fd = raw_socket(&world);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(world.ends[0]->fault, -ECONNRESET);
    finish(&world);
}

// ---- half close

static void answer_at_end(struct stream *stream)
{
    end_of(stream)->is_ended = true;
    stream_send(stream, span_text("late answer"));
    stream_close(stream, 0);
}

static const struct stream_ops half_ops = {
    .on_input = take_all, .on_ended = answer_at_end, .on_closed = on_closed};

static void half_closed_connection_still_gets_its_answer(void **state)
{
    (void)state;
    struct world world;
    start(&world, &half_ops, wide);
    struct slow slow = {{.fd = raw_socket(&world), .on_ready = on_slow}, &world, 0};
    assert_int_equal(send(slow.watch.fd, "question", 8, 0), 8);
    shutdown(slow.watch.fd, SHUT_WR);
    assert_int_equal(loop_add(world.loop, &slow.watch, EPOLLIN), 0);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(world.ends[0]->received, 8);
    assert_true(world.ends[0]->is_ended);
    assert_int_equal(slow.received, strlen("late answer"));
    loop_remove(world.loop, &slow.watch);
    close(slow.watch.fd);
    finish(&world);
}

static void end_without_a_callback_closes_in_order(void **state)
{
    (void)state;
    struct world world;
    start(&world, &sink_ops, wide);
    int fd = raw_socket(&world);
    assert_int_equal(send(fd, "bye", 3, 0), 3);
    close(fd);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(world.ends[0]->received, 3);
    assert_int_equal(world.ends[0]->fault, 0);
    finish(&world);
}

// ---- pause

static size_t pause_first(struct stream *stream, struct span input)
{
    struct end *end = end_of(stream);
    if (end->inputs++ == 0) {
        stream_pause(stream);
        return 1; // the rest is to be shown after the pause, though nothing new comes
    }
    assert_true(span_is_equal(input, span_text("bc")));
    end->received += input.len;
    return input.len;
}

static const struct stream_ops pause_ops = {.on_input = pause_first, .on_closed = on_closed_stop};

static void on_resume(struct loop_timer *timer)
{
    struct trickle *trickle = (struct trickle *)timer;
    struct world *world = trickle->world;
    if (world->ends_count && world->ends[0]->inputs)
        stream_resume(&world->ends[0]->stream);
    else
        loop_timer_set(world->loop, timer, 0);
}

static void paused_stream_shows_what_was_left_when_resumed(void **state)
{
    (void)state;
    struct world world;
    start(&world, &pause_ops, wide);
    struct trickle resume = {{.on_due = on_resume}, &world, raw_socket(&world)};
    assert_int_equal(send(resume.fd, "abc", 3, 0), 3);
    shutdown(resume.fd, SHUT_WR); // the end must not overtake what is left
    loop_timer_set(world.loop, &resume.timer, 0);
    assert_int_equal(loop_run(world.loop), 0);
    assert_int_equal(world.ends[0]->received, 2);
    assert_int_equal(world.ends[0]->fault, 0);
    close(resume.fd);
    finish(&world);
}

// ---- ends that end each other

static size_t abort_self(struct stream *stream, struct span input)
{
    stream_send(stream, input);
    stream_abort(stream, -ECANCELED);
    return input.len ? input.ptr[0] != 0 : 0; // the input outlives the abort
}

static void free_on_closed(struct stream *stream, int fault)
{
    struct end *end = end_of(stream);
    struct world *world = end->world;
    assert_int_equal(fault, -ECANCELED);
    for (unsigned i = 0; i < world->ends_count; i++) {
        if (world->ends[i] == end)
            world->ends[i] = world->ends[--world->ends_count];
    }
    free(end);
    if (world->ends_count == 0)
        loop_stop(world->loop);
}

static const struct stream_ops abort_self_ops = {.on_input = abort_self,
                                                 .on_closed = free_on_closed};

static void stream_may_abort_and_free_itself_in_on_input(void **state)
{
    (void)state;
    struct world world;
    start(&world, &abort_self_ops, wide);
    int fd = raw_socket(&world);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_int_equal(loop_run(world.loop), 0);
    close(fd);
    finish(&world);
}

static size_t abort_all(struct stream *stream, struct span input)
{
    struct world *world = end_of(stream)->world;
    if (world->ends_count < CROWD)
        return 0; // waits, with input left over, until all are there
    while (world->ends_count)
        stream_abort(&world->ends[0]->stream, -ECANCELED);
    return input.len;
}

static const struct stream_ops abort_all_ops = {.on_input = abort_all, .on_closed = free_on_closed};

struct crowd {
    struct loop_timer timer;
    struct loop *loop;
    int fds[CROWD];
};

static void on_shout(struct loop_timer *timer)
{
    struct crowd *crowd = (struct crowd *)timer;
    for (unsigned i = 0; i < CROWD; i++) {
        ssize_t sent = send(crowd->fds[i], "x", 1, MSG_NOSIGNAL);
        (void)sent;
    }
    loop_timer_set(crowd->loop, timer, 0);
}

static void stream_may_abort_and_free_others_that_are_ready_too(void **state)
{
    (void)state;
    struct world world;
    start(&world, &abort_all_ops, wide);
    struct crowd crowd = {{.on_due = on_shout}, world.loop, {0}};
    for (unsigned i = 0; i < CROWD; i++)
        crowd.fds[i] = raw_socket(&world);
    loop_timer_set(world.loop, &crowd.timer, 0);
    assert_int_equal(loop_run(world.loop), 0);
    for (unsigned i = 0; i < CROWD; i++)
        close(crowd.fds[i]);
    finish(&world);
}

static void refused_connection_is_reported_once(void **state)
{
    (void)state;
    struct world world;
    struct end client = {.world = &world};
    start(&world, &echo_ops, wide);
    listener_stop(&world.listener);
    int fault = stream_dial(&client.stream, world.loop, &world.endpoint, &pattern_ops, &wide);
    if (fault == 0) {
        assert_int_equal(loop_run(world.loop), 0);
        assert_int_equal(client.closed, 1);
        fault = client.fault;
    }
    assert_int_equal(fault, -ECONNREFUSED);
    finish(&world);
}

static void port_that_is_listened_on_is_refused_but_to_further_workers(void **state)
{
    (void)state;
    struct world world;
    struct endpoint endpoint;
    start(&world, &echo_ops, wide);
    assert_int_equal(tcp_listen(&world.endpoint), -EADDRINUSE);
    int fd = tcp_listen_again(&world.endpoint);
    assert_true(fd >= 0);
    assert_int_equal(endpoint_of_socket(fd, &endpoint), 0);
    assert_int_equal(endpoint.port, world.endpoint.port);
    listener_stop(&world.listener);
    close(fd);
    fd = tcp_listen(&world.endpoint); // free again
    assert_true(fd >= 0);
    close(fd);
    finish(&world);
}

static void endpoints_are_parsed_strictly(void **state)
{
    (void)state;
    struct endpoint endpoint;
    static const char *const bad[] = {"",     ":",    "host", "host:", ":1",   "a:b:1", "h:65536",
                                      "h:-1", "h:01", "[]:1", "[::1]", "h:1x", "[::1:5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(endpoint_parse(bad[i], &endpoint));
    char text[ENDPOINT_TEXT_MAX];
    static const char *const good[] = {"127.0.0.1:7000", "[::1]:7001", "some.host:0"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(endpoint_parse(good[i], &endpoint));
        endpoint_write(&endpoint, text);
        assert_string_equal(text, good[i]);
        assert_int_equal(endpoint_is_loopback(&endpoint), i < 2);
    }
    assert_true(endpoint_parse("localhost:1", &endpoint) && endpoint_is_loopback(&endpoint));
    assert_true(endpoint_parse("0.0.0.0:1", &endpoint) && !endpoint_is_loopback(&endpoint));
    assert_true(endpoint_parse("127.evil.example:1", &endpoint));
    assert_false(endpoint_is_loopback(&endpoint));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(megabytes_come_back_as_sent),
        cmocka_unit_test(name_is_resolved_without_blocking_the_loop),
        cmocka_unit_test(unknown_name_fails_and_dial_may_be_given_up),
        cmocka_unit_test(incomplete_message_is_kept_and_shown_longer),
        cmocka_unit_test(too_long_a_message_closes_the_stream),
        cmocka_unit_test(trickling_connection_holds_little_memory),
        cmocka_unit_test(reader_that_does_not_read_is_closed_at_the_output_limit),
        cmocka_unit_test(reader_that_takes_nothing_is_ended_by_its_patience),
        cmocka_unit_test(slow_reader_gets_everything_before_the_close),
        cmocka_unit_test(answer_survives_input_that_is_still_coming),
        cmocka_unit_test(reset_by_the_other_end_closes_with_its_errno),
        cmocka_unit_test(half_closed_connection_still_gets_its_answer),
        cmocka_unit_test(end_without_a_callback_closes_in_order),
        cmocka_unit_test(paused_stream_shows_what_was_left_when_resumed),
        cmocka_unit_test(stream_may_abort_and_free_itself_in_on_input),
        cmocka_unit_test(stream_may_abort_and_free_others_that_are_ready_too),
        cmocka_unit_test(refused_connection_is_reported_once),
        cmocka_unit_test(port_that_is_listened_on_is_refused_but_to_further_workers),
        cmocka_unit_test(endpoints_are_parsed_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
