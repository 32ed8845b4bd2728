// SPDX-License-Identifier: Apache-2.0
// Percent-encoding and splitting. Splitting comes before decoding: an encoded slash is part of its
// segment.
#include "base/decimal.h"
#include "base/hex.h"
#include "wire/url.h"

static bool is_encoded_well(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%')
            continue;
        if (text.len - i < 3 || hex_value(text.ptr[i + 1]) < 0 || hex_value(text.ptr[i + 2]) < 0)
            return false;
        i += 2;
    }
    return true;
}

// `blank` is the byte that stands for a space, besides the space itself.
static bool put_decoded(struct buf *out, struct span text, uint8_t blank)
{
    if (!is_encoded_well(text))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '%') {
            byte = (uint8_t)(hex_value(text.ptr[i + 1]) << 4 | hex_value(text.ptr[i + 2]));
            i += 2;
        } else if (byte == blank) {
            byte = ' ';
        }
        buf_put_byte(out, byte);
    }
    return true;
}

bool url_put_decoded(struct buf *out, struct span text)
{
    return put_decoded(out, text, ' ');
}

bool url_put_decoded_query(struct buf *out, struct span text)
{
    return put_decoded(out, text, '+');
}

static bool is_unreserved(uint8_t byte)
{
    uint8_t letter = byte | 0x20;
    return (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
           byte == '.' || byte == '_' || byte == '~';
}

void url_put_encoded(struct buf *out, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.ptr[i];
        if (is_unreserved(byte)) {
            buf_put_byte(out, byte);
            continue;
        }
        buf_put_byte(out, '%');
        buf_put_byte(out, (uint8_t) "0123456789ABCDEF"[byte >> 4]);
        buf_put_byte(out, (uint8_t) "0123456789ABCDEF"[byte & 15]);
    }
}

// Cuts `text` at the first `mark`: what is before it; `text` becomes what is behind it.
static struct span cut(struct span *text, char mark)
{
    const uint8_t *at = text->len ? memchr(text->ptr, mark, text->len) : NULL;
    size_t len = at ? (size_t)(at - text->ptr) : text->len;
    struct span before = span_of(text->ptr, len);
    size_t used = len + (at != NULL);
    *text = span_of(text->ptr + used, text->len - used);
    return before;
}

bool url_next_pair(struct span *query, struct span *out_name, struct span *out_value)
{
    while (query->len > 0) {
        struct span value = cut(query, '&');
        if (value.len == 0)
            continue;
        *out_name = cut(&value, '=');
        *out_value = value;
        return true;
    }
    return false;
}

bool url_next_segment(struct span *path, struct span *out_segment)
{
    if (path->len == 0)
        return false;
    struct span rest = *path;
    if (rest.ptr[0] == '/')
        rest = span_of(rest.ptr + 1, rest.len - 1);
    const uint8_t *slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
    size_t len = slash ? (size_t)(slash - rest.ptr) : rest.len;
    *out_segment = span_of(rest.ptr, len);
    *path = span_of(rest.ptr + len, rest.len - len);
    return true;
}

static bool parse_port(struct span text, uint16_t *out_port)
{
    uint64_t port;
    if (!decimal_parse_unsigned(text, &port) || port == 0 || port > UINT16_MAX)
        return false;
    *out_port = (uint16_t)port;
    return true;
}

// "host", "host:port", "[v6]", "[v6]:port"
static bool split_authority(struct span authority, struct url *url)
{
    struct span port;
    if (authority.len > 0 && authority.ptr[0] == '[') {
        port = span_of(authority.ptr + 1, authority.len - 1);
        url->host = cut(&port, ']');
        if (url->host.len + 2 + port.len != authority.len)
            return false; // no closing bracket
        if (port.len > 0 && port.ptr[0] != ':')
            return false;
        if (port.len > 0)
            port = span_of(port.ptr + 1, port.len - 1);
    } else {
        port = authority;
        url->host = cut(&port, ':');
    }
    bool has_port = url->host.ptr + url->host.len < authority.ptr + authority.len &&
                    authority.ptr[authority.len - 1] != ']';
    return url->host.len > 0 && (!has_port || parse_port(port, &url->port));
}

bool url_parse(struct span text, struct url *out_url)
{
    static const char *const schemes[] = {"http://", "https://"};
    bool is_tls = text.len > 5 && (text.ptr[4] | 0x20) == 's';
    size_t scheme_len = strlen(schemes[is_tls]);
    if (text.len < scheme_len || !span_is_word(span_of(text.ptr, scheme_len), schemes[is_tls]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || strchr("@#?", text.ptr[i]))
            return false;
    }
    struct span rest = span_of(text.ptr + scheme_len, text.len - scheme_len);
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '/')
        len++;
    struct url url = {.is_tls = is_tls, .port = is_tls ? 443 : 80};
    if (!split_authority(span_of(rest.ptr, len), &url))
        return false;
    url.path = len < rest.len ? span_of(rest.ptr + len, rest.len - len) : span_text("/");
    *out_url = url;
    return true;
}
