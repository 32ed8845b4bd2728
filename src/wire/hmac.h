// SPDX-License-Identifier: Apache-2.0
// HMAC-SHA-256 (RFC 2104, FIPS 180-4), over OpenSSL's libcrypto. What proves a peer, a heartbeat
// and a PUT. Nothing here keeps a secret: keys are borrowed for the call.
#pragma once
#include "base/buf.h"

#define HMAC_BYTES     32
#define HMAC_HEX_BYTES 64

void hmac_sha256(struct span key, struct span message, uint8_t out[HMAC_BYTES]);
// In time that depends on the lengths only.
bool hmac_is_equal(struct span a, struct span b);

// The text form that HTTP headers carry: 64 lower-case hexadecimal digits.
void hmac_put_hex(struct buf *out, struct span key, struct span message);
// Whether `hex` (either case) is the mac of message under key.
bool hmac_is_hex_of(struct span hex, struct span key, struct span message);
