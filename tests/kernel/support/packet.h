/* SPDX-License-Identifier: Apache-2.0 */
/* TCP segments by hand: frames for BPF_PROG_TEST_RUN and for a raw socket.
 *
 * A handshake "from an address that no interface owns" uses 10.77.7.7 or similar: the client's
 * kernel then neither answers the SYN-ACK with RST nor has an opinion of its own. */
#ifndef PACKET_H
#define PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "netns.h"

enum {
    FRAME_MAX = 2048,
    FLAG_FIN = 0x01,
    FLAG_SYN = 0x02,
    FLAG_RST = 0x04,
    FLAG_PSH = 0x08,
    FLAG_ACK = 0x10,
};

struct segment {
    const char *source, *destination; /* text, both of one family */
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t flags;
    uint8_t ttl;            /* 0: 64 */
    uint16_t window;        /* 0: 64240 */
    uint16_t mss;           /* 0: no option */
    uint8_t payload;        /* bytes of 'x' */
    uint8_t elsewhere;      /* 1: for another station's MAC address; hooks see the frame, and the
                               kernel drops it behind them */
    const uint8_t *options; /* more of them, a multiple of 4 bytes with the MSS option (4 bytes) */
    size_t options_length;
};

/* An Ethernet frame from "far" to "near" with correct checksums.  Returns its length. */
size_t segment_build(const struct segment *segment, uint8_t ret_frame[FRAME_MAX]);

/* A packet socket on a device; what it sends goes straight to the driver. */
int raw_open(const struct netns *ns, const char *device);
void raw_send(int raw, const struct segment *segment);

/* Wait for the SYN-ACK to this address and port and return its sequence number. */
uint32_t raw_wait_syn_ack(int raw, const char *address, uint16_t port);

/* If a SYN-ACK to this address has come: takes it, and returns 1. */
int raw_try_syn_ack(int raw, const char *address, uint16_t *ret_port, uint32_t *ret_seq);

/* Tell the server's kernel that `address` is behind the device "near". */
void raw_announce(const struct netns *server, const char *address);

/* The third segment of the handshake that `syn` began. */
void raw_finish(int raw, const struct segment *syn, uint32_t syn_ack_seq);

/* SYNs from random addresses and ports with random sequence numbers, in batches: returns how many
 * were sent, at most `count`. */
size_t raw_flood(int raw, const struct segment *syn, size_t count);

#endif
