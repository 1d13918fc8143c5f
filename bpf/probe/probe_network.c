/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "probe_parts.h"

struct job {
    int (*task)(void *context);
    void *context;
    int result;
    bool ran;
};

/* To the kernel, a network namespace belongs to a thread. */
static void *run(void *context)
{
    struct job *job = context;

    if (unshare(CLONE_NEWNET) < 0) {
        job->result = -errno;
        return NULL;
    }
    job->ran = true;
    job->result = job->task(job->context);
    return NULL;
}

int probe_in_own_network(int (*task)(void *context), void *context, bool *ret_ran)
{
    struct job job = {.task = task, .context = context};
    pthread_t thread;
    int r = pthread_create(&thread, NULL, run, &job);

    if (r == 0)
        (void)pthread_join(thread, NULL);
    *ret_ran = job.ran;
    return r ? -r : job.result;
}
