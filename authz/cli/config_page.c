/* SPDX-License-Identifier: Apache-2.0 */
#include "config_page.h"

#include <stdlib.h>

#include "json.h"

void config_page_init(struct config_page *page)
{
    *page = (struct config_page){0};
    (void)pthread_mutex_init(&page->lock, NULL); /* glibc's cannot fail */
    reload_log_init(&page->reloads);
}

void config_page_done(struct config_page *page)
{
    reload_log_done(&page->reloads);
    (void)pthread_mutex_destroy(&page->lock);
    free(page->settings);
    *page = (struct config_page){0};
}

/* NULL without memory. */
static char *settings_text(const struct settings_view *running, const struct settings_view *wanted)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);

    if (!memory)
        return NULL;
    (void)fputs("\"config_file\":", memory);
    json_print_text_or_null(memory, wanted->file ? config_file_name(wanted->file) : NULL);
    (void)fputs(",\"settings\":", memory);
    settings_print_json(running, wanted, memory);
    if (fclose(memory) == 0)
        return text;
    free(text);
    return NULL;
}

void config_page_update(struct config_page *page, const struct settings_view *running,
                        const struct settings_view *wanted)
{
    char *text = settings_text(running, wanted), *before;

    (void)pthread_mutex_lock(&page->lock);
    before = page->settings;
    page->settings = text;
    (void)pthread_mutex_unlock(&page->lock);
    free(before);
}

void config_page_print(struct config_page *page, FILE *out)
{
    (void)pthread_mutex_lock(&page->lock);
    (void)fputs(page->settings ? page->settings : "\"settings\":null", out);
    (void)pthread_mutex_unlock(&page->lock);
    (void)fputs(",\"config_reload\":", out);
    reload_log_print_json(&page->reloads, out);
}
