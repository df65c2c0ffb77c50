// SPDX-License-Identifier: Apache-2.0
// Differential test: random series and a list of expressions, evaluated here and by promtool 2.42
// (an expectation that cannot hold makes it print what it got), compared number by number.
#include "base/num.h"
#include "rules/eval.h"
#include "rules/memory_source.h"
#include "rules/parse.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_MS 5000
#define SAMPLES 140

struct wanted {
    const char *expr;
    double tolerance; // 0 = to the bit
};
static const struct wanted EXPRS[] = {
// abs() because 2.42 kept the metric name after atan2.
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
    NEAR("abs(c atan2 g)"),
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
    EXACT("-g ^ 2"),
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
};
static const double TIMES_S[] = {
    60, 61.5, 123.456, 200, 300, 333.333, 430.001, 555, 600.25, 690};
#define N_EXPRS (sizeof(EXPRS) / sizeof(EXPRS[0]))
#define N_TIMES (sizeof(TIMES_S) / sizeof(TIMES_S[0]))

static uint64_t seed = 88172645463325252ULL;
static double random_unit(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

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
        else if (kind >= 10)
            v += floor(random_unit() * (kind - 9));
        double q = random_unit();
        if (q < 0.03 && kind < 10) {
            fprintf(f, "_ ");
            continue;
        }
        if (q < 0.04 && kind < 2) {
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

static void agrees_with_promtool(void)
{
    if (system("command -v promtool >/dev/null 2>&1") != 0) {
        printf("SKIP: promtool is not installed\n");
        return;
    }
    char rules[512], cmd[1200];
    snprintf(rules, sizeof(rules), "%s/oracle.yml", test_tmpdir());
    FILE *f = fopen(rules, "we");
    CU_ASSERT_FATAL(f != NULL);
    struct memory_source *m = memory_source_new();
    fprintf(f, "evaluation_interval: 1s\ntests:\n  - interval: 5s\n    input_series:\n");
    all_series(f, m);
    fprintf(f, "    promql_expr_test:\n");
    for (size_t i = 0; i < N_EXPRS; i++)
        for (size_t t = 0; t < N_TIMES; t++)
            fprintf(f, "      - expr: '%s'\n        eval_time: %lldms\n", EXPRS[i].expr,
                llround(TIMES_S[t] * 1000));
    // Samples are loaded up to the last evaluation only.
    fprintf(f, "      - expr: 'vector(1)'\n        eval_time: 700s\n");
    fclose(f);
    snprintf(cmd, sizeof(cmd), "promtool test rules %s 2>&1", rules);
    FILE *p = popen(cmd, "re");
    CU_ASSERT_FATAL(p != NULL);
    char *line = NULL;
    size_t cap = 0;
    // expr+time -> what promtool has; an empty result passes silently and is not printed.
    char **got = calloc(N_EXPRS * N_TIMES, sizeof(*got));
    long at = -1;
    while (getline(&line, &cap, p) > 0) {
        char *e = strstr(line, "expr: \""), *g = strstr(line, "got:");
        if (e && strstr(line, ", time: ")) {
            char *tm = strstr(line, "\", time: ");
            at = -1;
            if (!tm)
                continue;
            char *end = strpbrk(tm + 9, ",\n");
            // As Go prints a duration: 1m1.5s.
            double s = 0;
            for (char *c = tm + 9; c < end;) {
                double x = strtod(c, &c);
                if (c[0] == 'h')
                    s += 3600 * x;
                else if (c[0] == 'm' && c[1] != 's')
                    s += 60 * x;
                else
                    s += c[0] == 'm' ? x / 1000 : x;
                while (c < end && (*c < '0' || *c > '9'))
                    c++;
            }
            *tm = 0;
            // The expression is printed with quotes escaped.
            char plain[512];
            size_t k = 0;
            for (char *c = e + 7; *c && k < sizeof(plain) - 1; c++) {
                if (*c == '\\' && c[1])
                    c++;
                plain[k++] = *c;
            }
            plain[k] = 0;
            for (size_t i = 0; i < N_EXPRS; i++)
                for (size_t t = 0; t < N_TIMES; t++)
                    if (!strcmp(EXPRS[i].expr, plain) && fabs(TIMES_S[t] - s) < 1e-6)
                        at = (long)(i * N_TIMES + t);
            if (strstr(tm + 1, "err:") && at >= 0)
                got[at] = strdup("ERROR");
        }
        if (g && at >= 0) {
            g += 4;
            g[strcspn(g, "\n")] = 0;
            while (*g == ' ')
                g++;
            got[at] = strdup(g);
        }
    }
    free(line);
    pclose(p);
    struct source src = memory_source_interface(m);
    struct eval_options o = {.compat_2_42 = true, .parity = true, .subquery_step_ms = 1000};
    struct eval *ev = eval_new(&src, &o);
    size_t compared = 0, elements = 0, wrong = 0;
    for (size_t i = 0; i < N_EXPRS; i++) {
        struct arena a;
        struct expr_root x;
        struct parse_error pe = {0};
        arena_init(&a, 0);
        if (expr_parse(EXPRS[i].expr, strlen(EXPRS[i].expr), &a, &x, &pe) != 0) {
            printf("not parsed: %s: %s\n", EXPRS[i].expr, pe.msg);
            wrong++;
            arena_done(&a);
            continue;
        }
        for (size_t t = 0; t < N_TIMES; t++) {
            struct value v = {0};
            struct err why = {0};
            const char *theirs = got[i * N_TIMES + t] ? got[i * N_TIMES + t] : "nil";
            eval_reset(ev);
            int rc = eval_instant(ev, &x, NULL, llround(TIMES_S[t] * 1000), &v, &why);
            int n = rc < 0 ? (strcmp(theirs, "ERROR") ? -1 : 0)
                           : count_and_match(theirs, &v, &EXPRS[i]);
            compared++;
            if (n < 0) {
                wrong++;
                printf("differs: %s at %g: promtool %.300s; here %s %zu\n", EXPRS[i].expr,
                    TIMES_S[t], theirs, rc < 0 ? why.msg : "elements", v.vector.n);
                for (size_t k = 0; rc == 0 && k < v.vector.n && k < 3; k++)
                    printf("   [%d] %.17g\n", (int)v.vector.e[k].state, v.vector.e[k].value);
            } else {
                elements += (size_t)n;
            }
        }
        expr_done(&x);
        arena_done(&a);
    }
    printf("%zu evaluations of %zu expressions compared, %zu elements, %zu differ\n", compared,
        N_EXPRS, elements, wrong);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(compared > 1000 && elements > 2000);
    for (size_t i = 0; i < N_EXPRS * N_TIMES; i++)
        free(got[i]);
    free(got);
    eval_free(ev);
    memory_source_free(m);
}

static const struct test TESTS[] = {
    {"every expression equals promtool's result", agrees_with_promtool}};

int main(void)
{
    return test_main("promtool", TESTS, 1);
}
