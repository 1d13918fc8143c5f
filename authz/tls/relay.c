/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "beat.h"
#include "cleanup.h"
#include "conduit.h"
#include "credentials.h"

enum { EVENTS_MAX = 64 };

struct relay {
    struct relay_config config;
    int epoll, wake; /* `wake`: something is in `incoming`, or it is time to end */
    pthread_t thread;
    struct beat beat;
    atomic_bool is_ending;
    atomic_uint_fast64_t added, accepted, refused, open;
    atomic_uint_fast64_t last_ms; /* when it ends at the latest: beat_clock_ms() */

    pthread_mutex_t lock; /* of the next two; held while a connection is handed over */
    bool door_is_closed;
    struct conduit *incoming; /* linked by `next` */

    /* the thread's alone */
    struct conduit *conduits; /* linked both ways */
    struct conduit *closed;   /* linked by `next`; events of this turn may still point to them */
    uint64_t next_sweep_ms;
    char scratch[CONDUIT_SCRATCH];
};

/* --- the list --------------------------------------------------------------------------------- */

static void link_in(struct relay *relay, struct conduit *conduit)
{
    conduit->previous = NULL;
    conduit->next = relay->conduits;
    if (conduit->next)
        conduit->next->previous = conduit;
    relay->conduits = conduit;
}

static void unlink_from(struct relay *relay, struct conduit *conduit)
{
    if (conduit->previous)
        conduit->previous->next = conduit->next;
    else
        relay->conduits = conduit->next;
    if (conduit->next)
        conduit->next->previous = conduit->previous;
}

static void bury(struct relay *relay, struct conduit *conduit)
{
    unlink_from(relay, conduit);
    conduit->next = relay->closed;
    relay->closed = conduit;
}

static void free_list(struct relay *relay, struct conduit *conduit)
{
    while (conduit) {
        struct conduit *next = conduit->next;

        if (conduit->state != CONDUIT_CLOSED)
            conduit_close(conduit);
        conduit_free(conduit);
        atomic_fetch_sub(&relay->open, 1);
        conduit = next;
    }
}

/* --- handshakes ------------------------------------------------------------------------------- */

/* Those that were added are read first: what ends meanwhile makes it no less than 0. */
static uint64_t handshakes_under_way(struct relay *relay)
{
    const uint64_t added = atomic_load(&relay->added);
    const uint64_t ended = atomic_load(&relay->accepted) + atomic_load(&relay->refused);

    return added > ended ? added - ended : 0;
}

static void refuse(struct relay *relay, struct conduit *conduit, const char *why)
{
    atomic_fetch_add(&relay->refused, 1);
    relay->config.on_refused(relay->config.context, conduit->outer.fd, why);
    conduit_close(conduit);
}

/* Returns 0 and both ends, or a word why not. */
static const char *make_pair(const struct relay *relay, int ret_pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_pair) < 0)
        return "no descriptor is free for it";
    if (ret_pair[0] < relay->config.descriptor_limit)
        return NULL;
    closep(&ret_pair[0]);
    closep(&ret_pair[1]);
    return "too many connections";
}

static void hand_over(struct relay *relay, struct conduit *conduit)
{
    int pair[2];
    const char *why = make_pair(relay, pair);
    bool is_open;

    if (why) {
        refuse(relay, conduit, why);
        return;
    }
    conduit_connect(conduit, pair[1]);
    (void)pthread_mutex_lock(&relay->lock);
    is_open = !relay->door_is_closed;
    if (is_open)
        relay->config.on_connection(relay->config.context, pair[0]);
    (void)pthread_mutex_unlock(&relay->lock);
    if (is_open) {
        atomic_fetch_add(&relay->accepted, 1);
        return;
    }
    closep(&pair[0]);
    conduit_close(conduit);
}

static void shake(struct relay *relay, struct conduit *conduit)
{
    char why[HANDSHAKE_WHY_MAX];
    int r = conduit_shake(conduit);

    if (r == 0)
        return;
    if (r < 0) {
        credentials_explain(conduit->session, why);
        refuse(relay, conduit, why);
    } else if (!credentials_speaks_h2(conduit->session)) {
        refuse(relay, conduit, "it does not speak HTTP/2 (ALPN h2)");
    } else {
        hand_over(relay, conduit);
    }
}

/* --- the loop --------------------------------------------------------------------------------- */

static void attend(struct relay *relay, struct conduit_end *end, uint32_t events)
{
    struct conduit *conduit = end->conduit;

    if (conduit->state == CONDUIT_CLOSED) /* by an event of its other end in this turn */
        return;
    if (conduit->state == CONDUIT_SHAKING)
        shake(relay, conduit);
    else
        conduit_turn(conduit, end, events, relay->scratch);
    conduit_watch(conduit);
    if (conduit->state == CONDUIT_CLOSED)
        bury(relay, conduit);
}

static void expire(struct relay *relay, struct conduit *conduit, const char *why)
{
    if (conduit->state == CONDUIT_SHAKING)
        refuse(relay, conduit, why);
    else
        conduit_close(conduit);
    bury(relay, conduit);
}

static struct conduit *oldest_handshake(const struct relay *relay)
{
    struct conduit *oldest = NULL;

    for (struct conduit *conduit = relay->conduits; conduit; conduit = conduit->next)
        if (conduit->state == CONDUIT_SHAKING &&
            (!oldest || conduit->deadline_ms < oldest->deadline_ms))
            oldest = conduit;
    return oldest;
}

static void limit_handshakes(struct relay *relay)
{
    struct conduit *oldest;

    while (relay->config.handshakes_max &&
           handshakes_under_way(relay) > relay->config.handshakes_max &&
           (oldest = oldest_handshake(relay)))
        expire(relay, oldest, "too many handshakes at once, and its is the oldest");
}

static void take_in(struct relay *relay)
{
    struct conduit *conduit;
    eventfd_t unused;

    (void)eventfd_read(relay->wake, &unused);
    (void)pthread_mutex_lock(&relay->lock);
    conduit = relay->incoming;
    relay->incoming = NULL;
    (void)pthread_mutex_unlock(&relay->lock);
    while (conduit) {
        struct conduit *next = conduit->next;

        link_in(relay, conduit);
        attend(relay, &conduit->outer, 0);
        conduit = next;
    }
    limit_handshakes(relay);
}

/* Once a second is enough for deadlines of seconds. */
static void sweep(struct relay *relay)
{
    const uint64_t now_ms = beat_clock_ms();
    struct conduit *next;

    if (now_ms < relay->next_sweep_ms)
        return;
    relay->next_sweep_ms = now_ms + BEAT_EVERY_MS;
    for (struct conduit *conduit = relay->conduits; conduit; conduit = next) {
        next = conduit->next;
        if (conduit->deadline_ms && now_ms >= conduit->deadline_ms)
            expire(relay, conduit, "its handshake took too long");
    }
}

/* While it ends, handshakes are of no more use. */
static void drop_handshakes(struct relay *relay)
{
    struct conduit *next;

    for (struct conduit *conduit = relay->conduits; conduit; conduit = next) {
        next = conduit->next;
        if (conduit->state == CONDUIT_SHAKING) {
            conduit_close(conduit);
            bury(relay, conduit);
        }
    }
}

static bool has_ended(struct relay *relay)
{
    if (!atomic_load(&relay->is_ending))
        return false;
    drop_handshakes(relay);
    return !relay->conduits || beat_clock_ms() >= atomic_load(&relay->last_ms);
}

static void turn(struct relay *relay, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(relay->epoll, events, EVENTS_MAX, timeout_ms);

    beat_now(&relay->beat);
    for (int i = 0; i < count; i++)
        if (events[i].data.ptr)
            attend(relay, events[i].data.ptr, events[i].events);
        else
            take_in(relay);
    sweep(relay);
    free_list(relay, TAKE_PTR(relay->closed));
}

static void *run(void *context)
{
    enum { ENDING_STEP_MS = 20 };
    struct relay *relay = context;

    (void)pthread_setname_np(pthread_self(), "tls");
    while (!has_ended(relay))
        turn(relay, atomic_load(&relay->is_ending) ? ENDING_STEP_MS : BEAT_EVERY_MS);
    free_list(relay, TAKE_PTR(relay->closed));
    free_list(relay, TAKE_PTR(relay->conduits));
    return NULL;
}

/* --- for others ------------------------------------------------------------------------------- */

static void relay_freep(struct relay **slot)
{
    struct relay *relay = TAKE_PTR(*slot);

    if (!relay)
        return;
    free_list(relay, relay->incoming); /* too late for the thread */
    closep(&relay->wake);
    closep(&relay->epoll);
    (void)pthread_mutex_destroy(&relay->lock);
    free(relay);
}

/* Without signals: also without SIGPIPE, which the library's writes would raise. */
static int start_thread(struct relay *relay)
{
    sigset_t all, before;
    int r;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&relay->thread, NULL, run, relay);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

int relay_start(const struct relay_config *config, struct relay **ret_relay)
{
    CLEANUP(relay_freep) struct relay *relay = calloc(1, sizeof(*relay));
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = NULL};
    int r;

    if (!relay)
        return -ENOMEM;
    relay->config = *config;
    if (!relay->config.handshake_ms)
        relay->config.handshake_ms = RELAY_HANDSHAKE_MS;
    (void)pthread_mutex_init(&relay->lock, NULL);
    relay->epoll = epoll_create1(EPOLL_CLOEXEC);
    relay->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (relay->epoll < 0 || relay->wake < 0 ||
        epoll_ctl(relay->epoll, EPOLL_CTL_ADD, relay->wake, &wake) < 0)
        return -errno;
    r = start_thread(relay);
    if (r < 0)
        return r;
    *ret_relay = TAKE_PTR(relay);
    return 0;
}

int relay_add(struct relay *relay, int outer, struct ssl_st *session)
{
    struct conduit *conduit = session ? conduit_new(relay->epoll, outer, session,
                                                    beat_clock_ms() + relay->config.handshake_ms)
                                      : NULL;

    if (!conduit) {
        credentials_end_session(session);
        closep(&outer);
        return -ENOMEM;
    }
    atomic_fetch_add(&relay->added, 1);
    atomic_fetch_add(&relay->open, 1);
    (void)pthread_mutex_lock(&relay->lock);
    conduit->next = relay->incoming;
    relay->incoming = conduit;
    (void)pthread_mutex_unlock(&relay->lock);
    (void)eventfd_write(relay->wake, 1);
    return 0;
}

void relay_close_door(struct relay *relay, unsigned patience_ms)
{
    for (unsigned waited = 0; waited < patience_ms && handshakes_under_way(relay) > 0; waited++)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    (void)pthread_mutex_lock(&relay->lock);
    relay->door_is_closed = true;
    (void)pthread_mutex_unlock(&relay->lock);
}

void relay_stop(struct relay **slot, unsigned flush_ms)
{
    struct relay *relay = TAKE_PTR(*slot);

    if (!relay)
        return;
    relay_close_door(relay, 0);
    atomic_store(&relay->last_ms, beat_clock_ms() + flush_ms);
    atomic_store(&relay->is_ending, true);
    (void)eventfd_write(relay->wake, 1);
    (void)pthread_join(relay->thread, NULL);
    relay_freep(&relay);
}

struct relay_counts relay_get_counts(struct relay *relay)
{
    return (struct relay_counts){
        .accepted = atomic_load(&relay->accepted),
        .refused = atomic_load(&relay->refused),
        .open = atomic_load(&relay->open),
    };
}

uint64_t relay_silence_ms(const struct relay *relay)
{
    return beat_age_ms(&relay->beat);
}
