/* SPDX-License-Identifier: Apache-2.0 */
#include "os.h"

#include <assert.h>

static const char *const FAMILY_NAMES[] = {
    [OS_UNKNOWN] = "unknown", [OS_LINUX] = "linux", [OS_APPLE] = "apple", [OS_WINDOWS] = "windows",
    [OS_BSD] = "bsd",         [OS_OTHER] = "other", [OS_TOOL] = "tool",
};
static_assert(sizeof(FAMILY_NAMES) / sizeof(FAMILY_NAMES[0]) == OS_COUNT_, "name each family");

/* How the names of a family begin, in p0f's database and in others made after it. */
static const struct {
    struct str prefix;
    enum os_family family;
} NAMES[] = {
    {STR_INIT("Linux"), OS_LINUX},     {STR_INIT("Android"), OS_LINUX},
    {STR_INIT("ChromeOS"), OS_LINUX},  {STR_INIT("Chrome OS"), OS_LINUX},
    {STR_INIT("Mac OS"), OS_APPLE},    {STR_INIT("MacOS"), OS_APPLE},
    {STR_INIT("OS X"), OS_APPLE},      {STR_INIT("iOS"), OS_APPLE},
    {STR_INIT("iPadOS"), OS_APPLE},    {STR_INIT("iPhone"), OS_APPLE},
    {STR_INIT("tvOS"), OS_APPLE},      {STR_INIT("watchOS"), OS_APPLE},
    {STR_INIT("Apple"), OS_APPLE},     {STR_INIT("Darwin"), OS_APPLE},
    {STR_INIT("Windows"), OS_WINDOWS}, {STR_INIT("FreeBSD"), OS_BSD},
    {STR_INIT("OpenBSD"), OS_BSD},     {STR_INIT("NetBSD"), OS_BSD},
    {STR_INIT("DragonFly"), OS_BSD},   {STR_INIT("BSD"), OS_BSD},
};

const char *os_family_name(enum os_family family)
{
    return FAMILY_NAMES[family];
}

static bool begins_with_nocase(struct str text, struct str prefix)
{
    if (text.len < prefix.len)
        return false;
    return str_eq_nocase((struct str){text.ptr, prefix.len}, prefix);
}

enum os_family os_family_of(const struct fp_label *label)
{
    if (!label)
        return OS_UNKNOWN;
    if (fp_label_is_app(label))
        return OS_TOOL;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (begins_with_nocase(str_from(label->name), NAMES[i].prefix))
            return NAMES[i].family;
    return str_eq_nocase(str_from(label->class_name), STR("win")) ? OS_WINDOWS : OS_OTHER;
}
