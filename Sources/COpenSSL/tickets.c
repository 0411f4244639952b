#include "COpenSSL.h"

static int ticket_index(void) {
    static int index = -1;
    int known = __atomic_load_n(&index, __ATOMIC_ACQUIRE);
    if (known >= 0) return known;
    int made = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    if (!__atomic_compare_exchange_n(&index, &known, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return known;
    return made;
}

// RFC 5077 with AES-256-CBC and HMAC-SHA-256. 1: use, 2: use and renew (sealed with an older key), 0: not ours.
static int seal_or_open(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                        int sealing) {
    zlh_ticket_keys *keys = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ticket_index());
    if (keys == NULL || keys->count == 0) return sealing ? -1 : 0;
    int chosen = 0;
    if (sealing) {
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) <= 0) return -1;
        memcpy(name, keys->keys[0].name, 16);
    } else {
        while (chosen < keys->count && memcmp(name, keys->keys[chosen].name, 16) != 0) chosen++;
        if (chosen == keys->count) return 0;
    }
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, keys->keys[chosen].hmac, sizeof keys->keys[chosen].hmac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    if (!EVP_MAC_CTX_set_params(mac, parameters)) return -1;
    if (!EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys->keys[chosen].aes, iv, sealing)) return -1;
    if (sealing) return 1;
    // TLS 1.3 clients use a ticket once, so each resumption wants a fresh one anyway.
    return chosen == 0 && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

int zlh_use_ticket_keys(SSL_CTX *context, zlh_ticket_keys *keys) {
    int index = ticket_index();
    if (index < 0 || !SSL_CTX_set_ex_data(context, index, keys)) return 0;
    return (int)SSL_CTX_set_tlsext_ticket_key_evp_cb(context, seal_or_open);
}
