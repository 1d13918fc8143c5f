/* SPDX-License-Identifier: Apache-2.0 */
/* A socket that an option names: "--listen", "--admin". */
#ifndef LISTEN_OPTION_H
#define LISTEN_OPTION_H

#include "listener.h"

/* As listener_open(); the message also says which option is meant. */
int listen_option_open(const char *option, const char *spec, struct listener *ret_listener,
                       struct diag *diag);

#endif
