// SPDX-License-Identifier: Apache-2.0
// `quipu bench WHAT`: one of the load generators.
#include "cli/bench.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *what;
} benches[] = {
    {"resp", bench_resp_main, "load a RESP server: throughput, latency, its CPU an operation"},
    {"sketch", bench_sketch_main, "the error of PFCOUNT, up to ten million members"},
    {"fanout", bench_fanout_main, "one change to many WebSocket subscribers"},
};

int bench_main(int argc, char **argv)
{
    bool is_help = argc && !strcmp(argv[0], "--help");
    for (size_t i = 0; argc && i < sizeof benches / sizeof benches[0]; i++) {
        if (!strcmp(argv[0], benches[i].name))
            return benches[i].main(argc - 1, argv + 1);
    }
    FILE *to = is_help ? stdout : stderr;
    fprintf(to, "usage: quipu bench WHAT [options]        quipu bench WHAT --help lists them\n\n");
    for (size_t i = 0; i < sizeof benches / sizeof benches[0]; i++)
        fprintf(to, "  %-8s %s\n", benches[i].name, benches[i].what);
    return is_help ? 0 : 2;
}
