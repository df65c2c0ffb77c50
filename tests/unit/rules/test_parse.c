// SPDX-License-Identifier: Apache-2.0
#include "rules/parse.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parsed {
    struct arena arena;
    struct expr_root root;
    struct parse_error err;
    int rc;
    char text[4000]; // canonical
};

static void parse(struct parsed *p, const char *text)
{
    struct buf out;
    memset(p, 0, sizeof(*p));
    arena_init(&p->arena, 0);
    p->rc = expr_parse(text, strlen(text), &p->arena, &p->root, &p->err);
    if (p->rc)
        return;
    buf_init(&out, sizeof(p->text) - 1);
    expr_print(p->root.root, &out);
    strcpy(p->text, buf_cstr(&out));
    buf_done(&out);
}

static void done(struct parsed *p)
{
    expr_done(&p->root);
    arena_done(&p->arena);
}

static const struct {
    const char *text, *printed;
    enum value_type type;
} GOOD[] = {
    {"1 + 2 * 3", "1 + 2 * 3", TYPE_SCALAR},
    {"sum by(b,a,b,)(x)", "sum by (a, b) (x)", TYPE_VECTOR},
    {"SUM(x)WITHOUT(a)", "sum without (a) (x)", TYPE_VECTOR},
    {"sum without () (x)", "sum without () (x)", TYPE_VECTOR},
    {"topk(5, x)", "topk(5, x)", TYPE_VECTOR},
    {"count_values('v', x)", "count_values(\"v\", x)", TYPE_VECTOR},
    {"x{a='b',c!=\"d\",e=~`f.*`,g!~'h'}", "x{a=\"b\", c!=\"d\", e=~\"f.*\", g!~\"h\"}",
        TYPE_VECTOR},
    {"{\"a.b\",\"l.x\"=\"v\"}", "{\"a.b\", \"l.x\"=\"v\"}", TYPE_VECTOR},
    {"{\"plain\", x='y'}", "plain{x=\"y\"}", TYPE_VECTOR},
    {"sum by (\"a.b\") (x)", "sum by (\"a.b\") (x)", TYPE_VECTOR},
    {"{__name__='x'}", "{__name__=\"x\"}", TYPE_VECTOR},
    {"x[5m] offset -1h30m", "x[5m] offset -1h30m", TYPE_MATRIX},
    {"x[300] offset 60", "x[5m] offset 1m", TYPE_MATRIX},
    {"x @ 1.5 offset 5m", "x @ 1.500 offset 5m", TYPE_VECTOR},
    {"x @ -0.5", "x @ -0.500", TYPE_VECTOR},
    {"x[5m:1m] @ start()", "x[5m:1m] @ start()", TYPE_MATRIX},
    {"rate(x[1m])[1h:]", "rate(x[1m])[1h:]", TYPE_MATRIX},
    {"a:b:c[5m:1m] @ end()", "a:b:c[5m:1m] @ end()", TYPE_MATRIX},
    {"a * ON(x) GROUP_LEFT(y,z) b", "a * on (x) group_left (y, z) b", TYPE_VECTOR},
    {"a / ignoring(z, x) group_right b", "a / ignoring (x, z) group_right () b", TYPE_VECTOR},
    {"a > bool b", "a > bool b", TYPE_VECTOR},
    {"a and on () b OR c Unless d", "a and on () b or c unless d", TYPE_VECTOR},
    {"a atan2 b", "a atan2 b", TYPE_VECTOR},
    {"-a ^ 2", "-a ^ 2", TYPE_VECTOR},
    {"- 1", "-1", TYPE_SCALAR},
    {"+Inf", "Inf", TYPE_SCALAR},
    {"inf ^ 0", "Inf ^ 0", TYPE_SCALAR},
    {"5m", "300", TYPE_SCALAR},
    {"\"f\\200\\x15\"", "\"f\\x80\\x15\"", TYPE_STRING},
    {"(\"x\")", "(\"x\")", TYPE_STRING},
    {"offset offset 5m", "offset offset 5m", TYPE_VECTOR},
    {"sum + by + and", "sum + by + and", TYPE_VECTOR},
    {"and and and", "and and and", TYPE_VECTOR},
    {"day_of_week()", "day_of_week()", TYPE_VECTOR},
    {"scalar(x)", "scalar(x)", TYPE_SCALAR},
    {"rate(x[5m]) # what\n > 5", "rate(x[5m]) > 5", TYPE_VECTOR},
};

static void prints_what_it_read(void)
{
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct parsed p, again;
        parse(&p, GOOD[i].text);
        if (p.rc || strcmp(p.text, GOOD[i].printed))
            printf("%s: %s %s\n", GOOD[i].text, p.text, p.err.msg);
        CU_ASSERT_EQUAL_FATAL(p.rc, 0);
        CU_ASSERT_STRING_EQUAL(p.text, GOOD[i].printed);
        CU_ASSERT_EQUAL(p.root.root->type, GOOD[i].type);
        CU_ASSERT_EQUAL(p.root.root->start, 0);
        // Canonical text reads back as itself.
        parse(&again, p.text);
        CU_ASSERT_EQUAL(again.rc, 0);
        CU_ASSERT_STRING_EQUAL(again.text, p.text);
        done(&again);
        done(&p);
    }
}

static void operators_bind_as_in_promql(void)
{
    struct parsed p;
    parse(&p, "2 ^ 3 ^ 2");
    CU_ASSERT_EQUAL(p.root.root->rhs->kind, EXPR_BINARY);
    done(&p);
    parse(&p, "a - b - c");
    CU_ASSERT_EQUAL(p.root.root->lhs->kind, EXPR_BINARY);
    done(&p);
    parse(&p, "-a ^ 2");
    CU_ASSERT_EQUAL(p.root.root->kind, EXPR_UNARY);
    done(&p);
    parse(&p, "-a * 2");
    CU_ASSERT_EQUAL(p.root.root->kind, EXPR_BINARY);
    done(&p);
    parse(&p, "a or b and c");
    CU_ASSERT_EQUAL(p.root.root->op, OP_OR);
    done(&p);
    parse(&p, "a and b == c + d * e");
    CU_ASSERT_EQUAL(p.root.root->rhs->op, OP_EQ);
    CU_ASSERT_EQUAL(p.root.root->rhs->rhs->op, OP_ADD);
    CU_ASSERT_EQUAL(p.root.root->rhs->rhs->rhs->op, OP_MUL);
    CU_ASSERT_EQUAL(p.root.root->card, CARD_MANY_TO_MANY);
    done(&p);
}

static void nodes_know_their_bytes(void)
{
    struct parsed p;
    parse(&p, " sum( rate(x[5m] offset 1h) ) > 5");
    const struct expr *sum = p.root.root->lhs, *rate = sum->lhs, *m = rate->args[0];
    CU_ASSERT(sum->start == 1 && sum->end == 29);
    CU_ASSERT(rate->start == 6 && rate->end == 27);
    CU_ASSERT(m->start == 11 && m->end == 26);
    CU_ASSERT(m->lhs->start == 11 && m->lhs->end == 12);
    CU_ASSERT_EQUAL(m->lhs->offset_ms, 3600000);
    CU_ASSERT_EQUAL(m->range_ms, 300000);
    done(&p);
}

static void counts_selectors(void)
{
    struct parsed p;
    parse(&p, "a + b{c=~'d.*'} + rate(e[5m]) + sum(f)");
    CU_ASSERT_EQUAL(p.root.n_slots, 4);
    CU_ASSERT_EQUAL(p.root.n_regexes, 1);
    CU_ASSERT_EQUAL(p.root.root->rhs->lhs->slot, 3);
    done(&p);
}

static void knows_how_far_back_it_reads(void)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"1", 0}, {"x", 0}, {"x offset 5m", 300000}, {"x offset -5m", 0},
        {"x[5m]", 300000}, {"rate(x[5m] offset 1h) + y", 3900000},
        {"max_over_time(rate(x[5m])[1h:1m])", 3900000},
        {"max_over_time(rate(x[5m])[1h:1m] offset 1d)", 90300000},
        {"topk(scalar(y offset 1m), x)", 60000}, {"max_over_time(x[5m:] offset 1m)", 360000},
        {"x[5m] offset -1h", 0},
        {"max_over_time(max_over_time(x[200y:1y])[200y:1y] offset 200y)", INT64_MAX / 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parsed p;
        parse(&p, cases[i].text);
        CU_ASSERT_EQUAL_FATAL(p.rc, 0);
        int64_t ms = expr_reach_ms(p.root.root);
        CU_ASSERT(ms == cases[i].ms || (cases[i].ms > 1LL << 60 && ms > 18000000000000LL));
        done(&p);
    }
}

static const struct {
    const char *text, *code;
    int start, end;
    const char *msg, *hint;
} BAD[] = {
    {"", "T101", 0, 1, "empty", ""},
    {"  # nothing", "T101", 0, 1, "empty", ""},
    {"rate(errors_total) > 5", "T103", 5, 17,
        "`rate` needs a range vector, this is an instant vector", "errors_total[5m]"},
    {"rate(sum(x))", "T103", 5, 11, "range vector", "[5m:]"},
    {"abs(x[5m])", "T103", 4, 9, "`abs` needs an instant vector, this is a range vector",
        "rate"},
    {"abs(1)", "T103", 4, 5, "this is a scalar", "vector("},
    {"vector(x)", "T103", 7, 8, "needs a scalar", "scalar("},
    {"sum(1)", "T103", 4, 5, "`sum` needs an instant vector", ""},
    {"topk(x, y)", "T103", 5, 6, "`topk` needs a scalar", ""},
    {"count_values(1, x)", "T103", 13, 14, "needs a string", ""},
    {"rat(x[5m])", "T104", 0, 3, "unknown function `rat`", "did you mean rate?"},
    {"summ(x)", "T104", 0, 4, "unknown function", "did you mean sum?"},
    {"sum(x) bye (a)", "T101", 7, 10, "unexpected `bye`", "did you mean by?"},
    {"x witout y", "T101", 2, 8, "unexpected `witout`", "did you mean without?"},
    {"x / onn (a) y", "T104", 4, 7, "unknown function `onn`", "did you mean on?"},
    {"x foobar y", "T101", 2, 8, "expected an operator or the end", ""},
    {"holt_winters(x[5m],1,1)", "T104", 0, 12, "unknown function",
        "double_exponential_smoothing"},
    {"median_over_time(x[5m])", "T104", 0, 16, "unknown function", "quantile_over_time"},
    {"clamp(x)", "T105", 0, 5, "takes 3 arguments, not 1", ""},
    {"round(x,1,2)", "T105", 0, 5, "at most 2", ""},
    {"label_join(x)", "T105", 0, 10, "at least 3", ""},
    {"topk(x)", "T105", 0, 4, "takes 2 arguments, not 1", ""},
    {"1 == 1", "T106", 0, 6, "needs `bool`", "== bool"},
    {"a and 1", "T106", 6, 7, "instant vector on both sides", ""},
    {"a + bool b", "T106", 0, 10, "`bool` only goes with comparisons", ""},
    {"a + \"x\"", "T106", 4, 7, "this is a string", ""},
    {"a + b[5m]", "T106", 4, 9, "this is a range vector", "rate"},
    {"-\"x\"", "T106", 1, 4, "this is a string", ""},
    {"a and on(x) group_left b", "T106", 0, 24, "no group_left or group_right", ""},
    {"a + on(x) group_left(x) b", "T106", 0, 25, "both in on", ""},
    {"1 + on(x) a", "T106", 0, 11, "both sides", ""},
    {"{a=~\".*\"}", "T107", 0, 9, "every series", ""},
    {"{}", "T107", 0, 2, "every series", ""},
    {"a{__name__=\"b\"}", "T107", 2, 14, "given twice", ""},
    {"{\"a\",\"b\"}", "T107", 5, 8, "given twice", ""},
    {"a{b=~\"x(\"}", "T108", 5, 9, "missing closing )", "character 2"},
    {"x offset 5m offset 5m", "T109", 12, 21, "given twice", ""},
    {"sum(x) offset 5m", "T109", 7, 16, "only stand behind", "inside"},
    {"x offset 5m [5m]", "T109", 0, 11, "`offset` goes behind", ""},
    {"(x)[5m]", "T109", 0, 3, "selector only", "subquery"},
    {"1[5m:]", "T109", 0, 1, "needs an instant vector", ""},
    {"x[0s]", "T102", 2, 4, "longer than 0", ""},
    {"x[1.5h]", "T102", 2, 6, "bad number", "1h30m"},
    {"x @ Inf", "T102", 4, 7, "out of range", ""},
    {"(a", "T101", 0, 1, "never closed", ""},
    {"a)", "T101", 1, 2, "unexpected `)`", ""},
    {"a b", "T101", 2, 3, "an operator", ""},
    {"a +", "T101", 3, 4, "unexpected end", ""},
    {"sum(a) by", "T101", 9, 10, "unexpected end", ""},
    {"rate(x[5m],)", "T101", 11, 12, "trailing comma", ""},
    {"a{b=c}", "T101", 4, 5, "in quotes", ""},
    {"a{b:c=\"d\"}", "T101", 2, 5, "no colon", ""},
    {"on(x)", "T101", 0, 2, "an expression", ""},
    {"limitk(1, a)", "T303", 0, 6, "not supported yet", ""},
    {"double_exponential_smoothing(x[5m],1,1)", "T303", 0, 28, "experimental", ""},
    {"a + fill(0) b", "T302", 4, 8, "not supported yet", ""},
    {"rate(x[5m] anchored)", "T302", 11, 19, "not supported yet", ""},
    {"x[5m+1m]", "T302", 4, 5, "not supported yet", "constant"},
    {"x offset (5m)", "T302", 9, 10, "not supported yet", "constant"},
    {"x[step()]", "T302", 2, 6, "not supported yet", "constant"},
};

static void a_mistake_has_code_place_and_words(void)
{
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct parsed p;
        parse(&p, BAD[i].text);
        if (p.rc != -EINVAL || strcmp(p.err.code, BAD[i].code) || p.err.start != BAD[i].start ||
            p.err.end != BAD[i].end || !strstr(p.err.msg, BAD[i].msg) ||
            !strstr(p.err.hint, BAD[i].hint)) {
            printf("%s: %s %d-%d %s (%s)\n", BAD[i].text, p.err.code, p.err.start, p.err.end,
                p.err.msg, p.err.hint);
            CU_FAIL("wrong mistake");
        }
        done(&p);
    }
}

static void depth_and_length_are_bounded(void)
{
    struct parsed p;
    char *text = malloc(EXPR_TEXT_MAX + 10);
    CU_ASSERT_FATAL(text != NULL);
    memset(text, '(', 1000);
    text[1000] = '\0';
    parse(&p, text);
    CU_ASSERT_STRING_EQUAL(p.err.code, "T110");
    done(&p);
    memset(text, '-', 1000);
    strcpy(text + 1000, "a");
    parse(&p, text);
    CU_ASSERT_STRING_EQUAL(p.err.code, "T110");
    done(&p);
    strcpy(text, "a");
    for (int i = 1; i < 2000; i++)
        memcpy(text + 2 * i - 1, "+a", 3);
    parse(&p, text);
    CU_ASSERT_STRING_EQUAL(p.err.code, "T110");
    done(&p);
    text[2 * 400 - 1] = '\0';
    parse(&p, text);
    CU_ASSERT_EQUAL(p.rc, 0);
    done(&p);
    memset(text, ' ', EXPR_TEXT_MAX + 1);
    text[EXPR_TEXT_MAX + 1] = '\0';
    parse(&p, text);
    CU_ASSERT_STRING_EQUAL(p.err.code, "T110");
    done(&p);
    free(text);
}

// Whatever is cut off, there is a tree or a mistake inside the text.
static void any_beginning_is_answered(void)
{
    static const char text[] =
        "sum by (a, \"b.c\") (rate(x{y=~\"z(1|2)\",w!='q'}[5m] offset -1h @ 5)) / on(a) "
        "group_left(d) max_over_time((k > bool 1)[1h:5m]) # end";
    char part[sizeof(text)];
    for (size_t n = 0; n < sizeof(text); n++) {
        struct parsed p;
        memcpy(part, text, n);
        part[n] = '\0';
        parse(&p, part);
        CU_ASSERT(p.rc == 0 || (p.rc == -EINVAL && p.err.start >= 0 && p.err.start <= (int)n &&
                                   p.err.msg[0]));
        done(&p);
    }
}

static void every_failed_allocation_is_told(void)
{
    static const char text[] =
        "sum by (a) (rate(x{y=~\"z(1|2)\",w=~'q.*',v='u'}[5m])) + label_join(a,'b','c','d','e','f')";
    int nth = 1;
    for (;; nth++) {
        struct arena a;
        struct expr_root root;
        struct parse_error e = {0};
        arena_init(&a, 0);
        oom_fail_at(nth);
        int rc = expr_parse(text, strlen(text), &a, &root, &e);
        bool hit = oom_stop();
        // Only the fast path of a regex may go without memory.
        CU_ASSERT(rc == -ENOMEM || rc == 0);
        CU_ASSERT(hit || rc == 0);
        if (rc == 0)
            expr_done(&root);
        arena_done(&a);
        if (!hit)
            break;
    }
    CU_ASSERT(nth > 4);
}

static const struct test TESTS[] = {
    {"prints what it read, and reads what it printed", prints_what_it_read},
    {"operators bind as in PromQL", operators_bind_as_in_promql},
    {"nodes know their bytes", nodes_know_their_bytes},
    {"counts selectors", counts_selectors},
    {"knows how far back it reads", knows_how_far_back_it_reads},
    {"a mistake has code, place and words", a_mistake_has_code_place_and_words},
    {"depth and length are bounded", depth_and_length_are_bounded},
    {"any beginning of an expression is answered", any_beginning_is_answered},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    return test_main("parse", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
