// SPDX-License-Identifier: Apache-2.0
// The table of codes against the sources that use them, and its examples against the check.
#include "cli/codes.h"
#include "cli/rules_check.h"
#include "tests/lib/run.h"
#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const FOLDERS[] = {
    "base/*.c", "rules/*.c", "agent/*.c", "collector/*.c", "cli/r*.c"};

// "T103" in quotes, or [T103] in a text, at p.
static bool is_code(const char *p)
{
    return (p[0] == '"' || p[0] == '[') && (p[1] == 'T' || p[1] == 'C') &&
           isdigit((unsigned char)p[2]) && isdigit((unsigned char)p[3]) &&
           isdigit((unsigned char)p[4]) && p[5] == (p[0] == '[' ? ']' : '"');
}

static void the_table_and_the_sources_have_the_same_codes(void)
{
    bool used[256] = {0};
    size_t n = 0;
    for (size_t i = 0; i < sizeof(FOLDERS) / sizeof(FOLDERS[0]); i++) {
        glob_t files;
        CU_ASSERT_EQUAL_FATAL(glob(FOLDERS[i], 0, NULL, &files), 0);
        for (size_t k = 0; k < files.gl_pathc; k++) {
            struct buf text;
            buf_init(&text, 1u << 20);
            CU_ASSERT_EQUAL_FATAL(buf_add_path(&text, files.gl_pathv[k]), 0);
            for (const char *p = buf_cstr(&text); *p; p++) {
                char code[8];
                size_t at;
                if (!is_code(p))
                    continue;
                snprintf(code, sizeof(code), "%.4s", p + 1);
                if (code_find(code, &at))
                    used[at] = true;
                else
                    printf("%s uses %s, which is not in the table\n", files.gl_pathv[k], code);
                CU_ASSERT_PTR_NOT_NULL(code_find(code, NULL));
                n++;
            }
            buf_done(&text);
        }
        globfree(&files);
    }
    CU_ASSERT(n > 100);
    for (size_t i = 0; code_at(i); i++) {
        if (!used[i])
            printf("nothing uses %s\n", code_at(i)->code);
        CU_ASSERT(used[i]);
    }
}

static void codes_and_names_are_unique_and_sorted_in_their_table(void)
{
    for (size_t i = 0; code_at(i); i++) {
        const struct code *c = code_at(i), *next = code_at(i + 1);
        size_t at;
        CU_ASSERT_PTR_EQUAL(code_find(c->code, &at), c);
        CU_ASSERT_EQUAL(at, i);
        CU_ASSERT_PTR_EQUAL(code_find(c->name, NULL), c);
        CU_ASSERT(c->summary[0] && c->summary[strlen(c->summary) - 1] != '.');
        CU_ASSERT(c->text[strlen(c->text) - 1] == '\n');
        CU_ASSERT(!c->example == !c->fix);
        CU_ASSERT(c->severity == DIAG_WARNING || strncmp(c->code, "T2", 2) != 0);
        if (next && next->code[0] == c->code[0])
            CU_ASSERT(strcmp(c->code, next->code) < 0);
        for (const char *p = c->text; *p; p += strcspn(p, "\n") + 1)
            CU_ASSERT(strcspn(p, "\n") <= 90);
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

// The report of a check of the text, as JSON.
static void check_text(const char *text, struct buf *out)
{
    static const struct rules_check_options JSON = {.format = RULES_JSON};
    char path[300], base[300];
    const char *paths[] = {path, base};
    struct err err = {0};
    struct buf whole;
    bool overrides = !strncmp(text, "overrides:", 10);

    snprintf(path, sizeof(path), "%s/example.yaml", test_tmpdir());
    snprintf(base, sizeof(base), "%s/base.yaml", test_tmpdir());
    buf_init(&whole, 1u << 20);
    if (!overrides && !strstr(text, "groups:"))
        buf_adds(
            &whole, "groups:\n- name: web\n  rules:\n  - alert: Example\n    expr: |\n      ");
    buf_adds(&whole, text);
    write_file(path, buf_cstr(&whole));
    write_file(base,
        "groups:\n"
        "- {name: web, rules: [{alert: Down, expr: up == 0}, {alert: Slow, expr: up == 0}]}\n"
        "- {name: db, rules: [{alert: Down, expr: db_up == 0}]}\n");
    buf_done(&whole);
    buf_init(out, 1u << 20);
    rules_check(paths, overrides ? 2 : 1, &JSON, out, &err);
}

static void every_example_shows_its_code_and_every_fix_nothing(void)
{
    size_t tried = 0;
    for (size_t i = 0; code_at(i); i++) {
        const struct code *c = code_at(i);
        struct buf out;
        char wanted[32];
        if (!c->example)
            continue;
        tried++;
        check_text(c->example, &out);
        const char *text = buf_cstr(&out);
        size_t n = 0, right = 0;
        snprintf(wanted, sizeof(wanted), "\"code\":\"%s\"", c->code);
        for (const char *p = text; (p = strstr(p, "\"code\":\"")); p++) {
            n++;
            right += !strncmp(p, wanted, strlen(wanted));
        }
        if (n == 0 || n != right)
            printf("the example of %s shows\n%s", c->code, text);
        CU_ASSERT(n > 0 && n == right);
        buf_done(&out);
        check_text(c->fix, &out);
        bool clean = strstr(buf_cstr(&out), "\"errors\":0,\"warnings\":0,") != NULL;
        if (!clean)
            printf("the fix of %s shows\n%s", c->code, buf_cstr(&out));
        CU_ASSERT(clean);
        buf_done(&out);
    }
    CU_ASSERT(tried > 40);
}

static const struct test TESTS[] = {
    {"the table and the sources have the same codes",
        the_table_and_the_sources_have_the_same_codes},
    {"codes and names are unique and sorted in their table",
        codes_and_names_are_unique_and_sorted_in_their_table},
    {"every example shows its code and no other, and every fix nothing",
        every_example_shows_its_code_and_every_fix_nothing},
};

int main(void)
{
    return test_main("codes", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
