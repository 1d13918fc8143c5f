/* SPDX-License-Identifier: Apache-2.0 */
#include "diag.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void replace_control_characters(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

__attribute__((format(printf, 3, 0))) static void set_text(struct diag *diag, struct place place,
                                                           const char *format, va_list args)
{
    if (!diag || diag->text[0])
        return;
    (void)vsnprintf(diag->text, sizeof(diag->text), format, args);
    replace_control_characters(diag->text);
    diag->place = place;
}

int diag_set(struct diag *diag, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(diag, (struct place){0, 0}, format, args);
    va_end(args);
    return error;
}

int diag_set_at(struct diag *diag, int error, struct place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(diag, place, format, args);
    va_end(args);
    return error;
}

void diag_set_file(struct diag *diag, const char *file)
{
    size_t len = strlen(file);

    if (!diag)
        return;
    if (len >= sizeof(diag->file))
        file += len - sizeof(diag->file) + 1;
    (void)snprintf(diag->file, sizeof(diag->file), "%s", file);
    replace_control_characters(diag->file);
}

void diag_clear(struct diag *diag)
{
    *diag = (struct diag){0};
}

void diag_format(const struct diag *diag, char *buffer, size_t size)
{
    const char *separator = diag->file[0] ? ":" : "";

    if (diag->place.line)
        (void)snprintf(buffer, size, "%s%s%u:%u: %s", diag->file, separator, diag->place.line,
                       diag->place.column, diag->text);
    else
        (void)snprintf(buffer, size, "%s%s%s", diag->file, diag->file[0] ? ": " : "", diag->text);
}

const char *diag_nearest(struct str word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;

    for (size_t i = 0; i < count; i++) {
        struct str candidate = str_from(candidates[i]);
        size_t distance = str_distance(word, candidate);
        size_t longer = word.len > candidate.len ? word.len : candidate.len;

        if (distance < best_distance && distance * 3 <= longer) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}

const char *diag_words(const char *const *candidates, size_t count, char *buffer, size_t size)
{
    size_t used = 0;

    buffer[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++) {
        const char *separator = i == 0 ? "" : i + 1 == count ? " or " : ", ";
        int written = snprintf(buffer + used, size - used, "%s%s", separator, candidates[i]);

        used += written > 0 ? (size_t)written : 0;
    }
    return buffer;
}
