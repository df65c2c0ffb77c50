// SPDX-License-Identifier: Apache-2.0
#include "tests/promqltest/loader.h"
#include "base/num.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// The hint a sample comes back with from Prometheus's storage, which keeps none as it was given:
// what follows in the same chunk is no reset, the first of a chunk unknown, and a new chunk begins
// with a reset, another layout or another kind of sample.
static enum histogram_hint stored_hint(
    const struct histogram *before, const struct histogram *h)
{
    if (h->hint == HINT_GAUGE)
        return HINT_GAUGE;
    if (!before || before->hint == HINT_GAUGE || h->hint == HINT_RESET)
        return HINT_UNKNOWN;
    struct histogram bare = *h;
    bare.hint = HINT_UNKNOWN;
    bool same_layout = before->schema == h->schema &&
                       before->zero_threshold == h->zero_threshold &&
                       histogram_bounds_equal(before, h);
    return same_layout && !histogram_is_reset(before, &bare) ? HINT_NOT_RESET : HINT_UNKNOWN;
}

static int add_values(
    const struct command *c, const struct script_series *s, struct memory_source *into)
{
    const struct histogram *before = NULL;
    uint32_t id;
    int rc = memory_source_series(into, &s->labels, &id);
    for (size_t i = 0; rc >= 0 && i < s->values.n; i++) {
        const struct series_value *v = &s->values.v[i];
        struct histogram stored;
        if (v->omitted)
            continue;
        if (v->h) {
            stored = *v->h;
            stored.hint = stored_hint(before, v->h);
        }
        rc = memory_source_add(into, id, (int64_t)i * c->step_ms, v->v, v->h ? &stored : NULL);
        before = v->h;
    }
    return rc < 0 ? rc : 0;
}

// Of two lines for one series the later one counts.
static bool replaced(const struct command *c, size_t i)
{
    for (size_t k = i + 1; k < c->n_series; k++)
        if (labels_equal(&c->series[i].labels, &c->series[k].labels))
            return true;
    return false;
}

// --- classic histograms as native ones -----------------------------------------------------------

enum part { PART_NONE, PART_BUCKET, PART_COUNT, PART_SUM };

static enum part part_of(const char *name, size_t *ret_base)
{
    static const char *const END[] = {"", "_bucket", "_count", "_sum"};
    size_t n = strlen(name);
    for (enum part p = PART_BUCKET; p <= PART_SUM; p++) {
        size_t m = strlen(END[p]);
        if (n > m && !strcmp(name + n - m, END[p])) {
            *ret_base = n - m;
            return p;
        }
    }
    return PART_NONE;
}

struct classic { // one series of a classic histogram
    const struct script_series *s;
    enum part part;
    double le;
    struct labels base; // the histogram's
};

static int by_base(const void *a, const void *b)
{
    const struct classic *x = a, *y = b;
    int order = labels_compare(&x->base, &y->base);
    if (order)
        return order;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return (x->le > y->le) - (x->le < y->le);
}

static bool find_classic(struct arena *a, const struct script_series *s, struct classic *ret)
{
    static const char *const LE[] = {"le"};
    const char *name = labels_get(&s->labels, LABEL_NAME), *le = labels_get(&s->labels, "le");
    struct labels bare;
    size_t base;
    *ret = (struct classic){.s = s, .part = part_of(name, &base)};
    if (ret->part == PART_NONE)
        return false;
    if (ret->part == PART_BUCKET && !num_parse(le, strlen(le), &ret->le))
        return false;
    const char *family = arena_strndup(a, name, base);
    return family && labels_drop(a, &s->labels, LE, 1, true, &bare) &&
           labels_with(a, &bare, LABEL_NAME, family, &ret->base);
}

static const struct series_value *value_at(const struct classic *c, size_t i)
{
    const struct series_values *v = &c->s->values;
    return i < v->n && !v->v[i].omitted && !v->v[i].h ? &v->v[i] : NULL;
}

// The native histogram at step i, made of the n series of one classic one; NULL: nothing there.
static const struct histogram *convert(
    struct arena *a, const struct classic *c, size_t n, size_t i)
{
    struct histogram *h = arena_alloc(a, sizeof(*h));
    double *custom = arena_alloc(a, (n + 1) * sizeof(*custom));
    double *count = arena_alloc(a, (n + 1) * sizeof(*count));
    int32_t *index = arena_alloc(a, (n + 1) * sizeof(*index));
    double below = 0, last_le = 0;
    bool any = false, counted = false, whole = false;
    uint32_t buckets = 0, used = 0;
    if (!h || !custom || !count || !index)
        return NULL;
    *h = (struct histogram){.schema = HISTOGRAM_CUSTOM};
    for (size_t k = 0; k < n; k++) {
        const struct series_value *v = value_at(&c[k], i);
        if (!v)
            continue;
        any = true;
        if (c[k].part == PART_SUM) {
            h->sum = v->v;
            continue;
        }
        if (c[k].part == PART_COUNT) {
            h->count = v->v;
            counted = true;
            continue;
        }
        // The same bound in another spelling: the first one counts.
        if (buckets && c[k].le == last_le)
            continue;
        last_le = c[k].le;
        if (v->v - below != 0) {
            index[used] = (int32_t)buckets;
            count[used++] = v->v - below;
        }
        below = v->v;
        whole = isinf(c[k].le);
        if (!whole)
            custom[h->n_custom++] = c[k].le;
        buckets++;
    }
    if (!counted)
        h->count = below;
    if (!whole && h->count != below) {
        index[used] = (int32_t)buckets;
        count[used++] = h->count - below;
    }
    h->custom = custom;
    h->positive = (struct histogram_side){used, index, count};
    return any ? h : NULL;
}

static int add_natives(const struct command *c, struct memory_source *into, struct err *err)
{
    struct arena a;
    size_t n = 0;
    int rc = 0;
    arena_init(&a, 64u << 20);
    struct classic *all = arena_alloc(&a, (c->n_series + 1) * sizeof(*all));
    for (size_t i = 0; all && i < c->n_series; i++)
        n += find_classic(&a, &c->series[i], &all[n]);
    if (n)
        qsort(all, n, sizeof(*all), by_base);
    for (size_t from = 0, to; rc == 0 && from < n; from = to) {
        uint32_t id;
        size_t steps = 0;
        for (to = from; to < n && labels_equal(&all[from].base, &all[to].base); to++)
            if (all[to].s->values.n > steps)
                steps = all[to].s->values.n;
        rc = memory_source_series(into, &all[from].base, &id);
        for (size_t i = 0; rc >= 0 && i < steps; i++) {
            const struct histogram *h = convert(&a, all + from, to - from, i);
            const char *why = h ? histogram_fault(h) : NULL;
            if (why) {
                err_at(err, all[from].s->line, 0, "no native histogram: %s", why);
                rc = -EINVAL;
            } else if (h) {
                rc = memory_source_add(into, id, (int64_t)i * c->step_ms, 0, h);
            }
        }
        rc = rc < 0 ? rc : 0;
    }
    arena_done(&a);
    return all ? rc : -ENOMEM;
}

int load_series(const struct command *c, struct memory_source *into, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->n_series; i++)
        if (!replaced(c, i))
            rc = add_values(c, &c->series[i], into);
    if (rc == 0 && c->with_nhcb)
        rc = add_natives(c, into, err);
    if (rc == -ENOMEM)
        err_at(err, c->line, 0, "out of memory");
    return rc;
}
