// SPDX-License-Identifier: Apache-2.0
// quipu: which part to play. A sub-command is a row here and a file beside this one.
#include <malloc.h>
#include <stdio.h>
#include "cli/bench.h"
#include "cli/main.h"
#include "cli/nearest.h"
#include "command/host.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"up", up_main, "every part of several regions on this machine"},
    {"db", db_main, "one replica of the counter database"},
    {"service", service_main, "the counter service: HTTP, heartbeats in, events out"},
    {"realtime", realtime_main, "the real-time part: WebSocket, the dashboard"},
    {"count", count_main, "count the lines of standard input, one key a line"},
    {"sim", sim_main, "the simulator"},
    {"backup", backup_main, "copy a running database's data directory"},
    {"restore", restore_main, "make a data directory out of a backup"},
    {"check", check_main, "verify a data directory offline"},
    {"dump", dump_main, "print what a data directory holds"},
    {"bench", bench_main, "load generators"},
};

#define COMMANDS_COUNT (sizeof commands / sizeof *commands)

static void print_help(FILE *out)
{
    fprintf(out, "quipu: counters that count everywhere at once\n\n"
                 "usage: quipu COMMAND [options]        quipu COMMAND --help lists them\n\n");
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nexit status: 0 done, 1 failed, 2 wrong usage\n");
}

static int refuse(const char *word)
{
    struct nearest nearest = nearest_to(span_text(word));
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        nearest_consider(&nearest, commands[i].name);
    fprintf(stderr, "quipu: unknown command \"%.100s\"", word);
    if (nearest.best)
        fprintf(stderr, "; did you mean %s?", nearest.best);
    fprintf(stderr, "\n(quipu --help lists the commands)\n");
    return 2;
}

int main(int argc, char **argv)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 20); // and no higher: large buffers go back when they are freed
    mallopt(M_TRIM_THRESHOLD,
            4 << 20); // small things come and go: the heap's end is not moved each time
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("quipu " QUIPU_VERSION "\n");
        return 0;
    }
    return refuse(argv[1]);
}
