/* SPDX-License-Identifier: Apache-2.0 */
/* The part of /config that a verb's loop knows: its settings, kept as text, so that the admin
 * thread needs nothing of the loop's. */
#ifndef CONFIG_PAGE_H
#define CONFIG_PAGE_H

#include <pthread.h>
#include <stdio.h>

#include "reload.h"
#include "settings_view.h"

struct config_page {
    pthread_mutex_t lock; /* of `settings` */
    char *settings;       /* members of a JSON object; NULL: there was no memory */
    struct reload_log reloads;
};

void config_page_init(struct config_page *page);
void config_page_done(struct config_page *page);

/* By the loop, at the start and when a configuration was read again: `wanted` is what it says
 * (settings_print_json). */
void config_page_update(struct config_page *page, const struct settings_view *running,
                        const struct settings_view *wanted);

/* By the admin thread: "config_file":..., "settings":{...}, "config_reload":{...}, members of an
 * object. */
void config_page_print(struct config_page *page, FILE *out);

#endif
