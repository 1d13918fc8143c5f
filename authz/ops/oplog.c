/* SPDX-License-Identifier: Apache-2.0 */
#include "oplog.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1000 };

__attribute__((format(printf, 2, 0)))
static void write_line(const char *level, const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];
    int start = snprintf(line, sizeof(line), "synauthz: %s", level);
    size_t length;

    (void)vsnprintf(line + start, sizeof(line) - 1 - (size_t)start, format, args);
    length = strlen(line);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, length) < 0)
        return; /* nobody is left to tell */
}

void oplog_info(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line("", format, args);
    va_end(args);
}

void oplog_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line("error: ", format, args);
    va_end(args);
}
