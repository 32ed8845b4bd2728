// SPDX-License-Identifier: Apache-2.0
// A TCP connection on a loop, made for many idle ones: it owns no input buffer unless an incomplete
// message is left over, and no output buffer unless the kernel did not take everything.
//
// Input is read into memory shared by the whole loop thread and shown to on_input at once. Output
// is collected and leaves in one write at the end of the turn.
//
// Life: stream_accept or stream_dial -> callbacks -> on_closed, the last one, exactly once; the
// owner may free the stream in it. Any callback may close or abort any stream, its own too.
#pragma once
#include "base/buf.h"
#include "os/loop.h"

struct stream;

struct stream_ops {
    // Returns how many bytes it used; what is left is kept and shown again, longer. Not called
    // again after stream_close in it. More than in_max left over closes the stream with -EMSGSIZE.
    size_t (*on_input)(struct stream *stream, struct span input);
    void (*on_connected)(struct stream *stream); // dialed ones; may be NULL
    void (*on_drained)(struct stream *stream);   // all output has left; may be NULL
    // The other end sends no more but may still read. NULL: the stream is closed, after its output.
    // Otherwise the owner closes it once its answers are written.
    void (*on_ended)(struct stream *stream);
    void (*on_closed)(struct stream *stream, int fault); // 0: orderly; -errno
};

struct tls;
struct stream_limits {
    size_t in_max;   // bytes kept of an incomplete message
    size_t out_max;  // unsent bytes; beyond, when the kernel takes no more: closed with -ENOBUFS
    struct tls *tls; // NULL: plain. Else the handshake comes first, within 10 s
};

struct stream { // embedded in its owner; fields are the stream's own
    struct watch watch;
    struct loop *loop;
    const struct stream_ops *ops;
    struct stream_limits limits;
    struct buf in, out;
    struct tls_session *tls; // NULL: plain
    size_t out_at;           // sent already, of out
    struct stream *next;     // on one of the loop's lists of what is due
    struct stream **back;
    int fault;
    bool is_resolving, is_connecting, is_greeting, is_dialed, is_blocked, is_paused, is_ended,
        is_closing, is_broken;
    bool is_show_due, is_flush_due, is_drained_due;
};

// Takes the fd (non-blocking already, as tcp_accept gives it), also when it fails. 0 or -errno; on
// failure no callback is made.
int stream_accept(struct stream *stream, struct loop *loop, int fd, const struct stream_ops *ops,
                  const struct stream_limits *limits);
struct endpoint;
// Connects to a numeric or resolvable host; a name is resolved by a thread of its own, so the loop
// never waits for it. 0 or -errno (then no callback is made); a failure later comes as on_closed,
// within about 10 s. Output may be written at once; it leaves when the connection is up.
int stream_dial(struct stream *stream, struct loop *loop, const struct endpoint *endpoint,
                const struct stream_ops *ops, const struct stream_limits *limits);

// Output of this turn: write into it (buf_put, buf_reserve ...), then stream_written.
struct buf *stream_out(struct stream *stream);
void stream_written(struct stream *stream);
void stream_send(struct stream *stream, struct span bytes); // both in one
// Past the buffer: what the kernel takes now, when nothing waits to be sent. Bytes taken.
size_t stream_send_now(struct stream *stream, struct span bytes);
size_t stream_unsent(const struct stream *stream);

void stream_pause(struct stream *stream);  // no more on_input until resumed
void stream_resume(struct stream *stream); // what was left over is shown first, later in this turn
// Closes after what was written has left, or could not within 10 s; on_closed follows at the end of
// this turn at the earliest. No on_input after it. An orderly close lets the other end read
// everything even if it is still sending.
void stream_close(struct stream *stream, int fault);
void stream_abort(struct stream *stream,
                  int fault); // at once; on_closed is called before it returns
// In on_closed: why, in words, into `to`, which it returns.
#define STREAM_WHY_MAX 160
const char *stream_why(const struct stream *stream, int fault, char to[STREAM_WHY_MAX]);
