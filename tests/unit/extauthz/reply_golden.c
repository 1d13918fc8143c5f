/* SPDX-License-Identifier: Apache-2.0 */
/* CheckResponses byte for byte, as protoc encodes them.  Each is read by protobuf-c, and written by
 * our writer as the same bytes. */
#include "reply_scene.h"

#include "response_writer.h"

static struct str from_hex(const char *hex, char *buffer)
{
    size_t length = strlen(hex) / 2;

    for (size_t i = 0; i < length; i++) {
        const char digits[] = {hex[2 * i], hex[2 * i + 1], '\0'};

        buffer[i] = (char)strtol(digits, NULL, 16);
    }
    return (struct str){buffer, length};
}

static void write_allow(struct pbwriter *writer)
{
    response_put_status(writer, RPC_OK);
}

static void write_denial(struct pbwriter *writer)
{
    size_t mark = pb_open(writer);

    pb_put_text(writer, DENIED_BODY, STR("x"));
    response_put_header(writer, DENIED_HEADERS, STR("retry-after"), STR("1"), false);
    response_put_http_status(writer, 429);
    pb_close(writer, RESPONSE_DENIED, mark);
    response_put_status(writer, RPC_PERMISSION_DENIED);
}

static void write_changes(struct pbwriter *writer)
{
    size_t mark = pb_open(writer);

    response_put_entry(writer, STR("os"), STR("Linux"));
    pb_close(writer, RESPONSE_METADATA, mark);
    mark = pb_open(writer);
    pb_put_text(writer, OK_HEADERS_TO_REMOVE, STR("x-p0f-peer"));
    response_put_header(writer, OK_HEADERS, STR("x-p0f-os"), STR("Linux"), false);
    pb_close(writer, RESPONSE_OK, mark);
    response_put_status(writer, RPC_OK);
}

static void write_answer(struct pbwriter *writer)
{
    size_t mark = pb_open(writer);

    pb_put_text(writer, OK_QUERY_TO_REMOVE, STR("debug"));
    response_put_parameter(writer, STR("os"), STR("a b"), false);
    response_put_header(writer, OK_RESPONSE_HEADERS, STR("set-cookie"), STR("a=1"), true);
    pb_close(writer, RESPONSE_OK, mark);
    response_put_status(writer, RPC_OK);
}

static void write_number(struct pbwriter *writer)
{
    size_t mark = pb_open(writer), nested = mark;

    response_put_number(writer, STR("distance"), 3);
    response_close_struct(writer, STR("p0f"), nested);
    pb_close(writer, RESPONSE_METADATA, mark);
    response_put_status(writer, RPC_OK);
}

static void write_fault(struct pbwriter *writer)
{
    size_t mark = pb_open(writer);

    response_put_http_status(writer, 503);
    pb_close(writer, RESPONSE_ERROR, mark);
    response_put_status(writer, RPC_UNAVAILABLE);
}

enum {
    NOT_SET = ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE__NOT_SET,
    DENIED = ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_DENIED_RESPONSE,
    OK = ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_OK_RESPONSE,
    ERROR = ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_ERROR_RESPONSE,
};

static const struct {
    const char *what, *hex;
    void (*write)(struct pbwriter *writer);
    int code, kind;
} GOLDEN[] = {
    {"allow", "0a00", write_allow, 0, NOT_SET},
    {"deny 429, retry-after, a body",
     "0a020807121e0a0308ad0312140a100a0b72657472792d616674657212013112001a0178", write_denial, 7,
     DENIED},
    {"allow, a header, a removal, metadata",
     "0a001a2312150a110a08782d7030662d6f7312054c696e757812002a0a782d7030662d70656572220f0a0d0a026f7"
     "3"
     "12071a054c696e7578",
     write_changes, 0, OK},
    {"allow, a cookie, parameters",
     "0a001a2d32170a110a0a7365742d636f6f6b69651203613d31120208013a0b0a026f731205612532306242056465"
     "627567",
     write_answer, 0, OK},
    {"allow, a nested number",
     "0a0022220a200a0370306612192a170a150a0864697374616e63651209110000000000000840", write_number,
     0, NOT_SET},
    {"our fault", "0a02080e2a050a0308f703", write_fault, 14, ERROR},
};

static void each_is_read_by_protobuf_c(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(GOLDEN) / sizeof(GOLDEN[0]); i++) {
        char buffer[256];
        check_response *response = check_response_read(from_hex(GOLDEN[i].hex, buffer));

        print_message("%s\n", GOLDEN[i].what);
        assert_non_null(response);
        assert_non_null(response->status);
        assert_int_equal(response->status->code, GOLDEN[i].code);
        assert_int_equal(response->http_response_case, GOLDEN[i].kind);
        assert_int_equal(response->base.n_unknown_fields, 0);
        check_response_freep(&response);
    }
}

static void each_is_what_our_writer_makes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(GOLDEN) / sizeof(GOLDEN[0]); i++) {
        char buffer[256], written[256], text[513] = "";
        struct pbwriter writer;
        struct str bytes;

        (void)from_hex(GOLDEN[i].hex, buffer);
        pb_init(&writer, written, sizeof(written));
        GOLDEN[i].write(&writer);
        bytes = pb_result(&writer);
        for (size_t j = 0; j < bytes.len; j++)
            (void)snprintf(text + 2 * j, 3, "%02x", (unsigned char)bytes.ptr[j]);
        assert_string_equal(text, GOLDEN[i].hex);
    }
}

static void our_fault_is_sent_as_it_stands_here(void **state)
{
    char buffer[REPLY_FAULT_MAX], wanted[256];

    (void)state;
    assert_true(str_eq(reply_fault(503, buffer), from_hex("0a02080e2a050a0308f703", wanted)));
}

/* What the second and third vector say, from a policy to bytes; our metadata aside, which is
 * written in front of nothing and so stands at the end. */
static void decisions_become_the_same_parts(void **state)
{
    static const struct {
        const char *path, *hex;
    } ROWS[] = {
        {"/denied", "0a020807121e0a0308ad0312140a100a0b72657472792d616674657212013112001a0178"},
        {"/", "0a001a2e12150a110a08782d7030662d6f7312054c696e757812002a0a782d7030662d706565722a0978"
              "2d7463"
              "702d703066"},
    };
    struct reply_scene *scene = *state;

    reply_scene_use(scene, "version: 1\n"
                           "rules:\n"
                           "  - id: a\n"
                           "    when: {http.path: /denied}\n"
                           "    then: deny\n"
                           "    respond: {status: 429, body: x, headers: {retry-after: 1}}\n"
                           "  - id: b\n"
                           "    then: allow\n"
                           "    request_headers: {set: {x-p0f-os: Linux}, remove: [x-p0f-peer]}\n"
                           "default: deny\n");
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char buffer[256];
        struct str wanted = from_hex(ROWS[i].hex, buffer), bytes;

        reply_scene_ask(scene, &(struct check_wire){.path = ROWS[i].path}, false);
        bytes =
            reply_build(scene->policy, &scene->request, &scene->decision, STR("id"), &scene->arena);
        assert_true(str_has_prefix(bytes, wanted));
        assert_int_equal(bytes.ptr[wanted.len], 0x22); /* dynamic_metadata, and nothing else */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_read_by_protobuf_c),
        cmocka_unit_test(each_is_what_our_writer_makes),
        cmocka_unit_test(our_fault_is_sent_as_it_stands_here),
        SCENE_TEST(decisions_become_the_same_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
