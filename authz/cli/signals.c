/* SPDX-License-Identifier: Apache-2.0 */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void end_at_once(int number)
{
    (void)raise(number); /* the handler is gone: the default action, if this process has one */
    _exit(128 + number);
}

int signals_prepare(struct diag *diag)
{
    const struct sigaction at_once = {.sa_handler = end_at_once,
                                      .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
    sigset_t hangup;

    (void)sigemptyset(&hangup);
    (void)sigaddset(&hangup, SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &hangup, NULL) < 0 || sigaction(SIGTERM, &at_once, NULL) < 0 ||
        sigaction(SIGINT, &at_once, NULL) < 0)
        return diag_set(diag, -errno, "cannot prepare for signals: %s", strerror(errno));
    return 0;
}

int signals_collect(int *ret_fd, struct diag *diag)
{
    sigset_t set;
    int fd;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return diag_set(diag, -errno, "cannot block signals: %s", strerror(errno));
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        return diag_set(diag, -errno, "cannot make a signalfd: %s", strerror(errno));
    *ret_fd = fd;
    return 0;
}

void signals_let_end(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
