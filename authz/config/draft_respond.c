/* SPDX-License-Identifier: Apache-2.0 */
/* What a denial answers: the value of `respond`. */
#include "draft.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "num.h"
#include "policy.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { BODY_MAX = 64 << 10 };

/* --- status */

/* The final statuses that Envoy has a name for (envoy.type.v3.StatusCode); it casts without
 * checking. */
static bool is_final_status(uint64_t status)
{
    static const struct {
        uint16_t first, last;
    } RANGES[] = {{200, 208}, {226, 226}, {300, 305}, {307, 308}, {400, 417}, {421, 424},
                  {426, 426}, {428, 429}, {431, 431}, {500, 508}, {510, 511}};

    for (size_t i = 0; i < COUNT_OF(RANGES); i++)
        if (status >= RANGES[i].first && status <= RANGES[i].last)
            return true;
    return false;
}

/* Those that send a client elsewhere by their `location` (RFC 9110 15.4). */
static bool is_redirect(uint16_t status)
{
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

/* RFC 9110 15.3.5, 15.3.6, 15.4.5 */
static bool is_without_body(uint16_t status)
{
    return status == 204 || status == 205 || status == 304;
}

static int read_status(struct draft *draft, const struct node *node)
{
    uint64_t status;
    int r = draft_expect_text(draft, node, "an HTTP status");

    if (r < 0)
        return r;
    if (num_parse_u64(node->text, 200, 599, &status) < 0 || !is_final_status(status))
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found \"%" PRIstr "\", expected an HTTP status that ends a request and "
                           "that Envoy knows, like 403",
                           STR_ARG(node->text));
    draft->rule->respond->status = (uint16_t)status;
    return 0;
}

/* google.rpc.Code, by number; OK is no denial. */
static const char *const GRPC_CODES[] = {
    "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",   "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",         "DATA_LOSS",
    "UNAUTHENTICATED"};

static int read_grpc_status(struct draft *draft, const struct node *node)
{
    uint64_t code = 0;
    const char *near;
    int r = draft_expect_text(draft, node, "a gRPC status");

    if (r < 0)
        return r;
    for (size_t i = 0; i < COUNT_OF(GRPC_CODES) && !code; i++)
        if (str_eq(node->text, str_from(GRPC_CODES[i])))
            code = i + 1;
    if (!code && num_parse_u64(node->text, 1, COUNT_OF(GRPC_CODES), &code) < 0) {
        near = diag_nearest(node->text, GRPC_CODES, COUNT_OF(GRPC_CODES));
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found \"%" PRIstr "\", expected a gRPC status other than OK, like %s",
                           STR_ARG(node->text), near ? near : "PERMISSION_DENIED or 7");
    }
    draft->rule->respond->grpc_status = (uint8_t)code;
    return 0;
}

/* --- texts */

static int read_text(struct draft *draft, const struct node *node, const char *what,
                     struct template **ret_template)
{
    int r = draft_expect_text(draft, node, "a text");

    if (r < 0)
        return r;
    if (node->text.len > BODY_MAX)
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found a %s of %zu bytes, expected at most %d", what, node->text.len,
                           BODY_MAX);
    return draft_read_template(draft, node, ret_template);
}

static int read_body(struct draft *draft, const struct node *node)
{
    return read_text(draft, node, "body", &draft->rule->respond->body);
}

static int read_grpc_message(struct draft *draft, const struct node *node)
{
    return read_text(draft, node, "message", &draft->rule->respond->grpc_message);
}

static int read_redirect(struct draft *draft, const struct node *node)
{
    return draft_read_header_value(draft, node, &draft->rule->respond->redirect);
}

/* --- headers */

/* What Envoy makes of the answer to a gRPC client, and so do we. */
static const struct str GRPC_HEADERS[] = {STR_INIT("grpc-status"), STR_INIT("grpc-message")};

static int add_header(struct draft *draft, struct str name, const struct node *node)
{
    struct respond *respond = draft->rule->respond;
    struct respond_header *header = &respond->headers[respond->header_count];
    char *copy = str_dup(name);

    if (!copy)
        return draft_no_memory(draft);
    respond->header_count++;
    header->name = (struct str){copy, name.len};
    return draft_read_header_value(draft, node, &header->value);
}

static void name_done(struct str *name)
{
    freep(&name->ptr);
}

/* NAME: VALUE or NAME: [VALUE, ...].  `names` are those of the headers before. */
static int read_header(struct draft *draft, const struct node *node, struct name_table *names)
{
    CLEANUP(name_done) struct str name = {NULL, 0};
    size_t names_before = names->count;
    int r = draft_read_header_name(draft, node->key_place, node->key, &name);

    if (r < 0)
        return r;
    if (draft_is_one_of(name, GRPC_HEADERS, COUNT_OF(GRPC_HEADERS)))
        return diag_set_at(draft->diag, -EINVAL, node->key_place,
                           "found header \"%" PRIstr "\", expected the keys \"grpc_status\" and "
                           "\"grpc_message\" of \"respond\"",
                           STR_ARG(name));
    if (name_table_add(names, name) < 0)
        return draft_no_memory(draft);
    if (names->count == names_before)
        return diag_set_at(draft->diag, -EINVAL, node->key_place,
                           "found header \"%" PRIstr "\" a second time; several values are written "
                           "[..., ...]",
                           STR_ARG(name));
    if (node->kind != NODE_SEQUENCE)
        return add_header(draft, name, node);
    if (!node->first)
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found an empty sequence, expected at least one value");
    for (const struct node *item = node->first; item && r == 0; item = item->next)
        r = add_header(draft, name, item);
    return r;
}

static int read_headers(struct draft *draft, const struct node *mapping)
{
    CLEANUP(name_table_done) struct name_table names = {0};
    struct respond *respond = draft->rule->respond;
    size_t room = 1;
    int r = draft_expect(draft, mapping, NODE_MAPPING, "a mapping of header names to values");

    if (r < 0)
        return r;
    for (const struct node *node = mapping->first; node; node = node->next)
        room += 1 + node->count;
    respond->headers = calloc(room, sizeof(*respond->headers));
    if (!respond->headers)
        return draft_no_memory(draft);
    for (const struct node *node = mapping->first; node && r == 0; node = node->next)
        r = read_header(draft, node, &names);
    return r;
}

/* --- what concerns several keys */

static int check_redirect(struct draft *draft, const struct node *node)
{
    const struct respond *respond = draft->rule->respond;

    if (respond->status && !is_redirect(respond->status))
        return diag_set_at(draft->diag, -EINVAL, node_find(node, STR("status"))->place,
                           "found status %u beside \"redirect\", expected 301, 302, 303, 307 or "
                           "308",
                           respond->status);
    for (size_t i = 0; i < respond->header_count; i++)
        if (str_eq(respond->headers[i].name, STR("location")))
            return diag_set_at(draft->diag, -EINVAL, node_find(node, STR("redirect"))->key_place,
                               "found \"redirect\" beside a header \"location\", expected one of "
                               "them");
    return 0;
}

static int check_respond(struct draft *draft, const struct node *node)
{
    const struct respond *respond = draft->rule->respond;

    if (respond->body && is_without_body(respond->status))
        return diag_set_at(draft->diag, -EINVAL, node_find(node, STR("body"))->key_place,
                           "found a body, but an answer with status %u has none", respond->status);
    return respond->redirect ? check_redirect(draft, node) : 0;
}

int draft_read_respond(struct draft *draft, const struct node *node)
{
    static const struct draft_key KEYS[] = {
        {"status", read_status, false},           {"body", read_body, false},
        {"headers", read_headers, false},         {"redirect", read_redirect, false},
        {"grpc_status", read_grpc_status, false}, {"grpc_message", read_grpc_message, false}};
    int r = draft_expect(draft, node, NODE_MAPPING,
                         "a mapping with \"status\", \"body\" and \"headers\"");

    if (r < 0)
        return r;
    draft->rule->respond = calloc(1, sizeof(*draft->rule->respond));
    if (!draft->rule->respond)
        return draft_no_memory(draft);
    r = draft_read_keys(draft, node, "\"respond\"", KEYS, COUNT_OF(KEYS));
    return r < 0 ? r : check_respond(draft, node);
}
