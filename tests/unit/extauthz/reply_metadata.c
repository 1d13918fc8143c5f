/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic metadata: interfaces that rate limits, RBAC and access logs are written against. */
#include "reply_scene.h"

#define RULES                                                                                      \
    "rules:\n"                                                                                     \
    "  - id: tried-out\n"                                                                          \
    "    mode: shadow\n"                                                                           \
    "    when: {http.path: {prefix: /shadow}}\n"                                                   \
    "    then: deny\n"                                                                             \
    "    metadata: {tried: \"yes\"}\n"                                                             \
    "  - id: later\n"                                                                              \
    "    mode: shadow\n"                                                                           \
    "    when: {http.path: {prefix: /shadow}}\n"                                                   \
    "    then: allow\n"                                                                            \
    "  - id: denied\n"                                                                             \
    "    when: {http.path: /shadow/denied}\n"                                                      \
    "    then: deny\n"                                                                             \
    "  - id: nested\n"                                                                             \
    "    when: {http.path: /nested}\n"                                                             \
    "    then: deny\n"                                                                             \
    "    metadata:\n"                                                                              \
    "      a: {b: {c: \"%{http.host}\", d: \"%{rule}\"}, gone: \"%{header:x-absent}\"}\n"          \
    "      empty: {of: {all: \"%{header:x-absent}\"}}\n"                                           \
    "default: allow\n"

static const char WITH_DATABASE[] = "version: 1\ndatabases: [" SYSTEMS "]\n" RULES;
static const char WITHOUT_DATABASE[] = "version: 1\n" RULES;

static const char *text(const struct reply_scene *scene, const char *key)
{
    return check_struct_text(scene->response->dynamic_metadata, key);
}

static const char *p0f_text(const struct reply_scene *scene, const char *key)
{
    return check_struct_text(check_struct_nested(scene->response->dynamic_metadata, "p0f"), key);
}

static void a_known_system_is_told_nested_and_flat(void **state)
{
    static const struct {
        const char *key, *value;
    } ROWS[] = {
        {"signature", FAKE_SIGNATURE},
        {"os", "Linux 3.11 and newer"},
        {"name", "Linux"},
        {"flavor", "3.11 and newer"},
        {"family", "linux"},
        {"match", "specific"},
        {"state", "verified"},
    };
    struct reply_scene *scene = *state;
    const check_struct *p0f;

    reply_scene_use(scene, WITH_DATABASE);
    reply_scene_ask(scene, &(struct check_wire){.path = "/"}, true);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_string_equal(p0f_text(scene, ROWS[i].key), ROWS[i].value);
    p0f = check_struct_nested(scene->response->dynamic_metadata, "p0f");
    assert_int_equal(p0f->n_fields, 8);
    for (size_t i = 0; i < p0f->n_fields; i++)
        if (strcmp(p0f->fields[i]->key, "distance") == 0) {
            assert_int_equal(p0f->fields[i]->value->kind_case,
                             ENVOY__SERVICE__AUTH__V3__VALUE__KIND_NUMBER_VALUE);
            assert_true(p0f->fields[i]->value->number_value == 3.0);
        }
    assert_string_equal(text(scene, "p0f_signature"), FAKE_SIGNATURE);
    assert_string_equal(text(scene, "p0f_os"), "Linux 3.11 and newer");
    assert_string_equal(text(scene, "p0f_state"), "verified");
}

/* A database that has not this one. */
static void an_unknown_system_is_unknown(void **state)
{
    struct reply_scene *scene = *state;
    const struct syn empty = {.ip_version = 4, .ttl = 60};
    struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
    struct str bytes;

    source.answer.syn = empty;
    reply_scene_use(scene, WITH_DATABASE);
    reply_scene_ask(scene, &(struct check_wire){.path = "/"}, true);
    assert_int_equal(decide(&source.base, scene->policy, ON_FAULT_ERROR, &scene->request.subject,
                            &scene->arena, &scene->decision),
                     DECIDE_OK);
    scene->request.subject.label = (struct str){NULL, 0};
    bytes = reply_build(scene->policy, &scene->request, &scene->decision, STR("id"), &scene->arena);
    check_response_freep(&scene->response);
    scene->response = check_response_read(bytes);
    assert_valid_reply(scene->response);
    assert_string_equal(p0f_text(scene, "os"), "unknown");
    assert_string_equal(p0f_text(scene, "family"), "unknown");
    assert_string_equal(p0f_text(scene, "match"), "none");
    assert_null(p0f_text(scene, "name"));
    assert_null(p0f_text(scene, "flavor"));
    assert_string_equal(text(scene, "p0f_os"), "unknown");
}

static void without_a_database_or_a_syn_nothing_is_said_of_the_system(void **state)
{
    static const char *const KEYS[] = {"os", "name", "flavor", "family", "match"};
    struct reply_scene *scene = *state;

    for (int has_database = 0; has_database <= 1; has_database++) {
        reply_scene_use(scene, has_database ? WITH_DATABASE : WITHOUT_DATABASE);
        reply_scene_ask(scene, &(struct check_wire){.path = "/"}, !has_database);
        for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++)
            assert_null(p0f_text(scene, KEYS[i]));
        assert_null(text(scene, "p0f_os"));
        assert_string_equal(p0f_text(scene, "state"), has_database ? "missing" : "verified");
    }
}

static void a_denial_keeps_nested_metadata_without_what_is_absent(void **state)
{
    struct reply_scene *scene = *state;
    const check_struct *a;

    reply_scene_use(scene, WITHOUT_DATABASE);
    reply_scene_ask(scene, &(struct check_wire){.path = "/nested", .host = STR("h\xff")}, false);
    a = check_struct_nested(scene->response->dynamic_metadata, "a");
    assert_int_equal(a->n_fields, 1);
    assert_string_equal(check_struct_text(check_struct_nested(a, "b"), "c"), "h\xef\xbf\xbd");
    assert_string_equal(check_struct_text(check_struct_nested(a, "b"), "d"), "nested");
    assert_null(check_struct_nested(scene->response->dynamic_metadata, "empty"));
}

static void a_shadow_rule_is_told_where_it_would_change_the_verdict(void **state)
{
    static const struct {
        const char *path, *verdict, *would_be, *shadow_rule;
    } ROWS[] = {
        {"/shadow", "allow", "deny", "tried-out"},
        {"/shadow/denied", "deny", NULL, NULL}, /* the same either way */
        {"/", "allow", NULL, NULL},
    };
    struct reply_scene *scene = *state;

    reply_scene_use(scene, WITHOUT_DATABASE);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        reply_scene_ask(scene, &(struct check_wire){.path = ROWS[i].path}, false);
        assert_string_equal(text(scene, "verdict"), ROWS[i].verdict);
        assert_null(text(scene, "tried"));
        if (!ROWS[i].would_be) {
            assert_null(text(scene, "would_be"));
            assert_null(text(scene, "shadow_rule"));
            continue;
        }
        assert_string_equal(text(scene, "would_be"), ROWS[i].would_be);
        assert_string_equal(text(scene, "shadow_rule"), ROWS[i].shadow_rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_known_system_is_told_nested_and_flat),
        SCENE_TEST(an_unknown_system_is_unknown),
        SCENE_TEST(without_a_database_or_a_syn_nothing_is_said_of_the_system),
        SCENE_TEST(a_denial_keeps_nested_metadata_without_what_is_absent),
        SCENE_TEST(a_shadow_rule_is_told_where_it_would_change_the_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
