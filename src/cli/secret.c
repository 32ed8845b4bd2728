// SPDX-License-Identifier: Apache-2.0
// Reads the secret, once, at the start. It is never taken from the command line or the environment
// themselves, which other users of the machine can see.
#include <errno.h>
#include <stdio.h>
#include "cli/secret.h"

static int refuse(const struct options *options, const char *option, const char *path,
                  const char *why)
{
    fprintf(stderr, "quipu %s: --%s %s: %s\n", options->command->name, option, path, why);
    return -1;
}

int secret_load(struct secret *secret, const struct options *options)
{
    secret->len = 0;
    return options_has(options, "secret-file") ? secret_read(secret, options, "secret-file", 0) : 0;
}

int secret_read(struct secret *secret, const struct options *options, const char *option,
                unsigned index)
{
    const char *path = options_text_at(options, option, index);
    FILE *file = fopen(path, "r");
    if (!file)
        return refuse(options, option, path, strerror(errno));
    size_t len = fread(secret->bytes, 1, sizeof secret->bytes, file);
    int fault = ferror(file) ? errno : 0;
    fclose(file);
    if (fault)
        return refuse(options, option, path, strerror(fault));
    while (len && (secret->bytes[len - 1] == '\n' || secret->bytes[len - 1] == '\r'))
        len--;
    if (len < SECRET_BYTES_MIN || len > SECRET_BYTES_MAX)
        return refuse(options, option, path,
                      "a secret has 16 to 128 bytes; \"openssl rand -hex 32\" makes one");
    secret->len = len;
    return 0;
}

struct span secret_span(const struct secret *secret)
{
    return span_of(secret->bytes, secret->len);
}
