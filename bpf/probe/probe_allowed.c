/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

bool probe_bpf_was_refused(int error)
{
    return error == EPERM || error == EACCES || error == ENOSYS;
}

/* A look-up in no map at all.  Whoever may call bpf() is told that the descriptor is bad; who may
 * not, is told so before anybody looks at the descriptor. */
bool probe_bpf_is_allowed(void)
{
    union bpf_attr attr = {.map_fd = (__u32)-1};

    return syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) >= 0 ||
           !probe_bpf_was_refused(errno);
}

/* In a thread of its own: to the kernel, capabilities belong to threads. */
static void *ask_without_capabilities(void *context)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    bool *allowed = context;

    *allowed = syscall(SYS_capset, &header, none) == 0 && probe_bpf_is_allowed();
    return NULL;
}

bool probe_bpf_is_allowed_without_capabilities(void)
{
    pthread_t thread;
    bool allowed = false;

    if (pthread_create(&thread, NULL, ask_without_capabilities, &allowed) != 0)
        return false;
    (void)pthread_join(thread, NULL);
    return allowed;
}
