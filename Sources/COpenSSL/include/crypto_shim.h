#pragma once
// What Identity needs of libcrypto and Swift cannot call as it stands: macros, and the two spellings of an ECDSA
// signature, whose library type is better not seen outside.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

/// r||s (RFC 7518 section 3.4) to the DER that EVP verifies. Returns the length, at most 72, or 0.
static inline int zlh_ecdsa_p256_to_der(const unsigned char raw[64], unsigned char der[80]) {
    int length = 0;
    BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    if (r && s && signature && ECDSA_SIG_set0(signature, r, s)) {
        r = s = NULL;
        if (i2d_ECDSA_SIG(signature, NULL) <= 80) length = i2d_ECDSA_SIG(signature, &der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(signature);
    return length < 0 ? 0 : length;
}

/// The DER that EVP signs with to r||s. Returns 1, or 0 when it is no P-256 signature.
static inline int zlh_ecdsa_der_to_p256(const unsigned char *der, size_t length, unsigned char raw[64]) {
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)length);
    if (!signature) return 0;
    int ok = BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, 32) == 32
          && BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + 32, 32) == 32;
    ECDSA_SIG_free(signature);
    return ok;
}

/// A private key from PEM text, or NULL. Never asks for a passphrase.
static inline int zlh_no_passphrase(char *buffer, int size, int writing, void *context) {
    (void)buffer; (void)size; (void)writing; (void)context;
    return 0;
}

static inline EVP_PKEY *zlh_private_key_from_pem(const void *pem, int length) {
    BIO *bio = BIO_new_mem_buf(pem, length);
    if (!bio) return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, zlh_no_passphrase, NULL);
    BIO_free(bio);
    return key;
}

/// The PKCS#8 PEM of `key` into `out`. Returns its length, or 0 when it does not fit.
static inline int zlh_private_key_to_pem(EVP_PKEY *key, unsigned char *out, int capacity) {
    int length = 0;
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_secmem());
    if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        long size = BIO_get_mem_data(bio, &text);
        if (size > 0 && size <= capacity) {
            for (long i = 0; i < size; i++) out[i] = (unsigned char)text[i];
            length = (int)size;
        }
    }
    BIO_free(bio);
    return length;
}

static inline EVP_PKEY *zlh_generate_ed25519(void) { return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); }

static inline int zlh_gcm_set_tag(EVP_CIPHER_CTX *context, unsigned char *tag) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, tag);
}

static inline int zlh_gcm_get_tag(EVP_CIPHER_CTX *context, unsigned char *tag) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag);
}

/// EVP_PKEY_PUBLIC_KEY, a macro made of others.
static const int zlh_public_key_selection = EVP_PKEY_PUBLIC_KEY;
