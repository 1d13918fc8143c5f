/* SPDX-License-Identifier: Apache-2.0 */
#include "oplog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

enum { LINE_MAX_BYTES = 1000, LOG_MODE = 0640 };

/* --- lines ------------------------------------------------------------------------------------ */

/* "2026-01-02T03:04:05.678Z ", or nothing.  Returns its length. */
static size_t put_time(char *line, size_t size)
{
    const int flags = fcntl(STDERR_FILENO, F_GETFL);
    struct timespec now;
    struct tm utc;
    size_t length;

    line[0] = '\0';
    if (flags < 0 || !(flags & O_APPEND) || clock_gettime(CLOCK_REALTIME, &now) < 0 ||
        !gmtime_r(&now.tv_sec, &utc))
        return 0;
    length = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return length +
           (size_t)snprintf(line + length, size - length, ".%03ldZ ", now.tv_nsec / 1000000);
}

__attribute__((format(printf, 2, 0))) static void write_line(const char *level, const char *format,
                                                             va_list args)
{
    char line[LINE_MAX_BYTES];
    size_t length = put_time(line, sizeof(line));

    length += (size_t)snprintf(line + length, sizeof(line) - length, "synauthz: %s", level);
    (void)vsnprintf(line + length, sizeof(line) - 1 - length, format, args);
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

/* --- where to --------------------------------------------------------------------------------- */

static int open_log(const char *path, int *ret_fd, struct diag *diag)
{
    CLEANUP(closep)
    int fd =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, LOG_MODE);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return diag_set(diag, -errno, "cannot open it to write: %s", strerror(errno));
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
        return diag_set(diag, -EINVAL, "expected a file, or `-` for standard error");
    *ret_fd = take_fd(&fd);
    return 0;
}

int oplog_to_file(const char *path, struct diag *diag)
{
    CLEANUP(closep) int fd = -1;
    struct diag wrong = {0};
    int r = open_log(path, &fd, &wrong);

    if (r < 0)
        return diag_set(diag, r, "%s: %s", path, wrong.text);
    if (dup2(fd, STDERR_FILENO) < 0)
        return diag_set(diag, -errno, "%s: %s", path, strerror(errno));
    return 0;
}
