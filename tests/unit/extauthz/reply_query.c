/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters that an allow sets and removes. */
#include "reply_scene.h"

static const char POLICY[] =
    "version: 1\n"
    "rules:\n"
    "  - id: set\n"
    "    when: {http.path: /set}\n"
    "    then: allow\n"
    "    query: {set: {os: \"%{http.host|a b+c}\", flag: \"\"}, remove: [debug]}\n"
    "  - id: plain\n"
    "    when: {http.path: /plain}\n"
    "    then: allow\n"
    "    query: {set: {os: \"%{http.host|a b+c~1*}\"}, escape: underscore}\n"
    "  - id: absent\n"
    "    when: {http.path: /absent}\n"
    "    then: allow\n"
    "    query: {set: {os: \"%{http.host}\"}}\n"
    "default: allow\n";

static const struct {
    const char *what, *path, *changes; /* NAME=VALUE to be set, -NAME to be removed */
} ROWS[] = {
    {"set and removed", "/set?debug=1&a=1", "os=a%20b%2Bc flag= -debug "},
    {"nothing is there to be removed", "/set", "os=a%20b%2Bc flag= "},
    {"removed once", "/set?debug&debug=&debug=1", "os=a%20b%2Bc flag= -debug "},
    {"set over the client's", "/set?os=forged&os=again", "os=a%20b%2Bc flag= "},
    {"in other spellings", "/set?%6Fs=1&o%73=2&%64ebug",
     "os=a%20b%2Bc flag= -%6Fs -o%73 -%64ebug "},
    {"without escapes", "/plain", "os=a_b_c_1* "},
    {"an absent value", "/absent?os=forged&debug=1", "-os "},
    {"another rule's, unasked", "/other?os=forged&flag&debug=1&x=os", "-os -flag "},
    {"names are as they are", "/other?OS=1&os%3D=1&os+=1&os%00=1&&=os&%=1&%6=1", ""},
    {"a long name",
     "/other?"
     "ooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooos=1",
     ""},
};

static void each_query_is_changed_as_the_rules_say(void **state)
{
    struct reply_scene *scene = *state;

    reply_scene_use(scene, POLICY);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct check_wire check = {.path = ROWS[i].path};
        const Envoy__Service__Auth__V3__OkHttpResponse *ok;
        char changes[512] = "";

        print_message("%s\n", ROWS[i].what);
        reply_scene_ask(scene, &check, false);
        ok = scene->response->ok_response;
        for (size_t j = 0; j < ok->n_query_parameters_to_set; j++)
            (void)snprintf(changes + strlen(changes), sizeof(changes) - strlen(changes), "%s=%s ",
                           ok->query_parameters_to_set[j]->key,
                           ok->query_parameters_to_set[j]->value);
        for (size_t j = ok->n_query_parameters_to_remove; j > 0; j--) /* as the query has them */
            (void)snprintf(changes + strlen(changes), sizeof(changes) - strlen(changes), "-%s ",
                           ok->query_parameters_to_remove[j - 1]);
        assert_string_equal(changes, ROWS[i].changes);
    }
}

static void hostile_bytes_become_escapes(void **state)
{
    struct reply_scene *scene = *state;
    const struct check_wire check = {.path = "/set", .host = STR("\x01&=\xff#%7f")};

    reply_scene_use(scene, POLICY);
    reply_scene_ask(scene, &check, false);
    assert_string_equal(scene->response->ok_response->query_parameters_to_set[0]->value,
                        "%01%26%3D%FF%23%257f");
}

/* 64 of them are somebody's joke, more are oversize: there is no reply then. */
static void so_many_spellings_are_an_attack(void **state)
{
    struct reply_scene *scene = *state;
    char path[1024] = "/other?";
    struct check_wire check = {.has_http = true, .path = path};
    struct request_wire wire;

    reply_scene_use(scene, POLICY);
    for (int i = 0; i < 64; i++)
        strcat(path, "%6fs&");
    reply_scene_ask(scene, &check, false);
    assert_int_equal(scene->response->ok_response->n_query_parameters_to_remove, 64);

    strcat(path, "%6fs&");
    arena_reset(&scene->arena);
    wire = check_wire_of(check_wire_write(&check, scene->wire, sizeof(scene->wire)));
    assert_int_equal(request_decode(&wire, scene->policy, &scene->arena, &scene->request),
                     REQUEST_OK);
    assert_int_equal(
        policy_evaluate(scene->policy, &scene->request.subject, &scene->arena, &scene->decision),
        0);
    assert_null(
        reply_build(scene->policy, &scene->request, &scene->decision, STR("id"), &scene->arena)
            .ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(each_query_is_changed_as_the_rules_say),
        SCENE_TEST(hostile_bytes_become_escapes),
        SCENE_TEST(so_many_spellings_are_an_attack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
