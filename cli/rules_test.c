// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_test.h"
#include "base/buf.h"
#include "base/regex.h"
#include "cli/rules_test_report.h"
#include "rules/builtin.h"
#include "rules/rule_test.h"
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#define RULE_FILES_MAX 10000

enum { OPTION_PARTIAL, OPTION_RUN, OPTION_JUNIT, OPTION_COMPAT };
const struct verb_option RULES_TEST_OPTIONS[] = {
    {"partial", NULL, "expected labels and annotations may be some of those there are", NULL},
    {"run", "REGEX", "only tests in whose name this is found", NULL},
    {"junit", "FILE", "write the results there too, as JUnit XML", NULL},
    {"compat", "VERSION", "2.42: windows closed at both ends, as before Prometheus 3",
        "2.42 3"},
    {0},
};

struct rule_file {
    char *path;
    struct buf text;
    struct diags d;
};
// One test file and what it names.
struct job {
    const char *path;
    struct buf text;
    struct diags d;
    struct rule_tests *tests;
    struct rule_file *files;
    size_t n_files, cap_files;
};

static bool add_file(struct job *j, const char *path)
{
    for (size_t i = 0; i < j->n_files; i++)
        if (!strcmp(j->files[i].path, path))
            return true;
    if (j->n_files == j->cap_files) {
        size_t cap = j->cap_files ? j->cap_files * 2 : 8;
        struct rule_file *grown =
            cap <= 2 * RULE_FILES_MAX ? realloc(j->files, cap * sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        j->files = grown;
        j->cap_files = cap;
    }
    char *copy = strdup(path);
    if (!copy)
        return false;
    struct rule_file *f = &j->files[j->n_files++];
    *f = (struct rule_file){.path = copy};
    buf_init(&f->text, RULE_FILE_MAX + 1);
    diags_init(&f->d);
    int rc = buf_add_path(&f->text, path);
    if (rc == -EMSGSIZE)
        diags_add(&f->d, DIAG_ERROR, "T020", 0, 0, 1, NULL, "the file is larger than %u MiB",
            RULE_FILE_MAX >> 20);
    else if (rc < 0)
        diags_add(
            &f->d, DIAG_ERROR, "T000", 0, 0, 1, NULL, "cannot read it: %s", strerror(-rc));
    return rc != -ENOMEM;
}

// promtool only warns of a rule file that is not there, and every "is not firing" passes.
static bool add_matches(struct job *j, const struct rule_test_pattern *p)
{
    const char *slash = strrchr(j->path, '/');
    char *full = NULL;
    glob_t found = {0};
    bool ok = true;

    if (p->text[0] == '/' || !slash)
        full = strdup(p->text);
    else if (asprintf(&full, "%.*s/%s", (int)(slash - j->path), j->path, p->text) < 0)
        full = NULL;
    if (!full)
        return false;
    int rc = glob(full, 0, NULL, &found);
    if (rc == GLOB_NOSPACE)
        ok = false;
    else if (rc != 0)
        diags_add(&j->d, DIAG_ERROR, "T044", p->line, p->col, p->len,
            "names are relative to the test file", "there is no such file: %.200s", full);
    for (size_t i = 0; rc == 0 && ok && i < found.gl_pathc; i++)
        ok = add_file(j, found.gl_pathv[i]);
    globfree(&found);
    free(full);
    return ok;
}

// The mistakes of the rule files, each with its place. False: out of memory.
static bool check_rules(struct job *j)
{
    struct ruleset *set = ruleset_new();
    int rc = set ? 0 : -ENOMEM;
    struct diags none;
    diags_init(&none);
    for (int pass = 0; pass < 2 && rc != -ENOMEM; pass++) {
        if (pass == 1)
            rc = builtin_add(set, &none);
        for (size_t i = 0; i < j->n_files && rc != -ENOMEM; i++) {
            struct rule_file *f = &j->files[i];
            const char *text = buf_cstr(&f->text);
            if (f->d.errors)
                continue;
            bool overrides = ruleset_is_overrides(text, f->text.len);
            if (pass == 0 && !overrides)
                rc = ruleset_add(set, f->path, text, f->text.len, &f->d);
            else if (pass == 1 && overrides)
                rc = ruleset_override(set, f->path, text, f->text.len, &f->d);
        }
    }
    diags_done(&none);
    ruleset_free(set);
    return rc != -ENOMEM;
}

static bool read_job(struct job *j)
{
    int rc = buf_add_path(&j->text, j->path);
    if (rc == -ENOMEM)
        return false;
    if (rc < 0 && rc != -EMSGSIZE) {
        diags_add(
            &j->d, DIAG_ERROR, "T000", 0, 0, 1, NULL, "cannot read it: %s", strerror(-rc));
        return true;
    }
    size_t n;
    j->tests = rule_tests_read(buf_cstr(&j->text), j->text.len, &j->d);
    if (!j->tests)
        return false;
    const struct rule_test_pattern *p = rule_tests_patterns(j->tests, &n);
    for (size_t i = 0; i < n; i++)
        if (!add_matches(j, &p[i]))
            return false;
    return check_rules(j);
}

static bool report_mistakes(struct job *j, struct report *r)
{
    size_t errors = j->d.errors;
    diags_sort(&j->d);
    report_diags(r, &j->d, j->path, buf_cstr(&j->text), j->text.len, false);
    for (size_t i = 0; i < j->n_files; i++) {
        struct rule_file *f = &j->files[i];
        errors += f->d.errors;
        diags_sort(&f->d);
        report_diags(r, &f->d, f->path, buf_cstr(&f->text), f->text.len, true);
    }
    return errors > 0;
}

static int run_job(struct job *j, const struct rule_test_options *o, struct report *r)
{
    struct rule_test_text *texts = calloc(j->n_files + 1, sizeof(*texts));
    if (!texts)
        return -ENOMEM;
    for (size_t i = 0; i < j->n_files; i++)
        texts[i] = (struct rule_test_text){
            j->files[i].path, buf_cstr(&j->files[i].text), j->files[i].text.len};
    int rc = rule_tests_run(j->tests, texts, j->n_files, o, report_test, r);
    free(texts);
    return rc;
}

static int test_file(const char *path, const struct rule_test_options *o, struct report *r)
{
    struct job j = {.path = path};
    int rc = 0;
    // One byte more than a test file may have, so that one too large is seen to be so.
    buf_init(&j.text, RULE_TEST_FILE_MAX + 1);
    diags_init(&j.d);
    report_file(r, path);
    if (!read_job(&j))
        rc = -ENOMEM;
    else if (!report_mistakes(&j, r))
        rc = run_job(&j, o, r);
    report_file_end(r);
    for (size_t i = 0; i < j.n_files; i++) {
        free(j.files[i].path);
        buf_done(&j.files[i].text);
        diags_done(&j.files[i].d);
    }
    free(j.files);
    rule_tests_free(j.tests);
    diags_done(&j.d);
    buf_done(&j.text);
    return rc;
}

int rules_test_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    const char *pattern = a->option[OPTION_RUN], *compat = a->option[OPTION_COMPAT];
    struct rule_test_options o = {.partial = a->option[OPTION_PARTIAL] != NULL,
        .compat_2_42 = compat && strcmp(compat, "2.42") == 0};
    struct regex *run = NULL;
    struct report r;
    int rc = 0;

    if (pattern) {
        struct err why = {0};
        run = regex_new(pattern, strlen(pattern), &why);
        if (!run) {
            err_set(err, "--run: %s (at byte %d)", why.msg, why.col);
            return CLI_USAGE;
        }
        o.run = run;
    }
    report_init(&r, c);
    for (int i = 0; i < a->n_words && rc == 0; i++)
        rc = test_file(a->words[i], &o, &r);
    int verdict = rc < 0 ? CLI_NO : report_end(&r, a->option[OPTION_JUNIT], pattern, err);
    if (rc < 0 || r.failed_write)
        err_set(err, "out of memory");
    report_done(&r);
    regex_free(run);
    return verdict;
}
