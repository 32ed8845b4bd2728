// SPDX-License-Identifier: Apache-2.0
// What lets a page's visitor track and publish certain keys until a certain time: a JSON Web Token
// signed with HMAC-SHA-256 (RFC 7519, HS256), which every web framework can make. Claims:
//
//     {"exp":1767225600,"track":["likes:*"],"publish":["/article/*"]}
//
// exp (seconds since 1970) is required, nbf is obeyed; track and publish are lists of patterns as
// of KEYS in Redis. A list that is missing allows nothing.
#pragma once
#include "base/buf.h"

#define TOKEN_BYTES_MAX 4096
#define TOKEN_GRACE_S   5 // by how much clocks may differ

enum {
    TOKEN_E_FORM = 1, // no such token, another algorithm, claims that are none
    TOKEN_E_KEY,      // signed with another key
    TOKEN_E_TIME,     // expired, or not valid yet
};

// 0: out_claims holds the claims, and they end at out_expires_s. Else an outcome, or -ENOMEM.
// Several keys are tried, so that one can take another's place.
struct token_keys {
    struct span keys[2];
    unsigned count;
};
int token_check(struct span text, const struct token_keys *keys, int64_t now_s,
                struct buf *out_claims, int64_t *out_expires_s);

// Whether the list `verb` of the claims has a pattern for the key. `scratch` is overwritten.
bool token_allows(struct span claims, const char *verb, struct span key, struct buf *scratch);
