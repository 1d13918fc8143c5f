/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy calls things: identifiers, and the names and values of headers. */
#include "draft.h"

#include <errno.h>

#include "cleanup.h"
#include "header_table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

bool draft_is_identifier(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = char_lower(text.ptr[i]);

        if (!char_is_digit(c) && !(c >= 'a' && c <= 'z') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return text.len > 0 && text.len <= DRAFT_ID_MAX;
}

bool draft_is_one_of(struct str text, const struct str *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(text, words[i]))
            return true;
    return false;
}

/* --- header names */

/* They frame the message or name its destination: Envoy owns them, or does not let ext_authz change
 * them. */
static const struct str ENVOYS_HEADERS[] = {
    STR_INIT("host"),
    STR_INIT("connection"),
    STR_INIT("keep-alive"),
    STR_INIT("te"),
    STR_INIT("trailer"),
    STR_INIT("upgrade"),
    STR_INIT("content-length"),
    STR_INIT("transfer-encoding"),
    STR_INIT("proxy-connection"),
    STR_INIT("http2-settings"),
};

static int refuse_name(struct draft *draft, struct place place, struct str name, const char *why)
{
    return diag_set_at(draft->diag, -EINVAL, place, "found header \"%" PRIstr "\": %s",
                       STR_ARG(name), why);
}

int draft_read_header_name(struct draft *draft, struct place place, struct str name,
                           struct str *ret_name)
{
    CLEANUP(freep) char *lower = str_dup(name);
    struct str result = {lower, name.len};

    if (!lower)
        return draft_no_memory(draft);
    for (size_t i = 0; i < name.len; i++)
        lower[i] = char_lower(lower[i]);
    if (str_has_prefix(result, STR(":")))
        return refuse_name(draft, place, name, "a policy cannot change pseudo-headers");
    if (!header_name_is_valid(result))
        return refuse_name(draft, place, name, "expected a header name (RFC 9110 token)");
    if (draft_is_one_of(result, ENVOYS_HEADERS, COUNT_OF(ENVOYS_HEADERS)))
        return refuse_name(draft, place, name, "only Envoy itself can change it");
    if (str_has_prefix(result, STR("x-envoy-")))
        return refuse_name(draft, place, name, "names with x-envoy- belong to Envoy");
    *ret_name = (struct str){TAKE_PTR(lower), name.len};
    return 0;
}

int draft_read_set_name(struct draft *draft, const struct node *node, struct str *ret_name)
{
    if (str_find_char(node->key, '_') >= 0)
        return refuse_name(draft, node->key_place, node->key,
                           "a header that is set has '-' in its name, not '_'");
    return draft_read_header_name(draft, node->key_place, node->key, ret_name);
}

int draft_read_header_value(struct draft *draft, const struct node *node,
                            struct template **ret_template)
{
    int r = draft_expect_text(draft, node, "the value of a header");

    if (r < 0)
        return r;
    for (size_t i = 0; i < node->text.len; i++)
        if ((unsigned char)node->text.ptr[i] < 0x20 && node->text.ptr[i] != '\t')
            return diag_set_at(draft->diag, -EINVAL, node_place_at(node, i),
                               "found a line break or control character in the value of a header");
    return draft_read_template(draft, node, ret_template);
}
