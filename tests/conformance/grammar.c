// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/grammar.h"
#include "rules/parse.h"
#include "tests/conformance/accuracy.h"
#include <string.h>

enum shape { EACH, GROUPS, ONE };

struct making {
    struct random *r;
    int depth; // left
};

static void vector(struct making m, enum shape shape, struct buf *out);
static void scalar(struct making m, struct buf *out);

static struct making deeper(struct making m)
{
    m.depth--;
    return m;
}

// How equal a piece of text will be; texts that are no expression are unstable.
static enum accuracy accuracy_of_text(const char *text)
{
    struct arena a;
    struct expr_root x;
    struct parse_error e;
    enum accuracy ret = ACCURACY_UNSTABLE;
    arena_init(&a, 0);
    if (expr_parse(text, strlen(text), &a, &x, &e) == 0) {
        ret = accuracy_of(x.root);
        expr_done(&x);
    }
    arena_done(&a);
    return ret;
}

static const char *duration(struct random *r)
{
    static const char *const D[] = {"1m", "1m", "5m", "5m", "37s", "2m30s", "90s", "15s", "10s",
        "10m", "61s1ms", "45s", "5s", "20s"};
    return RANDOM_PICK(r, D);
}

static const char *number(struct random *r)
{
    static const char *const N[] = {"0", "1", "2", "-1", "50", "20", "0.5", "3", "100",
        "37.1234567", "0.0137123", "12.7654321", "1e3", "-2.5", "60", "NaN", "Inf"};
    return RANDOM_PICK(r, N);
}

// Offset and @ of a selector or subquery.
static void modifiers(struct random *r, struct buf *out)
{
    static const char *const O[] = {
        " offset 1m", " offset 30s", " offset 5m", " offset 7s", " offset 1ms", " offset -30s"};
    static const char *const A[] = {" @ 300", " @ 123.456", " @ end()", " @ start()"};
    if (random_chance(r, 0.12))
        buf_adds(out, RANDOM_PICK(r, O));
    if (random_chance(r, 0.04))
        buf_adds(out, RANDOM_PICK(r, A));
}

static void matchers(struct random *r, struct buf *out)
{
    static const char *const M[] = {"i=\"1\"", "i!=\"2\"", "i=~\"1|3\"", "i!~\"0|2\"",
        "k=\"odd\"", "k!=\"odd\"", "k=~\"o.*\"", "k!~\".+ven\"", "i=~\"[0-2]\"", "none=\"\"",
        "i!=\"\"", "k=~\"odd|even\"", "k=~\".+\"", "x!~\"y\""};
    if (!random_chance(r, 0.3))
        return;
    buf_addf(out, "{%s", RANDOM_PICK(r, M));
    if (random_chance(r, 0.3))
        buf_addf(out, ",%s", RANDOM_PICK(r, M));
    buf_addc(out, '}');
}

static void selector(struct random *r, bool counter, struct buf *out)
{
    static const char *const ANY[] = {"c", "c", "g", "g", "g", "d", "d", "up", "slow"};
    static const char *const COUNTERS[] = {"c", "c", "c", "slow", "d"};
    buf_adds(out, counter ? RANDOM_PICK(r, COUNTERS) : RANDOM_PICK(r, ANY));
    matchers(r, out);
}

// A range of what has the shape: of a selector, or a subquery.
static void range(struct making m, enum shape shape, bool counter, struct buf *out)
{
    static const char *const STEPS[] = {"10s", "30s", "7s", "", "1m", "15s"};
    struct random *r = m.r;
    if (m.depth <= 1 || (shape == EACH && random_chance(r, 0.75))) {
        if (shape == GROUPS)
            buf_adds(out, "info");
        else
            selector(r, counter, out);
        buf_addf(out, "[%s]", duration(r));
    } else {
        buf_addc(out, '(');
        vector(deeper(m), shape, out);
        buf_addf(out, ")[%s:%s]", duration(r), RANDOM_PICK(r, STEPS));
    }
    modifiers(r, out);
}

static void range_call(struct making m, enum shape shape, struct buf *out)
{
    static const char *const COUNTER[] = {
        "rate", "rate", "increase", "irate", "resets", "changes"};
    static const char *const ANY[] = {"delta", "idelta", "changes", "avg_over_time",
        "min_over_time", "max_over_time", "sum_over_time", "count_over_time",
        "stddev_over_time", "stdvar_over_time", "last_over_time", "present_over_time", "deriv"};
    struct random *r = m.r;
    double dice = random_unit(r);
    if (dice < 0.35) {
        buf_addf(out, "%s(", RANDOM_PICK(r, COUNTER));
        range(m, shape, true, out);
    } else if (dice < 0.85) {
        buf_addf(out, "%s(", RANDOM_PICK(r, ANY));
        range(m, shape, false, out);
    } else if (dice < 0.93) {
        static const char *const Q[] = {"0.9", "0.5", "0", "1", "0.37", "-1", "2"};
        buf_addf(out, "quantile_over_time(%s, ", RANDOM_PICK(r, Q));
        range(m, shape, false, out);
    } else {
        buf_adds(out, "predict_linear(");
        range(m, shape, false, out);
        buf_adds(out, ", 600");
    }
    buf_addc(out, ')');
}

static void plain_call(struct making m, enum shape shape, struct buf *out)
{
    static const char *const F[] = {"abs", "ceil", "floor", "round", "sgn", "sqrt", "ln",
        "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "tanh", "asinh", "acosh",
        "atanh", "deg", "rad", "timestamp", "sort", "sort_desc"};
    // Of NaN and Inf Prometheus has the date its processor makes of them, so not of anything.
    static const char *const DATES[] = {"hour", "minute", "month", "year", "day_of_month",
        "day_of_week", "day_of_year", "days_in_month"};
    static const char *const GROW[] = {"exp", "sinh", "cosh"};
    struct random *r = m.r;
    switch (random_below(r, 11)) {
    case 4:
        buf_addf(out, "%s(timestamp(", RANDOM_PICK(r, DATES));
        vector(deeper(m), shape, out);
        buf_adds(out, random_chance(r, 0.5) ? ") * 86400)" : "))");
        break;
    case 0:
        buf_adds(out, "clamp(");
        vector(deeper(m), shape, out);
        buf_addf(out, ", %s, %s)", number(r), number(r));
        break;
    case 1:
        buf_addf(out, "clamp_%s(", random_chance(r, 0.5) ? "min" : "max");
        vector(deeper(m), shape, out);
        buf_adds(out, ", ");
        scalar(deeper(m), out);
        buf_addc(out, ')');
        break;
    case 2:
        buf_adds(out, "round(");
        vector(deeper(m), shape, out);
        buf_adds(out, random_chance(r, 0.5) ? ", 10)" : ", 0.3)");
        break;
    case 3:
        buf_adds(out, "(-");
        vector(deeper(m), shape, out);
        buf_addc(out, ')');
        break;
    case 5: // grows fast: what is a rounding error before is one no more
        buf_addf(out, "%s(clamp(", RANDOM_PICK(r, GROW));
        vector(deeper(m), shape, out);
        buf_adds(out, ", -9, 9))");
        break;
    default:
        buf_addf(out, "%s(", RANDOM_PICK(r, F));
        vector(deeper(m), shape, out);
        buf_addc(out, ')');
    }
}

static void label_call(struct making m, enum shape shape, struct buf *out)
{
    static const char *const ARGS[] = {", \"m\", \"<$1>\", \"k\", \"(.).*\")",
        ", \"m\", \"${x}-$2\", \"k\", \"(?P<x>.)(.*)\")", ", \"m\", \"\", \"k\", \"odd\")",
        ", \"z\", \"$1\", \"i\", \"([0-2])\")", ", \"m\", \"same\", \"\", \"\")"};
    bool replace = random_chance(m.r, 0.6);
    buf_adds(out, replace ? "label_replace(" : "label_join(");
    vector(deeper(m), shape, out);
    buf_adds(out, replace                   ? RANDOM_PICK(m.r, ARGS)
                  : random_chance(m.r, 0.5) ? ", \"m\", \"-\", \"k\", \"i\")"
                                            : ", \"m\", \"\", \"i\")");
}

static const char *matching_of(struct random *r, enum shape shape)
{
    static const char *const OF_EACH[] = {"", "", "", " on(i, k)", " on(i)", " ignoring(k)",
        " ignoring()", " ignoring(m, z)", " on(i, k, m)", " on(k)"};
    static const char *const OF_GROUPS[] = {" on(k)", " on(k)", " ignoring(z)", ""};
    static const char *const OF_ONE[] = {"", "", " on()", " ignoring(k)"};
    return shape == EACH     ? RANDOM_PICK(r, OF_EACH)
           : shape == GROUPS ? RANDOM_PICK(r, OF_GROUPS)
                             : RANDOM_PICK(r, OF_ONE);
}

static const char *operator_of(struct random *r, bool *compares)
{
    static const char *const ARITHMETIC[] = {"+", "-", "*", "/", "%", "^"};
    static const char *const COMPARES[] = {"==", "!=", ">", "<", ">=", "<="};
    *compares = random_chance(r, 0.5);
    return *compares ? RANDOM_PICK(r, COMPARES) : RANDOM_PICK(r, ARITHMETIC);
}

static void with_scalar(struct making m, enum shape shape, struct buf *out)
{
    bool compares;
    const char *op = operator_of(m.r, &compares);
    const char *plus = compares && random_chance(m.r, 0.3) ? " bool" : "";
    bool first = random_chance(m.r, 0.25);
    buf_addc(out, '(');
    if (first)
        scalar(deeper(m), out);
    else
        vector(deeper(m), shape, out);
    buf_addf(out, " %s%s ", op, plus);
    if (first)
        vector(deeper(m), shape, out);
    else if (random_chance(m.r, 0.7))
        buf_adds(out, number(m.r));
    else
        scalar(deeper(m), out);
    buf_addc(out, ')');
}

static void one_to_one(struct making m, enum shape shape, struct buf *out)
{
    bool compares;
    if (random_chance(m.r, 0.05)) {
        // 2.42 kept the metric name after atan2, so something around it takes it away.
        buf_adds(out, "abs(");
        vector(deeper(m), shape, out);
        buf_addf(out, " atan2%s ", matching_of(m.r, shape));
        vector(deeper(m), shape, out);
        buf_addc(out, ')');
        return;
    }
    const char *op = operator_of(m.r, &compares);
    buf_addc(out, '(');
    vector(deeper(m), shape, out);
    buf_addf(out, " %s%s%s ", op, compares && random_chance(m.r, 0.3) ? " bool" : "",
        matching_of(m.r, shape));
    vector(deeper(m), shape, out);
    buf_addc(out, ')');
}

// EACH beside GROUPS or ONE.
static void many_to_one(struct making m, struct buf *out)
{
    static const char *const INCLUDES[] = {"", "", "()", "(z)", "(m)"};
    bool compares, left = random_chance(m.r, 0.7), groups = random_chance(m.r, 0.7);
    const char *op = operator_of(m.r, &compares);
    const char *include = RANDOM_PICK(m.r, INCLUDES);
    const char *on = !groups ? (random_chance(m.r, 0.5) ? "on()" : "ignoring(i, k)")
                     : random_chance(m.r, 0.7) ? "on(k)"
                                               : "ignoring(i, z)";
    enum shape other = groups ? GROUPS : ONE;
    buf_addc(out, '(');
    vector(deeper(m), left ? EACH : other, out);
    buf_addf(out, " %s%s %s group_%s%s ", op,
        compares && random_chance(m.r, 0.3) ? " bool" : "", on, left ? "left" : "right",
        include);
    vector(deeper(m), left ? other : EACH, out);
    buf_addc(out, ')');
}

static void set_operation(struct making m, enum shape shape, struct buf *out)
{
    static const char *const OPS[] = {"and", "or", "unless"};
    enum shape other = random_chance(m.r, 0.7) ? shape : (enum shape)random_below(m.r, 3);
    buf_addc(out, '(');
    vector(deeper(m), shape, out);
    buf_addf(out, " %s%s ", RANDOM_PICK(m.r, OPS),
        other == shape                 ? matching_of(m.r, shape)
        : shape == ONE || other == ONE ? " on()"
                                       : " on(k)");
    vector(deeper(m), other, out);
    buf_addc(out, ')');
}

static void aggregate(struct making m, enum shape shape, struct buf *out)
{
    static const char *const OPS[] = {"sum", "sum", "sum", "avg", "avg", "min", "max", "count",
        "group", "stddev", "stdvar", "quantile"};
    static const char *const Q[] = {"0.9, ", "0.5, ", "0, ", "1, ", "0.37, "};
    const char *op = RANDOM_PICK(m.r, OPS);
    const char *param = strcmp(op, "quantile") == 0 ? RANDOM_PICK(m.r, Q) : "";
    const char *by = shape == ONE              ? (random_chance(m.r, 0.8) ? "" : " by ()")
                     : random_chance(m.r, 0.7) ? " by (k)"
                                               : " without (i, z, m, p)";
    bool before = random_chance(m.r, 0.5);
    buf_addf(out, "%s%s(%s", op, before ? by : "", param);
    if (random_chance(m.r, 0.06))
        buf_adds(out, "pod");
    else
        vector(deeper(m), shape == ONE && random_chance(m.r, 0.3) ? GROUPS : EACH, out);
    buf_addf(out, ")%s", before ? "" : by);
}

// Chooses elements, keeps their labels.
static void choose(struct making m, struct buf *out)
{
    const char *op = random_chance(m.r, 0.6) ? "topk" : "bottomk";
    buf_addf(out, "%s%s(%d, ", op, random_chance(m.r, 0.4) ? " by (k)" : "",
        1 + random_below(m.r, 3));
    buf_adds(out, "g");
    matchers(m.r, out);
    buf_adds(out, " >= 0)"); // without the NaN, which are all the same
}

static void of_histogram(struct making m, struct buf *out)
{
    static const char *const Q[] = {"0.9173", "0.5371", "0.0137", "0.9913"};
    buf_addf(out, "histogram_quantile(%s, sum by (le) (rate(h_bucket[%s])))",
        RANDOM_PICK(m.r, Q), duration(m.r));
}

static void of_one(struct making m, struct buf *out)
{
    switch (random_below(m.r, 8)) {
    case 0:
        buf_adds(out, "vector(");
        scalar(deeper(m), out);
        buf_addc(out, ')');
        break;
    case 1:
        buf_adds(out, random_chance(m.r, 0.5) ? "absent(" : "absent(nothing and ");
        vector(deeper(m), EACH, out);
        buf_addc(out, ')');
        break;
    case 2:
        buf_adds(out, "absent_over_time(");
        range(m, EACH, false, out);
        buf_addc(out, ')');
        break;
    case 3: of_histogram(m, out); break;
    case 4: {
        static const char *const K[] = {"sum(topk(2, d))", "sum(bottomk(3, c))",
            "absent(nothing{a=\"b\",c=~\"d\"})", "hour()", "minute()",
            "sum(rate(h_sum[5m])) / sum(rate(h_count[5m]))", "absent(up == 1)",
            "count(count by (p) (pod))"};
        buf_addf(out, "(%s)", RANDOM_PICK(m.r, K));
        break;
    }
    default: aggregate(m, ONE, out);
    }
}

static void any_vector(struct making m, enum shape shape, struct buf *out)
{
    struct random *r = m.r;
    double dice = random_unit(r);
    if (m.depth <= 0 || (m.depth < 3 && dice < 0.12)) {
        if (shape == ONE) {
            buf_addf(out, "%s(", random_chance(r, 0.5) ? "sum" : "max");
            selector(r, false, out);
            buf_addc(out, ')');
        } else if (shape == GROUPS) {
            buf_adds(out, random_chance(r, 0.7) ? "info" : "max by (k) (d)");
        } else {
            selector(r, false, out);
            modifiers(r, out);
        }
    } else if (dice < 0.32) {
        range_call(m, shape == EACH || m.depth > 1 ? shape : GROUPS, out);
    } else if (dice < 0.42) {
        plain_call(m, shape, out);
    } else if (dice < 0.46) {
        label_call(m, shape, out);
    } else if (dice < 0.60) {
        with_scalar(m, shape, out);
    } else if (dice < 0.70) {
        one_to_one(m, shape, out);
    } else if (dice < 0.78) {
        set_operation(m, shape, out);
    } else if (dice < 0.80) {
        vector(m, (enum shape)random_below(r, 3), out); // a misfit
    } else if (shape == EACH) {
        if (dice < 0.92)
            many_to_one(m, out);
        else
            choose(m, out);
    } else if (shape == GROUPS) {
        aggregate(m, GROUPS, out);
    } else {
        of_one(m, out);
    }
}

// A piece that would be unstable is made again.
static void vector(struct making m, enum shape shape, struct buf *out)
{
    struct buf piece;
    buf_init(&piece, 65536);
    for (int tries = 0; tries < 20; tries++) {
        buf_reset(&piece);
        any_vector(m, shape, &piece);
        if (accuracy_of_text(buf_cstr(&piece)) != ACCURACY_UNSTABLE)
            break;
        buf_reset(&piece);
    }
    buf_adds(out, piece.len ? buf_cstr(&piece) : shape == ONE ? "vector(1)" : "d");
    buf_done(&piece);
}

static void scalar(struct making m, struct buf *out)
{
    double dice = random_unit(m.r);
    if (m.depth <= 0 || dice < 0.5) {
        buf_adds(out, number(m.r));
    } else if (dice < 0.65) {
        buf_adds(out, "time()");
    } else if (dice < 0.85) {
        buf_adds(out, "scalar(");
        vector(deeper(m), random_chance(m.r, 0.8) ? ONE : EACH, out);
        buf_addc(out, ')');
    } else if (dice < 0.9) {
        buf_adds(out, "pi()");
    } else {
        buf_addc(out, '(');
        scalar(deeper(m), out);
        buf_addf(out, " %s ", random_chance(m.r, 0.5) ? "+" : "*");
        scalar(deeper(m), out);
        buf_addc(out, ')');
    }
}

// Extremes: only what is exact by nature.
static void extreme(struct random *r, struct buf *out)
{
    static const char *const F[] = {"abs(n)", "ceil(n)", "floor(n)", "-n", "sgn(n)", "sqrt(n)",
        "clamp(n, -1, 1)", "clamp_min(n, 0)", "min(n)", "max(n)", "count(n)", "sort(n)",
        "quantile(0.4, n)", "count_values(\"v\", n)", "n * 0", "1 / n", "n != n", "n - n",
        "n or g", "n unless n < 0", "n % 3", "n == bool Inf", "round(n)", "n and n > 0",
        "sort_desc(n)", "group by (i) (n > 0)"};
    static const char *const R[] = {"rate", "increase", "delta", "irate", "idelta", "changes",
        "resets", "min_over_time", "max_over_time", "count_over_time", "last_over_time",
        "present_over_time"};
    if (random_chance(r, 0.5))
        buf_adds(out, RANDOM_PICK(r, F));
    else
        buf_addf(out, "%s(n[%s])", RANDOM_PICK(r, R), duration(r));
}

// What fits no shape: several names at once, values as labels, buckets by themselves.
static void odd_one(struct random *r, struct buf *out)
{
    static const char *const Q[] = {"0.9", "0.5", "0", "1", "1.5", "-1", "0.99"};
    static const char *const W[] = {"{__name__=~\"c|g\",i!=\"2\"}", "{k=\"odd\",i=\"1\"}",
        "count by (__name__) ({k=~\"o.+\"})", "max_over_time({__name__=~\"d|up\"}[1m])",
        "count_values(\"v\", d)", "count_values by (k) (\"v\", changes(d[5m]))",
        "count_values(\"i\", up)", "pod", "pod offset 1m", "rate(pod[1m])",
        "sum without (p) (pod)", "count by (i) (pod)", "pod and on(i) c", "pod or g",
        "pod * on(k) group_left(z) info", "pod unless pod offset 30s", "time()",
        "scalar(sum(up)) + time()", "label_replace(pod, \"k\", \"\", \"p\", \"p[0-3]\")",
        "time() - timestamp(c)", "h_sum / h_count", "max by (p) (pod) > 10",
        "last_over_time(pod[2m])", "absent_over_time(pod{p=\"p1\"}[1m])", "timestamp(pod)",
        "changes(pod[2m])", "pod > pod offset 10s"};
    static const char *const B[] = {"h_bucket", "b_bucket", "rate(h_bucket[1m])",
        "rate(b_bucket[5m])", "increase(h_bucket[2m30s])", "h_bucket * 2",
        "max by (h, le) (h_bucket)", "rate(h_bucket[1m] offset 1m)",
        "h_bucket > on(h) group_left() (h_count / 2)", "{__name__=~\"[hb]_bucket\",h=\"y\"}"};
    if (random_chance(r, 0.6))
        buf_adds(out, RANDOM_PICK(r, W));
    else
        buf_addf(out, "histogram_quantile(%s, %s)", RANDOM_PICK(r, Q), RANDOM_PICK(r, B));
}

void expression_make(struct random *r, int depth, struct buf *out)
{
    do {
        struct making m = {r, depth};
        double dice = random_unit(r);
        buf_reset(out);
        if (dice < 0.04)
            extreme(r, out);
        else if (dice < 0.14)
            odd_one(r, out);
        else if (dice < 0.17)
            scalar(m, out);
        else
            vector(m, dice < 0.6 ? EACH : dice < 0.8 ? GROUPS : ONE, out);
    } while (out->len > 600 || accuracy_of_text(buf_cstr(out)) == ACCURACY_UNSTABLE);
}
