/* SPDX-License-Identifier: Apache-2.0 */
#include "clsact.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "cleanup.h"

/* Early among the filters of a device, but not the first, and hardly anybody else's numbers. */
enum { OUR_HANDLE = 0x53594e, OUR_PRIORITY = 7 };

/* libbpf wants the padding of its structs to be zero, so they are declared, not returned. */
#define INGRESS_OF(name, number)                                                                   \
    LIBBPF_OPTS(bpf_tc_hook, name, .ifindex = (int)(number), .attach_point = BPF_TC_INGRESS)
#define OUR_FILTER(name)                                                                           \
    LIBBPF_OPTS(bpf_tc_opts, name, .handle = OUR_HANDLE, .priority = OUR_PRIORITY)

static int set_filter(unsigned ifindex, int program, uint32_t flags, uint32_t *ret_program_id)
{
    INGRESS_OF(hook, ifindex);
    OUR_FILTER(filter);
    int r;

    filter.prog_fd = program;
    filter.flags = flags;
    r = bpf_tc_attach(&hook, &filter);
    if (r == 0)
        *ret_program_id = filter.prog_id;
    return r;
}

int clsact_attach(unsigned ifindex, int program, struct clsact *ret_clsact)
{
    INGRESS_OF(hook, ifindex);
    struct clsact clsact = {0};
    int r = bpf_tc_hook_create(&hook);

    if (r < 0 && r != -EEXIST)
        return r;
    clsact.made_qdisc = r == 0;
    r = set_filter(ifindex, program, 0, &clsact.program_id);
    if (r == 0)
        *ret_clsact = clsact;
    return r;
}

int clsact_replace(unsigned ifindex, int program, struct clsact *clsact)
{
    return set_filter(ifindex, program, BPF_TC_F_REPLACE, &clsact->program_id);
}

bool clsact_has(unsigned ifindex, const struct clsact *clsact)
{
    INGRESS_OF(hook, ifindex);
    OUR_FILTER(filter);

    return bpf_tc_query(&hook, &filter) == 0 && filter.prog_id == clsact->program_id;
}

/* --- is the qdisc used by anybody else? ------------------------------------------------------- */

/* Sends the question for all filters of one side. */
static int ask_for_filters(int fd, unsigned ifindex, uint32_t side)
{
    struct {
        struct nlmsghdr header;
        struct tcmsg filter;
    } question = {
        .header = {.nlmsg_len = sizeof(question),
                   .nlmsg_type = RTM_GETTFILTER,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .filter = {.tcm_family = AF_UNSPEC,
                   .tcm_ifindex = (int)ifindex,
                   .tcm_parent = TC_H_MAKE(TC_H_CLSACT, side)},
    };

    return send(fd, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

/* Reads the answer to its end; true also when it cannot be read. */
static bool answer_has_filters(int fd)
{
    _Alignas(struct nlmsghdr) char answer[16384];
    bool found = false;

    for (;;) {
        ssize_t length = recv(fd, answer, sizeof(answer), 0);
        struct nlmsghdr *message = (struct nlmsghdr *)answer; /* NLMSG_NEXT() takes no const */

        if (length <= 0)
            return true;
        for (; NLMSG_OK(message, (size_t)length); message = NLMSG_NEXT(message, length)) {
            if (message->nlmsg_type == NLMSG_DONE)
                return found;
            if (message->nlmsg_type == NLMSG_ERROR)
                return true;
            found = true;
        }
    }
}

static bool side_has_filters(unsigned ifindex, uint32_t side)
{
    CLEANUP(closep) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    const struct timeval patience = {.tv_sec = 2};

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        ask_for_filters(fd, ifindex, side) < 0)
        return true;
    return answer_has_filters(fd);
}

void clsact_detach(unsigned ifindex, const struct clsact *clsact)
{
    INGRESS_OF(hook, ifindex);
    OUR_FILTER(filter);

    if (!clsact_has(ifindex, clsact))
        return;
    (void)bpf_tc_detach(&hook, &filter);
    if (!clsact->made_qdisc || side_has_filters(ifindex, TC_H_MIN_INGRESS) ||
        side_has_filters(ifindex, TC_H_MIN_EGRESS))
        return;
    hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* stands for the qdisc itself */
    (void)bpf_tc_hook_destroy(&hook);
}
