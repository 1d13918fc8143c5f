/* SPDX-License-Identifier: Apache-2.0 */
/* Random policies and hostile requests: every reply is one that Envoy takes (reply_scene.h says
 * what that means), whatever the rules, the client and the databases say.  The same each time:
 * numbers come from a fixed seed. */
#include "reply_scene.h"

#include <stdio.h>

#include "matcher.h"
#include "os.h"

enum { POLICIES = 400, REQUESTS = 10, POLICY_MAX = 16384 };

static uint64_t seed;

static unsigned random_below(unsigned bound)
{
    seed ^= seed << 13; /* xorshift */
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % bound);
}

static bool chance(unsigned percent)
{
    return random_below(100) < percent;
}

/* --- policies --------------------------------------------------------------------------------- */

static const char *const TEMPLATES[] = {
    "text",
    " ",
    "%{p0f}",
    "%{p0f|}",
    "%{http.path}",
    "%{http.query|none}",
    "%{header:x-hostile}",
    "%{label|unknown}",
    "%{os.family} %{os.flavor|}",
    "%{tcp.distance}",
    "%{rule} %{decision_id}",
    "%{http.host} %{header:x-hostile} %{http.host}",
    "100%%",
    "%{source.address}:%{source.port}",
    "%{fingerprint.reason|-}",
    "%{header:x-list|} ",
};
static const char *const NAMES[] = {"x-a", "x-b", "x-c-d", "x-list", "x-tcp-p0f", "cookie"};
static const char *const PARAMETERS[] = {"os", "debug", "a.b", "flag"};

enum { TEMPLATE_COUNT = sizeof(TEMPLATES) / sizeof(TEMPLATES[0]) };
enum { NAME_COUNT = sizeof(NAMES) / sizeof(NAMES[0]) };
enum { PARAMETER_COUNT = sizeof(PARAMETERS) / sizeof(PARAMETERS[0]) };

struct text {
    char bytes[POLICY_MAX];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list args;
    int written;

    va_start(args, format);
    written =
        vsnprintf(text->bytes + text->length, sizeof(text->bytes) - text->length, format, args);
    va_end(args);
    assert_true(written >= 0 && (size_t)written < sizeof(text->bytes) - text->length);
    text->length += (size_t)written;
}

static const char *some_template(void)
{
    return TEMPLATES[random_below(TEMPLATE_COUNT)];
}

/* "{set: {...}, append: {...}}": each name at most once, under a kind by chance. */
static void add_changes(struct text *text, const char *block, const char *const *names,
                        size_t name_count, const char *const kinds[3])
{
    unsigned kind_of[8];

    if (chance(40))
        return;
    for (size_t i = 0; i < name_count; i++)
        kind_of[i] = random_below(5); /* 3 and 4: not at all */
    add(text, "    %s:\n", block);
    for (unsigned kind = 0; kind < 3; kind++) {
        bool is_list = kinds[kind] && strcmp(kinds[kind], "remove") == 0;

        if (!kinds[kind])
            continue;
        add(text, "      %s: %s", kinds[kind], is_list ? "[" : "{");
        for (size_t i = 0; i < name_count; i++)
            if (kind_of[i] == kind && is_list)
                add(text, "%s, ", names[i]);
            else if (kind_of[i] == kind && kind == 1)
                add(text, "%s: [\"%s\", \"%s\"], ", names[i], some_template(), some_template());
            else if (kind_of[i] == kind)
                add(text, "%s: \"%s\", ", names[i], some_template());
        add(text, is_list ? "]\n" : "}\n");
    }
}

static void add_respond(struct text *text)
{
    static const char *const STATUSES[] = {"403", "429", "200", "500", "308"};
    bool has_redirect = chance(30);

    if (chance(30))
        return;
    add(text, "    respond:\n      body: \"%s\\n%s\"\n", some_template(), some_template());
    if (has_redirect)
        add(text, "      redirect: \"https://a.example%s\"\n", some_template());
    else
        add(text, "      status: %s\n", STATUSES[random_below(5)]);
    if (chance(50))
        add(text, "      grpc_status: %u\n", 1 + random_below(16));
    if (chance(50))
        add(text, "      grpc_message: \"%s\"\n", some_template());
    add(text, "      headers: {set-cookie: [\"%s\", \"%s\"], x-a: \"%s\"}\n", some_template(),
        some_template(), some_template());
}

static void add_rule(struct text *text, unsigned number)
{
    static const char *const THEN[] = {"continue", "continue", "continue", "allow", "deny"};
    static const char *const MODES[] = {"enforce", "enforce", "enforce", "shadow", "off"};
    static const char *const REQUEST[3] = {"set", "append", "remove"};
    static const char *const RESPONSE[3] = {"set", "append", NULL};
    static const char *const QUERY[3] = {"set", NULL, "remove"};
    const char *then = THEN[random_below(5)];
    bool denies = strcmp(then, "deny") == 0;

    add(text, "  - id: r%u\n    then: %s\n    mode: %s\n    when: {http.path: {prefix: /%.*s}}\n",
        number, then, MODES[random_below(5)], (int)random_below(2), "a");
    add(text, "    metadata: {a: \"%s\", b: {c: \"%s\", d: {e: \"%s\"}}}\n", some_template(),
        some_template(), some_template());
    add_changes(text, "request_headers", NAMES, NAME_COUNT, REQUEST);
    if (denies) {
        add_respond(text);
        return;
    }
    add_changes(text, "response_headers", NAMES, NAME_COUNT, RESPONSE);
    add_changes(text, "query", PARAMETERS, PARAMETER_COUNT, QUERY);
}

static void use_random_policy(struct reply_scene *scene, struct text *text)
{
    text->length = 0;
    add(text, "version: 1\ndatabases: [" SYSTEMS "]\nrules:\n");
    for (unsigned i = 0, count = 1 + random_below(6); i < count; i++)
        add_rule(text, i);
    add(text, "default: %s\non_unknown: skip\n", chance(70) ? "allow" : "deny");
    reply_scene_use(scene, text->bytes);
}

/* --- requests --------------------------------------------------------------------------------- */

enum { BYTES_MAX = 40 };

/* Bytes that mean something to somebody, and any others. */
static struct str hostile_bytes(char buffer[BYTES_MAX])
{
    static const char LIKELY[] =
        "a b\t\r\n\0%6fs=&?/:\"<>\x7f\xc3\xa4\xff\xed\xa0\x80\xf0\x9f\x98\x80";
    size_t length = random_below(BYTES_MAX);

    for (size_t i = 0; i < length; i++)
        buffer[i] = chance(80) ? LIKELY[random_below(sizeof(LIKELY))] : (char)random_below(256);
    return (struct str){buffer, length};
}

static const char *hostile_path(char buffer[3 * BYTES_MAX])
{
    char bytes[BYTES_MAX];
    struct str path = hostile_bytes(bytes);

    (void)snprintf(buffer, 3 * BYTES_MAX, "/%s%.*s%s", chance(50) ? "a" : "", str_int_len(path),
                   path.ptr, chance(50) ? "?os=1&%6fs=2&a.b&debug=&x=y&o\xff=1" : "");
    return buffer;
}

static void ask_something(struct reply_scene *scene)
{
    static const char *const KINDS[] = {"text/html", "application/grpc", "application/grpc+x"};
    char path[3 * BYTES_MAX], bytes[4][BYTES_MAX];
    const struct str headers[][2] = {
        {STR_INIT("x-hostile"), hostile_bytes(bytes[0])},
        {STR_INIT("x-list"), hostile_bytes(bytes[1])},
        {STR_INIT("x_a"), hostile_bytes(bytes[2])},
        {STR_INIT("X-Tcp-P0f"), STR_INIT("forged")},
        {STR_INIT("cookie"), STR_INIT("s=1")},
        {STR_INIT("content-type"), str_from(KINDS[random_below(3)])},
    };
    const struct check_wire check = {
        .path = hostile_path(path),
        .host = hostile_bytes(bytes[3]),
        .headers = headers,
        .header_count = random_below(7),
        .has_raw_headers = chance(50),
    };

    reply_scene_ask(scene, &check, chance(70));
}

/* What a database could say, which is anything: the same decision, named otherwise. */
static void name_the_system_something(struct reply_scene *scene)
{
    static const struct fp_label HOSTILE = {"unix\n", "L\xff\x01", "\xed\xa0\x80 x", false};
    static const struct match MATCH = {
        .kind = MATCH_FUZZY, .label = &HOSTILE, .distance = -300, .mtu = 1, .link = "\x80"};
    struct str bytes;

    scene->request.subject.match = &MATCH;
    scene->request.subject.label = STR("L\xff\x01 \r\nx: y");
    bytes = reply_build(scene->policy, &scene->request, &scene->decision, STR("id"), &scene->arena);
    assert_non_null(bytes.ptr);
    check_response_freep(&scene->response);
    scene->response = check_response_read(bytes);
    assert_valid_reply(scene->response);
}

static void every_reply_is_one_that_envoy_takes(void **state)
{
    struct reply_scene *scene = *state;
    struct text *text = calloc(1, sizeof(*text));
    unsigned allowed = 0, denied = 0;

    assert_non_null(text);
    for (unsigned i = 0; i < POLICIES; i++) {
        seed = 0x9e3779b97f4a7c15 * (i + 1);
        use_random_policy(scene, text);
        for (unsigned j = 0; j < REQUESTS; j++) {
            ask_something(scene);
            name_the_system_something(scene);
            allowed += scene->response->status->code == 0;
            denied += scene->response->status->code != 0;
        }
    }
    print_message("%u allowed, %u denied\n", allowed, denied);
    assert_true(allowed > POLICIES && denied > POLICIES);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(every_reply_is_one_that_envoy_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
