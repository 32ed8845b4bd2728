// SPDX-License-Identifier: Apache-2.0
// Lines of a descriptor, in memory that does not follow their length: a line longer than LINES_MAX
// is passed over, and said to be too long.
//
// Life: init -> lines_next until LINES_E_MORE -> lines_read -> ... -> LINES_E_END -> deinit.
#pragma once
#include "base/buf.h"
#include "base/limits.h"

#define LINES_MAX        LIMIT_KEY_BYTES
#define LINES_READ_BYTES 65536

struct lines {
    int fd; // borrows
    struct buf bytes;
    size_t at;       // bytes before it are used
    uint32_t check;  // CRC-32C of all bytes used
    bool is_passing; // over the rest of a line that is too long
    bool is_ended;
};

enum { LINES_E_MORE = 1, LINES_E_END, LINES_E_LONG };

void lines_init(struct lines *lines, struct heap *heap, int fd);
void lines_deinit(struct lines *lines);
// 0: a line without its end, borrowed until the next call (the last one may lack an end).
// LINES_E_LONG: one that is too long. LINES_E_MORE: read first. LINES_E_END.
int lines_next(struct lines *lines, struct span *out_line);
// One read(2). 0 (also at the end, which lines_next then tells) or -errno.
int lines_read(struct lines *lines);
