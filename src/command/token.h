// SPDX-License-Identifier: Apache-2.0
// A vector as clients hold it: text with a checksum.
#pragma once
#include "crdt/vector.h"

void token_write(const struct vector *vector, const struct origins *origins, struct buf *out);
// False: not a token. Incarnations that are not known here are left out.
bool token_read(struct span text, const struct origins *origins, struct vector *out_vector);
