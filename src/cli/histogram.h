// SPDX-License-Identifier: Apache-2.0
// A log-linear histogram of latencies: 128 steps in each power of two, so that a quantile is off by
// less than 0.8 % at any size (the idea of HdrHistogram, without its file formats).
#pragma once
#include <stdint.h>

#define HISTOGRAM_STEPS   128
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * (64 - 7 + 1))

struct histogram {
    uint64_t count;
    uint64_t largest;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t value, uint64_t times);
// The value that `quantile` (0 to 1) of what was added does not exceed; 0 when nothing was.
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);
