// SPDX-License-Identifier: Apache-2.0
#include "collector/errands.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void errands_done(struct errands *s)
{
    free(s->e);
    *s = (struct errands){0};
}

int errands_add(struct errands *s, const struct errand *e)
{
    size_t at = s->n;
    if (s->n >= ERRANDS_MAX)
        return -ENOBUFS;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        struct errand *grown = realloc(s->e, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        s->e = grown;
        s->cap = cap;
    }
    for (size_t i = s->flying; !e->letter && i < at; i++)
        if (s->e[i].letter)
            at = i;
    memmove(&s->e[at + 1], &s->e[at], (s->n - at) * sizeof(*s->e));
    s->e[at] = *e;
    s->n++;
    return 0;
}

int64_t errands_next(const struct errands *s, int64_t ready_ms)
{
    if (!s->n || s->flying)
        return INT64_MAX;
    if (!s->e[0].letter)
        return 0;
    return s->again_ms > ready_ms ? s->again_ms : ready_ms;
}

struct errand *errands_take(struct errands *s)
{
    s->flying = true;
    return &s->e[0];
}

static void remove_at(struct errands *s, size_t i, struct errand *ret)
{
    *ret = s->e[i];
    s->n--;
    memmove(&s->e[i], &s->e[i + 1], (s->n - i) * sizeof(*s->e));
}

enum errand_verdict errands_tried(
    struct errands *s, int64_t now_ms, int status, int64_t retry_after_ms, struct errand *ret)
{
    struct errand *e = &s->e[0];
    bool sent = status >= 200 && status < 300;
    bool refused =
        status >= 300 && status < 500 && status != 408 && status != 425 && status != 429;
    s->flying = false;
    e->tries++;
    if (e->letter && !sent && !refused && e->tries < ERRAND_TRIES_MAX) {
        int64_t wait = (int64_t)ERRAND_AGAIN_MS << (e->tries - 1);
        s->again_ms = now_ms + (retry_after_ms > wait ? retry_after_ms : wait);
        *ret = *e;
        return ERRAND_AGAIN;
    }
    remove_at(s, 0, ret);
    return sent ? ERRAND_SENT : refused ? ERRAND_REFUSED : ERRAND_AWAY;
}

bool errands_drop(struct errands *s, struct errand *ret)
{
    for (size_t i = s->flying; i < s->n; i++)
        if (s->e[i].letter) {
            remove_at(s, i, ret);
            return true;
        }
    return false;
}

bool errands_has(const struct errands *s, uint64_t letter)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->e[i].letter == letter)
            return true;
    return false;
}
