// SPDX-License-Identifier: Apache-2.0
// Doubling growth from 256 bytes; the size is bounded by whoever appends, not here.
#include "base/buf.h"

void buf_init(struct buf *buf, struct heap *heap)
{
    *buf = (struct buf){.heap = heap};
}

void buf_deinit(struct buf *buf)
{
    heap_free(buf->heap, buf->ptr, buf->cap);
    *buf = (struct buf){.heap = buf->heap};
}

static bool grow(struct buf *buf, size_t need)
{
    size_t cap = buf->cap ? buf->cap : 256;
    while (cap < need) {
        if (cap > SIZE_MAX / 2)
            return false;
        cap *= 2;
    }
    uint8_t *ptr = heap_resize(buf->heap, buf->ptr, buf->cap, cap);
    if (!ptr)
        return false;
    buf->ptr = ptr;
    buf->cap = cap;
    return true;
}

uint8_t *buf_reserve(struct buf *buf, size_t more)
{
    if (buf->failed || more > SIZE_MAX - buf->len) {
        buf->failed = true;
        return NULL;
    }
    if (buf->len + more > buf->cap && !grow(buf, buf->len + more)) {
        buf->failed = true;
        return NULL;
    }
    return buf->ptr + buf->len;
}

void buf_put(struct buf *buf, struct span span)
{
    if (span.len == 0)
        return;
    uint8_t *to = buf_reserve(buf, span.len);
    if (!to)
        return;
    memcpy(to, span.ptr, span.len);
    buf->len += span.len;
}

void buf_put_text(struct buf *buf, const char *text)
{
    buf_put(buf, span_text(text));
}

void buf_put_byte(struct buf *buf, uint8_t byte)
{
    uint8_t *to = buf_reserve(buf, 1);
    if (!to)
        return;
    *to = byte;
    buf->len++;
}

void buf_consume(struct buf *buf, size_t count)
{
    if (count < buf->len)
        memmove(buf->ptr, buf->ptr + count, buf->len - count);
    buf->len -= count;
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

void buf_shrink(struct buf *buf, size_t cap_max)
{
    if (buf->len == 0 && buf->cap > cap_max)
        buf_deinit(buf);
}

void buf_recycle(struct buf *buf, size_t cap_max)
{
    bool is_too_large = buf->cap > cap_max && buf->len < buf->cap / 8;
    buf_clear(buf);
    if (is_too_large)
        buf_deinit(buf);
}
