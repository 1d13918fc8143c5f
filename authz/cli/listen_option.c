/* SPDX-License-Identifier: Apache-2.0 */
#include "listen_option.h"

int listen_option_open(const char *option, const char *spec, struct listener *ret_listener,
                       struct diag *diag)
{
    struct diag wrong = {0};
    int r = listener_open(str_from(spec), ret_listener, &wrong);

    return r < 0 ? diag_set(diag, r, "%s %s: %s", option, spec, wrong.text) : 0;
}
