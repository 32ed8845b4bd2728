// SPDX-License-Identifier: Apache-2.0
// The least that telling N sockets can cost: a process of its own that holds N accepted sockets and
// does nothing but send() one frame to each. It is measured by the same crowd, with the same clock.
#include "cli/bench_fanout.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int listen_anywhere(char *out_address, size_t size)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&address, &len)) {
        fprintf(stderr, "quipu bench fanout: cannot listen: %s\n", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    snprintf(out_address, size, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

// The floor's process: takes its sockets, then sends what the control socket says.
static void serve(int listening, int control, uint32_t count)
{
    int *sockets = calloc(count, sizeof *sockets);
    for (uint32_t i = 0; sockets && i < count; i++) {
        sockets[i] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (sockets[i] < 0)
            _exit(1);
        setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    }
    uint8_t frame[128];
    for (;;) {
        ssize_t len = recv(control, frame, sizeof frame, 0);
        if (len <= 0 || !sockets)
            _exit(0);
        for (uint32_t i = 0; i < count; i++) {
            if (send(sockets[i], frame, (size_t)len, MSG_NOSIGNAL) != len)
                _exit(1);
        }
    }
}

int floor_start(struct floor *floor, uint32_t count, int cpu)
{
    int control[2];
    int listening = listen_anywhere(floor->address, sizeof floor->address);
    if (listening < 0)
        return 1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control)) {
        close(listening);
        return 1;
    }
    floor->process = fork();
    if (!floor->process) {
        close(control[0]);
        bench_pin(cpu);
        serve(listening, control[1], count);
    }
    close(listening);
    close(control[1]);
    floor->control = control[0];
    return floor->process < 0;
}

int floor_send(struct floor *floor, const char *payload)
{
    uint8_t frame[128];
    size_t len = strlen(payload);
    if (len > 125)
        return 1;
    frame[0] = 0x81;
    frame[1] = (uint8_t)len;
    memcpy(frame + 2, payload, len);
    return send(floor->control, frame, len + 2, MSG_NOSIGNAL) < 0;
}

void floor_stop(struct floor *floor)
{
    close(floor->control);
    waitpid(floor->process, NULL, 0);
}
