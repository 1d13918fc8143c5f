/* SPDX-License-Identifier: Apache-2.0 */
/* A FIFO that nobody writes to.  Who opens it in the ordinary way waits for ever: then the test's
 * program is ended by a signal. */
#ifndef FIFO_H
#define FIFO_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIFO_PATIENCE_S = 10 };

struct fifo {
    char folder[32];
    char path[48];
};

static inline struct fifo fifo_make(void)
{
    struct fifo fifo = {.folder = "/tmp/synauthz-fifo.XXXXXX"};

    if (!mkdtemp(fifo.folder))
        abort();
    (void)snprintf(fifo.path, sizeof(fifo.path), "%s/fifo", fifo.folder);
    if (mkfifo(fifo.path, 0600) < 0)
        abort();
    (void)alarm(FIFO_PATIENCE_S);
    return fifo;
}

static inline void fifo_done(const struct fifo *fifo)
{
    (void)alarm(0);
    (void)unlink(fifo->path);
    (void)rmdir(fifo->folder);
}

#endif
