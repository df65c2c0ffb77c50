// SPDX-License-Identifier: Apache-2.0
#include "rules/memory_source.h"
#include "base/map.h"
#include <errno.h>
#include <stdlib.h>

struct memory_series {
    struct labels *labels; // NULL: forgotten
    struct points points;
    // The newest point, and when the one before it was (INT64_MIN: none): most questions are about
    // these, and the array they end is far away.
    struct point newest;
    int64_t before_ms;
    bool silent;
};

struct memory_source {
    struct memory_series *series;
    size_t n, cap;
    struct map by_labels; // printed labels -> index + 1
    struct arena histograms;
    uint64_t generation;
    bool strict, was_refused;
    uint32_t refused; // series, when was_refused
    source_watch_fn *watcher;
    void *watcher_ctx;
};

struct memory_source *memory_source_new(void)
{
    struct memory_source *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    map_init(&m->by_labels);
    arena_init(&m->histograms, 0);
    return m;
}

void memory_source_free(struct memory_source *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++) {
        free(m->series[i].labels);
        free(m->series[i].points.p);
    }
    free(m->series);
    map_done(&m->by_labels);
    arena_done(&m->histograms);
    free(m);
}

// The key of a label set in by_labels, its length in key->len. NULL on no memory.
static const char *key_of(const struct labels *s, struct buf *key)
{
    buf_init(key, 1u << 20);
    for (size_t i = 0; i < s->n; i++) {
        buf_add(key, s->l[i].name, strlen(s->l[i].name) + 1);
        buf_add(key, s->l[i].value, strlen(s->l[i].value) + 1);
    }
    if (key->failed)
        return NULL;
    return key->data ? (const char *)key->data : "";
}

int memory_source_series(struct memory_source *m, const struct labels *s, uint32_t *ret_id)
{
    struct buf key;
    struct labels *copy = NULL;
    int rc = -ENOMEM;

    const char *k = key_of(s, &key);
    if (!k)
        goto out;
    uintptr_t found = (uintptr_t)map_get(&m->by_labels, k, key.len);
    if (found) {
        *ret_id = (uint32_t)(found - 1);
        rc = 0;
        goto out;
    }
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 16;
        struct memory_series *grown = realloc(m->series, cap * sizeof(*grown));
        if (!grown)
            goto out;
        m->series = grown;
        m->cap = cap;
    }
    copy = labels_dup(s);
    if (!copy)
        goto out;
    rc = map_set(&m->by_labels, k, key.len, (void *)(uintptr_t)(m->n + 1));
    if (rc < 0)
        goto out;
    m->series[m->n] = (struct memory_series){
        .labels = copy, .newest.t_ms = INT64_MIN, .before_ms = INT64_MIN};
    copy = NULL;
    *ret_id = (uint32_t)m->n++;
    m->generation++;
out:
    free(copy);
    buf_done(&key);
    return rc;
}

static void tell(struct memory_source *m, uint32_t id, int64_t t_ms, double v)
{
    if (m->watcher)
        m->watcher(m->watcher_ctx, id, t_ms, v);
}

int memory_source_forget(struct memory_source *m, uint32_t id)
{
    struct memory_series *s = &m->series[id];
    struct buf key;
    const char *k = key_of(s->labels, &key);
    if (k)
        map_del(&m->by_labels, k, key.len);
    buf_done(&key);
    if (!k)
        return -ENOMEM;
    tell(m, id, INT64_MAX, 0);
    free(s->labels);
    free(s->points.p);
    *s = (struct memory_series){.newest.t_ms = INT64_MIN, .before_ms = INT64_MIN};
    m->generation++;
    return 0;
}

// Index of the first sample after t. Samples come at a steady pace, so it is looked for where the
// newest two say, and from there in growing steps: nearly always one or two places.
static size_t after(const struct memory_series *x, int64_t t_ms)
{
    const struct points *p = &x->points;
    size_t n = p->n;
    if (x->newest.t_ms <= t_ms || n < 2)
        return x->newest.t_ms <= t_ms ? n : 0;
    uint64_t pace_ms = (uint64_t)x->newest.t_ms - (uint64_t)x->before_ms;
    uint64_t back = ((uint64_t)x->newest.t_ms - (uint64_t)t_ms) / pace_ms;
    size_t lo = 0, hi = n - 1, at = back < hi ? hi - (size_t)back : 0, step = 1;
    if (p->p[at].t_ms <= t_ms) {
        for (lo = at + 1; lo + step < n && p->p[lo + step - 1].t_ms <= t_ms; step *= 2)
            lo += step;
        if (lo + step < n)
            hi = lo + step - 1;
    } else {
        for (hi = at; hi >= step && p->p[hi - step].t_ms > t_ms; step *= 2)
            hi -= step;
        if (hi >= step)
            lo = hi - step + 1;
    }
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->p[mid].t_ms <= t_ms)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int put(struct memory_source *m, uint32_t id, int64_t t_ms, double v,
    const struct histogram *h, bool replace)
{
    struct memory_series *x = &m->series[id];
    struct points *p = &x->points;
    size_t at = after(x, t_ms);
    bool newest = t_ms > x->newest.t_ms;
    bool there = !newest && at > 0 && p->p[at - 1].t_ms == t_ms;
    if (there && !replace)
        return 0;
    if (h) {
        h = histogram_copy(&m->histograms, h);
        if (!h)
            return -ENOMEM;
    }
    if (!there && !points_add(p, t_ms, v, h))
        return -ENOMEM;
    if (newest) {
        x->before_ms = x->newest.t_ms;
        x->newest = (struct point){t_ms, v, h};
        return 1;
    }
    if (there)
        at--;
    else
        memmove(p->p + at + 1, p->p + at, (p->n - 1 - at) * sizeof(*p->p));
    p->p[at] = (struct point){t_ms, v, h};
    x->newest = p->p[p->n - 1];
    x->before_ms = p->n > 1 ? p->p[p->n - 2].t_ms : INT64_MIN;
    return 1;
}

static int store(struct memory_source *m, uint32_t id, int64_t t_ms, double v,
    const struct histogram *h, bool replace)
{
    int rc = put(m, id, t_ms, v, h, replace);
    if (rc > 0)
        tell(m, id, t_ms, h ? double_from_bits(NAN_ABSENT_BITS) : v);
    return rc;
}

int memory_source_add(
    struct memory_source *m, uint32_t id, int64_t t_ms, double v, const struct histogram *h)
{
    return store(m, id, t_ms, v, h, false);
}

void memory_source_silence(struct memory_source *m, uint32_t id, bool silent)
{
    bool changed = m->series[id].silent != silent;
    m->series[id].silent = silent;
    if (changed)
        tell(m, id, INT64_MIN, 0);
}

size_t memory_source_count(const struct memory_source *m)
{
    return m->n;
}

size_t memory_source_samples(const struct memory_source *m, uint32_t id)
{
    return m->series[id].points.n;
}

static uint64_t generation(void *self)
{
    return ((struct memory_source *)self)->generation;
}

static int choose(void *self, const struct matcher *matchers, size_t n, struct series_ids *out)
{
    struct memory_source *m = self;
    for (size_t i = 0; i < m->n; i++)
        if (m->series[i].labels && matchers_labels(matchers, n, m->series[i].labels) &&
            !series_ids_add(out, (uint32_t)i))
            return -ENOMEM;
    return 0;
}

static struct labels labels_of(void *self, uint32_t id)
{
    const struct labels *l = ((struct memory_source *)self)->series[id].labels;
    return l ? *l : (struct labels){0};
}

static const struct memory_series *series_of(const void *self, uint32_t id)
{
    return &((const struct memory_source *)self)->series[id];
}

static int range(void *self, uint32_t id, int64_t from_ms, int64_t to_ms, struct points *out)
{
    const struct memory_series *x = series_of(self, id);
    const struct points *p = &x->points;
    if (!p->n || x->newest.t_ms <= from_ms)
        return 0;
    if (x->before_ms <= from_ms && x->newest.t_ms <= to_ms)
        return points_append(out, &x->newest, 1) ? 0 : -ENOMEM;
    size_t end = after(x, to_ms), first = end, few = 4;
    // The window of one who comes often is small.
    while (first && few && p->p[first - 1].t_ms > from_ms)
        first--, few--;
    if (!few)
        first = after(x, from_ms);
    if (first >= end)
        return 0;
    return points_append(out, p->p + first, end - first) ? 0 : -ENOMEM;
}

static bool latest(void *self, uint32_t id, int64_t t_ms, struct point *ret)
{
    const struct memory_series *x = series_of(self, id);
    size_t at = after(x, t_ms);
    if (!at)
        return false;
    *ret = at == x->points.n ? x->newest : x->points.p[at - 1];
    return true;
}

static bool next(void *self, uint32_t id, int64_t t_ms, struct point *ret)
{
    const struct memory_series *x = series_of(self, id);
    size_t at = after(x, t_ms);
    if (at == x->points.n)
        return false;
    *ret = x->points.p[at];
    return true;
}

static void watch(void *self, source_watch_fn *fn, void *ctx)
{
    struct memory_source *m = self;
    m->watcher = fn;
    m->watcher_ctx = ctx;
}

static bool silent(void *self, uint32_t id)
{
    return ((struct memory_source *)self)->series[id].silent;
}

void memory_source_strict(struct memory_source *m)
{
    m->strict = true;
}

bool memory_source_refused(const struct memory_source *m, struct labels *ret)
{
    if (m->was_refused)
        *ret = *m->series[m->refused].labels;
    return m->was_refused;
}

// Whether Prometheus's storage would not take it.
static bool refuse(
    struct memory_source *m, uint32_t id, int64_t t_ms, double v, const struct histogram *h)
{
    const struct point *newest = &m->series[id].newest;
    if (!m->strict || m->series[id].points.n == 0 || newest->t_ms < t_ms)
        return false;
    bool same =
        newest->t_ms == t_ms && !h && !newest->h && double_bits(newest->v) == double_bits(v);
    if (!same && !is_stale(v) && !m->was_refused) {
        m->was_refused = true;
        m->refused = id;
    }
    return true;
}

static int record(
    void *self, const struct labels *s, int64_t t_ms, double v, const struct histogram *h)
{
    struct memory_source *m = self;
    uint32_t id;
    int rc = memory_source_series(m, s, &id);
    if (rc < 0)
        return rc;
    bool unknown = !h && double_bits(v) == NAN_ABSENT_BITS;
    memory_source_silence(m, id, unknown);
    if (unknown || refuse(m, id, t_ms, v, h))
        return 0;
    rc = store(m, id, t_ms, v, h, true);
    return rc < 0 ? rc : 0;
}

struct source memory_source_interface(struct memory_source *m)
{
    return (struct source){.self = m,
        .generation = generation,
        .select = choose,
        .labels = labels_of,
        .range = range,
        .latest = latest,
        .next = next,
        .watch = watch,
        .silent = silent,
        .record = record};
}
