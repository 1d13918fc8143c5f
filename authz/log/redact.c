/* SPDX-License-Identifier: Apache-2.0 */
#include "redact.h"

#include <stddef.h>

bool redact_hides_header(struct str name)
{
    static const struct str CREDENTIALS[] = {
        STR_INIT("authorization"),
        STR_INIT("proxy-authorization"),
        STR_INIT("cookie"),
        STR_INIT("set-cookie"),
    };

    for (size_t i = 0; i < sizeof(CREDENTIALS) / sizeof(CREDENTIALS[0]); i++)
        if (str_eq_nocase(CREDENTIALS[i], name))
            return true;
    return false;
}

struct str redact_parameter(struct str parameter)
{
    ptrdiff_t equals = str_find_char(parameter, '=');

    return (struct str){parameter.ptr, equals < 0 ? 0 : (size_t)equals + 1};
}
