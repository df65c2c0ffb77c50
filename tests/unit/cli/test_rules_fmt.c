// SPDX-License-Identifier: Apache-2.0
// `rules fmt` with real files.
#define VERB "fmt"
#include "tests/unit/cli/verb_run.h"
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *read_file(const char *name)
{
    static char text[4000];
    FILE *f = fopen(path_of(name), "re");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
    return text;
}

#define HEAD  "groups:\n- name: g\n  rules:\n"
#define MESSY HEAD "  - {record: a, expr: a+b} # c\n"
#define TIDY  HEAD "  - {record: a, expr: a + b} # c\n"

static void prints_by_default(void)
{
    write_file("a.yaml", MESSY);
    CU_ASSERT_EQUAL(RUN(path_of("a.yaml")), CLI_YES);
    CU_ASSERT_STRING_EQUAL(out, TIDY);
    CU_ASSERT_EQUAL(RUN("--stdout", path_of("a.yaml")), CLI_YES);
    CU_ASSERT_STRING_EQUAL(out, TIDY);
    CU_ASSERT_STRING_EQUAL(read_file("a.yaml"), MESSY);
}

static void checks(void)
{
    char line[500];
    write_file("a.yaml", MESSY);
    write_file("b.yaml", TIDY);
    CU_ASSERT_EQUAL(RUN("--check", path_of("b.yaml")), CLI_YES);
    CU_ASSERT_STRING_EQUAL(out, "");
    CU_ASSERT_EQUAL(RUN("--check", path_of("a.yaml"), path_of("b.yaml")), CLI_NO);
    snprintf(line, sizeof(line), "%s\n", path_of("a.yaml"));
    CU_ASSERT_STRING_EQUAL(out, line);
    CU_ASSERT_EQUAL(RUN("--check", "-w", path_of("a.yaml")), CLI_NO);
    CU_ASSERT_STRING_EQUAL(read_file("a.yaml"), MESSY);
}

static void writes_back(void)
{
    struct stat before, after;
    write_file("a.yaml", MESSY);
    unlink(path_of("link.yaml"));
    CU_ASSERT_EQUAL_FATAL(symlink("a.yaml", path_of("link.yaml")), 0);
    CU_ASSERT_EQUAL(chmod(path_of("a.yaml"), 0640), 0);
    CU_ASSERT_EQUAL(stat(path_of("a.yaml"), &before), 0);
    CU_ASSERT_EQUAL(RUN("-w", path_of("link.yaml")), CLI_YES);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "link.yaml: 1 of 1 expressions laid out\n"));
    CU_ASSERT_STRING_EQUAL(read_file("a.yaml"), TIDY);
    CU_ASSERT_EQUAL(lstat(path_of("link.yaml"), &after), 0);
    CU_ASSERT_TRUE(S_ISLNK(after.st_mode));
    CU_ASSERT_EQUAL(stat(path_of("a.yaml"), &after), 0);
    CU_ASSERT_EQUAL(after.st_mode & 07777, 0640);
    // What is tidy is not touched at all.
    CU_ASSERT_EQUAL(RUN("--write", path_of("a.yaml")), CLI_YES);
    CU_ASSERT_EQUAL(stat(path_of("a.yaml"), &before), 0);
    CU_ASSERT_EQUAL(before.st_ino, after.st_ino);
    CU_ASSERT_STRING_EQUAL(out, "");
    // Nothing is left beside it.
    DIR *dir = opendir(test_tmpdir());
    CU_ASSERT_FATAL(dir != NULL);
    for (struct dirent *e; (e = readdir(dir));)
        CU_ASSERT_PTR_NULL(strstr(e->d_name, ".yaml."));
    closedir(dir);
}

#define LINES(n) "# " n "1\n# " n "2\n# " n "3\n# " n "4\n"

static void shows_a_diff(void)
{
    char expected[2000];
    write_file("d.yaml",
        HEAD LINES("x") "  - record: a\n    expr: a+b\n" LINES("y") "\n" LINES(
            "z") "  - record: b\n    expr: |\n      # one\n      a\n      +\n      b\n    labels: {}\n  - {record: "
                 "c, expr: c+d}");
    snprintf(expected, sizeof(expected),
        "--- %s\n+++ %s\n"
        "@@ -6,7 +6,7 @@\n # x3\n # x4\n   - record: a\n-    expr: a+b\n+    expr: a + b\n # y1\n # y2\n # y3\n"
        "@@ -19,8 +19,6 @@\n   - record: b\n     expr: |\n       # one\n-      a\n-      +\n-      b\n"
        "+      a + b\n     labels: {}\n-  - {record: c, expr: c+d}\n\\ No newline at end of file\n"
        "+  - {record: c, expr: c + d}\n\\ No newline at end of file\n",
        path_of("d.yaml"), path_of("d.yaml"));
    CU_ASSERT_EQUAL(RUN("--diff", path_of("d.yaml")), CLI_YES);
    if (strcmp(out, expected))
        printf("%s", out);
    CU_ASSERT_STRING_EQUAL(out, expected);
    CU_ASSERT_EQUAL(RUN("--diff", "--check", path_of("d.yaml")), CLI_NO);
    CU_ASSERT_STRING_EQUAL(out, expected);
    // patch takes it.
    FILE *f = fopen(path_of("d.diff"), "we");
    CU_ASSERT_FATAL(f != NULL);
    fputs(out, f);
    fclose(f);
    CU_ASSERT_EQUAL(RUN(path_of("d.yaml")), CLI_YES);
    char command[1500];
    snprintf(
        command, sizeof(command), "patch -s %s < %s", path_of("d.yaml"), path_of("d.diff"));
    if (system("command -v patch >/dev/null") == 0) {
        CU_ASSERT_EQUAL(system(command), 0);
        CU_ASSERT_STRING_EQUAL(read_file("d.yaml"), out);
    }
}

static void a_bad_file_is_not_touched(void)
{
    write_file("a.yaml", MESSY);
    write_file("bad.yaml", HEAD "  - {record: a, expr: a+b}\n  - {record: b, expr: 'sum('}\n");
    char *before = strdup(read_file("bad.yaml"));
    CU_ASSERT_EQUAL(RUN("-w", path_of("bad.yaml"), path_of("a.yaml")), CLI_NO);
    CU_ASSERT_STRING_EQUAL(read_file("bad.yaml"), before);
    CU_ASSERT_STRING_EQUAL(read_file("a.yaml"), TIDY);
    CU_ASSERT_EQUAL(RUN("-w", path_of("none.yaml")), CLI_NO);
    CU_ASSERT_EQUAL(RUN("-w", "--stdout", path_of("a.yaml")), CLI_USAGE);
    CU_ASSERT_EQUAL(RUN("-w", "-"), CLI_USAGE);
    CU_ASSERT_EQUAL(run(0, NULL), CLI_USAGE);
    free(before);
}

static const struct test TESTS[] = {
    {"prints the files by default", prints_by_default},
    {"names what would change", checks},
    {"writes back whole, with the mode, through a link", writes_back},
    {"shows a diff that patch takes", shows_a_diff},
    {"a bad file is not touched", a_bad_file_is_not_touched},
};

int main(void)
{
    int rc = test_main("rules_fmt", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    free(out);
    return rc;
}
