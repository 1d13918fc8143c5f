/* SPDX-License-Identifier: Apache-2.0 */
#include "acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "beat.h"
#include "cleanup.h"
#include "listener.h"
#include "oplog.h"

enum { REST_MS = 100, ACCEPTS_PER_TURN = 64 };

struct acceptor {
    struct acceptor_config config;
    struct pollfd *polls; /* [0] is the stop event, then the listeners in order */
    int stop_fd;
    atomic_uint_fast64_t refused;
    struct beat beat;
    bool resting; /* the last accept failed for want of something */
    pthread_t thread;
};

static void acceptor_freep(struct acceptor **acceptor)
{
    if (!*acceptor)
        return;
    closep(&(*acceptor)->stop_fd);
    free((*acceptor)->polls);
    freep(acceptor);
}

static void take_connection(struct acceptor *acceptor, int fd, const struct listener *from)
{
    const int one = 1;

    if (fd >= acceptor->config.descriptor_limit) {
        if (atomic_fetch_add(&acceptor->refused, 1) == 0)
            oplog_error("too many connections, closing new ones (limit %d descriptors)",
                        acceptor->config.descriptor_limit);
        (void)close(fd);
        return;
    }
    if (from->is_tcp)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    acceptor->config.on_connection(acceptor->config.context, fd, from);
}

/* Nothing is waiting, or what waited is broken (accept(2) passes on errors of the network). */
static bool is_passing(int error)
{
    switch (error) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
    case EPERM: /* a firewall rule */
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return true;
    default:
        return false;
    }
}

/* Returns false when the thread must rest. */
static bool accept_some(struct acceptor *acceptor, const struct listener *listener, unsigned limit)
{
    for (unsigned i = 0; i < limit; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int error = errno;

        if (fd >= 0) {
            acceptor->resting = false;
            take_connection(acceptor, fd, listener);
            continue;
        }
        if (is_passing(error))
            return true;
        if (!acceptor->resting)
            oplog_error("cannot accept connections for now: %s", strerror(error));
        acceptor->resting = true;
        return false;
    }
    return true;
}

static void accept_all(struct acceptor *acceptor)
{
    for (size_t i = 0; i < acceptor->config.listener_count; i++) {
        short events = acceptor->polls[i + 1].revents;

        if (events && !accept_some(acceptor, &acceptor->config.listeners[i], ACCEPTS_PER_TURN)) {
            (void)poll(acceptor->polls, 1, REST_MS); /* ends early when it is time to stop */
            return;
        }
    }
}

/* Who connected before it was time to stop is answered, or told to go elsewhere, and not reset. */
static void accept_rest(struct acceptor *acceptor)
{
    for (size_t i = 0; i < acceptor->config.listener_count; i++)
        (void)accept_some(acceptor, &acceptor->config.listeners[i], SOMAXCONN);
}

static void *run(void *context)
{
    struct acceptor *acceptor = context;

    (void)pthread_setname_np(pthread_self(), "accept");
    while (!acceptor->polls[0].revents) {
        beat_now(&acceptor->beat);
        if (poll(acceptor->polls, acceptor->config.listener_count + 1, BEAT_EVERY_MS) > 0)
            accept_all(acceptor);
    }
    accept_rest(acceptor);
    return NULL;
}

static void set_up_polls(struct acceptor *acceptor)
{
    acceptor->polls[0] = (struct pollfd){.fd = acceptor->stop_fd, .events = POLLIN};
    for (size_t i = 0; i < acceptor->config.listener_count; i++)
        acceptor->polls[i + 1] =
            (struct pollfd){.fd = acceptor->config.listeners[i].fd, .events = POLLIN};
}

int acceptor_start(const struct acceptor_config *config, struct acceptor **ret_acceptor)
{
    CLEANUP(acceptor_freep) struct acceptor *acceptor = calloc(1, sizeof(*acceptor));
    int r;

    if (!acceptor)
        return -ENOMEM;
    acceptor->config = *config;
    acceptor->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (acceptor->stop_fd < 0)
        return -errno;
    acceptor->polls = calloc(config->listener_count + 1, sizeof(*acceptor->polls));
    if (!acceptor->polls)
        return -ENOMEM;
    set_up_polls(acceptor);
    r = pthread_create(&acceptor->thread, NULL, run, acceptor);
    if (r != 0)
        return -r;
    *ret_acceptor = TAKE_PTR(acceptor);
    return 0;
}

uint64_t acceptor_refused(const struct acceptor *acceptor)
{
    return atomic_load(&acceptor->refused);
}

uint64_t acceptor_silence_ms(const struct acceptor *acceptor)
{
    return beat_age_ms(&acceptor->beat);
}

void acceptor_stopp(struct acceptor **acceptor)
{
    if (!*acceptor)
        return;
    (void)eventfd_write((*acceptor)->stop_fd, 1);
    (void)pthread_join((*acceptor)->thread, NULL);
    acceptor_freep(acceptor);
}
