/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a CheckRequest, on the whole way to the reply.
 *
 * What must hold: no crash; the walk over the bytes sees what protobuf-c sees, in one piece and in
 * several (check_oracle.h); a decision has a reply that unpacks and begins with its status; on an
 * allow, each header that the policy owns is either set or removed, no name is both, a peer header
 * that was named is removed, and every value is one that HTTP allows. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "check_oracle.h"
#include "check_wire.h"
#include "decide.h"
#include "fake_source.h"
#include "reply.h"
#include "test_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char POLICY[] =
    "version: 1\n"
    "rules:\n"
    "  - id: blocked\n"
    "    when: {any: [{http.path: {contains: blocked}}, {header: {name: "
    "x-block, present: true}}]}\n"
    "    then: deny\n"
    "    respond: {status: 429, body: \"%{http.path} %{http.host}\", "
    "headers: {x-path: [\"%{http.path}\", \"%{http.query}\"]}}\n"
    "  - id: elsewhere\n"
    "    when: {http.path: {contains: elsewhere}}\n"
    "    then: deny\n"
    "    respond: {redirect: \"https://a%{http.path}?%{http.query|}\", "
    "grpc_message: \"%{http.host}\"}\n"
    "  - id: enrich\n"
    "    then: continue\n"
    "    request_headers:\n"
    "      set: {x-tcp-p0f: \"%{p0f}\", x-host: \"%{http.host}\", "
    "x-method: \"%{http.method|none}\"}\n"
    "      append: {x-list: [\"%{http.host}\", a], cookie: \"%{http.path}\"}\n"
    "      remove: [x-internal]\n"
    "    response_headers: {set: {x-a: \"%{http.query}\"}, append: "
    "{set-cookie: \"%{http.host}\"}}\n"
    "    query: {set: {os: \"%{http.host}\", b: \"\"}, remove: [debug]}\n"
    "    metadata: {host: \"%{http.host}\", a: {b: \"%{http.query}\"}}\n"
    "default: allow\n"
    "on_unknown: skip\n";

enum { ARENA_BYTES = 4 << 20 };

static void check_value(const char *value)
{
    assert(value[0] != '\0');
    for (; *value; value++)
        assert(*value == '\t' || (*value >= 0x20 && *value <= 0x7e));
}

static void check_allow(const struct policy *policy, const check_response *response)
{
    const Envoy__Service__Auth__V3__OkHttpResponse *ok = response->ok_response;

    for (size_t i = 0; i < ok->n_headers; i++) {
        check_value(ok->headers[i]->header->value);
        assert(ok->headers[i]->append);
        assert(!ok->headers[i]->append->value ||
               header_table_match(policy->headers, str_from(ok->headers[i]->header->key))
                       .owned_index == HEADER_NONE);
        for (size_t j = 0; j < ok->n_headers_to_remove; j++)
            assert(!str_eq_nocase(str_from(ok->headers[i]->header->key),
                                  str_from(ok->headers_to_remove[j])));
    }
    for (size_t i = 0; i < ok->n_response_headers_to_add; i++)
        check_value(ok->response_headers_to_add[i]->header->value);
    for (size_t i = 0; i < ok->n_query_parameters_to_set; i++)
        for (size_t j = 0; j < ok->n_query_parameters_to_remove; j++)
            assert(strcmp(ok->query_parameters_to_set[i]->key, ok->query_parameters_to_remove[j]) !=
                   0);
    for (size_t i = 0; i < header_table_owned_count(policy->headers); i++) {
        struct str name = header_table_owned_name(policy->headers, i);
        size_t found = 0;

        for (size_t j = 0; j < ok->n_headers; j++)
            found += str_eq(name, str_from(ok->headers[j]->header->key));
        for (size_t j = 0; j < ok->n_headers_to_remove; j++)
            found += str_eq(name, str_from(ok->headers_to_remove[j]));
        assert(found == 1);
    }
}

static void check_reply(const struct policy *policy, const struct request *request,
                        const struct decision *decision, struct str bytes)
{
    check_response *response = check_response_read(bytes);

    assert(response && response->status && bytes.ptr[0] == 0x0a);
    assert((response->status->code == 0) == (decision->verdict == VERDICT_ALLOW));
    assert(request->subject.has_http ==
           (response->http_response_case !=
            ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE__NOT_SET));
    if (response->http_response_case ==
        ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_OK_RESPONSE)
        check_allow(policy, response);
    check_response_freep(&response);
}

/* protobuf-c's recursion is as deep as the metadata are nested, which takes a few bytes a level. */
enum { ORACLE_BYTES_MAX = 1 << 15 };

static const struct str STREAM_PEER_HEADER = STR_INIT("x-peer");

static struct request_wire wire_of(const uint8_t *data, size_t size)
{
    struct request_wire wire = check_wire_of((struct str){(const char *)data, size});

    wire.peer_header = STREAM_PEER_HEADER;
    return wire;
}

static void compare(const struct policy *policy, struct arena *arena, const oracle_check *check,
                    const uint8_t *data, size_t size, bool is_in_one_piece)
{
    const struct request_wire wire = wire_of(data, size);
    struct endpoint endpoint = {0};
    struct request request;
    enum peer_header wanted;
    char *buffer;

    arena_reset(arena);
    if (request_decode(&wire, policy, arena, &request) != REQUEST_OK)
        return;
    buffer = malloc(2 * size + 1);
    assert(buffer);
    oracle_compare(check, &request, is_in_one_piece, buffer);
    free(buffer);
    wanted = oracle_peer_header(check, STREAM_PEER_HEADER, &endpoint);
    if (subject_extension(&request.subject, STR("local_header")).ptr)
        return; /* may spoil it; the unit tests know how */
    assert(request.subject.peer_header == wanted);
    if (wanted == PEER_HEADER_READ)
        assert(endpoint_eq(&endpoint, &request.subject.direct.source));
}

/* Unpacked and packed again, a message is in one piece: nothing is repeated that is not a list. */
static void compare_with_protobuf_c(const struct policy *policy, struct arena *arena,
                                    const uint8_t *data, size_t size)
{
    oracle_check *check = size <= ORACLE_BYTES_MAX
                              ? envoy__service__auth__v3__check_request__unpack(NULL, size, data)
                              : NULL;
    uint8_t *packed = check ? malloc(protobuf_c_message_get_packed_size(&check->base) + 1) : NULL;

    if (packed && check->attributes) {
        size_t length = envoy__service__auth__v3__check_request__pack(check, packed);

        compare(policy, arena, check, packed, length, true);
        compare(policy, arena, check, data, size, false);
    }
    free(packed);
    if (check)
        envoy__service__auth__v3__check_request__free_unpacked(check, NULL);
}

static bool is_among(struct str name, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(name, str_from(names[i])))
            return true;
    return false;
}

/* The header that the stream names, where the route does not name another. */
static void check_peer_header_removed(const struct request *request, struct str bytes)
{
    check_response *response = check_response_read(bytes);

    assert(response);
    if (!subject_extension(&request->subject, STR("peer_header")).ptr && response->ok_response &&
        response->http_response_case ==
            ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_OK_RESPONSE)
        assert(is_among(STREAM_PEER_HEADER, response->ok_response->headers_to_remove,
                        response->ok_response->n_headers_to_remove));
    check_response_freep(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct policy *policy;
    static struct arena arena;
    const struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
    const struct request_wire wire = wire_of(data, size);
    struct request request;
    struct decision decision;
    struct str bytes;

    if (!policy) {
        policy = test_policy_parse(POLICY);
        if (!policy || arena_init(&arena, ARENA_BYTES) < 0)
            abort();
    }
    compare_with_protobuf_c(policy, &arena, data, size);
    arena_reset(&arena);
    if (request_decode(&wire, policy, &arena, &request) != REQUEST_OK)
        return 0;
    if (decide(&source.base, policy, ON_FAULT_ERROR, &request.subject, &arena, &decision) !=
        DECIDE_OK)
        return 0;
    bytes =
        reply_build(policy, &request, &decision, STR("0123456789abcdef0123456789abcdef"), &arena);
    if (bytes.ptr) {
        check_reply(policy, &request, &decision, bytes);
        check_peer_header_removed(&request, bytes);
    }
    return 0;
}
