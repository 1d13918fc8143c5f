/* SPDX-License-Identifier: Apache-2.0 */
/* What the filter is told, in lines of `name: value`; empty ones and those that begin with # are
 * skipped.
 *
 *     key: p0f.state                  required: where in the metadata of ext_authz; a text
 *     response-header: x-client       tell the client the value in this header
 *     refuse: missing                 answer 403 when it is this; may be repeated
 *     absent: refuse                  or `pass`: where there is no such value; required with
 *                                     `refuse`
 *     redirect: https://example.org/  answer 302 to there, and not 403 */
#ifndef FILTER_SETTINGS_H
#define FILTER_SETTINGS_H

#include "filter_text.h"

enum {
    FILTER_PATH_MAX = 192,
    FILTER_HEADER_MAX = 64,
    FILTER_URL_MAX = 512,
    FILTER_WORD_MAX = 64,
    FILTER_WORDS_MAX = 16
};

struct filter_settings {
    char path[FILTER_PATH_MAX]; /* as proxy_get_property() takes it */
    uint32_t path_size;         /* 0: no `key` */
    char header[FILTER_HEADER_MAX];
    uint32_t header_size; /* 0: none */
    char url[FILTER_URL_MAX];
    uint32_t url_size; /* 0: 403 */
    char refused[FILTER_WORDS_MAX][FILTER_WORD_MAX];
    uint32_t refused_sizes[FILTER_WORDS_MAX];
    uint32_t refused_count;
    bool has_absent, refuses_absent;
};

/* `ret_settings` is all zero before.  Returns NULL; or what is wrong, as a constant text, and the
 * line in `ret_line` (0: with all of it). */
const char *filter_settings_read(struct text text, struct filter_settings *ret_settings,
                                 uint32_t *ret_line);

/* Is this value one that is refused?  `value.ptr` NULL: there is none. */
bool filter_settings_refuse(const struct filter_settings *settings, struct text value);

#endif
