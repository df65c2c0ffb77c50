// SPDX-License-Identifier: Apache-2.0
#include "rules/print_file.h"
#include "base/yaml.h"
#include "rules/parse.h"
#include "rules/print.h"
#include "rules/rule_text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TREE_ARENA_MAX (512u << 20)

// Bytes [from, to) of the file become `with`.
struct edit {
    size_t from, to;
    struct buf with;
};
struct format {
    const char *text;
    size_t len;
    struct diags *d;
    struct edit *edits;
    size_t n, cap;
    struct rules_format *count;
    bool failed, no_memory;
};

// Called for each `expr`; flow: inside { } or [ ], where no block can stand.
typedef void expr_fn(
    void *ctx, const struct yaml_node *key, const struct yaml_node *value, bool flow);

// --- finding expressions -------------------------------------------------------------------------

static bool is_flow(const char *text, const struct yaml_node *n)
{
    return text[n->offset] == '{' || text[n->offset] == '[';
}

static void walk_rule(
    const char *text, const struct yaml_node *rule, bool flow, expr_fn *fn, void *ctx)
{
    for (size_t i = 0; rule->kind == YAML_MAP && i < rule->n; i++)
        if (!strcmp(rule->keys[i]->text, "expr") && rule->items[i]->kind == YAML_SCALAR)
            fn(ctx, rule->keys[i], rule->items[i], flow || is_flow(text, rule));
}

static void walk(const char *text, const struct yaml_node *root, expr_fn *fn, void *ctx)
{
    const struct yaml_node *spec = yaml_get(root, "spec");
    const struct yaml_node *top = spec && spec->kind == YAML_MAP ? spec : root;
    const struct yaml_node *groups = yaml_get(top, "groups");
    bool flow = is_flow(text, root) || is_flow(text, top);
    for (size_t i = 0; groups && groups->kind == YAML_SEQ && i < groups->n; i++) {
        const struct yaml_node *group = groups->items[i];
        const struct yaml_node *rules =
            group->kind == YAML_MAP ? yaml_get(group, "rules") : NULL;
        if (!rules || rules->kind != YAML_SEQ)
            continue;
        bool inner =
            flow || is_flow(text, groups) || is_flow(text, group) || is_flow(text, rules);
        for (size_t k = 0; k < rules->n; k++)
            walk_rule(text, rules->items[k], inner, fn, ctx);
    }
}

// --- one value -------------------------------------------------------------------------------------

static void leave(struct format *f, const struct yaml_node *n, size_t at, const char *why)
{
    int line = n->line, col = n->col;
    if (at)
        yaml_place(f->text, f->len, n, at, &line, &col);
    diags_add(
        f->d, DIAG_WARNING, "T046", line, col, 1, why, "this expression is left as it is");
    f->count->left_alone++;
}

static size_t line_start(const char *text, size_t at)
{
    while (at > 0 && text[at - 1] != '\n')
        at--;
    return at;
}

static size_t line_end(const char *text, size_t len, size_t at)
{
    while (at < len && text[at] != '\n')
        at++;
    return at;
}

// The lines of a text, each indented; \r\n where the file has it.
static void add_lines(
    struct buf *out, const char *s, size_t len, size_t indent, const char *eol)
{
    size_t at = 0;
    for (;;) {
        size_t end = line_end(s, len, at);
        if (end > at)
            buf_addf(out, "%*s%.*s", (int)indent, "", (int)(end - at), s + at);
        if (end >= len)
            return;
        buf_adds(out, eol);
        at = end + 1;
    }
}

// The value of a block begins behind its header and ends before empty lines, which stay.
static void edit_block(struct format *f, const struct yaml_node *n, const char *s, size_t len,
    bool lines, struct edit *e)
{
    size_t header_end = line_end(f->text, f->len, n->offset);
    const char *eol = f->text[header_end - 1] == '\r' ? "\r\n" : "\n";
    size_t first = header_end + 1;
    while (first < n->end && strchr(" \r\n", f->text[first]))
        first++;
    size_t indent = first - line_start(f->text, first), to = n->end;
    while (to > first && strchr(" \r\n", f->text[to - 1]))
        to--;
    e->from = n->offset;
    e->to = to;
    // Folding would join the lines again.
    bool folded = n->style == YAML_FOLDED && lines;
    buf_addc(&e->with, folded ? '|' : f->text[n->offset]);
    buf_add(&e->with, f->text + n->offset + 1, header_end - n->offset);
    add_lines(&e->with, s, len, indent, eol);
}

// A value of one line becomes a block: what follows on the line, a comment, moves up with it.
static void edit_to_block(struct format *f, const struct yaml_node *key,
    const struct yaml_node *n, const char *s, size_t len, struct edit *e)
{
    size_t end = line_end(f->text, f->len, n->end);
    bool cr = end > n->end && f->text[end - 1] == '\r';
    size_t rest = end - cr;
    while (rest > n->end && f->text[rest - 1] == ' ')
        rest--;
    e->from = n->offset;
    e->to = end - cr;
    buf_addc(&e->with, '|');
    buf_add(&e->with, f->text + n->end, rest - n->end);
    buf_adds(&e->with, cr ? "\r\n" : "\n");
    add_lines(&e->with, s, len, (size_t)key->col - 1 + 2, cr ? "\r\n" : "\n");
}

// A value of one line in the quotes it has.
static bool edit_line(const struct yaml_node *n, const char *s, size_t len, struct edit *e)
{
    e->from = n->offset;
    e->to = n->end;
    switch (n->style) {
    case YAML_SINGLE:
        buf_addc(&e->with, '\'');
        for (size_t i = 0; i < len; i++)
            buf_addf(&e->with, s[i] == '\'' ? "''" : "%c", s[i]);
        buf_addc(&e->with, '\'');
        return true;
    case YAML_DOUBLE:
        buf_addc(&e->with, '"');
        for (size_t i = 0; i < len; i++)
            buf_addf(&e->with, s[i] == '"' || s[i] == '\\' ? "\\%c" : "%c", s[i]);
        buf_addc(&e->with, '"');
        return true;
    case YAML_PLAIN: buf_add(&e->with, s, len); return true;
    case YAML_LITERAL:
    case YAML_FOLDED: break;
    }
    return false;
}

// Between the key and its value there is nothing but the colon: no anchor, tag or alias.
static bool stands_plainly(
    const char *text, const struct yaml_node *key, const struct yaml_node *n)
{
    if (n->offset < key->end)
        return false;
    for (size_t i = key->end; i < n->offset; i++)
        if (!strchr(": \r\n", text[i]))
            return false;
    return text[n->offset] != '&' && text[n->offset] != '!' && text[n->offset] != '*';
}

// A tab would be no indentation, a control character needs the escapes it has.
static bool plain_text(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 && s[i] != '\n')
            return false;
    return true;
}

static struct edit *add_edit(struct format *f)
{
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 16;
        struct edit *grown = realloc(f->edits, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        f->edits = grown;
        f->cap = cap;
    }
    struct edit *e = &f->edits[f->n++];
    *e = (struct edit){0};
    buf_init(&e->with, RULES_FORMAT_MAX);
    return e;
}

// lines: it needs several, or has a comment, which needs its line end.
static void put_edit(struct format *f, const struct yaml_node *key, const struct yaml_node *n,
    const char *s, size_t len, bool lines, bool flow)
{
    bool block = n->style == YAML_LITERAL || n->style == YAML_FOLDED;
    if (!stands_plainly(f->text, key, n)) {
        leave(f, n, 0, "an anchor, a tag or an alias stands here");
        return;
    }
    if (!plain_text(s, len)) {
        leave(f, n, 0, "it holds a tab or a control character");
        return;
    }
    if (flow && lines) {
        leave(f, n, 0, "inside { } it cannot have several lines");
        return;
    }
    struct edit *e = add_edit(f);
    if (!e) {
        f->no_memory = true;
        return;
    }
    if (block)
        edit_block(f, n, s, len, lines, e);
    else if (lines)
        edit_to_block(f, key, n, s, len, e);
    else
        edit_line(n, s, len, e);
    f->no_memory |= e->with.failed != 0;
    // More indentation than a block needs, or an empty line before it: it is laid out already.
    if (e->with.len == e->to - e->from &&
        !memcmp(e->with.data, f->text + e->from, e->with.len)) {
        buf_done(&e->with);
        f->n--;
        return;
    }
}

static void mark(struct format *f, const struct yaml_node *n, const struct parse_error *e)
{
    struct reading r = {.text = f->text, .len = f->len, .d = f->d};
    reading_mark_span(&r, n, (size_t)e->start, (size_t)e->end, e->code, e->hint, e->msg);
    f->failed = true;
}

static void format_expr(
    void *ctx, const struct yaml_node *key, const struct yaml_node *n, bool flow)
{
    struct format *f = ctx;
    struct parse_error e;
    struct expr_root x;
    struct err err = {0};
    struct arena a;
    struct buf laid;
    // An alias shows a value again that was met at its anchor.
    for (size_t i = 0; i < f->n; i++)
        if (f->edits[i].from == n->offset)
            return;
    f->count->expressions++;
    arena_init(&a, 0);
    buf_init(&laid, RULES_FORMAT_MAX);
    int rc = expr_parse(n->text, n->len, &a, &x, &e);
    if (rc == -EINVAL)
        mark(f, n, &e);
    if (rc == 0) {
        rc = expr_pretty(&x, &laid, &err);
        expr_done(&x);
        if (rc == -EINVAL)
            leave(f, n, err.col > 1 ? (size_t)err.col - 1 : 0, err.msg);
        size_t len = n->len;
        while (len > 0 && n->text[len - 1] == '\n')
            len--;
        bool same = rc >= 0 && laid.len == len && !memcmp(laid.data, n->text, len);
        bool lines = rc > 0 || (laid.len && memchr(laid.data, '\n', laid.len));
        if (rc >= 0 && !same)
            put_edit(f, key, n, (const char *)laid.data, laid.len, lines, flow);
    }
    f->no_memory |= rc == -ENOMEM;
    buf_done(&laid);
    arena_done(&a);
}

// --- the proof ---------------------------------------------------------------------------------------

static bool same_expr(const struct yaml_node *a, const struct yaml_node *b)
{
    struct parse_error e;
    struct expr_root x = {0}, y = {0};
    struct arena arena;
    bool same = false;
    arena_init(&arena, 0);
    if (expr_parse(a->text, a->len, &arena, &x, &e) == 0) {
        if (expr_parse(b->text, b->len, &arena, &y, &e) == 0) {
            same = expr_equal(x.root, y.root);
            expr_done(&y);
        }
        expr_done(&x);
    }
    arena_done(&arena);
    return same;
}

static bool same_tree(const struct yaml_node *a, const struct yaml_node *b, bool expr)
{
    if (a->kind != b->kind || a->n != b->n)
        return false;
    if (a->kind == YAML_SCALAR) {
        bool same = a->len == b->len && !memcmp(a->text, b->text, a->len);
        return same || (expr && same_expr(a, b));
    }
    for (size_t i = 0; i < a->n; i++) {
        bool map = a->kind == YAML_MAP;
        if (map && (a->keys[i]->len != b->keys[i]->len ||
                       memcmp(a->keys[i]->text, b->keys[i]->text, a->keys[i]->len) != 0))
            return false;
        if (!same_tree(a->items[i], b->items[i], map && !strcmp(a->keys[i]->text, "expr")))
            return false;
    }
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct edit *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static bool apply(struct format *f, struct buf *out)
{
    size_t at = 0, start = out->len;
    struct rules_edit *made = f->n ? calloc(f->n, sizeof(*made)) : NULL;
    if (f->n && !made) {
        f->no_memory = true;
        return false;
    }
    f->count->edits = made;
    f->count->n_edits = f->n;
    if (f->n)
        qsort(f->edits, f->n, sizeof(*f->edits), by_place);
    for (size_t i = 0; i < f->n; i++) {
        const struct edit *e = &f->edits[i];
        if (e->from < at)
            return false;
        buf_add(out, f->text + at, e->from - at);
        size_t from = out->len - start;
        buf_add(out, e->with.data, e->with.len);
        made[i] = (struct rules_edit){e->from, e->to, from, out->len - start};
        at = e->to;
    }
    buf_add(out, f->text + at, f->len - at);
    f->no_memory |= out->failed != 0;
    return true;
}

static bool proven(const struct yaml_node *root, const char *text, size_t len)
{
    struct arena a;
    struct diags d;
    arena_init(&a, TREE_ARENA_MAX);
    diags_init(&d);
    const struct yaml_node *now = yaml_parse(text, len, &a, &d);
    bool ok = now && same_tree(root, now, false);
    diags_done(&d);
    arena_done(&a);
    return ok;
}

int rules_format(
    const char *text, size_t len, struct buf *out, struct rules_format *ret, struct diags *d)
{
    text = len ? text : "";
    struct format f = {.text = text, .len = len, .d = d, .count = ret};
    size_t before = out->len;
    struct arena a;
    int rc = 0;

    *ret = (struct rules_format){0};
    arena_init(&a, TREE_ARENA_MAX);
    const struct yaml_node *root = yaml_parse(text, len, &a, d);
    if (!root)
        rc = -EINVAL;
    else if (root->kind == YAML_MAP)
        walk(text, root, format_expr, &f);
    if (rc == 0 && (f.failed || f.no_memory))
        rc = f.no_memory ? -ENOMEM : -EINVAL;
    if (rc == 0) {
        bool applied = apply(&f, out);
        if (f.no_memory)
            rc = -ENOMEM;
        else if (!applied ||
                 (f.n && !proven(root, (const char *)out->data + before, out->len - before))) {
            diags_add(d, DIAG_ERROR, "T047", 0, 0, 1, "please report it, with the file",
                "laid out it would not say the same: nothing was changed");
            rc = -EINVAL;
        }
    }
    if (rc < 0) {
        out->len = before;
        rules_format_done(ret);
    }
    for (size_t i = 0; i < f.n; i++)
        buf_done(&f.edits[i].with);
    free(f.edits);
    arena_done(&a);
    return rc;
}

void rules_format_done(struct rules_format *f)
{
    free(f->edits);
    f->edits = NULL;
    f->n_edits = 0;
}
