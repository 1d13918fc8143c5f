/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator whose n-th allocation fails, and that counts what was not given back.
 *
 * Stands in front of the real one in what is linked statically, by the linker's --wrap
 * (failing_memory() in tests/CMakeLists.txt); included once in a program.  One thread. */
#ifndef FAILING_MEMORY_H
#define FAILING_MEMORY_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static struct {
    size_t until_failure; /* so many allocations succeed, then one fails; 0: not armed */
    bool stays;           /* ... and all that follow, too */
    bool failed;
    size_t live; /* allocations that were not freed */
} failing_memory;

/* The allocation with this number, from 0, fails, and with `stays` every later one. */
static inline void failing_memory_arm(size_t number, bool stays)
{
    failing_memory.until_failure = number + 1;
    failing_memory.stays = stays;
    failing_memory.failed = false;
}

/* Did one fail since it was armed? */
static inline bool failing_memory_disarm(void)
{
    failing_memory.until_failure = 0;
    return failing_memory.failed;
}

static inline bool failing_memory_fails(void)
{
    if (failing_memory.until_failure != 1) {
        failing_memory.until_failure -= failing_memory.until_failure != 0;
        return false;
    }
    failing_memory.until_failure = failing_memory.stays;
    failing_memory.failed = true;
    errno = ENOMEM;
    return true;
}

static inline void *failing_memory_count(void *allocated)
{
    failing_memory.live += allocated != NULL;
    return allocated;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size)
{
    return failing_memory_fails() ? NULL : failing_memory_count(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return failing_memory_fails() ? NULL : failing_memory_count(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
    void *grown = failing_memory_fails() ? NULL : __real_realloc(memory, size);

    return memory ? grown : failing_memory_count(grown);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    void *grown = failing_memory_fails() ? NULL : __real_reallocarray(memory, count, size);

    return memory ? grown : failing_memory_count(grown);
}

char *__wrap_strdup(const char *text)
{
    return failing_memory_fails() ? NULL : failing_memory_count(__real_strdup(text));
}

void __wrap_free(void *memory)
{
    failing_memory.live -= memory != NULL;
    __real_free(memory);
}

#endif
