// SPDX-License-Identifier: Apache-2.0
// Sockets and clock of the load generator. It keeps its own: what it measures with must not change
// when the server's loop does.
#include "cli/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t bench_now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

void bench_pin(int cpu)
{
    if (cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        fprintf(stderr, "quipu bench: cannot pin to core %d: %s\n", cpu, strerror(errno));
}

bool bench_raise_files(size_t need)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return false;
    if (limit.rlim_cur >= need)
        return true;
    limit.rlim_cur = limit.rlim_max;
    return !setrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur >= need;
}

static int connect_first(const struct addrinfo *list)
{
    for (const struct addrinfo *at = list; at; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        if (!connect(fd, at->ai_addr, at->ai_addrlen))
            return fd;
        int fault = errno;
        close(fd);
        errno = fault;
    }
    return -1;
}

int bench_connect(const char *address)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || (size_t)(colon - address) >= sizeof host) {
        fprintf(stderr, "quipu bench: '%s' is not HOST:PORT\n", address);
        return -1;
    }
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = 0;
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int fault = getaddrinfo(host, colon + 1, &wanted, &list);
    if (fault) {
        fprintf(stderr, "quipu bench: %s: %s\n", address, gai_strerror(fault));
        return -1;
    }
    int fd = connect_first(list);
    if (fd < 0)
        fprintf(stderr, "quipu bench: cannot connect to %s: %s\n", address, strerror(errno));
    freeaddrinfo(list);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

bool bench_send(int fd, struct span bytes)
{
    while (bytes.len) {
        ssize_t sent = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes = span_of(bytes.ptr + sent, bytes.len - (size_t)sent);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return false;
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        if (poll(&room, 1, 10000) <= 0)
            return false;
    }
    return true;
}
