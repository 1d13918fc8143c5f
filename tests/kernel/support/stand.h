/* SPDX-License-Identifier: Apache-2.0 */
/* A node (node.h) that captures on device "near" of a stage, and a server that follows its pins.
 *
 * In a mount namespace of the test's own.  All functions fail the running test when something does
 * not work. */
#ifndef STAND_H
#define STAND_H

#include <stdint.h>

#include "conn.h"
#include "netns.h"
#include "node.h"
#include "syn_source.h"

enum { STAND_GROUP = 4243 };

struct stand {
    struct stage stage;
    char top[64], folder[96]; /* the pin folder is folder, inside top */
    struct node *node;
    struct syn_source *source; /* follows the pins */
};

/* No agent yet. */
void stand_make(struct stand *ret_stand);

/* The pin folder goes, too: a running node leaves first. */
void stand_done(struct stand *stand);

/* XDP in the driver on "near", own_port(), nothing else. */
struct node_config stand_config(const struct stand *stand);

/* Both of these: what nearly every test begins with. */
struct node_config stand_begin(struct stand *ret_stand);

/* The server's listener at own_port(). */
int stand_listen(const struct stand *stand);

/* In the server's network namespace.  stand_start() waits until the source is fresh. */
void stand_start(struct stand *stand, const struct node_config *config);
void stand_start_quietly(struct stand *stand, const struct node_config *config); /* no source */
void stand_start_source(struct stand *stand); /* and wait, for an agent elsewhere */
int stand_try_start(struct stand *stand, const struct node_config *config, struct diag *diag);
void stand_beat(struct stand *stand);
void stand_reconcile(struct stand *stand);
void stand_leave(struct stand *stand);
struct node_status stand_status(struct stand *stand);

/* The hook at `target`, which must be in the list. */
struct node_hook stand_hook(struct stand *stand, const char *target);

/* node_cleanup(): 0 or a negative errno, and how many pins it removed. */
int stand_cleanup(const struct stand *stand, unsigned *ret_removed, struct diag *diag);

/* The path of something in the pin folder; valid until the next call. */
const char *stand_path(const struct stand *stand, const char *name);

struct syn_answer stand_ask(const struct stand *stand, const struct flow *flow);

/* A connection from the client to the server's own_port(). */
struct pair {
    int client, server;
    struct flow flow;
};
struct pair stand_connect(const struct stand *stand, int listener);
void pair_done(struct pair *pair);

/* What the source says of the connection now, and within a second. */
#define assert_verified(stand, pair)                                                               \
    assert_answer(stand_ask((stand), &(pair)->flow), SYN_STATE_VERIFIED, SYN_REASON_NONE)

/* Wait at most 3 s for the answer to come to this state. */
void stand_wait_for(const struct stand *stand, const struct flow *flow, enum syn_state state);

/* --- connections all the time --- */

/* One after the other, each looked up when it is accepted and again when `STREAM_HELD` later ones
 * have come, and then reset; and some that last as long as the stream. */
enum { STREAM_HELD = 64, STREAM_LASTING = 16 };

struct stream;
struct stream *stream_start(const struct stand *stand);

struct stream_result {
    unsigned connections, lost; /* lost: not verified at one of the looks */
    char first_lost[160];       /* what was said instead */
};
struct stream_result stream_stop(struct stream *stream);

/* How many connections there have been until now. */
unsigned stream_count(const struct stream *stream);

#endif
