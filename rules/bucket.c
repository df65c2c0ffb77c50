// SPDX-License-Identifier: Apache-2.0
// histogram_quantile over classic buckets (series with an `le` label) and native histograms.
#include "base/num.h"
#include "rules/eval_node.h"
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

static int by_upper(const void *a, const void *b)
{
    const struct bucket_place *x = a, *y = b;
    if (x->upper != y->upper)
        return x->upper > y->upper ? 1 : -1;
    return x->place > y->place ? 1 : -1;
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

// Of buckets by rising bound.
static double classic_quantile(double q, struct bucket *b, uint32_t n, bool compat)
{
    if (isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
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

int buckets_find(struct eval *e, const struct vector *in, bool all, struct bucket_sets *ret)
{
    struct join j;
    struct bucket_sets s = {0};
    int rc = join_init(e, &j, in->n);
    double *upper = eval_alloc(e, in->n, sizeof(*upper));
    uint32_t *of = eval_alloc(e, in->n, sizeof(*of));
    s.member = eval_alloc(e, in->n, sizeof(*s.member));
    s.first = eval_alloc(e, in->n + 2, sizeof(*s.first));
    s.bucket = eval_alloc(e, in->n, sizeof(*s.bucket));
    if (rc < 0 || !upper || !of || !s.member || !s.first || !s.bucket)
        return rc < 0 ? rc : eval_full(e, in->n, sizeof(*s.bucket));
    // Two places on, so that after filling in each entry is where its set begins.
    for (size_t i = 0; i < in->n; i++) {
        const struct element *el = &in->e[i];
        bool fresh;
        of[i] = GROUP_NONE;
        if ((el->state == ELEMENT_FILTERED && !all) || el->hist ||
            !upper_of(&el->labels, &upper[i]))
            continue;
        of[i] = join_put(&j, &BUCKET_KEY, &el->labels, s.n, &fresh)->value;
        if (fresh)
            s.member[s.n++] = &el->labels;
        s.first[of[i] + 2]++;
    }
    for (uint32_t i = 2; i < s.n + 2; i++)
        s.first[i] += s.first[i - 1];
    for (uint32_t i = 0; i < in->n; i++)
        if (of[i] != GROUP_NONE)
            s.bucket[s.first[of[i] + 1]++] = (struct bucket_place){upper[i], i};
    for (uint32_t i = 0; i < s.n; i++)
        qsort(s.bucket + s.first[i], s.first[i + 1] - s.first[i], sizeof(*s.bucket), by_upper);
    *ret = s;
    return 0;
}

int bucket_labels(struct eval *e, const struct labels *member, struct labels *ret)
{
    return labels_drop(&e->arena, member, LE, 1, true, ret) ? 0 : -ENOMEM;
}

struct bucket *buckets_room(struct eval *e, const struct bucket_sets *s)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->first[i + 1] - s->first[i] > most)
            most = s->first[i + 1] - s->first[i];
    return eval_alloc(e, most, sizeof(struct bucket));
}

int bucket_result(const struct eval *e, const struct vector *in, const struct bucket_sets *s,
    uint32_t i, const struct value *q, struct bucket *room, struct element *ret)
{
    struct element el = {.silent = true};
    bool any = false;
    uint32_t n = 0;
    for (uint32_t k = s->first[i]; k < s->first[i + 1]; k++) {
        const struct element *b = &in->e[s->bucket[k].place];
        if (b->state == ELEMENT_FILTERED)
            continue;
        any = true;
        if (b->sample_ms > el.sample_ms)
            el.sample_ms = b->sample_ms;
        if (b->state == ELEMENT_NO_DATA)
            continue;
        room[n++] = (struct bucket){s->bucket[k].upper, b->value};
        el.silent &= b->silent;
    }
    if (!any)
        return 0;
    if (n)
        el.value = classic_quantile(q->scalar, room, n, e->o.compat_2_42);
    if (!n || q->no_data)
        el.state = ELEMENT_NO_DATA;
    *ret = el;
    return 1;
}

static int classic(
    struct eval *e, const struct vector *in, const struct value *q, struct value *ret)
{
    struct bucket_sets s;
    int rc = buckets_find(e, in, false, &s);
    struct bucket *room = rc < 0 ? NULL : buckets_room(e, &s);
    if (!room)
        return rc < 0 ? rc : -ENOMEM;
    for (uint32_t i = 0; i < s.n; i++) {
        struct element el;
        if (!bucket_result(e, in, &s, i, q, room, &el))
            continue;
        rc = bucket_labels(e, s.member[i], &el.labels);
        if (rc < 0)
            return rc;
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
        if (q.no_data)
            el.state = ELEMENT_NO_DATA;
        if (!drop_name(e, &in.vector.e[i].labels, &el.labels))
            return -ENOMEM;
        vector_push(&ret->vector, &el);
    }
    if (natives < in.vector.n)
        rc = classic(e, &in.vector, &q, ret);
    return rc < 0 ? rc : vector_unique(e, &ret->vector);
}
