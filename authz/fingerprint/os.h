/* SPDX-License-Identifier: Apache-2.0 */
/* Families of operating systems, derived from p0f's class and name. */
#ifndef OS_H
#define OS_H

#include "fp_db.h"

enum os_family {
    OS_UNKNOWN = 0,
    OS_LINUX,
    OS_APPLE,
    OS_WINDOWS,
    OS_BSD,
    OS_OTHER,
    OS_TOOL, /* class "!" */
    OS_COUNT_,
};

const char *os_family_name(enum os_family family);

/* `label` NULL is OS_UNKNOWN. */
enum os_family os_family_of(const struct fp_label *label);

#endif
