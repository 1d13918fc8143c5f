/* SPDX-License-Identifier: Apache-2.0 */
/* Gathering replies on TCP: many small replies leave in few segments.
 *
 * gRPC core writes each reply by itself.  A thread's queue yields runs of requests and then runs of
 * finished calls; while runs are long, the sockets of the replies are corked and pushed every few
 * replies and at the first finished call, which always follows.  Below that it does nothing, so
 * that latency at low load is untouched.  (The kernel pushes corked data after 200 ms at the
 * latest, by itself.)  One thread at a time. */
#ifndef CORK_H
#define CORK_H

#include <stdbool.h>
#include <stddef.h>

/* A run at least this long starts the gathering; replies between two pushes. */
enum { CORK_RUN_MIN = 12, CORK_REPLIES_MAX = 16 };

struct cork {
    unsigned run; /* requests since the last finished call */
    unsigned last_run;
    unsigned replies; /* since the last push */
    size_t count;
    int corked[CORK_REPLIES_MAX];
};

void cork_on_request(struct cork *cork);
void cork_on_finished(struct cork *cork);

/* Would a reply now be gathered?  Asked first, because finding its socket costs an allocation. */
static inline bool cork_is_gathering(const struct cork *cork)
{
    return cork->last_run >= CORK_RUN_MIN;
}

/* A reply is about to be written to the TCP socket `fd`. */
void cork_reply(struct cork *cork, int fd);

#endif
