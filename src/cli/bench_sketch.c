// SPDX-License-Identifier: Apache-2.0
// `quipu bench sketch`: the error of the HyperLogLog over many independent streams, measured at a
// few lengths; what its stated bound is compared with.
#include "cli/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/prng.h"
#include "crdt/sketch.h"

static const uint64_t lengths[] = {10, 100, 1000, 10000, 40000, 100000, 1000000, 10000000};
#define LENGTHS (sizeof lengths / sizeof lengths[0])

struct errors { // of all streams at one length
    double squares, sum, largest;
};

static void measure(struct sketch *sketch, uint64_t stream, struct errors *errors)
{
    struct prng prng;
    size_t at = 0;
    prng_init(&prng, stream);
    sketch_init(sketch);
    for (uint64_t n = 1; at < LENGTHS; n++) {
        uint8_t member[8];
        bytes_write_u64(member, prng_next(&prng));
        sketch_raise(sketch, sketch_hit(span_of(member, sizeof member)));
        if (n < lengths[at])
            continue;
        double error = ((double)sketch_estimate(sketch) - (double)n) / (double)n;
        errors[at].squares += error * error;
        errors[at].sum += error;
        errors[at].largest = fmax(errors[at].largest, fabs(error));
        at++;
    }
}

int bench_sketch_main(int argc, char **argv)
{
    uint64_t streams = argc ? strtoull(argv[0], NULL, 10) : 20;
    if (streams == 0) {
        fprintf(stderr, "usage: quipu bench sketch [STREAMS]        20 by default\n");
        return 2;
    }
    struct errors errors[LENGTHS] = {{0}};
    struct sketch sketch;
    for (uint64_t stream = 1; stream <= streams; stream++)
        measure(&sketch, stream, errors);
    printf("%llu streams; stated: standard error 0.81 %%\n", (unsigned long long)streams);
    printf("%10s %16s %10s %10s\n", "members", "standard error", "bias", "largest");
    for (size_t i = 0; i < LENGTHS; i++)
        printf("%10llu %14.2f %% %8.2f %% %8.2f %%\n", (unsigned long long)lengths[i],
               100 * sqrt(errors[i].squares / (double)streams),
               100 * errors[i].sum / (double)streams, 100 * errors[i].largest);
    return 0;
}
