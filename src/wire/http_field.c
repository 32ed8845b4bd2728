// SPDX-License-Identifier: Apache-2.0
// Questions about header lines that may stand several times, each a list (RFC 9110 section 5.3).
#include "wire/http_head.h"

bool http_has_token(struct span headers, const char *name, const char *token)
{
    struct span found, value, item;
    while (http_next_header(&headers, &found, &value)) {
        if (!span_is_word(found, name))
            continue;
        while (http_next_token(&value, &item)) {
            if (span_is_word(item, token))
                return true;
        }
    }
    return false;
}

// The opaque part of the next entity tag in a list, with its quotes; commas may stand inside.
static bool next_etag(struct span *list, struct span *out_etag)
{
    const uint8_t *open = list->len ? memchr(list->ptr, '"', list->len) : NULL;
    if (!open)
        return false;
    size_t before = (size_t)(open - list->ptr);
    const uint8_t *close = memchr(open + 1, '"', list->len - before - 1);
    if (!close)
        return false;
    *out_etag = span_of(open, (size_t)(close - open) + 1);
    size_t used = before + out_etag->len;
    *list = span_of(list->ptr + used, list->len - used);
    return true;
}

static struct span without_weakness(struct span etag)
{
    bool is_weak = etag.len > 2 && etag.ptr[0] == 'W' && etag.ptr[1] == '/';
    return is_weak ? span_of(etag.ptr + 2, etag.len - 2) : etag;
}

bool http_is_none_match(struct span headers, struct span etag)
{
    struct span name, value, listed;
    etag = without_weakness(etag);
    while (http_next_header(&headers, &name, &value)) {
        if (!span_is_word(name, "if-none-match"))
            continue;
        if (value.len == 1 && value.ptr[0] == '*')
            return true;
        while (next_etag(&value, &listed)) {
            if (span_is_equal(listed, etag))
                return true;
        }
    }
    return false;
}
