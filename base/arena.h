// SPDX-License-Identifier: Apache-2.0
/*
 * Bump allocator for things that die together: one rule file, one request, one evaluation.
 * arena_reset keeps the largest block, so a steady loop soon does not allocate.
 */
#pragma once
#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used, max; // bytes handed out; ceiling, 0 = none
};

void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);
void arena_reset(struct arena *a);
void *arena_alloc(struct arena *a, size_t size); // zeroed, 16-byte aligned; NULL
char *arena_strndup(struct arena *a, const char *s, size_t len); // NUL-terminated; NULL
