/* SPDX-License-Identifier: Apache-2.0 */
/* The golden messages are what protoc made of the full API at its pin (data-plane-api 84e84367). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "response_writer.h"

static char buffer[512];

static void assert_hex(const struct pbwriter *writer, const char *hex)
{
    struct str bytes = pb_result(writer);
    char text[1024] = "";

    assert_non_null(bytes.ptr);
    for (size_t i = 0; i < bytes.len; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", (unsigned char)bytes.ptr[i]);
    assert_string_equal(text, hex);
}

static void allow_has_an_explicit_status(void **state)
{
    struct pbwriter writer;

    (void)state;
    pb_init(&writer, buffer, sizeof(buffer));
    response_put_status(&writer, RPC_OK);
    assert_hex(&writer, "0a00");
}

static void denial_with_status_header_and_body(void **state)
{
    struct pbwriter writer;
    size_t mark;

    (void)state;
    pb_init(&writer, buffer, sizeof(buffer));
    mark = pb_open(&writer);
    pb_put_text(&writer, DENIED_BODY, STR("x"));
    response_put_header(&writer, DENIED_HEADERS, STR("retry-after"), STR("1"), false);
    response_put_http_status(&writer, 429);
    pb_close(&writer, RESPONSE_DENIED, mark);
    response_put_status(&writer, RPC_PERMISSION_DENIED);
    assert_hex(&writer, "0a020807121e0a0308ad0312140a100a0b72657472792d616674657212013112001a0178");
}

static void allow_with_header_removal_and_metadata(void **state)
{
    struct pbwriter writer;
    size_t mark;

    (void)state;
    pb_init(&writer, buffer, sizeof(buffer));
    mark = pb_open(&writer);
    response_put_entry(&writer, STR("os"), STR("Linux"));
    pb_close(&writer, RESPONSE_METADATA, mark);
    mark = pb_open(&writer);
    pb_put_text(&writer, OK_HEADERS_TO_REMOVE, STR("x-p0f-peer"));
    response_put_header(&writer, OK_HEADERS, STR("x-p0f-os"), STR("Linux"), false);
    pb_close(&writer, RESPONSE_OK, mark);
    response_put_status(&writer, RPC_OK);
    assert_hex(&writer,
               "0a001a2312150a110a08782d7030662d6f7312054c696e757812002a0a782d7030662d7065657222"
               "0f0a0d0a026f7312071a054c696e7578");
}

static void header_values_are_made_valid(void **state)
{
    static const struct {
        struct str in;
        const char *out; /* hex of the value alone */
    } ROWS[] = {
        {STR_INIT("plain"), "706c61696e"},
        {STR_INIT(" \t a\tb \t"), "610962"},
        {STR_INIT("a\r\nset-cookie: x"), "613f3f7365742d636f6f6b69653a2078"},
        {STR_INIT("\x00\x1f\x7f\x80\xff"), "3f3f3f3f3f"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char expected[128];
        struct pbwriter writer;
        size_t value = strlen(ROWS[i].out) / 2;

        pb_init(&writer, buffer, sizeof(buffer));
        response_put_header(&writer, OK_HEADERS, STR("n"), ROWS[i].in, false);
        (void)snprintf(expected, sizeof(expected), "12%02zx0a%02zx0a016e12%02zx%s1200", value + 9,
                       value + 5, value, ROWS[i].out);
        assert_hex(&writer, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allow_has_an_explicit_status),
        cmocka_unit_test(denial_with_status_header_and_body),
        cmocka_unit_test(allow_with_header_removal_and_metadata),
        cmocka_unit_test(header_values_are_made_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
