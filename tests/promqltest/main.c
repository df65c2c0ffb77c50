// SPDX-License-Identifier: Apache-2.0
/*
 * Runs promqltest scripts against the batch evaluator:
 *
 *     promqltest FOLDER|FILE...       or the folder in PROMQLTEST_DIR
 *
 * The scripts of this repository are in tests/promqltest/cases; Prometheus's own are read from
 * wherever they are and never copied. For each file: passed, declared out of scope, failed; what
 * failed stands above it. The last line is `N passed, N failed`. PROMQLTEST_VERBOSE=1 also tells
 * what is out of scope and which errors come in other words than Prometheus's.
 */
#include "tests/promqltest/check.h"
#include "tests/promqltest/loader.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct totals {
    unsigned passed, out, failed, wording, evaluations;
    unsigned feature[64];
};

static bool verbose;

struct run {
    const char *path;
    struct script script;
    struct memory_source *m;
    struct source src;
    struct data_facts data;
    struct totals t;
};

static void clear(struct run *r)
{
    memory_source_free(r->m);
    r->m = memory_source_new();
    if (!r->m)
        abort();
    r->src = memory_source_interface(r->m);
    r->data = (struct data_facts){0};
}

static void note_data(struct run *r, const struct command *c)
{
    r->data.start_times |= c->start_times;
    for (size_t i = 0; i < c->n_series; i++)
        r->data.described |= *labels_get(&c->series[i].labels, "__type__") ||
                             *labels_get(&c->series[i].labels, "__unit__");
}

static void eval(struct run *r, const struct command *c)
{
    struct buf why;
    buf_init(&why, 1u << 16);
    struct check k = check_eval(c, &r->src, &r->data, &why);
    r->t.evaluations += k.evaluations;
    switch (k.verdict) {
    case VERDICT_PASSED:
        r->t.passed++;
        r->t.wording += k.wording;
        if (verbose && k.wording)
            printf("%s:%d: other words: %s\n", r->path, c->line, c->expr);
        break;
    case VERDICT_OUT:
        r->t.out++;
        r->t.feature[k.feature]++;
        if (verbose)
            printf("%s:%d: out of scope (%s): %s\n", r->path, c->line, FEATURES[k.feature].name,
                c->expr);
        break;
    case VERDICT_FAILED:
        r->t.failed++;
        printf("%s:%d: %s\n    %s\n", r->path, c->line, c->expr, buf_cstr(&why));
        break;
    }
    buf_done(&why);
}

static void run_commands(struct run *r)
{
    clear(r);
    for (size_t i = 0; i < r->script.n; i++) {
        const struct command *c = &r->script.command[i];
        struct err err = {0};
        switch (c->kind) {
        case COMMAND_CLEAR: clear(r); break;
        case COMMAND_LOAD:
            note_data(r, c);
            if (load_series(c, r->m, &err) < 0) {
                r->t.failed++;
                printf("%s:%d: %s\n", r->path, err.line, err.msg);
            }
            break;
        case COMMAND_EVAL: eval(r, c); break;
        }
    }
    memory_source_free(r->m);
}

static void add(struct totals *to, const struct totals *t)
{
    to->passed += t->passed;
    to->out += t->out;
    to->failed += t->failed;
    to->wording += t->wording;
    to->evaluations += t->evaluations;
    for (size_t i = 0; i < N_FEATURES; i++)
        to->feature[i] += t->feature[i];
}

static void run_file(const char *path, struct totals *all)
{
    struct run r = {.path = path};
    struct err err = {0};
    struct buf text;
    buf_init(&text, 64u << 20);
    int rc = buf_add_path(&text, path);
    if (rc < 0) {
        r.t.failed++;
        printf("%s: %s\n", path, strerror(-rc));
    } else if (script_parse(buf_cstr(&text), text.len, &r.script, &err) < 0) {
        r.t.failed++;
        printf("%s:%d:%d: %s\n", path, err.line, err.col, err.msg);
        script_done(&r.script);
    } else {
        run_commands(&r);
        script_done(&r.script);
    }
    const char *name = strrchr(path, '/');
    printf("%-32s %5u passed %5u out of scope %5u failed\n", name ? name + 1 : path, r.t.passed,
        r.t.out, r.t.failed);
    add(all, &r.t);
    buf_done(&text);
}

static int is_script(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 5 && !strcmp(d->d_name + n - 5, ".test");
}

static void run_path(const char *path, struct totals *all)
{
    struct stat st;
    struct dirent **list;
    if (stat(path, &st) == -1 || !S_ISDIR(st.st_mode)) {
        run_file(path, all);
        return;
    }
    int n = scandir(path, &list, is_script, alphasort);
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/%s", path, list[i]->d_name);
        run_file(file, all);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    if (n <= 0) {
        printf("%s: no scripts (*.test) here\n", path);
        all->failed++;
    }
}

int main(int argc, char **argv)
{
    struct totals all = {0};
    const char *folder = getenv("PROMQLTEST_DIR");
    verbose = getenv("PROMQLTEST_VERBOSE") != NULL;
    if (N_FEATURES > sizeof(all.feature) / sizeof(all.feature[0]))
        abort();
    if (argc < 2 && !folder) {
        fprintf(stderr, "usage: promqltest FOLDER|FILE...   or PROMQLTEST_DIR=FOLDER\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        run_path(argv[i], &all);
    if (argc < 2)
        run_path(folder, &all);
    for (size_t i = 0; i < N_FEATURES; i++)
        if (all.feature[i])
            printf("out of scope: %4u  %s (%s)\n", all.feature[i], FEATURES[i].name,
                FEATURES[i].reason);
    printf("%u evaluations; %u out of scope; %u errors in other words than Prometheus's\n",
        all.evaluations, all.out, all.wording);
    printf("%u passed, %u failed\n", all.passed, all.failed);
    return all.failed ? 1 : 0;
}
