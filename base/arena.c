// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN 4096
#define ALIGN     16

struct arena_block {
    struct arena_block *next; // older and, but for one with an oversized request, smaller
    size_t size, used;
    alignas(ALIGN) unsigned char data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

static void free_blocks(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_done(struct arena *a)
{
    if (!a)
        return;
    free_blocks(a->head);
    *a = (struct arena){.max = a->max};
}

void arena_reset(struct arena *a)
{
    struct arena_block **largest = &a->head;
    for (struct arena_block **b = &a->head; *b; b = &(*b)->next)
        if ((*b)->size > (*largest)->size)
            largest = b;
    struct arena_block *keep = *largest;
    if (keep) {
        *largest = keep->next;
        free_blocks(a->head);
        keep->next = NULL;
        keep->used = 0;
    }
    a->head = keep;
    a->used = 0;
}

static struct arena_block *add_block(struct arena *a, size_t need)
{
    // Each block doubles, so that after a few rounds one block holds a whole round.
    size_t size = a->head ? a->head->size * 2 : BLOCK_MIN;
    if (size < need)
        size = need;
    struct arena_block *b = malloc(sizeof(*b) + size);
    if (!b)
        return NULL;
    b->next = a->head;
    b->size = size;
    b->used = 0;
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 4)
        return NULL;
    size_t need = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (need == 0)
        need = ALIGN;
    if (a->max && need > a->max - a->used)
        return NULL;
    struct arena_block *b = a->head;
    if (!b || need > b->size - b->used)
        b = add_block(a, need);
    if (!b)
        return NULL;
    void *p = b->data + b->used;
    b->used += need;
    a->used += need;
    return memset(p, 0, need);
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *p = arena_alloc(a, len + 1);
    if (p && len > 0)
        memcpy(p, s, len);
    return p;
}
