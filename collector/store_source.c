// SPDX-License-Identifier: Apache-2.0
// What rules and queries read of the store: struct source over blocks and tracks.
#include "collector/store_state.h"
#include <errno.h>

static uint64_t src_generation(void *self)
{
    return ((struct store *)self)->table.generation;
}

static const struct labels *labels_of(void *ctx, uint32_t id)
{
    static const struct labels NONE;
    const struct series *x = series_by_id(ctx, id);
    return x ? x->labels : &NONE;
}

static int src_select(void *self, const struct matcher *m, size_t n, struct series_ids *out)
{
    struct store *s = self;
    return index_select(&s->table.index, m, n, labels_of, &s->table, out);
}

static struct labels src_labels(void *self, uint32_t id)
{
    const struct series *x = series_by_id(&((struct store *)self)->table, id);
    return x ? *x->labels : (struct labels){0};
}

// Puts what was appended from `mid` on in its place among what came from `first` on. Both halves
// rise; of a time both have, the half `mid` starts is kept when it is the later word. Few points are
// out of place.
static void merge_tail(struct points *out, size_t first, size_t mid, bool later_word)
{
    if (mid == first || mid == out->n || out->p[mid].t_ms > out->p[mid - 1].t_ms)
        return;
    for (size_t i = mid; i < out->n; i++) {
        struct point x = out->p[i];
        size_t k = i;
        while (k > first && out->p[k - 1].t_ms > x.t_ms) {
            out->p[k] = out->p[k - 1];
            k--;
        }
        out->p[k] = x;
    }
    size_t n = first;
    for (size_t i = first; i < out->n; i++) {
        bool again = n > first && out->p[n - 1].t_ms == out->p[i].t_ms;
        if (again && !later_word)
            continue;
        n -= again;
        out->p[n++] = out->p[i];
    }
    out->n = n;
}

static int src_range(
    void *self, uint32_t id, int64_t from_ms, int64_t to_ms, struct points *out)
{
    const struct series *x = series_by_id(&((struct store *)self)->table, id);
    if (!x)
        return 0;
    size_t first = out->n;
    for (const struct column_ref *c = x->cols; c; c = c->next) {
        size_t mid = out->n;
        if (block_range(c->in->block, c->col, from_ms, to_ms, out) < 0)
            return -ENOMEM;
        merge_tail(out, first, mid, false); // newer sessions come first
    }
    size_t mid = out->n;
    if (track_range(&x->track, from_ms, to_ms, out) < 0)
        return -ENOMEM;
    merge_tail(out, first, mid, true);
    return 0;
}

bool series_latest(const struct series *x, int64_t t_ms, struct point *ret)
{
    // An event at the very millisecond of a tick is the later word.
    bool found = track_latest(&x->track, t_ms, ret);
    for (const struct column_ref *c = x->cols; c; c = c->next) {
        struct point p;
        if (block_latest(c->in->block, c->col, t_ms, &p) && (!found || p.t_ms > ret->t_ms)) {
            *ret = p;
            found = true;
        }
    }
    return found;
}

static bool src_latest(void *self, uint32_t id, int64_t t_ms, struct point *ret)
{
    const struct series *x = series_by_id(&((struct store *)self)->table, id);
    return x && series_latest(x, t_ms, ret);
}

// Of several sessions and events the earliest; at one millisecond who is asked first here is the
// later word, as in src_range.
static bool src_next(void *self, uint32_t id, int64_t t_ms, struct point *ret)
{
    const struct series *x = series_by_id(&((struct store *)self)->table, id);
    bool found = x && track_next(&x->track, t_ms, ret);
    for (const struct column_ref *c = x ? x->cols : NULL; c; c = c->next) {
        struct point p;
        if (block_next(c->in->block, c->col, t_ms, &p) && (!found || p.t_ms < ret->t_ms)) {
            *ret = p;
            found = true;
        }
    }
    return found;
}

static void src_watch(void *self, source_watch_fn *fn, void *ctx)
{
    struct store *s = self;
    s->watcher = fn;
    s->watcher_ctx = ctx;
}

bool series_silent(const struct series *x)
{
    return x->silent || (x->agent && x->agent->silent);
}

static bool src_silent(void *self, uint32_t id)
{
    const struct series *x = series_by_id(&((struct store *)self)->table, id);
    return x && series_silent(x);
}

static int src_record(
    void *self, const struct labels *l, int64_t t_ms, double v, const struct histogram *h)
{
    return store_record(self, l, t_ms, v, h, NULL);
}

void store_source_init(struct store *s)
{
    s->source = (struct source){.self = s,
        .generation = src_generation,
        .select = src_select,
        .labels = src_labels,
        .range = src_range,
        .latest = src_latest,
        .next = src_next,
        .watch = src_watch,
        .silent = src_silent,
        .record = src_record};
}
