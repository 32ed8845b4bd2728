// SPDX-License-Identifier: Apache-2.0
// The three parts are base64url without padding (RFC 7515). The algorithm is not taken from the
// token: it must name the one there is.
#include "wire/token.h"
#include "base/glob.h"
#include "wire/hmac.h"
#include "wire/json_in.h"

static int digit_of(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    return byte == '-' ? 62 : byte == '_' ? 63 : -1;
}

// Appends what base64url text says. False: it is none, also when unused bits are not zero.
static bool put_decoded(struct buf *out, struct span text)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buf_put_byte(out, (uint8_t)(bits >> held));
            bits &= (1u << held) - 1;
        }
    }
    return text.len % 4 != 1 && bits == 0;
}

// Cuts the text at its first dot.
static bool cut(struct span *text, struct span *out_part)
{
    const uint8_t *dot = text->len ? memchr(text->ptr, '.', text->len) : NULL;
    if (!dot)
        return false;
    size_t len = (size_t)(dot - text->ptr);
    *out_part = span_of(text->ptr, len);
    *text = span_of(dot + 1, text->len - len - 1);
    return true;
}

static bool is_signed(struct span message, struct span signature, const struct token_keys *keys)
{
    uint8_t mac[HMAC_BYTES];
    for (unsigned i = 0; i < keys->count; i++) {
        hmac_sha256(keys->keys[i], message, mac);
        if (hmac_is_equal(signature, span_of(mac, sizeof mac)))
            return true;
    }
    return false;
}

// {"alg":"HS256",...} without extensions that would have to be understood.
static bool is_head(struct span json, struct buf *scratch)
{
    bool is_ours = false;
    struct json_reader reader = json_reader_of(json);
    json_open(&reader, JSON_OBJECT);
    while (json_next(&reader)) {
        struct span name = json_name(&reader, scratch);
        if (span_is_equal(name, span_text("crit")))
            return false;
        if (span_is_equal(name, span_text("alg")))
            is_ours = span_is_equal(json_string(&reader, scratch), span_text("HS256"));
        else
            json_skip(&reader);
    }
    return json_is_done(&reader) && is_ours;
}

static int check_times(struct span claims, struct buf *scratch, int64_t now_s,
                       int64_t *out_expires_s)
{
    int64_t expires_s = INT64_MIN, begins_s = INT64_MIN;
    struct json_reader reader = json_reader_of(claims);
    json_open(&reader, JSON_OBJECT);
    while (json_next(&reader)) {
        struct span name = json_name(&reader, scratch);
        if (span_is_equal(name, span_text("exp")))
            expires_s = json_integer(&reader);
        else if (span_is_equal(name, span_text("nbf")))
            begins_s = json_integer(&reader);
        else
            json_skip(&reader);
    }
    if (!json_is_done(&reader) || expires_s == INT64_MIN)
        return TOKEN_E_FORM;
    if (expires_s <= now_s - TOKEN_GRACE_S || begins_s > now_s + TOKEN_GRACE_S)
        return TOKEN_E_TIME;
    *out_expires_s = expires_s;
    return 0;
}

int token_check(struct span text, const struct token_keys *keys, int64_t now_s,
                struct buf *out_claims, int64_t *out_expires_s)
{
    struct span head, claims, rest = text;
    struct buf decoded, scratch;
    if (text.len > TOKEN_BYTES_MAX || !cut(&rest, &head) || !cut(&rest, &claims))
        return TOKEN_E_FORM;
    buf_init(&decoded, out_claims->heap);
    buf_init(&scratch, out_claims->heap);
    buf_clear(out_claims);
    int outcome = TOKEN_E_FORM;
    struct span message = span_of(text.ptr, head.len + 1 + claims.len);
    if (put_decoded(&decoded, rest)) {
        outcome = is_signed(message, buf_span(&decoded), keys) ? 0 : TOKEN_E_KEY;
        buf_clear(&decoded);
    }
    if (!outcome && !(put_decoded(&decoded, head) && is_head(buf_span(&decoded), &scratch) &&
                      put_decoded(out_claims, claims)))
        outcome = TOKEN_E_FORM;
    if (!outcome)
        outcome = check_times(buf_span(out_claims), &scratch, now_s, out_expires_s);
    if (buf_has_failed(&decoded) || buf_has_failed(&scratch) || buf_has_failed(out_claims))
        outcome = -ENOMEM;
    buf_deinit(&decoded);
    buf_deinit(&scratch);
    return outcome;
}

bool token_allows(struct span claims, const char *verb, struct span key, struct buf *scratch)
{
    bool is_allowed = false;
    struct json_reader reader = json_reader_of(claims);
    json_open(&reader, JSON_OBJECT);
    while (json_next(&reader)) {
        if (!span_is_equal(json_name(&reader, scratch), span_text(verb))) {
            json_skip(&reader);
            continue;
        }
        json_open(&reader, JSON_ARRAY);
        while (json_next(&reader))
            is_allowed |= glob_is_match(json_string(&reader, scratch), key);
    }
    return json_is_done(&reader) && is_allowed;
}
