/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_settings.h"
#include "config_file.h"
#include "serve_settings.h"

const struct config_section CONFIG_SECTIONS[] = {
    {"agent", &AGENT_OPTIONS},
    {"serve", &SERVE_OPTIONS},
    {NULL, NULL},
};
