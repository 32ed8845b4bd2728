// SPDX-License-Identifier: Apache-2.0
// Connecting to a name. getaddrinfo may block for seconds, so a detached thread resolves and tries
// each address; the connected descriptor comes back through a socket pair as a message
// (SCM_RIGHTS). That pair is all the two share: whoever gives up closes its end, and the kernel
// closes a descriptor that is still under way.
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "os/private.h"
#include "os/tcp.h"

#define DIAL_TIMEOUT_MS 3000 // an address

struct dial {
    int answer_fd;
    char host[sizeof((struct endpoint *)0)->host];
    char port[8];
};

static int connect_one(const struct addrinfo *info)
{
    int fd = tcp_connect_address(info->ai_addr, info->ai_addrlen);
    if (fd < 0)
        return fd;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int ready;
    do {
        ready = poll(&wait, 1, DIAL_TIMEOUT_MS);
    } while (ready < 0 && errno == EINTR);
    int fault = ETIMEDOUT;
    socklen_t len = sizeof fault;
    if (ready == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &len) == 0 && fault == 0)
        return fd;
    close(fd);
    return -fault;
}

static int connect_any(const struct dial *dial)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *infos;
    if (getaddrinfo(dial->host, dial->port, &hints, &infos))
        return -EHOSTUNREACH;
    int fd = -EHOSTUNREACH;
    for (const struct addrinfo *info = infos; info && fd < 0; info = info->ai_next)
        fd = connect_one(info);
    freeaddrinfo(infos);
    return fd;
}

static void answer(int answer_fd, int fd)
{
    int fault = fd < 0 ? fd : 0;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec body = {.iov_base = &fault, .iov_len = sizeof fault};
    struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t sent = sendmsg(answer_fd, &message, MSG_NOSIGNAL);
    (void)sent; // nobody waits any more
    if (fd >= 0)
        close(fd);
    close(answer_fd);
}

static void *run(void *ctx)
{
    struct dial *dial = ctx;
    answer(dial->answer_fd, connect_any(dial));
    free(dial);
    return NULL;
}

static int start_thread(struct dial *dial)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int fault = pthread_attr_init(&attributes);
    if (fault)
        return -fault;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    fault = pthread_create(&thread, &attributes, run, dial);
    pthread_attr_destroy(&attributes);
    return -fault;
}

int dial_start(const char *host, uint16_t port)
{
    int pair[2];
    struct dial *dial = malloc(sizeof *dial);
    if (!dial)
        return -ENOMEM;
    int fault = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        fault = -errno;
        goto free_dial;
    }
    dial->answer_fd = pair[1];
    snprintf(dial->host, sizeof dial->host, "%s", host);
    snprintf(dial->port, sizeof dial->port, "%u", port);
    fault = start_thread(dial);
    if (fault)
        goto close_pair;
    return pair[0];

close_pair:
    close(pair[0]);
    close(pair[1]);
free_dial:
    free(dial);
    return fault;
}

int dial_take(int waiting, int *out_fd)
{
    int fault = 0;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec body = {.iov_base = &fault, .iov_len = sizeof fault};
    struct msghdr message = {.msg_iov = &body,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg(waiting, &message, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    if (got != sizeof fault)
        return -EIO;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (fault)
        return fault;
    if (!header || header->cmsg_type != SCM_RIGHTS)
        return -EIO;
    memcpy(out_fd, CMSG_DATA(header), sizeof *out_fd);
    return 0;
}
