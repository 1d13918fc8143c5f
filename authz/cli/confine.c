/* SPDX-License-Identifier: Apache-2.0 */
#include "confine.h"

#include <endian.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "which numbers do system calls have here?"
#endif

/* Commands of bpf(2), as linux/bpf.h numbers them. */
enum { COMMAND_LOOK_UP = 1, COMMAND_GET = 7, COMMAND_INFO = 15, COMMAND_LOOK_UP_BATCH = 24 };

enum { X32_NUMBERS = 0x40000000 }; /* the 32-bit numbers of x86-64 have this bit */

#define FIELD(name)    ((uint32_t)offsetof(struct seccomp_data, name))
#define LOW_HALF(name) (FIELD(name) + (__BYTE_ORDER == __BIG_ENDIAN ? 4u : 0u))

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define REFUSE       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define ALLOW        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* Go on with the next line if it holds, else with the one behind that. */
#define UNLESS_EQUAL(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 1, 0)
#define IF_EQUAL(value)     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)
#define IF_AT_LEAST(value)  BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (value), 0, 1)

int confine_bpf(struct diag *diag)
{
    struct sock_filter lines[] = {
        LOAD(FIELD(arch)),
        UNLESS_EQUAL(OWN_ARCHITECTURE),
        REFUSE,
        LOAD(FIELD(nr)),
        IF_AT_LEAST(X32_NUMBERS),
        REFUSE,
        UNLESS_EQUAL(SYS_bpf),
        ALLOW,
        LOAD(LOW_HALF(args[0])),
        IF_EQUAL(COMMAND_LOOK_UP),
        ALLOW,
        IF_EQUAL(COMMAND_GET),
        ALLOW,
        IF_EQUAL(COMMAND_INFO),
        ALLOW,
        IF_EQUAL(COMMAND_LOOK_UP_BATCH),
        ALLOW,
        REFUSE,
    };
    const struct sock_fprog program = {.len = sizeof(lines) / sizeof(lines[0]), .filter = lines};

    /* Without the mitigations that older kernels add to any filter: this one guards no secret. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) ==
            0 ||
        errno == ENOSYS) /* a kernel that was built without it */
        return 0;
    return diag_set(diag, -errno, "cannot confine bpf() by a seccomp filter: %s", strerror(errno));
}
