// SPDX-License-Identifier: Apache-2.0
// What operators read: one line on stderr, written whole,
//   2025-01-31T12:00:00.000Z quipu db r1: text
// Glue logs once, where a fault stops: what failed, why, which peer or key.
#pragma once

// `name` may be NULL or empty. Lines are cut at about 1,000 bytes; control bytes become '?'.
__attribute__((format(printf, 3, 4))) void log_line(const char *part, const char *name,
                                                    const char *format, ...);
