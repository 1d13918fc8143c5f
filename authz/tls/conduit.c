/* SPDX-License-Identifier: Apache-2.0 */
#include "conduit.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "beat.h"
#include "cleanup.h"
#include "credentials.h"

enum {
    TURNS_MAX = 16,  /* records of one connection before another has its turn */
    FLUSH_MS = 2000, /* for a client to take what is left for it when gRPC has ended */
};

/* --- life ------------------------------------------------------------------------------------- */

struct conduit *conduit_new(int epoll, int fd, struct ssl_st *session, uint64_t deadline_ms)
{
    struct conduit *conduit = calloc(1, sizeof(*conduit));

    if (!conduit)
        return NULL;
    conduit->state = CONDUIT_SHAKING;
    conduit->session = session;
    conduit->epoll = epoll;
    conduit->outer = (struct conduit_end){.conduit = conduit, .fd = fd};
    conduit->inner = (struct conduit_end){.conduit = conduit, .fd = -1};
    conduit->deadline_ms = deadline_ms;
    return conduit;
}

static void close_end(struct conduit_end *end)
{
    closep(&end->fd); /* leaves epoll's set by itself */
    end->fd = -1;
    end->events = 0;
}

void conduit_close(struct conduit *conduit)
{
    conduit->state = CONDUIT_CLOSED;
    close_end(&conduit->outer);
    close_end(&conduit->inner);
}

void conduit_free(struct conduit *conduit)
{
    assert(conduit->state == CONDUIT_CLOSED);
    credentials_end_session(conduit->session);
    free(conduit->to_outer.bytes);
    free(conduit->to_inner.bytes);
    free(conduit);
}

/* --- the handshake ---------------------------------------------------------------------------- */

int conduit_shake(struct conduit *conduit)
{
    int r;

    ERR_clear_error();
    r = SSL_do_handshake(conduit->session);
    if (r == 1)
        return 1;
    r = SSL_get_error(conduit->session, r);
    conduit->wants_write = r == SSL_ERROR_WANT_WRITE;
    return r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

void conduit_connect(struct conduit *conduit, int inner)
{
    conduit->state = CONDUIT_RELAYING;
    conduit->inner.fd = inner;
    conduit->wants_write = false;
    conduit->deadline_ms = 0;
    conduit->has_more = true; /* what came with the end of the handshake */
}

/* --- what is kept ----------------------------------------------------------------------------- */

static bool is_empty(const struct conduit_rest *rest)
{
    return rest->bytes == NULL;
}

static void drop(struct conduit_rest *rest)
{
    free(rest->bytes);
    *rest = (struct conduit_rest){0};
}

static bool keep(struct conduit_rest *rest, const char *bytes, size_t length)
{
    rest->bytes = malloc(length);
    if (!rest->bytes)
        return false;
    memcpy(rest->bytes, bytes, length);
    rest->length = length;
    rest->taken = 0;
    return true;
}

/* --- sending: each returns how much was taken, or -1 when nothing ever will be -----------------
 */

static ssize_t send_inner(struct conduit *conduit, const char *bytes, size_t length)
{
    size_t sent = 0;

    while (sent < length) {
        ssize_t r = send(conduit->inner.fd, bytes + sent, length - sent, MSG_NOSIGNAL);

        if (r < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        if (r < 0 && errno == EAGAIN)
            break;
        sent += r > 0 ? (size_t)r : 0;
    }
    return (ssize_t)sent;
}

static ssize_t send_outer(struct conduit *conduit, const char *bytes, size_t length)
{
    size_t sent = 0;

    while (sent < length) {
        size_t taken = 0;
        int r;

        ERR_clear_error();
        r = SSL_write_ex(conduit->session, bytes + sent, length - sent, &taken);
        if (r != 1) {
            r = SSL_get_error(conduit->session, r);
            return r == SSL_ERROR_WANT_WRITE || r == SSL_ERROR_WANT_READ ? (ssize_t)sent : -1;
        }
        sent += taken;
    }
    return (ssize_t)sent;
}

/* A client gets the end of the connection in words, if it can take them at once. */
static void finish(struct conduit *conduit)
{
    ERR_clear_error();
    (void)SSL_shutdown(conduit->session);
    conduit_close(conduit);
}

/* --- from gRPC to the client ------------------------------------------------------------------ */

/* gRPC has let go of its end.  What it said before is still to be sent, but not for ever: a client
 * that does not read is why connections are cut. */
static void cut_inner(struct conduit *conduit)
{
    conduit->is_cut = true;
    conduit->deadline_ms = beat_clock_ms() + FLUSH_MS;
}

static void end_inner(struct conduit *conduit)
{
    conduit->inner_ended = conduit->outer_ended = true;
    conduit->has_more = false;
    drop(&conduit->to_inner);
    if (!conduit->is_cut)
        cut_inner(conduit);
}

/* Returns false when the client takes no more for now, or for ever. */
static bool pass_out(struct conduit *conduit, const char *bytes, size_t length)
{
    ssize_t sent = send_outer(conduit, bytes, length);

    if (sent >= 0 && (size_t)sent == length)
        return true;
    if (sent < 0 || !keep(&conduit->to_outer, bytes + sent, length - (size_t)sent))
        conduit_close(conduit);
    return false;
}

static bool flush_out(struct conduit *conduit)
{
    struct conduit_rest rest = conduit->to_outer;
    ssize_t sent;

    if (is_empty(&rest))
        return true;
    sent = send_outer(conduit, rest.bytes + rest.taken, rest.length - rest.taken);
    if (sent < 0) {
        conduit_close(conduit);
        return false;
    }
    conduit->to_outer.taken += (size_t)sent;
    if (conduit->to_outer.taken < rest.length)
        return false;
    drop(&conduit->to_outer);
    return true;
}

static void pump_out(struct conduit *conduit, char *scratch)
{
    for (unsigned i = 0; i < TURNS_MAX && flush_out(conduit) && !conduit->inner_ended; i++) {
        ssize_t got = recv(conduit->inner.fd, scratch, CONDUIT_SCRATCH, 0);

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0)
            end_inner(conduit);
        else if (!pass_out(conduit, scratch, (size_t)got) || got < CONDUIT_SCRATCH)
            return;
    }
    if (conduit->state != CONDUIT_CLOSED && conduit->inner_ended && is_empty(&conduit->to_outer))
        finish(conduit);
}

/* --- from the client to gRPC ------------------------------------------------------------------ */

static bool pass_in(struct conduit *conduit, const char *bytes, size_t length)
{
    ssize_t sent = send_inner(conduit, bytes, length);

    if (sent >= 0 && (size_t)sent == length)
        return true;
    if (sent < 0) /* gRPC has gone; its last words are read next */
        conduit->outer_ended = true;
    else if (!keep(&conduit->to_inner, bytes + sent, length - (size_t)sent))
        conduit_close(conduit);
    return false;
}

static bool flush_in(struct conduit *conduit)
{
    struct conduit_rest *rest = &conduit->to_inner;
    ssize_t sent;

    if (is_empty(rest))
        return true;
    sent = send_inner(conduit, rest->bytes + rest->taken, rest->length - rest->taken);
    if (sent < 0) {
        conduit->outer_ended = true;
        drop(rest);
        return false;
    }
    rest->taken += (size_t)sent;
    if (rest->taken < rest->length)
        return false;
    drop(rest);
    return true;
}

/* The client has said all it will say; or the connection is broken, when it takes nothing either.
 */
static void end_outer(struct conduit *conduit, int error)
{
    conduit->outer_ended = true;
    if (error == SSL_ERROR_ZERO_RETURN)
        (void)shutdown(conduit->inner.fd, SHUT_WR);
    else
        conduit_close(conduit);
}

static void pump_in(struct conduit *conduit, char *scratch)
{
    conduit->has_more = false;
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        size_t got;
        int r;

        if (!flush_in(conduit) || conduit->outer_ended)
            return;
        ERR_clear_error();
        r = SSL_read_ex(conduit->session, scratch, CONDUIT_SCRATCH, &got);
        if (r != 1) {
            r = SSL_get_error(conduit->session, r);
            conduit->wants_write = r == SSL_ERROR_WANT_WRITE;
            if (r != SSL_ERROR_WANT_READ && r != SSL_ERROR_WANT_WRITE)
                end_outer(conduit, r);
            return;
        }
        /* epoll knows about what is still in the socket, but not of what the library has read */
        if (!pass_in(conduit, scratch, got) || !SSL_has_pending(conduit->session))
            return;
    }
    conduit->has_more = true;
}

void conduit_turn(struct conduit *conduit, const struct conduit_end *end, uint32_t events,
                  char *scratch)
{
    if (end == &conduit->inner && events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR) && !conduit->is_cut)
        cut_inner(conduit);
    if (end == &conduit->outer || conduit->has_more || !is_empty(&conduit->to_inner))
        pump_in(conduit, scratch);
    if (conduit->state != CONDUIT_CLOSED &&
        (end == &conduit->inner || !is_empty(&conduit->to_outer)))
        pump_out(conduit, scratch);
}

/* --- epoll ------------------------------------------------------------------------------------ */

static uint32_t wanted_outer(const struct conduit *conduit)
{
    uint32_t events = 0;

    if (conduit->wants_write || !is_empty(&conduit->to_outer))
        events |= EPOLLOUT;
    if (conduit->state == CONDUIT_SHAKING ? !conduit->wants_write
                                          : !conduit->outer_ended && is_empty(&conduit->to_inner))
        events |= EPOLLIN;
    return events;
}

/* A conduit that has more to read waits for nothing: its inner socket can be written to.  That the
 * connection was cut has to be seen also while nothing is read. */
static uint32_t wanted_inner(const struct conduit *conduit)
{
    uint32_t events = conduit->is_cut ? 0 : EPOLLRDHUP;

    if (conduit->has_more || !is_empty(&conduit->to_inner))
        events |= EPOLLOUT;
    if (!conduit->inner_ended && is_empty(&conduit->to_outer))
        events |= EPOLLIN;
    return events;
}

/* A socket for which nothing is wanted leaves the set: epoll would report its end again and again.
 */
static int watch_end(int epoll, struct conduit_end *end, uint32_t wanted)
{
    struct epoll_event event = {.events = wanted, .data.ptr = end};
    int operation = EPOLL_CTL_MOD;

    if (end->fd < 0 || end->events == wanted)
        return 0;
    if (wanted == 0)
        operation = EPOLL_CTL_DEL;
    else if (end->events == 0)
        operation = EPOLL_CTL_ADD;
    end->events = wanted;
    return epoll_ctl(epoll, operation, end->fd, &event);
}

void conduit_watch(struct conduit *conduit)
{
    if (conduit->state == CONDUIT_CLOSED)
        return;
    if (watch_end(conduit->epoll, &conduit->outer, wanted_outer(conduit)) < 0 ||
        watch_end(conduit->epoll, &conduit->inner, wanted_inner(conduit)) < 0)
        conduit_close(conduit);
}
