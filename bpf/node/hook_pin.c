/* SPDX-License-Identifier: Apache-2.0 */
#include "hook_pin.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "num.h"

static const char *const PREFIXES[NODE_HOOK_COUNT_] = {
    [NODE_HOOK_XDP_NATIVE] = "link_xdp_", [NODE_HOOK_XDP_GENERIC] = "link_xdp_",
    [NODE_HOOK_TCX] = "link_tcx_",        [NODE_HOOK_CLSACT] = "prog_clsact_",
    [NODE_HOOK_CGROUP] = "link_cgroup_",
};

void hook_pin_name(const struct hook_place *place, char ret_name[HOOK_PIN_MAX])
{
    uint64_t number = place->kind == NODE_HOOK_CGROUP ? place->cgroup_id : place->ifindex;

    (void)snprintf(ret_name, HOOK_PIN_MAX, "%s%" PRIu64, PREFIXES[place->kind], number);
}

void qdisc_pin_name(unsigned ifindex, char ret_name[HOOK_PIN_MAX])
{
    (void)snprintf(ret_name, HOOK_PIN_MAX, "prog_qdisc_%u", ifindex);
}

bool hook_pin_parse(const char *name, struct hook_place *ret_place)
{
    for (enum node_hook_kind kind = 0; kind < NODE_HOOK_COUNT_; kind++) {
        size_t length = strlen(PREFIXES[kind]);
        struct hook_place place = {.kind = kind};
        uint64_t number;

        if (strncmp(name, PREFIXES[kind], length) != 0 ||
            num_parse_u64(str_from(name + length), 1, UINT64_MAX, &number) < 0)
            continue;
        if (kind == NODE_HOOK_CGROUP)
            place.cgroup_id = number;
        else
            place.ifindex = (unsigned)number;
        *ret_place = place;
        return true;
    }
    return false;
}

static int open_clsact(const struct pins *pins, const char *set, unsigned ifindex, int program,
                       struct hook_link *ret_link)
{
    struct bpf_prog_info info = {0};
    uint32_t length = sizeof(info);
    char qdisc[HOOK_PIN_MAX];

    if (bpf_obj_get_info_by_fd(program, &info, &length) < 0)
        return -errno;
    qdisc_pin_name(ifindex, qdisc);
    *ret_link = (struct hook_link){
        .fd = -1,
        .clsact = {.program_id = info.id, .made_qdisc = pins_has(pins, set, qdisc)},
    };
    return 0;
}

int hook_pin_open(const struct pins *pins, const char *set, const struct hook_place *place,
                  struct hook_link *ret_link)
{
    CLEANUP(closep) int fd = -1;
    char name[HOOK_PIN_MAX];

    hook_pin_name(place, name);
    fd = pins_get(pins, set, name);
    if (fd < 0)
        return fd;
    if (place->kind == NODE_HOOK_CLSACT)
        return open_clsact(pins, set, place->ifindex, fd, ret_link);
    *ret_link = (struct hook_link){.fd = take_fd(&fd)};
    return 0;
}
