// SPDX-License-Identifier: Apache-2.0
// Runs of bytes that need no escape go out as they are. U+2028 and U+2029 do too: JSON has allowed
// them in JavaScript source since ES2019, and our readers use JSON.parse.
#include "base/decimal.h"
#include "base/hex.h"
#include "wire/json.h"
#include "wire/utf8.h"

static bool is_plain(uint8_t byte)
{
    return byte >= ' ' && byte < 0x80 && byte != '"' && byte != '\\';
}

static void put_escape(struct buf *out, uint8_t byte)
{
    static const char letters[] = "\"\\nrtbf", bytes[] = "\"\\\n\r\t\b\f";
    const char *found = byte ? strchr(bytes, byte) : NULL;
    buf_put_byte(out, '\\');
    if (found) {
        buf_put_byte(out, (uint8_t)letters[found - bytes]);
        return;
    }
    buf_put_text(out, "u00");
    hex_put(out, span_of(&byte, 1));
}

// One character that is not plain; returns how many bytes it was.
static size_t put_special(struct buf *out, struct span rest)
{
    if (rest.ptr[0] < 0x80) {
        put_escape(out, rest.ptr[0]);
        return 1;
    }
    size_t len = rest.ptr[0] >= 0xf0 ? 4 : rest.ptr[0] >= 0xe0 ? 3 : 2;
    if (len <= rest.len && utf8_is_valid(span_of(rest.ptr, len))) {
        buf_put(out, span_of(rest.ptr, len));
        return len;
    }
    utf8_put(out, 0xfffd);
    return 1;
}

void json_put_string(struct buf *out, struct span bytes)
{
    size_t at = 0;
    buf_put_byte(out, '"');
    while (at < bytes.len) {
        size_t start = at;
        while (at < bytes.len && is_plain(bytes.ptr[at]))
            at++;
        buf_put(out, span_of(bytes.ptr + start, at - start));
        if (at < bytes.len)
            at += put_special(out, span_of(bytes.ptr + at, bytes.len - at));
    }
    buf_put_byte(out, '"');
}

void json_put_text(struct buf *out, const char *text)
{
    json_put_string(out, span_text(text));
}

void json_put_integer(struct buf *out, int64_t value)
{
    bool is_exact = value <= JSON_INTEGER_MAX && value >= -JSON_INTEGER_MAX;
    if (!is_exact)
        buf_put_byte(out, '"');
    decimal_put(out, value);
    if (!is_exact)
        buf_put_byte(out, '"');
}
