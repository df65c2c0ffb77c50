// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_check.h"
#include "rules/file.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX  10000
#define OUTPUT_MAX (64u << 20)

struct checked {
    char *path;
    struct buf text;
    struct diags d;
    bool overrides;
};
struct check {
    struct checked *files;
    size_t n, cap;
    struct diags whole; // about all files together
};

static struct checked *add_file(struct check *c, const char *path)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 8;
        struct checked *more =
            c->cap < FILES_MAX ? realloc(c->files, cap * sizeof(*more)) : NULL;
        if (!more)
            return NULL;
        c->files = more;
        c->cap = cap;
    }
    char *copy = strdup(path);
    if (!copy)
        return NULL;
    struct checked *f = &c->files[c->n++];
    *f = (struct checked){.path = copy};
    // One byte more than a rule file may have, so that one too large is seen to be so.
    buf_init(&f->text, RULE_FILE_MAX + 1);
    diags_init(&f->d);
    return f;
}

static int read_file(struct check *c, const char *path)
{
    struct checked *f = add_file(c, path);
    if (!f)
        return -ENOMEM;
    int rc = buf_add_path(&f->text, path);
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

static int read_folder(struct check *c, const char *path)
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

static int load(struct check *c, struct ruleset *set)
{
    // Overrides last, wherever they stand: what they name must be known by then.
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < c->n; i++) {
            struct checked *f = &c->files[i];
            const char *text = f->text.data ? (const char *)f->text.data : "";
            int rc = 0;
            if (f->d.errors)
                continue;
            if (pass == 0)
                f->overrides = ruleset_is_overrides(text, f->text.len);
            if (pass == 0 && !f->overrides)
                rc = ruleset_add(set, f->path, text, f->text.len, &f->d);
            else if (pass == 1 && f->overrides)
                rc = ruleset_override(set, f->path, text, f->text.len, &f->d);
            if (rc == -ENOMEM)
                return rc;
        }
    }
    ruleset_check(set, &c->whole);
    return 0;
}

// --- output ----------------------------------------------------------------------------------
static void print_json_diags(
    const struct diags *d, const char *path, bool *comma, struct buf *out)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct diag *x = &d->items[i];
        buf_adds(out, *comma ? ",\n  {\"file\":" : "\n  {\"file\":");
        *comma = true;
        buf_add_json(out, path, strlen(path));
        buf_addf(out,
            ",\"line\":%d,\"col\":%d,\"len\":%d,\"severity\":\"%s\",\"code\":\"%s\",\"message\":",
            x->line, x->col, x->len, x->severity == DIAG_ERROR ? "error" : "warning", x->code);
        buf_add_json(out, x->msg, strlen(x->msg));
        buf_adds(out, ",\"hint\":");
        buf_add_json(out, x->hint, strlen(x->hint));
        buf_addc(out, '}');
    }
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

struct totals {
    size_t groups, rules, errors, warnings;
};

static void count(const struct diags *d, struct totals *t)
{
    t->errors += d->errors;
    t->warnings += d->n + d->dropped - d->errors;
}

static void print(struct check *c, const struct totals *t, bool json, struct buf *out)
{
    bool comma = false;
    if (json) {
        buf_addf(out,
            "{\"files\":%zu,\"groups\":%zu,\"rules\":%zu,\"errors\":%zu,\"warnings\":%zu,\"problems\":[",
            c->n, t->groups, t->rules, t->errors, t->warnings);
        for (size_t i = 0; i < c->n; i++)
            print_json_diags(&c->files[i].d, c->files[i].path, &comma, out);
        print_json_diags(&c->whole, "", &comma, out);
        buf_adds(out, comma ? "\n]}\n" : "]}\n");
        return;
    }
    for (size_t i = 0; i < c->n; i++) {
        struct checked *f = &c->files[i];
        if (f->d.n && out->len)
            buf_addc(out, '\n');
        diags_print(&f->d, f->path, (const char *)f->text.data, f->text.len, out);
    }
    if (c->whole.n && out->len)
        buf_addc(out, '\n');
    diags_print(&c->whole, "all files", NULL, 0, out);
    if (out->len)
        buf_addc(out, '\n');
    size_t problems = t->errors + t->warnings;
    if (problems)
        buf_addf(out, "%zu problem%s: %zu error%s, %zu warning%s\n", problems, plural(problems),
            t->errors, plural(t->errors), t->warnings, plural(t->warnings));
    if (t->errors == 0)
        buf_addf(out, "%zu file%s, %zu group%s, %zu rule%s: ok\n", c->n, plural(c->n),
            t->groups, plural(t->groups), t->rules, plural(t->rules));
}

int rules_check(
    const char *const *paths, size_t n, const struct rules_check_options *o, struct buf *out)
{
    struct check c = {0};
    struct totals t = {0};
    struct ruleset *set = ruleset_new();
    int rc = set ? 0 : -ENOMEM;

    diags_init(&c.whole);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct stat st;
        bool folder = stat(paths[i], &st) == 0 && S_ISDIR(st.st_mode);
        rc = folder ? read_folder(&c, paths[i]) : read_file(&c, paths[i]);
    }
    if (rc == 0)
        rc = load(&c, set);
    if (rc == 0) {
        for (size_t i = 0; i < c.n; i++) {
            diags_sort(&c.files[i].d);
            count(&c.files[i].d, &t);
        }
        count(&c.whole, &t);
        t.groups = set->n_groups;
        for (size_t i = 0; i < set->n_groups; i++)
            t.rules += set->groups[i].n_rules;
        print(&c, &t, o->json, out);
        if (out->failed)
            rc = -ENOMEM;
    }
    for (size_t i = 0; i < c.n; i++) {
        free(c.files[i].path);
        buf_done(&c.files[i].text);
        diags_done(&c.files[i].d);
    }
    free(c.files);
    diags_done(&c.whole);
    ruleset_free(set);
    if (rc < 0)
        return 2;
    return t.errors || (o->strict && t.warnings) ? 1 : 0;
}

static const char HELP[] =
    "usage: tocsin rules check [--format text|json] [--strict] FILE|FOLDER...\n"
    "\n"
    "Reads rule files as Prometheus writes them and overrides documents, and shows every\n"
    "mistake at its place. Of a folder, *.yaml and *.yml are read, *.test.yaml left out.\n"
    "\n"
    "  --format json   for programs\n"
    "  --strict        warnings fail too\n"
    "\n"
    "exit status: 0 clean, 1 problems, 2 wrong usage\n";

static int usage(const char *what, const char *word)
{
    fprintf(stderr, "tocsin rules check: %s%s (see --help)\n", what, word);
    return 2;
}

int rules_check_main(int argc, char **argv)
{
    struct rules_check_options o = {0};
    const char **paths = calloc((size_t)argc + 1, sizeof(*paths));
    size_t n = 0;
    bool only_paths = false;
    int rc = 0;

    if (!paths)
        return usage("out of memory", "");
    for (int i = 1; i < argc && rc == 0; i++) {
        const char *a = argv[i];
        const char *format = !strncmp(a, "--format=", 9) ? a + 9 : NULL;
        if (!only_paths && !strcmp(a, "--format") && i + 1 < argc)
            format = argv[++i];
        if (only_paths || a[0] != '-') {
            paths[n++] = a;
        } else if (!strcmp(a, "--")) {
            only_paths = true;
        } else if (format) {
            o.json = !strcmp(format, "json");
            if (!o.json && strcmp(format, "text"))
                rc = usage("--format takes text or json, not ", format);
        } else if (!strcmp(a, "--strict")) {
            o.strict = true;
        } else if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
            fputs(HELP, stdout);
            free(paths);
            return 0;
        } else {
            rc = usage("unknown option ", a);
        }
    }
    if (rc == 0 && n == 0)
        rc = usage("no file given", "");
    if (rc == 0) {
        struct buf out;
        buf_init(&out, OUTPUT_MAX);
        rc = rules_check(paths, n, &o, &out);
        if (out.len)
            fwrite(out.data, 1, out.len, stdout);
        if (rc == 2)
            fprintf(stderr, "tocsin rules check: out of memory\n");
        else if (fflush(stdout) != 0)
            rc = usage("cannot write: ", strerror(errno));
        buf_done(&out);
    }
    free(paths);
    return rc;
}
