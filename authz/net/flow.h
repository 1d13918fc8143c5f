/* SPDX-License-Identifier: Apache-2.0 */
/* The tuple of one TCP connection, seen from the server: source is the client. */
#ifndef FLOW_H
#define FLOW_H

#include "addr.h"

struct flow {
    struct endpoint source;
    struct endpoint destination;
};

#endif
