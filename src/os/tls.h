// SPDX-License-Identifier: Apache-2.0
// TLS for streams, by OpenSSL: certificates and whom to trust, for connections that are accepted
// and for those that are dialed. TLS 1.2 at least, no renegotiation.
//
// Any thread may use one `struct tls`; what was loaded is replaced whole by tls_reload, and
// connections that are there go on with what they began with.
#pragma once
#include <stdbool.h>

#define TLS_TEXT_MAX      400
#define TLS_GREETINGS_MAX 1024 // handshakes under way on a loop; beyond, the oldest is given up

enum tls_clients { // whether those that connect must show a certificate of the CA
    TLS_CLIENTS_NO,
    TLS_CLIENTS_OPTIONAL,
    TLS_CLIENTS_REQUIRED
};

struct tls_options {       // texts are borrowed until tls_free
    const char *cert_file; // PEM, the own certificate first, then its chain; NULL: none
    const char *key_file;
    const char *ca_file; // who is trusted; NULL: whom the system trusts
    enum tls_clients clients;
    bool is_any_name; // a server's certificate may be for another name than the one dialed
};

struct tls;
// 0, or -errno with `error` as one line for the operator.
int tls_new(struct tls **out_tls, const struct tls_options *options, char error[TLS_TEXT_MAX]);
// The files again; when one of them is wrong, what was loaded before stays. Likewise.
int tls_reload(struct tls *tls, char error[TLS_TEXT_MAX]);
void tls_free(struct tls *tls);                // NULL: nothing. Sessions may outlive it
bool tls_wants_clients(const struct tls *tls); // TLS_CLIENTS_REQUIRED
