// SPDX-License-Identifier: Apache-2.0
// Tries each port before the first part starts. The parts themselves share a port willingly (each
// worker thread listens on it), so a second `up` on the same ports would not fail: it would take
// half of the first one's clients.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "cli/ports.h"

static const struct {
    const char *use;
    int socket_type;
} ports[PORTS] = {
    [PORT_RESP] = {"RESP", SOCK_STREAM},
    [PORT_PEERS] = {"peers", SOCK_STREAM},
    [PORT_HTTP] = {"HTTP service", SOCK_STREAM},
    [PORT_HEARTBEATS] = {"UDP heartbeats", SOCK_DGRAM},
    [PORT_REALTIME] = {"real-time part", SOCK_STREAM},
};

static int try_port(int socket_type, unsigned number)
{
    int fd = socket(AF_INET, socket_type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    if (socket_type == SOCK_STREAM) // connections of an earlier run may still be closing
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)number),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fault = bind(fd, (struct sockaddr *)&address, sizeof address) ? -errno : 0;
    close(fd);
    return fault;
}

unsigned ports_check(unsigned base, unsigned regions_count)
{
    unsigned busy = 0;
    for (unsigned region = 0; region < regions_count; region++) {
        for (enum port port = 0; port < PORTS; port++) {
            unsigned number = port_of(base, region, port);
            int fault = try_port(ports[port].socket_type, number);
            if (!fault)
                continue;
            fprintf(stderr, "quipu up: port %u (r%u's %s): %s\n", number, region + 1,
                    ports[port].use, strerror(-fault));
            busy++;
        }
    }
    if (busy)
        fprintf(stderr, "quipu up: stop what holds %s, or choose others: quipu up --port-base N\n",
                busy == 1 ? "it" : "them");
    return busy;
}
