/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a CheckRequest, on the whole way to the reply.
 *
 * What must hold: no crash; the walk over the bytes sees what protobuf-c sees; a decision has a
 * reply that unpacks and begins with its status; on an allow, each header that the policy owns is
 * either set or removed, no name is both, and every value is one that HTTP allows. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "check_request.pb-c.h"
#include "check_wire.h"
#include "decide.h"
#include "fake_source.h"
#include "reply.h"
#include "test_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char POLICY[] = "version: 1\n"
                             "rules:\n"
                             "  - id: blocked\n"
                             "    when: {any: [{http.path: {contains: blocked}}, {header: {name: "
                             "x-block, present: true}}]}\n"
                             "    then: deny\n"
                             "    respond: {status: 429, body: \"%{http.path} %{http.host}\", "
                             "headers: {x-path: \"%{http.path}\"}}\n"
                             "  - id: enrich\n"
                             "    then: continue\n"
                             "    request_headers:\n"
                             "      set: {x-tcp-p0f: \"%{p0f}\", x-host: \"%{http.host}\", "
                             "x-method: \"%{http.method|none}\"}\n"
                             "      remove: [x-internal]\n"
                             "    metadata: {host: \"%{http.host}\"}\n"
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
        assert(ok->headers[i]->append && !ok->headers[i]->append->value);
        for (size_t j = 0; j < ok->n_headers_to_remove; j++)
            assert(!str_eq_nocase(str_from(ok->headers[i]->header->key),
                                  str_from(ok->headers_to_remove[j])));
    }
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

typedef Envoy__Service__Auth__V3__CheckRequest check_message;
typedef Envoy__Service__Auth__V3__AttributeContext__HttpRequest http_message;

static bool same_text(ProtobufCBinaryData bytes, struct str text)
{
    return str_eq((struct str){(const char *)bytes.data, bytes.len}, text);
}

static void compare_http(const http_message *http, const struct subject *subject)
{
    struct str path = {(const char *)http->path.data, http->path.len};
    ptrdiff_t query = str_find_char(path, '?');

    assert(same_text(http->method, subject->method));
    assert(same_text(http->host, subject->host));
    assert(same_text(http->scheme, subject->scheme));
    assert(same_text(http->protocol, subject->protocol));
    assert(str_eq(subject->path, query < 0 ? path : (struct str){path.ptr, (size_t)query}));
}

/* protobuf-c merges repeated messages and takes the last of repeated values; packed again, nothing
 * is repeated. */
static void compare_with_protobuf_c(const struct policy *policy, struct arena *arena,
                                    const uint8_t *data, size_t size)
{
    check_message *check = envoy__service__auth__v3__check_request__unpack(NULL, size, data);
    uint8_t *packed = check ? malloc(protobuf_c_message_get_packed_size(&check->base) + 1) : NULL;
    struct request request;

    if (packed) {
        size_t length = envoy__service__auth__v3__check_request__pack(check, packed);
        const struct request_wire wire = check_wire_of((struct str){(const char *)packed, length});

        arena_reset(arena);
        if (request_decode(&wire, policy, arena, &request) == REQUEST_OK) {
            const http_message *http = NULL;

            assert(check->attributes);
            if (check->attributes->request)
                http = check->attributes->request->http;
            assert(request.subject.has_http == (http != NULL));
            if (http)
                compare_http(http, &request.subject);
        }
    }
    free(packed);
    if (check)
        envoy__service__auth__v3__check_request__free_unpacked(check, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct policy *policy;
    static struct arena arena;
    const struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
    const struct request_wire wire = check_wire_of((struct str){(const char *)data, size});
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
    if (bytes.ptr)
        check_reply(policy, &request, &decision, bytes);
    return 0;
}
