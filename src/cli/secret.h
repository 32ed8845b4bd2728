// SPDX-License-Identifier: Apache-2.0
// The shared secret of --secret-file: the file's bytes without the line end.
#pragma once
#include "cli/options.h"

#define SECRET_BYTES_MIN 16
#define SECRET_BYTES_MAX 128

struct secret {
    uint8_t bytes[SECRET_BYTES_MAX + 2];
    size_t len; // 0: none was asked for
};

// 0 (also when the option is not given), or -1 after a line on stderr.
int secret_load(struct secret *secret, const struct options *options);
// The index-th file that an option which may be repeated names.
int secret_read(struct secret *secret, const struct options *options, const char *option,
                unsigned index);
struct span secret_span(const struct secret *secret);
