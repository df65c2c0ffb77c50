// SPDX-License-Identifier: Apache-2.0
#include "collector/track.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void track_done(struct track *t)
{
    for (size_t i = 0; i < t->n; i++)
        hist_cell_unref(t->runs[i].h);
    free(t->runs);
    *t = (struct track){0};
}

static int64_t run_end(const struct track_run *r)
{
    return r->t_ms + (int64_t)r->step_ms * (r->n - 1);
}

// How many runs start at or before t_ms.
static size_t runs_until(const struct track *t, int64_t t_ms)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (t->runs[mid].t_ms <= t_ms)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void drop_front(struct track *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hist_cell_unref(t->runs[i].h);
    t->n -= n;
    memmove(t->runs, t->runs + n, t->n * sizeof(*t->runs));
}

// Room for two more runs: a split needs that many.
static int reserve(struct track *t, int64_t drop_ms)
{
    if (t->n + 2 <= t->cap)
        return 0;
    size_t old = 0;
    while (old < t->n && run_end(&t->runs[old]) < drop_ms)
        old++;
    if (old == 0 && t->n + 2 > TRACK_RUNS_MAX)
        old = t->n / 8;
    // Dropping few would have us here again at once.
    if (old >= 4 && old >= t->n / 8) {
        drop_front(t, old);
        return 0;
    }
    size_t cap = t->cap ? t->cap * 2 : 4;
    struct track_run *runs = realloc(t->runs, cap * sizeof(*runs));
    if (!runs)
        return -ENOMEM;
    t->runs = runs;
    t->cap = cap;
    return 0;
}

static void insert(struct track *t, size_t at, struct track_run r)
{
    memmove(t->runs + at + 1, t->runs + at, (t->n - at) * sizeof(r));
    t->runs[at] = r;
    t->n++;
}

// Appends to the run when the sample continues it.
static bool continues(struct track_run *r, int64_t t_ms, double v)
{
    if (r->h || double_bits(r->v) != double_bits(v) || r->n == UINT32_MAX)
        return false;
    int64_t step = t_ms - run_end(r);
    if (step <= 0 || step > UINT32_MAX || (r->n > 1 && step != r->step_ms))
        return false;
    r->step_ms = (uint32_t)step;
    r->n++;
    return true;
}

// Makes the sample at t_ms, inside run i, a run of its own and returns its place.
static size_t cut_out(struct track *t, size_t i, int64_t t_ms)
{
    struct track_run r = t->runs[i];
    if (r.n == 1)
        return i;
    uint32_t k = (uint32_t)((t_ms - r.t_ms) / r.step_ms);
    struct track_run after = {
        .t_ms = t_ms + r.step_ms, .step_ms = r.step_ms, .n = r.n - k - 1, .v = r.v};
    if (after.n)
        insert(t, i + 1, after);
    if (k) {
        t->runs[i].n = k;
        insert(t, i + 1, (struct track_run){.t_ms = t_ms, .n = 1, .v = r.v});
        return i + 1;
    }
    t->runs[i] = (struct track_run){.t_ms = t_ms, .n = 1, .v = r.v};
    return i;
}

int track_add(
    struct track *t, int64_t t_ms, double v, const struct histogram *h, int64_t drop_ms)
{
    size_t after = runs_until(t, t_ms);
    if (!h && after == t->n && t->n > 0 && continues(&t->runs[t->n - 1], t_ms, v))
        return 1;
    struct hist_cell *cell = NULL;
    if (h) {
        cell = hist_cell_copy(h);
        if (!cell)
            return -ENOMEM;
    }
    if (reserve(t, drop_ms) < 0) {
        hist_cell_unref(cell);
        return -ENOMEM;
    }
    after = runs_until(t, t_ms);
    struct track_run one = {.t_ms = t_ms, .n = 1, .v = v, .h = cell};
    if (after > 0) {
        size_t i = after - 1;
        struct track_run *r = &t->runs[i];
        int64_t into = t_ms - r->t_ms;
        bool taken = into == 0 || (t_ms <= run_end(r) && into % r->step_ms == 0);
        if (taken && !cell && !r->h && double_bits(r->v) == double_bits(v))
            return 0;
        if (taken) {
            i = cut_out(t, i, t_ms);
            hist_cell_unref(t->runs[i].h);
            t->runs[i] = one;
            return 1;
        }
        if (t_ms < run_end(r)) {
            // Between two samples of the run: its rest goes behind.
            uint32_t k = (uint32_t)(into / r->step_ms) + 1;
            struct track_run rest = {.t_ms = r->t_ms + (int64_t)k * r->step_ms,
                .step_ms = r->step_ms,
                .n = r->n - k,
                .v = r->v};
            r->n = k;
            insert(t, i + 1, rest);
        }
    }
    insert(t, after, one);
    return 1;
}

int track_range(const struct track *t, int64_t from_ms, int64_t to_ms, struct points *out)
{
    size_t i = runs_until(t, from_ms);
    for (i = i ? i - 1 : 0; i < t->n && t->runs[i].t_ms <= to_ms; i++) {
        const struct track_run *r = &t->runs[i];
        uint32_t k = 0;
        if (r->t_ms <= from_ms)
            k = r->n > 1 ? (uint32_t)((from_ms - r->t_ms) / r->step_ms < r->n
                                          ? (from_ms - r->t_ms) / r->step_ms + 1
                                          : r->n)
                         : 1;
        for (; k < r->n && r->t_ms + (int64_t)k * r->step_ms <= to_ms; k++)
            if (!points_add(
                    out, r->t_ms + (int64_t)k * r->step_ms, r->v, r->h ? &r->h->h : NULL))
                return -ENOMEM;
    }
    return 0;
}

bool track_latest(const struct track *t, int64_t t_ms, struct point *ret)
{
    size_t after = runs_until(t, t_ms);
    if (!after)
        return false;
    const struct track_run *r = &t->runs[after - 1];
    int64_t k = r->n > 1 ? (t_ms - r->t_ms) / r->step_ms : 0;
    if (k >= r->n)
        k = r->n - 1;
    *ret = (struct point){
        .t_ms = r->t_ms + k * r->step_ms, .v = r->v, .h = r->h ? &r->h->h : NULL};
    return true;
}

bool track_next(const struct track *t, int64_t t_ms, struct point *ret)
{
    size_t i = runs_until(t, t_ms);
    int64_t k = 0;
    if (i > 0 && run_end(&t->runs[i - 1]) > t_ms) {
        i--;
        k = (t_ms - t->runs[i].t_ms) / t->runs[i].step_ms + 1;
    }
    if (i == t->n)
        return false;
    const struct track_run *r = &t->runs[i];
    *ret = (struct point){
        .t_ms = r->t_ms + k * r->step_ms, .v = r->v, .h = r->h ? &r->h->h : NULL};
    return true;
}

int64_t track_newest_ms(const struct track *t)
{
    return t->n ? run_end(&t->runs[t->n - 1]) : INT64_MIN;
}
