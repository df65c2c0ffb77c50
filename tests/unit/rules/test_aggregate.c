// SPDX-License-Identifier: Apache-2.0
// Aggregations: groups, NaN, and members that are filtered or silent.
#include "tests/unit/rules/scene.h"

#define LONG_AGO (-400000)

// k=x: live, live, silent; k=y: two silent; k=z: one live, filtered by `> 0`.
static void open_groups(struct scene *s)
{
    static const char *const SILENT[] = {
        "v{i=\"3\",k=\"x\"}", "v{i=\"4\",k=\"y\"}", "v{i=\"5\",k=\"y\"}"};
    scene_open(s);
    scene_put(s, "v{i=\"1\",k=\"x\"}", 9000, 1);
    scene_put(s, "v{i=\"2\",k=\"x\"}", 9000, 4);
    scene_put(s, "v{i=\"6\",k=\"z\"}", 9000, -1);
    for (size_t i = 0; i < 3; i++) {
        scene_put(s, SILENT[i], LONG_AGO, 100 + (double)i);
        scene_silence(s, SILENT[i]);
    }
}

static void some_or_all_silent(void)
{
    static const struct {
        const char *op, *x, *z;
    } CASES[] = {{"sum", "5", "-1"}, {"avg", "2.5", "-1"}, {"min", "1", "-1"},
        {"max", "4", "-1"}, {"count", "2", "1"}, {"group", "1", "1"}, {"stddev", "1.5", "0"},
        {"stdvar", "2.25", "0"}};
    struct scene s;
    open_groups(&s);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char expr[64], expected[200];
        snprintf(expr, sizeof(expr), "%s by (k) (v)", CASES[i].op);
        snprintf(expected, sizeof(expected), "{k=\"x\"} %s; {k=\"y\"} ?102; {k=\"z\"} %s",
            CASES[i].x, CASES[i].z);
        check(&s, expr, expected);
        snprintf(expr, sizeof(expr), "%s by (k) (v > 0)", CASES[i].op);
        snprintf(expected, sizeof(expected), "{k=\"x\"} %s; {k=\"y\"} ?102", CASES[i].x);
        check(&s, expr, expected);
    }
    check(&s, "quantile by (k) (0.5, v)", "{k=\"x\"} 2.5; {k=\"y\"} ?102; {k=\"z\"} -1");
    check(&s, "sum(v{k=\"y\"})", "{} ?102");
    check(&s, "sum(v)", "{} 4");
    check(&s, "sum(nothing)", "");
    check(&s, "count(v > 1000)", "{} ?102");
    check(&s, "count(v{k=\"z\"} > 1000)", "");
    check(&s, "sum by (k) (v) > 3", "{k=\"x\"} 5; {k=\"y\"} ?102");
    scene_close(&s);
}

static void topk_states(void)
{
    struct scene s;
    open_groups(&s);
    check(&s, "topk(1, v)", "v{i=\"2\", k=\"x\"} 4");
    check(&s, "bottomk(1, v{k=\"x\"})", "v{i=\"1\", k=\"x\"} 1");
    check(&s, "topk by (k) (1, v)",
        "v{i=\"2\", k=\"x\"} 4; v{i=\"5\", k=\"y\"} ?102; v{i=\"6\", k=\"z\"} -1");
    check(&s, "topk(9, v{k=\"x\"})", "v{i=\"1\", k=\"x\"} 1; v{i=\"2\", k=\"x\"} 4");
    check(&s, "topk(9, v > 2)", "v{i=\"2\", k=\"x\"} 4");
    check(&s, "topk(0, v)", "");
    check(&s, "topk(NaN, v)", "the parameter of topk is NaN");
    scene_close(&s);
}

static void count_values_states(void)
{
    struct scene s;
    open_groups(&s);
    check(&s, "count_values(\"n\", v)",
        "{n=\"-1\"} 1; {n=\"1\"} 1; {n=\"100\"} ?0; {n=\"101\"} ?0; {n=\"102\"} ?0; "
        "{n=\"4\"} 1");
    check(&s, "count_values by (k) (\"n\", v > 0)",
        "{k=\"x\", n=\"1\"} 1; {k=\"x\", n=\"100\"} ?0; {k=\"x\", n=\"4\"} 1; "
        "{k=\"y\", n=\"101\"} ?0; {k=\"y\", n=\"102\"} ?0");
    scene_close(&s);
}

static void nan_members(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "v{i=\"1\"}", 9000, NAN);
    scene_put(&s, "v{i=\"2\"}", 9000, 3);
    scene_put(&s, "v{i=\"3\"}", 9000, -INFINITY);
    check(&s, "min(v{i!=\"3\"})", "{} 3");
    check(&s, "max(v{i!=\"3\"})", "{} 3");
    check(&s, "max(v{i=\"1\"})", "{} nan");
    check(&s, "sum(v)", "{} nan");
    check(&s, "sum(v{i!=\"1\"})", "{} -inf");
    check(&s, "avg(v{i!=\"1\"})", "{} -inf");
    check(&s, "topk(1, v)", "v{i=\"2\"} 3");
    check(&s, "bottomk(1, v)", "v{i=\"3\"} -inf");
    check(&s, "quantile(0, v)", "{} nan"); // NaN sorts first
    check(&s, "count(v)", "{} 3");
    check(&s, "quantile(2, v)", "{} inf");
    check(&s, "quantile(-1, v)", "{} -inf");
    scene_close(&s);
}

static void sums_are_compensated(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "v{i=\"1\"}", 9000, 1e100);
    scene_put(&s, "v{i=\"2\"}", 9000, 1);
    scene_put(&s, "v{i=\"3\"}", 9000, -1e100);
    scene_put(&s, "v{i=\"4\"}", 9000, 1);
    check(&s, "sum(v)", "{} 2");
    check(&s, "avg(v)", "{} 0.5");
    scene_put(&s, "w{i=\"1\"}", 9000, 1e308);
    scene_put(&s, "w{i=\"2\"}", 9000, 1e308);
    check(&s, "sum(w)", "{} inf");
    check(&s, "avg(w)", "{} 1e+308");
    scene_close(&s);
}

static void group_labels(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "v{i=\"1\",k=\"x\"}", 9000, 1);
    scene_put(&s, "w{i=\"1\",k=\"x\"}", 9000, 2);
    check(&s, "sum({i=\"1\"})", "{} 3");
    check(&s, "sum by (__name__) ({i=\"1\"})", "v 1; w 2");
    check(&s, "sum by (k, none) ({i=\"1\"})", "{k=\"x\"} 3");
    check(&s, "sum without (i) ({i=\"1\"})", "{k=\"x\"} 3");
    check(&s, "sum without () (v)", "{i=\"1\", k=\"x\"} 1");
    check(&s, "sum by () (v)", "{} 1");
    scene_close(&s);
}

static const struct test TESTS[] = {
    {"a group is silent only when all its members are", some_or_all_silent},
    {"topk takes silent members only when there are no others", topk_states},
    {"count_values counts nothing for a silent member", count_values_states},
    {"NaN and infinities in a group", nan_members},
    {"sums keep what cancels, averages do not overflow", sums_are_compensated},
    {"by and without", group_labels},
};

int main(void)
{
    return test_main("aggregate", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
