/* SPDX-License-Identifier: Apache-2.0 */
#include "local_capture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "filters.h"
#include "keeper.h"
#include "load_error.h"
#include "objects.h"

struct hook {
    int link;
    bool native;
};

struct local_capture {
    int program; /* of the devices; -1 once sealed */
    int keeper;  /* likewise */
    bool sealed;
    int track_links[TRACKERS][TRACKER_PROGRAMS];
    struct hook *hooks;
    size_t hook_count;
    struct capture_maps maps;
};

/* --- what the programs shall do --------------------------------------------------------------- */

static struct filters filters_of(const struct local_capture_config *config)
{
    return (struct filters){
        .any_port = config->any_port,
        .ports = config->ports,
        .port_count = config->port_count,
        .prefixes = config->prefixes,
        .prefix_count = config->prefix_count,
    };
}

/* As one that is used from the moment that it is there. */
static int write_meta(const struct local_capture *capture, struct diag *diag)
{
    struct capture_meta meta;
    int r = capture_meta_describe(&capture->maps, &meta);

    if (r == 0) {
        meta.state = CAPTURE_RUNNING;
        meta.tracked = 1;
        meta.generation = 1;
        r = keeper_write_meta(capture->keeper, &meta);
    }
    if (r < 0)
        return diag_set(diag, r, "cannot describe the capture maps: %s", strerror(-r));
    return 0;
}

/* The filters are last: until then the programs do nothing. */
static int write_maps(const struct local_capture *capture,
                      const struct local_capture_config *config, struct diag *diag)
{
    const struct capture_config on = {.enabled = 1, .tracked = 1};
    const struct filters filters = filters_of(config);
    int r = write_meta(capture, diag);

    return r < 0 ? r : filters_write(&filters, &on, &capture->maps, capture->keeper, diag);
}

/* --- where they do it ------------------------------------------------------------------------- */

/* A BTF tracepoint is opened by the raw call.  The link holds the program. */
static int attach_tracker(struct local_capture *capture, unsigned copy, struct diag *diag)
{
    int programs[TRACKER_PROGRAMS];
    int r = objects_load_tracker(copy, &capture->maps, programs, diag);

    if (r < 0)
        return r;
    for (unsigned program = 0; program < TRACKER_PROGRAMS; program++) {
        CLEANUP(closep) int fd = programs[program];
        int link = r < 0 ? r : bpf_raw_tracepoint_open(NULL, fd);

        if (link < 0)
            r = diag_set(diag, link, "cannot attach to the kernel's socket events: %s",
                         strerror(-link));
        else
            capture->track_links[copy][program] = link;
    }
    return r;
}

static int attach_trackers(struct local_capture *capture, struct diag *diag)
{
    for (unsigned copy = 0; copy < TRACKERS; copy++) {
        int r = attach_tracker(capture, copy, diag);

        if (r < 0)
            return r;
    }
    return 0;
}

/* Returns 0 for a device whose frames start with an Ethernet header. */
static int check_link_type(const char *name, struct diag *diag)
{
    CLEANUP(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        return diag_set(diag, -errno, "%s: cannot read the type of the device: %s", name,
                        strerror(errno));
    if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER &&
        request.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK)
        return diag_set(diag, -EOPNOTSUPP,
                        "%s: not an Ethernet device (tunnels such as WireGuard carry bare IP "
                        "packets); attach to "
                        "the device below it",
                        name);
    return 0;
}

static int link_create(int program, unsigned ifindex, uint32_t flags)
{
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);

    return bpf_link_create(program, (int)ifindex, BPF_XDP, &options);
}

/* In the driver where it can; some drivers have XDP and refuse it for their present settings (MTU,
 * queues). */
static int attach_xdp(int program, unsigned ifindex)
{
    int link = link_create(program, ifindex, 0);

    if (link >= 0 || link == -EBUSY || link == -EEXIST || link == -EPERM || link == -EACCES ||
        link == -ENODEV)
        return link;
    return link_create(program, ifindex, XDP_FLAGS_SKB_MODE);
}

static bool is_native(unsigned ifindex)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);

    return bpf_xdp_query((int)ifindex, 0, &query) == 0 && query.attach_mode == XDP_ATTACHED_DRV;
}

static int attach_device(struct local_capture *capture, const char *name, struct diag *diag)
{
    struct hook *hook = &capture->hooks[capture->hook_count];
    unsigned ifindex = if_nametoindex(name);
    int r;

    if (ifindex == 0)
        return attach_error(diag, -ENODEV, name, ifindex);
    r = check_link_type(name, diag);
    if (r < 0)
        return r;
    r = attach_xdp(capture->program, ifindex);
    if (r < 0)
        return attach_error(diag, r, name, ifindex);
    *hook = (struct hook){.link = r, .native = is_native(ifindex)};
    capture->hook_count++;
    return 0;
}

static int attach_devices(struct local_capture *capture, const struct local_capture_config *config,
                          struct diag *diag)
{
    capture->hooks = calloc(config->interface_count + 1, sizeof(*capture->hooks));
    if (!capture->hooks)
        return diag_set(diag, -ENOMEM, "no memory");
    for (size_t i = 0; i < config->interface_count; i++) {
        int r = attach_device(capture, config->interfaces[i], diag);

        if (r < 0)
            return r;
    }
    return 0;
}

static int check_config(const struct local_capture_config *config, struct diag *diag)
{
    const struct filters filters = filters_of(config);
    int r = filters_check(&filters, diag);

    if (r < 0)
        return r;
    for (size_t i = 0; i < config->interface_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(config->interfaces[i], config->interfaces[j]) == 0)
                return diag_set(diag, -EINVAL, "%s: named twice", config->interfaces[i]);
    return 0;
}

static int load_keeper(struct local_capture *capture, struct diag *diag)
{
    int r = objects_load_hook(OBJECT_KEEPER, &capture->maps, diag);

    if (r < 0)
        return r;
    capture->keeper = r;
    r = capture_secret_draw(&capture->maps);
    if (r == 0)
        r = keeper_freeze_maps(&capture->maps);
    return r < 0 ? diag_set(diag, r, "cannot freeze the capture maps: %s", strerror(-r)) : 0;
}

static int load(struct local_capture *capture, const struct local_capture_config *config,
                struct diag *diag)
{
    const struct map_sizes sizes = {.pending = config->max_pending, .live = config->max_live};
    int r = objects_make_maps(&sizes, &capture->maps, diag);

    if (r == 0)
        r = objects_load_hook(OBJECT_XDP, &capture->maps, diag);
    if (r < 0)
        return r;
    capture->program = r;
    return load_keeper(capture, diag);
}

int local_capture_start(const struct local_capture_config *config,
                        struct local_capture **ret_capture, struct diag *diag)
{
    CLEANUP(local_capture_freep) struct local_capture *capture = NULL;
    int r = check_config(config, diag);

    if (r < 0)
        return r;
    capture = calloc(1, sizeof(*capture));
    if (!capture)
        return diag_set(diag, -ENOMEM, "no memory");
    memset(capture->track_links, -1, sizeof(capture->track_links));
    capture->program = capture->keeper = -1;
    capture_maps_init(&capture->maps);
    r = load(capture, config, diag);
    if (r == 0)
        r = write_maps(capture, config, diag);
    if (r == 0)
        r = attach_trackers(capture, diag);
    if (r == 0)
        r = attach_devices(capture, config, diag);
    if (r < 0)
        return r;
    *ret_capture = TAKE_PTR(capture);
    return 0;
}

/* --- without the means to do more ------------------------------------------------------------- */

/* A second descriptor, good for reading only where we may ask for one, which takes root. */
static int reopen_read_only(int fd)
{
    LIBBPF_OPTS(bpf_get_fd_by_id_opts, options, .open_flags = BPF_F_RDONLY);
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);
    int r = bpf_obj_get_info_by_fd(fd, &info, &length);

    if (r < 0)
        return r;
    r = bpf_map_get_fd_by_id_opts(info.id, &options);
    if (r != -EPERM)
        return r;
    r = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return r < 0 ? -errno : r;
}

static int reopen_maps(const struct capture_maps *from, struct capture_maps *to)
{
    for (enum capture_map map = 0; map < MAP_COUNT_; map++) {
        int r;

        if (from->fd[map] < 0 || map == MAP_SECRET)
            continue;
        r = capture_map_freeze(from, map);
        if (r == 0)
            r = reopen_read_only(from->fd[map]);
        if (r < 0)
            return r;
        to->fd[map] = r;
    }
    return 0;
}

int local_capture_seal(struct local_capture *capture, struct diag *diag)
{
    CLEANUP(capture_maps_close) struct capture_maps maps;
    struct capture_maps writable;
    int r;

    capture_maps_init(&maps);
    if (capture->sealed)
        return 0;
    r = reopen_maps(&capture->maps, &maps);
    if (r < 0)
        return diag_set(diag, r, "cannot make the capture maps read-only: %s", strerror(-r));
    writable = capture->maps;
    capture->maps = maps;
    maps = writable; /* closed on return */
    closep(&capture->program);
    closep(&capture->keeper);
    capture->program = capture->keeper = -1;
    capture->sealed = true;
    return 0;
}

/* --- and the rest ----------------------------------------------------------------------------- */

const struct capture_maps *local_capture_get_maps(const struct local_capture *capture)
{
    return &capture->maps;
}

int local_capture_program(const struct local_capture *capture)
{
    return capture->program;
}

int local_capture_keeper(const struct local_capture *capture)
{
    return capture->keeper;
}

const char *local_capture_mode(const struct local_capture *capture, size_t interface)
{
    return capture->hooks[interface].native ? "xdp native" : "xdp generic";
}

int local_capture_counters(const struct local_capture *capture,
                           uint64_t ret_counters[COUNTER_COUNT_])
{
    uint64_t sum[COUNTER_COUNT_] = {0}, part[COUNTER_COUNT_];

    for (unsigned index = 0; index < COUNTERS_SIZE; index++) {
        int r = capture_counters_read(&capture->maps, (enum syn_hook)(index / 2), index % 2 ? 6 : 4,
                                      part);

        if (r < 0)
            return r;
        for (int i = 0; i < COUNTER_COUNT_; i++)
            sum[i] += part[i];
    }
    memcpy(ret_counters, sum, sizeof(sum));
    return 0;
}

void local_capture_freep(struct local_capture **slot)
{
    struct local_capture *capture = TAKE_PTR(*slot);

    if (!capture)
        return;
    for (size_t i = 0; i < capture->hook_count; i++)
        closep(&capture->hooks[i].link);
    for (unsigned copy = 0; copy < TRACKERS; copy++)
        for (unsigned program = 0; program < TRACKER_PROGRAMS; program++)
            closep(&capture->track_links[copy][program]);
    closep(&capture->program);
    closep(&capture->keeper);
    capture_maps_close(&capture->maps);
    free(capture->hooks);
    free(capture);
}
