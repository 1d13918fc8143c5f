/* SPDX-License-Identifier: Apache-2.0 */
#include "num.h"

#include <errno.h>

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
