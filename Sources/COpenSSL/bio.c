#include "COpenSSL.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// A flight is a few KiB; more than this at once is not ours to buffer.
enum { spill_limit = 256 * 1024 };

static int wire_read(BIO *bio, char *bytes, int count) {
    zlh_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (count <= 0) return 0;
    // An edge said there is something only once; after a short read the kernel has nothing more to give.
    if (wire->drained) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t got;
    do got = recv(wire->fd, bytes, (size_t)count, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        if (got < count && !wire->peer_closed) wire->drained = 1;
        return (int)got;
    }
    if (got == 0) {
        wire->ended = 1;
        return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wire->drained = 1;
        BIO_set_retry_read(bio);
    } else {
        wire->error = errno;
    }
    return -1;
}

static int wire_write(BIO *bio, const char *bytes, int count) {
    zlh_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (count <= 0) return 0;
    size_t length = (size_t)count;
    if (wire->spill_length == 0 && wire->out_capacity - wire->out_length >= length) {
        memcpy(wire->out + wire->out_length, bytes, length);
        wire->out_length += length;
        return count;
    }
    if (wire->spill_length + length > spill_limit) return -1;
    if (wire->spill_capacity - wire->spill_length < length) {
        size_t capacity = wire->spill_capacity ? wire->spill_capacity : 4096;
        while (capacity - wire->spill_length < length) capacity *= 2;
        uint8_t *grown = realloc(wire->spill, capacity);
        if (grown == NULL) return -1;
        wire->spill = grown;
        wire->spill_capacity = capacity;
    }
    memcpy(wire->spill + wire->spill_length, bytes, length);
    wire->spill_length += length;
    return count;
}

static long wire_control(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    // For each record OpenSSL asks many times whether the kernel does TLS.
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return ((zlh_wire *)BIO_get_data(bio))->ended;
    default: return 0;
    }
}

static BIO_METHOD *wire_method(void) {
    static BIO_METHOD *method;
    BIO_METHOD *known = __atomic_load_n(&method, __ATOMIC_ACQUIRE);
    if (known != NULL) return known;
    BIO_METHOD *made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "zlh wire");
    if (made == NULL) return NULL;
    BIO_meth_set_read(made, wire_read);
    BIO_meth_set_write(made, wire_write);
    BIO_meth_set_ctrl(made, wire_control);
    if (!__atomic_compare_exchange_n(&method, &known, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        BIO_meth_free(made);
        return known;
    }
    return made;
}

static void count_messages(int sent, int version, int type, const void *bytes, size_t count, SSL *ssl, void *argument) {
    (void)version;
    (void)ssl;
    zlh_wire *wire = argument;
    if (!sent && type == SSL3_RT_HANDSHAKE && count > 0 && *(const uint8_t *)bytes == SSL3_MT_KEY_UPDATE)
        wire->key_updates++;
}

SSL *zlh_ssl_new(SSL_CTX *context, zlh_wire *wire) {
    SSL *ssl = SSL_new(context);
    if (ssl == NULL) return NULL;
    BIO_METHOD *method = wire_method();
    BIO *bio = method ? BIO_new(method) : NULL;
    if (bio == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    BIO_set_data(bio, wire);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_msg_callback(ssl, count_messages);
    SSL_set_msg_callback_arg(ssl, wire);
    SSL_set_accept_state(ssl);
    return ssl;
}

void zlh_wire_clear(zlh_wire *wire) {
    free(wire->spill);
    wire->spill = NULL;
    wire->spill_length = 0;
    wire->spill_capacity = 0;
}
