// SPDX-License-Identifier: Apache-2.0
// A first page for a newcomer: every command on it can be pasted.
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/ports.h"
#include "cli/welcome.h"

// How this program is called from here: relative when it lies below the working directory.
static const char *program(char path[PATH_MAX])
{
    char here[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (len <= 0)
        return "quipu";
    path[len] = '\0';
    size_t here_len = getcwd(here, sizeof here) ? strlen(here) : 0;
    bool is_below = here_len && strncmp(path, here, here_len) == 0 && path[here_len] == '/';
    return is_below ? path + here_len + 1 : path;
}

static void print_addresses(unsigned regions_count, unsigned base)
{
    printf("  region   RESP             peers            service                 real-time part\n");
    for (unsigned i = 0; i < regions_count; i++)
        printf("  r%-7u 127.0.0.1:%-6u 127.0.0.1:%-6u http://127.0.0.1:%-6u http://127.0.0.1:%u\n",
               i + 1, port_of(base, i, PORT_RESP), port_of(base, i, PORT_PEERS),
               port_of(base, i, PORT_HTTP), port_of(base, i, PORT_REALTIME));
}

static void print_drill(unsigned first, unsigned last)
{
    printf("  3  cut a region off, count on both sides, heal it: all agree again\n"
           "        redis-cli -p %u QUIPU.LINK CUT ALL\n"
           "        redis-cli -p %u INCR likes;  redis-cli -p %u INCRBY likes 10\n"
           "        redis-cli -p %u QUIPU.LINK HEAL ALL;  redis-cli -p %u GET likes\n",
           first, first, last, first, first);
}

void welcome_print(unsigned regions_count, unsigned port_base, const char *directory)
{
    unsigned last = regions_count - 1;
    unsigned resp = port_of(port_base, 0, PORT_RESP);
    printf(
        "\nquipu is up; its data is in %s, and the next start goes on with it. Ctrl-C stops.\n\n",
        directory);
    print_addresses(regions_count, port_base);
    printf("\nOpen http://127.0.0.1:%u/ and try, in another terminal:\n\n",
           port_of(port_base, 0, PORT_REALTIME));
    printf("  1  redis-cli -p %u INCR likes                      the page moves in every region\n",
           resp);
    printf("  2  curl http://127.0.0.1:%u/v1/counters/likes      the same number elsewhere\n",
           port_of(port_base, last, PORT_HTTP));
    if (regions_count > 1)
        print_drill(resp, port_of(port_base, last, PORT_RESP));
    char path[PATH_MAX];
    printf("  %u  yes likes | head -n 1000000 | %s count --db 127.0.0.1:%u\n", 3 + (last > 0),
           program(path), resp);
    printf(
        "  %u  redis-cli -p %u PSUBSCRIBE 'quipu:update:*'      every change, as it is applied\n\n",
        4 + (last > 0), port_of(port_base, last, PORT_RESP));
    fflush(stdout);
}
