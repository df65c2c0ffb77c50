// SPDX-License-Identifier: Apache-2.0
#include "rules/print_file.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct buf out;
static struct diags d;
static struct rules_format made;

static int format(const char *text)
{
    buf_done(&out);
    buf_init(&out, RULES_FORMAT_MAX);
    diags_done(&d);
    diags_init(&d);
    rules_format_done(&made);
    return rules_format(text, strlen(text), &out, &made, &d);
}

#define G "groups:\n- name: g\n  rules:\n"
#define LONG                                                                                   \
    "sum by (job) (rate(aaaaaaaaaaaaaaaaaaaaaaaaaa_total[5m]))/sum by (job) (rate(bbbbbbbbbbbbbbbbbbbbbbbb_total[5m]))"
#define A "sum by (job) (rate(aaaaaaaaaaaaaaaaaaaaaaaaaa_total[5m]))"
#define B "/ sum by (job) (rate(bbbbbbbbbbbbbbbbbbbbbbbb_total[5m]))"

static const struct {
    const char *what, *text, *expected; // NULL: stays
} CASES[] = {
    {"nothing", "", NULL},
    {"no groups", "groups: []\n", NULL},
    {"plain", G "  - alert: A\n    expr: up==0\n    for: 5m\n",
        G "  - alert: A\n    expr: up == 0\n    for: 5m\n"},
    {"laid out already", G "  - alert: A\n    expr: up == 0\n", NULL},
    {"all else stays",
        "# a\n" G
        "\n  -   'alert' :  \"A\"   # b\n      expr:    up==0   # c\n      x: {  y:1 }\n...\n",
        "# a\n" G
        "\n  -   'alert' :  \"A\"   # b\n      expr:    up == 0   # c\n      x: {  y:1 }\n...\n"},
    {"no line end at the end", G "  - {alert: A, expr: up==0}",
        G "  - {alert: A, expr: up == 0}"},
    {"single quotes", G "  - {alert: A, expr: 'x{a=\"it''s\"}==0'}\n",
        G "  - {alert: A, expr: 'x{a=\"it''s\"} == 0'}\n"},
    {"double quotes", G "  - {alert: A, expr: \"x{a=\\\"\\\\\\\\d\\u00e9\\\"}==0\"}\n",
        G "  - {alert: A, expr: \"x{a=\\\"\\\\\\\\d\xc3\xa9\\\"} == 0\"}\n"},
    {"double quotes over lines", G "  - alert: A\n    expr: \"up\n      ==\n      0\"\n", NULL},
    {"plain over lines", G "  - alert: A\n    expr: up  ==\n      0 # c\n",
        G "  - alert: A\n    expr: up == 0 # c\n"},
    {"long ones become blocks", G "  - alert: A\n    expr: " LONG "\n    for: 1m\n",
        G "  - alert: A\n    expr: |\n      " A "\n      " B "\n    for: 1m\n"},
    {"a comment moves up with the block", G "  - expr: '" LONG "'   # why\n    alert: A\n",
        G "  - expr: |   # why\n      " A "\n      " B "\n    alert: A\n"},
    {"a block without a line end", G "  - record: a\n    expr: " LONG,
        G "  - record: a\n    expr: |\n      " A "\n      " B},
    {"the value on a line of its own", G "  - record: a\n    expr:\n      " LONG "\n",
        G "  - record: a\n    expr:\n      |\n      " A "\n      " B "\n"},
    {"CR LF", "groups:\r\n- name: g\r\n  rules:\r\n  - record: a\r\n    expr: " LONG "\r\n",
        "groups:\r\n- name: g\r\n  rules:\r\n  - record: a\r\n    expr: |\r\n      " A
        "\r\n      " B "\r\n"},
    {"a CR LF block",
        "groups:\r\n- name: g\r\n  rules:\r\n  - record: a\r\n    expr: |\r\n      a+\r\n      b\r\n",
        "groups:\r\n- name: g\r\n  rules:\r\n  - record: a\r\n    expr: |\r\n      a + b\r\n"},
    {"a block keeps its header, indentation and empty lines",
        G "  - record: a\n    expr: |-  # c\n         a+b\n\n\n    labels: {}\n",
        G "  - record: a\n    expr: |-  # c\n         a + b\n\n\n    labels: {}\n"},
    {"a block that begins with an empty line", G "  - record: a\n    expr: |\n\n      a+b\n",
        G "  - record: a\n    expr: |\n      a + b\n"},
    {"a folded block of one line stays one",
        G "  - record: a\n    expr: >\n      a+\n      b\n",
        G "  - record: a\n    expr: >\n      a + b\n"},
    {"a folded block of several becomes literal",
        G "  - record: a\n    expr: >-\n      " LONG "\n    x: y\n",
        G "  - record: a\n    expr: |-\n      " A "\n      " B "\n    x: y\n"},
    {"an indentation indicator", G "  - record: a\n    expr: |2\n        a+b\n",
        G "  - record: a\n    expr: |2\n        a + b\n"},
    {"comments in a block", G "  - record: a\n    expr: |\n      # one\n      a+b  # two\n",
        G "  - record: a\n    expr: |\n      # one\n      a + b # two\n"},
    {"a comment in quotes", G "  - record: a\n    expr: \"a # one\\n+b\"\n",
        G "  - record: a\n    expr: |\n      a # one\n      + b\n"},
    {"a # in a string is no comment", G "  - record: a\n    expr: x{a=\"#\"}+1\n",
        G "  - record: a\n    expr: x{a=\"#\"} + 1\n"},
    {"under spec", "spec:\n  groups:\n  - rules:\n    - record: a\n      expr: a+b\n",
        "spec:\n  groups:\n  - rules:\n    - record: a\n      expr: a + b\n"},
    {"only the first document",
        G "  - {record: a, expr: a+b}\n---\n" G "  - {record: a, expr: a+b}\n",
        G "  - {record: a, expr: a + b}\n---\n" G "  - {record: a, expr: a+b}\n"},
    {"a byte order mark",
        "\xef\xbb\xbf" G "  - record: a\n    expr: a+b\n  - record: b\n    expr: " LONG "\n",
        "\xef\xbb\xbf" G "  - record: a\n    expr: a + b\n  - record: b\n    expr: |\n      " A
        "\n      " B "\n"},
    {"JSON", "{\"groups\": [{\"rules\": [{\"record\": \"a\", \"expr\": \"a+b\"}]}]}",
        "{\"groups\": [{\"rules\": [{\"record\": \"a\", \"expr\": \"a + b\"}]}]}"},
    {"an expr elsewhere is none of ours",
        "x: {expr: a+b}\n" G "  - {record: a, labels: {expr: a+b}, expr: a}\n", NULL},
    // Left alone, and told.
    {"several lines in { }", G "  - {record: a, expr: '" LONG "'}\n", NULL},
    {"an anchor", G "  - {record: a, expr: &e a+b}\n  - {record: b, expr: *e}\n", NULL},
    {"a tag", G "  - {record: a, expr: !!str a+b}\n", NULL},
    {"a comment without a place",
        G "  - record: a\n    expr: |\n      sum by ( # these\n      a) (x)\n", NULL},
};
#define LEFT_ALONE 4

static void only_expressions_change(void)
{
    size_t n = sizeof(CASES) / sizeof(CASES[0]);
    for (size_t i = 0; i < n; i++) {
        const char *expected = CASES[i].expected ? CASES[i].expected : CASES[i].text;
        int rc = format(CASES[i].text);
        if (rc != 0 || strcmp(buf_cstr(&out), expected))
            printf("%s: %d\n--- is\n%s\n--- expected\n%s\n", CASES[i].what, rc, buf_cstr(&out),
                expected);
        CU_ASSERT_EQUAL(rc, 0);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&out), expected);
        CU_ASSERT_EQUAL(made.n_edits > 0, CASES[i].expected != NULL);
        CU_ASSERT_EQUAL(made.left_alone > 0, i >= n - LEFT_ALONE);
        size_t told = 0;
        for (size_t k = 0; k < d.n; k++)
            told += strcmp(d.items[k].code, "T046") == 0;
        CU_ASSERT_EQUAL(told, made.left_alone);
        char *once = strdup(buf_cstr(&out));
        CU_ASSERT_EQUAL(format(once), 0);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&out), once);
        CU_ASSERT_EQUAL(made.n_edits, 0);
        free(once);
    }
}

static void mistakes_are_told(void)
{
    CU_ASSERT_EQUAL(
        format(G
            "  - record: a\n    expr: a+b\n  - record: b\n    expr: |\n      a +\n      sum(\n"),
        -EINVAL);
    CU_ASSERT_EQUAL(out.len, 0);
    CU_ASSERT_EQUAL_FATAL(d.n, 1);
    CU_ASSERT_EQUAL(d.items[0].line, 9);
    CU_ASSERT_EQUAL(format("groups: [\n"), -EINVAL);
    CU_ASSERT_EQUAL(d.errors, 1);
    CU_ASSERT_EQUAL(out.len, 0);
}

static void edits_name_the_bytes(void)
{
    const char *text =
        G "  - {record: a, expr: a+b}\n  - {record: b, expr: c}\n  - {record: c, expr: d+e}\n";
    CU_ASSERT_EQUAL(format(text), 0);
    CU_ASSERT_EQUAL(made.expressions, 3);
    CU_ASSERT_EQUAL_FATAL(made.n_edits, 2);
    const struct rules_edit *e = &made.edits[1];
    CU_ASSERT_EQUAL(e->to - e->from, 3);
    CU_ASSERT_EQUAL(memcmp(text + e->from, "d+e", 3), 0);
    CU_ASSERT_EQUAL(e->new_to - e->new_from, 5);
    CU_ASSERT_EQUAL(memcmp(out.data + e->new_from, "d + e", 5), 0);
}

static void every_failed_allocation_is_told(void)
{
    const char *text = G "  - record: a\n    expr: " LONG "\n  - {record: b, expr: a+b}\n";
    for (int nth = 1;; nth++) {
        struct buf to;
        struct diags told;
        struct rules_format f;
        buf_init(&to, RULES_FORMAT_MAX);
        diags_init(&told);
        oom_fail_at(nth);
        int rc = rules_format(text, strlen(text), &to, &f, &told);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(rc == 0, !hit);
        CU_ASSERT(rc == 0 || to.len == 0);
        rules_format_done(&f);
        diags_done(&told);
        buf_done(&to);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"only expressions change, and once", only_expressions_change},
    {"mistakes are told and nothing is changed", mistakes_are_told},
    {"edits name the bytes they are about", edits_name_the_bytes},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    int rc = test_main("print_file", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    rules_format_done(&made);
    diags_done(&d);
    buf_done(&out);
    return rc;
}
