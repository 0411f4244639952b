#pragma once

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <string.h>

// Macros of OpenSSL's, as functions that Swift can call.
static inline long zlh_set_mode(SSL_CTX *context, long mode) { return SSL_CTX_set_mode(context, mode); }
static inline int zlh_set_min_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline int zlh_set_groups(SSL_CTX *context, const char *groups) {
    return (int)SSL_CTX_set1_groups_list(context, (char *)groups);
}
static inline void zlh_session_cache_off(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}
static inline void zlh_set_read_ahead(SSL_CTX *context) { SSL_CTX_set_read_ahead(context, 1); }
static inline int zlh_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(context, certificate);
}
static inline void zlh_set_servername_callback(SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
    SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline uint64_t zlh_option_set(void) {
    return SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
           SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF;
}
static inline long zlh_mode_set(void) { return SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER; }

enum { zlh_ticket_key_limit = 3 };

// Keys of session tickets: the first seals, all open.
typedef struct zlh_ticket_keys {
    int count;
    struct {
        uint8_t name[16];
        uint8_t hmac[32];
        uint8_t aes[32];
    } keys[zlh_ticket_key_limit];
} zlh_ticket_keys;

// Puts 80 random bytes in place as key `index`.
static inline void zlh_set_ticket_key(zlh_ticket_keys *keys, int index, const uint8_t *bytes) {
    memcpy(keys->keys[index].name, bytes, 16);
    memcpy(keys->keys[index].hmac, bytes + 16, 32);
    memcpy(keys->keys[index].aes, bytes + 48, 32);
}

// Makes `context` seal and open session tickets with `keys`, which must outlive it and change on its thread only.
int zlh_use_ticket_keys(SSL_CTX *context, zlh_ticket_keys *keys);

// Whether a client with OpenSSL's defaults, who trusts anyone, can shake hands with a server of `context`: tried in
// memory.
int zlh_serves_somebody(SSL_CTX *context);

// The DNS names of a certificate's subjectAltName; NULL for entries of another kind or with a NUL inside.
static inline int zlh_names_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
static inline const char *zlh_dns_name(const GENERAL_NAMES *names, int index) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    if (name == NULL || name->type != GEN_DNS) return NULL;
    const char *text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
    if (text == NULL || strlen(text) != (size_t)ASN1_STRING_length(name->d.dNSName)) return NULL;
    return text;
}
