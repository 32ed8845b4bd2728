// SPDX-License-Identifier: Apache-2.0
// The name of a script: SHA-1 in lower-case hexadecimal.
#pragma once
#include "base/span.h"

#define SHA1_HEX 40

void sha1_hex(struct span text, char out_hex[SHA1_HEX + 1]);
