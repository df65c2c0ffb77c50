// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_check.h"
#include "base/num.h"
#include "cli/rules_live.h"
#include "rules/builtin.h"
#include "rules/file.h"
#include "rules/lint.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX  10000
#define OUTPUT_MAX (64u << 20)

static struct checked_file *add_file(struct rules_report *c, const char *path)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 8;
        struct checked_file *more =
            c->cap < FILES_MAX ? realloc(c->files, cap * sizeof(*more)) : NULL;
        if (!more)
            return NULL;
        c->files = more;
        c->cap = cap;
    }
    char *copy = strdup(path);
    if (!copy)
        return NULL;
    struct checked_file *f = &c->files[c->n++];
    *f = (struct checked_file){.path = copy};
    // One byte more than a rule file may have, so that one too large is seen to be so.
    buf_init(&f->text, RULE_FILE_MAX + 1);
    diags_init(&f->d);
    return f;
}

static int read_file(struct rules_report *c, const char *path)
{
    bool standard_input = strcmp(path, "-") == 0;
    struct checked_file *f = add_file(c, standard_input ? "<stdin>" : path);
    if (!f)
        return -ENOMEM;
    int rc = standard_input ? buf_add_stream(&f->text, stdin) : buf_add_path(&f->text, path);
    f->unread = rc < 0;
    if (rc == -EMSGSIZE)
        diags_add(&f->d, DIAG_ERROR, "T020", 0, 0, 1, NULL, "the file is larger than %u MiB",
            RULE_FILE_MAX >> 20);
    else if (rc < 0)
        diags_add(
            &f->d, DIAG_ERROR, "T000", 0, 0, 1, NULL, "cannot read it: %s", strerror(-rc));
    return rc == -ENOMEM ? rc : 0;
}

static int is_rule_file(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');
    return e->d_name[0] != '.' && dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

// What promtool-style unit tests are called; they hold no rules.
static bool is_test_file(const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t len = dot ? (size_t)(dot - name) : 0;
    return len > 5 && !memcmp(dot - 5, ".test", 5);
}

static int read_folder(struct rules_report *c, const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_rule_file, alphasort), rc = 0;

    if (n < 0)
        return read_file(c, path);
    for (int i = 0; i < n; i++) {
        char *full = NULL;
        const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
        if (rc == 0 && !is_test_file(entries[i]->d_name)) {
            if (asprintf(&full, "%s%s%s", path, slash, entries[i]->d_name) < 0)
                rc = -ENOMEM;
            else
                rc = read_file(c, full);
            if (rc == -ENOMEM)
                full = NULL;
        }
        free(full);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

// Overrides last, wherever they stand: what they name must be known by then, also what the collector
// brings.
static int load(struct rules_report *c, struct ruleset *set, bool overrides)
{
    if (overrides && builtin_add(set, &c->whole) == -ENOMEM)
        return -ENOMEM;
    for (size_t i = 0; i < c->n; i++) {
        struct checked_file *f = &c->files[i];
        const char *text = f->text.data ? (const char *)f->text.data : "";
        int rc = 0;
        if (!overrides)
            f->overrides = ruleset_is_overrides(text, f->text.len);
        if (f->unread || f->overrides != overrides)
            continue;
        if (overrides)
            rc = ruleset_override(set, f->path, text, f->text.len, &f->d);
        else
            rc = ruleset_add(set, f->path, text, f->text.len, &f->d);
        if (rc == -ENOMEM)
            return rc;
    }
    builtin_remove(set);
    return 0;
}

static void count(const struct diags *d, struct rules_report *r)
{
    r->errors += d->errors;
    r->warnings += d->n + d->dropped - d->errors;
}

// Before overrides change what stands in the files.
static int lint(struct rules_report *c, const struct ruleset *set, int64_t sampling_ms)
{
    struct lint_options o = {.sampling_ms = sampling_ms};
    struct lint *l = lint_new(set, &o);
    int rc = l ? 0 : -ENOMEM;
    for (size_t i = 0; i < c->n && rc == 0; i++) {
        struct checked_file *f = &c->files[i];
        if (!f->overrides && f->text.len)
            rc = lint_file(l, f->path, (const char *)f->text.data, f->text.len, &f->d);
    }
    lint_free(l);
    return rc;
}

static void report_done(struct rules_report *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->files[i].path);
        buf_done(&r->files[i].text);
        diags_done(&r->files[i].d);
    }
    free(r->files);
    for (size_t i = 0; i < r->n_selectors; i++)
        free(r->selectors[i].text);
    free(r->selectors);
    diags_done(&r->whole);
}

int rules_check(const char *const *paths, size_t n, const struct rules_check_options *o,
    struct buf *out, struct err *err)
{
    struct rules_report r = {.url = o->against ? o->against->url : NULL};
    struct ruleset *set = ruleset_new();
    int rc = set ? 0 : -ENOMEM, asked = CLI_YES;

    diags_init(&r.whole);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct stat st;
        bool folder = stat(paths[i], &st) == 0 && S_ISDIR(st.st_mode);
        rc = folder ? read_folder(&r, paths[i]) : read_file(&r, paths[i]);
    }
    if (rc == 0)
        rc = load(&r, set, false);
    if (rc == 0 && o->against)
        asked = rules_live(&r, set, o->against, err);
    if (rc == 0)
        rc = lint(&r, set, o->sampling_ms ? o->sampling_ms : RULES_SAMPLING_MS);
    if (rc == 0)
        rc = load(&r, set, true);
    if (rc == 0) {
        ruleset_check(set, &r.whole);
        for (size_t i = 0; i < r.n; i++) {
            diags_sort(&r.files[i].d);
            count(&r.files[i].d, &r);
        }
        count(&r.whole, &r);
        r.groups = set->n_groups;
        for (size_t i = 0; i < set->n_groups; i++)
            r.rules += set->groups[i].n_rules;
        rules_report_print(&r, o->format, out);
        if (out->failed)
            rc = -ENOMEM;
    }
    bool bad = r.errors || (o->strict && r.warnings);
    report_done(&r);
    ruleset_free(set);
    if (rc < 0) {
        err_set(err, "out of memory");
        return CLI_NO;
    }
    return asked != CLI_YES ? asked : bad ? CLI_NO : CLI_YES;
}

static enum rules_format format_of(const struct cli *c, const char *word)
{
    if (word && !strcmp(word, "sarif"))
        return RULES_SARIF;
    return c->json || (word && !strcmp(word, "json")) ? RULES_JSON : RULES_TEXT;
}

int rules_check_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    struct cli collector = *c;
    struct rules_check_options o = {
        .strict = a->option[0] || a->option[1], .format = format_of(c, a->option[2])};
    const char *against = a->option[3], *sampling = a->option[4];
    struct buf out;

    if (against) {
        collector.url = against;
        o.against = &collector;
    }
    if (sampling &&
        (!duration_parse(sampling, strlen(sampling), &o.sampling_ms) || o.sampling_ms <= 0)) {
        err_set(err, "--sampling takes a duration, e.g. 15s, not %.60s", sampling);
        return CLI_USAGE;
    }
    buf_init(&out, OUTPUT_MAX);
    int rc = rules_check((const char *const *)a->words, (size_t)a->n_words, &o, &out, err);
    if (out.len)
        fwrite(out.data, 1, out.len, c->out);
    buf_done(&out);
    return rc;
}
