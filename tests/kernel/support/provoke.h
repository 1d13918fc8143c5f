/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that each make one of the hooks' counters move (record.h, enum capture_counter), through
 * an XDP program by BPF_PROG_TEST_RUN.
 *
 * The program captures own_port() of 10.77.0.0/16 and fd77::/64, with SENDER_SETTINGS.  All
 * functions fail the running test when something does not work. */
#ifndef PROVOKE_H
#define PROVOKE_H

#include <stdint.h>

#include "packet.h"
#include "record.h"

enum { SENDER_VXLAN_PORT = 8472 };

extern const struct capture_config SENDER_SETTINGS;

struct sender {
    int program, keeper;  /* descriptors */
    uint16_t source_port; /* a new one for each SYN */
};

void sender_configure(const struct sender *sender, const struct capture_config *config);

/* A SYN from 10.77.7.7, from a new port. */
struct segment sender_syn(struct sender *sender);
void sender_run(const struct sender *sender, const struct segment *segment);

void provoke_a_syn(struct sender *sender);
void provoke_the_same_syn_again(struct sender *sender);
void provoke_another_isn(struct sender *sender);
void provoke_another_port(struct sender *sender);
void provoke_another_destination(struct sender *sender);
void provoke_too_many_of_one_source(struct sender *sender);
void provoke_one_of_a_source(struct sender *sender);
void provoke_syn_and_fin(struct sender *sender);
void provoke_offset_of_16_bytes(struct sender *sender);
void provoke_no_room_for_tcp(struct sender *sender);
void provoke_longer_than_the_frame(struct sender *sender);
void provoke_version_5(struct sender *sender);
void provoke_first_fragment(struct sender *sender);
void provoke_mpls(struct sender *sender);
void provoke_gre(struct sender *sender);
void provoke_with_data(struct sender *sender);
void provoke_half_a_header(struct sender *sender);
void provoke_options_for_the_destination(struct sender *sender);
void provoke_nine_extension_headers(struct sender *sender);
void provoke_three_tags(struct sender *sender);
void provoke_inside_vxlan(struct sender *sender);

/* With programs and maps of their own; they return how much was counted as
 * COUNTER_SYN_INSERT_NO_MEMORY and as COUNTER_SYN_INSERT_FAILED. */
uint64_t provoke_no_element(void);
uint64_t provoke_no_room(void);

#endif
