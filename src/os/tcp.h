// SPDX-License-Identifier: Apache-2.0
// Sockets: listening, accepting, datagrams, and "HOST:PORT" texts. Every descriptor is non-blocking
// and close-on-exec.
#pragma once
#include <netinet/in.h>
#include "base/span.h"
#include "os/loop.h"

#define ENDPOINT_TEXT_MAX 270 // with NUL

struct endpoint {
    char host[256];
    uint16_t port;
};
// "HOST:PORT", "[IPv6]:PORT". False: not one.
bool endpoint_parse(const char *text, struct endpoint *out_endpoint);
bool endpoint_is_loopback(const struct endpoint *endpoint);
// An address, or "localhost", which then is 127.0.0.1: nothing to resolve.
bool endpoint_is_numeric(const struct endpoint *endpoint);
void endpoint_write(const struct endpoint *endpoint, char out_text[ENDPOINT_TEXT_MAX]);
// What a socket is bound to: with the port that the kernel chose. 0 or -errno.
int endpoint_of_socket(int fd, struct endpoint *out_endpoint);
int endpoint_of_peer(int fd, struct endpoint *out_endpoint); // the other end of a connection

// A listening socket; what it accepts has TCP_NODELAY and keep-alive. fd or -errno: -EADDRINUSE
// when anybody listens there already. A name is resolved at once: for start-up only.
int tcp_listen(const struct endpoint *endpoint);
// A further one at the same place, so that each worker has its own (SO_REUSEPORT).
int tcp_listen_again(const struct endpoint *endpoint);
// A connection whose other end takes no output for so long ends with -ETIMEDOUT. Of a listening
// socket: those that it accepts.
void tcp_set_patience(int fd, int timeout_ms);
#define TCP_KEEPALIVE_S 60                        // of every stream, unless it is told another
void tcp_set_keepalive(int fd, unsigned seconds); // until the first probe; 0: none
int tcp_accept(int fd);                           // fd, or -errno (-EAGAIN: none waits)
// Starts connecting; a numeric endpoint only. fd or -errno.
int tcp_connect(const struct endpoint *endpoint);
int tcp_connect_address(const struct sockaddr *address, socklen_t len);
int udp_bind(const struct endpoint *endpoint);    // fd or -errno
int udp_connect(const struct endpoint *endpoint); // likewise

// A listening socket on a loop. Accepts a bounded number a turn, and holds still for a moment when
// the process has no descriptor left, instead of spinning.
struct listener { // embedded in its owner; zero it, then set on_accepted
    struct watch watch;
    bool is_again; // tcp_listen_again
    struct loop *loop;
    struct loop_timer retry;
    void (*on_accepted)(struct listener *listener, int fd); // gives the fd
};
int listener_start(struct listener *listener, struct loop *loop, const struct endpoint *endpoint);
void listener_stop(struct listener *listener); // closes the socket; again: nothing
