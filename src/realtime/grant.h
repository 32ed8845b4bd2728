// SPDX-License-Identifier: Apache-2.0
// What a visitor may track and publish, when the part has token keys: the claims of the token that
// it brought (wire/token.h), until they expire; then its stream ends with a code that asks for a
// new token. A stream may bring a new one before.
#pragma once
#include "os/loop.h"
#include "wire/http.h"

struct visitor;

struct grant {
    struct loop_timer timer; // the claims expire
    struct visitor *visitor;
    uint32_t claims_len;
    uint8_t claims[];
};

// Takes "token=" of the query or "Authorization: Bearer". NULL: granted, or no token is needed;
// else what is wrong.
const char *grant_request(struct visitor *visitor, const struct http_request *request);
// Takes a token in place of the one before. NULL: granted.
const char *grant_take(struct visitor *visitor, struct span token);
void grant_end(struct visitor *visitor); // the visitor ends
// `verb`: "track" or "publish".
bool grant_allows(struct visitor *visitor, const char *verb, struct span key);
