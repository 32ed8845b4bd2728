// SPDX-License-Identifier: Apache-2.0
// Version vector: incarnation -> sequence seen, indexed by origin. Invariant kept by its users:
// V[o] >= q means everything that o committed up to q is reflected in the state.
#pragma once
#include "base/bytes.h"
#include "crdt/origin.h"

struct vector {
    uint64_t sequence[LIMIT_ORIGINS];
};

// Raises each entry to at least the other's; true when something rose.
bool vector_join(struct vector *self, const struct vector *other);
// Lowers each entry to at most the other's; true when something fell.
bool vector_meet(struct vector *self, const struct vector *other);
// Whether self >= other in every entry (each entry, not dominance of the whole).
bool vector_is_covering(const struct vector *self, const struct vector *other);

// Codec: count, then (16 bytes, varint sequence) for each non-zero entry.
void vector_write(const struct vector *self, const struct origins *origins, struct buf *out);
enum { VECTOR_E_MALFORMED = 1, VECTOR_E_FULL };
// Overwrites out_vector. Unknown incarnations are made known. 0, VECTOR_E_MALFORMED (too short, a
// repeated incarnation), VECTOR_E_FULL (no room for a new origin; outputs untouched then).
int vector_read(struct reader *reader, struct origins *origins, struct vector *out_vector);
