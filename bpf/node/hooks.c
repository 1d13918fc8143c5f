/* SPDX-License-Identifier: Apache-2.0 */
#include "hooks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <string.h>

#include "cleanup.h"
#include "load_error.h"

/* Of Linux 6.6; Debian's header is older. */
enum {
    ATTACH_TCX_INGRESS = 46,
    TCX_BEFORE = 1 << 3, /* BPF_F_BEFORE: of all, if no other is named */
    TCX_MAX = 64         /* programs on one device: the kernel's own limit */
};

/* --- links ------------------------------------------------------------------------------------ */

static int create_link(int program, int target, int attach_type, uint32_t flags)
{
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    int fd = bpf_link_create(program, target, (enum bpf_attach_type)attach_type, &options);

    return fd < 0 ? -errno : fd;
}

static int attach_link(const struct hook_place *place, int cgroup_fd, int program)
{
    switch (place->kind) {
    case NODE_HOOK_XDP_NATIVE:
        return create_link(program, (int)place->ifindex, BPF_XDP, XDP_FLAGS_DRV_MODE);
    case NODE_HOOK_XDP_GENERIC:
        return create_link(program, (int)place->ifindex, BPF_XDP, XDP_FLAGS_SKB_MODE);
    case NODE_HOOK_TCX:
        /* In front of programs that send packets elsewhere (Cilium's), behind which nothing is
         * seen. */
        return create_link(program, (int)place->ifindex, ATTACH_TCX_INGRESS, TCX_BEFORE);
    case NODE_HOOK_CGROUP:
        return create_link(program, cgroup_fd, BPF_CGROUP_INET_INGRESS, 0);
    default:
        return -EINVAL;
    }
}

static int replace_link(int fd, int program, int old_program)
{
    LIBBPF_OPTS(bpf_link_update_opts, options, .flags = old_program >= 0 ? BPF_F_REPLACE : 0,
                .old_prog_fd = old_program >= 0 ? (uint32_t)old_program : 0);

    return bpf_link_update(fd, program, &options) < 0 ? -errno : 0;
}

/* The kernel takes a link off when its device or control group goes, and says 0 from then on. */
static enum hook_health check_link(const struct hook_place *place, int fd)
{
    struct bpf_link_info info = {0};
    uint32_t length = sizeof(info);

    if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
        return HOOK_DETACHED;
    if (place->kind == NODE_HOOK_CGROUP)
        return info.cgroup.cgroup_id == place->cgroup_id ? HOOK_ATTACHED : HOOK_DETACHED;
    return info.xdp.ifindex == place->ifindex ? HOOK_ATTACHED : HOOK_DETACHED; /* tcx: the same */
}

/* --- is it ours? ------------------------------------------------------------------------------ */

static bool xdp_has(unsigned ifindex, uint32_t program_id)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);

    return bpf_xdp_query((int)ifindex, 0, &query) == 0 &&
           (query.prog_id == program_id || query.drv_prog_id == program_id ||
            query.skb_prog_id == program_id || query.hw_prog_id == program_id);
}

static bool tcx_has(unsigned ifindex, uint32_t program_id)
{
    uint32_t programs[TCX_MAX] = {0}, count = TCX_MAX, flags = 0;

    if (bpf_prog_query((int)ifindex, (enum bpf_attach_type)ATTACH_TCX_INGRESS, 0, &flags, programs,
                       &count) < 0)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (programs[i] == program_id)
            return true;
    return false;
}

/* A program is loaded by one agent, which attaches it in one network namespace. */
static bool device_has(const struct hook_place *place, int link)
{
    struct bpf_link_info info = {0};
    uint32_t length = sizeof(info);

    if (bpf_obj_get_info_by_fd(link, &info, &length) < 0 || info.prog_id == 0)
        return false;
    return place->kind == NODE_HOOK_TCX ? tcx_has(place->ifindex, info.prog_id)
                                        : xdp_has(place->ifindex, info.prog_id);
}

bool hook_is_here(const struct hook_place *place, const struct hook_link *link)
{
    bool is_device_link = hook_is_xdp(place->kind) || place->kind == NODE_HOOK_TCX;

    return hook_check(place, link) == HOOK_ATTACHED &&
           (!is_device_link || device_has(place, link->fd));
}

/* --- either ----------------------------------------------------------------------------------- */

int hook_attach(const struct hook_place *place, int cgroup_fd, int program,
                struct hook_link *ret_link)
{
    int fd;

    if (place->kind == NODE_HOOK_CLSACT) {
        ret_link->fd = -1;
        return clsact_attach(place->ifindex, program, &ret_link->clsact);
    }
    fd = attach_link(place, cgroup_fd, program);
    if (fd < 0)
        return fd;
    *ret_link = (struct hook_link){.fd = fd};
    return 0;
}

int hook_replace(const struct hook_place *place, struct hook_link *link, int program,
                 int old_program)
{
    if (place->kind == NODE_HOOK_CLSACT)
        return clsact_replace(place->ifindex, program, &link->clsact);
    return replace_link(link->fd, program, old_program);
}

enum hook_health hook_check(const struct hook_place *place, const struct hook_link *link)
{
    if (place->kind == NODE_HOOK_CLSACT)
        return clsact_has(place->ifindex, &link->clsact) ? HOOK_ATTACHED : HOOK_DETACHED;
    return check_link(place, link->fd);
}

void hook_detach(const struct hook_place *place, const struct hook_link *link)
{
    if (place->kind == NODE_HOOK_CLSACT)
        clsact_detach(place->ifindex, &link->clsact);
    else
        (void)bpf_link_detach(link->fd);
}

void hook_link_done(struct hook_link *link)
{
    closep(&link->fd);
    link->fd = -1;
}

uint32_t hook_find_xdp(unsigned ifindex)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);

    if (bpf_xdp_query((int)ifindex, 0, &query) < 0)
        return 0;
    return query.drv_prog_id   ? query.drv_prog_id
           : query.skb_prog_id ? query.skb_prog_id
                               : query.prog_id;
}

bool hook_xdp_is_generic(unsigned ifindex)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);

    return bpf_xdp_query((int)ifindex, 0, &query) == 0 && query.attach_mode == XDP_ATTACHED_SKB;
}

void hook_program_name(uint32_t program_id, char ret_name[16])
{
    CLEANUP(closep) int fd = bpf_prog_get_fd_by_id(program_id);
    struct bpf_prog_info info = {0};
    uint32_t length = sizeof(info);

    ret_name[0] = '\0';
    if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &length) == 0)
        (void)snprintf(ret_name, 16, "%s", info.name);
}

int hook_error(struct diag *diag, int error, const struct hook_place *place, const char *target)
{
    if (error == -EPERM || error == -EACCES)
        return load_error(diag, error);
    if (hook_is_xdp(place->kind))
        return attach_error(diag, error, target, place->ifindex);
    if (place->kind == NODE_HOOK_TCX && error == -EINVAL)
        return diag_set(diag, error, "%s: this kernel has no tcx (it came with Linux 6.6)", target);
    return diag_set(diag, error, "%s: cannot attach to %s: %s", target,
                    NODE_HOOK_NAMES[place->kind], strerror(-error));
}
