// SPDX-License-Identifier: Apache-2.0
// HMAC-SHA-256 (RFC 2104, FIPS 180-4), over OpenSSL's libcrypto. What proves a peer, a heartbeat
// and a PUT. Nothing here keeps a secret: keys are borrowed for the call.
#pragma once
#include "base/buf.h"

#define HMAC_BYTES     32
#define HMAC_HEX_BYTES 64

void hmac_sha256(struct span key, struct span message, uint8_t out[HMAC_BYTES]);
void sha256(struct span message, uint8_t out[HMAC_BYTES]); // without a key: of passwords

// The parts of one deployment prove to a database that they have the secret: AUTH as this user,
// with the mac of this message under the secret as the password.
#define HMAC_PART_USER    "quipu"
#define HMAC_PART_MESSAGE "quipu RESP"

// In time that depends on the lengths only.
bool hmac_is_equal(struct span a, struct span b);

// The text form that HTTP headers carry: 64 lower-case hexadecimal digits.
void hmac_put_hex(struct buf *out, struct span key, struct span message);
// Whether `hex` (either case) is the mac of message under key.
bool hmac_is_hex_of(struct span hex, struct span key, struct span message);
