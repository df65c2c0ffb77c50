// SPDX-License-Identifier: Apache-2.0
#include "rules/template_set.h"
#include "rules/template_node.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct template_set {
    struct arena *arena;
    struct tmpl_define *defines; // of the files, the last one first
    struct template *files;
    size_t n_files;
};

const struct tmpl_define *tmpl_set_find(const struct template_set *s, const char *name)
{
    const struct tmpl_define *d = s->defines;
    while (d && strcmp(d->name, name))
        d = d->next;
    return d;
}

bool template_set_has(const struct template_set *s, const char *name)
{
    const struct tmpl_define *d = tmpl_set_find(s, name);
    return d && !d->source->ours;
}

// --- mistakes --------------------------------------------------------------------------------
static void place(
    struct template_fault *f, const struct tmpl_source *source, size_t at, const char *msg)
{
    *f = (struct template_fault){.file = source->name, .at = at, .line = 1, .col = 1};
    for (size_t i = 0; i < at && i < source->len; i++) {
        f->col = source->text[i] == '\n' ? 1 : f->col + 1;
        f->line += source->text[i] == '\n';
    }
    snprintf(f->msg, sizeof(f->msg), "%.*s", (int)sizeof(f->msg) - 1, msg);
}

static void no_memory(struct template_fault *f)
{
    *f = (struct template_fault){0};
    snprintf(f->msg, sizeof(f->msg), "out of memory");
}

// The mistake of the parser, in its place.
static int misread(struct template_fault *f, const struct template *t, const struct err *err)
{
    if (!err->col) {
        no_memory(f);
        return -ENOMEM;
    }
    place(f, &t->source, (size_t)err->col - 1, err->msg);
    f->sure = true;
    return -EINVAL;
}

static const struct tmpl_define *own(const struct template *t, const char *name)
{
    const struct tmpl_define *d = t->defines;
    while (d && strcmp(d->name, name))
        d = d->next;
    return d;
}

// Whether all that t calls is defined, in it or in the set; and that nothing in it is wrong that Go
// finds only when it comes by.
static int check(
    const struct template_set *s, const struct template *t, struct template_fault *f)
{
    char msg[200];
    const struct tmpl_node *bad = NULL;
    for (const struct tmpl_node *n = t->calls; n; n = n->next_call)
        if (!own(t, n->text) && !tmpl_set_find(s, n->text))
            bad = n; // the last of the list is the first of the text
    if (bad) {
        snprintf(msg, sizeof(msg), "template \"%.100s\" is not defined", bad->text);
        place(f, &t->source, bad->at, msg);
        f->sure = true;
        return -EINVAL;
    }
    const struct template_doubt *first = NULL;
    for (const struct template_doubt *d = t->doubts; d; d = d->next)
        first = d;
    if (!first)
        return 0;
    place(f, &t->source, first->at, first->msg);
    f->sure = true;
    return -EINVAL;
}

// --- reading ---------------------------------------------------------------------------------
// Parsed, but for what it calls. Its definitions stay its own.
static struct template *parse(struct template_set *s, const char *file, const char *text,
    size_t len, struct template_fault *f, int *ret_rc)
{
    struct template *t = arena_alloc(s->arena, sizeof(*t));
    const char *copy = t ? arena_strndup(s->arena, text, len) : NULL;
    const char *name = t && file ? arena_strndup(s->arena, file, strlen(file)) : NULL;
    struct err err = {0};
    if (!copy || (file && !name)) {
        no_memory(f);
        *ret_rc = -ENOMEM;
        return NULL;
    }
    t->dialect = TMPL_MESSAGES;
    t->set = s;
    t->source = (struct tmpl_source){.name = name, .text = copy, .len = len};
    if (tmpl_parse_into(t, s->arena, &err))
        return t;
    *ret_rc = misread(f, t, &err);
    return NULL;
}

// Only spaces: as in Go it does not replace what another file says under this name.
static bool blank(const struct tmpl_node *n)
{
    for (; n; n = n->next) {
        if (n->kind != TN_TEXT)
            return false;
        for (size_t i = 0; i < n->len; i++)
            if (!strchr(" \t\r\n", n->text[i]))
                return false;
    }
    return true;
}

static int add(struct template_set *s, const char *file, const char *text, size_t len,
    struct template_fault *f)
{
    int rc = 0;
    struct template *t = parse(s, file, text, len, f, &rc);
    struct tmpl_define *whole = t ? arena_alloc(s->arena, sizeof(*whole)) : NULL;
    if (t && !whole) {
        no_memory(f);
        rc = -ENOMEM;
    }
    if (!whole)
        return rc;
    const char *base = file ? strrchr(file, '/') : NULL;
    *whole = (struct tmpl_define){.name = base   ? base + 1
                                          : file ? t->source.name
                                                 : "",
        .nodes = t->nodes,
        .n_vars = t->n_vars,
        .source = &t->source,
        .next = s->defines};
    if (base)
        whole->name = t->source.name + (base + 1 - file);
    s->defines = whole;
    for (struct tmpl_define *d = t->defines, *next; d; d = next) {
        next = d->next;
        if (blank(d->nodes) && tmpl_set_find(s, d->name))
            continue;
        d->next = s->defines;
        s->defines = d;
    }
    t->defines = NULL;
    t->next = s->files;
    s->files = t;
    return 0;
}

struct template_set *template_set_new(struct arena *a)
{
    struct template_set *s = arena_alloc(a, sizeof(*s));
    struct template_fault fault;
    if (!s)
        return NULL;
    s->arena = a;
    for (const char *const *t = TEMPLATE_DEFAULTS; *t; t++) {
        if (add(s, NULL, *t, strlen(*t), &fault) < 0)
            return NULL;
        s->files->source.ours = true;
    }
    return s;
}

int template_set_add(struct template_set *s, const char *file, const char *text, size_t len,
    struct template_fault *fault)
{
    if (s->n_files == TEMPLATE_FILES_MAX) {
        *fault = (struct template_fault){.file = file, .line = 1, .col = 1, .sure = true};
        snprintf(fault->msg, sizeof(fault->msg), "more than %d files", TEMPLATE_FILES_MAX);
        return -EINVAL;
    }
    int rc = add(s, file, text, len, fault);
    s->n_files += rc == 0;
    return rc;
}

int template_set_check(const struct template_set *s, struct template_fault *fault)
{
    for (const struct template *t = s->files; t; t = t->next)
        if (check(s, t, fault) < 0)
            return -EINVAL;
    return 0;
}

struct template *template_set_parse(
    struct template_set *s, const char *text, size_t len, struct template_fault *fault)
{
    int rc = 0;
    struct template *t = parse(s, NULL, text, len, fault, &rc);
    return t && check(s, t, fault) == 0 ? t : NULL;
}

// --- running ---------------------------------------------------------------------------------
static int run(const struct template *t, const struct template_data *d,
    enum template_escape escape, bool explore, struct buf *out, struct template_fault *f)
{
    struct tmpl_run r;
    size_t before = out->len;
    tmpl_run_init(&r, t, d);
    r.escape.mode = escape;
    r.explore = explore;
    tmpl_run_template(&r, out);
    int rc = r.rc;
    if (rc == 0 && out->failed == -EMSGSIZE && t->dialect == TMPL_MESSAGES) {
        rc = -EINVAL;
        r.large = true;
        r.at = 0;
        r.source = &t->source;
        err_set(&r.err, "the text is longer than %zu bytes", out->max);
    }
    if (rc == -EINVAL) {
        place(f, r.source, r.at, r.err.msg);
        f->sure = r.sure;
        f->large = r.large;
    } else if (rc < 0) {
        no_memory(f);
    }
    arena_done(&r.arena);
    if (rc < 0)
        out->len = before;
    return rc ? rc : out->failed;
}

int template_render(const struct template *t, const struct template_data *d,
    enum template_escape escape, struct buf *out, struct template_fault *fault)
{
    return run(t, d, escape, false, out, fault);
}

int template_explore(const struct template *t, const struct template_data *d,
    enum template_escape escape, struct template_fault *fault)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    int rc = run(t, d, escape, true, &out, fault);
    buf_done(&out);
    return rc == -EINVAL && !fault->sure ? 0 : rc;
}
