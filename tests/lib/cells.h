// SPDX-License-Identifier: Apache-2.0
// Comparing and printing units in tests.
#pragma once
#include "crdt/unit.h"

// Same cells with the same parts, in whatever order they lie.
bool cells_is_equal(const struct unit *a, const struct unit *b);
void cells_print(const char *title, const struct unit *unit);
// The map of a dictionary that is the reader's own.
struct origin_map cells_identity_map(uint16_t count);
