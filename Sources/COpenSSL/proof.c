#include "ssl_shim.h"

int zlh_serves_somebody(SSL_CTX *server_context) {
    SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
    SSL *client = client_context ? SSL_new(client_context) : NULL;
    SSL *server = SSL_new(server_context);
    BIO *client_end = NULL, *server_end = NULL;
    int done = 0;
    if (client != NULL && server != NULL && BIO_new_bio_pair(&client_end, 0, &server_end, 0) == 1) {
        SSL_set_bio(client, client_end, client_end);
        SSL_set_bio(server, server_end, server_end);
        SSL_set_connect_state(client);
        SSL_set_accept_state(server);
        // A long chain does not fit into the pair at once.
        for (int turn = 0; turn < 256 && !done; turn++) {
            int of_client = SSL_do_handshake(client), of_server = SSL_do_handshake(server);
            done = of_client == 1 && of_server == 1;
            if (of_client != 1 && SSL_get_error(client, of_client) == SSL_ERROR_SSL) break;
            if (of_server != 1 && SSL_get_error(server, of_server) == SSL_ERROR_SSL) break;
        }
    }
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_context);
    ERR_clear_error();
    return done;
}
