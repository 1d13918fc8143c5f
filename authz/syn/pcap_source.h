/* SPDX-License-Identifier: Apache-2.0 */
/* SYNs out of capture files, and a syn_source over one (`--source pcap:FILE`).
 *
 * The only user of libpcap.  Link types: Ethernet, raw IP, Linux cooked v1 and v2, BSD loopback. */
#ifndef PCAP_SOURCE_H
#define PCAP_SOURCE_H

#include <time.h>

#include "diag.h"
#include "syn_source.h"

struct syn_record;
struct capture;

/* Why a frame holds no SYN that p0f would report. */
enum frame_kind {
    FRAME_SYN = 0,
    FRAME_NOT_IP,
    FRAME_NOT_TCP,
    FRAME_NOT_SYN,
    FRAME_BAD_FLAGS,
    FRAME_FRAGMENT,
    FRAME_BAD_IP_HEADER,
    FRAME_BAD_TCP_HEADER,
    FRAME_TRUNCATED,
    FRAME_TOO_DEEP, /* VLAN tags or IPv6 extension headers */
    FRAME_COUNT_,
};

struct capture_frame {
    uint64_t number; /* from 1, all packets of the file */
    struct timespec time;
    enum frame_kind kind;
    struct flow flow; /* set only for FRAME_SYN */
    struct syn syn;   /* set only for FRAME_SYN */
};

/* "not a SYN", ...: for `fingerprint --all`.  FRAME_SYN has "". */
const char *frame_kind_name(enum frame_kind kind);

/* Open a pcap or pcapng file, see file.h; "-" is standard input, which may be a pipe.  Returns 0 or
 * a negative errno with a message: -EINVAL for what is no capture. */
int capture_open(const char *path, struct capture **ret_capture, struct diag *diag);
void capture_freep(struct capture **capture);

/* Returns 1 with the next frame, 0 at the end, or a negative errno with a message for a damaged
 * file. */
int capture_next(struct capture *capture, struct capture_frame *ret_frame, struct diag *diag);

/* Reads the whole file once; the last SYN of a full tuple answers, CAPTURED with reason `pcap`; an
 * unknown tuple is MISSING, `not_seen`.  Returns 0 or a negative errno with a message. */
int pcap_source_open(const char *path, struct syn_source **ret_source, struct diag *diag);

#endif
