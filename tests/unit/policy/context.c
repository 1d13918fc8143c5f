/* SPDX-License-Identifier: Apache-2.0 */
#include "context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pbwriter.h"

/* Of a google.protobuf.Value. */
enum { NUMBER = 2, TEXT, BOOL, MAPPING, LIST };

static char buffer[1 << 23];

static struct pbwriter new_writer(void)
{
    struct pbwriter writer;

    pb_init(&writer, buffer, sizeof(buffer));
    return writer;
}

/* --- building, back to front */

static void put_double(struct pbwriter *writer, uint32_t number, double value)
{
    char *at = pb_reserve(writer, 1 + sizeof(value));

    assert_non_null(at);
    at[0] = (char)(number << 3 | 1);
    memcpy(at + 1, &value, sizeof(value)); /* little-endian, as this machine */
}

/* The key of an entry of a map, whose value has just been closed as field 2. */
static void close_entry(struct pbwriter *writer, uint32_t map, const char *key, size_t mark)
{
    pb_put_bytes(writer, 1, str_from(key));
    pb_close(writer, map, mark);
}

static void put_text_entry(struct pbwriter *writer, const char *key, const char *text)
{
    size_t entry = pb_open(writer), value = entry;

    pb_put_bytes(writer, TEXT, str_from(text));
    pb_close(writer, 2, value);
    close_entry(writer, 1, key, entry);
}

/* A namespace, and in it what `put` writes. */
static struct str metadata_of(const char *name, void (*put)(struct pbwriter *writer))
{
    struct pbwriter writer = new_writer();
    size_t entry = pb_open(&writer);

    put(&writer);
    pb_close(&writer, 2, entry);
    close_entry(&writer, 1, name, entry);
    assert_false(writer.full);
    return pb_result(&writer);
}

static void put_roles(struct pbwriter *writer)
{
    size_t entry = pb_open(writer), value = entry, list = entry, item = entry;

    pb_put_bytes(writer, TEXT, STR("dev"));
    pb_close(writer, 1, item);
    item = pb_open(writer);
    put_text_entry(writer, "id", "x");
    pb_close(writer, MAPPING, item);
    pb_close(writer, 1, item);
    item = pb_open(writer);
    pb_put_bytes(writer, TEXT, STR("admin"));
    pb_close(writer, 1, item);
    pb_close(writer, LIST, list);
    pb_close(writer, 2, value);
    close_entry(writer, 1, "roles", entry);
}

/* {text: "joe", empty: "", "n-1.5": -1.5, n7: 7, n0: -0, big: 1e300, yes: true, null: null, none:
 * (no kind), jwt: {roles: ["admin", {id: "x"}, "dev"], sub: "sam"}, twice: "first", twice: "last"}
 */
static void put_everything(struct pbwriter *writer)
{
    static const struct {
        const char *key;
        double value;
    } NUMBERS[] = {
        {"n-1.5", -1.5}, {"n7", 7}, {"n0", -0.0}, {"big", 1e300}, {"2^53", 9007199254740992.0}};
    size_t entry, value;

    put_text_entry(writer, "twice", "last");
    put_text_entry(writer, "twice", "first");
    entry = value = pb_open(writer);
    put_text_entry(writer, "sub", "sam");
    put_roles(writer);
    pb_close(writer, MAPPING, value);
    pb_close(writer, 2, value);
    close_entry(writer, 1, "jwt", entry);
    entry = pb_open(writer);
    pb_close(writer, 2, entry);
    close_entry(writer, 1, "none", entry);
    entry = pb_open(writer);
    pb_put_uint(writer, 1, 0);
    pb_close(writer, 2, entry);
    close_entry(writer, 1, "null", entry);
    entry = pb_open(writer);
    pb_put_uint(writer, BOOL, 1);
    pb_close(writer, 2, entry);
    close_entry(writer, 1, "yes", entry);
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        entry = pb_open(writer);
        put_double(writer, NUMBER, NUMBERS[i].value);
        pb_close(writer, 2, entry);
        close_entry(writer, 1, NUMBERS[i].key, entry);
    }
    put_text_entry(writer, "empty", "");
    put_text_entry(writer, "text", "joe");
}

static const struct {
    const char *path[6];
    enum fact_case found;
    const char *text;
} ROWS[] = {
    {{"ns", "text"}, FACT_PRESENT, "joe"},
    {{"ns", "empty"}, FACT_PRESENT, ""},
    {{"ns", "n-1.5"}, FACT_PRESENT, "-1.5"},
    {{"ns", "n7"}, FACT_PRESENT, "7"},
    {{"ns", "n0"}, FACT_PRESENT, "0"},
    {{"ns", "big"}, FACT_PRESENT, "1e+300"},
    {{"ns", "2^53"}, FACT_PRESENT, "9007199254740992"},
    {{"ns", "yes"}, FACT_PRESENT, "true"},
    {{"ns", "null"}, FACT_ABSENT, NULL},
    {{"ns", "none"}, FACT_ABSENT, NULL},
    {{"ns", "twice"}, FACT_PRESENT, "last"},
    {{"ns", "jwt"}, FACT_PRESENT, ""},
    {{"ns", "jwt", "sub"}, FACT_PRESENT, "sam"},
    {{"ns", "jwt", "roles"}, FACT_PRESENT, ""},
    {{"ns", "jwt", "roles", "0"}, FACT_PRESENT, "admin"},
    {{"ns", "jwt", "roles", "1", "id"}, FACT_PRESENT, "x"},
    {{"ns", "jwt", "roles", "2"}, FACT_PRESENT, "dev"},
    {{"ns", "jwt", "roles", "3"}, FACT_ABSENT, NULL},
    {{"ns", "jwt", "roles", "-1"}, FACT_ABSENT, NULL},
    {{"ns", "jwt", "roles", "id"}, FACT_ABSENT, NULL},
    {{"ns", "jwt", "0"}, FACT_ABSENT, NULL},
    {{"ns", "text", "deeper"}, FACT_ABSENT, NULL},
    {{"ns", "n7", "0"}, FACT_ABSENT, NULL},
    {{"ns", "other"}, FACT_ABSENT, NULL},
    {{"ns", "tex"}, FACT_ABSENT, NULL},
    {{"n", "text"}, FACT_UNOBSERVABLE, NULL},
    {{"other", "text"}, FACT_UNOBSERVABLE, NULL},
};

static enum fact_case find(struct str metadata, const char *const *path, struct fact_value *value)
{
    struct str names[8];
    size_t count = 0;

    for (; path[count]; count++)
        names[count] = str_from(path[count]);
    return context_metadata(metadata, names, count, value);
}

static void a_path_leads_to_its_value_or_nowhere(void **state)
{
    struct str metadata = metadata_of("ns", put_everything);

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct fact_value value;

        if (find(metadata, ROWS[i].path, &value) != ROWS[i].found)
            fail_msg("row %zu", i);
        if (ROWS[i].found == FACT_PRESENT && !str_eq(value.text, str_from(ROWS[i].text)))
            fail_msg("row %zu: %.*s", i, STR_ARG(value.text));
    }
}

/* What Envoy was not told to send is not absent: nobody has looked. */
static void metadata_that_was_not_sent_is_unobservable(void **state)
{
    static const char *const PATH[] = {"ns", "text", NULL};
    struct fact_value value;

    (void)state;
    assert_int_equal(find((struct str){NULL, 0}, PATH, &value), FACT_UNOBSERVABLE);
    assert_int_equal(find(STR(""), PATH, &value), FACT_UNOBSERVABLE);
}

/* Cut or changed anywhere, it is what it can be: never a crash, and where the end is missing never
 * a claim that something is absent. */
static void broken_bytes_are_unobservable(void **state)
{
    static const char *const PATH[] = {"ns", "jwt", "roles", "1", "id", NULL};
    struct str metadata = metadata_of("ns", put_everything);
    struct fact_value value;

    (void)state;
    for (size_t length = 0; length < metadata.len; length++) {
        char *copy = malloc(length + 1); /* so that a sanitizer sees the end */

        memcpy(copy, metadata.ptr, length);
        assert_int_equal(find((struct str){copy, length}, PATH, &value), FACT_UNOBSERVABLE);
        free(copy);
    }
    for (size_t i = 0; i < metadata.len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            char *byte = &buffer[metadata.ptr - buffer + (ptrdiff_t)i];

            *byte = (char)(*byte ^ (1 << bit));
            (void)find(metadata, PATH, &value);
            *byte = (char)(*byte ^ (1 << bit));
        }
}

/* A message in two pieces is one: protobuf says that they are merged.  Here only namespaces and
 * keys in different pieces are; parts of one value are not put together, and not guessed. */
static void parts_of_one_value_are_not_guessed(void **state)
{
    static const char *const A[] = {"ns", "m", "a", NULL}, *const OTHER[] = {"ns", "o", NULL};
    struct pbwriter writer = new_writer();
    size_t space, entry, value, part;
    struct fact_value found;

    (void)state;
    space = pb_open(&writer);
    put_text_entry(&writer, "o", "other");
    entry = value = pb_open(&writer);
    part = pb_open(&writer);
    put_text_entry(&writer, "a", "1");
    pb_close(&writer, MAPPING, part);
    part = pb_open(&writer);
    put_text_entry(&writer, "b", "2");
    pb_close(&writer, MAPPING, part);
    pb_close(&writer, 2, value);
    close_entry(&writer, 1, "m", entry);
    pb_close(&writer, 2, space);
    close_entry(&writer, 1, "ns", space);
    assert_int_equal(find(pb_result(&writer), A, &found), FACT_UNOBSERVABLE);
    assert_int_equal(find(pb_result(&writer), OTHER, &found), FACT_PRESENT);
}

/* Each level is a mapping with one key "k", the innermost a text. */
static struct str nested(size_t levels)
{
    struct pbwriter writer = new_writer();
    size_t mark = pb_open(&writer);

    pb_put_bytes(&writer, TEXT, STR("deep"));
    for (size_t i = 0; i < levels; i++) {
        pb_close(&writer, 2, mark);
        close_entry(&writer, 1, "k", mark);
        if (i + 1 < levels)
            pb_close(&writer, MAPPING, mark);
    }
    pb_close(&writer, 2, mark);
    close_entry(&writer, 1, "ns", mark);
    assert_false(writer.full);
    return pb_result(&writer);
}

static void any_depth_is_walked_without_recursion(void **state)
{
    static const size_t LEVELS[] = {1, 2, 7, 200, 100000};
    static const char *const PATH[] = {"ns", "k", "k", "k", "k", "k", "k", "k", NULL};
    static const char *const WRONG[] = {"ns", "k", "x", NULL};
    struct fact_value value;

    (void)state;
    for (size_t i = 0; i < sizeof(LEVELS) / sizeof(LEVELS[0]); i++) {
        struct str metadata = nested(LEVELS[i]);

        assert_int_equal(find(metadata, PATH, &value), LEVELS[i] < 7 ? FACT_ABSENT : FACT_PRESENT);
        if (LEVELS[i] == 7)
            assert_true(str_eq(value.text, STR("deep")));
        assert_int_equal(find(metadata, WRONG, &value), FACT_ABSENT);
    }
}

static unsigned entries_to_put;

static void put_many(struct pbwriter *writer)
{
    put_text_entry(writer, "key", "value");
    for (unsigned i = 0; i < entries_to_put; i++)
        put_text_entry(writer, "other", "value");
}

/* The work of one look-up has an end, and beyond it nothing is claimed. */
static void what_is_too_wide_is_unobservable(void **state)
{
    static const char *const PATH[] = {"ns", "key", NULL};
    struct fact_value value;

    (void)state;
    entries_to_put = 1000;
    assert_int_equal(find(metadata_of("ns", put_many), PATH, &value), FACT_PRESENT);
    entries_to_put = 100000;
    assert_int_equal(find(metadata_of("ns", put_many), PATH, &value), FACT_UNOBSERVABLE);
}

static void a_label_is_found_by_its_name(void **state)
{
    static const struct str PEER = STR_INIT("\x12\x01s\x1a\x08\x0a\x03"
                                            "app\x12\x01"
                                            "a\x1a\x08\x0a\x03"
                                            "app\x12\x01"
                                            "b\x1a\x05\x0a\x03"
                                            "key");
    struct fact_value value;

    (void)state;
    assert_int_equal(context_label(PEER, STR("app"), &value), FACT_PRESENT);
    assert_true(str_eq(value.text, STR("b"))); /* the last of a key */
    assert_int_equal(context_label(PEER, STR("key"), &value), FACT_PRESENT);
    assert_int_equal(value.text.len, 0);
    assert_int_equal(context_label(PEER, STR("ap"), &value), FACT_ABSENT);
    assert_int_equal(context_label((struct str){NULL, 0}, STR("app"), &value), FACT_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_leads_to_its_value_or_nowhere),
        cmocka_unit_test(metadata_that_was_not_sent_is_unobservable),
        cmocka_unit_test(broken_bytes_are_unobservable),
        cmocka_unit_test(parts_of_one_value_are_not_guessed),
        cmocka_unit_test(any_depth_is_walked_without_recursion),
        cmocka_unit_test(what_is_too_wide_is_unobservable),
        cmocka_unit_test(a_label_is_found_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
