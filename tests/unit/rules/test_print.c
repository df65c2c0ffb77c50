// SPDX-License-Identifier: Apache-2.0
#include "rules/lex.h"
#include "rules/parse.h"
#include "rules/print.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPRESSIONS "tests/rules/expressions.txt"

static struct buf first, second;

static bool parse(const char *text, struct arena *a, struct expr_root *ret)
{
    struct parse_error e;
    arena_init(a, 0);
    int rc = expr_parse(text, strlen(text), a, ret, &e);
    if (rc < 0)
        arena_done(a);
    return rc == 0;
}

static void done(struct expr_root *x, struct arena *a)
{
    expr_done(x);
    arena_done(a);
}

// Lays text out into `to`; NULL when it is no expression or a comment has no place.
static const char *pretty(const char *text, struct buf *to, struct err *err)
{
    struct expr_root x;
    struct arena a;
    buf_done(to);
    buf_init(to, 1u << 20);
    if (!parse(text, &a, &x))
        return NULL;
    int rc = expr_pretty(&x, to, err);
    done(&x, &a);
    return rc >= 0 ? buf_cstr(to) : NULL;
}

static const struct {
    const char *text, *expected;
} LAYOUTS[] = {
    {" up==0 ", "up == 0"},
    {"sum(x)by(b,a)", "sum by (b, a) (x)"},
    {"SUM  WITHOUT ( instance , ) (x)", "sum without (instance) (x)"},
    {"sum by () (x)", "sum(x)"},
    {"topk( 5,x )", "topk(5, x)"},
    {"up{}", "up"},
    {"{ a = \"b\" , }", "{a=\"b\"}"},
    {"x{b!='1',a=~`\\d+`,}[ 5m ]@ start( )", "x{b!='1',a=~`\\d+`}[5m] @ start()"},
    {"x offset -5m @ 100", "x @ 100 offset -5m"},
    {"rate(x [60m] OFFSET 1w) BY", NULL},
    {"max_over_time(rate(x[5m])[ 1h : 30s ] offset 1m)",
        "max_over_time(rate(x[5m])[1h:30s] offset 1m)"},
    {"a AND ON(x)b OR c UNLESS IGNORING ( y )d", "a and on (x) b or c unless ignoring (y) d"},
    {"a*on(x)group_left b", "a * on (x) group_left () b"},
    {"a*on(x)group_left(z,y)b", "a * on (x) group_left (z, y) b"},
    {"1 >bool 2", "1 > bool 2"},
    {"-x ^ - 2", "-x ^ -2"},
    {"( ( a ) )", "((a))"},
    {"time ( )", "time()"},
    {"0x1F + 1e6 + 5m + .5", "0x1F + 1e6 + 5m + .5"},
    {"{\"a.b\",\"c d\"=\"e\"}", "{\"a.b\",\"c d\"=\"e\"}"},
    {"sum by (service) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (service) "
     "(rate(http_requests_total[5m])) > 0.05 and on (service) service:requests:rate5m > 10",
        "sum by (service) (rate(http_requests_total{code=~\"5..\"}[5m]))\n"
        "    / sum by (service) (rate(http_requests_total[5m]))\n"
        "  > 0.05\n"
        "and on (service)\n"
        "service:requests:rate5m > 10"},
    {"histogram_quantile(0.99, sum by (job, handler, le, code, method) (rate(some_request_duration_seconds_bucket{"
     "job=\"api\",handler!=\"/\"}[5m]))) > 1",
        "histogram_quantile(\n"
        "  0.99,\n"
        "  sum by (job, handler, le, code, method) (\n"
        "    rate(some_request_duration_seconds_bucket{job=\"api\",handler!=\"/\"}[5m])\n"
        "  )\n"
        ")\n"
        "> 1"},
    {"(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa - bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb) / "
     "ccccccccccccccccccccccccccccccccc * 100 > 90",
        "(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa - bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb)\n"
        "  / ccccccccccccccccccccccccccccccccc\n"
        "  * 100\n"
        "> 90"},
    {"-sum(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
     "bbbbbbbbbbbbbbb)",
        "-sum(\n"
        "  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
        "  + bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
        ")"},
    {"avg_over_time((aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa or bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb)"
     "[5m:1m])",
        "avg_over_time(\n"
        "  (\n"
        "    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
        "    or\n"
        "    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
        "  )[5m:1m]\n"
        ")"},
    // Comments.
    {"# why\n# because\nup == 0", "# why\n# because\nup == 0"},
    {"up == 0 # why", "up == 0 # why"},
    {"up == 0\n# why\n", "up == 0\n# why"},
    {"up == 0 # why\n  # and\n", "up == 0 # why\n# and"},
    {"a # one\nand # two\nb", "a # one\nand # two\nb"},
    {"a\n# one\nand\n# two\nb > # three\n1", "a\n# one\nand\n# two\nb\n  > # three\n  1"},
    {"sum( # all\n  x\n  # end\n)", "sum( # all\n  x\n  # end\n)"},
    {"clamp(x, # lower\n0, 5 # upper\n)", "clamp(\n  x, # lower\n  0,\n  5 # upper\n)"},
    {"sum(x) # by job\nby (job)", NULL},
    {"x{ # all\na=\"b\"}", NULL},
    {"sum by ( # these\na) (x)", NULL},
    {"x{a=\"#no comment\"}", "x{a=\"#no comment\"}"},
};

static void lays_out(void)
{
    for (size_t i = 0; i < sizeof(LAYOUTS) / sizeof(LAYOUTS[0]); i++) {
        struct err err = {0};
        const char *got = pretty(LAYOUTS[i].text, &first, &err),
                   *expected = LAYOUTS[i].expected;
        if ((got && !expected) || (!got && expected) || (got && strcmp(got, expected) != 0))
            printf("%s\n--- is\n%s\n--- expected\n%s\n%s\n", LAYOUTS[i].text,
                got ? got : "(none)", expected ? expected : "(none)", err.msg);
        CU_ASSERT_EQUAL(got == NULL, expected == NULL);
        if (got && expected)
            CU_ASSERT_STRING_EQUAL(got, expected);
    }
}

static size_t count_comments(const char *text)
{
    struct arena a;
    struct token t = {0};
    struct parse_error e;
    struct lexer l = {.text = text, .len = strlen(text), .arena = &a, .err = &e};
    size_t n = 0, from = 0;
    arena_init(&a, 0);
    while (lex_next(&l, &t) == 0) {
        for (size_t i = from; i < (size_t)t.start; i++)
            if (text[i] == '#') {
                n++;
                while (i < (size_t)t.start && text[i] != '\n')
                    i++;
            }
        from = (size_t)t.end;
        if (t.kind == TOK_END)
            break;
    }
    arena_done(&a);
    return n;
}

// The same tree, the same comments, and laid out again it stays as it is. False: not laid out.
static bool keeps(const char *text)
{
    struct expr_root x, y;
    struct arena a, b;
    struct err err = {0};
    const char *once = pretty(text, &first, &err);
    if (!once)
        return false;
    CU_ASSERT_FATAL(parse(text, &a, &x));
    bool same = parse(once, &b, &y);
    if (same) {
        same = expr_equal(x.root, y.root);
        done(&y, &b);
    }
    done(&x, &a);
    const char *twice = same ? pretty(once, &second, &err) : NULL;
    bool ok =
        same && twice && !strcmp(once, twice) && count_comments(text) == count_comments(once);
    if (!ok)
        printf("--- text\n%s\n--- once (%s)\n%s\n--- twice\n%s\n", text,
            same ? "same" : "OTHER", once, twice ? twice : err.msg);
    CU_ASSERT(ok);
    // No line but one that cannot be broken is needlessly long, none ends in a blank.
    for (const char *p = once; ok && (p = strstr(p, " \n")); p++)
        CU_FAIL("a line ends in a blank");
    CU_ASSERT(once[0] != ' ');
    return true;
}

#define LINES_MAX 2000
static char *lines[LINES_MAX];
static size_t n_lines;

static unsigned next_random(void)
{
    static unsigned state = 4711;
    state = state * 1103515245u + 12345u;
    return state >> 8;
}

static void read_lines(void)
{
    char line[1024];
    FILE *f = fopen(EXPRESSIONS, "re");
    CU_ASSERT_FATAL(f != NULL);
    while (n_lines < LINES_MAX && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        struct arena a;
        struct expr_root x;
        if (parse(line, &a, &x)) {
            done(&x, &a);
            lines[n_lines++] = strdup(line);
        }
    }
    fclose(f);
}

// Of single ones a large one: what it means does not matter, as long as it can be read.
static void combine(struct buf *out, int depth)
{
    static const char *const ops[] = {" + ", " - ", "*", " / ", " % ", " ^ ",
        " == ", " > bool ", " and ", " or ", " unless ", " and on (a, b) ",
        " * ignoring (x) group_left (y, z) ", " > ", "<=", " atan2 "};
    static const char *const open[] = {"sum(", "sum by (a, b) (", "max without (x) (",
        "topk(3, ", "(", "abs(", "clamp_max(", "-(", "count_values(\"v\", "};
    static const char *const shut[] = {")", ")", ")", ")", ")", ")", ", 5)", ")", ")"};
    unsigned what = next_random() % 5;
    if (depth == 0 || what == 0) {
        buf_adds(out, lines[next_random() % n_lines]);
    } else if (what < 3) {
        size_t i = next_random() % (sizeof(open) / sizeof(open[0]));
        buf_adds(out, open[i]);
        combine(out, depth - 1);
        buf_adds(out, shut[i]);
        if (i == 0 && next_random() % 2)
            buf_adds(out, " by (c)");
    } else {
        combine(out, depth - 1);
        buf_adds(out, ops[next_random() % (sizeof(ops) / sizeof(ops[0]))]);
        combine(out, depth - 1);
    }
}

// Blanks, line breaks and comments where a blank stands outside of strings.
static void loosen(const char *text, struct buf *out, bool comments)
{
    char quote = '\0';
    for (; *text; text++) {
        if (quote) {
            if (*text == '\\' && quote != '`' && text[1])
                buf_addc(out, *text++);
            else if (*text == quote)
                quote = '\0';
        } else if (*text == '"' || *text == '\'' || *text == '`') {
            quote = *text;
        } else if (*text == '(' || *text == ' ') {
            buf_addc(out, *text);
            switch (next_random() % 12) {
            case 0: buf_adds(out, "\n"); continue;
            case 1: buf_adds(out, " \t "); continue;
            case 2:
                if (comments)
                    buf_adds(out, "# a comment, (\"\n");
                continue;
            case 3:
                if (comments)
                    buf_adds(out, "\n  # one line  \n # and another\n");
                continue;
            default: continue;
            }
        }
        buf_addc(out, *text);
    }
}

static void keeps_the_tree(void)
{
    size_t kept = 0, with_comments = 0, refused = 0;
    read_lines();
    CU_ASSERT(n_lines > 300);
    for (size_t i = 0; i < n_lines; i++)
        kept += keeps(lines[i]);
    CU_ASSERT_EQUAL(kept, n_lines);
    for (int i = 0; i < 6000; i++) {
        struct buf text, loose;
        buf_init(&text, 1u << 20);
        buf_init(&loose, 1u << 20);
        combine(&text, 4);
        bool comments = i % 2 == 0;
        loosen(buf_cstr(&text), &loose, comments);
        struct arena a;
        struct expr_root x;
        if (parse(buf_cstr(&loose), &a, &x)) {
            done(&x, &a);
            bool ok = keeps(buf_cstr(&loose));
            // Only a comment is a reason to leave an expression as it is.
            CU_ASSERT(ok || comments);
            kept += ok;
            with_comments += ok && count_comments(buf_cstr(&loose)) > 0;
            refused += !ok;
        }
        buf_done(&text);
        buf_done(&loose);
    }
    printf(
        "%zu expressions laid out, %zu of them with comments, %zu left alone for a comment\n",
        kept, with_comments, refused);
    CU_ASSERT(kept > 2000);
    CU_ASSERT(with_comments > 200);
    for (size_t i = 0; i < n_lines; i++)
        free(lines[i]);
}

static void differs(void)
{
    static const char *const pairs[][2] = {{"a", "b"}, {"a{x=\"1\"}", "a{x!=\"1\"}"},
        {"a + b", "b + a"}, {"sum(a)", "avg(a)"}, {"sum by (x) (a)", "sum by (y) (a)"},
        {"sum by (x) (a)", "sum without (x) (a)"}, {"1", "2"}, {"rate(a[1m])", "rate(a[2m])"},
        {"rate(a[1m])", "irate(a[1m])"}, {"a", "(a)"}, {"a offset 1m", "a"}, {"a @ 1", "a @ 2"},
        {"a > b", "a > bool b"}, {"a * on (x) b", "a * ignoring (x) b"},
        {"a * on (x) group_left () b", "a * on (x) b"},
        {"a * on (x) group_left (y) b", "a * on (x) group_left (z) b"},
        {"max_over_time(a[1h:1m])", "max_over_time(a[1h:2m])"}, {"-a", "+a"},
        {"clamp(a, 1, 2)", "clamp(a, 2, 2)"}, {"topk(1, a)", "topk(2, a)"},
        {"a + b * c", "(a + b) * c"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct expr_root x, y;
        struct arena a, b;
        CU_ASSERT_FATAL(parse(pairs[i][0], &a, &x) && parse(pairs[i][1], &b, &y));
        CU_ASSERT_FALSE(expr_equal(x.root, y.root));
        CU_ASSERT_TRUE(expr_equal(x.root, x.root));
        done(&x, &a);
        done(&y, &b);
    }
}

static void every_failed_allocation_is_told(void)
{
    struct expr_root x;
    struct arena a;
    CU_ASSERT_FATAL(parse("sum by (x) (rate(a{b=\"c\"}[5m])) # e\n/ on (x) # f\nb", &a, &x));
    for (int nth = 1;; nth++) {
        struct buf out;
        struct err err;
        buf_init(&out, 1u << 20);
        oom_fail_at(nth);
        int rc = expr_pretty(&x, &out, &err);
        bool hit = oom_stop();
        buf_done(&out);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 2); // comments
            break;
        }
        CU_ASSERT_EQUAL(rc, -ENOMEM);
    }
    done(&x, &a);
}

static const struct test TESTS[] = {
    {"short ones stand on one line, long ones break at operators and arguments", lays_out},
    {"the tree, the comments and the second layout stay the same", keeps_the_tree},
    {"two trees that differ are told apart", differs},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    int rc = test_main("print", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    buf_done(&first);
    buf_done(&second);
    return rc;
}
