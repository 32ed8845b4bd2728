// SPDX-License-Identifier: Apache-2.0
// A client's connection: input to execute, answers out in order, and its end, which waits for
// whatever is still owed: answers that wait for the disk, commands that are with another thread.
#include <errno.h>
#include <unistd.h>
#include "db/private.h"

static struct client *client_of(struct stream *stream)
{
    return (struct client *)stream;
}

void client_load(const struct client *client, struct session_load *out_load)
{
    const struct stream *stream = &client->stream;
    size_t output = stream_unsent(stream) + client->held.bytes.len;
    *out_load = (struct session_load){.fd = stream->watch.fd,
                                      .input_bytes = stream->in.len,
                                      .output_bytes = output,
                                      .memory_bytes = sizeof *client + stream->in.cap +
                                                      stream->out.cap + client->held.bytes.cap};
}

bool client_is_idle(const struct client *client)
{
    return !client->is_away && held_is_empty(&client->held);
}

static void close_if_due(struct client *client)
{
    if (client->is_closing && client_is_idle(client))
        stream_close(&client->stream, 0);
}

void client_close(struct client *client)
{
    client->is_closing = true;
    close_if_due(client);
}

void client_fail(struct client *client, int fault)
{
    client->is_closing = true;
    stream_close(&client->stream, fault);
}

static size_t on_input(struct stream *stream, struct span input)
{
    struct client *client = client_of(stream);
    if (client->is_away) { // it pipelines behind a command that is away: only now does that cost
        stream_pause(stream);
        return 0;
    }
    client->session.active_ms = loop_now_ms(client->worker->loop);
    size_t used = execute(client, input);
    bounds_apply(client);
    tally_add(&client->worker->tallies, TALLY_INPUT, used);
    if (used < input.len && client->is_away)
        stream_pause(stream);
    return used;
}

static void on_ended(struct stream *stream)
{
    client_close(client_of(stream));
}

static void on_closed(struct stream *stream, int fault)
{
    struct client *client = client_of(stream);
    (void)fault; // a connection's end is the client's affair
    worker_forget(client->worker, client);
    feed_leave(client);
    if (!client->is_away) {
        client_free(client);
        return;
    }
    client->is_gone = true;
    batch_cancel(client);
}

static const struct stream_ops client_ops = {
    .on_input = on_input,
    .on_ended = on_ended,
    .on_closed = on_closed,
};

static void set_addresses(struct session *session, int fd)
{
    struct endpoint endpoint;
    char text[ENDPOINT_TEXT_MAX];
    if (endpoint_of_peer(fd, &endpoint) == 0) {
        endpoint_write(&endpoint, text);
        memcpy(session->address, text, sizeof session->address - 1);
    }
    if (endpoint_of_socket(fd, &endpoint) == 0) {
        endpoint_write(&endpoint, text);
        memcpy(session->local_address, text, sizeof session->local_address - 1);
    }
}

static bool is_at_home(int fd)
{
    struct endpoint endpoint;
    return endpoint_of_peer(fd, &endpoint) == 0 && endpoint_is_loopback(&endpoint);
}

static void refuse(struct client *client)
{
    struct reply reply = reply_to(stream_out(&client->stream), 2);
    reply_error_text(&reply, "ERR max number of clients reached");
    stream_written(&client->stream);
    client_close(client);
}

void client_open(struct worker *worker, int fd, struct tls *tls)
{
    const struct stream_limits limits = {
        .in_max = LIMIT_REQUEST_BYTES, .out_max = LIMIT_OUTPUT_BYTES, .tls = tls};
    struct heap *heap = worker->db->heap;
    struct client *client = heap_alloc(heap, sizeof *client);
    if (!client) {
        close(fd);
        return;
    }
    *client = (struct client){.worker = worker};
    session_init(&client->session, worker_next_id(worker), loop_now_ms(worker->loop));
    set_addresses(&client->session, fd);
    client->session.is_remote = !is_at_home(fd) && !(tls && tls_wants_clients(tls));
    acl_enter_default(&client->session, worker->host.acl);
    uint64_t keepalive_s = gate_bound(&worker->db->gate, BOUND_KEEPALIVE_S);
    if (keepalive_s != TCP_KEEPALIVE_S)
        tcp_set_keepalive(fd, (unsigned)keepalive_s);
    held_init(&client->held, heap);
    if (stream_accept(&client->stream, worker->loop, fd, &client_ops, &limits)) {
        heap_free(heap, client, sizeof *client);
        return;
    }
    bounds_apply(client);
    worker_adopt(worker, client);
    if (!client->is_counted)
        refuse(client);
}

void client_free(struct client *client)
{
    transaction_end(&client->session);
    held_deinit(&client->held);
    heap_free(client->worker->db->heap, client, sizeof *client);
}

void client_answer(struct client *client, struct span bytes, uint32_t answers)
{
    if (client->is_gone)
        return;
    if (held_is_empty(&client->held)) {
        stream_send(&client->stream, bytes);
        return;
    }
    buf_put(&client->held.bytes, bytes);
    held_add(&client->held, answers, 0);
    if (buf_has_failed(&client->held.bytes))
        client_fail(client, -ENOMEM);
}

void client_leave(struct client *client)
{
    client->is_away = true;
    client->worker->away_count++;
}

void client_return(struct client *client)
{
    client->is_away = false;
    client->is_silent = false;
    client->worker->away_count--;
    if (client->is_gone) {
        client_free(client);
        return;
    }
    close_if_due(client);
    stream_resume(&client->stream);
}

void client_release(struct client *client, uint64_t done)
{
    struct span due = held_due(&client->held, done);
    if (due.len == 0)
        return;
    stream_send(&client->stream, due);
    held_drop(&client->held, done);
    if (!held_is_empty(&client->held))
        return;
    worker_unhold(client);
    close_if_due(client);
    if (!client->is_away)
        stream_resume(&client->stream);
}

// Whatever waits for the disk was not written: each answer becomes the error.
void client_fail_held(struct client *client)
{
    uint32_t answers = held_discard(&client->held);
    struct reply reply = reply_to(stream_out(&client->stream), client->session.protocol);
    for (uint32_t i = 0; i < answers; i++)
        reply_error_with(&reply, REPLY_ERROR_STOPPED,
                         span_text(client->worker->db->committer.server.failure));
    stream_written(&client->stream);
    worker_unhold(client);
    close_if_due(client);
    if (!client->is_away)
        stream_resume(&client->stream);
}
