// SPDX-License-Identifier: Apache-2.0
// What the TLS options say, as the streams take it.
#include "cli/tls_option.h"

struct tls_options tls_options_of(const struct options *options)
{
    return (struct tls_options){
        .cert_file = options_text(options, "tls-cert-file"),
        .key_file = options_text(options, "tls-key-file"),
        .ca_file = options_text(options, "tls-ca-cert-file"),
        .clients = (enum tls_clients)options_number(options, "tls-auth-clients"),
        .is_any_name = options_number(options, "tls-check-names") != 0,
    };
}
