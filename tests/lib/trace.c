// SPDX-License-Identifier: Apache-2.0
// Rows are checked to the end, so that one run shows all that differ.
#include <stdio.h>
#include "tests/lib/heap_libc.h"
#include "tests/lib/trace.h"

bool trace_is(const struct feed *feed, struct span stream, const char *expected)
{
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf trace;
    buf_init(&trace, &heap.heap);
    feed_whole(feed, stream, &trace);
    bool is_same = span_is_equal(buf_span(&trace), span_text(expected));
    if (!is_same)
        printf("stream:\n%.*s\ngave:\n%.*sinstead of:\n%s", (int)stream.len,
               (const char *)stream.ptr, (int)trace.len, (const char *)trace.ptr, expected);
    buf_deinit(&trace);
    return feed_is_cut_proof(feed, stream, 1, 20) && is_same;
}

bool trace_are(const struct feed *feed, const struct trace_row *rows, size_t count)
{
    bool are_same = true;
    for (size_t i = 0; i < count; i++)
        are_same &= trace_is(feed, span_text(rows[i].stream), rows[i].trace);
    return are_same;
}
