// SPDX-License-Identifier: Apache-2.0
// Streams that speak TLS: what arrives is what was sent, who is not trusted is refused with a
// reason, and what is no TLS ends.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/owner.h"
#include "os/stream.h"
#include "os/tcp.h"
#include "os/tls.h"
#include "tests/lib/certificates.h"

#define GUARD_MS    20000
#define ECHO_BYTES  (3u << 20)
#define CHUNK_BYTES 40001

struct end {
    struct stream stream; // first
    struct world *world;
    size_t sent, received;
    int fault;
    bool is_closed, was_connected;
    char why[STREAM_WHY_MAX];
};

struct world {
    struct loop *loop;
    struct loop_timer guard;
    struct listener listener;
    struct endpoint endpoint;
    struct tls *server, *dialer;
    struct end accepted, dialed;
};

static int set_up(void **state)
{
    struct certificates *certificates = malloc(sizeof *certificates);
    certificates_make(certificates);
    *state = certificates;
    return 0;
}

static int tear_down(void **state)
{
    certificates_remove(*state);
    free(*state);
    return 0;
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

static void on_closed(struct stream *stream, int fault)
{
    struct end *end = (struct end *)stream;
    end->is_closed = true;
    end->fault = fault;
    stream_why(stream, fault, end->why);
    if (end->world->dialed.is_closed)
        loop_stop(end->world->loop);
}

static size_t echo(struct stream *stream, struct span input)
{
    stream_send(stream, input);
    return input.len;
}

static void send_some(struct end *end)
{
    uint8_t chunk[CHUNK_BYTES];
    for (size_t i = 0; i < sizeof chunk; i++)
        chunk[i] = pattern(end->sent + i);
    stream_send(&end->stream, span_of(chunk, sizeof chunk));
    end->sent += sizeof chunk;
}

static void on_connected(struct stream *stream)
{
    struct end *end = (struct end *)stream;
    end->was_connected = true;
    send_some(end);
}

static size_t compare(struct stream *stream, struct span input)
{
    struct end *end = (struct end *)stream;
    for (size_t i = 0; i < input.len; i++)
        assert_int_equal(input.ptr[i], pattern(end->received + i));
    end->received += input.len;
    if (end->received < ECHO_BYTES && end->received == end->sent)
        send_some(end);
    else if (end->received >= ECHO_BYTES && end->received == end->sent)
        stream_close(stream, 0);
    return input.len;
}

static const struct stream_ops echo_ops = {.on_input = echo, .on_closed = on_closed};
static const struct stream_ops ask_ops = {
    .on_input = compare, .on_connected = on_connected, .on_closed = on_closed};

static void on_accepted(struct listener *listener, int fd)
{
    struct world *world = owner_of(listener, struct world, listener);
    struct stream_limits limits = {.in_max = 1u << 20, .out_max = 64u << 20, .tls = world->server};
    world->accepted.world = world;
    assert_int_equal(stream_accept(&world->accepted.stream, world->loop, fd, &echo_ops, &limits),
                     0);
}

static void on_guard(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("nothing happened for %d ms", GUARD_MS);
}

static struct tls *tls_of(void **state, const char *own, const char *ca, enum tls_clients clients)
{
    char error[TLS_TEXT_MAX], paths[3][CERTIFICATES_PATH], name[40];
    struct tls_options options = {.clients = clients};
    struct tls *tls = NULL;
    if (own) {
        snprintf(name, sizeof name, "%s.crt", own);
        options.cert_file = certificates_path(*state, name, paths[0]);
        snprintf(name, sizeof name, "%s.key", own);
        options.key_file = certificates_path(*state, name, paths[1]);
    }
    snprintf(name, sizeof name, "%s.crt", ca);
    options.ca_file = certificates_path(*state, name, paths[2]);
    if (tls_new(&tls, &options, error))
        fail_msg("%s", error);
    return tls;
}

static void start(struct world *world, struct tls *server, struct tls *dialer)
{
    struct endpoint any = {.host = "127.0.0.1"};
    *world = (struct world){.server = server, .dialer = dialer, .guard.on_due = on_guard};
    assert_int_equal(loop_new(&world->loop, NULL), 0);
    loop_timer_set(world->loop, &world->guard, loop_now_ms(world->loop) + GUARD_MS);
    world->listener.on_accepted = on_accepted;
    assert_int_equal(listener_start(&world->listener, world->loop, &any), 0);
    assert_int_equal(endpoint_of_socket(world->listener.watch.fd, &world->endpoint), 0);
}

static void run(struct world *world, const char *host)
{
    struct stream_limits limits = {.in_max = 1u << 20, .out_max = 64u << 20, .tls = world->dialer};
    snprintf(world->endpoint.host, sizeof world->endpoint.host, "%s", host);
    world->dialed = (struct end){.world = world};
    assert_int_equal(
        stream_dial(&world->dialed.stream, world->loop, &world->endpoint, &ask_ops, &limits), 0);
    assert_int_equal(loop_run(world->loop), 0);
}

static void finish(struct world *world)
{
    if (world->accepted.world && !world->accepted.is_closed)
        stream_abort(&world->accepted.stream, 0);
    listener_stop(&world->listener);
    loop_free(world->loop);
    tls_free(world->server);
    tls_free(world->dialer);
}

static void megabytes_come_back_as_sent(void **state)
{
    struct world world;
    start(&world, tls_of(state, "good", "ca", TLS_CLIENTS_NO),
          tls_of(state, NULL, "ca", TLS_CLIENTS_NO));
    run(&world, "127.0.0.1");
    assert_int_equal(world.dialed.fault, 0);
    assert_true(world.dialed.received >= ECHO_BYTES);
    finish(&world);
}

struct pair {
    const char *server, *server_ca, *dialer, *dialer_ca;
    enum tls_clients clients;
    const char *why; // of the dialer, or of the server behind a bar; NULL: all is well
};

static void meet(void **state, const struct pair *pair)
{
    struct world world;
    start(&world, tls_of(state, pair->server, pair->server_ca, pair->clients),
          tls_of(state, pair->dialer, pair->dialer_ca, TLS_CLIENTS_NO));
    run(&world, "127.0.0.1");
    if (!pair->why) {
        assert_int_equal(world.dialed.fault, 0);
        assert_true(world.dialed.received >= ECHO_BYTES);
    } else if (*pair->why == '|') {
        assert_non_null(strstr(world.accepted.why, pair->why + 1));
        assert_int_equal(world.dialed.received, 0);
    } else {
        assert_false(world.dialed.was_connected);
        if (!strstr(world.dialed.why, pair->why))
            print_message("%s: %s\n", pair->why, world.dialed.why);
        assert_non_null(strstr(world.dialed.why, pair->why));
    }
    finish(&world);
}

static void who_is_not_trusted_is_told_why(void **state)
{
    static const struct pair pairs[] = {
        {"good", "ca", NULL, "ca", TLS_CLIENTS_OPTIONAL, NULL},
        {"good", "ca", "good", "ca", TLS_CLIENTS_REQUIRED, NULL},
        {"good", "ca", NULL, "other-ca", TLS_CLIENTS_NO, "unable to get local issuer certificate"},
        {"expired", "ca", NULL, "ca", TLS_CLIENTS_NO, "certificate has expired"},
        {"named", "ca", NULL, "ca", TLS_CLIENTS_NO, "IP address mismatch"},
        {"stranger", "ca", NULL, "ca", TLS_CLIENTS_NO, "unable to get local issuer certificate"},
        {"good", "ca", NULL, "ca", TLS_CLIENTS_REQUIRED, "|did not return a certificate"},
        {"good", "ca", "stranger", "ca", TLS_CLIENTS_REQUIRED, "|unable to get local issuer"},
        {"good", "ca", "expired", "ca", TLS_CLIENTS_REQUIRED, "|certificate has expired"},
        {"good", "ca", "stranger", "ca", TLS_CLIENTS_OPTIONAL, "|unable to get local issuer"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        meet(state, &pairs[i]);
}

static void plain_talk_to_a_tls_port_ends(void **state)
{
    struct world world;
    start(&world, tls_of(state, "good", "ca", TLS_CLIENTS_NO), NULL);
    run(&world, "127.0.0.1"); // the dialer speaks plainly
    assert_int_equal(world.accepted.fault, -EPROTO);
    finish(&world);
}

static void tls_to_a_plain_port_ends(void **state)
{
    struct world world;
    start(&world, NULL, tls_of(state, NULL, "ca", TLS_CLIENTS_NO));
    run(&world, "127.0.0.1"); // what it says is echoed
    assert_int_equal(world.dialed.fault, -EPROTO);
    assert_false(world.dialed.was_connected);
    finish(&world);
}

static void files_are_read_again(void **state)
{
    char error[TLS_TEXT_MAX], from[CERTIFICATES_PATH], to[CERTIFICATES_PATH];
    struct world world;
    start(&world, NULL, tls_of(state, NULL, "ca", TLS_CLIENTS_NO));
    char cert[CERTIFICATES_PATH], key[CERTIFICATES_PATH], ca[CERTIFICATES_PATH];
    struct tls_options options = {.cert_file = certificates_path(*state, "own.crt", cert),
                                  .key_file = certificates_path(*state, "own.key", key),
                                  .ca_file = certificates_path(*state, "ca.crt", ca)};
    assert_int_equal(link(certificates_path(*state, "expired.crt", from), cert), 0);
    assert_int_equal(link(certificates_path(*state, "expired.key", from), key), 0);
    assert_int_equal(tls_new(&world.server, &options, error), 0);
    run(&world, "127.0.0.1");
    assert_non_null(strstr(world.dialed.why, "expired"));
    unlink(cert);
    assert_int_equal(link(certificates_path(*state, "good.crt", from), cert), 0);
    assert_int_not_equal(tls_reload(world.server, error), 0); // the key is the old one's
    assert_non_null(strstr(error, "--tls-key-file"));
    unlink(key);
    assert_int_equal(link(certificates_path(*state, "good.key", to), key), 0);
    assert_int_equal(tls_reload(world.server, error), 0);
    world.dialed.is_closed = false; // or the loop would be stopped
    if (!world.accepted.is_closed)
        stream_abort(&world.accepted.stream, 0);
    run(&world, "127.0.0.1");
    assert_int_equal(world.dialed.fault, 0);
    assert_true(world.dialed.received >= ECHO_BYTES);
    unlink(cert);
    unlink(key);
    finish(&world);
}

static void wrong_files_are_named(void **state)
{
    char error[TLS_TEXT_MAX], cert[CERTIFICATES_PATH], key[CERTIFICATES_PATH];
    const char *good = certificates_path(*state, "good.crt", cert);
    const char *other = certificates_path(*state, "stranger.key", key);
    static const char missing[] = "/nonexistent/file";
    const struct {
        struct tls_options options;
        const char *error;
    } rows[] = {
        {{.cert_file = missing, .key_file = other},
         "--tls-cert-file /nonexistent/file: No such file"},
        {{.cert_file = good, .key_file = missing},
         "--tls-key-file /nonexistent/file: No such file"},
        {{.cert_file = good, .key_file = other}, "--tls-key-file"},
        {{.cert_file = good}, "go together"},
        {{.ca_file = other}, "--tls-ca-cert-file"},
        {{.clients = TLS_CLIENTS_REQUIRED}, "--tls-auth-clients wants --tls-ca-cert-file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls *tls;
        assert_int_not_equal(tls_new(&tls, &rows[i].options, error), 0);
        if (!strstr(error, rows[i].error))
            print_message("%s\n", error);
        assert_non_null(strstr(error, rows[i].error));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(megabytes_come_back_as_sent),
        cmocka_unit_test(who_is_not_trusted_is_told_why),
        cmocka_unit_test(plain_talk_to_a_tls_port_ends),
        cmocka_unit_test(tls_to_a_plain_port_ends),
        cmocka_unit_test(files_are_read_again),
        cmocka_unit_test(wrong_files_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
