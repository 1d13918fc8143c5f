/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "addr.h"
#include "beat.h"
#include "cleanup.h"
#include "relay.h"

struct tunnel {
    struct relay *relay;
    pthread_mutex_t lock; /* of what follows, which the relay's thread writes */
    pthread_cond_t decided;
    bool is_decided;
    int inner; /* -1: refused, or taken */
    char why[HANDSHAKE_WHY_MAX];
};

/* --- the connection --------------------------------------------------------------------------- */

static int start_connecting(const struct endpoint *server, int *ret_fd)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(server->port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(server->port)};
    const bool is_v4 = server->addr.family == 4;
    CLEANUP(closep)
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0)
        return -errno;
    memcpy(&v6.sin6_addr, server->addr.bytes, 16);
    memcpy(&v4.sin_addr, server->addr.bytes + 12, 4);
    r = is_v4 ? connect(fd, (const struct sockaddr *)&v4, sizeof(v4))
              : connect(fd, (const struct sockaddr *)&v6, sizeof(v6));
    if (r < 0 && errno != EINPROGRESS)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

static int wait_connected(int fd, unsigned timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    socklen_t length = sizeof(int);
    int error = 0;

    if (poll(&poll_fd, 1, (int)timeout_ms) != 1)
        return -ETIMEDOUT;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        return -errno;
    return -error;
}

static int connect_to(const struct endpoint *server, unsigned timeout_ms, int *ret_fd,
                      char ret_why[HANDSHAKE_WHY_MAX])
{
    CLEANUP(closep) int fd = -1;
    int r = start_connecting(server, &fd);

    if (r == 0)
        r = wait_connected(fd, timeout_ms);
    if (r < 0) {
        (void)snprintf(ret_why, HANDSHAKE_WHY_MAX, "cannot connect: %s", strerror(-r));
        return -ECONNREFUSED;
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

/* --- the handshake ---------------------------------------------------------------------------- */

static void decide(struct tunnel *tunnel, int inner, const char *why)
{
    (void)pthread_mutex_lock(&tunnel->lock);
    tunnel->is_decided = true;
    tunnel->inner = inner;
    (void)snprintf(tunnel->why, sizeof(tunnel->why), "%s", why);
    (void)pthread_cond_signal(&tunnel->decided);
    (void)pthread_mutex_unlock(&tunnel->lock);
}

static void on_connection(void *context, int inner)
{
    decide(context, inner, "");
}

static void on_refused(void *context, int outer, const char *why)
{
    char text[HANDSHAKE_WHY_MAX];

    (void)outer;
    (void)snprintf(text, sizeof(text), "no TLS: %.*s", HANDSHAKE_WHY_MAX - 16, why);
    decide(context, -1, text);
}

/* The relay gives up by itself when the time is over. */
static int wait_decided(struct tunnel *tunnel, char ret_why[HANDSHAKE_WHY_MAX])
{
    (void)pthread_mutex_lock(&tunnel->lock);
    while (!tunnel->is_decided)
        (void)pthread_cond_wait(&tunnel->decided, &tunnel->lock);
    (void)pthread_mutex_unlock(&tunnel->lock);
    if (tunnel->inner >= 0)
        return 0;
    (void)snprintf(ret_why, HANDSHAKE_WHY_MAX, "%s", tunnel->why);
    return -ECONNREFUSED;
}

/* --- both ------------------------------------------------------------------------------------- */

void tunnel_closep(struct tunnel **slot)
{
    struct tunnel *tunnel = TAKE_PTR(*slot);

    if (!tunnel)
        return;
    closep(&tunnel->inner);
    relay_stop(&tunnel->relay, 0);
    (void)pthread_cond_destroy(&tunnel->decided);
    (void)pthread_mutex_destroy(&tunnel->lock);
    free(tunnel);
}

static int shake_hands(struct tunnel *tunnel, struct credentials *credentials, int fd,
                       unsigned timeout_ms)
{
    const struct relay_config config = {
        .handshake_ms = timeout_ms,
        .descriptor_limit = INT_MAX,
        .on_connection = on_connection,
        .on_refused = on_refused,
        .context = tunnel,
    };
    int r = relay_start(&config, &tunnel->relay);

    if (r == 0)
        return relay_add(tunnel->relay, fd, credentials_begin_session(credentials, fd));
    closep(&fd);
    return r;
}

int tunnel_open(const struct endpoint *server, struct credentials *credentials, unsigned timeout_ms,
                struct tunnel **ret_tunnel, char ret_why[HANDSHAKE_WHY_MAX])
{
    CLEANUP(tunnel_closep) struct tunnel *tunnel = calloc(1, sizeof(*tunnel));
    const uint64_t begin_ms = beat_clock_ms();
    uint64_t spent_ms;
    int fd, r;

    if (!tunnel)
        return -ENOMEM;
    tunnel->inner = -1;
    (void)pthread_mutex_init(&tunnel->lock, NULL);
    (void)pthread_cond_init(&tunnel->decided, NULL);
    r = connect_to(server, timeout_ms, &fd, ret_why);
    if (r < 0)
        return r;
    spent_ms = beat_clock_ms() - begin_ms;
    r = shake_hands(tunnel, credentials, fd,
                    spent_ms < timeout_ms ? timeout_ms - (unsigned)spent_ms : 1);
    if (r == 0)
        r = wait_decided(tunnel, ret_why);
    if (r == 0)
        *ret_tunnel = TAKE_PTR(tunnel);
    return r;
}

int tunnel_take_fd(struct tunnel *tunnel)
{
    return take_fd(&tunnel->inner);
}
