// SPDX-License-Identifier: Apache-2.0
// Native histograms against a slow oracle: dense arrays of buckets, no merging of lists, every
// formula written down from its definition.
#include "tests/unit/rules/scene.h"
#include <float.h>

#define LO      (-80)
#define HI      80
#define N_CELLS (HI - LO + 1)
#define ZERO    1e-3

// A bucket i of a schema ends at 2^(i / 2^schema).
struct plain {
    int schema;
    double cell[N_CELLS], zero, count, sum;
};

static double bound(int schema, int i)
{
    return pow(2, (double)i / pow(2, schema));
}

static int coarse(int i, int from, int to)
{
    // The bucket of the coarser schema that holds the upper end of this one.
    return (int)ceil((double)i / pow(2, from - to));
}

static struct plain plain_coarser(const struct plain *p, int schema)
{
    struct plain r = {.schema = schema, .zero = p->zero, .count = p->count, .sum = p->sum};
    for (int i = LO; i <= HI; i++)
        r.cell[coarse(i, p->schema, schema) - LO] += p->cell[i - LO];
    return r;
}

static struct plain plain_add(const struct plain *x, const struct plain *y, double sign)
{
    int schema = x->schema < y->schema ? x->schema : y->schema;
    struct plain a = plain_coarser(x, schema), b = plain_coarser(y, schema);
    for (int i = 0; i < N_CELLS; i++)
        a.cell[i] += sign * b.cell[i];
    a.zero += sign * b.zero;
    a.count += sign * b.count;
    a.sum += sign * b.sum;
    return a;
}

static struct plain plain_scale(struct plain p, double f)
{
    for (int i = 0; i < N_CELLS; i++)
        p.cell[i] *= f;
    p.zero *= f;
    p.count *= f;
    p.sum *= f;
    return p;
}

static bool plain_reset(const struct plain *before, const struct plain *after)
{
    if (after->schema > before->schema)
        return true;
    struct plain b = plain_coarser(before, after->schema);
    bool fell = after->count < b.count || after->zero < b.zero;
    for (int i = 0; i < N_CELLS; i++)
        fell |= after->cell[i] < b.cell[i];
    return fell;
}

static double plain_quantile(const struct plain *p, double q)
{
    double rank = q * p->count, below = 0;
    double total = p->zero;
    for (int i = 0; i < N_CELLS; i++)
        total += p->cell[i];
    if (total <= 0)
        return NAN;
    if (p->zero > 0 && rank <= p->zero)
        return ZERO * rank / p->zero;
    below = p->zero;
    for (int i = LO; i <= HI; i++) {
        double c = p->cell[i - LO];
        if (c > 0 && below + c >= rank) {
            double lower = bound(p->schema, i - 1), upper = bound(p->schema, i);
            return lower * pow(upper / lower, (rank - below) / c);
        }
        below += c;
    }
    return NAN;
}

// --- random histories ------------------------------------------------------------------------

static uint64_t seed = 0x9e3779b97f4a7c15ULL;
static double unit(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static void observe(struct plain *p, double v)
{
    p->count++;
    p->sum += v;
    if (v <= ZERO) {
        p->zero++;
        return;
    }
    int i = (int)ceil(log2(v) * pow(2, p->schema));
    p->cell[(i < LO ? LO : i > HI ? HI : i) - LO]++;
}

static void store(struct scene *s, const char *name, int64_t t_ms, const struct plain *p)
{
    int32_t index[N_CELLS];
    double bucket[N_CELLS];
    struct histogram h = {.schema = p->schema,
        .zero_threshold = ZERO,
        .zero_count = p->zero,
        .count = p->count,
        .sum = p->sum,
        .positive.index = index,
        .positive.count = bucket};
    for (int i = LO; i <= HI; i++)
        if (p->cell[i - LO] != 0) {
            index[h.positive.n] = i;
            bucket[h.positive.n++] = p->cell[i - LO];
        }
    scene_put_histogram(s, name, t_ms, &h);
}

#define STEPS   12
#define STEP_MS 5000

struct history {
    struct plain at[STEPS];
};

// Counters with a reset now and then, and with `schemas` a change of resolution as well.
static void make_history(struct scene *s, const char *name, bool schemas, struct history *ret)
{
    struct plain now = {.schema = 2};
    for (int i = 0; i < STEPS; i++) {
        if (unit() < 0.15)
            now = (struct plain){.schema = schemas ? (int)(3 * unit()) : 2};
        else if (schemas && unit() < 0.15 && now.schema > 0)
            now = plain_coarser(&now, now.schema - 1);
        for (int k = (int)(20 * unit()); k > 0; k--)
            observe(&now, unit() < 0.1 ? 0 : exp(4 * unit() - 2));
        ret->at[i] = now;
        store(s, name, i * STEP_MS, &now);
    }
}

static bool near(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b ||
           fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b)) + 1e-12;
}

// The one histogram an expression gives, or NULL.
static const struct histogram *eval_one(struct scene *s, const char *text, double *ret_value)
{
    struct arena a;
    struct expr_root x;
    struct value v = {0};
    struct err err = {0};
    const struct histogram *h = NULL;
    scene_parse(&a, text, &x);
    if (!s->e)
        s->e = eval_new(&s->src, &s->o);
    eval_reset(s->e);
    CU_ASSERT_EQUAL(eval_instant(s->e, &x, NULL, s->t_ms, &v, &err), 0);
    *ret_value = NAN;
    if (v.vector.n == 1) {
        h = v.vector.e[0].hist;
        *ret_value = v.vector.e[0].value;
    }
    expr_done(&x);
    arena_done(&a);
    return h;
}

static bool equal(const struct histogram *h, const struct plain *p)
{
    double cell[N_CELLS] = {0};
    if (!h || h->schema != p->schema)
        return false;
    for (uint32_t i = 0; i < h->positive.n; i++) {
        if (h->positive.index[i] < LO || h->positive.index[i] > HI ||
            (i && h->positive.index[i] <= h->positive.index[i - 1]))
            return false;
        cell[h->positive.index[i] - LO] = h->positive.count[i];
    }
    bool same = near(h->count, p->count) && near(h->sum, p->sum) &&
                near(h->zero_count, p->zero) && h->zero_threshold == ZERO;
    for (int i = 0; i < N_CELLS; i++)
        same &= near(cell[i], p->cell[i]);
    return same;
}

// rate() from its definition, over samples first..last, window (from, to].
static struct plain plain_rate(const struct history *h, int first, int last, double from,
    double to, bool counter, bool per_second)
{
    struct plain r = {.schema = h->at[last].schema};
    double lost_first = 0;
    int n = last - first;
    r = h->at[last];
    if (!counter || !plain_reset(&h->at[first], &h->at[first + 1]))
        r = plain_add(&r, &h->at[first], -1);
    else
        lost_first = 1;
    for (int i = first + 1 + (lost_first > 0); counter && i <= last; i++)
        if (plain_reset(&h->at[i - 1], &h->at[i]))
            r = plain_add(&r, &h->at[i - 1], 1);
    double a = first * STEP_MS / 1000.0, b = last * STEP_MS / 1000.0, spacing = (b - a) / n;
    double before = a - from, after = to - b;
    if (before >= 1.1 * spacing)
        before = spacing / 2;
    if (after >= 1.1 * spacing)
        after = spacing / 2;
    if (counter && r.count > 0) {
        double to_zero = (b - a) * h->at[first].count / r.count;
        before = to_zero < before ? to_zero : before;
    }
    double f = (b - a + before + after) / (b - a);
    return plain_scale(r, per_second ? f / (to - from) : f);
}

static void ranges(bool schemas)
{
    static const double QS[] = {0.01, 0.25, 0.5, 0.9, 0.99};
    size_t compared = 0;
    for (int round = 0; round < 150; round++) {
        struct scene s;
        struct history h;
        double v;
        scene_open(&s);
        make_history(&s, "h", schemas, &h);
        s.t_ms = (int64_t)(5000 + unit() * 50000);
        int last = (int)(s.t_ms / STEP_MS);
        last = last >= STEPS ? STEPS - 1 : last;
        // (t - 30 s, t]
        int first = 0;
        while (first * STEP_MS <= s.t_ms - 30000)
            first++;
        double to = (double)s.t_ms / 1000, from = to - 30;
        if (last - first < 1) {
            CU_ASSERT_PTR_NULL(eval_one(&s, "rate(h[30s])", &v));
            scene_close(&s);
            continue;
        }
        struct plain want = plain_rate(&h, first, last, from, to, true, true);
        CU_ASSERT(equal(eval_one(&s, "rate(h[30s])", &v), &want));
        for (size_t k = 0; k < sizeof(QS) / sizeof(QS[0]); k++) {
            char text[80];
            snprintf(text, sizeof(text), "histogram_quantile(%g, rate(h[30s]))", QS[k]);
            eval_one(&s, text, &v);
            // At a rank on a bucket's edge with nothing beyond it, either side is right.
            double low = plain_quantile(&want, QS[k] - 1e-9);
            double high = plain_quantile(&want, QS[k] + 1e-9);
            bool inside = (isnan(v) && isnan(low)) ||
                          (v >= low - 1e-6 * fabs(low) && v <= high + 1e-6 * fabs(high));
            if (!inside)
                printf("q %g: %.17g, not %.17g to %.17g\n", QS[k], v, low, high);
            CU_ASSERT(inside);
            compared++;
        }
        eval_one(&s, "histogram_count(rate(h[30s]))", &v);
        CU_ASSERT(near(v, want.count));
        eval_one(&s, "histogram_sum(rate(h[30s]))", &v);
        CU_ASSERT(near(v, want.sum));
        eval_one(&s, "histogram_avg(rate(h[30s]))", &v);
        CU_ASSERT(near(v, want.sum / want.count));
        want = plain_rate(&h, first, last, from, to, true, false);
        CU_ASSERT(equal(eval_one(&s, "increase(h[30s])", &v), &want));
        want = plain_rate(&h, first, last, from, to, false, false);
        CU_ASSERT(equal(eval_one(&s, "delta(h[30s])", &v), &want));
        struct plain sum = h.at[first];
        for (int i = first + 1; i <= last; i++)
            sum = plain_add(&sum, &h.at[i], 1);
        CU_ASSERT(equal(eval_one(&s, "sum_over_time(h[30s])", &v), &sum));
        want = plain_scale(sum, 1.0 / (last - first + 1));
        CU_ASSERT(equal(eval_one(&s, "avg_over_time(h[30s])", &v), &want));
        bool fell = plain_reset(&h.at[last - 1], &h.at[last]);
        want = fell ? h.at[last] : plain_add(&h.at[last], &h.at[last - 1], -1);
        want = plain_scale(want, 1000.0 / STEP_MS);
        CU_ASSERT(equal(eval_one(&s, "irate(h[30s])", &v), &want));
        double resets = 0;
        for (int i = first + 1; i <= last; i++)
            resets += plain_reset(&h.at[i - 1], &h.at[i]);
        eval_one(&s, "resets(h[30s])", &v);
        CU_ASSERT_EQUAL(v, resets);
        scene_close(&s);
    }
    CU_ASSERT(compared > 500);
}

static void one_schema(void)
{
    ranges(false);
}

static void changing_schemas(void)
{
    ranges(true);
}

static void aggregations(void)
{
    for (int round = 0; round < 100; round++) {
        struct scene s;
        struct plain sum = {0};
        double v;
        int n = 1 + (int)(5 * unit());
        scene_open(&s);
        s.t_ms = 1000;
        for (int i = 0; i < n; i++) {
            struct plain p = {.schema = (int)(4 * unit())};
            char name[32];
            for (int k = 0; k < 30; k++)
                observe(&p, exp(2 * unit() - 1));
            snprintf(name, sizeof(name), "h{i=\"%d\"}", i);
            store(&s, name, 0, &p);
            sum = i ? plain_add(&sum, &p, 1) : p;
        }
        CU_ASSERT(equal(eval_one(&s, "sum(h)", &v), &sum));
        struct plain mean = plain_scale(sum, 1.0 / n);
        CU_ASSERT(equal(eval_one(&s, "avg(h)", &v), &mean));
        eval_one(&s, "histogram_quantile(0.7, sum(h))", &v);
        CU_ASSERT(near(v, plain_quantile(&sum, 0.7)));
        struct plain twice = plain_scale(sum, 2);
        CU_ASSERT(equal(eval_one(&s, "sum(h) + sum(h)", &v), &twice));
        CU_ASSERT(equal(eval_one(&s, "2 * sum(h)", &v), &twice));
        CU_ASSERT(equal(eval_one(&s, "sum(h) / 0.5", &v), &twice));
        struct plain minus = plain_scale(sum, -1);
        CU_ASSERT(equal(eval_one(&s, "-sum(h)", &v), &minus));
        scene_close(&s);
    }
}

static void mixed_kinds(void)
{
    struct scene s;
    struct plain p = {.schema = 2};
    scene_open(&s);
    observe(&p, 1.5);
    observe(&p, 3);
    store(&s, "m{i=\"h\"}", 9000, &p);
    scene_put(&s, "m{i=\"f\"}", 9000, 7);
    // Together in one group: no result. Functions of floats look past the histogram.
    check(&s, "sum(m)", "");
    check(&s, "avg(m)", "");
    check(&s, "min(m)", "{} 7");
    check(&s, "max(m)", "{} 7");
    check(&s, "stddev(m)", "{} 0");
    check(&s, "count(m)", "{} 2");
    check(&s, "quantile(0.5, m)", "{} 7");
    check(&s, "topk(5, m)", "m{i=\"f\"} 7");
    check(&s, "min(m{i=\"h\"})", "");
    check(&s, "sum(m{i=\"h\"})", "{} hist(2, 4.5)");
    check(&s, "abs(m)", "{i=\"f\"} 7");
    check(&s, "m > 1", "m{i=\"f\"} 7");
    check(&s, "m + 1", "{i=\"f\"} 8");
    check(&s, "m * 2", "{i=\"f\"} 14; {i=\"h\"} hist(4, 9)");
    check(&s, "1 / m", "{i=\"f\"} 0.1428571429");
    check(&s, "m == m", "m{i=\"f\"} 7; m{i=\"h\"} hist(2, 4.5)");
    check(&s, "m != m", "");
    check(&s, "m{i=\"h\"} + on() m{i=\"f\"}", "");
    check(&s, "histogram_count(m)", "{i=\"h\"} 2");
    check(&s, "histogram_quantile(0.5, m)", "{i=\"h\"} 2.828427125"); // counted from the top
    check(&s, "timestamp(m)", "{i=\"f\"} 9; {i=\"h\"} 9");
    // One series that changed its kind.
    scene_put(&s, "c", 6000, 1);
    scene_put(&s, "c", 7000, 3);
    store(&s, "c", 8000, &p);
    scene_put(&s, "c", 9000, 9);
    check(&s, "rate(c[1m])", "");
    check(&s, "sum_over_time(c[1m])", "");
    check(&s, "max_over_time(c[1m])", "{} 9");
    check(&s, "min_over_time(c[1m])", "{} 1");
    check(&s, "quantile_over_time(0.5, c[1m])", "{} 3");
    check(&s, "count_over_time(c[1m])", "{} 4");
    check(&s, "last_over_time(c[1m])", "c 9");
    check(&s, "changes(c[1m])", "{} 3");
    check(&s, "resets(c[1m])", "{} 2");
    check(&s, "max_over_time(m{i=\"h\"}[1m])", "");
    check(&s, "irate(c[1500ms])", "");
    scene_close(&s);
}

static void quantile_edges(void)
{
    struct arena a;
    static const int32_t INDEX[] = {1, 2};
    static const double COUNT[] = {1, 3};
    struct histogram h = {.schema = 0,
        .count = 4,
        .sum = 10,
        .positive.n = 2,
        .positive.index = INDEX,
        .positive.count = COUNT,
        .zero_threshold = 0.5};
    arena_init(&a, 0);
    CU_ASSERT_EQUAL(histogram_quantile(-0.1, &h, NULL), -INFINITY);
    CU_ASSERT_EQUAL(histogram_quantile(1.1, &h, NULL), INFINITY);
    CU_ASSERT(isnan(histogram_quantile(NAN, &h, NULL)));
    CU_ASSERT_EQUAL(histogram_quantile(0, &h, NULL), 1);
    CU_ASSERT_EQUAL(histogram_quantile(1, &h, NULL), 4);
    CU_ASSERT_EQUAL(histogram_quantile(0.25, &h, NULL), 2);
    CU_ASSERT_DOUBLE_EQUAL(histogram_quantile(0.625, &h, NULL), 2 * sqrt(2), 1e-15);
    // NaN observations count, but lie in no bucket.
    h.count = 8;
    h.sum = NAN;
    unsigned notes = 0;
    CU_ASSERT(isnan(histogram_quantile(0.9, &h, &notes)));
    CU_ASSERT_EQUAL(notes, HISTOGRAM_NAN_RESULT);
    CU_ASSERT_EQUAL(histogram_quantile(0.125, &h, &notes), 2);
    CU_ASSERT_EQUAL(notes, HISTOGRAM_NAN_RESULT | HISTOGRAM_NAN_SKEW);
    struct histogram zero = {.schema = 0, .count = 2, .zero_count = 2, .zero_threshold = 0.5};
    CU_ASSERT_EQUAL(histogram_quantile(0.5, &zero, NULL), 0);
    CU_ASSERT_EQUAL(histogram_quantile(1, &zero, NULL), 0.5);
    struct histogram none = {.schema = 0};
    CU_ASSERT(isnan(histogram_quantile(0.5, &none, NULL)));
    arena_done(&a);
}

static void bounds(void)
{
    CU_ASSERT_EQUAL(histogram_upper(0, 0), 1);
    CU_ASSERT_EQUAL(histogram_upper(0, 10), 1024);
    CU_ASSERT_EQUAL(histogram_upper(4, -16), 0.5);
    CU_ASSERT_EQUAL(histogram_upper(3, 4), sqrt(2));
    CU_ASSERT_EQUAL(histogram_upper(-1, 1), 4);
    CU_ASSERT_EQUAL(histogram_upper(-2, -1), 1.0 / 16);
    CU_ASSERT_EQUAL(histogram_upper(4, 16 * 1024), DBL_MAX);
    CU_ASSERT_EQUAL(histogram_upper(0, 1024), DBL_MAX);
    CU_ASSERT_EQUAL(histogram_upper(0, 1025), INFINITY);
    CU_ASSERT_EQUAL(histogram_upper(4, -17 * 1100), 0);
    CU_ASSERT_EQUAL(histogram_upper(8, INT32_MAX), INFINITY);
    CU_ASSERT_EQUAL(histogram_upper(8, INT32_MIN), 0);
}

static void zero_buckets_meet(void)
{
    struct arena a;
    static const int32_t IX[] = {-1, 0, 1, 2}, IY[] = {2, 3};
    static const double CX[] = {1, 2, 4, 8}, CY[] = {16, 32};
    struct histogram x = {.schema = 0,
        .zero_threshold = 0.25,
        .zero_count = 3,
        .count = 18,
        .sum = 20,
        .positive.n = 4,
        .positive.index = IX,
        .positive.count = CX};
    struct histogram y = {.schema = 0,
        .zero_threshold = 0.75,
        .zero_count = 5,
        .count = 53,
        .sum = 30,
        .positive.n = 2,
        .positive.index = IY,
        .positive.count = CY};
    arena_init(&a, 0);
    // 0.75 lies inside x's bucket (0.5, 1], which is populated: both end at 1.
    const struct histogram *sum = histogram_add(&a, &x, &y, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    CU_ASSERT_EQUAL(sum->zero_threshold, 1);
    CU_ASSERT_EQUAL(sum->zero_count, 3 + 1 + 2 + 5);
    CU_ASSERT_EQUAL(sum->positive.n, 3);
    CU_ASSERT_EQUAL(sum->positive.index[0], 1);
    CU_ASSERT_EQUAL(sum->positive.count[0], 4);
    CU_ASSERT_EQUAL(sum->positive.count[1], 24);
    CU_ASSERT_EQUAL(sum->positive.count[2], 32);
    CU_ASSERT_EQUAL(sum->count, 71);
    // Whichever comes first.
    const struct histogram *other = histogram_add(&a, &y, &x, NULL);
    CU_ASSERT_EQUAL(other->zero_threshold, 1);
    CU_ASSERT_EQUAL(other->zero_count, 11);
    CU_ASSERT_EQUAL(other->positive.n, 3);
    // A counter may widen its zero bucket at a bucket's end; anywhere else it began anew.
    struct histogram wider = x;
    wider.zero_threshold = 0.5;
    wider.zero_count = 4;
    wider.positive.n = 3;
    wider.positive.index = IX + 1;
    wider.positive.count = CX + 1;
    CU_ASSERT_FALSE(histogram_is_reset(&x, &wider));
    CU_ASSERT_TRUE(histogram_is_reset(&wider, &x));
    wider.zero_count = 3;
    CU_ASSERT_TRUE(histogram_is_reset(&x, &wider));
    wider.zero_count = 9;
    wider.zero_threshold = 0.75;
    CU_ASSERT_TRUE(histogram_is_reset(&x, &wider));
    // Broken thresholds end too.
    x.zero_threshold = NAN;
    y.zero_threshold = NAN;
    CU_ASSERT_PTR_NOT_NULL(histogram_add(&a, &x, &y, NULL));
    arena_done(&a);
}

static void full_arena(void)
{
    static const int32_t IX[] = {1}, IY[] = {5};
    static const double C[] = {1};
    struct histogram x = {
        .schema = 3, .count = 1, .positive.n = 1, .positive.index = IX, .positive.count = C};
    struct histogram y = {.schema = 2,
        .count = 1,
        .positive.n = 1,
        .positive.index = IY,
        .positive.count = C,
        .zero_threshold = 1e-9};
    size_t failed = 0;
    for (size_t max = 1; max < 2000; max += 16) {
        struct arena a;
        arena_init(&a, max);
        failed += !histogram_add(&a, &x, &y, NULL);
        arena_done(&a);
    }
    CU_ASSERT(failed > 3 && failed < 100);
}

static const struct test TESTS[] = {
    {"ranges equal the oracle's", one_schema},
    {"ranges over changing schemas equal the oracle's", changing_schemas},
    {"aggregations and arithmetic equal the oracle's", aggregations},
    {"floats and histograms together", mixed_kinds},
    {"quantiles at the edges", quantile_edges},
    {"bucket bounds", bounds},
    {"zero buckets of different width", zero_buckets_meet},
    {"a full arena is told", full_arena},
};

int main(void)
{
    return test_main("histogram", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
