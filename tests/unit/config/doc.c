/* SPDX-License-Identifier: Apache-2.0 */
#include "doc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cleanup.h"

static struct doc *parse(struct str text)
{
    struct doc *doc = NULL;
    struct diag diag = {0};

    if (doc_parse(text, &doc, &diag) < 0)
        fail_msg("%u:%u: %s", diag.place.line, diag.place.column, diag.text);
    return doc;
}

static void assert_place(struct place place, unsigned line, unsigned column)
{
    assert_int_equal(place.line, line);
    assert_int_equal(place.column, column);
}

static void assert_text(struct str text, const char *wanted)
{
    assert_int_equal(text.len, strlen(wanted));
    assert_memory_equal(text.ptr, wanted, text.len);
}

static void nodes_know_what_they_are_and_where(void **state)
{
    CLEANUP(doc_freep)
    struct doc *doc = parse(STR("a: 1\n"
                                "list:\n"
                                "  - x\n"
                                "  - {k: 'it''s', \"q\": \"2\"}\n"));
    const struct node *root = doc_root(doc), *list, *item;

    (void)state;
    assert_int_equal(root->kind, NODE_MAPPING);
    assert_int_equal(root->count, 2);
    assert_place(root->place, 1, 1);
    assert_null(root->key.ptr);

    assert_text(root->first->key, "a");
    assert_text(root->first->text, "1");
    assert_true(root->first->plain);
    assert_place(root->first->place, 1, 4);

    list = node_find(root, STR("list"));
    assert_ptr_equal(list, root->first->next);
    assert_int_equal(list->kind, NODE_SEQUENCE);
    assert_int_equal(list->count, 2);
    assert_place(list->key_place, 2, 1);
    assert_place(list->place, 3, 3);

    item = list->first->next;
    assert_int_equal(item->kind, NODE_MAPPING);
    assert_place(item->place, 4, 5);
    assert_text(item->first->text, "it's");
    assert_false(item->first->plain);
    assert_place(item->first->next->key_place, 4, 18);
    assert_place(item->first->next->place, 4, 23);
    assert_null(node_find(item, STR("K")));
}

static void columns_count_bytes(void **state)
{
    CLEANUP(doc_freep) struct doc *doc = parse(STR("{\xc3\xa4: \"\xe2\x82\xac\", b: 1}"));
    const struct node *b = node_find(doc_root(doc), STR("b"));

    (void)state;
    assert_place(doc_root(doc)->first->place, 1, 6);
    assert_place(b->key_place, 1, 13);
    assert_place(b->place, 1, 16);
}

/* LF, CRLF, CR and the three line breaks that YAML 1.1 adds */
static void lines_end_as_yaml_says(void **state)
{
    static const char *const BREAKS[] = {"\n",       "\r\n",         "\r",
                                         "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};

    (void)state;
    for (size_t i = 0; i < sizeof(BREAKS) / sizeof(BREAKS[0]); i++) {
        CLEANUP(doc_freep) struct doc *doc = NULL;
        char text[64];

        (void)snprintf(text, sizeof(text), "# x%sa: 1%s%sb: 2%s", BREAKS[i], BREAKS[i], BREAKS[i],
                       BREAKS[i]);
        doc = parse(str_from(text));
        assert_place(doc_root(doc)->first->place, 2, 4);
        assert_place(doc_root(doc)->first->next->key_place, 4, 1);
    }
}

static void a_byte_order_mark_is_stepped_over(void **state)
{
    CLEANUP(doc_freep)
    struct doc *doc = parse(STR("\xef\xbb\xbf"
                                "a: 1\n"));

    (void)state;
    assert_text(doc_root(doc)->first->key, "a");
    assert_place(doc_root(doc)->first->place, 1, 4);
}

static void a_place_inside_a_text_is_known_up_to_the_first_escape(void **state)
{
    static const struct {
        const char *yaml;
        size_t offset;
        unsigned line, column;
    } ROWS[] = {
        {"k: plain", 3, 1, 7},        {"k: 'quoted'", 3, 1, 8},  {"k: \"ab\\ncd\"", 2, 1, 7},
        {"k: \"ab\\ncd\"", 3, 1, 4}, /* behind the escape: where the text begins */
        {"k: 'a''b'", 3, 1, 4},       {"k: ab\n  cd", 1, 1, 5},  {"k: ab\n  cd", 4, 1, 4},
        {"k: 'ab\n\n  cd'", 4, 1, 4}, {"k: |\n  ab\n", 1, 1, 4}, {"k: \"\"", 0, 1, 5},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        CLEANUP(doc_freep) struct doc *doc = parse(str_from(ROWS[i].yaml));

        assert_place(node_place_at(doc_root(doc)->first, ROWS[i].offset), ROWS[i].line,
                     ROWS[i].column);
    }
}

static void found_says_what_a_node_is(void **state)
{
    static const struct {
        const char *yaml, *found;
    } ROWS[] = {
        {"{}", "a mapping"},
        {"[]", "a sequence"},
        {"x: y", "a mapping"},
        {"yes", "\"yes\""},
        {"''", "\"\""},
        {"--- \n", "nothing"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        CLEANUP(doc_freep) struct doc *doc = parse(str_from(ROWS[i].yaml));
        char buffer[NODE_FOUND_MAX];

        assert_string_equal(node_found(doc_root(doc), buffer), ROWS[i].found);
    }
}

#define BYTE(hex) "found byte 0x" hex ", expected a text file in UTF-8"

/* Bytes that a file under tests/data/policy/wrong cannot show well; the rest of what is refused is
 * there. */
static const struct {
    struct str text;
    unsigned line, column;
    const char *message;
} WRONG[] = {
    {STR_INIT(""), 1, 1, "found nothing, expected a mapping"},
    {STR_INIT("a: 1\nb: \0"), 2, 4, BYTE("00")},
    {STR_INIT("a: \x1b[0m"), 1, 4, BYTE("1b")},
    {STR_INIT("a: \x7f"), 1, 4, BYTE("7f")},
    {STR_INIT("a: \xff"), 1, 4, BYTE("ff")},
    {STR_INIT("\xff\xfe"
              "a\0"),
     1, 1, BYTE("ff")},                          /* UTF-16 */
    {STR_INIT("a: caf\xe9"), 1, 7, BYTE("e9")},  /* Latin-1 */
    {STR_INIT("a: \xc3"), 1, 4, BYTE("c3")},     /* cut */
    {STR_INIT("a: \xc0\xaf"), 1, 4, BYTE("c0")}, /* overlong */
    {STR_INIT("a: \xe0\x80\xaf"), 1, 4, BYTE("e0")},
    {STR_INIT("a: \xed\xa0\x80"), 1, 4, BYTE("ed")},     /* surrogate */
    {STR_INIT("a: \xf4\x90\x80\x80"), 1, 4, BYTE("f4")}, /* beyond Unicode */
    {STR_INIT("a: \xc2\x81"), 1, 4, BYTE("c2")},         /* C1 control */
    {STR_INIT("a: x\xef\xbb\xbf"), 1, 5, BYTE("ef")},    /* byte order mark inside */
    {STR_INIT("\x7f"
              "ELF"),
     1, 1, BYTE("7f")},
};

static void bytes_that_are_no_text_are_refused_where_they_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct doc *doc = NULL;
        struct diag diag = {0};

        assert_int_equal(doc_parse(WRONG[i].text, &doc, &diag), -EINVAL);
        assert_string_equal(diag.text, WRONG[i].message);
        assert_place(diag.place, WRONG[i].line, WRONG[i].column);
        assert_null(doc);
    }
}

/* `count` times `piece` in brackets of any kind */
static char *repeat(const char *before, const char *piece, size_t count, const char *after)
{
    size_t length = strlen(piece), head = strlen(before);
    char *text = malloc(head + length * count + strlen(after) + 1);

    assert_non_null(text);
    memcpy(text, before, head);
    for (size_t i = 0; i < count; i++)
        memcpy(text + head + i * length, piece, length);
    memcpy(text + head + length * count, after, strlen(after) + 1);
    return text;
}

static void size_depth_and_nodes_are_bounded(void **state)
{
    static const struct {
        const char *before, *piece;
        size_t count;
        const char *after, *message; /* NULL: accepted */
    } ROWS[] = {
        {"", "[", DOC_DEPTH_MAX - 1, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", NULL},
        {"", "[", DOC_DEPTH_MAX + 1, "]", "found values nested deeper than 32 levels"},
        {"", "[", 100000, "", "found values nested deeper than 32 levels"},
        {"", "- a\n", DOC_NODES_MAX - 1, "", NULL},
        {"", "- a\n", DOC_NODES_MAX, "", "found more than 524288 values"},
        {"#", "x", DOC_BYTES_MAX, "", "found more than 8388608 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        CLEANUP(freep)
        char *text = repeat(ROWS[i].before, ROWS[i].piece, ROWS[i].count, ROWS[i].after);
        CLEANUP(doc_freep) struct doc *doc = NULL;
        struct diag diag = {0};

        assert_int_equal(doc_parse(str_from(text), &doc, &diag), ROWS[i].message ? -EINVAL : 0);
        assert_string_equal(diag.text, ROWS[i].message ? ROWS[i].message : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_know_what_they_are_and_where),
        cmocka_unit_test(columns_count_bytes),
        cmocka_unit_test(lines_end_as_yaml_says),
        cmocka_unit_test(a_byte_order_mark_is_stepped_over),
        cmocka_unit_test(a_place_inside_a_text_is_known_up_to_the_first_escape),
        cmocka_unit_test(found_says_what_a_node_is),
        cmocka_unit_test(bytes_that_are_no_text_are_refused_where_they_are),
        cmocka_unit_test(size_depth_and_nodes_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
