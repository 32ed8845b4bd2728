// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli, RFC 3720 appendix B.4), hardware instruction where the build has it.
#pragma once
#include "base/span.h"

// `crc` is the result for the bytes before (0 at the start).
uint32_t crc32c_extend(uint32_t crc, struct span span);
