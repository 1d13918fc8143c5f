/* SPDX-License-Identifier: Apache-2.0 */
#include "set_name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS_MAX = 9 };

/* Digits without a leading zero; returns what follows, or NULL. */
static const char *read_number(const char *text, unsigned *ret_number)
{
    unsigned number = 0, digits = 0;

    if (*text == '0')
        return NULL;
    for (; isdigit((unsigned char)*text) && digits < DIGITS_MAX; text++, digits++)
        number = number * 10 + (unsigned)(*text - '0');
    if (digits == 0)
        return NULL;
    *ret_number = number;
    return text;
}

bool set_name_parse(const char *text, struct set_name *ret_name)
{
    struct set_name name = {0};
    const char *rest = *text == 'v' ? read_number(text + 1, &name.layout) : NULL;

    if (rest && *rest == '-')
        rest = read_number(rest + 1, &name.number);
    if (!rest || *rest)
        return false;
    *ret_name = name;
    return true;
}

void set_name_format(struct set_name name, char ret_text[SET_NAME_MAX])
{
    if (name.number)
        (void)snprintf(ret_text, SET_NAME_MAX, "v%u-%u", name.layout, name.number);
    else
        (void)snprintf(ret_text, SET_NAME_MAX, "v%u", name.layout);
}

static int compare(unsigned a, unsigned b)
{
    return (a > b) - (a < b);
}

int set_name_compare(struct set_name a, struct set_name b)
{
    return a.layout != b.layout ? compare(a.layout, b.layout) : compare(a.number, b.number);
}
