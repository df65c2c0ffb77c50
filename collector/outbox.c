// SPDX-License-Identifier: Apache-2.0
#include "collector/outbox.h"
#include "collector/api.h"
#include "wire/live.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct live_shared *live_shared_new(struct live_out *m)
{
    struct live_shared *s = calloc(1, sizeof(*s));
    if (!s) {
        live_out_free(m);
        return NULL;
    }
    s->refs = 1;
    s->m = m;
    return s;
}

void live_shared_unref(struct live_shared *s)
{
    if (!s || --s->refs)
        return;
    live_out_free(s->m);
    free(s);
}

static struct live_shared *remove_at(struct outbox *b, size_t i)
{
    struct live_shared *s = b->s[i];
    b->n--;
    memmove(&b->s[i], &b->s[i + 1], (b->n - i) * sizeof(*b->s));
    b->bytes -= s->m->message.len;
    return s;
}

void outbox_done(struct outbox *b)
{
    for (size_t i = 0; i < b->n; i++)
        live_shared_unref(b->s[i]);
    free(b->s);
    *b = (struct outbox){0};
}

struct live_shared *outbox_take(struct outbox *b)
{
    return b->n ? remove_at(b, 0) : NULL;
}

void outbox_clear(struct outbox *b, uint16_t sub)
{
    for (size_t i = b->n; i-- > 0;)
        if (b->s[i]->m->sub == sub)
            live_shared_unref(remove_at(b, i));
}

int outbox_put(struct outbox *b, struct live_shared *s)
{
    const struct live_out *m = s->m;
    bool points = m->type == LIVE_POINTS;
    bool snapshot = points && (m->message.data[1] & LIVE_FLAG_SNAPSHOT);
    size_t at = 0;
    while (at < b->n && (b->s[at]->m->type != m->type || b->s[at]->m->sub != m->sub))
        at++;
    bool same = at < b->n;
    if (same && points && !snapshot)
        return -ENOBUFS;
    if ((points || m->type == LIVE_SERIES) && b->bytes + m->message.len > OUTBOX_BYTES_MAX)
        return -ENOBUFS;
    if (same && !points) {
        b->bytes += m->message.len - b->s[at]->m->message.len;
        live_shared_unref(b->s[at]);
        b->s[at] = s;
        s->refs++;
        return 0;
    }
    if (same)
        live_shared_unref(remove_at(b, at));
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 8;
        struct live_shared **grown = realloc(b->s, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        b->s = grown;
        b->cap = cap;
    }
    b->s[b->n++] = s;
    b->bytes += m->message.len;
    s->refs++;
    return 0;
}
