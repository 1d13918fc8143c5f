/* SPDX-License-Identifier: Apache-2.0 */
/* What this host lets us do, found out by doing it: small maps are made, the real programs are
 * loaded, and attached to the loopback of a network namespace that exists for nothing else.  No
 * device, control group or pin of the host is touched.  What cannot be found out from here (for
 * want of a privilege, or of a file system that is not mounted) is unknown, never a guess.
 *
 * Each file probe_*.c looks at one thing; choose.h says what follows from it. */
#ifndef PROBE_H
#define PROBE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cgroup2.h"
#include "choose.h"
#include "diag.h"
#include "node.h"

enum probe_answer { PROBE_UNKNOWN = 0, PROBE_YES, PROBE_NO };

enum {
    PROBE_CHECKS_MAX = 96,
    PROBE_DEVICES_MAX = 64,
    PROBE_ID_MAX = 32,
};

/* One thing that was looked at. */
struct probe_check {
    char id[PROBE_ID_MAX]; /* "capabilities", "load_xdp", "device:eth0", ... */
    enum probe_answer ok;
    char why[DIAG_TEXT_MAX];
    char fix[DIAG_TEXT_MAX]; /* a command or an instruction; empty where nothing needs to be done */
};

/* Can it be loaded and, as far as could be tried, attached? */
struct probe_try {
    enum probe_answer ok;
    int error; /* negative errno; only with PROBE_NO */
};

struct probe_device {
    char name[IF_NAMESIZE];
    unsigned ifindex;         /* 0: there is none of that name */
    unsigned short type;      /* ARPHRD_* */
    uint32_t xdp_id;          /* of the XDP program on it, 0: none */
    char xdp_name[16];        /* of that program; empty where it cannot be known */
    enum probe_answer ours;   /* is that program the agent's of `pin_dir`? */
    enum probe_answer native; /* does the driver run XDP? */
    bool is_veth;
};

struct probe_report {
    struct probe_check checks[PROBE_CHECKS_MAX];
    size_t count;

    uint64_t capabilities;                    /* effective, bit by number */
    struct probe_try hooks[NODE_HOOK_COUNT_]; /* XDP in a driver: as above it */
    struct probe_try tracking;
    bool has_btf;
    char cgroup2_path[CGROUP2_PATH_MAX]; /* empty: not mounted where we can see it */

    struct probe_device devices[PROBE_DEVICES_MAX];
    size_t device_count;
    size_t devices_left_out; /* more than there is room for */

    bool running;           /* there is a set of maps in use, which this process may read */
    bool running_tracked;   /* and in it sockets are followed */
    uint32_t running_hooks; /* and these are attached: a bit for each enum syn_hook */
};

struct probe_config {
    const char *pin_dir;
    const char *const *interfaces; /* whose XDP hook is looked at; none: all devices that are up,
                                      but for loopback */
    size_t interface_count;
};

/* Takes some tenths of a second.  Uses threads of its own and waits for them. */
void probe_host(const struct probe_config *config, struct probe_report *ret_report);

/* The check of that id, or NULL. */
struct probe_check *probe_find(struct probe_report *report, const char *id);

/* The report as choose.h wants it; only what is known to be impossible counts as refused. */
void probe_choose_host(const struct probe_report *report, struct choose_host *ret_host);
void probe_choose_device(const struct probe_device *device, struct choose_device *ret_device);

/* May this thread call bpf() at all?  Before Linux 5.19 nobody may without CAP_BPF where
 * unprivileged_bpf_disabled is set; seccomp or a security module may refuse it, too.  Found out by
 * a call that fails otherwise in every case. */
bool probe_bpf_is_allowed(void);

/* May this process once it has dropped all capabilities?  Changes none of its own.  When not, a
 * reader keeps CAP_BPF. */
bool probe_bpf_is_allowed_without_capabilities(void);

/* Does this errno of bpf() mean "you may not"?  (Anything else comes from behind that gate.) */
bool probe_bpf_was_refused(int error);

#endif
