#pragma once

// Macros and variadic functions of OpenSSL's X.509 part, as functions that Swift can call.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// A new P-256 key pair, or NULL.
static inline EVP_PKEY *zlh_generate_p256(void) { return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"); }

// Adds an extension written as in openssl's configuration files (x509v3_config(5)); 1 on success.
static inline int zlh_add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (extension == NULL) return 0;
    int added = X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

// The bytes that a memory BIO holds; valid until it changes.
static inline long zlh_bio_contents(BIO *bio, const char **contents) {
    char *start = NULL;
    long count = BIO_get_mem_data(bio, &start);
    *contents = start;
    return count;
}
