/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cleanup.h"
#include "header_table.h"

static const struct extension EXTENSIONS[] = {{STR_INIT("team"), STR_INIT("blue")}};
static const struct str HEADERS[] = {STR_INIT("text/html"), STR_INIT("id-1"), {NULL, 0}};

static const struct subject SUBJECT = {
    .extensions = EXTENSIONS,
    .extension_count = 1,
    .headers = HEADERS,
    .has_http = true,
    .path = STR_INIT("/a"),
    .host = STR_INIT(""),
    .source = {.addr = {4, {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}}, .port = 65535},
    .syn_state = SYN_STATE_MISSING,
    /* {filter_metadata: {"jwt": {"sub": "joe", "n": 7}}} */
    .metadata = STR_INIT("\x0a\x25\x0a\x03jwt\x12\x1e\x0a\x0c\x0a\x03sub\x12\x05\x1a\x03joe"
                         "\x0a\x0e\x0a\x01n\x12\x09\x11\x00\x00\x00\x00\x00\x00\x1c\x40"),
};

static const struct template_names NAMES = {
    .rule = STR_INIT("enrich"),
    .policy = STR_INIT("default"),
    .revision = STR_INIT("0123456789ab"),
};

static const struct {
    const char *text;
    const char *result; /* NULL: absent */
} ROWS[] = {
    {"", ""},
    {"plain", "plain"},
    {"100%%", "100%"},
    {"%%{p0f}", "%{p0f}"},
    {"%%%%", "%%"},
    {"%{http.path}", "/a"},
    {"%{http.path}%{http.path}", "/a/a"},
    {"<%{http.path}>", "</a>"},
    {"%{source.address}:%{source.port}", "192.0.2.1:65535"},
    {"%{source.port}", "65535"},
    {"%{fingerprint.state}", "missing"},
    {"%{http.host}", ""}, /* an empty value is a value */
    {"%{http.host|none}", ""},
    {"%{http.scheme}", NULL}, /* observed absent */
    {"%{http.scheme|http}", "http"},
    {"%{http.scheme|}", ""},
    {"a%{http.scheme}b", NULL},
    {"a%{http.scheme|}b", "ab"},
    {"%{p0f}", NULL},                /* unobservable */
    {"%{p0f|a|b %%} c", "a|b %% c"}, /* a default is taken as it is */
    {"%{http.path|x}y%{p0f|z}", "/ayz"},
    {"%{fingerprint.reason|-}", "-"},
    {"%{rule}/%{policy}/%{revision}", "enrich/default/0123456789ab"},
    {"%{decision_id}", NULL}, /* the caller gave none */
    {"%{decision_id|-}", "-"},
    {"%{header:Content-Type}", "text/html"},
    {"%{header:x-request-id} %{header:traceparent|none}", "id-1 none"},
    {"%{header:traceparent}", NULL},
    {"%{extension:team}", "blue"},
    {"%{extension:other|red}", "red"},
    {"%{metadata:jwt:sub}", "joe"},
    {"%{metadata:jwt:n}", "7"}, /* made text in a buffer */
    {"<%{metadata:jwt:n}%{metadata:jwt:n}>", "<77>"},
    {"%{metadata:jwt:sub:deeper|absent}", "absent"},
    {"%{metadata:other:sub|unobservable}", "unobservable"},
    {"%{route_metadata:jwt:sub}", NULL},
};

static int compile(const char *text, struct template **ret_template)
{
    CLEANUP(header_table_freep) struct header_table *headers = NULL;

    assert_int_equal(header_table_new(&headers), 0);
    return template_compile(str_from(text), (struct place){0, 0}, headers, ret_template, NULL);
}

static void templates_show_facts_defaults_and_names(void **state)
{
    CLEANUP(arena_done) struct arena arena;

    (void)state;
    assert_int_equal(arena_init(&arena, 4096), 0);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        CLEANUP(template_freep) struct template *template = NULL;
        enum template_result wanted = ROWS[i].result ? TEMPLATE_TEXT : TEMPLATE_ABSENT;
        struct str text;

        assert_int_equal(compile(ROWS[i].text, &template), 0);
        assert_int_equal(template_render(template, &SUBJECT, &NAMES, &arena, &text), wanted);
        if (ROWS[i].result && !str_eq(text, str_from(ROWS[i].result)))
            fail_msg("%s: %.*s", ROWS[i].text, STR_ARG(text));
    }
}

static const struct {
    const char *text;
    unsigned column;
    const char *message;
} WRONG[] = {
    {"%", 10, "found '%', expected %{fact}; a percent sign is written %%"},
    {"50% off", 12, "found '%', expected %{fact}; a percent sign is written %%"},
    {"a%{p0f", 11, "found \"%{\" without its \"}\""},
    {"%{p0f}%{pof}", 18, "unknown fact \"pof\"; did you mean \"p0f\"?"},
    {"%{Rule}", 12, "unknown fact \"Rule\"; did you mean \"rule\"?"},
    {"%{ p0f}", 12, "unknown fact \" p0f\"; did you mean \"p0f\"?"},
    {"%{signature|x}", 12, "\"signature\" is for conditions, its text is %{p0f}"},
    {"%{header}", 12, "\"header\" needs a name"},
    {"%{header:}", 19, "found an empty name for \"header\""},
    {"%{header:a b}", 19, "found \"a b\", expected the name of a header"},
    {"%{header:host}", 19,
     "found header \"host\", expected the fact http.host: Envoy gives the host there"},
    {"%{header:a:b}", 21, "found more than 1 name for \"header\""},
    {"%{extension}", 12, "\"extension\" needs a name"},
    {"%{metadata:ns}", 21, "\"metadata\" needs a namespace and a path"},
    {"%{metadata:ns::b}", 24, "found an empty name for \"metadata\""},
    {"%{metadata:1:2:3:4:5:6:7:8:9:0:1:2:3:4:5:6:7:8}", 53,
     "found more than 16 names for \"metadata\""},
    {"%{p0f:x}", 16, "found a name, but there is only one \"p0f\""},
    {"%{headr:x}", 12, "unknown fact \"headr\"; did you mean \"header\"?"},
    {"%{tls.ja3}", 12,
     "\"tls.ja3\" comes in a header that Envoy sets; expected the policy to name it: headers: "
     "{ja3: NAME}"},
};

static void wrong_templates_are_explained_at_their_column(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        CLEANUP(header_table_freep) struct header_table *headers = NULL;
        struct template *template = NULL;
        struct diag diag = {0};

        assert_int_equal(header_table_new(&headers), 0);
        assert_int_equal(template_compile(str_from(WRONG[i].text), (struct place){3, 10}, headers,
                                          &template, &diag),
                         -EINVAL);
        assert_null(template);
        assert_string_equal(diag.text, WRONG[i].message);
        assert_int_equal(diag.place.line, 3);
        assert_int_equal(diag.place.column, WRONG[i].column);
    }
}

static void what_needs_no_copy_takes_nothing_from_the_arena(void **state)
{
    static const char *const TEXTS[] = {"plain", "100%%", "%{http.path}", "%{p0f|none}", "%{rule}"};
    struct arena arena = {0}; /* has no room at all */

    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        CLEANUP(template_freep) struct template *template = NULL;
        struct str text;

        assert_int_equal(compile(TEXTS[i], &template), 0);
        assert_int_equal(template_render(template, &SUBJECT, &NAMES, &arena, &text), TEMPLATE_TEXT);
        assert_int_equal(arena.used, 0);
    }
}

static void a_full_arena_is_said_at_every_cap(void **state)
{
    CLEANUP(template_freep) struct template *template = NULL;
    static const struct str WHOLE = STR_INIT("from 192.0.2.1 to /a");
    struct str text;

    (void)state;
    assert_int_equal(compile("from %{source.address} to %{http.path}", &template), 0);
    for (size_t cap = 0; cap <= WHOLE.len; cap++) {
        CLEANUP(arena_done) struct arena arena;
        enum template_result result;

        assert_int_equal(arena_init(&arena, cap), 0);
        result = template_render(template, &SUBJECT, &NAMES, &arena, &text);
        assert_int_equal(result, cap < WHOLE.len ? TEMPLATE_EXHAUSTED : TEMPLATE_TEXT);
        if (result == TEMPLATE_TEXT)
            assert_true(str_eq(text, WHOLE));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_show_facts_defaults_and_names),
        cmocka_unit_test(wrong_templates_are_explained_at_their_column),
        cmocka_unit_test(what_needs_no_copy_takes_nothing_from_the_arena),
        cmocka_unit_test(a_full_arena_is_said_at_every_cap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
