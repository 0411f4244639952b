#pragma once

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

// The socket below one SSL: reads go straight to recv; writes are gathered in memory that the caller lends, so that
// many records leave in one system call.
typedef struct zlh_wire {
    int fd;
    // The last recv gave less than was asked for: nothing more waits in the kernel.
    int drained;
    // The peer's FIN is known: the kernel has its end to give behind the last bytes, and will not say so again.
    int peer_closed;
    // recv said 0.
    int ended;
    // errno of a broken connection.
    int error;
    // Lent for the duration of one call.
    uint8_t *out;
    size_t out_length;
    size_t out_capacity;
    // What did not fit there: handshake flights, alerts, key updates.
    uint8_t *spill;
    size_t spill_length;
    size_t spill_capacity;
    // TLS 1.3 KeyUpdate messages received so far.
    uint32_t key_updates;
} zlh_wire;

// A server-side SSL over `wire`, which must outlive it; NULL when memory is short.
SSL *zlh_ssl_new(SSL_CTX *context, zlh_wire *wire);

// Frees what `wire` spilled.
void zlh_wire_clear(zlh_wire *wire);
