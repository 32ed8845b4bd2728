// SPDX-License-Identifier: Apache-2.0
// By OpenSSL's one call.
#include <openssl/sha.h>
#include "base/hex.h"
#include "script/sha1.h"

void sha1_hex(struct span text, char out_hex[SHA1_HEX + 1])
{
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA1(text.ptr, text.len, digest);
    *hex_write(out_hex, span_of(digest, sizeof digest)) = '\0';
}
