// SPDX-License-Identifier: Apache-2.0
#include "collector/rulefiles.h"
#include "rules/builtin.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct rulefile {
    char *path;
    struct buf text;
    bool overrides;
};

struct rulefiles {
    struct rulefile *files;
    size_t n, cap;
    struct buf *report;
    int rc; // first failure
};

static void complain(struct rulefiles *f, const char *path, int rc)
{
    const char *why = rc == -EMSGSIZE ? "the file is larger than 8 MiB" : strerror(-rc);
    buf_addf(f->report, "error[T001]: %s: %s\n", path, why);
    if (f->rc == 0)
        f->rc = rc;
}

static bool rule_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static void add_file(struct rulefiles *f, const char *path)
{
    if (f->n == RULEFILES_MAX) {
        complain(f, path, -E2BIG);
        return;
    }
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 16;
        struct rulefile *files = realloc(f->files, cap * sizeof(*files));
        if (!files) {
            complain(f, path, -ENOMEM);
            return;
        }
        f->files = files;
        f->cap = cap;
    }
    struct rulefile *x = &f->files[f->n];
    *x = (struct rulefile){.path = strdup(path)};
    buf_init(&x->text, RULE_FILE_MAX);
    f->n++;
    int rc = x->path ? buf_add_path(&x->text, path) : -ENOMEM;
    if (rc < 0)
        complain(f, path, rc);
    else
        x->overrides = ruleset_is_overrides((const char *)x->text.data, x->text.len);
}

static int only_rules(const struct dirent *d)
{
    return rule_name(d->d_name);
}

static void add_folder(struct rulefiles *f, const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, only_rules, alphasort);
    if (n < 0) {
        complain(f, folder, -errno);
        return;
    }
    for (int i = 0; i < n; i++) {
        // A promtool test file may lie beside the rules it tests.
        char path[4096];
        int len = snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
        bool tests = strstr(names[i]->d_name, ".test.y") != NULL;
        if (len >= (int)sizeof(path))
            complain(f, folder, -ENAMETOOLONG);
        else if (!tests)
            add_file(f, path);
        free(names[i]);
    }
    free(names);
}

static void add_path(struct rulefiles *f, const char *path)
{
    struct stat st;
    if (stat(path, &st) == -1)
        complain(f, path, -errno);
    else if (S_ISDIR(st.st_mode))
        add_folder(f, path);
    else
        add_file(f, path);
}

static void parse(struct rulefiles *f, struct ruleset *set, bool overrides)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct rulefile *x = &f->files[i];
        if (x->overrides != overrides)
            continue;
        struct diags d;
        const char *text = x->text.data ? (const char *)x->text.data : "";
        diags_init(&d);
        int rc = overrides ? ruleset_override(set, x->path, text, x->text.len, &d)
                           : ruleset_add(set, x->path, text, x->text.len, &d);
        diags_sort(&d);
        diags_print(&d, x->path, text, x->text.len, f->report);
        if ((rc < 0 || d.errors) && f->rc == 0)
            f->rc = rc < 0 ? rc : -EINVAL;
        diags_done(&d);
    }
}

static void check_whole(struct rulefiles *f, struct ruleset *set)
{
    struct diags d;
    diags_init(&d);
    ruleset_check(set, &d);
    diags_print(&d, "rules", "", 0, f->report);
    if (d.errors && f->rc == 0)
        f->rc = -EINVAL;
    diags_done(&d);
}

int rulefiles_read(const char *const *paths, size_t n, struct ruleset **ret, struct buf *report)
{
    struct rulefiles f = {.report = report};
    struct ruleset *set = ruleset_new();
    struct diags d;
    diags_init(&d);
    if (!set)
        return -ENOMEM;
    builtin_add(set, &d);
    if (d.errors) {
        diags_print(&d, BUILTIN_FILE, "", 0, report);
        f.rc = -EINVAL;
    }
    diags_done(&d);
    for (size_t i = 0; i < n; i++)
        add_path(&f, paths[i]);
    if (f.rc == 0) {
        parse(&f, set, false);
        parse(&f, set, true);
        check_whole(&f, set);
    }
    for (size_t i = 0; i < f.n; i++) {
        free(f.files[i].path);
        buf_done(&f.files[i].text);
    }
    free(f.files);
    if (f.rc < 0) {
        ruleset_free(set);
        return f.rc;
    }
    *ret = set;
    return 0;
}
