/* SPDX-License-Identifier: Apache-2.0 */
#include "num.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

int num_parse_u64(struct str text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    int range = 0;

    if (text.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(text.ptr[i] - '0');

        if (!char_is_digit(text.ptr[i]))
            return -EINVAL;
        if (value > (UINT64_MAX - digit) / 10)
            range = -ERANGE;
        else
            value = value * 10 + digit;
    }
    if (range < 0 || value < min || value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

int num_parse_port(struct str text, uint16_t *ret_port)
{
    uint64_t value;
    int r = num_parse_u64(text, 1, UINT16_MAX, &value);

    if (r < 0)
        return r;
    *ret_port = (uint16_t)value;
    return 0;
}

/* --- with a unit ------------------------------------------------------------------------------ */

struct unit {
    const char *name;
    uint64_t factor;
};

/* Smallest first; end with a NULL name. */
static const struct unit DURATIONS[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit SIZES[] = {
    {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

static const struct unit *find_unit(const struct unit *units, struct str name)
{
    while (units->name && !str_eq(name, str_from(units->name)))
        units++;
    return units->name ? units : NULL;
}

static int parse_with_unit(const struct unit *units, struct str text, uint64_t min, uint64_t max,
                           uint64_t *ret_value)
{
    size_t digits = 0;
    const struct unit *unit;
    uint64_t number;
    int r;

    while (digits < text.len && char_is_digit(text.ptr[digits]))
        digits++;
    unit = find_unit(units, str_from_offset(text, digits));
    if (!unit && str_eq(text, STR("0")))
        unit = units;
    if (!unit)
        return -EINVAL;
    r = num_parse_u64((struct str){text.ptr, digits}, 0, UINT64_MAX / unit->factor, &number);
    if (r < 0)
        return r;
    number *= unit->factor;
    if (number < min || number > max)
        return -ERANGE;
    *ret_value = number;
    return 0;
}

static const char *format_with_unit(const struct unit *units, uint64_t value, char *text)
{
    const struct unit *unit = units;

    for (const struct unit *next = units + 1; next->name; next++)
        if (value && value % next->factor == 0)
            unit = next;
    (void)snprintf(text, NUM_TEXT_MAX, "%" PRIu64 "%s", value / unit->factor,
                   value ? unit->name : "");
    return text;
}

int num_parse_duration_ms(struct str text, uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms)
{
    return parse_with_unit(DURATIONS, text, min_ms, max_ms, ret_ms);
}

int num_parse_size(struct str text, uint64_t min, uint64_t max, uint64_t *ret_bytes)
{
    return parse_with_unit(SIZES, text, min, max, ret_bytes);
}

const char *num_format_duration_ms(uint64_t ms, char text[NUM_TEXT_MAX])
{
    return format_with_unit(DURATIONS, ms, text);
}

const char *num_format_size(uint64_t bytes, char text[NUM_TEXT_MAX])
{
    return format_with_unit(SIZES, bytes, text);
}
