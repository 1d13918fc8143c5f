/* SPDX-License-Identifier: Apache-2.0 */
#include "client_name.h"

#include <errno.h>

static bool is_uri(struct str name)
{
    return str_contains(name, STR("://"));
}

/* The part of a prefix form in front of its `*`. */
static bool is_prefix_form(struct str allowed, struct str *ret_prefix)
{
    if (!str_has_suffix(allowed, STR("/*")))
        return false;
    *ret_prefix = (struct str){allowed.ptr, allowed.len - 1};
    return true;
}

/* Printable, and nothing that a name in a certificate cannot hold. */
static bool has_odd_byte(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~')
            return true;
    return false;
}

int client_name_check(struct str allowed, struct diag *diag)
{
    struct str fixed = allowed;
    struct str authority;

    if (allowed.len == 0 || has_odd_byte(allowed))
        return diag_set(diag, -EINVAL, "expected a URI or a DNS name of a client's certificate");
    if (!is_uri(allowed)) {
        if (str_find_char(allowed, '*') >= 0)
            return diag_set(diag, -EINVAL, "a DNS name is compared as it is: expected no `*`");
        if (str_find_char(allowed, '/') >= 0 || str_find_char(allowed, ':') >= 0)
            return diag_set(diag, -EINVAL,
                            "expected a DNS name or a URI, like spiffe://cluster.local/ns/x/sa/y");
        return 0;
    }
    (void)is_prefix_form(allowed, &fixed);
    if (str_find_char(fixed, '*') >= 0)
        return diag_set(diag, -EINVAL, "expected `*` nowhere but behind the last `/`");
    /* without an authority, a prefix would let in everybody */
    authority = fixed;
    while (!str_has_prefix(authority, STR("://")))
        authority = str_from_offset(authority, 1);
    authority = str_from_offset(authority, 3);
    if (fixed.ptr[0] == ':' || authority.len == 0 || authority.ptr[0] == '/')
        return diag_set(diag, -EINVAL,
                        "expected a scheme and an authority, like spiffe://cluster.local/");
    return 0;
}

bool client_name_matches(struct str allowed, enum client_name_kind kind, struct str name)
{
    struct str prefix;

    if (is_uri(allowed) != (kind == CLIENT_NAME_URI))
        return false;
    if (kind == CLIENT_NAME_DNS)
        return str_eq_nocase(allowed, name);
    if (is_prefix_form(allowed, &prefix))
        return name.len > prefix.len && str_has_prefix(name, prefix);
    return str_eq(allowed, name);
}
