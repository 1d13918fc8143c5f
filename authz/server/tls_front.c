/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_front.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "addr.h"
#include "beat.h"
#include "certificates.h"
#include "cleanup.h"
#include "oplog.h"

enum { LOG_WINDOW_MS = 10000, LOG_LINES = 10, PATIENCE_MS = 500, FLUSH_MS = 1000 };

/* One in so many descriptors may be a connection that has not proven anything yet. */
enum { HANDSHAKES_SHARE = 4 };

struct tls_front {
    struct tls_front_config config;
    unsigned count, next;
    pthread_mutex_t lock; /* of the next three */
    uint64_t window_end_ms;
    unsigned lines;    /* in this window */
    uint64_t unlogged; /* since the last line */
    struct relay *relays[];
};

/* --- the log ---------------------------------------------------------------------------------- */

static void name_peer(int fd, char ret_name[ENDPOINT_TEXT_MAX])
{
    union {
        struct sockaddr generic;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer = {.generic.sa_family = AF_UNSPEC};
    socklen_t length = sizeof(peer);
    struct endpoint endpoint = {.port = 0};

    (void)snprintf(ret_name, ENDPOINT_TEXT_MAX, "a client");
    if (getpeername(fd, &peer.generic, &length) < 0)
        return;
    if (peer.generic.sa_family == AF_INET) {
        endpoint.addr = addr_from_v4((const uint8_t *)&peer.v4.sin_addr);
        endpoint.port = ntohs(peer.v4.sin_port);
    } else if (peer.generic.sa_family == AF_INET6) {
        endpoint.addr = addr_from_v6(peer.v6.sin6_addr.s6_addr);
        endpoint.port = ntohs(peer.v6.sin6_port);
    } else {
        return;
    }
    (void)endpoint_format(&endpoint, ret_name);
}

/* Anybody who can connect can make these, so there are so many lines in each window; all are
 * counted.  Returns whether to write one, and how many were left out before it. */
static bool may_log(struct tls_front *front, uint64_t *ret_unlogged)
{
    const uint64_t now_ms = beat_clock_ms();
    bool may;

    (void)pthread_mutex_lock(&front->lock);
    if (now_ms >= front->window_end_ms) {
        front->window_end_ms = now_ms + LOG_WINDOW_MS;
        front->lines = 0;
    }
    may = front->lines < LOG_LINES;
    if (may) {
        *ret_unlogged = front->unlogged;
        front->unlogged = 0;
        front->lines++;
    } else {
        front->unlogged++;
    }
    (void)pthread_mutex_unlock(&front->lock);
    return may;
}

static void on_refused(void *context, int fd, const char *why)
{
    char peer[ENDPOINT_TEXT_MAX];
    uint64_t more;

    if (!may_log(context, &more))
        return;
    name_peer(fd, peer);
    if (more)
        oplog_error("TLS: %s refused: %s (and %" PRIu64 " others before it)", peer, why, more);
    else
        oplog_error("TLS: %s refused: %s", peer, why);
}

static void on_connection(void *context, int fd)
{
    const struct tls_front *front = context;

    front->config.on_connection(front->config.context, fd);
}

/* --- life ------------------------------------------------------------------------------------- */

/* What one thread takes of the time is not there for the next. */
static unsigned ms_until(uint64_t end_ms)
{
    const uint64_t now_ms = beat_clock_ms();

    return now_ms < end_ms ? (unsigned)(end_ms - now_ms) : 0;
}

void tls_front_stop(struct tls_front **slot)
{
    struct tls_front *front = TAKE_PTR(*slot);
    const uint64_t end_ms = beat_clock_ms() + FLUSH_MS;

    if (!front)
        return;
    for (unsigned i = 0; i < front->count; i++)
        relay_stop(&front->relays[i], ms_until(end_ms));
    (void)pthread_mutex_destroy(&front->lock);
    free(front);
}

static unsigned handshakes_of_thread(const struct tls_front_config *config)
{
    const unsigned share = (unsigned)config->descriptor_limit / HANDSHAKES_SHARE / config->threads;

    return share ? share : 1;
}

int tls_front_start(const struct tls_front_config *config, struct tls_front **ret_front)
{
    CLEANUP(tls_front_stop)
    struct tls_front *front = calloc(1, sizeof(*front) + config->threads * sizeof(struct relay *));
    const struct relay_config of_relay = {
        .handshakes_max = handshakes_of_thread(config),
        .descriptor_limit = config->descriptor_limit,
        .on_connection = on_connection,
        .on_refused = on_refused,
        .context = front,
    };

    if (!front)
        return -ENOMEM;
    (void)pthread_mutex_init(&front->lock, NULL);
    front->config = *config;
    for (; front->count < config->threads; front->count++) {
        int r = relay_start(&of_relay, &front->relays[front->count]);

        if (r < 0)
            return r;
    }
    *ret_front = TAKE_PTR(front);
    return 0;
}

void tls_front_add(struct tls_front *front, int fd)
{
    (void)relay_add(front->relays[front->next], fd,
                    certificates_begin_session(front->config.certificates, fd));
    front->next = (front->next + 1) % front->count;
}

void tls_front_close_door(struct tls_front *front)
{
    const uint64_t end_ms = beat_clock_ms() + PATIENCE_MS;

    for (unsigned i = 0; front && i < front->count; i++)
        relay_close_door(front->relays[i], ms_until(end_ms));
}

/* --- what can be seen of it ------------------------------------------------------------------- */

struct relay_counts tls_front_counts(const struct tls_front *front)
{
    struct relay_counts sum = {0};

    for (unsigned i = 0; front && i < front->count; i++) {
        const struct relay_counts counts = relay_get_counts(front->relays[i]);

        sum.accepted += counts.accepted;
        sum.refused += counts.refused;
        sum.open += counts.open;
    }
    return sum;
}

uint64_t tls_front_silence_ms(const struct tls_front *front)
{
    uint64_t longest = 0;

    for (unsigned i = 0; front && i < front->count; i++) {
        const uint64_t silence_ms = relay_silence_ms(front->relays[i]);

        longest = silence_ms > longest ? silence_ms : longest;
    }
    return longest;
}
