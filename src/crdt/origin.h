// SPDX-License-Identifier: Apache-2.0
// Incarnations and the small numbers that stand for them inside one process. An incarnation is 128
// random bits: one unbroken history of one data directory, the owner of cells. The
// index is local to a process; on the wire and on disk the 16 bytes travel.
#pragma once
#include "base/limits.h"
#include "base/span.h"

struct incarnation {
    uint8_t bytes[16];
};

#define ORIGIN_NONE 0xffffu

enum { ORIGIN_E_FULL = 1 }; // LIMIT_ORIGINS incarnations are known already

struct origins {
    struct incarnation list[LIMIT_ORIGINS];
    uint16_t count;
};

bool incarnation_is_equal(const struct incarnation *a, const struct incarnation *b);
bool incarnation_is_zero(const struct incarnation *incarnation);
// -1, 0, 1: the order that breaks ties between concurrent writes, the same at every replica.
int incarnation_compare(const struct incarnation *a, const struct incarnation *b);

// The index of a known incarnation, else ORIGIN_NONE.
uint16_t origins_find(const struct origins *origins, const struct incarnation *incarnation);
// The index of it, made known if it was not. 0 or ORIGIN_E_FULL.
int origins_obtain(struct origins *origins, const struct incarnation *incarnation,
                   uint16_t *out_index);
