// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"
#include "cli/rules_check.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MISTAKES "tests/unit/cli/golden/mistakes.yaml"

static struct buf out;

static int check(const struct rules_check_options *o, const char *a, const char *b)
{
    const char *paths[] = {a, b};
    buf_done(&out);
    buf_init(&out, 1 << 20);
    struct err err = {0};
    return rules_check(paths, b ? 2 : 1, o, &out, &err);
}

static const char *written(const char *name, const char *text)
{
    static char paths[8][300];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, 300, "%s/%s", test_tmpdir(), name);
    FILE *f = fopen(path, "we");
    CU_ASSERT_FATAL(f != NULL);
    fputs(text, f);
    fclose(f);
    return path;
}

static const struct rules_check_options TEXT,
    JSON = {.format = RULES_JSON}, SARIF = {.format = RULES_SARIF}, STRICT = {.strict = true};

// Code and place of each, and the line with the carets, in the order they stand in the file.
static const char *const EXPECTED[] = {
    "error[T013]: interval: `10sec` is not a duration\n --> " MISTAKES ":4:15\n",
    "error[T103]: `rate` needs a range vector, this is an instant vector\n --> " MISTAKES
    ":7:20\n"
    "  |\n7 |         expr: rate(http_errors_total) > 5\n"
    "  |                    ^^^^^^^^^^^^^^^^^ add a window, e.g. http_errors_total[5m]\n",
    "error[T010]: unknown key `anotations` in a rule\n --> " MISTAKES ":8:9\n"
    "  |\n8 |         anotations:\n  |         ^^^^^^^^^^ did you mean annotations?\n",
    "error[T104]: unknown function `rat`\n  --> " MISTAKES ":14:13\n"
    "   |\n14 |             rat(http_errors_total[5m])\n   |             ^^^ did you mean rate?\n",
    "error[T102]: unknown escape sequence in a string\n  --> " MISTAKES ":17:33\n",
    "error[T017]: template of `summary`: unknown function `humanise`, did you mean humanize?\n  --> " MISTAKES
    ":23:25\n   |\n23 |             {{ $value | humanise }}\n   |                         ^^^^^^^^\n",
    "error[T101]: this parenthesis is never closed\n  --> " MISTAKES ":25:21\n",
    "error[T106]: comparing two scalars needs `bool`\n  --> " MISTAKES ":27:15\n"
    "   |\n27 |         expr: 1 == 1\n   |               ^^^^^^ write == bool\n",
    "error[T015]: `for` makes no sense in a recording rule\n  --> " MISTAKES ":28:9\n",
    "error[T012]: a rule needs `expr`\n  --> " MISTAKES ":29:9\n",
};

static void ten_mistakes_show_in_one_run(void)
{
    CU_ASSERT_EQUAL(check(&TEXT, MISTAKES, NULL), 1);
    const char *at = buf_cstr(&out);
    size_t n = sizeof(EXPECTED) / sizeof(EXPECTED[0]);
    CU_ASSERT_EQUAL(n, 10);
    for (size_t i = 0; i < n; i++) {
        const char *next = strstr(at, EXPECTED[i]);
        if (!next)
            printf("missing: %s\n%s", EXPECTED[i], at);
        CU_ASSERT_PTR_NOT_NULL_FATAL(next);
        at = next;
    }
    CU_ASSERT_PTR_NOT_NULL(
        strstr(at, "\n10 problems: 10 errors, 0 warnings (tocsin explain T013)\n"));
    CU_ASSERT_PTR_NULL(strstr(at, ": ok"));
}

static void clean_files_are_counted(void)
{
    const char *a = written(
        "a.yaml", "groups: [{name: a, rules: [{alert: A, expr: up == 0}]}, {name: b}]\n");
    const char *b = written("b.yaml", "overrides: [{rule: a/A, set: {for: 5m}}]\n");
    CU_ASSERT_EQUAL(check(&TEXT, a, NULL), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "1 file, 2 groups, 1 rule: ok\n");
    // Overrides are applied last, wherever they stand.
    CU_ASSERT_EQUAL(check(&TEXT, b, a), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "2 files, 2 groups, 1 rule: ok\n");
    CU_ASSERT_EQUAL(check(&TEXT, b, NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "error[T019]: no rule `a/A`"));
    // What the collector brings may be named, and is none of the files'.
    b = written("b.yaml", "overrides: [{rule: a/A, set: {depends_on: [tocsin/AgentDown]}}, "
                          "{rule: tocsin/SeriesLimit, disable: true}]\n");
    CU_ASSERT_EQUAL(check(&TEXT, b, a), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "2 files, 2 groups, 1 rule: ok\n");
}

static void a_folder_is_read_sorted(void)
{
    char folder[300], path[400];
    snprintf(folder, sizeof(folder), "%s/rules.d", test_tmpdir());
    CU_ASSERT_EQUAL_FATAL(mkdir(folder, 0700), 0);
    static const char *const names[] = {
        "b.yml", "a.yaml", "c.txt", "a.test.yaml", ".hidden.yaml"};
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "rules.d/%s", names[i]);
        written(
            path, i < 2 ? "groups: [{name: g, rules: [{alert: A}]}]\n" : "not: [a rule file\n");
    }
    CU_ASSERT_EQUAL(check(&TEXT, folder, NULL), 1);
    const char *text = buf_cstr(&out), *a = strstr(text, "rules.d/a.yaml:1:28"),
               *b = strstr(text, "rules.d/b.yml:1:28");
    CU_ASSERT(a && b && a < b);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "also stands in"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "3 problems: 2 errors, 1 warning (tocsin explain T012)\n"));
}

static void warnings_fail_only_when_strict(void)
{
    const char *a = written("w.yaml",
        "groups: [{name: a, rules: [{alert: A, expr: up == 0, labels: {v: '{{ $value }}'}}]}]\n");
    CU_ASSERT_EQUAL(check(&TEXT, a, NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "warning[T201]"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out),
        "1 problem: 0 errors, 1 warning (tocsin explain T201)\n1 file, 1 group, 1 rule: ok\n"));
    CU_ASSERT_EQUAL(check(&STRICT, a, NULL), 1);
}

static void json_says_the_same(void)
{
    const char *a =
        written("j.yaml", "groups: [{name: a, rules: [{alert: A, expr: 'rat(x)'}]}]\n");
    char expected[600];
    CU_ASSERT_EQUAL(check(&JSON, a, NULL), 1);
    snprintf(expected, sizeof(expected),
        "{\"files\":1,\"groups\":1,\"rules\":1,\"errors\":1,\"warnings\":0,\"problems\":[\n"
        "  {\"file\":\"%s\",\"line\":1,\"col\":46,\"len\":3,\"severity\":\"error\",\"code\":\"T104\","
        "\"message\":\"unknown function `rat`\",\"hint\":\"did you mean rate?\"}\n]}\n",
        a);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), expected);
}

static void a_missing_file_is_an_error(void)
{
    CU_ASSERT_EQUAL(check(&TEXT, "/nonexistent/rules.yaml", NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(buf_cstr(&out), "error[T000]: cannot read it: No such file or directory\n"));
}

static void sarif_counts_characters_and_lists_every_code(void)
{
    const char *a =
        written("ümlaut s.yaml", "groups: [{name: ä, rules: [{alert: Ä, expr: 'rat(x)'}]}]\n");
    CU_ASSERT_EQUAL(check(&SARIF, a, "/nonexistent.yaml"), 1);
    cJSON *doc = cJSON_Parse(buf_cstr(&out));
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    CU_ASSERT_STRING_EQUAL(json_text(doc, "version"), "2.1.0");
    const cJSON *run = cJSON_GetArrayItem(cJSON_GetObjectItem(doc, "runs"), 0);
    const cJSON *driver = cJSON_GetObjectItem(cJSON_GetObjectItem(run, "tool"), "driver");
    const cJSON *rules = cJSON_GetObjectItem(driver, "rules");
    const cJSON *results = cJSON_GetObjectItem(run, "results");
    CU_ASSERT_EQUAL_FATAL(cJSON_GetArraySize(results), 2);
    const cJSON *first = cJSON_GetArrayItem(results, 0);
    const cJSON *rule = cJSON_GetArrayItem(rules, (int)json_number(first, "ruleIndex"));
    CU_ASSERT_STRING_EQUAL(json_text(first, "ruleId"), "T104");
    CU_ASSERT_STRING_EQUAL(json_text(rule, "id"), "T104");
    CU_ASSERT_STRING_EQUAL(json_text(first, "level"), "error");
    CU_ASSERT_STRING_EQUAL(json_text(cJSON_GetObjectItem(first, "message"), "text"),
        "unknown function `rat`; did you mean rate?");
    const cJSON *place = cJSON_GetObjectItem(
        cJSON_GetArrayItem(cJSON_GetObjectItem(first, "locations"), 0), "physicalLocation");
    const cJSON *region = cJSON_GetObjectItem(place, "region");
    CU_ASSERT_EQUAL(json_number(region, "startLine"), 1);
    CU_ASSERT_EQUAL(json_number(region, "startColumn"), 46); // 48 in bytes
    CU_ASSERT_EQUAL(json_number(region, "endColumn"), 49);
    const char *uri = json_text(cJSON_GetObjectItem(place, "artifactLocation"), "uri");
    CU_ASSERT_EQUAL(strncmp(uri, "file:///", 8), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(uri, "/%C3%BCmlaut%20s.yaml"));
    // One that cannot be read has no region.
    const cJSON *second = cJSON_GetArrayItem(results, 1);
    CU_ASSERT_STRING_EQUAL(json_text(second, "ruleId"), "T000");
    cJSON_Delete(doc);
}

static void a_comment_silences_a_warning_of_its_rule(void)
{
    const char *a = written("allow.yaml",
        "groups:\n"
        "  - name: a\n"
        "    rules:\n"
        "      # tocsin:allow T214, T213 it is there only when something is wrong\n"
        "      - alert: A\n"
        "        expr: failed_disks{job=~\"x\"}\n"
        "      - alert: B\n"
        "        expr: |\n"
        "          # tocsin:allow T214 the same\n"
        "          failed_disks\n"
        "      - alert: C\n"
        "        expr: failed_disks{a='# tocsin:allow T213'}\n");
    CU_ASSERT_EQUAL(check(&STRICT, a, NULL), 1);
    const char *text = buf_cstr(&out);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "allow.yaml:12:15\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "1 problem: 0 errors, 1 warning (tocsin explain T214)\n"));
}

static void warnings_of_what_was_overridden_stand_at_their_place(void)
{
    const char *a =
        written("o.yaml", "groups: [{name: a, rules: [{alert: A, expr: 'up == bool 0'}]}]\n");
    const char *b = written("o.overrides.yaml",
        "overrides: [{rule: a/A, set: {expr: 'absent(a_much_longer_expression_than_before)'}}]\n");
    CU_ASSERT_EQUAL(check(&TEXT, b, a), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "o.yaml:1:46\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "warning[T214]"));
}

static const struct test TESTS[] = {
    {"ten mistakes show in one run, each at its place", ten_mistakes_show_in_one_run},
    {"clean files are counted", clean_files_are_counted},
    {"a folder is read sorted", a_folder_is_read_sorted},
    {"warnings fail only when strict", warnings_fail_only_when_strict},
    {"JSON says the same", json_says_the_same},
    {"a missing file is an error", a_missing_file_is_an_error},
    {"SARIF counts characters and lists every code",
        sarif_counts_characters_and_lists_every_code},
    {"a comment silences a warning of its rule", a_comment_silences_a_warning_of_its_rule},
    {"warnings of what was overridden stand at their place",
        warnings_of_what_was_overridden_stand_at_their_place},
};

int main(void)
{
    int rc = test_main("rules_check", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    buf_done(&out);
    return rc;
}
