/* SPDX-License-Identifier: Apache-2.0 */
#include "context.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "num.h"
#include "pbreader.h"

/* Field numbers, by message. */
enum { METADATA_FILTER_METADATA = 1 };
enum { PEER_LABELS = 3 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { STRUCT_FIELDS = 1 };
enum { LIST_VALUES = 1 };
enum { VALUE_NULL = 1, VALUE_NUMBER, VALUE_STRING, VALUE_BOOL, VALUE_STRUCT, VALUE_LIST };

/* Fields that one look-up visits: some 100 us of the slowest kind. */
enum { STEPS_MAX = 16384 };

static int next_field(struct str *rest, struct pb_field *field, unsigned *steps)
{
    if (*steps == 0)
        return -E2BIG;
    --*steps;
    return pb_next_field(rest, field);
}

/* The value of a map's entry when its key is `key`: returns 1, else 0.  A value in several parts
 * would have to be merged, which nobody sends. */
static int read_entry(struct str entry, struct str key, unsigned *steps, struct str *ret_value)
{
    struct str found = STR(""), value = STR("");
    struct pb_field field;
    int r, values = 0;

    while ((r = next_field(&entry, &field, steps)) > 0) {
        if (field.number == ENTRY_KEY && field.is_bytes)
            found = field.bytes;
        if (field.number != ENTRY_VALUE || !field.is_bytes)
            continue;
        value = field.bytes;
        values++;
    }
    if (r < 0)
        return r;
    if (!str_eq(found, key))
        return 0;
    if (values > 1)
        return -EBADMSG;
    *ret_value = value;
    return 1;
}

/* The entry of a map, which is field `number` of the message; of several the last.  Returns 1 when
 * there is one, 0, or a negative errno. */
static int find_entry(struct str message, uint32_t number, struct str key, unsigned *steps,
                      struct str *ret_value)
{
    struct pb_field field;
    int r, found = 0;

    while ((r = next_field(&message, &field, steps)) > 0) {
        if (field.number != number || !field.is_bytes)
            continue;
        r = read_entry(field.bytes, key, steps, ret_value);
        if (r < 0)
            return r;
        found |= r;
    }
    return r < 0 ? r : found;
}

/* The member of a google.protobuf.Value that counts: the last.  Returns 1, 0 when it has none. */
static int read_value(struct str value, unsigned *steps, struct pb_field *ret_member)
{
    struct pb_field field;
    int r, found = 0;

    while ((r = next_field(&value, &field, steps)) > 0) {
        bool has_bytes = field.number == VALUE_STRING || field.number == VALUE_STRUCT ||
                         field.number == VALUE_LIST;

        if (field.number > VALUE_LIST || field.is_bytes != has_bytes ||
            field.is_fixed64 != (field.number == VALUE_NUMBER))
            continue;
        if (found && has_bytes && field.number != VALUE_STRING &&
            ret_member->number == field.number)
            return -EBADMSG; /* to be merged: see read_entry() */
        *ret_member = field;
        found = 1;
    }
    return r < 0 ? r : found;
}

static int find_item(struct str list, struct str index, unsigned *steps, struct str *ret_value)
{
    struct pb_field field;
    uint64_t left;
    int r;

    if (num_parse_u64(index, 0, UINT32_MAX, &left) < 0)
        return 0;
    while ((r = next_field(&list, &field, steps)) > 0) {
        if (field.number != LIST_VALUES || !field.is_bytes)
            continue;
        if (left-- == 0) {
            *ret_value = field.bytes;
            return 1;
        }
    }
    return r;
}

/* From a mapping (the bytes of a Struct) or a list along the rest of the path. */
static int follow(struct pb_field *at, const struct str *path, size_t count, unsigned *steps)
{
    for (size_t i = 0; i < count; i++) {
        struct str value;
        int r = 0;

        if (at->number == VALUE_STRUCT)
            r = find_entry(at->bytes, STRUCT_FIELDS, path[i], steps, &value);
        else if (at->number == VALUE_LIST)
            r = find_item(at->bytes, path[i], steps, &value);
        if (r <= 0)
            return r;
        r = read_value(value, steps, at);
        if (r <= 0)
            return r;
    }
    return 1;
}

static struct str show_number(uint64_t bits, char scratch[FACT_SCRATCH_MAX])
{
    static const double EXACT_MAX = 9007199254740992.0; /* 2^53 */
    double number;
    int length;

    memcpy(&number, &bits, sizeof(number));
    if (number == 0)
        return STR("0"); /* also -0 */
    if (number >= -EXACT_MAX && number <= EXACT_MAX && number == (double)(int64_t)number)
        length = snprintf(scratch, FACT_SCRATCH_MAX, "%.0f", number);
    else
        length = snprintf(scratch, FACT_SCRATCH_MAX, "%.15g", number);
    return (struct str){scratch, (size_t)length};
}

static enum fact_case show_value(const struct pb_field *member, struct fact_value *ret_value)
{
    switch (member->number) {
    case VALUE_NUMBER:
        ret_value->text = show_number(member->value, ret_value->scratch);
        return FACT_PRESENT;
    case VALUE_STRING:
        ret_value->text = member->bytes;
        return FACT_PRESENT;
    case VALUE_BOOL:
        ret_value->text = member->value ? STR("true") : STR("false");
        return FACT_PRESENT;
    case VALUE_STRUCT:
    case VALUE_LIST:
        ret_value->text = STR("");
        return FACT_PRESENT;
    default:
        return FACT_ABSENT;
    }
}

enum fact_case context_metadata(struct str metadata, const struct str *names, size_t count,
                                struct fact_value *ret_value)
{
    struct pb_field member = {.number = VALUE_STRUCT, .is_bytes = true};
    unsigned steps = STEPS_MAX;
    int r = find_entry(metadata, METADATA_FILTER_METADATA, names[0], &steps, &member.bytes);

    if (r <= 0)
        return FACT_UNOBSERVABLE;
    r = follow(&member, names + 1, count - 1, &steps);
    if (r < 0)
        return FACT_UNOBSERVABLE;
    return r == 0 ? FACT_ABSENT : show_value(&member, ret_value);
}

enum fact_case context_label(struct str peer, struct str name, struct fact_value *ret_value)
{
    unsigned steps = UINT_MAX;

    return find_entry(peer, PEER_LABELS, name, &steps, &ret_value->text) > 0 ? FACT_PRESENT
                                                                             : FACT_ABSENT;
}
