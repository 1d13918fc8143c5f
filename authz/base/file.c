/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "cleanup.h"

static int cannot_read(struct diag *diag, int error)
{
    char buffer[128];

    return diag_set(diag, -error, "cannot read the file: %s",
                    strerror_r(error, buffer, sizeof(buffer)));
}

static int check_kind(const struct stat *status, struct diag *diag)
{
    switch (status->st_mode & S_IFMT) {
    case S_IFREG:
        return 0;
    case S_IFDIR:
        return diag_set(diag, -EISDIR, "is a directory, not a file");
    case S_IFIFO:
        return diag_set(diag, -ENXIO, "is a FIFO, not a file");
    case S_IFSOCK:
        return diag_set(diag, -ENXIO, "is a socket, not a file");
    default:
        return diag_set(diag, -ENXIO, "is a device, not a file");
    }
}

int file_open(const char *path, int *ret_fd, struct diag *diag)
{
    CLEANUP(closep) int fd = -1;
    struct stat status;
    int r;

    /* Asked before as well, since opening a device can do something and a socket says nothing. */
    if (stat(path, &status) < 0)
        return cannot_read(diag, errno);
    r = check_kind(&status, diag);
    if (r < 0)
        return r;
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return cannot_read(diag, errno);
    r = check_kind(&status, diag);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Up to the end of the file or of the buffer.  Returns 0 or a negative errno. */
static int read_all(int fd, char *buffer, size_t room, size_t *ret_size)
{
    size_t size = 0;

    while (size < room) {
        ssize_t got = read(fd, buffer + size, room - size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    *ret_size = size;
    return 0;
}

int file_read(const char *path, size_t max, char **ret_bytes, size_t *ret_size, struct diag *diag)
{
    CLEANUP(closep) int fd = -1;
    CLEANUP(freep) char *bytes = NULL;
    size_t size = 0;
    int r = file_open(path, &fd, diag);

    if (r < 0)
        return r;
    bytes = malloc(max + 1); /* its pages are touched only when they are used */
    if (!bytes)
        return diag_set(diag, -ENOMEM, "out of memory");
    r = read_all(fd, bytes, max + 1, &size); /* one more is enough to see that it is too much */
    if (r < 0)
        return cannot_read(diag, -r);
    if (size > max)
        return diag_set(diag, -EFBIG, "found more than %zu bytes", max);
    *ret_bytes = TAKE_PTR(bytes);
    *ret_size = size;
    return 0;
}
