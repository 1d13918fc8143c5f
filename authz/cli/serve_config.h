/* SPDX-License-Identifier: Apache-2.0 */
/* /config of `serve`: what it was told, what of that it has in use, and how it is. */
#ifndef SERVE_CONFIG_H
#define SERVE_CONFIG_H

#include <stdio.h>

#include "serve_metrics.h"

/* For struct admin_pages. */
void serve_config_print(struct serve_metrics *metrics, FILE *out);

#endif
