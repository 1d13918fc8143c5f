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
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "cleanup.h"
#include "load_error.h"
#include "objects.h"

struct hook {
    int link;
    bool native;
};

struct local_capture {
    struct objects objects;
    bool sealed;
    int track_links[TRACKERS][TRACKER_PROGRAMS];
    struct hook *hooks;
    size_t hook_count;
    struct capture_maps maps; /* owned once sealed */
};

/* --- what the programs shall do --------------------------------------------------------------- */

static int set_ports(int fd, const struct local_capture_config *config)
{
    uint64_t words[PORTS_WORDS] = {0};

    if (config->any_port)
        memset(words, 0xff, sizeof(words));
    for (size_t i = 0; i < config->port_count; i++)
        words[config->ports[i] / 64] |= UINT64_C(1) << config->ports[i] % 64;
    for (uint32_t i = 0; i < PORTS_WORDS; i++) {
        int r = words[i] ? bpf_map_update_elem(fd, &i, &words[i], BPF_ANY) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

static int set_prefixes(int fd, const struct local_capture_config *config)
{
    for (size_t i = 0; i < config->prefix_count; i++) {
        const struct prefix *prefix = &config->prefixes[i];
        struct prefix_key key = {.bits = prefix->length + (prefix->addr.family == 4 ? 96u : 0u)};
        uint8_t present = 1;
        int r;

        memcpy(key.address, prefix->addr.bytes, sizeof(key.address));
        r = bpf_map_update_elem(fd, &key, &present, BPF_ANY);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_boot_id(uint8_t ret_id[16])
{
    CLEANUP(fclosep) FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    unsigned digits = 0;
    int c;

    memset(ret_id, 0, 16);
    if (!file)
        return -errno;
    while (digits < 32 && (c = fgetc(file)) != EOF) {
        if (c == '-')
            continue;
        ret_id[digits / 2] =
            (uint8_t)(ret_id[digits / 2] << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
        digits++;
    }
    return digits == 32 ? 0 : -EIO;
}

static uint32_t map_size(int fd)
{
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);

    return bpf_obj_get_info_by_fd(fd, &info, &length) < 0 ? 0 : info.max_entries;
}

static int set_meta(const struct capture_maps *maps)
{
    struct capture_meta meta = {
        .magic = META_MAGIC,
        .layout = SYN_LAYOUT,
        .pending_size = map_size(maps->pending),
        .live_size = map_size(maps->live),
    };
    struct timespec now;
    int r = read_boot_id(meta.boot_id);

    if (r < 0)
        return r;
    if (clock_gettime(CLOCK_BOOTTIME, &now) < 0)
        return -errno;
    meta.started_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return bpf_map_update_elem(maps->meta, &(uint32_t){0}, &meta, BPF_ANY);
}

/* `enabled` is set last: until then the programs do nothing. */
static int program_maps(const struct capture_maps *maps,
                        const struct local_capture_config *config, struct diag *diag)
{
    struct capture_config value = {.enabled = 1, .use_prefixes = config->prefix_count > 0};
    int r = set_ports(maps->ports, config);

    if (r == 0)
        r = set_prefixes(maps->prefixes, config);
    if (r == 0)
        r = set_meta(maps);
    if (r == 0)
        r = bpf_map_update_elem(maps->config, &(uint32_t){0}, &value, BPF_ANY);
    if (r < 0)
        return diag_set(diag, r, "cannot write the capture filters: %s", strerror(-r));
    return 0;
}

/* --- where they do it ---------------------------------------------------------------------------
 */

/* A BTF tracepoint is opened by the raw call: no libbpf object stays behind to hold the program. */
static int attach_tracker(struct local_capture *capture, unsigned copy, struct diag *diag)
{
    for (unsigned program = 0; program < TRACKER_PROGRAMS; program++) {
        int link =
            bpf_raw_tracepoint_open(NULL, objects_track_program(&capture->objects, copy, program));

        if (link < 0)
            return diag_set(diag, link, "cannot attach to the kernel's socket events: %s",
                            strerror(-link));
        capture->track_links[copy][program] = link;
    }
    return 0;
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
    r = attach_xdp(objects_xdp_program(&capture->objects), ifindex);
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
    if (!config->any_port && config->port_count == 0)
        return diag_set(diag, -EINVAL, "no port to capture: name at least one");
    if (config->prefix_count > PREFIXES_MAX)
        return diag_set(diag, -E2BIG, "%zu prefixes, at most %d are possible", config->prefix_count,
                        PREFIXES_MAX);
    for (size_t i = 0; i < config->interface_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(config->interfaces[i], config->interfaces[j]) == 0)
                return diag_set(diag, -EINVAL, "%s: named twice", config->interfaces[i]);
    return 0;
}

int local_capture_start(const struct local_capture_config *config, struct local_capture **ret_capture,
                      struct diag *diag)
{
    CLEANUP(local_capture_freep) struct local_capture *capture = NULL;
    int r = check_config(config, diag);

    if (r < 0)
        return r;
    capture = calloc(1, sizeof(*capture));
    if (!capture)
        return diag_set(diag, -ENOMEM, "no memory");
    memset(capture->track_links, -1, sizeof(capture->track_links));
    r = objects_load(&capture->objects, config->max_pending, config->max_live, diag);
    if (r < 0)
        return r;
    objects_maps(&capture->objects, &capture->maps);
    r = program_maps(&capture->maps, config, diag);
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

static void close_maps(struct capture_maps *maps)
{
    closep(&maps->pending);
    closep(&maps->live);
    closep(&maps->alias);
    closep(&maps->ports);
    closep(&maps->prefixes);
    closep(&maps->config);
    closep(&maps->meta);
    closep(&maps->counters);
}

/* Freezes the map, so that no descriptor of it can write any more, however it is got (a read-only
 * one could be pinned and opened again for writing); the programs still can.  Returns a second
 * descriptor, good for reading only where we may ask for one, which takes root. */
static int reopen_read_only(int fd)
{
    LIBBPF_OPTS(bpf_get_fd_by_id_opts, options, .open_flags = BPF_F_RDONLY);
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);
    int r = bpf_obj_get_info_by_fd(fd, &info, &length);

    if (r == 0)
        r = bpf_map_freeze(fd);
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
    const int sources[] = {from->pending,  from->live,   from->alias, from->ports,
                           from->prefixes, from->config, from->meta,  from->counters};
    int *targets[] = {&to->pending,  &to->live,   &to->alias, &to->ports,
                      &to->prefixes, &to->config, &to->meta,  &to->counters};

    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        int fd = reopen_read_only(sources[i]);

        if (fd < 0)
            return fd;
        *targets[i] = fd;
    }
    return 0;
}

int local_capture_seal(struct local_capture *capture, struct diag *diag)
{
    struct capture_maps maps = {-1, -1, -1, -1, -1, -1, -1, -1};
    int r;

    if (capture->sealed)
        return 0;
    r = reopen_maps(&capture->maps, &maps);
    if (r < 0) {
        close_maps(&maps);
        return diag_set(diag, r, "cannot make the capture maps read-only: %s", strerror(-r));
    }
    objects_done(&capture->objects);
    capture->maps = maps;
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
    return capture->sealed ? -1 : objects_xdp_program(&capture->objects);
}

const char *local_capture_mode(const struct local_capture *capture, size_t interface)
{
    return capture->hooks[interface].native ? "xdp native" : "xdp generic";
}

int local_capture_counters(const struct local_capture *capture, uint64_t ret_counters[COUNTER_COUNT_])
{
    CLEANUP(freep) struct capture_counters *of_cpu = NULL;
    int cpus = libbpf_num_possible_cpus();
    int r;

    if (cpus < 0)
        return cpus;
    of_cpu = calloc((size_t)cpus, sizeof(*of_cpu));
    if (!of_cpu)
        return -ENOMEM;
    r = bpf_map_lookup_elem(capture->maps.counters, &(uint32_t){0}, of_cpu);
    if (r < 0)
        return r;
    memset(ret_counters, 0, COUNTER_COUNT_ * sizeof(*ret_counters));
    for (int cpu = 0; cpu < cpus; cpu++)
        for (int i = 0; i < COUNTER_COUNT_; i++)
            ret_counters[i] += of_cpu[cpu].values[i];
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
    if (capture->sealed)
        close_maps(&capture->maps);
    else
        objects_done(&capture->objects);
    free(capture->hooks);
    free(capture);
}
