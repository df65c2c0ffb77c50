// SPDX-License-Identifier: Apache-2.0
// Sums and what is read off them, beside the observations themselves: a sum of histograms is the
// histogram of all that was observed.
#include "rules/histogram_sum.h"
#include "rules/series_text.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t seed = 7;

static double unit(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(seed >> 11) / 9007199254740992.0;
}

#define MOST 400

struct observed {
    double v[MOST];
    size_t n;
};

static void observe(struct observed *o, size_t n)
{
    for (size_t i = 0; i < n && o->n < MOST; i++) {
        double v = exp(6 * unit() - 3);
        o->v[o->n++] = unit() < 0.4 ? -v : unit() < 0.1 ? 0 : v;
    }
}

static int32_t bucket_of(int32_t schema, double v)
{
    int32_t i = (int32_t)ceil(log2(v) * exp2(schema));
    while (v > histogram_upper(schema, i))
        i++;
    while (v <= histogram_upper(schema, i - 1))
        i--;
    return i;
}

static struct histogram_side side_of(
    struct arena *a, const struct observed *o, int32_t schema, double zero, double sign)
{
    int32_t *index = arena_alloc(a, (o->n + 1) * sizeof(*index));
    double *count = arena_alloc(a, (o->n + 1) * sizeof(*count));
    uint32_t n = 0;
    CU_ASSERT_FATAL(index && count);
    for (int32_t at = -2000; at < 2000; at++) {
        double in = 0;
        for (size_t i = 0; i < o->n; i++)
            in += sign * o->v[i] > zero && bucket_of(schema, sign * o->v[i]) == at;
        if (in == 0)
            continue;
        index[n] = at;
        count[n++] = in;
    }
    return (struct histogram_side){n, index, count};
}

static const struct histogram *histogram_of(
    struct arena *a, const struct observed *o, int32_t schema, double zero)
{
    struct histogram *h = arena_alloc(a, sizeof(*h));
    CU_ASSERT_FATAL(h != NULL);
    *h = (struct histogram){.schema = schema, .zero_threshold = zero, .count = (double)o->n};
    for (size_t i = 0; i < o->n; i++) {
        h->sum += o->v[i];
        h->zero_count += fabs(o->v[i]) <= zero;
    }
    h->positive = side_of(a, o, schema, zero, 1);
    h->negative = side_of(a, o, schema, zero, -1);
    return h;
}

static bool same(const struct histogram *a, const struct histogram *b)
{
    struct histogram x = *a;
    bool sums = fabs(a->sum - b->sum) <= 1e-9 * (1 + fabs(b->sum));
    x.sum = b->sum;
    if (sums && histogram_equal(&x, b))
        return true;
    struct buf out;
    buf_init(&out, 1u << 20);
    series_histogram_print(a, &out);
    buf_adds(&out, "\n  expected ");
    series_histogram_print(b, &out);
    printf("%s\n", buf_cstr(&out));
    buf_done(&out);
    return false;
}

// Zero buckets end at powers of two, which are ends of buckets in every schema.
static const double ZERO[] = {0, 0.0625, 0.125, 0.25};

static void sums_hold_all_observations(void)
{
    for (int turn = 0; turn < 60; turn++) {
        struct arena a;
        struct histogram_sum s;
        struct histogram_mean m;
        struct observed all = {.n = 0};
        int32_t coarsest = 8;
        double widest = 0, members = 1 + floor(5 * unit());
        arena_init(&a, 0);
        histogram_sum_init(&s, &a);
        histogram_mean_init(&m, &a);
        for (int i = 0; i < (int)members; i++) {
            struct observed some = {.n = 0};
            int32_t schema = (int32_t)floor(7 * unit()) - 2;
            double zero = ZERO[(int)(4 * unit())];
            observe(&some, (size_t)(40 * unit()));
            const struct histogram *h = histogram_of(&a, &some, schema, zero);
            CU_ASSERT_EQUAL(histogram_sum_add(&s, h), 0);
            CU_ASSERT_EQUAL(histogram_mean_add(&m, h), 0);
            coarsest = schema < coarsest ? schema : coarsest;
            widest = fmax(widest, zero);
            memcpy(all.v + all.n, some.v, some.n * sizeof(*some.v));
            all.n += some.n;
        }
        // A wider zero bucket may end inside a bucket of a coarse member and take it in.
        const struct histogram *sum = histogram_sum_get(&s);
        CU_ASSERT_FATAL(sum != NULL);
        CU_ASSERT(sum->zero_threshold >= widest);
        CU_ASSERT(same(sum, histogram_of(&a, &all, coarsest, sum->zero_threshold)));
        const struct histogram *mean = histogram_mean_get(&m);
        CU_ASSERT_FATAL(mean != NULL);
        CU_ASSERT(
            same(histogram_scale(&a, mean, members), sum) || members == 3 || members == 5);
        arena_done(&a);
    }
}

static void differences_take_away(void)
{
    for (int turn = 0; turn < 60; turn++) {
        struct arena a;
        struct observed before = {.n = 0}, after;
        int32_t fine = (int32_t)floor(5 * unit()) - 1,
                coarse = fine - (int32_t)floor(3 * unit());
        double zero = ZERO[(int)(4 * unit())];
        arena_init(&a, 0);
        observe(&before, 60);
        after = before;
        observe(&after, 40);
        const struct histogram *x = histogram_of(&a, &before, fine, zero);
        const struct histogram *y = histogram_of(&a, &after, coarse, zero);
        CU_ASSERT_FALSE(histogram_is_reset(x, y));
        CU_ASSERT_FALSE(histogram_is_reset(x, histogram_of(&a, &after, coarse, 0.25)));
        CU_ASSERT_FALSE(histogram_is_reset(x, x));
        const struct histogram *more = histogram_sub(&a, y, x, NULL);
        struct observed rest = {.n = 0};
        memcpy(rest.v, after.v + before.n, (after.n - before.n) * sizeof(*rest.v));
        rest.n = after.n - before.n;
        CU_ASSERT(same(more, histogram_of(&a, &rest, coarse, more->zero_threshold)));
        // One observation that is elsewhere is a reset, whatever the count says.
        struct observed lost = before;
        lost.v[(int)(unit() * 60)] = 1e6;
        CU_ASSERT_TRUE(histogram_is_reset(x, histogram_of(&a, &lost, coarse, zero)));
        CU_ASSERT_TRUE(histogram_is_reset(y, x));
        arena_done(&a);
    }
}

static double below(const struct observed *o, double v)
{
    double n = 0;
    for (size_t i = 0; i < o->n; i++)
        n += o->v[i] <= v;
    return n / (double)o->n;
}

static void statistics_follow_the_observations(void)
{
    for (int turn = 0; turn < 40; turn++) {
        struct arena a;
        struct observed o = {.n = 0};
        double sum = 0, squares = 0, last = -INFINITY;
        arena_init(&a, 0);
        observe(&o, 300);
        const struct histogram *h = histogram_of(&a, &o, 5, 0.0625);
        for (size_t i = 0; i < o.n; i++)
            sum += o.v[i];
        for (size_t i = 0; i < o.n; i++)
            squares += (o.v[i] - sum / (double)o.n) * (o.v[i] - sum / (double)o.n);
        CU_ASSERT(fabs(histogram_variance(h) * (double)o.n / squares - 1) < 0.03);
        for (double q = 0.01; q < 1; q += 0.07) {
            double v = histogram_quantile(q, h, NULL);
            CU_ASSERT(v >= last);
            last = v;
            // Within the bucket it lies in, which holds few of 300.
            CU_ASSERT(fabs(below(&o, v) - q) < 0.1);
            CU_ASSERT(fabs(histogram_fraction(-INFINITY, v, h, NULL) - q) < 1e-9);
        }
        for (int32_t i = -40; i < 60; i += 10) {
            double end = histogram_upper(5, i);
            CU_ASSERT(end <= 0.0625 || fabs(histogram_fraction(-INFINITY, end, h, NULL) -
                                            below(&o, end)) < 1e-9);
            const struct histogram *low = histogram_trim(&a, h, end, true);
            const struct histogram *high = histogram_trim(&a, h, end, false);
            CU_ASSERT(end <= 0.0625 || low->count == round(below(&o, end) * (double)o.n));
            CU_ASSERT(fabs(low->count + high->count - h->count) < 1e-9);
        }
        arena_done(&a);
    }
}

static const struct histogram *text(struct arena *a, const char *s)
{
    struct series_values v;
    struct parse_error e;
    CU_ASSERT_EQUAL_FATAL(series_values_parse(s, strlen(s), a, &v, &e), 0);
    return v.v[0].h;
}

static void custom_bounds_meet(void)
{
    struct arena a;
    unsigned notes = 0;
    arena_init(&a, 0);
    const struct histogram *x =
        text(&a, "{{schema:-53 count:10 sum:1 custom_values:[1 2 3 4] buckets:[1 2 3 4]}}");
    const struct histogram *y =
        text(&a, "{{schema:-53 count:7 sum:2 custom_values:[2 4 9] buckets:[1 2 3 1]}}");
    const struct histogram *sum = histogram_add(&a, x, y, &notes);
    CU_ASSERT_EQUAL(notes, HISTOGRAM_RECONCILED);
    CU_ASSERT(same(
        sum, text(&a, "{{schema:-53 count:17 sum:3 custom_values:[2 4] buckets:[4 9 4]}}")));
    const struct histogram *less = histogram_sub(&a, x, y, NULL);
    CU_ASSERT(same(
        less, text(&a, "{{schema:-53 count:3 sum:-1 custom_values:[2 4] buckets:[2 5 -4]}}")));
    // Bounds that came or went are no reset while the common ones do not fall.
    CU_ASSERT_TRUE(histogram_is_reset(x, y));
    const struct histogram *z =
        text(&a, "{{schema:-53 count:20 sum:2 custom_values:[2 4 9] buckets:[5 12 3]}}");
    CU_ASSERT_FALSE(histogram_is_reset(x, z));
    const struct histogram *none =
        text(&a, "{{schema:-53 count:20 sum:2 custom_values:[7] buckets:[5 15]}}");
    CU_ASSERT_FALSE(histogram_is_reset(x, none)); // nothing but +Inf in common
    CU_ASSERT_EQUAL(histogram_quantile(0.05, x, NULL), 0.5);
    CU_ASSERT_EQUAL(histogram_quantile(1, x, NULL), 4);
    // An exponential one is another thing.
    struct histogram_sum s;
    histogram_sum_init(&s, &a);
    CU_ASSERT_EQUAL(histogram_sum_add(&s, x), 0);
    CU_ASSERT_EQUAL(histogram_sum_add(&s, text(&a, "{{count:1 buckets:[1]}}")), -EINVAL);
    CU_ASSERT(same(histogram_sum_get(&s), x));
    arena_done(&a);
}

static void hints(void)
{
    static const struct {
        enum histogram_hint a, b, sum;
        unsigned notes;
    } CASES[] = {{HINT_UNKNOWN, HINT_UNKNOWN, HINT_UNKNOWN, 0},
        {HINT_RESET, HINT_RESET, HINT_RESET, 0}, {HINT_GAUGE, HINT_RESET, HINT_GAUGE, 0},
        {HINT_NOT_RESET, HINT_GAUGE, HINT_GAUGE, 0},
        {HINT_NOT_RESET, HINT_UNKNOWN, HINT_UNKNOWN, 0},
        {HINT_UNKNOWN, HINT_RESET, HINT_UNKNOWN, 0},
        {HINT_RESET, HINT_NOT_RESET, HINT_UNKNOWN, HISTOGRAM_COLLISION}};
    struct arena a;
    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        unsigned notes = 0;
        struct histogram x = {.count = 1, .hint = CASES[i].a};
        struct histogram y = {.count = 1, .hint = CASES[i].b};
        CU_ASSERT_EQUAL(histogram_add(&a, &x, &y, &notes)->hint, CASES[i].sum);
        CU_ASSERT_EQUAL(notes, CASES[i].notes);
    }
    struct histogram less = {.count = 1}, more = {.count = 2};
    less.hint = HINT_NOT_RESET;
    CU_ASSERT_FALSE(histogram_is_reset(&more, &less));
    more.hint = HINT_RESET;
    CU_ASSERT_TRUE(histogram_is_reset(&less, &more));
    CU_ASSERT_EQUAL(histogram_scale(&a, &more, -1)->hint, HINT_GAUGE);
    CU_ASSERT_EQUAL(histogram_scale(&a, &more, 2)->hint, HINT_RESET);
    CU_ASSERT_EQUAL(histogram_divide(&a, &more, 0)->count, INFINITY);
    arena_done(&a);
}

static void the_mean_stays_finite(void)
{
    struct arena a;
    struct histogram_mean m;
    struct histogram_sum s;
    arena_init(&a, 0);
    histogram_mean_init(&m, &a);
    histogram_sum_init(&s, &a);
    const struct histogram *h = text(
        &a, "{{count:1.5e308 sum:-1.5e308 z_bucket:1e308 buckets:[1.5e308] n_buckets:[1]}}");
    for (int i = 0; i < 7; i++) {
        CU_ASSERT_EQUAL(histogram_mean_add(&m, h), 0);
        CU_ASSERT_EQUAL(histogram_sum_add(&s, h), 0);
    }
    const struct histogram *mean = histogram_mean_get(&m), *sum = histogram_sum_get(&s);
    CU_ASSERT_EQUAL(sum->count, INFINITY);
    CU_ASSERT_EQUAL(sum->sum, -INFINITY);
    CU_ASSERT(fabs(mean->count / h->count - 1) < 1e-12);
    CU_ASSERT(fabs(mean->sum / h->sum - 1) < 1e-12);
    CU_ASSERT(fabs(mean->positive.count[0] / 1.5e308 - 1) < 1e-12);
    CU_ASSERT(fabs(mean->negative.count[0] - 1) < 1e-12);
    arena_done(&a);
}

static void rounding_errors_are_carried(void)
{
    struct arena a;
    struct histogram_sum s;
    arena_init(&a, 0);
    histogram_sum_init(&s, &a);
    static const char *const MEMBERS[] = {"{{count:1 sum:1 z_bucket:1 buckets:[1]}}",
        "{{count:1e100 sum:1e100 z_bucket:1e100 buckets:[1e100]}}",
        "{{count:1 sum:1 z_bucket:1 buckets:[1 1]}}",
        "{{count:-1e100 sum:-1e100 z_bucket:-1e100 buckets:[-1e100]}}"};
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(histogram_sum_add(&s, text(&a, MEMBERS[i])), 0);
    CU_ASSERT(
        same(histogram_sum_get(&s), text(&a, "{{count:2 sum:2 z_bucket:2 buckets:[2 1]}}")));
    arena_done(&a);
}

static void a_full_arena_is_an_error(void)
{
    struct arena texts;
    arena_init(&texts, 0);
    const struct histogram *x =
        text(&texts, "{{schema:3 count:4 z_bucket_w:0.1 buckets:[1 1 1 1] n_buckets:[1 1 1]}}");
    const struct histogram *y =
        text(&texts, "{{schema:1 count:4 z_bucket_w:0.4 buckets:[1 1 1 1] n_buckets:[1 1 1]}}");
    bool done = false;
    for (size_t max = 16; max < 20000 && !done; max += 16) {
        struct arena a;
        struct histogram_mean m;
        arena_init(&a, max);
        histogram_mean_init(&m, &a);
        int rc = histogram_mean_add(&m, x);
        if (rc == 0)
            rc = histogram_mean_add(&m, y);
        if (rc == 0)
            rc = histogram_mean_add(&m, x);
        done = rc == 0 && histogram_mean_get(&m) && histogram_trim(&a, x, 1, true) &&
               histogram_sub(&a, y, x, NULL) && histogram_copy(&a, y);
        CU_ASSERT(rc == 0 || rc == -ENOMEM);
        arena_done(&a);
    }
    CU_ASSERT_TRUE(done);
    arena_done(&texts);
}

static const struct test TESTS[] = {
    {"a sum is the histogram of all observations", sums_hold_all_observations},
    {"a difference is the histogram of what was added", differences_take_away},
    {"quantiles, fractions, cuts and the variance follow the observations",
        statistics_follow_the_observations},
    {"of different custom bounds the common ones are left", custom_bounds_meet},
    {"hints of counter resets are joined", hints},
    {"the mean stays finite where the sum does not", the_mean_stays_finite},
    {"rounding errors are carried along", rounding_errors_are_carried},
    {"a full arena is an error", a_full_arena_is_an_error},
};

int main(void)
{
    return test_main("histogram_sum", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
