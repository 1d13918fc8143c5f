/* SPDX-License-Identifier: Apache-2.0 */
/* Regular files for reading, opened without ever waiting for somebody else.
 *
 * A path can name anything: opening a FIFO waits for its writer, and a device may never end.  So
 * whatever is not a regular file is refused, and said to be what it is: "is a FIFO, not a file".
 * Who wants to read from a pipe reads standard input. */
#ifndef FILE_H
#define FILE_H

#include <stddef.h>

#include "diag.h"

/* Returns 0 and a descriptor (close-on-exec), which the caller owns; or, with a message, -EISDIR
 * for a directory, -ENXIO for anything else that is no regular file, and what the system says
 * otherwise.  The file's name in messages is what diag_set_file() said. */
int file_open(const char *path, int *ret_fd, struct diag *diag);

/* Reads the whole file, which ends where a read finds its end: it may grow or shrink meanwhile.
 * Returns 0 and its bytes on the heap, which the caller owns; -EFBIG for more than `max` bytes,
 * -ENOMEM, or as file_open().  Every failure has a message. */
int file_read(const char *path, size_t max, char **ret_bytes, size_t *ret_size, struct diag *diag);

#endif
