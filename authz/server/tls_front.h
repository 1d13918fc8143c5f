/* SPDX-License-Identifier: Apache-2.0 */
/* TLS in front of gRPC, which only ever sees the unix sockets of relay.h: so whatever holds for its
 * plaintext connections (who deals them out, what cuts them, how many there may be) holds for these
 * as well.  As many threads as there are that answer. */
#ifndef TLS_FRONT_H
#define TLS_FRONT_H

#include "relay.h"

struct certificates;
struct tls_front;

struct tls_front_config {
    struct certificates *certificates; /* borrowed */
    unsigned threads;
    int descriptor_limit;
    /* Takes over a connection whose handshake has succeeded; by any of the threads. */
    void (*on_connection)(void *context, int fd);
    void *context;
};

/* Returns 0 or a negative errno. */
int tls_front_start(const struct tls_front_config *config, struct tls_front **ret_front);

/* Takes over a connected, non-blocking TCP socket.  By one thread. */
void tls_front_add(struct tls_front *front, int fd);

/* Lets handshakes come to their end for half a second; from its return on no connection is handed
 * over.  NULL is fine, as for all that follow. */
void tls_front_close_door(struct tls_front *front);

/* When gRPC has closed its ends: see relay_stop(). */
void tls_front_stop(struct tls_front **front);

/* Of all threads; the longest silence among them. */
struct relay_counts tls_front_counts(const struct tls_front *front);
uint64_t tls_front_silence_ms(const struct tls_front *front);

#endif
