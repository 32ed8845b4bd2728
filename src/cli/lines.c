// SPDX-License-Identifier: Apache-2.0
// The bytes of what is used go into `check` as they are used, so that at the end of each line it
// identifies everything up to there.
#include <errno.h>
#include <unistd.h>
#include "base/crc32c.h"
#include "cli/lines.h"

void lines_init(struct lines *lines, struct heap *heap, int fd)
{
    *lines = (struct lines){.fd = fd};
    buf_init(&lines->bytes, heap);
}

void lines_deinit(struct lines *lines)
{
    buf_deinit(&lines->bytes);
}

static struct span use(struct lines *lines, size_t len)
{
    struct span used = span_of(lines->bytes.ptr + lines->at, len);
    lines->check = crc32c_extend(lines->check, used);
    lines->at += len;
    return used;
}

// The last line may lack an end.
static int take_rest(struct lines *lines, size_t left, struct span *out_line)
{
    if (left == 0 && !lines->is_passing)
        return LINES_E_END;
    struct span rest = use(lines, left);
    if (lines->is_passing || rest.len > LINES_MAX) {
        lines->is_passing = false;
        return LINES_E_LONG;
    }
    *out_line = rest;
    return 0;
}

int lines_next(struct lines *lines, struct span *out_line)
{
    const uint8_t *at = lines->bytes.ptr + lines->at;
    size_t left = lines->bytes.len - lines->at;
    const uint8_t *end = left ? memchr(at, '\n', left) : NULL;
    if (end) {
        struct span line = use(lines, (size_t)(end - at) + 1);
        bool is_long = lines->is_passing || line.len - 1 > LINES_MAX;
        lines->is_passing = false;
        if (is_long)
            return LINES_E_LONG;
        *out_line = span_of(line.ptr, line.len - 1);
        return 0;
    }
    if (lines->is_ended)
        return take_rest(lines, left, out_line);
    if (left > LINES_MAX) {
        lines->is_passing = true;
        use(lines, left);
    }
    return LINES_E_MORE;
}

int lines_read(struct lines *lines)
{
    buf_consume(&lines->bytes, lines->at);
    lines->at = 0;
    uint8_t *to = buf_reserve(&lines->bytes, LINES_READ_BYTES);
    if (!to)
        return -ENOMEM;
    ssize_t len = read(lines->fd, to, LINES_READ_BYTES);
    if (len < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    lines->is_ended = len == 0;
    buf_advance(&lines->bytes, (size_t)len);
    return 0;
}
