// SPDX-License-Identifier: Apache-2.0
// One backtrack point (the last star): a pattern of many stars costs pattern x text at most, which
// is what Redis's recursion (CVE-2022-36021) did not have.
#include "base/glob.h"

// The class after '[' at `at`; sets *next past ']' (or the end when it is not closed, as Redis).
static bool is_in_class(struct span p, size_t at, uint8_t byte, size_t *next)
{
    bool negated = at < p.len && p.ptr[at] == '^';
    bool found = false;
    at += negated;
    while (at < p.len && p.ptr[at] != ']') {
        bool is_escaped = p.ptr[at] == '\\' && at + 1 < p.len;
        at += is_escaped;
        uint8_t low = p.ptr[at], high = low;
        if (!is_escaped && at + 2 < p.len && p.ptr[at + 1] == '-') {
            high = p.ptr[at + 2];
            at += 2;
        }
        if (low > high) {
            uint8_t swap = low;
            low = high;
            high = swap;
        }
        found |= byte >= low && byte <= high;
        at++;
    }
    *next = at < p.len ? at + 1 : at;
    return found != negated;
}

// Whether the single-byte element at `at` takes `byte`; *next is the element after it.
static bool is_one(struct span p, size_t at, uint8_t byte, size_t *next)
{
    if (p.ptr[at] == '[')
        return is_in_class(p, at + 1, byte, next);
    if (p.ptr[at] == '\\' && at + 1 < p.len)
        at++;
    else if (p.ptr[at] == '?')
        byte = '?';
    *next = at + 1;
    return p.ptr[at] == byte;
}

bool glob_is_match(struct span pattern, struct span text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;
    while (t < text.len) {
        size_t next;
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            resume = t;
        } else if (p < pattern.len && is_one(pattern, p, text.ptr[t], &next)) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}
