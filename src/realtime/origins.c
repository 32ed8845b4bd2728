// SPDX-License-Identifier: Apache-2.0
// Origins are compared as texts (RFC 6454 serialises them canonically, lower case, without a
// default port), only the letter case of an option may differ.
#include "realtime/origins.h"

static bool strip(struct span *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || !span_is_word(span_of(text->ptr, len), prefix))
        return false;
    *text = span_of(text->ptr + len, text->len - len);
    return true;
}

static struct span without_port(struct span authority)
{
    for (size_t i = authority.len; i > 0; i--) {
        if (authority.ptr[i - 1] == ':')
            return span_of(authority.ptr, i - 1);
        if (authority.ptr[i - 1] == ']')
            break;
    }
    return authority;
}

static bool is_loopback(struct span authority)
{
    struct span name = without_port(authority);
    if (span_is_word(name, "localhost") || span_is_word(name, "[::1]"))
        return true;
    if (!strip(&name, "127.") || name.len == 0)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] != '.' && (name.ptr[i] < '0' || name.ptr[i] > '9'))
            return false;
    }
    return true;
}

bool origins_has(const struct origins *origins, struct span origin, struct span host)
{
    if (!origin.ptr)
        return true;
    for (size_t i = 0; i < origins->count; i++) {
        if (strcmp(origins->allowed[i], "*") == 0 || span_is_word(origin, origins->allowed[i]))
            return true;
    }
    struct span authority = origin;
    if (!strip(&authority, "http://") && !strip(&authority, "https://"))
        return false;
    if (origins->allows_loopback && is_loopback(authority))
        return true;
    return host.ptr && span_is_equal(authority, host);
}
