// SPDX-License-Identifier: Apache-2.0
// Levenshtein's distance (1966) by one row of the table, for words short enough to be typed.
#include "cli/nearest.h"

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned distance_between(struct span a, struct span b)
{
    unsigned row[NEAREST_WORD_MAX + 1];
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned replaced = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            diagonal = row[j];
            row[j] = smaller(replaced, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

struct nearest nearest_to(struct span word)
{
    return (struct nearest){.word = word, .distance = 1 + (unsigned)word.len / 3};
}

void nearest_consider(struct nearest *nearest, const char *candidate)
{
    struct span span = span_text(candidate);
    if (span.len > NEAREST_WORD_MAX || nearest->word.len > NEAREST_WORD_MAX)
        return;
    unsigned distance = distance_between(nearest->word, span);
    if (distance > nearest->distance || (nearest->best && distance == nearest->distance))
        return;
    nearest->best = candidate;
    nearest->distance = distance;
}
