// SPDX-License-Identifier: Apache-2.0
// Differential test: random series and a list of expressions, evaluated here and by promtool 2.42
// (an expectation that cannot hold makes it print what it got), compared number by number.
// Several seeds, as many as fit into DIFFERENTIAL_SECONDS (4); DIFFERENTIAL_SEED starts elsewhere.
#include "base/num.h"
#include "rules/eval.h"
#include "rules/memory_source.h"
#include "rules/parse.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP_MS 5000
#define SAMPLES 140

struct wanted {
    const char *expr;
    double tolerance; // 0 = to the bit
};
static const struct wanted EXPRS[] = {
#define EXACT(x)                                                                               \
    {                                                                                          \
        x, 0                                                                                   \
    }
#define NEAR(x)                                                                                \
    {                                                                                          \
        x, 1e-12                                                                               \
    }
#define ROUGH(x)                                                                               \
    {                                                                                          \
        x, 1e-9                                                                                \
    }
    EXACT("c"),
    EXACT("g"),
    EXACT("g offset 1m"),
    EXACT("g{i=\"1\"}"),
    EXACT("{__name__=~\"c|g\",i!=\"2\"}"),
    EXACT("g{i=~\"1|3\"}"),
    EXACT("g{i!~\"1|3\"}"),
    EXACT("g @ 100"),
    EXACT("rate(c[1m])"),
    EXACT("rate(c[5m])"),
    EXACT("rate(c[37s])"),
    EXACT("increase(c[1m] offset 30s)"),
    EXACT("increase(c[5m])"),
    EXACT("delta(g[1m])"),
    EXACT("delta(g[5m])"),
    EXACT("irate(c[1m])"),
    EXACT("idelta(g[1m])"),
    EXACT("changes(g[5m])"),
    EXACT("resets(c[5m])"),
    EXACT("count_over_time(g[1m])"),
    EXACT("min_over_time(g[1m])"),
    EXACT("max_over_time(g[5m])"),
    NEAR("sum_over_time(g[5m])"),
    NEAR("avg_over_time(g[5m])"),
    EXACT("last_over_time(g[1m])"),
    EXACT("present_over_time(g[1m])"),
    EXACT("quantile_over_time(0.9, g[1m])"),
    ROUGH("stddev_over_time(g[5m])"),
    ROUGH("stdvar_over_time(g[5m])"),
    ROUGH("deriv(c[5m])"),
    ROUGH("predict_linear(g[5m], 600)"),
    ROUGH("predict_linear(g[5m] offset 1m, 600)"),
    NEAR("sum(g)"),
    NEAR("avg by (k) (g)"),
    NEAR("sum without (i) (c)"),
    EXACT("min by (k) (g)"),
    EXACT("max(g)"),
    EXACT("count by (k) (c)"),
    EXACT("group by (k) (c)"),
    ROUGH("stddev(g)"),
    ROUGH("stdvar by (k) (g)"),
    EXACT("topk(2, c)"),
    EXACT("bottomk by (k) (1, c)"),
    EXACT("topk(2, g)"),
    EXACT("bottomk(3, g)"),
    EXACT("quantile(0.7, g)"),
    EXACT("quantile by (k) (0.5, c)"),
    EXACT("count_values(\"v\", round(g, 10))"),
    EXACT("count_values by (k) (\"v\", changes(g[5m]))"),
    EXACT("c + g"),
    EXACT("c - ignoring(i, k) group_left() max(g)"),
    EXACT("c * on(i) g"),
    EXACT("c / on(i, k) g"),
    EXACT("c % 7"),
    NEAR("g ^ 2"),
    NEAR("2 ^ (g / 100)"),
    NEAR("abs(c atan2 g)"), // abs() because 2.42 kept the metric name after atan2
    EXACT("c > 50"),
    EXACT("50 < c"),
    EXACT("c > bool 50"),
    EXACT("c >= bool g"),
    EXACT("c == c"),
    EXACT("c != g"),
    EXACT("c <= g"),
    EXACT("g < c"),
    EXACT("c and on(i) g > 50"),
    EXACT("c unless on(i) g > 50"),
    EXACT("c or g"),
    EXACT("c or on(i) g"),
    EXACT("c * on(k) group_left(z) info"),
    EXACT("info * on(k) group_right(z) c"),
    EXACT("c > on(k) group_left() info"),
    EXACT("info < on(k) group_right() c"),
    EXACT("-g"),
    NEAR("-g ^ 2"),
    EXACT("1 + 2 * 3"),
    EXACT("1 > bool 2"),
    EXACT("abs(g)"),
    EXACT("ceil(g)"),
    EXACT("floor(g)"),
    EXACT("round(g)"),
    EXACT("round(g, 0.3)"),
    EXACT("sgn(g - 50)"),
    EXACT("sqrt(c)"),
    NEAR("exp(g / 100)"),
    NEAR("ln(c)"),
    NEAR("log2(c)"),
    NEAR("log10(c)"),
    EXACT("clamp(g, 20, 60)"),
    EXACT("clamp(g, 60, 20)"),
    EXACT("clamp_min(g, 50)"),
    EXACT("clamp_max(g, 50)"),
    EXACT("vector(3)"),
    EXACT("scalar(sum(info))"),
    EXACT("scalar(g)"),
    EXACT("time()"),
    EXACT("vector(time())"),
    EXACT("pi()"),
    EXACT("timestamp(g)"),
    EXACT("timestamp(g + 1)"),
    EXACT("timestamp(g offset 1m)"),
    EXACT("absent(nothing{a=\"b\",c=~\"d\"})"),
    EXACT("absent(g)"),
    EXACT("absent(nothing{job=~\"a\",job=\"b\"})"),
    EXACT("absent(sum(nothing))"),
    EXACT("absent_over_time(nothing{a=\"b\"}[1m])"),
    EXACT("absent_over_time(g[1m])"),
    EXACT("label_replace(g, \"n\", \"<$1>\", \"k\", \"(.).*\")"),
    EXACT("label_replace(g, \"k\", \"\", \"i\", \"1\")"),
    EXACT("label_replace(g, \"n\", \"${x}-$2\", \"k\", \"(?P<x>.)(.*)\")"),
    EXACT("label_join(g, \"n\", \"-\", \"k\", \"i\")"),
    EXACT("sort(g)"),
    EXACT("sort_desc(g)"),
    EXACT("hour()"),
    EXACT("minute()"),
    EXACT("month(c * 1e6)"),
    EXACT("year(c * 1e7)"),
    EXACT("day_of_month(c * 1e6)"),
    EXACT("day_of_week(c * 1e6)"),
    EXACT("day_of_year(c * 1e6)"),
    EXACT("days_in_month(c * 1e6)"),
    EXACT("hour(-c * 1e5)"),
    EXACT("histogram_quantile(0.9, b_bucket)"),
    EXACT("histogram_quantile(0.5, rate(b_bucket[5m]))"),
    NEAR("histogram_quantile(0.99, sum by (le) (rate(b_bucket[5m])))"),
    EXACT("histogram_quantile(1.5, b_bucket)"),
    EXACT("max_over_time(rate(c[1m])[5m:30s])"),
    EXACT("sum_over_time((g > bool 50)[3m:10s])"),
    EXACT("count_over_time(g[3m:7s] offset 20s)"),
    EXACT("min_over_time(g[2m:])"),
    EXACT("rate(c[5m:15s])"),
    EXACT("last_over_time(g[1m:10s])"),
    EXACT("count_over_time((g > 50)[2m:10s])"),
    NEAR("sin(g)"),
    NEAR("cos(g)"),
    NEAR("tan(g / 100)"),
    NEAR("asin(g / 1000)"),
    NEAR("acos(g / 1000)"),
    NEAR("atan(g)"),
    NEAR("sinh(g / 100)"),
    NEAR("cosh(g / 100)"),
    NEAR("tanh(g / 100)"),
    NEAR("asinh(g)"),
    NEAR("acosh(c + 1)"),
    NEAR("atanh(g / 1000)"),
    NEAR("deg(g)"),
    NEAR("rad(g)"),
    NEAR("sum(rate(c[1m])) by (k) / on(k) sum(rate(c[5m])) by (k) > 0.5"),
    NEAR("sum(c) / sum(g)"),
    EXACT("1 - g / 100"),
    EXACT("g > 10 < 80"),
    // Negative offsets look ahead; @ takes a node out of time; both meet in subqueries.
    EXACT("g offset -1m"),
    EXACT("rate(c[1m] offset -30s)"),
    EXACT("g @ 300 offset 30s"),
    EXACT("g offset -30s @ 300"),
    EXACT("rate(c[1m] @ 300)"),
    EXACT("g - g @ end()"),
    EXACT("rate(c[2m] @ start())"),
    EXACT("max_over_time((g @ 300)[1m:10s])"),
    EXACT("max_over_time(g[1m:10s] @ 300)"),
    EXACT("count_over_time(g[1m:10s] @ 300 offset -7s)"),
    EXACT("count_over_time(g[60s:60s])"),
    EXACT("count_over_time(g[59s:60s])"),
    EXACT("count_over_time(c[5m:5m] offset 1ms)"),
    EXACT("last_over_time(timestamp(g)[1m:15s])"),
    EXACT("max_over_time(sum_over_time((g > bool 50)[1m:10s])[2m:20s])"),
    EXACT("count_over_time(vector(1)[90s:7s])"),
    EXACT("min_over_time(vector(time())[1m:13s])"),
    EXACT("g @ -100"),
    EXACT("count_over_time(g[1m] offset 1h)"),
    // Infinities, NaN, minus zero, the largest and smallest doubles.
    EXACT("n"),
    EXACT("-n"),
    EXACT("1 / n"),
    EXACT("n == 0"),
    EXACT("n != n"),
    EXACT("n > bool 0"),
    EXACT("n * 0"),
    EXACT("n - n offset 5s"),
    EXACT("n % 3"),
    EXACT("5 % n"),
    NEAR("n ^ 2"),
    NEAR("2 ^ n"),
    NEAR("n ^ -1"),
    EXACT("abs(n)"),
    EXACT("ceil(n)"),
    EXACT("floor(n)"),
    EXACT("round(n)"),
    EXACT("sgn(n)"),
    EXACT("sqrt(n)"),
    NEAR("exp(n)"),
    NEAR("ln(n > 1e-300)"), // of a denormal Go has it wrong,
    EXACT("clamp(n, -1, 1)"),
    EXACT("clamp_min(n, 0)"),
    EXACT("clamp_max(n, 0)"),
    EXACT("min(n)"),
    EXACT("max(n)"),
    EXACT("count by (i) (n)"),
    EXACT("sum(topk(2, n))"), // which of two equal ones is chosen is not defined,
    EXACT("sum(bottomk(2, n))"),
    EXACT("quantile(0.4, n)"),
    EXACT("sum(abs(n) == Inf)"),
    EXACT("count_values(\"v\", n)"),
    EXACT("min_over_time(n[1m])"),
    EXACT("max_over_time(n[1m])"),
    EXACT("sum_over_time(n[17s])"),
    EXACT("changes(n[1m])"),
    EXACT("resets(n[1m])"),
    EXACT("rate(n[1m])"),
    EXACT("increase(n[1m])"),
    EXACT("delta(n[1m])"),
    EXACT("irate(n[1m])"),
    EXACT("idelta(n[1m])"),
    EXACT("quantile_over_time(0.3, n[1m])"),
    EXACT("last_over_time(n[1m])"),
    EXACT("n and n > 0"),
    EXACT("n or g"),
    EXACT("n unless n < 0"),
    EXACT("sort(n)"),
    EXACT("label_replace(n == Inf, \"v\", \"inf\", \"\", \"\")"),
};
// Times in milliseconds: samples, steps and ranges end here to the millisecond; the rest is random.
static int64_t times_ms[] = {60000, 61500, 123456, 300000, 333333, 600000, 0, 0, 0, 0};
#define N_EXPRS (sizeof(EXPRS) / sizeof(EXPRS[0]))
#define N_TIMES (sizeof(times_ms) / sizeof(times_ms[0]))

static uint64_t seed = 88172645463325252ULL;
static double random_unit(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static const double NASTY[] = {INFINITY, -INFINITY, NAN, 0.0, -0.0, 1, -1, 2.5,
    1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 1e15};
#define N_NASTY (sizeof(NASTY) / sizeof(NASTY[0]))

static void one_series(
    FILE *f, struct memory_source *m, const struct label *l, size_t n, int kind)
{
    struct labels s;
    struct arena a;
    struct buf text;
    uint32_t id = 0;
    double v = 10 * random_unit();
    arena_init(&a, 0);
    buf_init(&text, 4096);
    labels_make(&a, l, n, &s);
    labels_print(&s, &text);
    memory_source_series(m, &s, &id);
    fprintf(f, "      - series: '%s'\n        values: '", buf_cstr(&text));
    for (int i = 0; i < SAMPLES; i++) {
        double r = random_unit();
        char out[NUM_FIXED_MAX];
        if (kind == 0)
            v = r < 0.02 ? 3 * random_unit() : v + floor(10 * random_unit());
        else if (kind == 1)
            v = 100 * random_unit();
        else if (kind == 3)
            v = NASTY[(size_t)(r * N_NASTY)];
        else if (kind >= 10)
            v += floor(random_unit() * (kind - 9));
        double q = random_unit();
        if (q < 0.03 && kind < 10) {
            fprintf(f, "_ ");
            continue;
        }
        if (q < 0.04 && (kind < 2 || kind == 3)) {
            fprintf(f, "stale ");
            memory_source_add(
                m, id, (int64_t)i * STEP_MS, double_from_bits(NAN_STALE_BITS), NULL);
            continue;
        }
        double put = q > 0.99 && kind == 1 && i % 3 == 0 ? NAN : v;
        num_fixed(put, out);
        fprintf(f, "%s ", out);
        memory_source_add(m, id, (int64_t)i * STEP_MS, put, NULL);
    }
    fprintf(f, "'\n");
    buf_done(&text);
    arena_done(&a);
}

static void all_series(FILE *f, struct memory_source *m)
{
    for (int i = 0; i < 5; i++) {
        char is[2] = {(char)('0' + i), 0};
        const char *k = i % 2 ? "odd" : "even";
        one_series(f, m, (struct label[]){{LABEL_NAME, "c"}, {"i", is}, {"k", k}}, 3, 0);
        one_series(f, m, (struct label[]){{LABEL_NAME, "g"}, {"i", is}, {"k", k}}, 3, 1);
    }
    one_series(f, m, (struct label[]){{LABEL_NAME, "info"}, {"k", "odd"}, {"z", "o"}}, 3, 2);
    one_series(f, m, (struct label[]){{LABEL_NAME, "info"}, {"k", "even"}, {"z", "e"}}, 3, 2);
    for (int i = 0; i < 3; i++) {
        char is[2] = {(char)('0' + i), 0};
        one_series(f, m, (struct label[]){{LABEL_NAME, "n"}, {"i", is}}, 2, 3);
    }
    static const char *const LES[] = {"0.1", "1", "5", "+Inf"};
    for (int h = 0; h < 2; h++)
        for (int b = 0; b < 4; b++)
            one_series(f, m,
                (struct label[]){
                    {LABEL_NAME, "b_bucket"}, {"h", h ? "x" : "y"}, {"le", LES[b]}},
                3, 10 + 2 * b);
}

// The metric name among the other labels, as promtool prints them.
static void print_plain(const struct labels *l, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < l->n; i++)
        buf_addf(out, "%s%s=\"%s\"", i ? ", " : "", l->l[i].name, l->l[i].value);
    buf_addc(out, '}');
}

// One element as promtool prints it: labels and value.
static int count_and_match(const char *got, const struct value *v, const struct wanted *w)
{
    struct element one = {.value = v->scalar};
    const struct element *el = v->type == TYPE_SCALAR ? &one : v->vector.e;
    size_t n = v->type == TYPE_SCALAR ? 1 : v->vector.n, live = 0, found = 0, printed = 0;
    bool used[512] = {0};
    for (size_t i = 0; i < n; i++)
        live += el[i].state == ELEMENT_VALUE;
    const char *p = got;
    while (live < 512 && *p && strncmp(p, "nil", 3) != 0) {
        // The labels end at the first brace outside quotes; then the value up to a comma.
        bool quoted = false;
        const char *start = p;
        while (*p && (quoted || *p != '}')) {
            if (*p == '\\' && p[1])
                p++;
            else if (*p == '"')
                quoted = !quoted;
            p++;
        }
        if (!*p)
            return -1;
        size_t len = (size_t)(++p - start);
        const char *num = ++p;
        while (*p && *p != ',')
            p++;
        double x;
        if (!num_parse(num, (size_t)(p - num), &x))
            return -1;
        printed++;
        for (size_t i = 0; i < n && i < 512; i++) {
            struct buf text;
            if (used[i] || el[i].state != ELEMENT_VALUE)
                continue;
            buf_init(&text, 65536);
            print_plain(&el[i].labels, &text);
            const char *mine = buf_cstr(&text);
            bool labels = !strncmp(mine, start, len) && !mine[len];
            double a = el[i].value;
            bool same =
                double_bits(a) == double_bits(x) || a == x || (isnan(a) && isnan(x)) ||
                (w->tolerance > 0 && fabs(a - x) <= w->tolerance * fmax(fabs(a), fabs(x)));
            // A slope near zero and a sum of cancelling terms have no relative precision.
            same = same || (w->tolerance >= 1e-9 && fabs(a - x) < 1e-9);
            buf_done(&text);
            if (labels && same) {
                used[i] = true;
                found++;
                break;
            }
        }
        while (*p == ',' || *p == ' ')
            p++;
    }
    return found == live && printed == live ? (int)live : -1;
}

// A duration as Go prints it, such as 1m1.5s, in milliseconds.
static int64_t go_duration(const char *p, const char *end)
{
    double ms = 0;
    while (p < end) {
        char *unit;
        double x = strtod(p, &unit);
        if (unit == p)
            break;
        if (unit[0] == 'h')
            ms += 3600000 * x;
        else if (unit[0] == 'm' && unit[1] != 's')
            ms += 60000 * x;
        else
            ms += unit[0] == 'm' ? x : 1000 * x;
        for (p = unit; p < end && (*p < '0' || *p > '9');)
            p++;
    }
    return llround(ms);
}

// Which evaluation a line of promtool's report is about; -1 = none. Cuts the line.
static long evaluation_of(char *line)
{
    char *text = strstr(line, "expr: \""), *at = text ? strstr(text, "\", time: ") : NULL;
    char plain[512];
    size_t k = 0;
    if (!at)
        return -1;
    char *from = at + strlen("\", time: ");
    int64_t t = go_duration(from, from + strcspn(from, ",\n"));
    *at = 0;
    for (const char *c = text + 7; *c && k < sizeof(plain) - 1; c++) {
        if (*c == '\\' && c[1])
            c++;
        plain[k++] = *c;
    }
    plain[k] = 0;
    for (size_t i = 0; i < N_EXPRS; i++)
        for (size_t j = 0; j < N_TIMES; j++)
            if (times_ms[j] == t && !strcmp(EXPRS[i].expr, plain))
                return (long)(i * N_TIMES + j);
    return -1;
}

// expression and time -> what promtool has; an empty result passes silently and is not printed.
static void ask_promtool(const char *file, char **got)
{
    char cmd[1200], *line = NULL;
    size_t cap = 0;
    long at = -1;
    snprintf(cmd, sizeof(cmd), "promtool test rules %s 2>&1", file);
    FILE *p = popen(cmd, "re");
    CU_ASSERT_FATAL(p != NULL);
    while (getline(&line, &cap, p) > 0) {
        char *g = strstr(line, "got:");
        if (strstr(line, "expr: \"") && strstr(line, ", time: ")) {
            bool failed = strstr(line, "err:") != NULL;
            at = evaluation_of(line);
            if (failed && at >= 0 && !got[at])
                got[at] = strdup("ERROR");
        } else if (g && at >= 0 && !got[at]) {
            g += 4;
            g[strcspn(g, "\n")] = 0;
            while (*g == ' ')
                g++;
            got[at] = strdup(g);
        }
    }
    free(line);
    pclose(p);
}

struct tally {
    size_t compared, elements, wrong;
};

static void compare(struct eval *ev, size_t i, char **got, struct tally *tally)
{
    struct arena a;
    struct expr_root x;
    struct parse_error pe = {0};
    arena_init(&a, 0);
    if (expr_parse(EXPRS[i].expr, strlen(EXPRS[i].expr), &a, &x, &pe) != 0) {
        printf("not parsed: %s: %s\n", EXPRS[i].expr, pe.msg);
        tally->wrong++;
        arena_done(&a);
        return;
    }
    for (size_t t = 0; t < N_TIMES; t++) {
        struct value v = {0};
        struct err why = {0};
        const char *theirs = got[i * N_TIMES + t] ? got[i * N_TIMES + t] : "nil";
        eval_reset(ev);
        int rc = eval_instant(ev, &x, NULL, times_ms[t], &v, &why);
        int n = rc < 0 ? (strcmp(theirs, "ERROR") ? -1 : 0)
                       : count_and_match(theirs, &v, &EXPRS[i]);
        tally->compared++;
        if (n >= 0) {
            tally->elements += (size_t)n;
            continue;
        }
        if (tally->wrong++ > 20)
            continue;
        printf("differs: %s at %lld ms: promtool %.300s; here %s %zu\n", EXPRS[i].expr,
            (long long)times_ms[t], theirs, rc < 0 ? why.msg : "elements", v.vector.n);
        for (size_t k = 0; rc == 0 && k < v.vector.n && k < 3; k++)
            printf("   [%d] %.17g\n", (int)v.vector.e[k].state, v.vector.e[k].value);
    }
    expr_done(&x);
    arena_done(&a);
}

static void one_round(struct tally *tally)
{
    char rules[512];
    snprintf(rules, sizeof(rules), "%s/oracle.yml", test_tmpdir());
    FILE *f = fopen(rules, "we");
    CU_ASSERT_FATAL(f != NULL);
    struct memory_source *m = memory_source_new();
    for (size_t t = 6; t < N_TIMES; t++)
        times_ms[t] = (int64_t)(690000 * random_unit());
    fprintf(f, "evaluation_interval: 1s\ntests:\n  - interval: 5s\n    input_series:\n");
    all_series(f, m);
    fprintf(f, "    promql_expr_test:\n");
    for (size_t i = 0; i < N_EXPRS; i++)
        for (size_t t = 0; t < N_TIMES; t++)
            fprintf(f, "      - expr: '%s'\n        eval_time: %lldms\n", EXPRS[i].expr,
                (long long)times_ms[t]);
    // Samples are loaded up to the last evaluation only.
    fprintf(f, "      - expr: 'vector(1)'\n        eval_time: 700s\n");
    fclose(f);
    char **got = calloc(N_EXPRS * N_TIMES, sizeof(*got));
    CU_ASSERT_FATAL(got != NULL);
    ask_promtool(rules, got);
    struct source src = memory_source_interface(m);
    struct eval_options o = {.compat_2_42 = true, .parity = true, .subquery_step_ms = 1000};
    struct eval *ev = eval_new(&src, &o);
    for (size_t i = 0; i < N_EXPRS; i++)
        compare(ev, i, got, tally);
    for (size_t i = 0; i < N_EXPRS * N_TIMES; i++)
        free(got[i]);
    free(got);
    eval_free(ev);
    memory_source_free(m);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void agrees_with_promtool(void)
{
    const char *limit = getenv("DIFFERENTIAL_SECONDS"), *from = getenv("DIFFERENTIAL_SEED");
    double start = now_s(), seconds = limit ? strtod(limit, NULL) : 4, longest = 0;
    uint64_t first = from ? strtoull(from, NULL, 10) : 1, n = 0;
    struct tally tally = {0};
    if (system("promtool --version 2>&1 | grep -q 'version 2.42'") != 0) {
        printf("skipped: needs promtool 2.42 (Debian 12's prometheus package)\n");
        return;
    }
    // At least one round; another one only when it is likely to end in time.
    for (double t = start; !n || (!tally.wrong && now_s() - start + longest < seconds); n++) {
        seed = 88172645463325252ULL ^ ((first + n) * 0x9e3779b97f4a7c15ULL);
        one_round(&tally);
        longest = fmax(longest, now_s() - t);
        t = now_s();
    }
    printf("seeds %llu to %llu: %zu evaluations of %zu expressions compared, %zu elements, %zu "
           "differ\n",
        (unsigned long long)first, (unsigned long long)(first + n - 1), tally.compared, N_EXPRS,
        tally.elements, tally.wrong);
    CU_ASSERT_EQUAL(tally.wrong, 0);
    CU_ASSERT_TRUE(tally.compared > 1000 && tally.elements > 2000);
}

static const struct test TESTS[] = {
    {"every expression equals promtool's result", agrees_with_promtool},
};

int main(void)
{
    return test_main("differential", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
