// SPDX-License-Identifier: Apache-2.0
// What `quipu count --state FILE` keeps: which run this is. How far it came stands in the database,
// in the same commit as the counts; the file's own number of lines and their checksum only tell
// whether a resumed run is given the same input.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define COUNT_RUN_LEN     16
#define COUNT_REPLICA_MAX 256

struct count_state {
    char run[COUNT_RUN_LEN + 1];     // hexadecimal
    char replica[COUNT_REPLICA_MAX]; // "": not known yet
    uint32_t settings;               // checksum of --prefix and --by
    uint64_t lines;                  // acknowledged when the file was written
    uint32_t check;                  // CRC-32C of the input up to there
    bool is_done;
};

enum { COUNT_STATE_E_NONE = 1, COUNT_STATE_E_MALFORMED };

// 0, COUNT_STATE_E_NONE (no such file), COUNT_STATE_E_MALFORMED, -errno.
int count_state_load(struct count_state *out_state, const char *path);
// Durable on return. 0 or -errno; then the file is as it was.
int count_state_save(const struct count_state *state, const char *path);
