/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of option tables that several verbs have, each for a `field` of the verb's struct `type`.
 * What follows those two are further members of the row: a help text or default of its own. */
#ifndef SHARED_OPTIONS_H
#define SHARED_OPTIONS_H

#include "listener.h"
#include "option_values.h"
#include "options.h"
#include "pin_reader.h"

#define OPTION_CONFIG(type, field)                                                                 \
    {                                                                                              \
        .name = "config", .kind = OPTION_TEXT, .value = "FILE", .offset = offsetof(type, field),   \
        .command_line_only = true,                                                                 \
        .help = "these options from a YAML file, read again on SIGHUP; the\n"                      \
                "command line wins"                                                                \
    }

#define OPTION_PRINT_CONFIG(type, field)                                                           \
    {                                                                                              \
        .name = "print-config", .kind = OPTION_FLAG, .offset = offsetof(type, field),              \
        .command_line_only = true,                                                                 \
        .help = "print what all options come to, and where each value is\n"                        \
                "from, as a file for --config; start nothing"                                      \
    }

#define OPTION_PIN_DIR(type, field, ...)                                                           \
    {                                                                                              \
        .name = "pin-dir", .kind = OPTION_TEXT, .value = "DIR", .offset = offsetof(type, field),   \
        .check = option_check_path, .default_text = PIN_DIR_DEFAULT, __VA_ARGS__                   \
    }

#define OPTION_ADMIN(type, field)                                                                  \
    {                                                                                              \
        .name = "admin", .kind = OPTION_TEXT, .value = "ADDR", .offset = offsetof(type, field),    \
        .check = listener_check_plain,                                                             \
        .help = "answer HTTP on /metrics, /config, /livez and /readyz here:\n"                     \
                "unix:/path[,mode=0660][,group=NAME|GID], IP:PORT or [IP6]:PORT"                   \
    }

#define OPTION_PORT(type, field, ...)                                                              \
    {                                                                                              \
        .name = "port", .kind = OPTION_LIST, .value = "N[,N...]|any",                              \
        .offset = offsetof(type, field), .check = option_check_port_or_any, .items = true,         \
        __VA_ARGS__                                                                                \
    }

#define OPTION_PREFIX(type, field, ...)                                                            \
    {                                                                                              \
        .name = "prefix", .kind = OPTION_LIST, .value = "CIDR[,CIDR...]",                          \
        .offset = offsetof(type, field), .check = option_check_prefix, .items = true, __VA_ARGS__  \
    }

#define OPTION_REDIRECT_PORT(type, field)                                                          \
    {                                                                                              \
        .name = "redirect-port", .kind = OPTION_LIST, .value = "N[,N...]",                         \
        .offset = offsetof(type, field), .check = option_check_port, .items = true,                \
        .default_text = "15006",                                                                   \
        .help = "local ports that connections are REDIRECTed to: Istio's\n"                        \
                "sidecar has this one"                                                             \
    }

/* Sizes of maps, as the agent and `serve --attach` make them. */
#define OPTION_MAX_PENDING(type, field, ...)                                                       \
    {                                                                                              \
        .name = "max-pending", .kind = OPTION_NUMBER, .value = "N",                                \
        .offset = offsetof(type, field), .min = 1024, .max = 1 << 24, __VA_ARGS__                  \
    }

#define OPTION_MAX_LIVE(type, field, ...)                                                          \
    {                                                                                              \
        .name = "max-live", .kind = OPTION_NUMBER, .value = "N", .offset = offsetof(type, field),  \
        .min = 16, .max = 1 << 24, __VA_ARGS__                                                     \
    }

#endif
