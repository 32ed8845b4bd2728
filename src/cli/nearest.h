// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the candidate that differs least from a mistyped word, if few letters differ.
#pragma once
#include "base/span.h"

#define NEAREST_WORD_MAX 40

struct nearest {
    struct span word;
    const char *best; // NULL: nothing is near
    unsigned distance;
};

struct nearest nearest_to(struct span word);
void nearest_consider(struct nearest *nearest, const char *candidate);
