// SPDX-License-Identifier: Apache-2.0
#include "collector/notice_set.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void notice_set_done(struct notice_set *s)
{
    for (size_t i = 0; i < s->count; i++)
        notice_free(s->n[i]);
    free(s->n);
    *s = (struct notice_set){0};
}

// Where the fingerprint is, or belongs.
static size_t place(const struct notice_set *s, uint64_t fingerprint)
{
    size_t lo = 0, hi = s->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->n[mid]->fingerprint < fingerprint)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_at(const struct notice_set *s, size_t at, uint64_t fingerprint)
{
    return at < s->count && s->n[at]->fingerprint == fingerprint;
}

const struct notice *notice_set_find(const struct notice_set *s, uint64_t fingerprint)
{
    size_t at = place(s, fingerprint);
    return is_at(s, at, fingerprint) ? s->n[at] : NULL;
}

static int reserve(struct notice_set *s)
{
    if (s->count < s->cap)
        return 0;
    size_t cap = s->cap ? s->cap * 2 : 4;
    const struct notice **n = realloc(s->n, cap * sizeof(*n));
    if (!n)
        return -ENOMEM;
    s->n = n;
    s->cap = cap;
    return 0;
}

int notice_set_put(struct notice_set *s, const struct notice *n)
{
    size_t at = place(s, n->fingerprint);
    const struct notice *kept = notice_keep(n);
    if (!kept)
        return -ENOMEM;
    if (is_at(s, at, n->fingerprint)) {
        notice_free(s->n[at]);
        s->n[at] = kept;
        return 0;
    }
    if (reserve(s) < 0) {
        notice_free(kept);
        return -ENOMEM;
    }
    memmove(&s->n[at + 1], &s->n[at], (s->count - at) * sizeof(*s->n));
    s->n[at] = kept;
    s->count++;
    return 0;
}

void notice_set_remove(struct notice_set *s, uint64_t fingerprint)
{
    size_t at = place(s, fingerprint);
    if (!is_at(s, at, fingerprint))
        return;
    notice_free(s->n[at]);
    memmove(&s->n[at], &s->n[at + 1], (s->count - at - 1) * sizeof(*s->n));
    s->count--;
}
