// SPDX-License-Identifier: Apache-2.0
// Tables of streams and what is understood of them.
#pragma once
#include "tests/lib/wire_feed.h"

struct trace_row {
    const char *stream, *trace;
};

// Whether the stream has this trace, whole and however it is cut; what differs is printed.
bool trace_is(const struct feed *feed, struct span stream, const char *expected);
// The same of every row.
bool trace_are(const struct feed *feed, const struct trace_row *rows, size_t count);
