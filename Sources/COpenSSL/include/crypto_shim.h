#pragma once
// What Crypto needs of libcrypto and Swift cannot call as it stands: macros, and the two spellings of an ECDSA
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

/// A public key of `type` from parameters, checked, or NULL. A builder keeps pointers to what was pushed, which is why
/// this stays on the C side of the fence.
static inline EVP_PKEY *zlh_public_key(const char *type, OSSL_PARAM_BLD *builder) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *checker = NULL;
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    if (maker && parameters && EVP_PKEY_fromdata_init(maker) == 1
        && EVP_PKEY_fromdata(maker, &key, EVP_PKEY_PUBLIC_KEY, parameters) == 1) {
        checker = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        if (!checker || EVP_PKEY_public_check_quick(checker) != 1) {
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    EVP_PKEY_CTX_free(checker);
    OSSL_PARAM_free(parameters);
    EVP_PKEY_CTX_free(maker);
    return key;
}

/// A P-256 public key from its uncompressed point, or NULL when that is not on the curve.
static inline EVP_PKEY *zlh_p256_public_key(const unsigned char point[65]) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0)
        && OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 65))
        key = zlh_public_key("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

/// An RSA public key from modulus and exponent, most significant byte first, or NULL.
static inline EVP_PKEY *zlh_rsa_public_key(
    const unsigned char *modulus, int modulus_length, const unsigned char *exponent, int exponent_length) {
    EVP_PKEY *key = NULL;
    BIGNUM *n = BN_bin2bn(modulus, modulus_length, NULL), *e = BN_bin2bn(exponent, exponent_length, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (n && e && builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n)
        && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
        key = zlh_public_key("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}
