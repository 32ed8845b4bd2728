// SPDX-License-Identifier: Apache-2.0
// Redis's glob: * ? [a-z] [^x] and backslash. Linear in pattern times text, never exponential.
#pragma once
#include "base/span.h"

bool glob_is_match(struct span pattern, struct span text);
