/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of envoy/wasm: what is taken fits, and does something. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "filter_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filter_settings settings = {.path_size = 0};
    uint32_t line = UINT32_MAX;

    if (filter_settings_read((struct text){(const char *)data, (uint32_t)size}, &settings, &line)) {
        require(line <= size + 1);
        return 0;
    }
    require(line == 0);
    require(settings.path_size > 0 && settings.path_size <= FILTER_PATH_MAX);
    require(settings.path[settings.path_size - 1] != '\0');
    require(settings.header_size <= FILTER_HEADER_MAX && settings.url_size <= FILTER_URL_MAX);
    require(settings.refused_count <= FILTER_WORDS_MAX);
    require(settings.header_size || settings.refused_count || settings.refuses_absent);
    for (uint32_t i = 0; i < settings.refused_count; i++)
        require(filter_settings_refuse(
            &settings, (struct text){settings.refused[i], settings.refused_sizes[i]}));
    return 0;
}
