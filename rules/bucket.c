// SPDX-License-Identifier: Apache-2.0
// histogram_quantile and histogram_fraction, over classic buckets (series with an `le` label) and
// native histograms.
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
static void make_rising(
    struct bucket *b, uint32_t n, bool ignore_small, struct monotonicity *forced)
{
    double before = b[0].count;
    *forced = (struct monotonicity){.lowest = INFINITY, .highest = -INFINITY};
    for (uint32_t i = 1; i < n; i++) {
        if (b[i].count == before)
            continue;
        if (ignore_small && nearly(before, b[i].count)) {
            b[i].count = before;
            continue;
        }
        if (b[i].count < before) {
            forced->samples = 1;
            forced->lowest = fmin(forced->lowest, b[i].upper);
            forced->highest = fmax(forced->highest, b[i].upper);
            forced->most = fmax(forced->most, before - b[i].count);
            b[i].count = before;
            continue;
        }
        before = b[i].count;
    }
}

// Without doubles; false when there is no +Inf bucket, so nobody knows how many there are.
static bool whole(struct bucket *b, uint32_t *n)
{
    if (!*n || b[*n - 1].upper != INFINITY)
        return false;
    *n = coalesce(b, *n);
    return true;
}

// Of buckets by rising bound, as classic_fraction().
static double classic_quantile(
    double q, struct bucket *b, uint32_t n, bool compat, struct monotonicity *forced)
{
    *forced = (struct monotonicity){0};
    if (isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    if (!whole(b, &n))
        return NAN;
    make_rising(b, n, !compat, forced);
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

// How many observations lie below v, when that is known once the bucket (lower, b->upper] is
// reached; `before` is the count at lower.
static bool rank_at(const struct bucket *b, double lower, double v, double before, double *ret)
{
    if (lower >= v)
        *ret = before;
    else if (!(b->upper > v))
        return false;
    else if (lower == -INFINITY)
        *ret = b->count;
    else
        *ret = before + (b->count - before) * (v - lower) / (b->upper - lower);
    return true;
}

static double classic_fraction(double lower, double upper, struct bucket *b, uint32_t n)
{
    double before = 0, below_lower = 0, below_upper = 0;
    bool lower_known = false, upper_known = false;
    if (!whole(b, &n))
        return NAN;
    double count = b[n - 1].count, start = b[0].upper <= 0 ? -INFINITY : 0;
    if (count == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    for (uint32_t i = 0; i < n && !(lower_known && upper_known); i++) {
        if (!lower_known)
            lower_known = rank_at(&b[i], start, lower, before, &below_lower);
        if (!upper_known)
            upper_known = rank_at(&b[i], start, upper, before, &below_upper);
        before = b[i].count;
        start = b[i].upper;
    }
    if (!lower_known || below_lower > count)
        below_lower = count;
    if (!upper_known || below_upper > count)
        below_upper = count;
    return (below_upper - below_lower) / count;
}

static const char *const LE[] = {"le"};
static const struct join_key BUCKET_KEY = {.kind = KEY_BUT, .names = LE, .n = 1};

static bool upper_of(const struct labels *s, double *ret)
{
    const char *le = labels_get(s, "le");
    return *le && num_parse(le, strlen(le), ret);
}

// What is asked of each histogram, classic or native.
struct question {
    const struct expr *arg; // the histograms
    int64_t t_ms;
    bool fraction, unknown; // unknown: a parameter came from a silent source
    double q, lower, upper;
};

static void note_bucket(struct eval *e, const struct question *ask, const struct labels *s)
{
    struct buf le;
    const char *text = labels_get(s, "le"), *name = labels_get(s, LABEL_NAME);
    buf_init(&le, 4096);
    label_quote(text, strlen(text), &le);
    if (*name) {
        buf_adds(&le, " for metric name ");
        label_quote(name, strlen(name), &le);
    }
    eval_note(e, ask->arg, ANNOTATION_WARNING,
        "bucket label \"le\" is missing or has a malformed value of %s", buf_cstr(&le));
    e->annotations->failed |= le.failed != 0;
    buf_done(&le);
}

// " for metric name "x"", as far as there is a name.
static void note_named(struct eval *e, const struct question *ask, enum annotation_kind kind,
    const char *what, const struct labels *s, const struct monotonicity *forced)
{
    struct buf name;
    if (!e->annotations)
        return;
    const char *metric = labels_get(s, LABEL_NAME);
    buf_init(&name, 4096);
    if (*metric) {
        buf_adds(&name, " for metric name ");
        label_quote(metric, strlen(metric), &name);
    }
    eval_note_forced(e, ask->arg, kind, forced, "%s%s", what, buf_cstr(&name));
    e->annotations->failed |= name.failed != 0;
    buf_done(&name);
}

static double ask_classic(struct eval *e, const struct question *ask,
    const struct labels *member, struct bucket *b, uint32_t n)
{
    struct monotonicity forced;
    if (ask->fraction)
        return classic_fraction(ask->lower, ask->upper, b, n);
    double v = classic_quantile(ask->q, b, n, e->o.compat_2_42, &forced);
    if (!forced.samples)
        return v;
    forced.first_ms = forced.last_ms = ask->t_ms;
    note_named(e, ask, ANNOTATION_INFO,
        "input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
        member, &forced);
    return v;
}

static double ask_native(struct eval *e, const struct question *ask, const struct element *el)
{
    unsigned notes = 0;
    double v = ask->fraction ? histogram_fraction(ask->lower, ask->upper, el->hist, &notes)
                             : histogram_quantile(ask->q, el->hist, &notes);
    if (ask->fraction && notes)
        note_named(e, ask, ANNOTATION_INFO,
            "input to histogram_fraction has NaN observations, which are excluded from all "
            "fractions",
            &el->labels, NULL);
    else if (notes & HISTOGRAM_NAN_RESULT)
        note_named(e, ask, ANNOTATION_INFO,
            "input to histogram_quantile has NaN observations, result is NaN", &el->labels,
            NULL);
    else if (notes)
        note_named(e, ask, ANNOTATION_INFO,
            "input to histogram_quantile has NaN observations, result is skewed higher",
            &el->labels, NULL);
    return v;
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
    struct labels bare;
    if (!labels_drop(&e->arena, member, LE, 1, true, &bare))
        return -ENOMEM;
    return drop_name(e, &bare, ret) ? 0 : -ENOMEM;
}

struct bucket *buckets_room(struct eval *e, const struct bucket_sets *s)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->first[i + 1] - s->first[i] > most)
            most = s->first[i + 1] - s->first[i];
    return eval_alloc(e, most, sizeof(struct bucket));
}

static int result_of(struct eval *e, const struct question *ask, const struct vector *in,
    const struct bucket_sets *s, uint32_t i, struct bucket *room, struct element *ret)
{
    struct element el = {.silent = true};
    const struct labels *member = &in->e[s->bucket[s->first[i]].place].labels;
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
        el.value = ask_classic(e, ask, member, room, n);
    if (!n || ask->unknown)
        el.state = ELEMENT_NO_DATA;
    *ret = el;
    return 1;
}

int bucket_result(struct eval *e, const struct expr *x, const struct vector *in,
    const struct bucket_sets *s, uint32_t i, const struct value *q, struct bucket *room,
    struct element *ret)
{
    struct question ask = {.arg = x->args[1], .q = q->scalar, .unknown = q->no_data};
    return result_of(e, &ask, in, s, i, room, ret);
}

// Native histograms beside classic buckets of the same name and labels: neither has a result.
static int beside_natives(struct eval *e, const struct question *ask, const struct vector *in,
    const struct bucket_sets *s, bool *native_of)
{
    static const struct join_key ALL = {.kind = KEY_ALL};
    struct join j;
    int rc = join_init(e, &j, in->n);
    for (size_t i = 0; rc == 0 && i < in->n; i++) {
        bool fresh;
        if (in->e[i].hist && in->e[i].state != ELEMENT_FILTERED)
            join_put(&j, &ALL, &in->e[i].labels, (uint32_t)i, &fresh);
    }
    for (uint32_t i = 0; rc == 0 && i < s->n; i++) {
        struct labels bare;
        if (!labels_drop(&e->arena, s->member[i], LE, 1, false, &bare))
            return -ENOMEM;
        const struct join_entry *en = join_find(&j, &ALL, &bare);
        if (!en)
            continue;
        native_of[en->value] = true;
        native_of[in->n + i] = true;
        note_named(e, ask, ANNOTATION_WARNING,
            "vector contains a mix of classic and native histograms", &bare, NULL);
    }
    return rc;
}

// spoilt: which elements, and behind them which sets, have no result.
static int classic(struct eval *e, const struct question *ask, const struct vector *in,
    const struct bucket_sets *s, const bool *spoilt, struct value *ret)
{
    struct bucket *room = buckets_room(e, s);
    if (!room)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->n; i++) {
        struct element el;
        if (spoilt[in->n + i] || !result_of(e, ask, in, s, i, room, &el))
            continue;
        int rc = bucket_labels(e, s->member[i], &el.labels);
        if (rc < 0)
            return rc;
        vector_push(&ret->vector, &el);
    }
    return 0;
}

static int native(struct eval *e, const struct question *ask, const struct vector *in,
    const bool *spoilt, struct value *ret)
{
    for (size_t i = 0; i < in->n; i++) {
        struct element el = in->e[i];
        if (el.state == ELEMENT_FILTERED || !el.hist || spoilt[i])
            continue;
        el.value = ask_native(e, ask, &el);
        el.hist = NULL;
        if (ask->unknown)
            el.state = ELEMENT_NO_DATA;
        if (!drop_name(e, &in->e[i].labels, &el.labels))
            return -ENOMEM;
        vector_push(&ret->vector, &el);
    }
    return 0;
}

static void note_buckets(struct eval *e, const struct question *ask, const struct vector *in)
{
    double upper;
    if (!e->annotations)
        return;
    for (size_t i = 0; i < in->n; i++)
        if (in->e[i].state == ELEMENT_VALUE && !in->e[i].hist &&
            !upper_of(&in->e[i].labels, &upper))
            note_bucket(e, ask, &in->e[i].labels);
}

static int ask_all(
    struct eval *e, const struct question *ask, const struct vector *in, struct value *ret)
{
    struct bucket_sets s;
    size_t natives = 0;
    int rc = vector_room(e, in->n, &ret->vector);
    if (rc < 0 || !in->n)
        return rc;
    for (size_t i = 0; i < in->n; i++)
        natives += in->e[i].hist != NULL;
    note_buckets(e, ask, in);
    rc = buckets_find(e, in, false, &s);
    if (rc < 0)
        return rc;
    bool *spoilt = eval_alloc(e, in->n + s.n, sizeof(*spoilt));
    if (!spoilt)
        return eval_full(e, in->n + s.n, sizeof(*spoilt));
    if (natives && s.n)
        rc = beside_natives(e, ask, in, &s, spoilt);
    if (rc == 0 && natives)
        rc = native(e, ask, in, spoilt, ret);
    if (rc == 0)
        rc = classic(e, ask, in, &s, spoilt, ret);
    return rc < 0 ? rc : vector_unique(e, &ret->vector);
}

int apply_histogram_quantile(struct eval *e, const struct expr *x, const struct value *operands,
    int64_t t_ms, struct value *ret)
{
    struct question ask = {.arg = x->args[1],
        .t_ms = t_ms,
        .q = operands[0].scalar,
        .unknown = operands[0].no_data};
    note_quantile(e, x->args[0], ask.q);
    return ask_all(e, &ask, &operands[1].vector, ret);
}

int apply_histogram_fraction(
    struct eval *e, const struct expr *x, const struct value *operands, struct value *ret)
{
    struct question ask = {.arg = x->args[2],
        .fraction = true,
        .lower = operands[0].scalar,
        .upper = operands[1].scalar,
        .unknown = operands[0].no_data || operands[1].no_data};
    return ask_all(e, &ask, &operands[2].vector, ret);
}
