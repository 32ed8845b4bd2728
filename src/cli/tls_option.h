// SPDX-License-Identifier: Apache-2.0
// The options by which a part speaks TLS, the same for every part.
#pragma once
#include "cli/options.h"
#include "os/tls.h"

#define OPTION_ROWS_TLS                                                                            \
    {.name = "tls-cert-file",                                                                      \
     .type = OPTION_PATH,                                                                          \
     .value = "FILE",                                                                              \
     .help = "PEM, its chain behind it; read again on SIGHUP"},                                    \
        {.name = "tls-key-file", .type = OPTION_PATH, .value = "FILE", .help = "its key"},         \
        {.name = "tls-ca-cert-file",                                                               \
         .type = OPTION_PATH,                                                                      \
         .value = "FILE",                                                                          \
         .help = "who is trusted; without it, whom the system trusts"},                            \
        {.name = "tls-auth-clients",                                                               \
         .type = OPTION_CHOICE,                                                                    \
         .choices = "no|optional|yes",                                                             \
         .initial = "no",                                                                          \
         .help = "whether who connects shows a certificate of the CA"},                            \
    {                                                                                              \
        .name = "tls-check-names", .type = OPTION_CHOICE, .choices = "yes|no", .initial = "yes",   \
        .help = "a server's certificate is for the name or address that is dialed"                 \
    }

struct tls_options tls_options_of(const struct options *options);
