// SPDX-License-Identifier: Apache-2.0
// Incarnations are found by a linear look: a process knows a handful, 256 at most, and looks them
// up once a message or a frame, not once a cell.
#include "crdt/origin.h"

bool incarnation_is_equal(const struct incarnation *a, const struct incarnation *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool incarnation_is_zero(const struct incarnation *incarnation)
{
    static const struct incarnation zero;
    return incarnation_is_equal(incarnation, &zero);
}

int incarnation_compare(const struct incarnation *a, const struct incarnation *b)
{
    int order = memcmp(a->bytes, b->bytes, sizeof a->bytes);
    return (order > 0) - (order < 0);
}

uint16_t origins_find(const struct origins *origins, const struct incarnation *incarnation)
{
    for (uint16_t i = 0; i < origins->count; i++) {
        if (incarnation_is_equal(&origins->list[i], incarnation))
            return i;
    }
    return ORIGIN_NONE;
}

int origins_obtain(struct origins *origins, const struct incarnation *incarnation,
                   uint16_t *out_index)
{
    uint16_t index = origins_find(origins, incarnation);
    if (index == ORIGIN_NONE) {
        if (origins->count == LIMIT_ORIGINS)
            return ORIGIN_E_FULL;
        index = origins->count++;
        origins->list[index] = *incarnation;
    }
    *out_index = index;
    return 0;
}
