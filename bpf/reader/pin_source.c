/* SPDX-License-Identifier: Apache-2.0 */
#include "pin_source.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "oplog.h"
#include "pin_reader.h"
#include "pin_set.h"

enum {
    LOOK_MS = 500,       /* how often the thread looks at the pin folder */
    DRAIN_STEP_US = 200, /* how often it asks whether the last reader of a set has left */
    NO_SET = -1,
    SLOTS = 2,
    SHARD_BITS = 4, /* of a count of readers: threads on different cores count apart */
    SHARDS = 1 << SHARD_BITS,
    CACHE_LINE = 64,
};

struct shard {
    alignas(CACHE_LINE) atomic_uint readers;
};

/* A place for a set of maps; the set itself is written only while no reader can be there. */
struct slot {
    struct shard shards[SHARDS];
    struct pin_set set;
};

/* The thread swaps sets; look-ups take the current one without waiting:
 *
 *     lookup                              thread
 *       i = current                         fill slots[other]
 *       count in at slots[i]                current = other
 *       current still i?  use it            wait until slots[i] has no readers
 *       count out                           close slots[i]
 *
 * Whoever counts in too late sees that `current` has changed, and has touched nothing but the
 * count. All of it in sequentially consistent order. */
struct pin_source {
    struct syn_source base; /* first: lookup() gets its address */
    atomic_int current;     /* index, or NO_SET */
    struct slot slots[SLOTS];

    struct pin_source_config config; /* owns what it points to */

    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    bool ending;
    struct pin_source_status status;
    uint64_t heartbeat_ns; /* of the set in use; 0: none */
};

/* --- readers ---------------------------------------------------------------------------------- */

/* The same for a thread at all times, and mostly another for another thread. */
static size_t shard_of_thread(void)
{
    uint64_t hash = (uint64_t)(uintptr_t)pthread_self() * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(hash >> (64 - SHARD_BITS));
}

/* Returns the index of the set that is current, and stays until leave(); or NO_SET. */
static int enter(struct pin_source *source, size_t shard)
{
    int index;

    while ((index = atomic_load(&source->current)) != NO_SET) {
        (void)atomic_fetch_add(&source->slots[index].shards[shard].readers, 1);
        if (atomic_load(&source->current) == index)
            return index;
        (void)atomic_fetch_sub(&source->slots[index].shards[shard].readers, 1);
    }
    return NO_SET;
}

static void leave(struct pin_source *source, int index, size_t shard)
{
    (void)atomic_fetch_sub(&source->slots[index].shards[shard].readers, 1);
}

/* The interface gives a const source; of this one the counts change, and the lock. */
static struct pin_source *source_of(const struct syn_source *base)
{
    struct pin_source *source;

    memcpy(&source, &base, sizeof(source));
    return source;
}

/* Whether the set may be believed is asked last: it was so all the time. */
static void lookup(const struct syn_source *base, const struct flow *flow,
                   struct syn_answer *ret_answer)
{
    static const struct syn_answer FAULT = {.state = SYN_STATE_UNAVAILABLE,
                                            .reason = SYN_REASON_MAP_ERROR};
    struct pin_source *source = source_of(base);
    size_t shard = shard_of_thread();
    int index = enter(source, shard);
    struct pin_set *set;

    if (index == NO_SET) {
        *ret_answer = FAULT;
        return;
    }
    set = &source->slots[index].set;
    set->source->lookup(set->source, flow, ret_answer);
    if (!pin_set_is_kept_true(set))
        *ret_answer = FAULT;
    leave(source, index, shard);
}

/* --- the thread: what is known, and said ------------------------------------------------------ */

static void log_change(const struct pin_source *source, enum pin_source_state before,
                       enum pin_source_state now, const char *why)
{
    if (now == PIN_SOURCE_ABSENT)
        oplog_error("no capture to read: %s", why);
    else if (now != PIN_SOURCE_FRESH)
        oplog_error("capture in %s: %s", source->config.pin_dir, why);
    else if (before != PIN_SOURCE_ABSENT) /* else replace() has said what is read */
        oplog_info("capture in %s: as it should be again", source->config.pin_dir);
}

/* `set` is the one in use, NULL without one.  News is another state, and another reason for the
 * absence of any; the growing age of a heartbeat is none. */
static void report(struct pin_source *source, enum pin_source_state state, const char *why,
                   const struct pin_set *set)
{
    struct pin_source_status *status = &source->status;
    enum pin_source_state before;
    char text[PIN_WHY_MAX];
    bool is_news;

    (void)snprintf(text, sizeof(text), "%.*s", PIN_WHY_MAX - 1, why);
    (void)pthread_mutex_lock(&source->lock);
    before = status->state;
    is_news = before != state || (state == PIN_SOURCE_ABSENT && strcmp(status->why, text) != 0);
    status->state = state;
    status->tracked = set && set->meta.tracked;
    source->heartbeat_ns = set ? set->meta.heartbeat_ns : 0;
    memcpy(status->why, text, sizeof(text));
    (void)pthread_mutex_unlock(&source->lock);
    if (is_news)
        log_change(source, before, state, text);
}

static void report_set(struct pin_source *source, const struct pin_set *set)
{
    char why[PIN_WHY_MAX];
    enum pin_source_state state = pin_set_state(set, why);

    report(source, state, why, set);
}

static void count(struct pin_source *source, uint64_t *counter)
{
    (void)pthread_mutex_lock(&source->lock);
    ++*counter;
    (void)pthread_mutex_unlock(&source->lock);
}

/* --- the thread: what to do ------------------------------------------------------------------- */

static bool has_readers(struct slot *slot)
{
    for (size_t i = 0; i < SHARDS; i++)
        if (atomic_load(&slot->shards[i].readers) != 0)
            return true;
    return false;
}

/* Waits for the last reader of a set that is not current any more, and closes it. */
static void retire(struct pin_source *source, int index)
{
    const struct timespec step = {.tv_nsec = DRAIN_STEP_US * 1000L};

    if (index == NO_SET)
        return;
    while (has_readers(&source->slots[index]))
        (void)nanosleep(&step, NULL);
    pin_set_close(&source->slots[index].set);
}

/* Take the newest set into use, instead of whatever was.  On failure nothing has changed. */
static int replace(struct pin_source *source, struct diag *diag)
{
    int old = atomic_load(&source->current), new = old == 0;
    struct pin_set *set = &source->slots[new].set;
    int r = pin_set_open(set, &source->config, diag);

    if (r < 0) {
        if (r != -ENOENT && r != -ESTALE)
            count(source, &source->status.failures);
        return r;
    }
    atomic_store(&source->current, new);
    retire(source, old);
    count(source, &source->status.swaps);
    oplog_info("reading %s connections from %s, map %u",
               set->meta.tracked ? "tracked" : "untracked", source->config.pin_dir, set->id);
    report_set(source, set);
    return 0;
}

static void give_up(struct pin_source *source, const char *why)
{
    int old = atomic_load(&source->current);

    atomic_store(&source->current, NO_SET);
    retire(source, old);
    report(source, PIN_SOURCE_ABSENT, why, NULL);
}

/* The set in use, when there is another one now that is newer, or it is another namespace's; where
 * that cannot be opened, this one is as good as it was, and we try again. */
static void follow(struct pin_source *source, struct pin_set *set)
{
    struct pin_sight sight = {0};
    struct diag diag = {0}, why = {0};
    int r = pin_reader_look(source->config.pin_dir, &sight, &diag);

    if (r == 0 && (sight.id != set->id || pin_set_has_moved(set)) && replace(source, &why) == 0)
        return;
    pin_set_judge(set, r == 0 ? &sight : NULL);
    if (set->meta.state == CAPTURE_ENDED)
        give_up(source, "capture has ended (synauthz cleanup): start the agent");
    else if (!pin_set_is_kept_true(set))
        give_up(source, r < 0 ? diag.text
                              : "the links of its programs are not pinned any more, and no agent "
                                "runs: start the agent");
    else
        report_set(source, set);
}

static void step(struct pin_source *source)
{
    int index = atomic_load(&source->current);
    struct diag diag = {0};

    if (index != NO_SET)
        follow(source, &source->slots[index].set);
    else if (replace(source, &diag) < 0)
        report(source, PIN_SOURCE_ABSENT, diag.text[0] ? diag.text : "out of memory", NULL);
}

/* Until the next look.  Returns false when it is time to end. */
static bool rest(struct pin_source *source)
{
    struct timespec until;
    int r = 0;
    bool goes_on;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_mutex_lock(&source->lock);
    while (!source->ending && r == 0)
        r = pthread_cond_timedwait(&source->wake, &source->lock, &until);
    goes_on = !source->ending;
    (void)pthread_mutex_unlock(&source->lock);
    return goes_on;
}

static void *run(void *context)
{
    struct pin_source *source = context;

    while (rest(source))
        step(source);
    return NULL;
}

/* --- up and down ------------------------------------------------------------------------------ */

static void end_thread(struct pin_source *source)
{
    if (!source->thread_runs)
        return;
    (void)pthread_mutex_lock(&source->lock);
    source->ending = true;
    (void)pthread_cond_signal(&source->wake);
    (void)pthread_mutex_unlock(&source->lock);
    (void)pthread_join(source->thread, NULL);
}

static void config_done(struct pin_source_config *config)
{
    freep(&config->pin_dir);
    freep(&config->redirect_ports);
}

/* Returns 0 or -ENOMEM. */
static int config_copy(const struct pin_source_config *from, struct pin_source_config *ret_to)
{
    size_t ports_size = from->redirect_port_count * sizeof(*from->redirect_ports);
    CLEANUP(freep) char *pin_dir = str_dup(str_from(from->pin_dir));
    CLEANUP(freep) uint16_t *ports = malloc(ports_size ? ports_size : 1);

    if (!pin_dir || !ports)
        return -ENOMEM;
    if (ports_size)
        memcpy(ports, from->redirect_ports, ports_size);
    *ret_to = (struct pin_source_config){
        .pin_dir = TAKE_PTR(pin_dir),
        .redirect_ports = TAKE_PTR(ports),
        .redirect_port_count = from->redirect_port_count,
    };
    return 0;
}

static void source_free(struct syn_source *base)
{
    struct pin_source *source = source_of(base);

    end_thread(source);
    for (int i = 0; i < SLOTS; i++)
        pin_set_close(&source->slots[i].set);
    (void)pthread_cond_destroy(&source->wake);
    (void)pthread_mutex_destroy(&source->lock);
    config_done(&source->config);
    free(source);
}

static void source_freep(struct pin_source **source)
{
    if (*source)
        source_free(&(*source)->base);
}

static int start_thread(struct pin_source *source)
{
    sigset_t all, before;
    int r;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&source->thread, NULL, run, source);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    source->thread_runs = r == 0;
    return -r;
}

static struct pin_source *source_new(void)
{
    struct pin_source *source = aligned_alloc(CACHE_LINE, sizeof(*source));
    pthread_condattr_t attributes;

    if (!source)
        return NULL;
    memset(source, 0, sizeof(*source));
    source->base = (struct syn_source){.lookup = lookup, .free = source_free};
    atomic_init(&source->current, NO_SET);
    for (int i = 0; i < SLOTS; i++)
        pin_set_init(&source->slots[i].set);
    (void)pthread_mutex_init(&source->lock, NULL); /* none of these can fail on Linux */
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&source->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return source;
}

int pin_source_open(const struct pin_source_config *config, struct syn_source **ret_source,
                    struct diag *diag)
{
    CLEANUP(source_freep) struct pin_source *source = source_new();
    int r;

    if (!source || config_copy(config, &source->config) < 0)
        return diag_set(diag, -ENOMEM, "out of memory");
    step(source); /* what is there already is in use from the first Check on */
    r = start_thread(source);
    if (r < 0)
        return diag_set(diag, r, "cannot start the thread that follows the pins: %s", strerror(-r));
    *ret_source = &((struct pin_source *)TAKE_PTR(source))->base;
    return 0;
}

void pin_source_get_status(const struct syn_source *base, struct pin_source_status *ret_status)
{
    struct pin_source *source = source_of(base);

    (void)pthread_mutex_lock(&source->lock);
    *ret_status = source->status;
    ret_status->heartbeat_age_ns = source->heartbeat_ns ? pin_set_age_ns(source->heartbeat_ns) : 0;
    (void)pthread_mutex_unlock(&source->lock);
}
