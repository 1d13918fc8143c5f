/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What kernels say to a look-up in no map: the first three at the gate, the rest behind it. */
static void a_refusal_is_told_from_a_complaint(void **state)
{
    static const struct {
        int error;
        bool refused;
    } ROWS[] = {
        {EPERM, true},  /* without CAP_BPF before 5.19; seccomp's usual answer */
        {EACCES, true}, /* a security module */
        {ENOSYS, true}, /* no BPF at all; seccomp's other answer */
        {EBADF, false}, {EINVAL, false}, {E2BIG, false}, {EFAULT, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_true(probe_bpf_was_refused(ROWS[i].error) == ROWS[i].refused);
}

/* What is allowed without capabilities is allowed with them. */
static void asking_changes_no_capability_of_ours(void **state)
{
    bool before = probe_bpf_is_allowed();
    bool without = probe_bpf_is_allowed_without_capabilities();

    (void)state;
    assert_true(probe_bpf_is_allowed() == before);
    assert_true(before || !without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_is_told_from_a_complaint),
        cmocka_unit_test(asking_changes_no_capability_of_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
