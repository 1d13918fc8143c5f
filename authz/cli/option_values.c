/* SPDX-License-Identifier: Apache-2.0 */
#include "option_values.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>

#include "cleanup.h"
#include "num.h"
#include "privileges.h"

static const struct str ANY = STR_INIT("any");

/* --- checks ----------------------------------------------------------------------------------- */

int option_check_port(struct str item, struct diag *diag)
{
    uint16_t port;

    if (num_parse_port(item, &port) < 0)
        return diag_set(diag, -EINVAL, "expected a port from 1 to 65535");
    return 0;
}

int option_check_port_or_any(struct str item, struct diag *diag)
{
    uint16_t port;

    if (!str_eq(item, ANY) && num_parse_port(item, &port) < 0)
        return diag_set(diag, -EINVAL, "expected a port from 1 to 65535, or any");
    return 0;
}

int option_check_prefix(struct str item, struct diag *diag)
{
    struct prefix prefix;
    int r = prefix_parse(item, &prefix);

    if (r == -ERANGE)
        return diag_set(diag, -EINVAL, "bits are set behind the prefix length");
    return r < 0 ? diag_set(diag, -EINVAL, "expected ADDRESS/LENGTH") : 0;
}

int option_check_user(struct str value, struct diag *diag)
{
    struct identity identity;

    return identity_parse(value, &identity, diag);
}

int option_check_group(struct str value, struct diag *diag)
{
    gid_t group;
    int r = group_parse(value, &group);

    return r == -ENOENT ? diag_set(diag, r, "there is no such group") : r;
}

int option_check_path(struct str value, struct diag *diag)
{
    if (!str_has_prefix(value, STR("/")))
        return diag_set(diag, -EINVAL, "expected an absolute path");
    return 0;
}

/* --- values ----------------------------------------------------------------------------------- */

static int add_port(struct port_list *list, struct str item)
{
    uint16_t *items = reallocarray(list->items, list->count + 1, sizeof(*items));

    if (!items)
        return -ENOMEM;
    list->items = items;
    return num_parse_port(item, &items[list->count++]);
}

int port_list_append(struct port_list *list, const struct text_list *texts, bool *ret_any)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct str rest = str_from(texts->items[i]), item;

        while (str_next_field(&rest, ',', &item)) {
            int r = 0;

            if (ret_any && str_eq(item, ANY))
                *ret_any = true;
            else
                r = add_port(list, item);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int add_prefix(struct prefix_list *list, struct str item)
{
    struct prefix *items = reallocarray(list->items, list->count + 1, sizeof(*items));

    if (!items)
        return -ENOMEM;
    list->items = items;
    return prefix_parse(item, &items[list->count++]);
}

int prefix_list_append(struct prefix_list *list, const struct text_list *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct str rest = str_from(texts->items[i]), item;

        while (str_next_field(&rest, ',', &item)) {
            int r = add_prefix(list, item);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

int group_parse(struct str text, gid_t *ret_group)
{
    CLEANUP(freep) char *name = NULL;
    const struct group *group;
    uint64_t number;

    if (num_parse_u64(text, 0, UINT32_MAX - 1, &number) == 0) {
        *ret_group = (gid_t)number;
        return 0;
    }
    name = str_dup(text);
    if (!name)
        return -ENOMEM;
    group = getgrnam(name);
    if (!group)
        return -ENOENT;
    *ret_group = group->gr_gid;
    return 0;
}
