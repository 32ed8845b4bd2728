// SPDX-License-Identifier: Apache-2.0
// One-shot calls into libcrypto. A mac that cannot be made (libcrypto without memory or without
// SHA-256) must not become a guessable one, so that is an assertion: the process ends.
#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "base/hex.h"
#include "wire/hmac.h"

void hmac_sha256(struct span key, struct span message, uint8_t out[HMAC_BYTES])
{
    assert(key.len <= INT_MAX);
    unsigned len = 0;
    const uint8_t *made =
        HMAC(EVP_sha256(), key.len ? (const void *)key.ptr : "", (int)key.len,
             message.len ? message.ptr : (const uint8_t *)"", message.len, out, &len);
    assert(made && len == HMAC_BYTES);
}

void sha256(struct span message, uint8_t out[HMAC_BYTES])
{
    unsigned len = 0;
    int made = EVP_Digest(message.len ? message.ptr : (const uint8_t *)"", message.len, out, &len,
                          EVP_sha256(), NULL);
    assert(made == 1 && len == HMAC_BYTES);
}

bool hmac_is_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

static void write_hex(struct span key, struct span message, uint8_t to[HMAC_HEX_BYTES])
{
    uint8_t mac[HMAC_BYTES];
    hmac_sha256(key, message, mac);
    hex_write(to, span_of(mac, sizeof mac));
}

void hmac_put_hex(struct buf *out, struct span key, struct span message)
{
    uint8_t *to = buf_reserve(out, HMAC_HEX_BYTES);
    if (!to)
        return;
    write_hex(key, message, to);
    buf_advance(out, HMAC_HEX_BYTES);
}

bool hmac_is_hex_of(struct span hex, struct span key, struct span message)
{
    if (hex.len != HMAC_HEX_BYTES)
        return false;
    uint8_t expected[HMAC_HEX_BYTES], given[HMAC_HEX_BYTES];
    write_hex(key, message, expected);
    for (size_t i = 0; i < HMAC_HEX_BYTES; i++)
        given[i] =
            hex.ptr[i] >= 'A' && hex.ptr[i] <= 'F' ? (uint8_t)(hex.ptr[i] | 0x20) : hex.ptr[i];
    return hmac_is_equal(span_of(given, sizeof given), span_of(expected, sizeof expected));
}
