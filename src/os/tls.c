// SPDX-License-Identifier: Apache-2.0
// One context serves both directions; what differs is set at each session. A session is made small
// and grows OpenSSL's state when the first bytes come, so that connections that say nothing cost
// little.
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "os/private.h"
#include "os/tcp.h"
#include "os/tls.h"

struct tls {
    struct tls_options options;
    pthread_mutex_t mutex; // guards context
    SSL_CTX *context;
};

// ---- loading

static int fail(char error[TLS_TEXT_MAX], const char *what, const char *path)
{
    unsigned long code = ERR_peek_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    if (code && ERR_GET_LIB(code) == ERR_LIB_SYS)
        why = strerror(ERR_GET_REASON(code));
    snprintf(error, TLS_TEXT_MAX, "%s %.200s: %.100s", what, path, why ? why : "cannot be used");
    ERR_clear_error();
    return -EINVAL;
}

// A key that wants a passphrase is refused: there is nobody to ask.
static int no_passphrase(char *to, int size, int is_writing, void *ctx)
{
    (void)to;
    (void)size;
    (void)is_writing;
    (void)ctx;
    return 0;
}

static int load_own(SSL_CTX *context, const struct tls_options *options, char error[TLS_TEXT_MAX])
{
    if (!options->cert_file && !options->key_file)
        return 0;
    if (!options->cert_file || !options->key_file) {
        snprintf(error, TLS_TEXT_MAX, "--tls-cert-file and --tls-key-file go together");
        return -EINVAL;
    }
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(context, options->cert_file) != 1)
        return fail(error, "--tls-cert-file", options->cert_file);
    if (SSL_CTX_use_PrivateKey_file(context, options->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return fail(error, "--tls-key-file", options->key_file);
    return 0;
}

static int load_trust(SSL_CTX *context, const struct tls_options *options, char error[TLS_TEXT_MAX])
{
    if (!options->ca_file && options->clients != TLS_CLIENTS_NO) {
        snprintf(error, TLS_TEXT_MAX,
                 "--tls-auth-clients wants --tls-ca-cert-file: whose certificates are taken?");
        return -EINVAL;
    }
    if (!options->ca_file) {
        SSL_CTX_set_default_verify_paths(context);
        return 0;
    }
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(options->ca_file);
    if (!names || SSL_CTX_load_verify_locations(context, options->ca_file, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fail(error, "--tls-ca-cert-file", options->ca_file);
    }
    SSL_CTX_set_client_CA_list(context, names); // takes them
    return 0;
}

static int load(SSL_CTX **out_context, const struct tls_options *options, char error[TLS_TEXT_MAX])
{
    static const unsigned char name[] = "quipu";
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (!context) {
        snprintf(error, TLS_TEXT_MAX, "TLS: out of memory");
        return -ENOMEM;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(context, name, sizeof name - 1);
    SSL_CTX_set_num_tickets(context, 1);
    int outcome = load_own(context, options, error);
    if (!outcome)
        outcome = load_trust(context, options, error);
    if (outcome)
        SSL_CTX_free(context);
    else
        *out_context = context;
    return outcome;
}

int tls_new(struct tls **out_tls, const struct tls_options *options, char error[TLS_TEXT_MAX])
{
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        snprintf(error, TLS_TEXT_MAX, "TLS: out of memory");
        return -ENOMEM;
    }
    tls->options = *options;
    int outcome = load(&tls->context, options, error);
    if (outcome) {
        free(tls);
        return outcome;
    }
    pthread_mutex_init(&tls->mutex, NULL);
    *out_tls = tls;
    return 0;
}

int tls_reload(struct tls *tls, char error[TLS_TEXT_MAX])
{
    SSL_CTX *context;
    int outcome = load(&context, &tls->options, error);
    if (outcome)
        return outcome;
    pthread_mutex_lock(&tls->mutex);
    SSL_CTX *before = tls->context;
    tls->context = context;
    pthread_mutex_unlock(&tls->mutex);
    SSL_CTX_free(before);
    return 0;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    pthread_mutex_destroy(&tls->mutex);
    free(tls);
}

bool tls_wants_clients(const struct tls *tls)
{
    return tls->options.clients == TLS_CLIENTS_REQUIRED;
}

// ---- a session

struct tls_session *tls_session_new(struct tls *tls, const struct endpoint *server)
{
    struct tls_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->tls = tls;
    session->server = server ? strdup(server->host) : NULL;
    if (!server || session->server)
        return session;
    free(session);
    return NULL;
}

void tls_session_free(struct tls_session *session)
{
    SSL_free(session->ssl);
    free(session->server);
    free(session);
}

static int set_server(struct tls_session *session)
{
    SSL *ssl = session->ssl;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    SSL_set_connect_state(ssl);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, session->server) == 1) {
        if (session->tls->options.is_any_name)
            X509_VERIFY_PARAM_set1_ip(param, NULL, 0);
        return 0;
    }
    ERR_clear_error();
    if (SSL_set_tlsext_host_name(ssl, session->server) != 1)
        return -ENOMEM;
    if (!session->tls->options.is_any_name && SSL_set1_host(ssl, session->server) != 1)
        return -ENOMEM;
    return 0;
}

static void set_client(struct tls_session *session)
{
    static const int modes[] = {[TLS_CLIENTS_NO] = SSL_VERIFY_NONE,
                                [TLS_CLIENTS_OPTIONAL] = SSL_VERIFY_PEER,
                                [TLS_CLIENTS_REQUIRED] =
                                    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
    SSL_set_accept_state(session->ssl);
    SSL_set_verify(session->ssl, modes[session->tls->options.clients], NULL);
}

static int start(struct tls_session *session, int fd)
{
    pthread_mutex_lock(&session->tls->mutex);
    session->ssl = SSL_new(session->tls->context);
    pthread_mutex_unlock(&session->tls->mutex);
    if (!session->ssl || SSL_set_fd(session->ssl, fd) != 1)
        return -ENOMEM;
    if (session->server)
        return set_server(session);
    set_client(session);
    return 0;
}

// Keeps why.
static int explain(struct tls_session *session)
{
    unsigned long code = ERR_peek_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    long verified = SSL_get_verify_result(session->ssl);
    session->fault_of = "TLS";
    session->fault = why ? why : "the other end closed the connection";
    if (verified != X509_V_OK) {
        session->fault_of = "TLS, the certificate of the other end";
        session->fault = X509_verify_cert_error_string(verified);
    }
    ERR_clear_error();
    return -EPROTO;
}

// What an operation's outcome means: -EAGAIN, 0 at the end, or a fault.
static int outcome_of(struct tls_session *session, int returned)
{
    session->wants_write = false;
    switch (SSL_get_error(session->ssl, returned)) {
    case SSL_ERROR_WANT_WRITE:
        session->wants_write = true;
        return -EAGAIN;
    case SSL_ERROR_WANT_READ:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return errno && errno != EAGAIN ? -errno : explain(session);
    default:
        return explain(session);
    }
}

int tls_session_greet(struct tls_session *session, int fd)
{
    int fault = session->ssl ? 0 : start(session, fd);
    if (fault)
        return fault;
    ERR_clear_error();
    errno = 0;
    int returned = SSL_do_handshake(session->ssl);
    if (returned == 1) {
        session->wants_write = false;
        return 0;
    }
    int outcome = outcome_of(session, returned);
    return outcome ? outcome : explain(session);
}

ssize_t tls_session_read(struct tls_session *session, uint8_t *to, size_t len)
{
    size_t got;
    ERR_clear_error();
    errno = 0;
    int returned = SSL_read_ex(session->ssl, to, len, &got);
    return returned == 1 ? (ssize_t)got : outcome_of(session, returned);
}

ssize_t tls_session_write(struct tls_session *session, const uint8_t *from, size_t len)
{
    size_t sent = 0, more;
    while (sent < len) { // a record at a time
        ERR_clear_error();
        errno = 0;
        int returned = SSL_write_ex(session->ssl, from + sent, len - sent, &more);
        if (returned != 1) {
            int outcome = outcome_of(session, returned);
            return sent ? (ssize_t)sent : outcome ? outcome : -EPIPE;
        }
        sent += more;
    }
    return (ssize_t)sent;
}

void tls_session_end(struct tls_session *session)
{
    ERR_clear_error();
    if (session->ssl && SSL_is_init_finished(session->ssl))
        SSL_shutdown(session->ssl);
    ERR_clear_error();
}
