/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of probe_host(), each with a file of its own: each looks at its things and adds its
 * checks to the report.  In this order: later ones read what earlier ones found. */
#ifndef PROBE_PARTS_H
#define PROBE_PARTS_H

#include "probe.h"

void probe_process(struct probe_report *report);  /* what this process may do */
void probe_kernel(struct probe_report *report);   /* what the kernel was told to allow */
void probe_cgroups(struct probe_report *report);  /* where cgroup2 is */
void probe_memory(struct probe_report *report);   /* will the maps fit? */
void probe_programs(struct probe_report *report); /* load them, attach them to nothing real */
void probe_pins(struct probe_report *report, const char *pin_dir);
void probe_devices(struct probe_report *report, const struct probe_config *config);

/* Adds a check; `fix` may be NULL.  More checks than there is room for are left out. */
struct probe_check *probe_add(struct probe_report *report, const char *id, enum probe_answer ok,
                              const char *why, ...) __attribute__((format(printf, 4, 5)));

/* What to do about the check that probe_add() returned. */
void probe_fix(struct probe_check *check, const char *fix, ...)
    __attribute__((format(printf, 2, 3)));

/* The capabilities that capture needs and `report` lacks, as "CAP_A, CAP_B and CAP_C"; empty when
 * none is missing. */
enum { MISSING_TEXT_MAX = 64 };
void probe_missing_capabilities(const struct probe_report *report, char ret_text[MISSING_TEXT_MAX]);
bool probe_has_capability(const struct probe_report *report, unsigned number);

/* First line of a small file, without its newline.  Returns 0 or a negative errno. */
int probe_read_line(const char *path, char *ret_line, size_t size);

/* Runs `task` in a thread that has a network namespace of its own, with nothing in it but a
 * loopback (ifindex 1).  Returns what `task` returned, or a negative errno when there is no such
 * thing to be had (-EPERM: without CAP_SYS_ADMIN); then *ret_ran is false. */
int probe_in_own_network(int (*task)(void *context), void *context, bool *ret_ran);

/* Does the driver run XDP programs?  Unknown before Linux 6.3. */
enum probe_answer probe_driver_runs_xdp(unsigned ifindex);

/* `socket_fd`: any, of the network namespace. */
bool probe_is_veth(int socket_fd, const char *device);

/* Bytes the kernel keeps for the maps of an agent, full; of entries as in node.h, struct
 * node_config. */
uint64_t probe_map_bytes(uint32_t max_pending, uint32_t max_live, unsigned cpus);

#endif
