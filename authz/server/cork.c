/* SPDX-License-Identifier: Apache-2.0 */
#include "cork.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void set_cork(int fd, int on)
{
    /* a descriptor that was closed meanwhile, or is another socket by now, is harmed by nothing */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static void push(struct cork *cork)
{
    for (size_t i = 0; i < cork->count; i++)
        set_cork(cork->corked[i], 0);
    cork->count = 0;
    cork->replies = 0;
}

void cork_on_request(struct cork *cork)
{
    cork->run++;
}

void cork_on_finished(struct cork *cork)
{
    if (cork->run == 0)
        return;
    cork->last_run = cork->run;
    cork->run = 0;
    push(cork);
}

static bool is_corked(const struct cork *cork, int fd)
{
    for (size_t i = 0; i < cork->count; i++)
        if (cork->corked[i] == fd)
            return true;
    return false;
}

void cork_reply(struct cork *cork, int fd)
{
    if (cork->replies == CORK_REPLIES_MAX)
        push(cork);
    cork->replies++;
    if (is_corked(cork, fd))
        return;
    set_cork(fd, 1);
    cork->corked[cork->count++] = fd; /* at most one for each reply since the last push */
}
