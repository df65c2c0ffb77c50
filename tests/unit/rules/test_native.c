// SPDX-License-Identifier: Apache-2.0
/*
 * Native histograms in both evaluators beside slow_histogram.h, which promtool 2.42 cannot load in
 * tests: random schemas, resets told and untold, holes, stale markers, both sides, samples that
 * come late. An expression is a vector of histograms, an aggregate of it, and something read off.
 * CONFORMANCE_SEED, CONFORMANCE_NATIVE (evaluations) change where it starts and how long it goes.
 */
#include "rules/eval.h"
#include "rules/memory_source.h"
#include "rules/parse.h"
#include "rules/plan.h"
#include "tests/conformance/random.h"
#include "tests/conformance/slow_histogram.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIES    4
#define SAMPLES   60
#define EVERY_MS  10000
#define END_MS    (SAMPLES * EVERY_MS)
#define TIMES     40
#define QUESTIONS 25
#define LOOKBACK  300000
#define TOLERANCE 1e-9

struct sample {
    int64_t t_ms, arrive_ms;
    bool stale;
    struct slow_histogram h;
};
struct series {
    size_t n;
    struct sample s[SAMPLES];
};

static struct series all[SERIES];
static struct slow_histogram zero;

static void next_histogram(struct random *r, struct slow_histogram *h, bool negative)
{
    h->reset = false;
    if (random_chance(r, 0.04)) { // starts anew, perhaps elsewhere
        double threshold = random_chance(r, 0.8) ? h->zero_threshold : pow(2, -4);
        int schema = random_chance(r, 0.5) ? h->schema : random_below(r, 5) - 1;
        bool told = random_chance(r, 0.5);
        *h = zero;
        h->schema = schema;
        h->zero_threshold = threshold;
        h->reset = told;
    } else if (random_chance(r, 0.02) && h->schema > -1) {
        slow_coarsen(h, h->schema - 1);
    } else if (random_chance(r, 0.02)) {
        slow_widen(h, pow(2, -4));
    }
    for (int n = random_below(r, 12); n > 0; n--) {
        double v = pow(2, 14 * random_unit(r) - 10.5);
        slow_observe(h, negative && random_chance(r, 0.3) ? -v : v);
    }
}

static void make_series(struct random *r, struct series *s, bool late)
{
    struct slow_histogram h = zero;
    bool negative = random_chance(r, 0.4);
    h.schema = random_below(r, 5) - 1;
    h.zero_threshold = pow(2, -10);
    s->n = 0;
    for (int i = 0; i < SAMPLES; i++) {
        next_histogram(r, &h, negative);
        if (random_chance(r, 0.05)) // the mark of a sample that got lost gets lost with it
            continue;
        struct sample *to = &s->s[s->n++];
        *to = (struct sample){.t_ms = i * EVERY_MS + random_below(r, 2000), .h = h};
        to->arrive_ms =
            to->t_ms + (late && random_chance(r, 0.05) ? random_below(r, 60000) : 0);
        to->stale = random_chance(r, 0.015);
    }
}

// --- the slow evaluator ------------------------------------------------------------------------
enum over { SELECT, RATE, INCREASE, SUM_OVER, AVG_OVER, LAST_OVER };
enum by { EACH_SERIES, SUM, SUM_BY, AVG, AVG_BY };
enum read { WHOLE, QUANTILE, COUNT, SUM_OF, AVERAGE, FRACTION, STDDEV };

struct question {
    enum over over;
    int64_t range_ms;
    enum by by;
    enum read read;
    double q;
    char text[300];
    struct arena arena;
    struct expr_root x;
    struct plan_expr *planned;
};
struct answer {
    int group; // series, or half of them, or 0
    bool there;
    struct slow_histogram h;
};

// Samples a window may use: those of (from, to], stale markers aside.
static size_t window(const struct series *s, int64_t from, int64_t to, int64_t now,
    const struct sample *ret[SAMPLES])
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->s[i].t_ms > from && s->s[i].t_ms <= to && s->s[i].arrive_ms <= now &&
            !s->s[i].stale)
            ret[n++] = &s->s[i];
    return n;
}

static bool newest(const struct series *s, int64_t t, struct slow_histogram *ret)
{
    const struct sample *best = NULL;
    for (size_t i = 0; i < s->n; i++)
        if (s->s[i].t_ms > t - LOOKBACK && s->s[i].t_ms <= t && s->s[i].arrive_ms <= t)
            best = &s->s[i];
    if (!best || best->stale)
        return false;
    *ret = best->h;
    return true;
}

// What was counted from the first sample to the last, stretched to the window's ends.
static bool slow_rate(const struct series *s, int64_t t, int64_t range_ms, bool per_second,
    struct slow_histogram *ret)
{
    const struct sample *w[SAMPLES];
    size_t n = window(s, t - range_ms, t, t, w);
    if (n < 2)
        return false;
    *ret = zero;
    ret->schema = w[n - 1]->h.schema;
    ret->zero_threshold = w[n - 1]->h.zero_threshold;
    slow_add(ret, &w[n - 1]->h, 1);
    // With a reset right after the first sample that one is only a place in time.
    bool first_counts = !slow_is_reset(&w[0]->h, &w[1]->h);
    if (first_counts)
        slow_add(ret, &w[0]->h, -1);
    for (size_t i = 1; i < n; i++) {
        if (w[i]->h.schema < ret->schema)
            slow_coarsen(ret, w[i]->h.schema);
        if ((i > 1 || first_counts) && slow_is_reset(&w[i - 1]->h, &w[i]->h))
            slow_add(ret, &w[i - 1]->h, 1);
    }
    double to_start = (double)(w[0]->t_ms - (t - range_ms)) / 1000;
    double to_end = (double)(t - w[n - 1]->t_ms) / 1000;
    double sampled = (double)(w[n - 1]->t_ms - w[0]->t_ms) / 1000;
    double between = sampled / (double)(n - 1);
    if (to_start >= between * 1.1)
        to_start = between / 2;
    if (ret->count > 0 && sampled * w[0]->h.count / ret->count < to_start)
        to_start = sampled * w[0]->h.count / ret->count;
    if (to_end >= between * 1.1)
        to_end = between / 2;
    double factor = (sampled + to_start + to_end) / sampled;
    slow_scale(ret, per_second ? factor / ((double)range_ms / 1000) : factor);
    return true;
}

static bool slow_over(
    const struct question *q, const struct series *s, int64_t t, struct slow_histogram *ret)
{
    const struct sample *w[SAMPLES];
    size_t n = window(s, t - q->range_ms, t, t, w);
    switch (q->over) {
    case SELECT: return newest(s, t, ret);
    case RATE: return slow_rate(s, t, q->range_ms, true, ret);
    case INCREASE: return slow_rate(s, t, q->range_ms, false, ret);
    case LAST_OVER:
        if (n)
            *ret = w[n - 1]->h;
        return n > 0;
    case SUM_OVER:
    case AVG_OVER:
        if (!n)
            return false;
        *ret = w[0]->h;
        for (size_t i = 1; i < n; i++)
            slow_add(ret, &w[i]->h, 1);
        if (q->over == AVG_OVER)
            slow_scale(ret, 1 / (double)n);
        return true;
    }
    return false;
}

// Returns how many groups; those without members are not there.
static int slow_answer(const struct question *q, int64_t t, struct answer ret[SERIES])
{
    int groups = q->by == EACH_SERIES ? SERIES : q->by == SUM || q->by == AVG ? 1 : 2;
    int members[SERIES] = {0};
    for (int g = 0; g < groups; g++)
        ret[g] = (struct answer){.group = g};
    for (int i = 0; i < SERIES; i++) {
        static struct slow_histogram h;
        struct answer *to = &ret[i % groups];
        if (!slow_over(q, &all[i], t, &h))
            continue;
        if (members[i % groups]++)
            slow_add(&to->h, &h, 1);
        else
            to->h = h;
        to->there = true;
    }
    for (int g = 0; g < groups; g++)
        if (ret[g].there && (q->by == AVG || q->by == AVG_BY))
            slow_scale(&ret[g].h, 1.0 / members[g]);
    return groups;
}

static double slow_read(const struct question *q, const struct slow_histogram *h)
{
    switch (q->read) {
    case QUANTILE: return slow_quantile(q->q, h);
    case COUNT: return h->count;
    case SUM_OF: return h->sum;
    case AVERAGE: return h->sum / h->count;
    case FRACTION: return slow_fraction(0.0713, 1.377, h);
    case STDDEV: return sqrt(slow_variance(h));
    case WHOLE: break;
    }
    return NAN;
}

// --- asking --------------------------------------------------------------------------------------
static void make_question(struct random *r, struct question *q)
{
    static const char *const OVER[] = {
        "h", "rate(h", "increase(h", "sum_over_time(h", "avg_over_time(h", "last_over_time(h"};
    static const char *const BY[] = {"", "sum", "sum by (k) ", "avg", "avg by (k) "};
    static const char *const READ[] = {"", "histogram_quantile(%.4f, ", "histogram_count(",
        "histogram_sum(", "histogram_avg(", "histogram_fraction(0.0713, 1.377, ",
        "histogram_stddev("};
    static const int64_t RANGES[] = {60000, 300000, 37000, 25000, 90001};
    static const double Q[] = {0.9173, 0.5371, 0.1371, 0.0137, 0.9913};
    char read[60];
    struct parse_error e;
    *q = (struct question){.over = (enum over)random_below(r, 6),
        .range_ms = RANDOM_PICK(r, RANGES),
        .by = (enum by)random_below(r, 5),
        .read = (enum read)random_below(r, 7),
        .q = RANDOM_PICK(r, Q)};
    if (q->read == QUANTILE)
        snprintf(read, sizeof(read), "histogram_quantile(%.4f, ", q->q);
    else
        snprintf(read, sizeof(read), "%s", READ[q->read]);
    char range[40] = "";
    if (q->over != SELECT)
        snprintf(range, sizeof(range), "[%lldms])", (long long)q->range_ms);
    snprintf(q->text, sizeof(q->text), "%s%s(%s%s)%s", read, BY[q->by], OVER[q->over], range,
        q->read == WHOLE ? "" : ")");
    arena_init(&q->arena, 0);
    CU_ASSERT_EQUAL_FATAL(expr_parse(q->text, strlen(q->text), &q->arena, &q->x, &e), 0);
}

// The group an element is of, by its labels.
static int group_of(const struct question *q, const struct labels *l)
{
    if (q->by == EACH_SERIES)
        return labels_get(l, "i")[0] - '0';
    return q->by == SUM_BY || q->by == AVG_BY ? labels_get(l, "k")[0] == 'o' : 0;
}

static bool same_number(double want, double got, double size)
{
    return want == got || (isnan(want) && isnan(got)) ||
           fabs(want - got) <= TOLERANCE * fmax(size, fmax(fabs(want), fabs(got)));
}

// NULL, or what is wrong.
static const char *judge(
    const struct question *q, const struct answer *want, int groups, const struct value *v)
{
    int there = 0, found = 0;
    for (int g = 0; g < groups; g++)
        there += want[g].there;
    for (size_t i = 0; i < v->vector.n; i++) {
        const struct element *el = &v->vector.e[i];
        if (el->state != ELEMENT_VALUE)
            continue;
        int g = group_of(q, &el->labels);
        if (g < 0 || g >= groups || !want[g].there)
            return "an element too many";
        found++;
        if (!el->hist != (q->read != WHOLE))
            return "a float for a histogram, or the other way round";
        if (el->hist && !slow_equal(&want[g].h, el->hist, TOLERANCE))
            return "another histogram";
        // Sums cancel out when observations are negative.
        if (!el->hist &&
            !same_number(slow_read(q, &want[g].h), el->value,
                q->read == SUM_OF || q->read == AVERAGE || q->read == STDDEV ? 1 : 0))
            return "another number";
    }
    return found == there ? NULL : "an element is missing";
}

static void print_wrong(const struct question *q, const struct answer *want, int groups,
    const struct value *v, const char *who, const char *what, int64_t t, uint64_t seed)
{
    printf("seed %llu: %s at %lld ms, %s: %s\n", (unsigned long long)seed, q->text,
        (long long)t, who, what);
    for (int g = 0; g < groups; g++)
        if (want[g].there)
            printf("  slow [%d] schema %d zero %g %g count %.17g sum %.17g read %.17g\n", g,
                want[g].h.schema, want[g].h.zero_threshold, want[g].h.zero_count,
                want[g].h.count, want[g].h.sum, slow_read(q, &want[g].h));
    for (size_t i = 0; i < v->vector.n; i++) {
        const struct element *el = &v->vector.e[i];
        if (el->state == ELEMENT_VALUE && el->hist)
            printf("  here [%d] schema %d zero %g %g count %.17g sum %.17g\n",
                group_of(q, &el->labels), el->hist->schema, el->hist->zero_threshold,
                el->hist->zero_count, el->hist->count, el->hist->sum);
        else if (el->state == ELEMENT_VALUE)
            printf("  here [%d] %.17g\n", group_of(q, &el->labels), el->value);
    }
}

struct world {
    struct memory_source *m;
    struct eval *batch;
    struct plan *plan;
    uint32_t id[SERIES];
    size_t compared, elements, wrong;
};

static void open_world(struct world *w)
{
    struct eval_options o = {.parity = true};
    w->m = memory_source_new();
    struct source src = memory_source_interface(w->m);
    w->batch = eval_new(&src, &o);
    w->plan = plan_new(&src, &o);
    CU_ASSERT_FATAL(w->m && w->batch && w->plan);
    src.watch(src.self, plan_sample, w->plan);
    for (int i = 0; i < SERIES; i++) {
        struct arena a;
        struct labels l;
        char is[2] = {(char)('0' + i), 0};
        arena_init(&a, 0);
        CU_ASSERT_FATAL(labels_make(&a,
            (struct label[]){{LABEL_NAME, "h"}, {"i", is}, {"k", i % 2 ? "odd" : "even"}}, 3,
            &l));
        CU_ASSERT_EQUAL_FATAL(memory_source_series(w->m, &l, &w->id[i]), 0);
        arena_done(&a);
    }
}

static void feed(struct world *w, int64_t after, int64_t until)
{
    for (int i = 0; i < SERIES; i++)
        for (size_t k = 0; k < all[i].n; k++) {
            const struct sample *s = &all[i].s[k];
            struct arena a;
            if (s->arrive_ms <= after || s->arrive_ms > until)
                continue;
            arena_init(&a, 0);
            struct histogram h = slow_convert(&s->h, &a);
            CU_ASSERT_EQUAL(
                memory_source_add(w->m, w->id[i], s->t_ms,
                    s->stale ? double_from_bits(NAN_STALE_BITS) : 0, s->stale ? NULL : &h),
                1);
            arena_done(&a);
        }
}

static void ask(struct world *w, struct question *q, int64_t t, uint64_t seed)
{
    static struct answer want[SERIES];
    struct value v = {0};
    struct err err = {0};
    int groups = slow_answer(q, t, want);
    for (int who = 0; who < 2; who++) {
        eval_reset(w->batch);
        int rc = who ? plan_read(w->plan, q->planned, t, &v, &err)
                     : eval_instant(w->batch, &q->x, NULL, t, &v, &err);
        const char *what = rc < 0 ? err.msg : judge(q, want, groups, &v);
        w->compared++;
        for (size_t i = 0; rc == 0 && i < v.vector.n; i++)
            w->elements += v.vector.e[i].state == ELEMENT_VALUE;
        if (what && w->wrong++ < 5)
            print_wrong(q, want, groups, &v, who ? "incremental" : "batch", what, t, seed);
    }
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void one_history(struct random *r, struct world *w, uint64_t seed)
{
    static struct question q[QUESTIONS];
    int64_t t[TIMES], before = INT64_MIN;
    bool late = random_chance(r, 0.5);
    for (int i = 0; i < SERIES; i++)
        make_series(r, &all[i], late);
    for (int i = 0; i < QUESTIONS; i++)
        make_question(r, &q[i]);
    for (int i = 0; i < TIMES; i++) {
        const struct series *s = &all[random_below(r, SERIES)];
        t[i] = random_chance(r, 0.5) ? (int64_t)(END_MS * random_unit(r))
                                     : s->s[random_below(r, (int)s->n)].t_ms +
                                           (random_chance(r, 0.5) ? 60000 : 0);
    }
    qsort(t, TIMES, sizeof(*t), by_time);
    open_world(w);
    for (int i = 0; i < QUESTIONS; i++)
        CU_ASSERT_EQUAL_FATAL(plan_add(w->plan, &q[i].x, &q[i].planned), 0);
    for (int i = 0; i < TIMES; i++) {
        feed(w, before, t[i]);
        before = t[i];
        for (int k = 0; k < QUESTIONS; k++)
            ask(w, &q[k], t[i], seed);
    }
    for (int i = 0; i < QUESTIONS; i++)
        plan_remove(w->plan, q[i].planned);
    plan_free(w->plan);
    eval_free(w->batch);
    memory_source_free(w->m);
    for (int i = 0; i < QUESTIONS; i++) {
        expr_done(&q[i].x);
        arena_done(&q[i].arena);
    }
}

static void equals_the_slow_one(void)
{
    const char *from = getenv("CONFORMANCE_SEED"), *count = getenv("CONFORMANCE_NATIVE");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1, seed = first;
    size_t wanted = count ? strtoul(count, NULL, 10) : 6000;
    struct world w = {0};
    for (; w.compared < wanted && !w.wrong; seed++) {
        struct random r = {seed};
        one_history(&r, &w, seed);
    }
    printf("native histograms, seeds %llu to %llu: %zu evaluations, %zu elements, %zu differ\n",
        (unsigned long long)first, (unsigned long long)seed - 1, w.compared, w.elements,
        w.wrong);
    CU_ASSERT_EQUAL(w.wrong, 0);
    CU_ASSERT_TRUE(w.elements > w.compared / 2);
}

static const struct test TESTS[] = {
    {"both evaluators equal the slow one on native histograms", equals_the_slow_one},
};

int main(void)
{
    return test_main("native", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
