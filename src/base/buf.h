// SPDX-License-Identifier: Apache-2.0
// Owned, growing bytes. A failed allocation is sticky: appends become no-ops and buf_has_failed()
// says so once, at the end, so that an encoder reads as a list of what it writes.
#pragma once
#include "base/heap.h"
#include "base/span.h"

struct buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    struct heap *heap; // borrows
    bool failed;
};

void buf_init(struct buf *buf, struct heap *heap);
void buf_deinit(struct buf *buf);

// Makes room for `more` bytes and returns where they go, or NULL (-ENOMEM, sticky). The caller
// writes there and calls buf_advance().
uint8_t *buf_reserve(struct buf *buf, size_t more);
static inline void buf_advance(struct buf *buf, size_t count)
{
    buf->len += count;
}

void buf_put(struct buf *buf, struct span span);
void buf_put_text(struct buf *buf, const char *text);
void buf_put_byte(struct buf *buf, uint8_t byte);
// Drops the first `count` bytes (moves the rest down).
void buf_consume(struct buf *buf, size_t count);
// Empties it, keeps the memory, forgets a failure.
void buf_clear(struct buf *buf);
// Gives memory above `cap_max` back when empty.
void buf_shrink(struct buf *buf, size_t cap_max);
// Empties it to be filled again: memory above `cap_max` goes back if this time an eighth of it
// would have done.
void buf_recycle(struct buf *buf, size_t cap_max);

static inline struct span buf_span(const struct buf *buf)
{
    return span_of(buf->ptr, buf->len);
}

static inline bool buf_has_failed(const struct buf *buf)
{
    return buf->failed;
}
