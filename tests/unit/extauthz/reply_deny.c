/* SPDX-License-Identifier: Apache-2.0 */
/* What clients are answered, those of HTTP and those of gRPC. */
#include "reply_scene.h"

static const char POLICY[] =
    "version: 1\n"
    "rules:\n"
    "  - id: lines\n"
    "    when: {http.path: /lines}\n"
    "    then: deny\n"
    "    respond: {status: 429, body: \"slow down\\nplease\\n\",\n"
    "              headers: {set-cookie: [a=1, \"%{header:x-absent}\", b=2], x-a: \" a \"}}\n"
    "  - id: elsewhere\n"
    "    when: {http.path: {prefix: /to/}}\n"
    "    then: deny\n"
    "    respond: {redirect: \"https://a.example%{http.path}?h=%{http.host|}\", headers: {x-a: "
    "a}}\n"
    "  - id: moved\n"
    "    when: {http.path: /moved}\n"
    "    then: deny\n"
    "    respond: {status: 308, body: see there, redirect: \"https://a.example/%{http.host|}\"}\n"
    "  - id: nowhere\n"
    "    when: {http.path: /nowhere}\n"
    "    then: deny\n"
    "    respond: {status: 301, redirect: \"https://a.example/%{header:x-absent}\"}\n"
    "  - id: login\n"
    "    when: {http.path: /login}\n"
    "    then: deny\n"
    "    respond: {status: 401}\n"
    "  - id: overloaded\n"
    "    when: {http.path: /overloaded}\n"
    "    then: deny\n"
    "    respond: {status: 503, body: \"\\nfrom the second line on\"}\n"
    "  - id: decoy\n"
    "    when: {http.path: /decoy}\n"
    "    then: deny\n"
    "    respond: {status: 200, body: <html>, grpc_status: ABORTED,\n"
    "              headers: {content-type: text/html, x-a: a},\n"
    "              grpc_message: \"%{rule}: %{http.host|}\"}\n"
    "  - id: number\n"
    "    when: {http.path: /number}\n"
    "    then: deny\n"
    "    respond: {grpc_status: 16, grpc_message: \"%{header:x-absent}\", body: not this}\n"
    "default: deny\n";

static void deny(struct reply_scene *scene, const char *path, const char *content_type,
                 struct str host)
{
    const struct str headers[][2] = {{STR_INIT("content-type"), str_from(content_type)}};
    const struct check_wire check = {
        .path = path, .host = host, .headers = headers, .header_count = content_type ? 1 : 0};

    reply_scene_use(scene, POLICY);
    reply_scene_ask(scene, &check, false);
}

static const char *denied_header(const struct reply_scene *scene, const char *name)
{
    return check_header_value(scene->response->denied_response->headers,
                              scene->response->denied_response->n_headers, name);
}

static void assert_text_or_null(const char *text, const char *wanted)
{
    if (wanted)
        assert_string_equal(text, wanted);
    else
        assert_null(text);
}

static void http_clients_get_a_status_a_body_and_a_way(void **state)
{
    static const struct {
        const char *path;
        struct str host;
        int status;
        const char *body, *location;
    } ROWS[] = {
        {"/lines", {NULL, 0}, 429, "slow down\nplease\n", NULL},
        {"/to/x", {NULL, 0}, 302, "", "https://a.example/to/x?h="},
        {"/to/%41?q", {NULL, 0}, 302, "", "https://a.example/to/%41?h="},
        {"/to/x", STR_INIT(" a\r\n\xff\"<\t"), 302, "",
         "https://a.example/to/x?h=%20a%0D%0A%FF%22%3C"},
        {"/moved", STR_INIT("there"), 308, "see there", "https://a.example/there"},
        {"/nowhere", {NULL, 0}, 403, "", NULL},
        {"/decoy", {NULL, 0}, 200, "<html>", NULL},
        {"/number", {NULL, 0}, 403, "not this", NULL},
        {"/", {NULL, 0}, 403, "", NULL},
    };
    struct reply_scene *scene = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        deny(scene, ROWS[i].path, "text/html", ROWS[i].host);
        assert_int_equal(scene->response->denied_response->status->code, ROWS[i].status);
        assert_string_equal(scene->response->denied_response->body, ROWS[i].body);
        assert_text_or_null(denied_header(scene, "location"), ROWS[i].location);
        assert_null(denied_header(scene, "grpc-status"));
    }
}

static void a_header_of_several_values_has_several_lines(void **state)
{
    struct reply_scene *scene = *state;
    const Envoy__Service__Auth__V3__DeniedHttpResponse *denied;

    deny(scene, "/lines", NULL, STR(""));
    denied = scene->response->denied_response;
    assert_int_equal(denied->n_headers, 3);
    assert_string_equal(denied->headers[0]->header->value, "a=1");
    assert_string_equal(denied->headers[1]->header->value, "b=2");
    assert_string_equal(denied->headers[2]->header->value, "a");
}

static void grpc_clients_get_a_grpc_status_and_a_line(void **state)
{
    static const struct {
        const char *path, *status, *body;
    } ROWS[] = {
        {"/lines", "8", "slow down"}, {"/to/x", "7", ""},
        {"/moved", "7", "see there"}, {"/login", "16", ""},
        {"/overloaded", "14", ""},    {"/decoy", "10", "decoy: h"},
        {"/number", "16", ""},        {"/", "7", ""},
    };
    static const char *const KINDS[] = {"application/grpc", "application/grpc+proto",
                                        "Application/gRPC; charset=x"};
    struct reply_scene *scene = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        deny(scene, ROWS[i].path, KINDS[i % 3], STR("h\nsecond"));
        assert_string_equal(denied_header(scene, "grpc-status"), ROWS[i].status);
        assert_string_equal(scene->response->denied_response->body, ROWS[i].body);
        assert_null(denied_header(scene, "location"));
    }
}

/* A gRPC client takes what is of another type for no answer of gRPC, and does not read the status.
 */
static void grpc_clients_do_not_get_the_type_of_a_page(void **state)
{
    struct reply_scene *scene = *state;

    deny(scene, "/decoy", "application/grpc", STR("h"));
    assert_null(denied_header(scene, "content-type"));
    assert_string_equal(denied_header(scene, "x-a"), "a");
    deny(scene, "/decoy", "text/html", STR("h"));
    assert_string_equal(denied_header(scene, "content-type"), "text/html");
}

static void what_only_begins_like_grpc_is_http(void **state)
{
    static const char *const KINDS[] = {"application/grpc-web", "application/grpcx",
                                        "application/grp", "text/application/grpc", ""};
    struct reply_scene *scene = *state;

    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        deny(scene, "/lines", KINDS[i], STR("h"));
        assert_null(denied_header(scene, "grpc-status"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(http_clients_get_a_status_a_body_and_a_way),
        SCENE_TEST(a_header_of_several_values_has_several_lines),
        SCENE_TEST(grpc_clients_get_a_grpc_status_and_a_line),
        SCENE_TEST(grpc_clients_do_not_get_the_type_of_a_page),
        SCENE_TEST(what_only_begins_like_grpc_is_http),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
