/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a policy, a request of it, and the reply as Envoy reads it. */
#ifndef REPLY_SCENE_H
#define REPLY_SCENE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check_wire.h"
#include "decide.h"
#include "fake_source.h"
#include "reply.h"
#include "test_policy.h"
#include "utf8.h"

#define SYSTEMS TEST_DATA "/policy/systems.fp"

struct reply_scene {
    struct policy *policy;
    struct arena arena;
    struct request request;
    struct decision decision;
    check_response *response;
    char wire[1 << 17];
};

static inline int reply_scene_set_up(void **state)
{
    struct reply_scene *scene = calloc(1, sizeof(*scene));

    *state = scene;
    return scene ? arena_init(&scene->arena, 4 << 20) : -1;
}

static inline int reply_scene_tear_down(void **state)
{
    struct reply_scene *scene = *state;

    check_response_freep(&scene->response);
    arena_done(&scene->arena);
    policy_unref(scene->policy);
    free(scene);
    return 0;
}

#define SCENE_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, reply_scene_set_up, reply_scene_tear_down)

static inline void reply_scene_use(struct reply_scene *scene, const char *policy)
{
    policy_unref(scene->policy);
    scene->policy = test_policy_parse(policy);
    assert_non_null(scene->policy);
}

/* --- what holds of every reply ---------------------------------------------------------------- */

static inline void assert_utf8(const char *text)
{
    assert_int_equal(utf8_repaired_length(str_from(text)), strlen(text));
}

static inline void assert_valid_header(const check_header_option *option)
{
    const char *name = option->header->key, *value = option->header->value;

    assert_non_null(option->append); /* present on each, whatever it says */
    assert_true(header_name_is_valid(str_from(name)));
    for (size_t i = 0; name[i]; i++)
        assert_true(name[i] != '_' && !(name[i] >= 'A' && name[i] <= 'Z'));
    assert_true(value[0] != '\0' && value[0] != ' ' && value[strlen(value) - 1] != ' ');
    for (size_t i = 0; value[i]; i++)
        assert_true(value[i] == '\t' || (value[i] >= 0x20 && value[i] <= 0x7e));
}

static inline void assert_valid_struct(const check_struct *fields)
{
    assert_true(fields->n_fields > 0);
    for (size_t i = 0; i < fields->n_fields; i++) {
        const Envoy__Service__Auth__V3__Value *value = fields->fields[i]->value;

        assert_utf8(fields->fields[i]->key);
        assert_non_null(value);
        assert_int_not_equal(value->kind_case, ENVOY__SERVICE__AUTH__V3__VALUE__KIND__NOT_SET);
        if (value->kind_case == ENVOY__SERVICE__AUTH__V3__VALUE__KIND_STRUCT_VALUE)
            assert_valid_struct(value->struct_value);
        else if (value->kind_case == ENVOY__SERVICE__AUTH__V3__VALUE__KIND_STRING_VALUE)
            assert_utf8(value->string_value);
    }
}

static inline void assert_valid_ok(const check_response *response)
{
    const Envoy__Service__Auth__V3__OkHttpResponse *ok = response->ok_response;

    for (size_t i = 0; i < ok->n_headers; i++) {
        assert_valid_header(ok->headers[i]);
        for (size_t j = 0; j < ok->n_headers_to_remove; j++)
            assert_false(str_eq_nocase(str_from(ok->headers[i]->header->key),
                                       str_from(ok->headers_to_remove[j])));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(ok->headers[i]->header->key, ok->headers[j]->header->key);
    }
    for (size_t i = 0; i < ok->n_headers_to_remove; i++)
        assert_true(header_name_is_valid(str_from(ok->headers_to_remove[i])));
    for (size_t i = 0; i < ok->n_response_headers_to_add; i++)
        assert_valid_header(ok->response_headers_to_add[i]);
    for (size_t i = 0; i < ok->n_query_parameters_to_set; i++) {
        const Envoy__Service__Auth__V3__QueryParameter *set = ok->query_parameters_to_set[i];

        assert_true(set->key[0] != '\0');
        for (size_t c = 0; set->value[c]; c++)
            assert_true(strchr("%*-._", set->value[c]) || char_is_digit(set->value[c]) ||
                        (char_lower(set->value[c]) >= 'a' && char_lower(set->value[c]) <= 'z'));
        for (size_t j = 0; j < ok->n_query_parameters_to_remove; j++)
            assert_string_not_equal(set->key, ok->query_parameters_to_remove[j]);
    }
    for (size_t i = 0; i < ok->n_query_parameters_to_remove; i++)
        assert_utf8(ok->query_parameters_to_remove[i]);
}

static inline void assert_valid_reply(const check_response *response)
{
    const Envoy__Service__Auth__V3__DeniedHttpResponse *denied = NULL;

    assert_non_null(response);
    assert_non_null(response->status);
    assert_non_null(response->dynamic_metadata);
    assert_valid_struct(response->dynamic_metadata);
    if (response->http_response_case ==
        ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_OK_RESPONSE) {
        assert_int_equal(response->status->code, 0);
        assert_valid_ok(response);
        return;
    }
    assert_int_equal(response->status->code, 7);
    assert_int_equal(response->http_response_case,
                     ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_DENIED_RESPONSE);
    denied = response->denied_response;
    assert_non_null(denied->status);
    assert_true(denied->status->code >= 200 && denied->status->code < 600);
    assert_utf8(denied->body);
    for (size_t i = 0; i < denied->n_headers; i++) {
        assert_valid_header(denied->headers[i]);
        assert_false(denied->headers[i]->append->value); /* Envoy drops others */
    }
}

/* --- one Check -------------------------------------------------------------------------------- */

/* Over HTTP, by a Linux client three hops away; `has_syn` false: its SYN is missing. */
static inline void reply_scene_ask(struct reply_scene *scene, const struct check_wire *check,
                                   bool has_syn)
{
    const struct fake_source source =
        has_syn ? fake_source_with_syn(SYN_STATE_VERIFIED)
                : fake_source_without_syn(SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    struct check_wire whole = *check;
    struct request_wire wire;
    struct str bytes;

    whole.has_http = true;
    whole.source = "192.0.2.7";
    whole.source_port = 40000;
    whole.destination = "192.0.2.1";
    whole.destination_port = 443;
    check_response_freep(&scene->response);
    arena_reset(&scene->arena);
    wire = check_wire_of(check_wire_write(&whole, scene->wire, sizeof(scene->wire)));
    assert_int_equal(request_decode(&wire, scene->policy, &scene->arena, &scene->request),
                     REQUEST_OK);
    assert_int_equal(decide(&source.base, scene->policy, ON_FAULT_ERROR, &scene->request.subject,
                            &scene->arena, &scene->decision),
                     DECIDE_OK);
    bytes = reply_build(scene->policy, &scene->request, &scene->decision, STR("id"), &scene->arena);
    assert_non_null(bytes.ptr);
    scene->response = check_response_read(bytes);
    assert_valid_reply(scene->response);
}

/* The number of lines of a header, and the last of them in `ret_value` (may be NULL). */
static inline size_t header_lines(check_header_option *const *headers, size_t count,
                                  const char *name, const check_header_option **ret_last)
{
    size_t lines = 0;

    for (size_t i = 0; i < count; i++)
        if (strcmp(headers[i]->header->key, name) == 0) {
            lines++;
            if (ret_last)
                *ret_last = headers[i];
        }
    return lines;
}

#endif
