// SPDX-License-Identifier: Apache-2.0
// The cluster as this replica sees it, row by row: for QUIPU.LINKS and INFO.
#pragma once
#include "command/command.h"

struct link_row {
    const char *replica; // "" while the peer's name is not known
    const char *address;
    const char *state;       // up, down, cut, joining
    uint64_t changes_behind; // of ours and others' that it has not acknowledged
    uint64_t bytes_behind;   // reckoned from what its changes took so far
    int64_t heard_ms;        // -1: not since this start
};
typedef void (*link_visit)(void *ctx, const struct link_row *row);
void links_each(const struct replica *replica, link_visit visit, void *ctx);
