/* SPDX-License-Identifier: Apache-2.0 */
/* A file for tests that has a path and leaves nothing behind. */
#ifndef MEMORY_FILE_H
#define MEMORY_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct memory_file {
    int fd;
    char path[64];
};

static inline void memory_file_done(const struct memory_file *file)
{
    (void)close(file->fd);
}

static inline struct memory_file memory_file_with(const void *bytes, size_t size)
{
    struct memory_file file = {.fd = memfd_create("test", MFD_CLOEXEC)};

    if (file.fd < 0 || write(file.fd, bytes, size) != (ssize_t)size)
        abort();
    (void)snprintf(file.path, sizeof(file.path), "/proc/self/fd/%d", file.fd);
    return file;
}

#endif
