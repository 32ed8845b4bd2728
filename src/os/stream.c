// SPDX-License-Identifier: Apache-2.0
// A stream is in at most one of the loop's two lists: left-over input to show again, or output (or
// an end) that is due at the end of the turn. on_closed is only called from those, from a readiness
// event, or from stream_abort, never from below another function of the owner's.
//
// Callbacks may free the stream: nothing here touches it after one without having looked at
// loop->showing (on_input) or being finished with it (all others).
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/owner.h"
#include "os/heap_system.h"
#include "os/private.h"
#include "os/stream.h"
#include "os/tcp.h"
#include "os/tls.h"

#define CLOSE_TIMEOUT_MS 10000 // for output that is left when a stream is closed
#define GREETING_MS      10000 // for a TLS handshake
#define RECORD_MIN       8192  // read of TLS at once: there is probably more

static void unlink_due(struct stream *stream)
{
    if (!stream->back)
        return;
    *stream->back = stream->next;
    if (stream->next)
        stream->next->back = stream->back;
    stream->next = NULL;
    stream->back = NULL;
}

static void link_due(struct stream *stream, struct stream **list)
{
    unlink_due(stream);
    stream->next = *list;
    if (*list)
        (*list)->back = &stream->next;
    *list = stream;
    stream->back = list;
}

static void set_flush_due(struct stream *stream)
{
    if (stream->is_flush_due)
        return;
    stream->is_flush_due = true;
    if (!stream->is_show_due)
        link_due(stream, &stream->loop->flush_first);
}

// Ends the stream at the end of the turn; what it had to send is lost.
static void fail(struct stream *stream, int fault)
{
    if (!stream->is_broken)
        stream->fault = fault;
    stream->is_closing = stream->is_broken = true;
    set_flush_due(stream);
}

static void update_events(struct stream *stream)
{
    uint32_t events = 0;
    bool is_dialing = stream->is_resolving || stream->is_connecting;
    if (stream->is_resolving || stream->is_greeting ||
        (!is_dialing && !stream->is_paused && !stream->is_ended && !stream->is_closing))
        events = EPOLLIN | EPOLLRDHUP;
    if (stream->is_connecting || stream->is_blocked ||
        (stream->is_greeting && stream->tls->wants_write))
        events |= EPOLLOUT;
    int fault = loop_change(stream->loop, &stream->watch, events);
    if (fault)
        fail(stream, fault);
}

// ---- output buffers

static void take_spare(struct stream *stream)
{
    struct loop *loop = stream->loop;
    if (loop->spares_count)
        stream->out = loop->spares[--loop->spares_count];
}

static void release_out(struct stream *stream)
{
    struct loop *loop = stream->loop;
    stream->out_at = 0;
    buf_clear(&stream->out);
    if (stream->out.cap == 0)
        return;
    if (loop->spares_count == LOOP_SPARES_MAX || stream->out.cap > LOOP_SPARE_BYTES) {
        buf_deinit(&stream->out);
        return;
    }
    loop->spares[loop->spares_count++] = stream->out;
    buf_init(&stream->out, heap_system());
}

// ---- handshakes that others have begun: what OpenSSL needs for one is large, so they are counted

static void list_greeting(struct loop *loop, struct tls_session *tls)
{
    tls->is_listed = true;
    tls->older = loop->greeting_newest;
    tls->newer = NULL;
    if (tls->older)
        tls->older->newer = tls;
    else
        loop->greeting_oldest = tls;
    loop->greeting_newest = tls;
    loop->greetings_count++;
}

static void unlist_greeting(struct loop *loop, struct tls_session *tls)
{
    if (!tls->is_listed)
        return;
    tls->is_listed = false;
    if (tls->older)
        tls->older->newer = tls->newer;
    else
        loop->greeting_oldest = tls->newer;
    if (tls->newer)
        tls->newer->older = tls->older;
    else
        loop->greeting_newest = tls->older;
    loop->greetings_count--;
}

// ---- the end

static void finish(struct stream *stream, bool is_orderly)
{
    struct loop *loop = stream->loop;
    int fd = stream->watch.fd;
    assert(fd >= 0);
    loop_remove(loop, &stream->watch);
    unlink_due(stream);
    if (loop->showing == stream) { // its owner may still look at the input: freed after that
        loop->showing = NULL;
        loop->shown = stream->in;
        buf_init(&stream->in, heap_system());
    }
    buf_deinit(&stream->in);
    release_out(stream);
    stream->watch.fd = -1;
    stream->is_closing = true;
    if (stream->tls) {
        loop_timer_clear(loop, &stream->tls->greeting);
        unlist_greeting(loop, stream->tls);
    }
    if (stream->tls && is_orderly)
        tls_session_end(stream->tls);
    if (is_orderly && !stream->is_ended)
        farewell_start(loop, fd);
    else
        close(fd);
    struct tls_session *tls = stream->tls;
    stream->ops->on_closed(stream, stream->fault);
    if (tls)
        tls_session_free(tls);
}

// True: the stream has ended and may be gone.
static bool finish_if_due(struct stream *stream)
{
    if (!stream->is_closing || (!stream->is_broken && stream_unsent(stream)))
        return false;
    finish(stream, !stream->is_broken);
    return true;
}

// ---- sending

static ssize_t transmit(struct stream *stream, struct span bytes)
{
    ssize_t sent;
    if (stream->tls)
        return tls_session_write(stream->tls, bytes.ptr, bytes.len);
    do {
        sent = send(stream->watch.fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

static void send_some(struct stream *stream)
{
    ssize_t sent =
        transmit(stream, span_of(stream->out.ptr + stream->out_at, stream_unsent(stream)));
    if (sent < 0 && sent != -EAGAIN) {
        fail(stream, (int)sent);
        return;
    }
    stream->out_at += sent < 0 ? 0 : (size_t)sent;
    bool is_blocked = stream->out_at < stream->out.len;
    stream->is_drained_due = !is_blocked;
    if (is_blocked && stream->out_at >= stream->out.len / 2) {
        buf_consume(&stream->out, stream->out_at);
        stream->out_at = 0;
    }
    if (is_blocked != stream->is_blocked) {
        stream->is_blocked = is_blocked;
        update_events(stream);
    }
}

static bool can_send(const struct stream *stream)
{
    return !stream->is_broken && !stream->is_resolving && !stream->is_connecting &&
           !stream->is_greeting && stream_unsent(stream);
}

// Sends, and does what follows from having sent all. True: the stream may be gone.
static bool leave(struct stream *stream)
{
    if (can_send(stream))
        send_some(stream);
    if (finish_if_due(stream))
        return true;
    if (stream_unsent(stream))
        return false;
    release_out(stream);
    if (!stream->is_drained_due)
        return false;
    stream->is_drained_due = false;
    if (stream->ops->on_drained)
        stream->ops->on_drained(stream);
    return true;
}

void stream_flush_due(struct loop *loop)
{
    struct stream *due = loop->flush_first; // what callbacks make due is for the next turn
    loop->flush_first = NULL;
    if (due)
        due->back = &due;
    while (due) {
        struct stream *stream = due;
        unlink_due(stream);
        stream->is_flush_due = false;
        if (!stream->is_blocked || stream->is_broken)
            leave(stream);
    }
}

struct buf *stream_out(struct stream *stream)
{
    if (stream->out.cap == 0)
        take_spare(stream);
    return &stream->out;
}

void stream_written(struct stream *stream)
{
    if (stream->is_broken || stream->watch.fd < 0) {
        buf_deinit(&stream->out);
        stream->out_at = 0;
        return;
    }
    if (buf_has_failed(&stream->out)) {
        fail(stream, -ENOMEM);
        return;
    }
    if (stream_unsent(stream) == 0)
        return;
    set_flush_due(stream);
    if (stream_unsent(stream) <= stream->limits.out_max)
        return;
    if (can_send(stream) && !stream->is_blocked)
        send_some(stream);
    if (stream_unsent(stream) > stream->limits.out_max)
        fail(stream, -ENOBUFS);
}

void stream_send(struct stream *stream, struct span bytes)
{
    buf_put(stream_out(stream), bytes);
    stream_written(stream);
}

size_t stream_send_now(struct stream *stream, struct span bytes)
{
    if (stream_unsent(stream) || stream->is_closing || stream->is_greeting || stream->is_blocked)
        return 0;
    ssize_t sent = transmit(stream, bytes);
    return sent > 0 ? (size_t)sent : 0; // a fault shows again when the stream sends
}

size_t stream_unsent(const struct stream *stream)
{
    return stream->out.len - stream->out_at;
}

// ---- input

// What is left over moves to memory of its own size: a connection that trickles must not hold a
// large buffer.
static void keep(struct stream *stream, struct span left)
{
    bool is_own =
        stream->in.ptr && left.ptr >= stream->in.ptr && left.ptr <= stream->in.ptr + stream->in.len;
    if (left.len == 0) {
        buf_deinit(&stream->in);
    } else if (!is_own) {
        buf_clear(&stream->in);
        buf_put(&stream->in, left);
    } else if (stream->in.cap > LOOP_INPUT_BYTES && left.len < stream->in.cap / 4) {
        struct buf whole = stream->in;
        buf_init(&stream->in, heap_system());
        buf_put(&stream->in, left);
        buf_deinit(&whole);
    } else {
        buf_consume(&stream->in, stream->in.len - left.len);
    }
    if (buf_has_failed(&stream->in))
        fail(stream, -ENOMEM);
}

// Shows `input`, which lies in the loop's memory or is all of stream->in. False: the stream may be
// gone.
static bool show(struct stream *stream, struct span input)
{
    struct loop *loop = stream->loop;
    assert(!loop->showing);
    loop->showing = stream;
    size_t used = stream->ops->on_input(stream, input);
    if (!loop->showing) {
        buf_deinit(&loop->shown);
        return false;
    }
    loop->showing = NULL;
    assert(used <= input.len);
    if (stream->is_closing)
        used = input.len;
    keep(stream, span_of(input.ptr + used, input.len - used));
    if (stream->in.len > stream->limits.in_max && !stream->is_paused)
        fail(stream, -EMSGSIZE);
    return true;
}

// The other end sends no more.
static void end_input(struct stream *stream)
{
    stream->is_ended = true;
    update_events(stream);
    if (stream->ops->on_ended)
        stream->ops->on_ended(stream);
    else
        stream_close(stream, 0);
}

static ssize_t receive(struct stream *stream, uint8_t *to, size_t len)
{
    ssize_t got;
    if (stream->tls)
        return tls_session_read(stream->tls, to, len);
    do {
        got = recv(stream->watch.fd, to, len, 0);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

// Reads behind what is left over: in the loop's memory while that is short, else in place and by at
// least as much as there is, so that a message of n bytes is shown about log n times.
static ssize_t receive_more(struct stream *stream, struct span *out_input)
{
    uint8_t *input = stream->loop->input;
    size_t left = stream->in.len;
    if (left <= LOOP_INPUT_BYTES / 2) {
        ssize_t got = receive(stream, input + left, LOOP_INPUT_BYTES - left);
        if (got > 0 && left)
            memcpy(input, stream->in.ptr, left);
        *out_input = span_of(input, left + (got > 0 ? (size_t)got : 0));
        return got;
    }
    size_t more = left > LOOP_INPUT_BYTES ? left : LOOP_INPUT_BYTES;
    uint8_t *to = buf_reserve(&stream->in, more);
    if (!to)
        return -ENOMEM;
    ssize_t got = receive(stream, to, more);
    if (got > 0)
        buf_advance(&stream->in, (size_t)got);
    *out_input = buf_span(&stream->in);
    return got;
}

static void read_input(struct stream *stream, uint32_t events)
{
    // A second time only to learn of the end in the same turn, and where it is read by records.
    for (unsigned i = 0; i < 2; i++) {
        struct span input;
        ssize_t got = receive_more(stream, &input);
        if (got == -EAGAIN)
            return;
        if (got < 0) {
            stream_abort(stream, (int)got);
            return;
        }
        if (got == 0) {
            end_input(stream);
            return;
        }
        if (!show(stream, input) || stream->is_closing || stream->is_paused ||
            !(events & EPOLLRDHUP || (stream->tls && got >= RECORD_MIN)))
            return;
    }
}

void stream_show_due(struct loop *loop)
{
    struct stream *due = loop->show_first;
    loop->show_first = NULL;
    if (due)
        due->back = &due;
    while (due) {
        struct stream *stream = due;
        unlink_due(stream);
        stream->is_show_due = false;
        if (stream->is_flush_due)
            link_due(stream, &loop->flush_first);
        if (!stream->is_paused && !stream->is_closing && stream->in.len)
            show(stream, buf_span(&stream->in));
    }
}

void stream_pause(struct stream *stream)
{
    if (stream->is_paused || stream->is_closing)
        return;
    stream->is_paused = true;
    update_events(stream);
}

void stream_resume(struct stream *stream)
{
    if (!stream->is_paused || stream->is_closing)
        return;
    stream->is_paused = false;
    update_events(stream);
    if (stream->in.len == 0 || stream->is_show_due)
        return;
    stream->is_show_due = true;
    link_due(stream, &stream->loop->show_first);
}

// ---- readiness

static int socket_fault(const struct stream *stream)
{
    int fault = 0;
    socklen_t len = sizeof fault;
    if (getsockopt(stream->watch.fd, SOL_SOCKET, SO_ERROR, &fault, &len) < 0)
        return -errno;
    return -fault;
}

static void set_open(struct stream *stream)
{
    update_events(stream);
    if (stream_unsent(stream) || stream->is_closing)
        set_flush_due(stream);
    if (stream->is_dialed && stream->ops->on_connected && !stream->is_closing)
        stream->ops->on_connected(stream);
}

// Goes on with the handshake. The stream may be gone after it.
static void greet(struct stream *stream)
{
    struct loop *loop = stream->loop;
    if (!stream->tls->ssl && !stream->is_dialed) {
        // Who means it needs milliseconds: the oldest is the least likely to.
        if (loop->greetings_count >= TLS_GREETINGS_MAX)
            stream_abort(loop->greeting_oldest->stream, -ETIMEDOUT);
        list_greeting(loop, stream->tls);
    }
    int outcome = tls_session_greet(stream->tls, stream->watch.fd);
    if (outcome == -EAGAIN) {
        update_events(stream);
    } else if (outcome) {
        stream_abort(stream, outcome);
    } else {
        stream->is_greeting = false;
        unlist_greeting(loop, stream->tls);
        loop_timer_clear(stream->loop, &stream->tls->greeting);
        set_open(stream);
    }
}

static void on_greeting_late(struct loop_timer *timer)
{
    stream_abort(owner_of(timer, struct tls_session, greeting)->stream, -ETIMEDOUT);
}

static void start_greeting(struct stream *stream)
{
    struct tls_session *tls = stream->tls;
    stream->is_greeting = true;
    tls->stream = stream;
    tls->greeting = (struct loop_timer){.on_due = on_greeting_late};
    loop_timer_set(stream->loop, &tls->greeting, stream->loop->now_ms + GREETING_MS);
}

static void set_connected(struct stream *stream)
{
    stream->is_connecting = false;
    if (!stream->tls) {
        set_open(stream);
        return;
    }
    start_greeting(stream);
    greet(stream);
}

static void take_dialed(struct stream *stream)
{
    int fd;
    int fault = dial_take(stream->watch.fd, &fd);
    if (fault == -EAGAIN)
        return;
    if (fault) {
        stream_abort(stream, fault);
        return;
    }
    loop_remove(stream->loop, &stream->watch);
    close(stream->watch.fd);
    stream->is_resolving = false;
    stream->watch.fd = fd;
    fault = loop_add(stream->loop, &stream->watch, 0);
    if (fault)
        stream_abort(stream, fault);
    else
        set_connected(stream);
}

static void on_ready(struct watch *watch, uint32_t events)
{
    struct stream *stream = (struct stream *)watch;
    if (stream->is_resolving) {
        take_dialed(stream);
        return;
    }
    if (stream->is_connecting) {
        int fault = socket_fault(stream);
        if (fault)
            stream_abort(stream, fault);
        else if (events & EPOLLOUT)
            set_connected(stream);
        return;
    }
    if (stream->is_greeting && !stream->is_broken) {
        greet(stream);
        return;
    }
    if ((events & EPOLLOUT) && leave(stream))
        return;
    if (!stream->is_paused && !stream->is_ended && !stream->is_closing) {
        if (!stream->is_show_due && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            read_input(stream, events);
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        stream_abort(stream, socket_fault(stream));
    }
}

// ---- opening and closing

static int init(struct stream *stream, struct loop *loop, const struct stream_ops *ops,
                const struct stream_limits *limits, const struct endpoint *server)
{
    *stream = (struct stream){.watch = {.fd = -1, .on_ready = on_ready},
                              .loop = loop,
                              .ops = ops,
                              .limits = *limits,
                              .is_dialed = server != NULL};
    buf_init(&stream->in, heap_system());
    buf_init(&stream->out, heap_system());
    if (limits->tls)
        stream->tls = tls_session_new(limits->tls, server);
    return limits->tls && !stream->tls ? -ENOMEM : 0;
}

// Takes the fd, which may be an error already.
static int open_with(struct stream *stream, int fd, uint32_t events)
{
    int fault = fd < 0 ? fd : 0;
    stream->watch.fd = fd;
    if (!fault)
        fault = loop_add(stream->loop, &stream->watch, events);
    if (!fault)
        return 0;
    if (fd >= 0)
        close(fd);
    stream->watch.fd = -1;
    if (stream->tls)
        tls_session_free(stream->tls);
    stream->tls = NULL;
    return fault;
}

int stream_accept(struct stream *stream, struct loop *loop, int fd, const struct stream_ops *ops,
                  const struct stream_limits *limits)
{
    int fault = init(stream, loop, ops, limits, NULL);
    if (fault)
        close(fd);
    else
        fault = open_with(stream, fd, EPOLLIN | EPOLLRDHUP);
    if (!fault && stream->tls)
        start_greeting(stream);
    return fault;
}

int stream_dial(struct stream *stream, struct loop *loop, const struct endpoint *endpoint,
                const struct stream_ops *ops, const struct stream_limits *limits)
{
    int fault = init(stream, loop, ops, limits, endpoint);
    if (fault)
        return fault;
    stream->is_connecting = endpoint_is_numeric(endpoint);
    stream->is_resolving = !stream->is_connecting;
    int fd =
        stream->is_connecting ? tcp_connect(endpoint) : dial_start(endpoint->host, endpoint->port);
    return open_with(stream, fd, stream->is_resolving ? EPOLLIN : EPOLLOUT);
}

void stream_close(struct stream *stream, int fault)
{
    if (stream->is_closing || stream->watch.fd < 0)
        return;
    if (stream->is_resolving || stream->is_connecting || stream->is_greeting) {
        fail(stream, fault);
        return;
    }
    stream->fault = fault;
    stream->is_closing = true;
    if (stream_unsent(stream))
        tcp_set_patience(stream->watch.fd, CLOSE_TIMEOUT_MS);
    if (stream->is_blocked)
        update_events(stream);
    set_flush_due(stream);
}

void stream_abort(struct stream *stream, int fault)
{
    if (stream->watch.fd < 0)
        return;
    if (!stream->is_broken)
        stream->fault = fault;
    finish(stream, false);
}

const char *stream_why(const struct stream *stream, int fault, char to[STREAM_WHY_MAX])
{
    const struct tls_session *tls = stream->tls;
    if (tls && tls->fault)
        snprintf(to, STREAM_WHY_MAX, "%s: %s", tls->fault_of, tls->fault);
    else
        snprintf(to, STREAM_WHY_MAX, "%s",
                 fault ? strerror(-fault) : "the other end closed the connection");
    return to;
}
