// SPDX-License-Identifier: Apache-2.0
// Window states beside the batch functions over the same samples: long random runs over many kinds
// of data, each window evaluated whole as well.
#include "rules/slide.h"
#include "tests/lib/oom.h"
#include "tests/unit/rules/scene.h"
#include <errno.h>

#define SAMPLES 1500

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

static double unit(void)
{
    return below(1u << 30) / (double)(1u << 30);
}

// --- what comes --------------------------------------------------------------------------------

static double counter(double before, int i)
{
    (void)i;
    return below(60) ? before + below(100) : below(20);
}

static double noisy(double before, int i)
{
    (void)i;
    return 0.7 * before + unit();
}

static double wide(double before, int i)
{
    (void)before;
    (void)i;
    return pow(10, -6 + 18 * unit());
}

static double spikes(double before, int i)
{
    (void)before;
    (void)i;
    return below(100) ? unit() : 1e15;
}

static double not_finite(double before, int i)
{
    (void)before;
    (void)i;
    switch (below(40)) {
    case 0: return NAN;
    case 1: return INFINITY;
    case 2: return -INFINITY;
    default: return unit() - 0.5;
    }
}

static double constant(double before, int i)
{
    (void)before;
    return i < SAMPLES / 3 || i > SAMPLES / 2 ? 0.1 : unit();
}

static double falling(double before, int i)
{
    (void)i;
    return before - unit();
}

static double rising(double before, int i)
{
    (void)i;
    return before + 0.25;
}

static double few_values(double before, int i)
{
    (void)before;
    (void)i;
    return below(3);
}

static double balanced(double before, int i)
{
    (void)before;
    return i % 2 ? -0.1 : 0.1;
}

static double offset_noise(double before, int i)
{
    (void)before;
    (void)i;
    return 8e9 + 1e3 * unit();
}

static double at_the_edge(double before, int i)
{
    (void)before;
    (void)i;
    static const double V[] = {1.7e308, -1.7e308, 1e308, 1, 0, -0.0, 5e-324};
    return V[below(7)];
}

static const struct data {
    const char *name;
    double (*next)(double before, int i);
} DATA[] = {
    {"a counter with resets", counter},
    {"noise", noisy},
    {"1e-6 to 1e12", wide},
    {"spikes of 1e15", spikes},
    {"NaN and infinities", not_finite},
    {"constant, then not, then constant", constant},
    {"falling", falling},
    {"rising", rising},
    {"three values", few_values},
    {"sum zero", balanced},
    {"a little noise on a large value", offset_noise},
    {"the largest and the smallest", at_the_edge},
};
#define N_DATA (sizeof(DATA) / sizeof(DATA[0]))

static const struct function_case {
    int fn;
    double param, tolerance;
} FUNCTIONS[] = {
    {FN_RATE, 0, 0},
    {FN_INCREASE, 0, 0},
    {FN_DELTA, 0, 0},
    {FN_IRATE, 0, 0},
    {FN_IDELTA, 0, 0},
    {FN_CHANGES, 0, 0},
    {FN_RESETS, 0, 0},
    {FN_COUNT_OVER_TIME, 0, 0},
    {FN_PRESENT_OVER_TIME, 0, 0},
    {FN_FIRST_OVER_TIME, 0, 0},
    {FN_LAST_OVER_TIME, 0, 0},
    {FN_SUM_OVER_TIME, 0, 0},
    {FN_AVG_OVER_TIME, 0, 1e-15},
    {FN_MIN_OVER_TIME, 0, 0},
    {FN_MAX_OVER_TIME, 0, 0},
    {FN_STDDEV_OVER_TIME, 0, 1e-9},
    {FN_STDVAR_OVER_TIME, 0, 1e-9},
    {FN_QUANTILE_OVER_TIME, 0.5, 0},
    {FN_QUANTILE_OVER_TIME, 0.99, 0},
    {FN_QUANTILE_OVER_TIME, 0, 0},
    {FN_QUANTILE_OVER_TIME, 2, 0},
    {FN_DERIV, 0, 1e-9},
    {FN_PREDICT_LINEAR, 3600, 1e-9},
};
#define N_FUNCTIONS (sizeof(FUNCTIONS) / sizeof(FUNCTIONS[0]))

static int64_t gap_ms(void)
{
    return below(20) ? 1000 : below(3) ? 1 + below(5000) : 200000;
}

static void samples_make(const struct data *d, struct point *p)
{
    int64_t t_ms = 1700000000000;
    double v = 0;
    for (int i = 0; i < SAMPLES; i++) {
        v = d->next(v, i);
        t_ms += gap_ms();
        p[i] = (struct point){.t_ms = t_ms, .v = v};
    }
}

// --- both --------------------------------------------------------------------------------------

struct run {
    struct eval *e;
    struct slide_call call;
    struct slide *s;
    const struct point *p;
    size_t first, end; // of p: what the state holds
    double param;
    uint64_t reads, asked;
};

static bool near(double a, double b, double tolerance)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    // A quantile's zero may have either sign.
    return a == b || fabs(a - b) <= tolerance * fabs(b);
}

static void whole(const struct run *r, int64_t to_ms, int64_t range_ms, struct window *ret)
{
    size_t from = 0, end = 0;
    while (end < SAMPLES && r->p[end].t_ms <= to_ms)
        end++;
    for (from = end; from && r->p[from - 1].t_ms > to_ms - range_ms - r->call.compat_2_42;)
        from--;
    *ret = (struct window){.p = r->p + from,
        .n = end - from,
        .from_ms = to_ms - range_ms,
        .to_ms = to_ms,
        .t_ms = to_ms,
        .range_ms = range_ms};
}

// Moves the state to the window, as the plan does.
static void move(struct run *r, const struct window *w)
{
    size_t first = (size_t)(w->p - r->p), end = first + w->n;
    if (!r->s->ready || first >= r->end) {
        CU_ASSERT_EQUAL_FATAL(slide_fill(&r->call, r->s, w->p, w->n, r->param), 0);
    } else {
        for (size_t i = r->end; i < end; i++)
            CU_ASSERT_EQUAL_FATAL(slide_push(&r->call, r->s, r->p[i].t_ms, r->p[i].v), 0);
        for (size_t i = r->first + 1; i <= first && !slide_is_tail(&r->call); i++)
            slide_evict(&r->call, r->s, (struct slide_sample){r->p[i].t_ms, r->p[i].v});
    }
    r->first = first;
    r->end = end;
}

static bool step(struct run *r, const struct function_case *f, const struct window *w)
{
    struct value param = {.type = TYPE_SCALAR, .scalar = f->param};
    struct element want = {0};
    double got;
    eval_reset(r->e);
    int has = range_apply(r->e, f->fn, &param, w, &want);
    move(r, w);
    enum slide_verdict v = slide_read(&r->call, r->s, w, f->param, &got);
    r->reads++;
    if (v == SLIDE_ASK) {
        r->asked++;
        slide_fill(&r->call, r->s, w->p, w->n, f->param);
        return true;
    }
    if ((v == SLIDE_VALUE) != has || (has && !near(got, want.value, f->tolerance))) {
        printf("%d %.17g, not %d %.17g, %zu samples up to %lld\n", v, got, has, want.value,
            w->n, (long long)w->to_ms);
        return false;
    }
    return true;
}

static uint64_t run(const struct data *d, const struct function_case *f, int64_t range_ms,
    bool compat, uint64_t *ret_reads)
{
    static struct point p[SAMPLES];
    const struct eval_options o = {.compat_2_42 = compat};
    struct source none = {0};
    struct run r = {.e = eval_new(&none, &o), .call = slide_call(f->fn, compat), .p = p};
    r.param = f->param;
    r.s = calloc(1, slide_size(&r.call));
    if (!r.e || !r.s)
        abort();
    samples_make(d, p);
    bool ok = true;
    int64_t t_ms = p[0].t_ms;
    while (ok && t_ms < p[SAMPLES - 1].t_ms + range_ms) {
        struct window w;
        whole(&r, t_ms, range_ms, &w);
        if (w.n)
            ok = step(&r, f, &w);
        else
            r.s->ready = false;
        t_ms += below(4) ? 1000 : below(40000);
    }
    if (!ok)
        printf("function %d over %s, range %lld ms%s\n", f->fn, d->name, (long long)range_ms,
            compat ? ", as 2.42" : "");
    CU_ASSERT(ok);
    slide_done(&r.call, r.s);
    free(r.s);
    eval_free(r.e);
    *ret_reads += r.reads;
    return r.asked;
}

static void equals_whole_windows(void)
{
    static const int64_t RANGE_MS[] = {1000, 9500, 60000, 300000};
    uint64_t reads = 0;
    seed = 7;
    for (size_t k = 0; k < N_DATA; k++)
        for (size_t i = 0; i < N_FUNCTIONS; i++)
            for (size_t j = 0; j < 4; j++)
                run(&DATA[k], &FUNCTIONS[i], RANGE_MS[j], (i + j + k) % 4 == 0, &reads);
    CU_ASSERT(reads > 600000);
}

// How often a state may ask, of a thousand reads: what is cheap must stay so.
static void asks_seldom(void)
{
    static const struct {
        struct function_case f;
        double (*next)(double, int);
        unsigned permille;
    } CASES[] = {
        {{FN_SUM_OVER_TIME, 0, 0}, noisy, 0},
        {{FN_SUM_OVER_TIME, 0, 0}, spikes, 20},
        {{FN_SUM_OVER_TIME, 0, 0}, few_values, 0},
        {{FN_AVG_OVER_TIME, 0, 1e-15}, noisy, 0},
        {{FN_MAX_OVER_TIME, 0, 0}, noisy, 5},
        {{FN_MAX_OVER_TIME, 0, 0}, falling, 125},
        {{FN_MIN_OVER_TIME, 0, 0}, constant, 5},
        {{FN_QUANTILE_OVER_TIME, 0.9, 0}, noisy, 40},
        {{FN_QUANTILE_OVER_TIME, 0.5, 0}, rising, 125},
        {{FN_STDDEV_OVER_TIME, 0, 1e-9}, noisy, 5},
        {{FN_DERIV, 0, 1e-9}, noisy, 30},
        {{FN_PREDICT_LINEAR, 3600, 1e-9}, noisy, 30},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct data d = {"", CASES[i].next};
        uint64_t reads = 0;
        seed = 11;
        uint64_t asked = run(&d, &CASES[i].f, 300000, false, &reads);
        if (asked * 1000 > reads * CASES[i].permille)
            printf("case %zu: asked %llu of %llu\n", i, (unsigned long long)asked,
                (unsigned long long)reads);
        CU_ASSERT(asked * 1000 <= reads * CASES[i].permille);
    }
}

static void fills_survive_no_memory(void)
{
    static const int FN[] = {FN_RATE, FN_QUANTILE_OVER_TIME};
    for (size_t k = 0; k < 2; k++) {
        struct slide_call c = slide_call(FN[k], false);
        struct slide *s = calloc(1, slide_size(&c));
        struct point p[40];
        CU_ASSERT_FATAL(s != NULL);
        for (int i = 0; i < 40; i++)
            p[i] = (struct point){.t_ms = i * INT64_C(1000), .v = i % 2};
        for (int nth = 1;; nth++) {
            oom_fail_at(nth);
            int rc = slide_fill(&c, s, p, 40, 0.5);
            bool hit = oom_stop();
            CU_ASSERT_EQUAL(rc, hit ? -ENOMEM : 0);
            CU_ASSERT_EQUAL(s->ready, !hit);
            if (!hit)
                break;
        }
        slide_done(&c, s);
        free(s);
    }
}

static const struct test TESTS[] = {
    {"a state moved on is a window read whole", equals_whole_windows},
    {"a state asks seldom", asks_seldom},
    {"a fill without memory is not ready", fills_survive_no_memory},
};

int main(void)
{
    return test_main("slide", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
