// SPDX-License-Identifier: Apache-2.0
// By OpenSSL's library: a key and a certificate take a millisecond.
#include <assert.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/lib/certificates.h"

struct issued {
    EVP_PKEY *key;
    X509 *certificate;
};

struct wish {
    const char *name, *alternative; // "IP:127.0.0.1"; NULL: an authority
    long from_s, to_s;              // from now
};

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static struct issued issue(const struct wish *wish, const struct issued *by, long serial)
{
    struct issued issued = {EVP_EC_gen("P-256"), X509_new()};
    X509 *certificate = issued.certificate;
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), wish->from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), wish->to_s);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)wish->name, -1, -1,
                               0);
    X509_set_pubkey(certificate, issued.key);
    X509_set_issuer_name(certificate, by ? X509_get_subject_name(by->certificate) : name);
    if (wish->alternative)
        add_extension(certificate, NID_subject_alt_name, wish->alternative);
    else
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(certificate, by ? by->key : issued.key, EVP_sha256());
    return issued;
}

static FILE *open_file(struct certificates *certificates, const char *name, const char *end)
{
    char whole[64], path[CERTIFICATES_PATH];
    snprintf(whole, sizeof whole, "%s%s", name, end);
    FILE *file = fopen(certificates_path(certificates, whole, path), "w");
    assert(file);
    return file;
}

static void keep(struct certificates *certificates, const char *name, const struct issued *issued)
{
    FILE *file = open_file(certificates, name, ".crt");
    PEM_write_X509(file, issued->certificate);
    fclose(file);
    file = open_file(certificates, name, ".key");
    PEM_write_PrivateKey(file, issued->key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
}

static void drop(struct issued *issued)
{
    X509_free(issued->certificate);
    EVP_PKEY_free(issued->key);
}

void certificates_make(struct certificates *certificates)
{
    static const struct wish authority = {"test", NULL, -60, 3600},
                             other = {"other", NULL, -60, 3600};
    static const struct {
        struct wish wish;
        int by;
    } rows[] = {
        {{"good", "IP:127.0.0.1", -60, 3600}, 0},
        {{"expired", "IP:127.0.0.1", -7200, -3600}, 0},
        {{"named", "DNS:quipu.example", -60, 3600}, 0},
        {{"stranger", "IP:127.0.0.1", -60, 3600}, 1},
    };
    snprintf(certificates->directory, sizeof certificates->directory, "%s",
             "/tmp/quipu-certificates-XXXXXX");
    char *made = mkdtemp(certificates->directory);
    assert(made);
    struct issued by[] = {issue(&authority, NULL, 1), issue(&other, NULL, 2)};
    keep(certificates, "ca", &by[0]);
    keep(certificates, "other-ca", &by[1]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct issued issued = issue(&rows[i].wish, &by[rows[i].by], 10 + (long)i);
        keep(certificates, rows[i].wish.name, &issued);
        drop(&issued);
    }
    drop(&by[0]);
    drop(&by[1]);
}

void certificates_remove(struct certificates *certificates)
{
    static const char *const names[] = {"ca", "other-ca", "good", "expired", "named", "stranger"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char whole[64], path[CERTIFICATES_PATH];
        snprintf(whole, sizeof whole, "%s.crt", names[i]);
        unlink(certificates_path(certificates, whole, path));
        snprintf(whole, sizeof whole, "%s.key", names[i]);
        unlink(certificates_path(certificates, whole, path));
    }
    rmdir(certificates->directory);
}

const char *certificates_path(struct certificates *certificates, const char *name,
                              char to[CERTIFICATES_PATH])
{
    snprintf(to, CERTIFICATES_PATH, "%.60s/%.60s", certificates->directory, name);
    return to;
}
