/* SPDX-License-Identifier: Apache-2.0 */
/* Load the capture programs and attach them to devices of this network namespace.
 *
 * The BPF objects are inside the binary; there is no way to name another.  Loading needs CAP_BPF,
 * CAP_NET_ADMIN and CAP_PERFMON.  local_capture_seal() then leaves nothing behind that could write
 * a map or load a program: only the links (which hold the hooks) and read-only map descriptors. */
#ifndef LOCAL_CAPTURE_H
#define LOCAL_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "capture_maps.h"
#include "diag.h"
#include "record.h"

struct local_capture;

/* Read by local_capture_start() only. */
struct local_capture_config {
    const char *const *interfaces; /* names in the current network namespace */
    size_t interface_count;
    bool any_port;
    const uint16_t *ports;
    size_t port_count;
    const struct prefix *prefixes; /* destinations; none: all */
    size_t prefix_count;
    uint32_t max_pending; /* 0: the default, 131072 */
    uint32_t max_live;    /* 0: the default, 65536 */
};

/* Load, set the filters, attach tracking first and then each device.  Returns 0, or a negative
 * errno with a message that says what to do (missing capability, busy device, no BTF, lockdown). */
int local_capture_start(const struct local_capture_config *config,
                        struct local_capture **ret_capture, struct diag *diag);

/* Freeze the maps, so that only the programs can write them; close every program, every writable
 * descriptor, and the secret's. */
int local_capture_seal(struct local_capture *capture, struct diag *diag);

/* Owned by the capture.  Before local_capture_seal() all are writable but those of the keeper,
 * after it none is. */
const struct capture_maps *local_capture_get_maps(const struct local_capture *capture);

/* The XDP program, for BPF_PROG_TEST_RUN, and the keeper (keeper.h); -1 once sealed. */
int local_capture_program(const struct local_capture *capture);
int local_capture_keeper(const struct local_capture *capture);

/* "xdp native" or "xdp generic", for the log line of one interface. */
const char *local_capture_mode(const struct local_capture *capture, size_t interface);

/* Sum over all CPUs, hooks and IP versions.  Returns 0 or a negative errno. */
int local_capture_counters(const struct local_capture *capture,
                           uint64_t ret_counters[COUNTER_COUNT_]);

/* Detaches and frees everything. */
void local_capture_freep(struct local_capture **capture);

#endif
