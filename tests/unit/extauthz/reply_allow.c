/* SPDX-License-Identifier: Apache-2.0 */
/* Headers that an allow sets, extends and removes, on the request and on the answer. */
#include "reply_scene.h"

static const char POLICY[] =
    "version: 1\n"
    "rules:\n"
    "  - id: first\n"
    "    then: continue\n"
    "    request_headers:\n"
    "      set: {x-set: one, x-maybe: \"%{header:x-absent}\"}\n"
    "      append: {x-list: [a, \" b \", \"%{header:x-absent}\"], cookie: policy=1,\n"
    "               x-none: \"%{header:x-absent}\"}\n"
    "      remove: [x-gone]\n"
    "    response_headers:\n"
    "      set: {x-app: one, x-empty: \" \"}\n"
    "      append: {set-cookie: [a=1, \"b=%{header:x-absent}\", c=3], x-line: first}\n"
    "  - id: second\n"
    "    when: {http.path: /second}\n"
    "    then: continue\n"
    "    request_headers: {append: {x-list: c, x-set: two, x-maybe: \"yes\", x-gone: back}}\n"
    "    response_headers: {append: {x-app: two, x-line: second}, set: {x-empty: full}}\n"
    "  - id: third\n"
    "    when: {http.path: /third}\n"
    "    then: continue\n"
    "    request_headers: {set: {x-set: three}, remove: [x-list]}\n"
    "    response_headers: {set: {x-line: third}}\n"
    "  - id: tried-out\n"
    "    mode: shadow\n"
    "    then: deny\n"
    "    request_headers: {set: {x-shadow: \"1\"}}\n"
    "default: allow\n";

/* What becomes of one header; value NULL: nothing is set. */
struct row {
    const char *what, *path, *name;
    struct str client; /* ptr NULL: the client does not send it */
    const char *value;
    bool append, removed;
};

static const struct row REQUEST[] = {
    {"set", "/", "x-set", {NULL, 0}, "one", false, false},
    {"set over the client's", "/", "x-set", STR_INIT("forged"), "one", false, false},
    {"absent, so removed", "/", "x-maybe", STR_INIT("forged"), NULL, false, true},
    {"appended to nothing", "/", "x-list", {NULL, 0}, "a,b", false, false},
    {"appended to an empty one", "/", "x-list", STR_INIT(""), "a,b", false, false},
    {"appended to the client's", "/", "x-list", STR_INIT("1, 2"), "1, 2,a,b", false, false},
    {"to what we cannot repeat", "/", "x-list", STR_INIT("\xc3\xa4"), "a,b", true, false},
    {"a cookie", "/", "cookie", STR_INIT("s=1"), "s=1; policy=1", false, false},
    {"nothing to append", "/", "x-none", STR_INIT("kept"), NULL, false, false},
    {"removed", "/", "x-gone", STR_INIT("forged"), NULL, false, true},
    {"a shadow rule's", "/", "x-shadow", STR_INIT("forged"), NULL, false, true},
    {"appended by two rules", "/second", "x-list", STR_INIT("1"), "1,a,b,c", false, false},
    {"appended to what is set", "/second", "x-set", STR_INIT("forged"), "one,two", false, false},
    {"appended to an absent one", "/second", "x-maybe", STR_INIT("forged"), "yes", false, false},
    {"appended to a removed one", "/second", "x-gone", STR_INIT("forged"), "back", false, false},
    {"a later set wins", "/third", "x-set", {NULL, 0}, "three", false, false},
    {"a later removal wins", "/third", "x-list", STR_INIT("1"), NULL, false, true},
};

static void each_request_header_becomes_what_the_rules_say(void **state)
{
    struct reply_scene *scene = *state;

    reply_scene_use(scene, POLICY);
    for (size_t i = 0; i < sizeof(REQUEST) / sizeof(REQUEST[0]); i++) {
        const struct row *row = &REQUEST[i];
        const struct str headers[][2] = {{str_from(row->name), row->client}};
        const struct check_wire check = {
            .path = row->path, .headers = headers, .header_count = row->client.ptr ? 1 : 0};
        const Envoy__Service__Auth__V3__OkHttpResponse *ok;
        const check_header_option *option = NULL;

        print_message("%s\n", row->what);
        reply_scene_ask(scene, &check, false);
        ok = scene->response->ok_response;
        assert_int_equal(header_lines(ok->headers, ok->n_headers, row->name, &option),
                         row->value ? 1 : 0);
        if (row->value) {
            assert_string_equal(option->header->value, row->value);
            assert_int_equal(option->append->value, row->append);
        }
        assert_int_equal(check_removals(scene->response, row->name), row->removed);
    }
}

/* Appended lines come in their order, each by itself; one that is set replaces the upstream's. */
static void the_answers_headers_are_set_once_or_added_as_lines(void **state)
{
    static const struct {
        const char *path, *lines; /* NAME=VALUE, with a + where it is added */
    } ROWS[] = {
        {"/", "x-app=one set-cookie+=a=1 set-cookie+=c=3 x-line+=first "},
        {"/second", "x-app=one,two x-empty=full set-cookie+=a=1 set-cookie+=c=3 x-line+=first "
                    "x-line+=second "},
        {"/third", "x-app=one set-cookie+=a=1 set-cookie+=c=3 x-line=third "},
    };
    struct reply_scene *scene = *state;

    reply_scene_use(scene, POLICY);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct check_wire check = {.path = ROWS[i].path};
        const Envoy__Service__Auth__V3__OkHttpResponse *ok;
        char lines[512] = "";

        reply_scene_ask(scene, &check, false);
        ok = scene->response->ok_response;
        for (size_t j = 0; j < ok->n_response_headers_to_add; j++) {
            const check_header_option *option = ok->response_headers_to_add[j];

            (void)snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), "%s%s=%s ",
                           option->header->key, option->append->value ? "+" : "",
                           option->header->value);
        }
        assert_string_equal(lines, ROWS[i].lines);
    }
}

/* Whatever a policy says of the header in which Envoy gives the connection's own addresses. */
static void the_peer_header_never_gets_upstream(void **state)
{
    static const struct str HEADERS[][2] = {{STR_INIT("x-peer"), STR_INIT("192.0.2.9:5000")}};
    static const struct str EXTENSIONS[][2] = {{STR_INIT("peer_header"), STR_INIT("x-peer")}};
    static const struct check_wire CHECK = {.path = "/",
                                            .headers = HEADERS,
                                            .header_count = 1,
                                            .extensions = EXTENSIONS,
                                            .extension_count = 1};
    struct reply_scene *scene = *state;

    reply_scene_use(scene, "version: 1\n"
                           "rules:\n"
                           "  - id: a\n"
                           "    then: allow\n"
                           "    request_headers: {append: {x-peer: more}}\n"
                           "default: deny\n");
    reply_scene_ask(scene, &CHECK, false);
    assert_int_equal(check_removals(scene->response, "x-peer"), 1);
    assert_int_equal(scene->response->ok_response->n_headers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(each_request_header_becomes_what_the_rules_say),
        SCENE_TEST(the_answers_headers_are_set_once_or_added_as_lines),
        SCENE_TEST(the_peer_header_never_gets_upstream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
