/* SPDX-License-Identifier: Apache-2.0 */
#include "fact_key.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "header_table.h"

void fact_key_freep(struct fact_key **key)
{
    free(*key);
    *key = NULL;
}

static int copy_names(const struct str *names, size_t count, struct fact_key **ret_key)
{
    size_t text_bytes = 0;
    struct fact_key *key;
    char *at;

    for (size_t i = 0; i < count; i++)
        text_bytes += names[i].len;
    key = calloc(1, sizeof(*key) + count * sizeof(key->names[0]) + text_bytes);
    if (!key)
        return -ENOMEM;
    key->count = count;
    at = (char *)(key->names + count);
    for (size_t i = 0; i < count; i++) {
        key->names[i] = (struct str){at, names[i].len};
        memcpy(at, names[i].ptr, names[i].len);
        at += names[i].len;
    }
    *ret_key = key;
    return 0;
}

static int check_header_name(struct str name, struct diag *diag)
{
    if (!header_name_is_valid(name))
        return diag_set(diag, -EINVAL, "found \"%" PRIstr "\", expected the name of a header",
                        STR_ARG(name));
    if (str_eq_nocase(name, STR("host")))
        return diag_set(
            diag, -EINVAL,
            "found header \"host\", expected the fact http.host: Envoy gives the host there");
    return 0;
}

static int check_names(const struct fact *fact, const struct str *names, size_t count,
                       size_t *ret_wrong, struct diag *diag)
{
    size_t least = fact->key == FACT_KEY_PATH ? 2 : 1;
    size_t most = fact->key == FACT_KEY_PATH ? FACT_PATH_MAX : 1;

    *ret_wrong = count ? count - 1 : 0;
    if (count < least)
        return diag_set(diag, -EINVAL, "\"%s\" needs %s", fact->name,
                        least == 1 ? "a name" : "a namespace and a path");
    if (count > most)
        return diag_set(diag, -EINVAL, "found more than %zu name%s for \"%s\"", most,
                        most == 1 ? "" : "s", fact->name);
    for (*ret_wrong = 0; *ret_wrong < count; ++*ret_wrong)
        if (names[*ret_wrong].len == 0)
            return diag_set(diag, -EINVAL, "found an empty name for \"%s\"", fact->name);
    *ret_wrong = 0;
    return fact->key == FACT_KEY_HEADER ? check_header_name(names[0], diag) : 0;
}

/* A fact that comes in a header of the policy's choice. */
static int check_known_header(const struct fact *fact, const struct header_table *headers,
                              struct diag *diag)
{
    const char *word = strchr(fact->name, '.');

    if (!fact->known_header ||
        header_table_known(headers, (enum known_header)(fact->known_header - 1)) != HEADER_NONE)
        return 0;
    return diag_set(diag, -EINVAL,
                    "\"%s\" comes in a header that Envoy sets; expected the policy to name it: "
                    "headers: {%s: NAME}",
                    fact->name, word + 1);
}

int fact_key_new(const struct fact *fact, const struct str *names, size_t count,
                 struct header_table *headers, struct fact_key **ret_key, size_t *ret_wrong,
                 struct diag *diag)
{
    CLEANUP(fact_key_freep) struct fact_key *key = NULL;
    int slot = 0, r;

    if (fact->key == FACT_KEY_NONE) {
        assert(count == 0);
        *ret_wrong = 0;
        *ret_key = NULL;
        return check_known_header(fact, headers, diag);
    }
    r = check_names(fact, names, count, ret_wrong, diag);
    if (r < 0)
        return r;
    if (fact->key == FACT_KEY_HEADER)
        slot = header_table_add_read(headers, names[0]);
    if (slot < 0)
        return slot;
    r = copy_names(names, count, &key);
    if (r < 0)
        return r;
    key->slot = (uint32_t)slot;
    *ret_key = TAKE_PTR(key);
    return 0;
}
