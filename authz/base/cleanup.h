/* SPDX-License-Identifier: Apache-2.0 */
/* Release by scope.
 *
 * A local that owns something is declared with CLEANUP(fn), where fn takes a pointer to the
 * variable; every exit is then a plain `return`.  Ownership leaves by TAKE_PTR() or take_fd(). */
#ifndef CLEANUP_H
#define CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Returns what *slot held and leaves NULL behind.  `slot` is the address of a pointer variable. */
static inline void *take_ptr(void *slot)
{
    void *held;
    void *const null = NULL;

    memcpy(&held, slot, sizeof(held));
    memcpy(slot, &null, sizeof(null));
    return held;
}

#define TAKE_PTR(var) take_ptr(&(var))

/* Returns the descriptor and leaves -1 behind. */
static inline int take_fd(int *fd)
{
    int held = *fd;

    *fd = -1;
    return held;
}

/* free() what a pointer variable holds; `slot` is its address. */
static inline void freep(void *slot)
{
    free(take_ptr(slot));
}

static inline void closep(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void fclosep(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

#endif
