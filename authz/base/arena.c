/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int arena_init(struct arena *arena, size_t cap)
{
    char *block = malloc(cap ? cap : 1);

    if (!block)
        return -ENOMEM;
    *arena = (struct arena){.block = block, .cap = cap};
    return 0;
}

void arena_done(struct arena *arena)
{
    free(arena->block);
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
    arena->exhausted = false;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t align = _Alignof(max_align_t);
    size_t start = (arena->used + align - 1) & ~(align - 1);
    void *memory;

    if (start > arena->cap || size > arena->cap - start) {
        arena->exhausted = true;
        return NULL;
    }
    memory = arena->block + start;
    arena->used = start + size;
    return memory;
}

void *arena_extend(struct arena *arena, const void *memory, size_t size, size_t more)
{
    char *end = arena->block + arena->used;

    if ((uintptr_t)memory + size != (uintptr_t)end || more > arena->cap - arena->used)
        return NULL;
    arena->used += more;
    return end;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    void *memory;

    if (size && count > SIZE_MAX / size) {
        arena->exhausted = true;
        return NULL;
    }
    memory = arena_alloc(arena, count * size);
    if (memory)
        memset(memory, 0, count * size);
    return memory;
}

struct str arena_copy(struct arena *arena, struct str s)
{
    char *copy = arena_alloc(arena, s.len);

    if (!copy)
        return (struct str){NULL, 0};
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    return (struct str){copy, s.len};
}
