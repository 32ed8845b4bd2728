// SPDX-License-Identifier: Apache-2.0
// Linux sockets. Options that accepted connections should have are set on the listening socket,
// from which Linux inherits them: no system call a connection.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/decimal.h"
#include "os/tcp.h"

#define LISTEN_BACKLOG      1024
#define CONNECT_SYN_RETRIES 2 // 1 + 2 + 4 seconds

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

bool endpoint_parse(const char *text, struct endpoint *out_endpoint)
{
    const char *host = text, *colon = strrchr(text, ':');
    if (!colon)
        return false;
    size_t len = (size_t)(colon - host);
    if (*host == '[') {
        if (len < 3 || colon[-1] != ']')
            return false;
        host++;
        len -= 2;
    } else if (memchr(host, ':', len)) {
        return false;
    }
    uint64_t port;
    if (len == 0 || len >= sizeof out_endpoint->host ||
        !decimal_parse_unsigned(span_text(colon + 1), &port) || port > UINT16_MAX)
        return false;
    memset(out_endpoint->host, 0, sizeof out_endpoint->host);
    memcpy(out_endpoint->host, host, len);
    out_endpoint->port = (uint16_t)port;
    return true;
}

void endpoint_write(const struct endpoint *endpoint, char out_text[ENDPOINT_TEXT_MAX])
{
    bool is_v6 = strchr(endpoint->host, ':') != NULL;
    snprintf(out_text, ENDPOINT_TEXT_MAX, is_v6 ? "[%s]:%u" : "%s:%u", endpoint->host,
             endpoint->port);
}

// Length, or 0 when it is a name.
static socklen_t numeric_address(const struct endpoint *endpoint, union address *out)
{
    const char *host = endpoint->host;
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(endpoint->port);
        return sizeof out->v4;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(endpoint->port);
        return sizeof out->v6;
    }
    return 0;
}

bool endpoint_is_numeric(const struct endpoint *endpoint)
{
    union address address;
    return numeric_address(endpoint, &address) != 0;
}

bool endpoint_is_loopback(const struct endpoint *endpoint)
{
    union address address;
    if (numeric_address(endpoint, &address) == 0)
        return false;
    if (address.any.sa_family == AF_INET)
        return ntohl(address.v4.sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *v6 = &address.v6.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

static int take_address(const union address *address, struct endpoint *out_endpoint)
{
    const void *from = &address->v4.sin_addr;
    out_endpoint->port = ntohs(address->v4.sin_port);
    if (address->any.sa_family == AF_INET6) {
        from = &address->v6.sin6_addr;
        out_endpoint->port = ntohs(address->v6.sin6_port);
    }
    if (!inet_ntop(address->any.sa_family, from, out_endpoint->host, sizeof out_endpoint->host))
        return -errno;
    return 0;
}

int endpoint_of_socket(int fd, struct endpoint *out_endpoint)
{
    union address address;
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len) < 0)
        return -errno;
    return take_address(&address, out_endpoint);
}

int endpoint_of_peer(int fd, struct endpoint *out_endpoint)
{
    union address address;
    socklen_t len = sizeof address;
    if (getpeername(fd, &address.any, &len) < 0)
        return -errno;
    return take_address(&address, out_endpoint);
}

static socklen_t resolve(const struct endpoint *endpoint, int type, union address *out)
{
    socklen_t len = numeric_address(endpoint, out);
    if (len)
        return len;
    struct addrinfo hints = {.ai_socktype = type}, *infos;
    char port[8];
    snprintf(port, sizeof port, "%u", endpoint->port);
    if (getaddrinfo(endpoint->host, port, &hints, &infos))
        return 0;
    if (infos->ai_addrlen <= sizeof *out) {
        len = infos->ai_addrlen;
        memcpy(out, infos->ai_addr, len);
    }
    freeaddrinfo(infos);
    return len;
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

static void set_stream_options(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, TCP_KEEPALIVE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, TCP_KEEPALIVE_S / 4);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

static int socket_of(int family, int type)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static int close_with_errno(int fd)
{
    int fault = -errno;
    close(fd);
    return fault;
}

static int listen_at(const union address *address, socklen_t len)
{
    int fd = socket_of(address->any.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    set_stream_options(fd);
    if (bind(fd, &address->any, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        return close_with_errno(fd);
    return fd;
}

// SO_REUSEPORT would also let another process of this user take a share of the connections: a
// socket without it tells whether one listens there.
static int check_free(const union address *address, socklen_t len)
{
    int fd = socket_of(address->any.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(fd, &address->any, len) < 0)
        return close_with_errno(fd);
    close(fd);
    return 0;
}

int tcp_listen(const struct endpoint *endpoint)
{
    union address address;
    socklen_t len = resolve(endpoint, SOCK_STREAM, &address);
    if (len == 0)
        return -EADDRNOTAVAIL;
    int fault = endpoint->port ? check_free(&address, len) : 0;
    return fault ? fault : listen_at(&address, len);
}

int tcp_listen_again(const struct endpoint *endpoint)
{
    union address address;
    socklen_t len = resolve(endpoint, SOCK_STREAM, &address);
    return len ? listen_at(&address, len) : -EADDRNOTAVAIL;
}

void tcp_set_patience(int fd, int timeout_ms)
{
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
}

void tcp_set_keepalive(int fd, unsigned seconds)
{
    int interval_s = seconds >= 4 ? (int)seconds / 4 : 1;
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, seconds > 0);
    if (!seconds)
        return;
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)seconds);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
}

int tcp_accept(int fd)
{
    int accepted;
    do { // a connection that was reset while it waited is none
        accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (accepted < 0 && (errno == EINTR || errno == ECONNABORTED));
    return accepted < 0 ? -errno : accepted;
}

int tcp_connect_address(const struct sockaddr *address, socklen_t len)
{
    int fd = socket_of(address->sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    set_stream_options(fd);
    set_option(fd, IPPROTO_TCP, TCP_SYNCNT, CONNECT_SYN_RETRIES);
    if (connect(fd, address, len) < 0 && errno != EINPROGRESS)
        return close_with_errno(fd);
    return fd;
}

int tcp_connect(const struct endpoint *endpoint)
{
    union address address;
    socklen_t len = numeric_address(endpoint, &address);
    if (len == 0)
        return -EINVAL;
    return tcp_connect_address(&address.any, len);
}

int udp_bind(const struct endpoint *endpoint)
{
    union address address;
    socklen_t len = resolve(endpoint, SOCK_DGRAM, &address);
    if (len == 0)
        return -EADDRNOTAVAIL;
    int fd = socket_of(address.any.sa_family, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    set_option(fd, SOL_SOCKET, SO_RCVBUF, 1 << 20); // a burst of every node's rotation
    if (bind(fd, &address.any, len) < 0)
        return close_with_errno(fd);
    return fd;
}

int udp_connect(const struct endpoint *endpoint)
{
    union address address;
    socklen_t len = resolve(endpoint, SOCK_DGRAM, &address);
    if (len == 0)
        return -EADDRNOTAVAIL;
    int fd = socket_of(address.any.sa_family, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    if (connect(fd, &address.any, len) < 0)
        return close_with_errno(fd);
    return fd;
}
