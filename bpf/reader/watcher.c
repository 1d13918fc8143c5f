/* SPDX-License-Identifier: Apache-2.0 */
#include "watcher.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "flow_key.h"
#include "node_hops.h"
#include "pin_names.h"
#include "pin_reader.h"
#include "trusted_path.h"

/* Longer than a step, so that a lease does not end between two. */
#define LEASE_NS UINT64_C(3000000000)

struct watcher {
    char *pin_dir;
    watcher_fn visit;
    void *context;
    int lock;
    struct capture_maps maps;
    unsigned id; /* of the map `meta` */
    struct capture_meta meta;
    struct ring_buffer *ring;
    uint64_t renewed_ns;  /* when the lease was, and the pins were looked at */
    unsigned visits, max; /* in this step */
    bool ignores;         /* what is left from before */
};

/* --- one at a time ---------------------------------------------------------------------------- */

static int open_lock(const char *pin_dir, int *ret_fd)
{
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    CLEANUP(closep) int dir = -1;
    struct stat status;
    int fd, r = trusted_path_find(pin_dir, &place, NULL);

    if (r < 0)
        return r;
    dir = trusted_path_open(&place);
    if (dir < 0)
        return dir;
    if (mkdirat(dir, PIN_LOCK_WATCH, 0700) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(dir, PIN_LOCK_WATCH, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0 || status.st_uid != 0 || (status.st_mode & 0077)) {
        (void)close(fd);
        return -EPERM; /* others could hold the lock for ever */
    }
    *ret_fd = fd;
    return 0;
}

static int take_lock(struct watcher *watcher, struct diag *diag)
{
    int r = open_lock(watcher->pin_dir, &watcher->lock);

    if (r == -EACCES || r == -EPERM || r == -EROFS)
        return diag_set(diag, r,
                        "%s/" PIN_LOCK_WATCH ": %s: watching takes what the agent has: run it as "
                        "root, beside the agent",
                        watcher->pin_dir, strerror(-r));
    if (r < 0)
        return diag_set(diag, r, "%s/" PIN_LOCK_WATCH ": %s", watcher->pin_dir, strerror(-r));
    if (flock(watcher->lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return diag_set(diag, -EBUSY,
                        "somebody else watches %s already: each event reaches one watcher only; "
                        "end the other `synauthz watch` first",
                        watcher->pin_dir);
    return 0;
}

/* --- events ----------------------------------------------------------------------------------- */

static struct syn_answer answer_of(const struct watcher *watcher, const struct watch_event *event)
{
    static const struct syn_answer ANSWERS[] = {
        [WATCH_VERIFIED] = {.state = SYN_STATE_VERIFIED},
        [WATCH_NO_SYN] = {.state = SYN_STATE_MISSING, .reason = SYN_REASON_NO_SYN},
        [WATCH_AMBIGUOUS] = {.state = SYN_STATE_AMBIGUOUS},
        [WATCH_MAP_FULL] = {.state = SYN_STATE_MISSING, .reason = SYN_REASON_MAP_FULL},
        [WATCH_CAPTURED] = {.state = SYN_STATE_CAPTURED, .reason = SYN_REASON_UNTRACKED},
    };
    struct syn_answer answer = {.state = SYN_STATE_UNAVAILABLE, .reason = SYN_REASON_MAP_ERROR};
    struct capture_config config;

    if (event->state < sizeof(ANSWERS) / sizeof(ANSWERS[0]))
        answer = ANSWERS[event->state];
    if (!syn_state_has_syn(answer.state))
        return answer;
    syn_from_record(&event->syn, &answer.syn);
    if (syn_is_behind_routers(&event->syn, event->netns, watcher->meta.host_netns) &&
        bpf_map_lookup_elem(watcher->maps.fd[MAP_CONFIG], &(uint32_t){0}, &config) == 0)
        answer.syn.node_hops = node_hops_of(&config);
    return answer;
}

/* libbpf stops at a negative result, behind this event. */
static int on_event(void *context, void *data, size_t size)
{
    struct watcher *watcher = context;
    const struct watch_event *event = data;
    struct syn_answer answer;
    struct flow flow;

    if (watcher->ignores || size < sizeof(*event))
        return 0;
    flow = flow_from_tuple_key(&event->key);
    answer = answer_of(watcher, event);
    watcher->visit(&flow, &answer, watcher->context);
    return ++watcher->visits < watcher->max ? 0 : -ECANCELED;
}

static int lease_until(const struct watcher *watcher, uint64_t until_ns)
{
    const struct watch_lease lease = {.until_ns = until_ns};

    return bpf_map_update_elem(watcher->maps.fd[MAP_WATCH], &(uint32_t){0}, &lease, BPF_ANY) < 0
               ? -errno
               : 0;
}

/* --- sets of maps ----------------------------------------------------------------------------- */

static void close_set(struct watcher *watcher)
{
    ring_buffer__free(watcher->ring);
    watcher->ring = NULL;
    if (watcher->maps.fd[MAP_WATCH] >= 0)
        (void)lease_until(watcher, 0); /* if not, it ends by itself */
    capture_maps_close(&watcher->maps);
    watcher->id = 0;
}

static int start_ring(struct watcher *watcher)
{
    int r;

    watcher->ring = ring_buffer__new(watcher->maps.fd[MAP_EVENTS], on_event, watcher, NULL);
    if (!watcher->ring)
        return -errno;
    watcher->ignores = true;
    r = ring_buffer__consume(watcher->ring);
    watcher->ignores = false;
    return r < 0 ? r : lease_until(watcher, boot_time_ns() + LEASE_NS);
}

static int open_set(struct watcher *watcher, struct diag *diag)
{
    int r = pin_reader_open_watch(watcher->pin_dir, &watcher->maps, diag);

    if (r < 0)
        return r;
    watcher->id = pin_reader_map_id(watcher->maps.fd[MAP_META]);
    r = capture_meta_read(&watcher->maps, &watcher->meta);
    if (r == 0)
        r = start_ring(watcher);
    if (r < 0) {
        close_set(watcher);
        return diag_set(diag, r, "%s: cannot read events: %s", watcher->pin_dir, strerror(-r));
    }
    return 0;
}

/* Events of the old set that are in its ring have been visited. */
static int follow(struct watcher *watcher, struct diag *diag)
{
    struct pin_sight sight;
    int r = pin_reader_look(watcher->pin_dir, &sight, diag);

    if (r < 0 || sight.id == watcher->id)
        return r;
    close_set(watcher);
    return open_set(watcher, diag);
}

/* --- for others ------------------------------------------------------------------------------- */

int watcher_open(const char *pin_dir, watcher_fn visit, void *context, struct watcher **ret_watcher,
                 struct diag *diag)
{
    CLEANUP(watcher_freep) struct watcher *watcher = calloc(1, sizeof(*watcher));
    struct pin_sight sight;
    int r;

    if (!watcher)
        return diag_set(diag, -ENOMEM, "out of memory");
    watcher->lock = -1;
    watcher->visit = visit;
    watcher->context = context;
    capture_maps_init(&watcher->maps);
    watcher->pin_dir = str_dup(str_from(pin_dir));
    if (!watcher->pin_dir)
        return diag_set(diag, -ENOMEM, "out of memory");
    r = pin_reader_look(pin_dir, &sight, diag); /* no folder is made where it is not the agent's */
    if (r == 0)
        r = take_lock(watcher, diag);
    if (r == 0)
        r = open_set(watcher, diag);
    if (r < 0)
        return r;
    *ret_watcher = TAKE_PTR(watcher);
    return 0;
}

void watcher_freep(struct watcher **slot)
{
    struct watcher *watcher = take_ptr(slot);

    if (!watcher)
        return;
    close_set(watcher);
    closep(&watcher->lock);
    free(watcher->pin_dir);
    free(watcher);
}

int watcher_fd(const struct watcher *watcher)
{
    return watcher->ring ? ring_buffer__epoll_fd(watcher->ring) : -1;
}

/* What is to be done now and then.  A lease that cannot be renewed ends with its set. */
static int renew(struct watcher *watcher, struct diag *diag)
{
    uint64_t now_ns = boot_time_ns();

    if (now_ns - watcher->renewed_ns < WATCHER_STEP_MS * UINT64_C(1000000))
        return 0;
    watcher->renewed_ns = now_ns;
    if (watcher->ring)
        (void)lease_until(watcher, now_ns + LEASE_NS);
    return follow(watcher, diag);
}

int watcher_step(struct watcher *watcher, unsigned max, struct diag *diag)
{
    int r = 0;

    watcher->visits = 0;
    watcher->max = max;
    if (watcher->ring)
        r = ring_buffer__consume(watcher->ring);
    if (r < 0 && r != -ECANCELED)
        return diag_set(diag, r, "cannot read events: %s", strerror(-r));
    r = renew(watcher, diag);
    return r < 0 && watcher->visits == 0 ? r : (int)watcher->visits;
}
