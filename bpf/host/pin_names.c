/* SPDX-License-Identifier: Apache-2.0 */
#include "pin_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "num.h"

static bool parse_number(struct str text, uint32_t *ret_number)
{
    uint64_t number;

    if (text.len == 0 || text.ptr[0] == '0' || num_parse_u64(text, 1, UINT32_MAX - 1, &number) < 0)
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

bool set_name_parse(const char *text, struct set_name *ret_name)
{
    struct str rest = str_from(text), layout;
    struct set_name name = {0};

    if (!str_has_prefix(rest, STR("v")))
        return false;
    rest = str_from_offset(rest, 1);
    if (!str_next_field(&rest, '-', &layout) || !parse_number(layout, &name.layout))
        return false;
    if (rest.ptr && !parse_number(rest, &name.n))
        return false;
    *ret_name = name;
    return true;
}

void set_name_format(const struct set_name *name, char buffer[SET_NAME_MAX])
{
    int length = snprintf(buffer, SET_NAME_MAX, "v%" PRIu32, name->layout);

    if (name->n)
        (void)snprintf(buffer + length, SET_NAME_MAX - (size_t)length, "-%" PRIu32, name->n);
}

static int compare(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

int set_name_compare(const struct set_name *a, const struct set_name *b)
{
    int layouts = compare(a->layout, b->layout);

    return layouts ? layouts : compare(a->n, b->n);
}

bool pin_name_is_tracker(const char *name)
{
    return strncmp(name, PIN_TRACK_PREFIX, strlen(PIN_TRACK_PREFIX)) == 0;
}
