/* SPDX-License-Identifier: Apache-2.0 */
#include "mountinfo.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "num.h"
#include "str.h"

enum { LINE_SIZE = 4096, FIELDS_BEFORE_ROOT = 2, FIELDS_BEFORE_OPTIONAL = 1 };

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Blanks, backslashes and the like are written as a backslash and three octal digits. */
static bool unescape(struct str text, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '\\' && i + 3 < text.len && is_octal(text.ptr[i + 1]) &&
            is_octal(text.ptr[i + 2]) && is_octal(text.ptr[i + 3])) {
            c = (char)((text.ptr[i + 1] - '0') << 6 | (text.ptr[i + 2] - '0') << 3 |
                       (text.ptr[i + 3] - '0'));
            i += 3;
        }
        if (used + 1 >= size)
            return false;
        out[used++] = c;
    }
    out[used] = '\0';
    return used > 0;
}

static bool skip_fields(struct str *rest, unsigned count)
{
    struct str field;

    for (unsigned i = 0; i < count; i++)
        if (!str_next_field(rest, ' ', &field))
            return false;
    return true;
}

bool mountinfo_parse(const char *line, struct mount *ret_mount)
{
    struct str rest = {line, strcspn(line, "\n")}, id, root, path, type = {0}, source;
    struct mount mount;

    if (!str_next_field(&rest, ' ', &id) || num_parse_u64(id, 0, UINT64_MAX, &mount.id) < 0)
        return false;
    if (!skip_fields(&rest, FIELDS_BEFORE_ROOT) || !str_next_field(&rest, ' ', &root) ||
        !str_next_field(&rest, ' ', &path) || !skip_fields(&rest, FIELDS_BEFORE_OPTIONAL))
        return false;
    do {
        if (!str_next_field(&rest, ' ', &type))
            return false;
    } while (!str_eq(type, STR("-")));
    if (!str_next_field(&rest, ' ', &type) || !str_next_field(&rest, ' ', &source))
        return false;

    if (!unescape(root, mount.root, sizeof(mount.root)) ||
        !unescape(path, mount.path, sizeof(mount.path)) ||
        !unescape(type, mount.type, sizeof(mount.type)) ||
        !unescape(source, mount.source, sizeof(mount.source)))
        return false;
    *ret_mount = mount;
    return true;
}

int mountinfo_height(const struct mount *mount)
{
    struct str rest = str_from(mount->root), name;
    int height = 0;

    while (str_next_field(&rest, '/', &name)) {
        if (str_eq(name, STR("..")))
            height++;
        else if (name.len > 0)
            height--;
    }
    return height;
}

int mountinfo_each(int (*visit)(const struct mount *mount, void *context), void *context)
{
    CLEANUP(fclosep) FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[LINE_SIZE];
    struct mount mount;
    int r = 0;

    if (!file)
        return -errno;
    while (r == 0 && fgets(line, sizeof(line), file))
        if (mountinfo_parse(line, &mount))
            r = visit(&mount, context);
    return r;
}
