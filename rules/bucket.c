// SPDX-License-Identifier: Apache-2.0
// histogram_quantile over classic buckets (series with an `le` label) and native histograms.
#include "base/num.h"
#include "rules/eval_node.h"
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

struct bucket {
    double upper, count;
};
struct bucket_set {
    const struct labels *member;
    struct bucket *b;
    uint32_t first, n, room;
    int64_t sample_ms;
    bool silent, live; // has members without a value, and with one that is no last word
};

static int by_upper(const void *a, const void *b)
{
    double x = ((const struct bucket *)a)->upper, y = ((const struct bucket *)b)->upper;
    return (x > y) - (x < y);
}

static bool nearly(double a, double b)
{
    double diff = fabs(a - b), sum = fabs(a) + fabs(b);
    if (a == b)
        return true;
    if (a == 0 || b == 0 || sum < DBL_MIN)
        return diff < 1e-12 * DBL_MIN;
    return diff / fmin(sum, DBL_MAX) < 1e-12;
}

// `le` values that are one number in two spellings are one bucket.
static uint32_t coalesce(struct bucket *b, uint32_t n)
{
    uint32_t last = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (b[i].upper == b[last].upper)
            b[last].count += b[i].count;
        else
            b[++last] = b[i];
    }
    return last + 1;
}

// Buckets scraped at slightly different moments, or summed in floating point, may fall.
static void make_rising(struct bucket *b, uint32_t n, bool ignore_small)
{
    double before = b[0].count;
    for (uint32_t i = 1; i < n; i++) {
        if (b[i].count < before || (ignore_small && nearly(before, b[i].count)))
            b[i].count = before;
        before = b[i].count;
    }
}

static double classic_quantile(double q, struct bucket *b, uint32_t n, bool compat)
{
    if (isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    qsort(b, n, sizeof(*b), by_upper);
    if (!n || !isinf(b[n - 1].upper) || b[n - 1].upper < 0)
        return NAN;
    n = coalesce(b, n);
    make_rising(b, n, !compat);
    if (n < 2 || b[n - 1].count == 0)
        return NAN;
    double rank = q * b[n - 1].count;
    uint32_t at = 0;
    while (at < n - 1 && !(b[at].count >= rank))
        at++;
    if (at == n - 1)
        return b[n - 2].upper;
    if (at == 0 && b[0].upper <= 0)
        return b[0].upper;
    double start = 0, end = b[at].upper, count = b[at].count;
    if (at > 0) {
        start = b[at - 1].upper;
        count -= b[at - 1].count;
        rank -= b[at - 1].count;
    }
    return start + (end - start) * (rank / count);
}

static const char *const LE[] = {"le"};
static const struct join_key BUCKET_KEY = {.kind = KEY_WITHOUT, .names = LE, .n = 1};

static bool upper_of(const struct labels *s, double *ret)
{
    const char *le = labels_get(s, "le");
    return *le && num_parse(le, strlen(le), ret);
}

static int classic(struct eval *e, const struct vector *in, double q, struct value *ret)
{
    struct join j;
    int rc = join_init(e, &j, in->n);
    struct bucket_set *set = eval_alloc(e, in->n, sizeof(*set));
    struct bucket *all = eval_alloc(e, in->n, sizeof(*all));
    uint32_t *of = eval_alloc(e, in->n, sizeof(*of)), n = 0, at = 0;
    if (rc < 0 || !set || !all || !of)
        return rc < 0 ? rc : eval_full(e, in->n, sizeof(*set));
    for (size_t i = 0; i < in->n; i++) {
        const struct element *el = &in->e[i];
        double upper;
        bool fresh;
        of[i] = UINT32_MAX;
        if (el->state == ELEMENT_FILTERED || el->hist || !upper_of(&el->labels, &upper))
            continue;
        struct join_entry *en = join_put(&j, &BUCKET_KEY, &el->labels, n, &fresh);
        if (fresh)
            set[n++].member = &el->labels;
        struct bucket_set *s = &set[en->value];
        of[i] = en->value;
        if (el->sample_ms > s->sample_ms)
            s->sample_ms = el->sample_ms;
        if (el->state == ELEMENT_NO_DATA) {
            s->silent = true;
        } else {
            s->room++;
            s->live |= !el->silent;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        set[i].first = at;
        at += set[i].room;
    }
    for (size_t i = 0; i < in->n; i++) {
        const struct element *el = &in->e[i];
        if (of[i] == UINT32_MAX || el->state != ELEMENT_VALUE)
            continue;
        struct bucket_set *s = &set[of[i]];
        struct bucket *b = &all[s->first + s->n++];
        upper_of(&el->labels, &b->upper);
        b->count = el->value;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct element el = {.sample_ms = set[i].sample_ms, .silent = !set[i].live};
        if (!set[i].n)
            el.state = ELEMENT_NO_DATA;
        else
            el.value = classic_quantile(q, all + set[i].first, set[i].n, e->o.compat_2_42);
        if (!labels_drop(&e->arena, set[i].member, LE, 1, true, &el.labels))
            return -ENOMEM;
        vector_push(&ret->vector, &el);
    }
    return 0;
}

int apply_histogram_quantile(
    struct eval *e, const struct expr *x, const struct value *operands, struct value *ret)
{
    struct value q = operands[0], in = operands[1];
    (void)x;
    int rc = vector_room(e, in.vector.n, &ret->vector);
    if (rc < 0 || !in.vector.n)
        return rc;
    size_t natives = 0;
    for (size_t i = 0; i < in.vector.n; i++) {
        struct element el = in.vector.e[i];
        if (el.state == ELEMENT_FILTERED || !el.hist)
            continue;
        natives++;
        el.value = histogram_quantile(q.scalar, el.hist);
        el.hist = NULL;
        if (!drop_name(e, &in.vector.e[i].labels, &el.labels))
            return -ENOMEM;
        vector_push(&ret->vector, &el);
    }
    if (natives < in.vector.n)
        rc = classic(e, &in.vector, q.scalar, ret);
    for (size_t i = 0; q.no_data && i < ret->vector.n; i++)
        ret->vector.e[i].state = ELEMENT_NO_DATA;
    return rc < 0 ? rc : vector_unique(e, &ret->vector);
}
